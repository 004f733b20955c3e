"""Rules of edits told as what has happened: "the red ball has disappeared", "someone painted the cube green".

They are briefs, as orders without a verb are: with a question mark they are none.
"""

from kyvo.programs.grammar.additions import added
from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.goals import move
from kyvo.programs.grammar.rearrangements import swap_pair
from kyvo.programs.grammar.settings import set_field, set_words
from kyvo.programs.program import Remove, Resize, Swap

STATEMENT_MACROS = {
    "HAS": "(has|have) [(now|just|all|both|also)]",
    "WAS": "((has|have) [(now|just|all|both|also)] been|was|were|got)",
    "SOMEONE": "(someone|somebody|they|we|i) [(has|have)] [just]",
}


def add_statements(rule: Rules) -> None:
    rule.macros |= STATEMENT_MACROS
    _add_gone(rule)
    _add_new_words(rule)
    _add_new_sizes(rule)
    _add_new_places(rule)
    _add_new_objects(rule)


def _add_gone(rule: Rules) -> None:
    gone = lambda of: (Remove(of=of),)  # noqa: E731
    out = "[(from|out of) THEPICTURE]"
    rule("brief", f"<target> [HAS] (disappeared|vanished|(gone|went) (away|missing)|left THEPICTURE) {out}", gone)
    rule("brief", f"<target> (WAS|HAS) REMOVED {out}", gone)
    rule("brief", "<target> (is|are) [now] (gone|missing now|now missing)", gone)
    here = "(there|here|visible|present|in THEPICTURE|part of THEPICTURE)"
    rule("brief", f"<target> (is|are) (no longer {here}|not {here} (any more|anymore|any longer))", gone)
    rule("brief", f"SOMEONE (removed|deleted|erased|took|took away|got rid of|destroyed) <target> [away] {out}", gone)


def _add_new_words(rule: Rules) -> None:
    became = (
        "(HAS (become|turned [into]|gone|changed (to|into)|switched (to|into))|became|turned [into]|"
        "(changed|switched) (to|into)|(is|are) now)"
    )
    done = "WAS (painted|colored|recolored|dyed|repainted|made|turned [into]|(changed|switched|converted) (to|into))"
    rule("brief", f"<target> ({became}|{done}) <setword>", set_words)
    rule("brief", "<target> (is|are) <setword> now", set_words, 0.1)
    changed = "([HAS] (changed|switched|turned)|WAS (changed|switched|turned|made))"
    rule("brief", f"<target> {changed} from <anyword> (to|into) <setword>", lambda of, _, words: set_words(of, words))
    rule(
        "brief",
        f"<target> {changed} (its|their) <field> [from <anyword>] (to|into) <anyword>",
        lambda of, field, *words: set_field(of, field, words[-1]),
    )
    rule(
        "brief",
        f"the <field> of <target> ({changed}|HAS become|became) [from <anyword>] [(to|into)] <anyword>",
        lambda field, of, *words: set_field(of, field, words[-1]),
    )
    rule(
        "brief",
        f"<target> 's <field> ({changed}|HAS become|became) [from <anyword>] [(to|into)] <anyword>",
        lambda of, field, *words: set_field(of, field, words[-1]),
    )
    made = "(painted|colored|recolored|dyed|repainted|made|turned|changed|converted)"
    rule("brief", f"SOMEONE {made} <target> [(to|into|in)] <setword>", set_words)


def _add_new_sizes(rule: Rules) -> None:
    for larger, words, verb in (
        (True, "(bigger|larger|taller)", "(grown|grew|(HAS|WAS) enlarged)"),
        (False, "(smaller|tinier)", "(shrunk|shrank|(HAS|WAS) (shrunk|reduced))"),
    ):
        resized = lambda of, larger=larger: (Resize(of=of, larger=larger),)  # noqa: E731
        rule("brief", f"<target> (HAS (become|gotten|got|been made)|became|got|(is|are) now) {words}", resized)
        rule("brief", f"<target> [HAS] {verb}", resized)


def _add_new_places(rule: Rules) -> None:
    moved = "(moved|shifted|pushed|slid|relocated|placed|put|brought|dragged|shoved|nudged)"
    rule("brief", f"<target> [(HAS|WAS)] {moved} <goal>", move, 0.1)
    rule("brief", f"SOMEONE {moved} <target> <goal>", move, 0.1)
    rule(
        "brief", "SOMEONE (swapped|switched|exchanged) <np1> (and|with) <np1>", lambda a, b: (Swap(first=a, second=b),)
    )
    places = "[(the|their)] (places|positions|locations|spots)"
    each_other = "[with (each other|one another)]"
    swap = "(swapped|switched|exchanged|traded|changed)"
    rule(
        "brief",
        f"<swappers> [(HAS|WAS)] {swap} {places} {each_other}",
        swap_pair,
    )
    rule(
        "brief",
        f"<swappers> [(HAS|WAS)] {swap} [(the|their)] (<fields>|<field>) {each_other}",
        swap_pair,
    )


def _add_new_objects(rule: Rules) -> None:
    rule("brief", "<anew> (WAS (added|put|placed|inserted)|[HAS] appeared) [in THEPICTURE] [<goal>]", added)
    rule("brief", "there is now <anew> [in THEPICTURE] [<goal>]", added)
    rule("brief", "SOMEONE (added|put|placed|inserted) <anew> [<goal>]", added)

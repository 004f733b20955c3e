"""Rules of edits that take objects out: "delete the ball", "no more cubes", "keep only the spheres"."""

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import ALL, together, without
from kyvo.programs.grammar.settings import set_words
from kyvo.programs.program import Related, Remove, Selector, Step, The


def add_removals(rule: Rules) -> None:
    gone = lambda of: (Remove(of=of),)  # noqa: E731
    rule("step", "hide <target>", gone, 0.3)
    rule("step", "clear [off] <def1>", _cleared)
    rule("brief", "<target> [to] (out|away|gone|removed|deleted) [(of|from) THEPICTURE]", gone)
    rule("brief", "<target> (.|,) (delete|remove)", gone)
    rule("brief", "(delete|remove|erase) . <target>", gone)
    rule("brief", "no more <anyset>", gone)
    rule("step", "away with <target>", gone)
    rule("step", "(get|take|move) <target> out of the way", gone)
    rule("step", "move <target> (out of THEPICTURE|out of here|away from THEPICTURE|off THEPICTURE)", gone)
    rule("step", "(delete|remove) from THEPICTURE <target>", gone)
    rule("step", "DELETE <defs> <then> <defs>", lambda a, _, b: (Remove(of=a), Remove(of=b)), 0.2)
    rule("step", "DELETE <target> [(from|out of|off|off of) THEPICTURE] [(too|away|there|completely|out)]", gone)
    rule(
        "step",
        "(take|throw|clear|put|wipe|cut|get) <target> (away|out|off|out of there|[away] out of THEPICTURE|off "
        "THEPICTURE|away from THEPICTURE|"
        "out of here|from THEPICTURE)",
        gone,
    )
    rule(
        "step",
        "(IWANT|have|get|let) <target> ([to] [be] REMOVED|"
        "to disappear|to go away|out|out of THEPICTURE|away|to vanish)",
        gone,
    )
    rule("step", "(make sure|ensure|see to it|see) [that] <target> (is|are|gets|get) REMOVED", gone)
    rule("step", "((can|could|may) <target> [please] be|<target> (gets|get)) REMOVED", gone)
    rule("step", "<target> (need|needs) (removing|deleting)", gone)
    rule("step", "<target> (is|are) (not|no longer) (needed|wanted) [any more|anymore|any longer|here]", gone)
    rule("step", "<target> MUST not be (there|here|in THEPICTURE) [any more|anymore]", gone)
    rule(
        "step",
        "(IWANT|have) <target> (REMOVED|out|away) and <target> <setword>",
        lambda of, other, words: together((Remove(of=of),), set_words(other, words)),
    )
    rule("step", "(let|make|have|can|could|may) <target> [please] (disappear|vanish|go away|go|leave|be gone)", gone)
    rule(
        "step",
        "(take|throw|clear|put|wipe) (everything|all|all [of] [the] THINGS) (away|out|off) (except|but|except for|"
        "apart from|besides|other than) <np>",
        lambda kept: (Remove(of=without(ALL, kept)),),
    )
    unwanted = "(i|we) (do not|no longer) (want [to (see|have)]|need|like to see)"
    here = "[(here|there|in here|in there|in THEPICTURE)] [(any more|anymore|any longer)]"
    rule(
        "step",
        f"{unwanted} <target> {here}",
        gone,
    )
    rule("step", f"{unwanted} any [(more|further)] <descs> {here}", gone, -0.1)
    rule(
        "step",
        "<target> (MUST (go|be REMOVED|disappear|go away|vanish|leave)|goes away|disappears|vanishes|goes|go|"
        "go away|disappear|vanish)",
        gone,
    )
    rule("step", "SAMEPICTURE (without <target>|with <target> REMOVED)", gone, 0.2)
    rule(
        "step",
        "(make (sure|it so) [that]|ensure [that]|see to it [that]|NEWPICTURE) there (is|are) no [more] "
        "<anyset> [(left|any more|anymore)]",
        gone,
    )
    rule("step", "THEPICTURE MUST (have|contain|show) no [more] <anyset>", gone)
    rule("step", "THEPICTURE MUST not (have|contain|show) [(any|the|a|an)] <anyset> [any more|anymore]", gone)
    rule(
        "step",
        "(there (should|must|shall) be|IWANT|let there be) (no|no more|not any) <anyset> [left]",
        gone,
    )
    rule("step", "there MUST not be (any|any more|the|a|an) <anyset> [(left|here|there)] [any more|anymore]", gone)
    rule("step", "(rid|clear|empty|free|clean) THEPICTURE of [all] [the] <anyset>", gone)
    rule("step", "(no|no more) <anyset> [,] (please|any more|left)", gone, 0.2)
    rule(
        "step", "(i|we) (would rather|would prefer to|prefer to) not (have|see) [(any|the|those|these)] <anyset>", gone
    )
    rule("step", "there MUST (be (only|just|nothing but)|only be) <descs> [left]", _only_such)
    keep = lambda kept: (Remove(of=without(ALL, kept)),)  # noqa: E731
    stay = "(stay|remain|be left|be kept|be there|survive|stay there)"
    rule("step", f"(only|just|nothing but) <np> MUST {stay}", keep)
    rule(
        "step",
        f"<np> MUST be the only (thing|things|object|objects|one|ones) [(left|there|that {stay})]",
        keep,
    )
    rule("step", f"(let|have) (only|just) <np> {stay}", keep)
    rule("step", "i (only|just) (want|need) [to (see|keep|have)] <np>", keep)
    rule(
        "step",
        "(remove|delete|clear|empty|erase|wipe) (everything|all|it all|all of it)",
        (Remove(of=ALL),),
        0.05,
    )
    # of everything where nothing was said before
    rule("step", "(remove|delete|clear|empty|erase|wipe) all of them", (Remove(of=ALL),), 2.0)
    # "remove the floor" is not to be done; "clear the floor" is
    rule("step", "(clear|empty|wipe) (THEPICTURE|the (whole|entire) PICTURE)", (Remove(of=ALL),), 0.05)
    rule(
        "step",
        "((keep|leave|retain) (only|just|nothing but)|(only|just) (keep|leave|retain)) <np> [(there|in THEPICTURE)]",
        lambda kept: (Remove(of=without(ALL, kept)),),
    )
    rule(
        "step",
        "(remove|delete|erase|destroy|get rid of|clear away|take away) (everything|all|"
        "all [of] [the] THINGS) (except|but|except for|apart from|besides|other than|that is not|"
        "that are not) (<np>|<descs>)",
        lambda kept: (Remove(of=without(ALL, kept)),),
    )
    rule("anyset", "(<descs>|<desc1>)")
    rule(
        "step",
        "(leave|keep) [(only|just)] <np> [,] [(and|but)] (remove|delete|destroy|erase) (everything else|the rest|"
        "all others|"
        "all the others|the others|all other THINGS)",
        lambda kept: (Remove(of=without(ALL, kept)),),
    )


def _cleared(of: Selector) -> tuple[Step, ...]:
    """ "Clear the table" takes away what is on it; "clear all cubes" the cubes."""
    on_it = isinstance(of, The) and of.count == 1
    return (Remove(of=Related(of=ALL, relation="above", to=of) if on_it else of),)


def _only_such(of: Selector) -> tuple[Step, ...]:
    return (Remove(of=without(ALL, of)),)

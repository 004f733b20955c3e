"""Rules of edits: steps in order, what they are about, and moves."""

from dataclasses import replace
from typing import Any

from kyvo.programs.grammar.additions import add_additions
from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.gathering import add_gathering
from kyvo.programs.grammar.goals import A_BIT, add_amounts, add_places, move
from kyvo.programs.grammar.likeness import add_likeness
from kyvo.programs.grammar.meaning import ALL, all_but, narrow, parts, the, together, without
from kyvo.programs.grammar.pairings import add_pairings
from kyvo.programs.grammar.rearrangements import add_rearrangements
from kyvo.programs.grammar.removals import add_removals
from kyvo.programs.grammar.resizing import add_resizing
from kyvo.programs.grammar.settings import add_settings, set_words
from kyvo.programs.grammar.sparing import add_sparing
from kyvo.programs.grammar.statements import add_statements
from kyvo.programs.program import (
    At,
    Before,
    Beside,
    Copy,
    Earlier,
    Literally,
    Move,
    NextTo,
    Offset,
    OnTop,
    Place,
    PlaceOf,
    Redo,
    Resize,
    Selector,
    Step,
    Swap,
    The,
    Undo,
    Where,
)
from kyvo.programs.structure import rewritten
from kyvo.scene.schema import SceneSchema

EDIT_MACROS = {
    "MOVE": (
        "(move|put|place|shift|push|slide|bring|drag|set|relocate|transfer|position|carry|send|pull|nudge|"
        "get|stick|transport|reposition|lay|drop|stand|locate|insert|stack|attach|scoot|throw|leave|stow|store|"
        "mount|hang|rest|shove|translate|displace|bump|budge|roll|tug|haul|pick and place|arrange|fit|return)"
    ),
    "PICKUP": (
        "(pick up|take|grab|get|lift up|lift|grasp|find|pick|hold|pull out|collect|look for|locate|select|"
        "choose|fetch|seize|pickup)"
    ),
    "PUTDOWN": (
        "(put|place|set|move|set it down|drop|stack|position|bring|lay|stand|put down|set down|attach|slide|"
        "push|shift|drag|take|relocate|return)"
    ),
    "DELETE": (
        "(remove|delete|erase|destroy|get rid of|take away|throw away|throw out|clear away|eliminate|discard|"
        "break|dispose of|take out|wipe out|kill|lose|drop|dump|vanish|smash|demolish|clear out|"
        "scrap|cut out|exclude|strip|toss|toss out|chuck|ditch|trash|bin|zap|obliterate|take off|pull out|"
        "do away with|make away with|"
        "wipe away|sweep away|rub out|kick out|take down|cross out|pluck out|"
        "remove away|banish|ban|drive out|dismiss|subtract|lift off|clean up|clean away)"
    ),
    "MAKE": (
        "(make|turn|paint|color|recolor|dye|have|render|let|repaint|spray|spray paint|tint|convert|transform|"
        "change|switch|set|modify|alter|edit|update)"
    ),
    "CREATE": (
        "(add|create|insert|put|place|make|build|draw|generate|introduce|bring in|spawn|set down|put in|"
        "put down|drop|drop in|stack|set|include|attach|append|position|construct|give me|want|would like|"
        "would like to see|need|show|have|produce|lay|stick|throw in|bring|plop)"
    ),
    "MUST": (
        "(should|must|shall|will|can|could|may|has to|have to|needs to|need to|wants to|want to|ought to|is to|are to|"
        "(is|are) supposed to|(is|are) meant to|better|would better|had better)"
    ),
    "REMOVED": (
        "(gone|removed|deleted|erased|destroyed|eliminated|discarded|taken (away|out)|thrown (away|out)|cleared away)"
    ),
    "NEWPICTURE": (
        "(edit|modify|change|update|alter|adjust|transform|recolor|make|generate|create|produce|draw|show [me]|give me|"
        "IWANT) "
        "(THEPICTURE|[a] (version|copy) [of THEPICTURE]|[an|a] PICTURE) ((so|such) [that]|in which|where)"
    ),
    "SAMEPICTURE": (
        "[(edit|make|generate|create|produce|draw|show [me]|give me|IWANT)] ([the] same PICTURE|THEPICTURE|"
        "(a|an) PICTURE|[a] version [of THEPICTURE]) [,] [but|only]"
    ),
    "IWANT": (
        "(i want|i would like|i would love|i would prefer|i prefer|i would rather have|i need|we want|we need|"
        "we would like|want)"
    ),
}


BUT = "(except [for]|but for|apart from|besides|other than|excluding|leaving out|aside from|save for|without|not)"


class Briefs(tuple[Step, ...]):
    """Orders without a verb."""


def add_edits(rule: Rules, schema: SceneSchema) -> None:
    """All rules of edits. Their symbol is `steps`, the steps of an edit."""
    rule.macros |= EDIT_MACROS
    _add_sequences(rule)
    _add_undoing(rule)
    _add_targets(rule)
    add_amounts(rule, schema.units)
    add_places(rule)
    _add_moves(rule)
    add_removals(rule)
    add_settings(rule, schema)
    add_likeness(rule, schema)
    add_resizing(rule)
    add_additions(rule, schema)
    add_gathering(rule)
    add_rearrangements(rule)
    add_pairings(rule)
    add_sparing(rule)
    add_statements(rule)


def _add_sequences(rule: Rules) -> None:
    rule("steps", f"{BUT} <np> [,] <step>", _all_but)
    rule("steps", "<clause>")
    rule("steps", "<clause> <also> <steps>", lambda first, _, rest: together(first, rest))
    rule("steps", "<clause> <then> <steps>", lambda first, _, rest: first + rest)
    rule("steps", "after [you] <step> , <steps>", lambda first, rest: first + rest)
    rule("steps", "before [you] <step> , <steps>", lambda last, rest: rest + last)
    rule("steps", "<clause> [,] before [you] <step>", lambda first, last: first + last)
    rule("steps", "<clause> [,] after [you] <step>", lambda last, first: first + last)
    rule("clause", "<step>")
    rule("clause", f"<step> [,] ({BUT}|but not) <np>", _but_not)
    rule("step", "<target> MUST [(all|both|each)] <deed> [,] and [then] [MUST] <deed>", _both_deeds, 0.2)
    rule("deed", "(be|become|turn|turn into|get|look) <setword>", lambda words: set_words(Earlier(), words))
    rule("deed", "grow", (Resize(of=Earlier(), larger=True),))
    rule("deed", "shrink", (Resize(of=Earlier(), larger=False),))
    rule("deed", "(move|go|be moved|be put|be placed|stand) <goal>", lambda place: move(Earlier(), place))
    rule("clause", "<step> [,|.] [and] [the] (same|likewise) (for|with|goes for) <target>", _likewise, 0.2)
    rule("clause", "<step> (,|[,] and|[,] but) not <np1>", _not_that, 0.3)
    rule("steps", "not <np1> [,] but <steps>", lambda _, steps: steps, 0.3)
    kept = "(stays|stay|remains|remain|keeps|keep|keeping|still)"
    rule("clause", f"<step> (,|[,] but|[,] and|[,] while) [(it|they)] {kept} [its|their|the] <keptword>", _kept_so)
    rule("keptword", "<value>", lambda word: word.field)
    rule("keptword", "<field>")
    rule("clause", "<step> [,] but [(this time|now)] [(in|as|make it|painted|colored|made of)] <setword>", _but_so)
    rule(
        "also",
        "([,] and [(also|to)] [,]|, [also] [,]|, please|[,] while also|[,] as well as|[,] but [also] [,]|"
        "[,] (while|whereas))",
        0,
    )
    # "red cube blue, blue ball left 0.5": orders without a verb, which nothing but orders stands before
    rule("orders", "<steps>")
    rule("orders", "<briefs>", Briefs, 1.5)
    rule("orders", "<brief> <then> <orders>", lambda first, _, rest: first + rest, 1.5)
    rule("orders", "<clause> <also> <briefs>", lambda first, _, rest: together(first, rest), 2.0)
    rule("briefs", "<brief>")
    rule("briefs", "<brief> <also> <briefs>", lambda first, _, rest: together(first, rest))
    later = (
        "(then|next|finally|afterwards|after that|after which|following that|subsequently|now|lastly|secondly|thirdly|"
        "second|third|fourth|last|as a (second|third|last) step)"
    )
    rule("then", f"([.] [,] and [,] {later} [,]|[.] [,] {later} [,]|(. and|.) [also] [,]|. please|followed by)", 0)


def _add_undoing(rule: Rules) -> None:
    last = "[(the|your|my)] (last|previous|latest) [(change|edit|step|move|action|one|thing|command|instruction)]"
    what = f"(it|that|this|[what] [i|you] [just] did|{last})"
    undo = f"(undo|revert|roll back|take back|reverse) [{what}]"
    once_more = "[(again|once more|one more time|another time|too)]"
    wrong = (
        "(that|this|it) (is|was) (wrong|not right|a mistake|an error|not what i (meant|wanted|asked for)) [,|.] [so]"
    )
    rule("step", f"[{wrong}] ({undo}|take {what} back|go back [(one|a) step]|undo) {once_more}", (Undo(),))
    rule("step", f"(cancel {what}|(change|turn|switch|swap|set|make) (it|that|this|them) back) {once_more}", (Undo(),))
    rule("step", f"(redo|reapply) [{what}] {once_more}", (Redo(),))
    rule("step", "(undo|revert|reverse|take back) (the|that|your|my|this) [last] undo", (Redo(),))
    rule(
        "step",
        "(put|set|make|turn) (everything|it all|things|all) back [to] (how|as|the way|like|what) (it|they) (was|were) "
        "[before]",
        (Undo(),),
    )


def _apposed(of: Selector, pre: Selector) -> Selector | None:
    """ "The ball, the brown one": one ball. "The red ball, the brown one" are two."""
    said, more = ({node.field for node in parts(one) if isinstance(node, Where)} for one in (of, pre))
    return None if said & more else the(narrow(of, pre))


def _add_targets(rule: Rules) -> None:
    """What an edit is about: "a cube" is one of them, and which is asked back where there are several."""
    some = "(a|an|one|some|any|another|one of the|any one of the|any of the|either of the|either)"
    rule("target", "<defs>")
    rule("target", "(only|just) <defs>", None, 0.1)
    rule("target", f"{some} (<desc1>|<descs>)", the, 0.5)
    rule("target", "(the|that) <desc1> [,] (the|that) <pre> one [[,] i (mean|meant)]", _apposed, 0.1)
    rule("target", "any [<pre>] <noun1> [,] THAT (is|are|STANDS) <pred>", narrow, 0.1)
    rule("target", "(what|whatever|whichever) (is|are|STANDS|has|have) <pred>", None, 0.1)
    rule("one_target", "<def1>")
    rule("one_target", f"{some} (<desc1>|<descs>)", the, 0.1)
    other = lambda of: the(without(of, Earlier()))  # noqa: E731
    rule("one_target", "(another|an other|the another|the other|any other|some other) (<desc1>|<descs>)", other)
    rule("itself", "(it|them|that|this|those|these|that one|this one|the (object|thing|item|block))", Earlier())


def _add_moves(rule: Rules) -> None:
    rule(
        "step",
        "MOVE <target> [so that it stands|until it is|so that it is|until it stands|so it is|"
        "such that it is|to be|so they are|over|down|directly|straight|such that it stands] <goal>",
        move,
    )
    rule(
        "step",
        "MOVE <target> <goal> [,] (so that|such that|in a way that) <goaltouch>",
        lambda of, _, to: move(of, to),
        0.0,
    )
    # "take the cube on the left and paint it" takes one, "take the cube to the left" moves it
    rule("step", "take <target> [(over|down|directly|straight)] <goal>", move, 0.5)
    rule("step", "<lightly> MOVE <target> <goal>", _moved_lightly, 0.1)
    rule("step", "MOVE <target> <lightly> <goal>", lambda of, lightly, place: _moved_lightly(lightly, of, place), 0.1)
    rule("lightly", "(slightly|a bit|a little|a little bit)", A_BIT)
    rule(
        "lightly", "(gently|carefully|simply|quickly|slowly|horizontally|vertically|straight|diagonally|directly)", 0.0
    )
    rule("step", "(align|line up) <target> (to|with|along|at|) <goal>", move, 0.3)
    rule("step", "stack <target> (to|with|and) <one_target>", lambda of, to: move(of, OnTop(of=to)), 0.1)
    rule("step", "stack <defs> on (it|top of it|top)", lambda of: move(of, OnTop(of=Earlier())), 0.1)
    rule("step", "MOVE <goal> <target>", lambda place, of: move(of, place), 0.8)
    rule(
        "step",
        "PICKUP <target> [,|.] (and|then|and then|to) PUTDOWN [<itself>] [down|back down] <goal>",
        lambda of, *v: move(of, v[-1]),
        0.0,
    )
    rule(
        "step",
        "MOVE <target> <goal> [,] and <one_target> <goal>",
        _moved_both,
        0.2,
    )
    rule("step", "MOVE <target> <goal> and <goal>", _moved_twice, 0.2)
    rule("step", "MOVE <target> <goal> <then> <goal>", lambda of, a, _, b: move(of, a) + move(Earlier(), b), 0.2)
    rule(
        "step",
        "(IWANT|let|have|make|get) <target> (to be|be|to stand|stand|to go|go|moved|placed|put|move|to "
        "move|sit|to sit) <goal>",
        move,
    )
    rule("step", "IWANT to (see|have) <target> [(standing|placed|put|moved)] <goal>", move)
    rule(
        "step",
        "<target> MUST (be|stand|go|move|be moved|be placed|be put|be shifted|be pushed|be brought|be stacked|"
        "sit|be standing) <goal>",
        move,
    )
    rule(
        "step",
        "<target> gets (moved|placed|put|shifted|pushed|slid|brought|stacked) <goal>",
        move,
    )
    rule("step", "<target> (moves|goes|belongs) <goal>", move, 0.2)
    rule("step", "(from where it is|from its place|from there) [,] (MOVE|take) <target> <goal>", move)
    rule(
        "step", "(attach|stick|glue|connect|join|fix) <target> to <one_target>", lambda of, to: move(of, NextTo(to=to))
    )
    rule(
        "step",
        "(move|bring|take|push|slide|drag|carry|pull|get|put|place) <target> to <one_target>",
        lambda of, to: move(of, NextTo(to=to)),
        0.6,
    )
    rule(
        "step",
        "(bring|move|push|pull|get|put) <np1> and <np1> (closer together|together|closer to each other|"
        "next to each other)",
        lambda a, b: move(a, NextTo(to=b)),
    )
    rule(
        "step",
        "(bring|move|push|pull|get|put|place|set) <twonp> (next to|beside|near|close to|closer to) each other",
        lambda pair: move(the(pair[0]), NextTo(to=pair[1])),
    )
    rule("step", "(lift|raise|lift up|raise up) <target> [up]", lambda of: move(of, Offset(direction="above")), 1.0)
    rule(
        "step",
        "(lift|raise|lift up|raise up) <target> [up] [by] <dist>",
        lambda of, far: move(of, Offset(direction="above", distance=far)),
        0.2,
    )
    rule(
        "step",
        "(lower) <target> [down] [by] <dist>",
        lambda of, far: move(of, Offset(direction="below", distance=far)),
    )
    rule("brief", "<target> [over|further] <way> [by] <dist>", _shifted)
    rule("brief", "<target> [by] <dist> [further] [(to the|to)] <way>", lambda of, far, way: _shifted(of, way, far))
    rule("step", "IWANT <target> <dist> [(further|farther|more)] <way>", lambda of, far, way: _shifted(of, way, far))
    rule("step", "(IWANT|have) <target> [right|directly] <side> <one_target>", _beside, 0.3)
    rule(
        "step", "<side> <one_target> [,] (goes|go|belongs|stands) <target>", lambda side, to, of: _beside(of, side, to)
    )
    rule("step", "<side> <one_target> [,] MOVE <defs>", lambda side, to, of: _beside(of, side, to), 0.2)
    rule("step", "(hide|tuck) <target> (behind|in back of) <one_target>", _hidden)
    rule("step", "center <target>", lambda of: move(of, At(region="middle")))


def _moved_both(first: Selector, one: Place, second: Selector, other: Place) -> tuple[Step, ...] | None:
    """Each to a place of its own; each to the place of the other is a swap."""
    if (one, other) == (PlaceOf(of=second), PlaceOf(of=first)):
        return (Swap(first=first, second=second),)
    return together(move(first, one), move(second, other))


def _moved_twice(of: Selector, first: Place, second: Place) -> tuple[Step, ...] | None:
    """ "Left of the ball and 1 unit back", "to the corner and behind the ball". Of two places by objects the second
    would undo the first."""
    return move(of, first, second) if isinstance(first, At | Offset) or isinstance(second, Offset) else None


def _beside(of: Selector, side: Any, to: Selector) -> tuple[Step, ...]:
    return move(of, Beside(direction=side, to=to))


def _shifted(of: Selector, way: Any, far: float) -> tuple[Step, ...]:
    """ "Blue ball left 0.5" """
    return move(of, Offset(direction=way, distance=far))


def _hidden(of: Selector, behind: Selector) -> tuple[Step, ...]:
    return move(of, Beside(direction="behind", to=behind))


def _all_but(kept: Selector, steps: tuple[Step, ...]) -> tuple[Step, ...] | None:
    """ "Except for the cube, paint everything red." """
    if ALL not in parts(steps):
        return None
    return rewritten(steps, lambda node: without(ALL, kept) if node == ALL else node)


def _but_not(steps: tuple[Step, ...], kept: Selector) -> tuple[Step, ...] | None:
    """ "Make the cylinders red except for the small one." """
    first, *rest = steps
    of = getattr(first, "of", None)
    if not isinstance(of, Selector) or (isinstance(of, The) and of.count == 1):
        return None
    return (replace(first, of=all_but(of, kept)), *rest)  # type: ignore[call-arg]


def _both_deeds(of: Selector, first: tuple[Step, ...], rest: tuple[Step, ...]) -> tuple[Step, ...] | None:
    """ "The ball should grow and turn red." """
    if first is None or rest is None:
        return None
    return (*rewritten(first, lambda node: of if node == Earlier() else node), *rest)


def _likewise(steps: tuple[Step, ...], other: Selector) -> tuple[Step, ...] | None:
    """ "The ball has to go, same for the cube." """
    if len(steps) != 1 or not isinstance(getattr(steps[0], "of", None), Selector):
        return None
    return together(steps, (replace(steps[0], of=other),))  # type: ignore[call-arg]


def _not_that(steps: tuple[Step, ...], other: Selector) -> tuple[Step, ...] | None:
    """ "Paint the red cube yellow, not the green one": one object is named, which the other is not."""
    of = getattr(steps[0], "of", None)
    single = all(isinstance(one, The) and one.count == 1 for one in (of, other))
    return steps if single and of != other else None


def _kept_so(steps: tuple[Step, ...], field: str) -> tuple[Step, ...] | None:
    """ "It becomes a cube but stays red": what is not set stays."""
    changed = {getattr(word, "field", None) for step in steps for word in getattr(step, "words", (step,))}
    return None if field in changed else steps


def _but_so(steps: tuple[Step, ...], words: tuple[Literally, ...]) -> tuple[Step, ...] | None:
    """ "Copy the cube, but in blue", "bring it back, but in blue": what comes is so."""
    *_, last = steps
    if isinstance(last, Copy | Undo) or (isinstance(last, Move) and last.place == Before()):
        return together(steps, set_words(Earlier(role="added" if isinstance(last, Copy) else "mentioned"), words))
    return None


def _moved_lightly(by: float, of: Selector, place: Place) -> tuple[Step, ...]:
    """ "Slightly to the left" is a short way; other places are where they are."""
    short = by > 0 and isinstance(place, Offset) and place.distance is None
    return move(of, replace(place, distance=by) if short else place)

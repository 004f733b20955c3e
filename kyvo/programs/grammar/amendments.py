"""Rules of texts that put right what was said before: "no, the gray one", "no, green", "the cubes, I mean the balls".

After an edit they take it back and do it again, of other objects, with another word, or to another place. After a
question they ask it of others.
"""

from dataclasses import dataclass, replace
from typing import Any

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import as_set, parts
from kyvo.programs.parsing import Turn
from kyvo.programs.program import Edit, Literally, Move, Offset, Place, Program, Selector, Set, Step, The, Undo
from kyvo.programs.program.edits import leaves
from kyvo.programs.structure import rewritten


@dataclass(frozen=True)
class Amended:
    """The last turn's program with another part: objects, a word, or a place."""

    part: Selector | Literally | Place
    bare: bool = False  # without a "no": only after a text that did not fit the scene


def add_amendments(rule: Rules) -> None:
    """Rules of `context`, and of `sentence` for what is put right within one text."""
    head = (
        "(no|nope|nah|oops|ups|sorry|wait|hold on|actually|rather|or rather|wrong one|not (it|them|that|that one|this|"
        "this one|those|these)|i (meant|mean|said|wanted)|[no] that (is|was) (wrong|the wrong one)|"
        "that is not what i (meant|said|wanted)|make that)"
    )
    rule("amends", f"{head} [,|.]", 0)
    rule("amends", f"{head} [,|.] <amends>", 0)
    rule("amends", f"{head} [,|.] not (<np1>|<anyword>) (,|but|, but|.)", 0)
    rule("part", "<np>")
    rule("part", "<anyword>", None, 0.5)
    rule("part", "[to] <goal>", None, 0.5)
    rule("context", "<amends> <part> [(instead|rather)]", lambda _, part: Amended(part), 0.7)
    rule(
        "context", "not (<np1>|<anyword>) (,|but|, but|.) <part> [(instead|rather)]", lambda _, part: Amended(part), 0.2
    )
    good = "(better|nicer|best|great|good|preferable)"
    rule(
        "context",
        f"((i would (prefer|rather have)|rather|i prefer|{good}) <anyword>|<anyword> (would|might) (be|look) {good})",
        Amended,
        0.3,
    )
    rule("context", "(only|just) <np>", Amended, 0.7)
    rule("context", "<np> [(then|instead)] [please]", lambda part: Amended(part, bare=True), 0.7)
    rule("context", "(<np1>|<anyword>) , not <np1>", lambda part, _: Amended(part), 0.3)
    again = "(no|sorry|i mean|i meant|or rather|no wait|wait no|no sorry|oh no|oops|make that|wait)"
    rule(
        "sentence",
        f"<orders> (,|.) {again} [,|.] <part> [instead]",
        lambda steps, part: amended(Edit(steps=steps), part),
        0.3,
    )


def amended(program: Program, part: Selector | Literally | Place) -> Program | None:
    """The program with another part in the place of its own; None where it has no such part."""
    if isinstance(part, Selector):
        topic = topic_of(program)
        if topic is None:
            return None
        named = part if isinstance(topic, The) else as_set(part)
        return rewritten(program, lambda node: named if node == topic else node)
    if not isinstance(program, Edit):
        return None
    change = _word_changed if isinstance(part, Literally) else _place_changed
    found = [change(step, part) for step in leaves(program.steps)]
    if len(found) != 1:
        return None  # of several steps any could be meant
    return None if found[0] is None else Edit(steps=(found[0],))


def _word_changed(step: Step, word: Any) -> Step | None:
    fits = isinstance(step, Set) and step.field == word.field and step.to != word
    return replace(step, to=word) if fits else None  # type: ignore[arg-type]


def _place_changed(step: Step, place: Any) -> Step | None:
    if not isinstance(step, Move):
        return None
    if isinstance(place, Offset) and place.distance is None and isinstance(step.place, Offset):
        place = replace(place, distance=step.place.distance)
    return replace(step, place=place)


def taken_back(part: Selector | Literally | Place, turn: Turn) -> Program | None:
    """What is meant after the last turn; None where its program has no such part."""
    last = turn.program
    said = without_undos(last)
    program = amended(said, part)
    if isinstance(program, Edit) and isinstance(last, Edit) and isinstance(said, Edit):
        # an amendment of an amendment takes back both; of what was refused there is nothing to take back
        undone = len(last.steps) - len(said.steps) + (not turn.refused)
        return replace(program, steps=(*[Undo()] * undone, *program.steps))
    return program


def without_undos(program: Program) -> Program:
    """What an amendment does after it has taken back; another program as it is."""
    if not isinstance(program, Edit):
        return program
    steps = list(program.steps)
    while len(steps) > 1 and steps[0] == Undo():
        del steps[0]
    return replace(program, steps=tuple(steps))


def topic_of(program: Program) -> Selector | None:
    """The objects that a program is about: what it names first."""
    first = program.steps[:1] if isinstance(program, Edit) else program
    return next((node for node in parts(first) if isinstance(node, Selector)), None)

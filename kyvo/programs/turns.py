"""Earlier turns of a dialogue, as indices of the scene now: "it", "the one you just moved", "back".

A turn tells indices of its own scenes. What later turns remove or put back shifts them, and what is gone has none.
"""

from collections.abc import Sequence

from kyvo.programs.errors import NoSuchObject, ProgramError
from kyvo.programs.parsing import Turn
from kyvo.programs.program import Edit, Redo, Undo
from kyvo.scene.scene import Scene

Objects = tuple[int, ...]
UNDO, REDO = Edit(steps=(Undo(),)), Edit(steps=(Redo(),))


def earlier(dialogue: Sequence[Turn], role: str, turn: int) -> Objects:
    """The objects that had this role in a turn: counted from the first one that has such objects, or from the last.

    Those that were taken out since are left out. Raises NoSuchObject where there is no such turn.
    """
    if role == "removed":
        raise NoSuchObject("what was removed is no longer in the scene; take the removal back, or add it anew.")
    number, found = _turn(dialogue, role, turn)
    mapped = (now(dialogue, number, index) for index in found)
    return tuple(sorted(index for index in mapped if index is not None))


def place_before(dialogue: Sequence[Turn], index: int) -> tuple[Scene, int]:
    """The scene in which an object stood before the last turn that changed its place, and its index there.

    Raises ProgramError where no turn did.
    """
    for turn in reversed(dialogue):
        old = before(turn, index)
        if old is None:
            break
        if turn.before is not None and turn.after is not None:
            locations = turn.before.objects[old].location, turn.after.objects[index].location
            if locations[0] != locations[1]:
                return turn.before, old
        index = old
    raise ProgramError("it was not moved before; say where it shall go.")


def removed_at(dialogue: Sequence[Turn], turn: int) -> tuple[Scene, Objects]:
    """The scene and indices of the objects that a turn removed. Raises NoSuchObject where there is no such turn."""
    number, found = _turn(dialogue, "removed", turn)
    scene = dialogue[number].before
    if scene is None:
        raise ProgramError("where the removed object stood is not known any more; say a place.")
    return scene, found


def taken_back(dialogue: Sequence[Turn]) -> tuple[Scene, list[int | None]]:
    """The scene before the last edit that still stands, and the index that each of its objects has now: None for one
    that is gone.

    Raises ProgramError where no edit stands.
    """
    standing, _ = _edits(dialogue)
    if not standing:
        raise ProgramError("nothing was changed yet that could be taken back.")
    return _before_turn(dialogue, standing[-1])


def brought_back(dialogue: Sequence[Turn]) -> tuple[Scene, list[int | None]]:
    """The scene before the last `Undo` that was not brought back yet, and the index that each of its objects has now.

    Raises ProgramError where nothing was taken back, or another edit came since.
    """
    _, undone = _edits(dialogue)
    if not undone:
        raise ProgramError("nothing was taken back that could be brought back.")
    return _before_turn(dialogue, undone[-1][1])


def _edits(dialogue: Sequence[Turn]) -> tuple[list[int], list[tuple[int, int]]]:
    """The turns whose edits stand, and those that were taken back, each with the turn that did so."""
    standing: list[int] = []
    undone: list[tuple[int, int]] = []
    for number, turn in enumerate(dialogue):
        if turn.before is None or not isinstance(turn.program, Edit):
            continue
        if turn.program == UNDO and standing:
            undone.append((standing.pop(), number))
        elif turn.program == REDO and undone:
            standing.append(undone.pop()[0])
        else:
            standing.append(number)
            undone.clear()
    return standing, undone


def _before_turn(dialogue: Sequence[Turn], number: int) -> tuple[Scene, list[int | None]]:
    """The scene before a turn, and where its objects are now."""
    scene = dialogue[number].before
    assert scene is not None
    return scene, [now(dialogue, number - 1, index) for index in range(len(scene))]


def before(turn: Turn, index: int) -> int | None:
    """The index that an object had before the turn; None for one that the turn added."""
    if index in turn.added:
        return None
    index -= sum(new < index for new in turn.added)
    for gone in sorted(turn.removed):
        index += gone <= index
    return index


def now(dialogue: Sequence[Turn], number: int, index: int) -> int | None:
    """The index in the scene now of an object of the scene after a turn; None for one that is gone."""
    for turn in dialogue[number + 1 :]:
        if index in turn.removed:
            return None
        index -= sum(gone < index for gone in turn.removed)
        for new in sorted(turn.added):
            index += new <= index
    return index


def _turn(dialogue: Sequence[Turn], role: str, turn: int) -> tuple[int, Objects]:
    having = [(number, found) for number, row in enumerate(dialogue) if (found := getattr(row, role))]
    if not -len(having) <= turn < len(having):
        many = f"only {len(having)} turns did that" if having else "no earlier turn did that"
        raise NoSuchObject(f"no object is known that was {role} then: {many}; name the object.")
    return having[turn]

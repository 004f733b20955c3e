"""What an edit does: its `Step`s, and the `Place`s where objects go."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kyvo.programs.program.questions import Literally, Word
from kyvo.programs.program.selectors import Direction, Node, Region, Selector, Side


class Place(Node):
    """Where a moved, copied or new object goes."""


class Step(Node):
    """One change of a scene."""


# Places


@dataclass(frozen=True, kw_only=True)
class Beside(Place):
    """In a direction from an object. Without a distance it stands as near as it can with a gap ("next to")."""

    op = "beside"
    direction: Side
    to: Selector
    distance: float | None = None  # units, centre to centre


@dataclass(frozen=True, kw_only=True)
class NextTo(Place):
    """Near an object, on whichever side is free."""

    op = "next_to"
    to: Selector


@dataclass(frozen=True, kw_only=True)
class Midway(Place):
    """Between two objects."""

    op = "midway"
    first: Selector
    second: Selector


@dataclass(frozen=True, kw_only=True)
class OnTop(Place):
    """On an object; on the whole pile that stands there."""

    op = "on_top"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class Point(Place):
    """At these coordinates of the scene; the height follows from the object's size where `z` is left out."""

    op = "point"
    x: float
    y: float
    z: float | None = None


@dataclass(frozen=True, kw_only=True)
class Offset(Place):
    """From where it stands now, in a direction. Without a distance: a size of the object."""

    op = "offset"
    direction: Direction
    distance: float | None = None


@dataclass(frozen=True, kw_only=True)
class Toward(Place):
    """From where it stands now towards an object, or with a negative distance away from it."""

    op = "toward"
    to: Selector
    distance: float | None = None


@dataclass(frozen=True, kw_only=True)
class At(Place):
    """In a part of the picture: "in the middle", "to the front left corner"."""

    op = "at"
    region: Region


@dataclass(frozen=True, kw_only=True)
class PlaceOf(Place):
    """Where another object stands (which moves or goes in the same edit), or stood."""

    op = "place_of"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class Before(Place):
    """Where it stood before the last turn that moved it: "back"."""

    op = "before"


@dataclass(frozen=True, kw_only=True)
class InLine(Place):
    """On one line with other objects, along a direction: "in the same row as"."""

    op = "in_line"
    to: Selector
    direction: Direction


# Steps


@dataclass(frozen=True, kw_only=True)
class Set(Step):
    """Gives the objects a word: one that the text gives, or another object's."""

    op = "set"
    of: Selector
    field: str
    to: Word


@dataclass(frozen=True, kw_only=True)
class Resize(Step):
    """Larger or smaller by one word of the schema's size, or by a factor where the schema has dimensions."""

    op = "resize"
    of: Selector
    larger: bool
    factor: float | None = None


@dataclass(frozen=True, kw_only=True)
class Remove(Step):
    """Takes the objects out."""

    op = "remove"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class Add(Step):
    """Puts in new objects. Words that are left out are those that the most objects of the scene have (said in the
    result); without a place a free one is taken."""

    op = "add"
    words: "tuple[Literally, ...]"
    place: Place | None = None
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Move(Step):
    """Moves the objects, keeping how they stand to one another where there are several."""

    op = "move"
    of: Selector
    place: Place


@dataclass(frozen=True, kw_only=True)
class Swap(Step):
    """Exchanges the places of two objects, or their words of a field."""

    op = "swap"
    first: Selector
    second: Selector
    field: str = "location"


@dataclass(frozen=True, kw_only=True)
class Copy(Step):
    """Puts in copies of an object."""

    op = "copy"
    of: Selector
    place: Place | None = None
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Rotate(Step):
    """Turns the objects about the vertical, counter-clockwise seen from above."""

    op = "rotate"
    of: Selector
    degrees: float


@dataclass(frozen=True, kw_only=True)
class Align(Step):
    """Puts the objects on one line along a direction, through the first or through `to`."""

    op = "align"
    of: Selector
    direction: Direction
    to: Selector | None = None


@dataclass(frozen=True, kw_only=True)
class Replace(Step):
    """A new object in the place of each: words that are left out stay those of the old one."""

    op = "replace"
    of: Selector
    words: "tuple[Literally, ...]"


@dataclass(frozen=True, kw_only=True)
class Undo(Step):
    """Takes back the last edit of the dialogue that still stands."""

    op = "undo"


@dataclass(frozen=True, kw_only=True)
class Redo(Step):
    """Brings back what the last `Undo` took back, where nothing was changed since."""

    op = "redo"


@dataclass(frozen=True, kw_only=True)
class Together(Step):
    """Steps said in one breath: "make the red one blue and the blue one red".

    Their descriptions and words mean those of the scene before the first of them. Where one fits nothing there, it
    means what it fits when its step comes, and so does "it" (`Earlier`). Places are found when their step comes.
    """

    op = "together"
    steps: "tuple[Step, ...]"


def leaves(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps in order, those of a `Together` one by one."""
    for step in steps:
        if isinstance(step, Together):
            yield from leaves(step.steps)
        else:
            yield step

"""`Program`: what a text asks of a scene, as typed, frozen data. One language for edits and questions.

A program is a `Query` (it asks) or an `Edit` (it changes). Both point at objects by *selectors*, which denote sets of
objects and nest freely:

```python
# "How many red cubes are left of the large sphere?"
Query(asks=Count(of=Related(
    of=Where(of=Where(of=Everything(), field="color", value="red"), field="shape", value="cube"),
    relation="left",
    to=The(of=Where(of=Where(of=Everything(), field="size", value="large"), field="shape", value="sphere")))))
```

Field names and words are the schema's own, so a user's new colour needs no code. Lengths are in the scene's units,
angles in degrees. Nothing here knows of texts or models: `kyvo.programs.execute` gives a program its meaning,
`json_form` its JSON, `wording` its English.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

Relation = Literal["left", "right", "front", "behind", "above", "below", "near", "touching"]
Direction = Literal["left", "right", "front", "behind", "above", "below"]
Side = Literal[
    "left", "right", "front", "behind", "above", "below", "front left", "front right", "back left", "back right"
]
Region = Literal[
    "left", "right", "front", "back", "middle",
    "front left", "front right", "back left", "back right",
    "front middle", "back middle", "left middle", "right middle",
]  # fmt: skip  # parts of the floor as the camera sees it: thirds of its width and depth, and where they meet
Role = Literal["changed", "mentioned", "added", "removed"]


@dataclass(frozen=True, kw_only=True)
class Node:
    """Anything in a program. `op` names its kind in JSON and in tokens."""

    op: ClassVar[str]


class Selector(Node):
    """A set of objects of the scene."""


class Measure(Node):
    """A number that each object has: what superlatives and orders go by."""


class Amount(Node):
    """One whole number."""


class Truth(Node):
    """Yes or no."""


class Word(Node):
    """One of a field's words: "red"."""


class Ask(Node):
    """What a query can ask, beside an `Amount`, a `Truth` or a `Word`."""


class Place(Node):
    """Where a moved, copied or new object goes."""


class Step(Node):
    """One change of a scene."""


# Selectors


@dataclass(frozen=True, kw_only=True)
class Everything(Selector):
    """Each object of the scene."""

    op = "everything"


@dataclass(frozen=True, kw_only=True)
class Where(Selector):
    """Those whose field has this word."""

    op = "where"
    of: Selector
    field: str
    value: str


@dataclass(frozen=True, kw_only=True)
class WhereSame(Selector):
    """Those whose field has the word that the one object `like` has; `like` itself is not among them."""

    op = "where_same"
    of: Selector
    field: str
    like: Selector


@dataclass(frozen=True, kw_only=True)
class Shared(Selector):
    """Those that have their word of this field in common with at least one other of the set."""

    op = "shared"
    of: Selector
    field: str


@dataclass(frozen=True, kw_only=True)
class Both(Selector):
    """Those in both sets."""

    op = "both"
    first: Selector
    second: Selector


@dataclass(frozen=True, kw_only=True)
class Either(Selector):
    """Those in at least one of the sets."""

    op = "either"
    first: Selector
    second: Selector


@dataclass(frozen=True, kw_only=True)
class Except(Selector):
    """Those of the first set that are not in the second: "not", "other", "the rest", "besides"."""

    op = "except"
    of: Selector
    without: Selector


@dataclass(frozen=True, kw_only=True)
class Related(Selector):
    """Those that stand so to the objects of `to`: to each of them where it holds several.

    With `some` they stand so to at least one of them: "behind a cube".

    "left", "right", "front" and "behind" are as the camera sees them (`kyvo.scene.relations`); "above" and "below" are
    of objects that stand on one another; "near" is closer than a footprint's gap, "touching" has none.
    """

    op = "related"
    of: Selector
    relation: Relation
    to: Selector
    some: bool = False


@dataclass(frozen=True, kw_only=True)
class Between(Selector):
    """Those that stand between two objects."""

    op = "between"
    of: Selector
    first: Selector
    second: Selector


@dataclass(frozen=True, kw_only=True)
class Extreme(Selector):
    """The one with the largest measure, or the `rank`-th largest, and all that tie with it.

    A `The` right around it takes as many as it counts, from the `rank`-th on. Where sizes tie it takes the nearest
    to the camera of the largest and the farthest of the smallest; other ties are ambiguous.
    """

    op = "extreme"
    of: Selector
    by: Measure
    rank: int = 1  # 1 is the largest; 2 the second


@dataclass(frozen=True, kw_only=True)
class MoreThan(Selector):
    """Those with more of a measure than one object has: "smaller than the cube", "farther left than it"."""

    op = "more_than"
    of: Selector
    by: Measure
    than: Selector


@dataclass(frozen=True, kw_only=True)
class InRegion(Selector):
    """Those that stand in this part of the picture."""

    op = "in_region"
    of: Selector
    region: Region


@dataclass(frozen=True, kw_only=True)
class Hidden(Selector):
    """Those that other objects cover in part, as the scene's camera sees them."""

    op = "hidden"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class The(Selector):
    """The set, which must hold exactly `count` objects. Raises NoSuchObject for fewer, AmbiguousReference for more."""

    op = "the"
    of: Selector
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Earlier(Selector):
    """Objects of an earlier turn: "it", "them", "the one you just moved", "the first block that was moved"."""

    op = "earlier"
    role: Role = "mentioned"
    turn: int = -1  # -1 is the last turn that has such objects, -2 the one before; 0 is the first


@dataclass(frozen=True, kw_only=True)
class Numbered(Selector):
    """The object with this index in the scene: an answer to "which one do you mean?"."""

    op = "numbered"
    index: int


# Measures


@dataclass(frozen=True, kw_only=True)
class Along(Measure):
    """How far it stands in a direction: "leftmost", "nearest to the camera" (front), "highest" (above)."""

    op = "along"
    direction: Side


@dataclass(frozen=True, kw_only=True)
class Closeness(Measure):
    """How near it stands to an object, which itself is not among those that are ordered by it; to the nearest of
    several."""

    op = "closeness"
    to: Selector


@dataclass(frozen=True, kw_only=True)
class Farness(Measure):
    """How far it stands from an object, which itself is not among those that are ordered by it; from the nearest of
    several: "farthest from the others"."""

    op = "farness"
    to: Selector


@dataclass(frozen=True, kw_only=True)
class Centrality(Measure):
    """How near it stands to the middle of the scene."""

    op = "centrality"


@dataclass(frozen=True, kw_only=True)
class Bigness(Measure):
    """How large it is: the order of the schema's size words, or its dimensions."""

    op = "bigness"


@dataclass(frozen=True, kw_only=True)
class Smallness(Measure):
    """How small it is."""

    op = "smallness"


# Amounts


@dataclass(frozen=True, kw_only=True)
class Count(Amount):
    """How many objects."""

    op = "count"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class CountWords(Amount):
    """How many different words of a field the objects have: "how many colors"."""

    op = "count_words"
    of: Selector
    field: str


@dataclass(frozen=True, kw_only=True)
class Number(Amount):
    """A number that the text gives."""

    op = "number"
    value: int


@dataclass(frozen=True, kw_only=True)
class Arithmetic(Amount):
    """Sum, difference (its absolute value), product or whole quotient of two amounts."""

    op = "arithmetic"
    operation: Literal["plus", "minus", "difference", "times", "divided by"]
    first: Amount
    second: Amount


# Truths


@dataclass(frozen=True, kw_only=True)
class Exists(Truth):
    """Whether the set holds an object."""

    op = "exists"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class Every(Truth):
    """Whether each object of the set is among the others: "are all cubes red?".

    Raises NoSuchObject for an empty set.
    """

    op = "every"
    of: Selector
    among: Selector


@dataclass(frozen=True, kw_only=True)
class Alike(Truth):
    """Whether all objects of the set have the same word of a field."""

    op = "alike"
    of: Selector
    field: str


@dataclass(frozen=True, kw_only=True)
class Compare(Truth):
    """Whether one amount is equal to, less or greater than another, or at least or at most as large."""

    op = "compare"
    comparison: Literal["equal", "less", "greater", "at least", "at most"]
    first: Amount
    second: Amount


@dataclass(frozen=True, kw_only=True)
class SameWord(Truth):
    """Whether two words are the same: "is the cube the same color as the sphere?", "is the cube red?"."""

    op = "same_word"
    first: Word
    second: Word


@dataclass(frozen=True, kw_only=True)
class BiggerThan(Truth):
    """Whether the first object's measure is the larger one: "is the cube bigger than the sphere?"."""

    op = "bigger_than"
    by: Measure
    first: Selector
    second: Selector


@dataclass(frozen=True, kw_only=True)
class All(Truth):
    """Whether both hold."""

    op = "and"
    first: Truth
    second: Truth


@dataclass(frozen=True, kw_only=True)
class Any(Truth):
    """Whether at least one holds."""

    op = "or"
    first: Truth
    second: Truth


@dataclass(frozen=True, kw_only=True)
class Not(Truth):
    """Whether it does not hold."""

    op = "not"
    of: Truth


# Words


@dataclass(frozen=True, kw_only=True)
class WordOf(Word):
    """The field's word of the objects. Several are fine where all have the same; else AmbiguousReference."""

    op = "word_of"
    of: Selector
    field: str


@dataclass(frozen=True, kw_only=True)
class Literally(Word):
    """A word of a field that the text gives."""

    op = "literally"
    field: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Commonest(Word):
    """The word of a field that most objects of the set have, or with `least` that fewest of them have."""

    op = "commonest"
    of: Selector
    field: str
    least: bool = False


# What else a query can ask


@dataclass(frozen=True, kw_only=True)
class Which(Ask):
    """Which objects: the answer is a list of them, each in words."""

    op = "which"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class WordsOf(Ask):
    """Several fields of one object, or one field of several: "what size and color", "which colors are there"."""

    op = "words_of"
    of: Selector
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WhereIs(Ask):
    """Where an object stands: its location, and its part of the picture."""

    op = "where_is"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class Distance(Ask):
    """How far two objects stand apart, centre to centre."""

    op = "distance"
    first: Selector
    second: Selector


@dataclass(frozen=True, kw_only=True)
class Choose(Ask):
    """Which of two words or classes holds: "are there more cubes or spheres?", "is it red or blue?".

    The answer is the `word` of the `Case` whose amount is the largest (the smallest with `fewest`); "neither" where
    several tie.
    """

    op = "choose"
    cases: "tuple[Case, ...]"
    fewest: bool = False


@dataclass(frozen=True, kw_only=True)
class Case(Node):
    """One choice of a `Choose`: the words of the text for it, and its amount."""

    op = "case"
    word: str
    amount: Amount


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


# Programs


@dataclass(frozen=True, kw_only=True)
class Query(Node):
    """A question: its answer leaves the scene as it is."""

    op = "query"
    asks: Amount | Truth | Word | Ask


@dataclass(frozen=True, kw_only=True)
class Edit(Node):
    """An instruction: its steps are applied in order, each to the scene that the one before has left."""

    op = "edit"
    steps: tuple[Step, ...]


Program = Query | Edit

"""`Selector`: a set of objects of the scene; and `Measure`: what superlatives and orders go by."""

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
    """Those whose field has the word that the one object `like` has; `like` itself is not among them.

    With `some` it is the word of at least one other object of `like`: "of the same color as a cube".
    """

    op = "where_same"
    of: Selector
    field: str
    like: Selector
    some: bool = False


@dataclass(frozen=True, kw_only=True)
class Shared(Selector):
    """Those that have their word of this field in common with at least one other of the set.

    Of a set that is `Shared` itself it is the same other one: two objects of the same color and size.
    """

    op = "shared"
    of: Selector
    field: str


def shared_fields(selector: Selector) -> tuple[Selector, list[str]]:
    """The set within a `Shared`, or within several, and the fields that its objects share, the outermost last."""
    fields: list[str] = []
    while isinstance(selector, Shared):
        fields.insert(0, selector.field)
        selector = selector.of
    return selector, fields


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

"""`World`: a scene indexed for the executor: words, location, extent and relations of each object.

Directions are those of the camera (`kyvo.scene.relations`). Lengths are in the scene's units.
"""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from kyvo.errors import SceneError
from kyvo.programs.errors import ProgramError, UnknownWord
from kyvo.programs.structure import check_field
from kyvo.scene.colliders import Collider, ViewFrame, collider_of, separations, sizes
from kyvo.scene.relations import MARGIN
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema
from kyvo.scene.visibility import visibility

Objects = tuple[int, ...]  # ascending indices

MARGINS = {"clevr": MARGIN, "m": 0.02}  # least difference along a direction that makes a relation
TOUCHING = 0.1  # of the smaller radius: objects with a smaller gap touch
NEAR = 2.0  # of the other object's radius: objects with a smaller gap are near it
STANDING = 0.15  # of the lower height: how far one may hover over, or sink into, what it stands on
BETWEEN = -0.5  # cosine: an object sees the two it stands between at 120 degrees or more
HIDDEN = 0.1  # the least share of its own picture that others cover
SAME = 1e-6  # numbers nearer than this are equal


class World:
    """One scene under one schema."""

    def __init__(self, scene: Scene, schema: SceneSchema) -> None:
        self.scene = scene
        self.schema = schema
        self._related: dict[str, Bool[np.ndarray, "objects objects"]] = {}

    def __len__(self) -> int:
        return len(self.scene)

    @property
    def all(self) -> Objects:
        return tuple(range(len(self)))

    # Words

    def word(self, index: int, field: str) -> str | None:
        """The object's word of a field."""
        value = self.scene.objects[index].get(field)
        return value if isinstance(value, str) else None

    def words_of(self, field: str) -> tuple[str, ...]:
        """The words that a field of the schema has, and those that objects of the scene have besides.

        Raises UnknownWord for a field that is none, ProgramError where no object of the scene has it.
        """
        check_field(field, self.schema)
        found = {self.word(index, field) for index in self.all} - {None}
        if self.all and not found:
            raise ProgramError(f"no object of this scene has a {field}; ask for something that they have.")
        return tuple(dict.fromkeys([*self.schema.field(field).words, *sorted(found)]))  # type: ignore[type-var]

    def having(self, field: str, word: str) -> Objects:
        """Those with this word. Raises UnknownWord for one that nothing has or may have."""
        known = self.words_of(field)
        if word not in known:
            raise unknown(word, known, field)
        return tuple(index for index in self.all if self.word(index, field) == word)

    def literal(self, field: str, word: str) -> None:
        """Raises UnknownWord for a word that the field neither has nor any object bears."""
        check_field(field, self.schema)
        known = [*self.schema.field(field).words, *(self.word(index, field) for index in self.all)]
        if word not in known:
            raise unknown(word, self.schema.field(field).words, field)

    def needed_word(self, index: int, field: str) -> str:
        """The object's word of a field. Raises ProgramError where it has none."""
        self.words_of(field)
        word = self.word(index, field)
        if word is None:
            raise ProgramError(f"objects[{index}] has no {field}, which is asked for.")
        return word

    # Places

    @cached_property
    def view_frame(self) -> ViewFrame:
        try:
            return ViewFrame(self.scene)
        except SceneError as error:
            raise ProgramError(f"directions are needed: {error}") from error

    @cached_property
    def points(self) -> Float[np.ndarray, "objects 3"]:
        """Right, behind and up of each object; NaN where it has no location."""
        return self.view_frame.points(self.scene.objects)

    @cached_property
    def colliders(self) -> list[Collider]:
        return [collider_of(item, self.schema, self.view_frame) for item in self.scene.objects]

    def point(self, index: int) -> Float[np.ndarray, "3"]:
        """Where one object stands in the view frame. Raises ProgramError for one without a location."""
        if self.scene.objects[index].location is None:
            raise ProgramError(f"objects[{index}] has no location, which is needed here.")
        return self.points[index]

    @cached_property
    def floor(self) -> tuple[Float[np.ndarray, "2"], float]:
        """The middle of the floor in the view frame and half its side: the schema's bins; what the objects cover where
        the frame is a camera's."""
        if self.schema.has_locations and self.scene.frame == "world":
            ends = np.array([(axis.values[0], axis.values[-1]) for axis in self.schema.field("location").axes])
            flat = np.abs(self.view_frame.axes[2]) < 0.5
            middle = np.where(flat, ends.mean(1), 0.0)
            return (self.view_frame.axes @ middle)[:2], float((ends[:, 1] - ends[:, 0])[flat].max() / 2)
        standing = self.points[~np.isnan(self.points).any(1), :2]
        if not len(standing):
            return np.zeros(2), 1.0
        middle = (standing.min(0) + standing.max(0)) / 2
        widest = max(collider.radius for collider in self.colliders)
        return middle, float(np.abs(standing - middle).max()) + widest

    @property
    def margin(self) -> float:
        return MARGINS.get(self.scene.units, MARGINS["m"])

    def distance(self, first: int, second: int) -> float:
        """Between two objects' centres."""
        return float(np.linalg.norm(self.point(first) - self.point(second)))

    def pile(self, objects: Sequence[int]) -> Objects | None:
        """The objects from the lowest to the highest where each stands over the one before; None where they do not."""
        if any(item.location is None for item in self.scene.objects):
            return None
        over = self.related("above")
        order = sorted(objects, key=lambda index: self.points[index, 2])
        stands = all(over[lower, upper] for lower, upper in pairwise(order))
        return tuple(order) if stands and len(order) > 1 else None

    def along(self, direction: str) -> Float[np.ndarray, " objects"]:
        """How far each object stands in a direction."""
        return self.points @ way(direction)

    # Relations: [i, j] says whether j stands so to i

    def related(self, relation: str) -> Bool[np.ndarray, "objects objects"]:
        """Raises ProgramError for an object without a location."""
        if relation not in self._related:
            for index in self.all:
                self.point(index)
            self._related[relation] = self._relation(relation)
        return self._related[relation]

    def _relation(self, relation: str) -> Bool[np.ndarray, "objects objects"]:
        if relation in ("left", "right", "front", "behind"):
            # in the scene's own numbers, as CLEVR's generator has it, so that both round alike
            locations = np.array([item.location for item in self.scene.objects], dtype=float).reshape(-1, 3)
            axis, sign = _WAYS[relation]
            apart = locations[None] - locations[:, None]
            return apart @ (sign * self.view_frame.axes[axis]) > self.margin
        if relation == "below":
            return self.related("above").T
        if relation == "above":
            return self._pairs(self._stands_over)
        return self._pairs(self._is_near if relation == "near" else self._touches)

    def _pairs(self, test: Callable[[int, int], bool]) -> Bool[np.ndarray, "objects objects"]:
        size = len(self)
        rows = [[i != j and test(i, j) for j in range(size)] for i in range(size)]
        return np.array(rows, dtype=bool).reshape(size, size)

    def gap(self, first: int, second: int) -> float:
        """Between two objects' outlines on the floor; below 0 where they overlap."""
        there = self.points[second, :2]
        return float(
            separations(self.colliders[first], self.points[first : first + 1, :2], self.colliders[second], there)[0]
        )

    def _stands_over(self, lower: int, upper: int) -> bool:
        """Over it, whether on it or on what stands on it."""
        step = float(self.points[upper, 2] - self.points[lower, 2])
        heights = self.colliders[lower].half_height + self.colliders[upper].half_height
        slack = STANDING * min(self.colliders[lower].half_height, self.colliders[upper].half_height)
        return bool(step > heights - slack and self.gap(lower, upper) < 0)

    def apart(self, first: int, second: int) -> float:
        """The gap between two colliders, on the floor or in height; below 0 where they meet."""
        step = abs(float(self.points[first, 2] - self.points[second, 2]))
        return max(
            self.gap(first, second), step - self.colliders[first].half_height - self.colliders[second].half_height
        )

    def _is_near(self, anchor: int, other: int) -> bool:
        return self.apart(anchor, other) < NEAR * self.colliders[anchor].radius

    def _touches(self, first: int, second: int) -> bool:
        return self.apart(first, second) < TOUCHING * min(self.colliders[first].radius, self.colliders[second].radius)

    def is_between(self, index: int, first: int, second: int) -> bool:
        """Whether an object sees two others on opposite sides, at 120 degrees or more."""
        ways = [self.point(end)[:2] - self.point(index)[:2] for end in (first, second)]
        lengths = [float(np.linalg.norm(way)) for way in ways]
        if min(lengths) < SAME:
            return False
        return float(ways[0] @ ways[1]) / (lengths[0] * lengths[1]) <= BETWEEN

    def is_in(self, index: int, region: str) -> bool:
        """Whether an object stands in a part of the floor: thirds of its width and depth, as the camera sees it."""
        return bool(self.in_region(self.point(index)[None], region)[0])

    def in_region(self, points: Float[np.ndarray, "points 3"], region: str) -> Bool[np.ndarray, " points"]:
        """Which points of the view frame lie in a part of the floor."""
        middle, half = self.floor
        right, behind = ((points[:, :2] - middle) / (half / 3)).T
        tests = {
            "left": right < -1, "right": right > 1, "front": behind < -1, "back": behind > 1,
        }  # fmt: skip
        if region == "middle":
            return (abs(right) <= 1) & (abs(behind) <= 1)
        parts = region.split(" ")
        if "middle" in parts:
            across = right if parts[0] in ("front", "back") else behind
            return tests[parts[0]] & (abs(across) <= 1)
        return np.all([tests[part] for part in parts], axis=0)

    @cached_property
    def hidden(self) -> Objects:
        """Those that others cover in part. Raises ProgramError where no camera says it."""
        try:
            seen = visibility(self.scene, self.schema)
        except SceneError as error:
            raise ProgramError(f"what is hidden can not be computed: {error}") from error
        return tuple(index for index, share in enumerate(seen) if share.hidden >= HIDDEN)

    # Sizes

    def bigness(self, index: int) -> float:
        """The volume of its dimensions; without them the place of its word among the schema's sizes.

        Raises ProgramError where an object has neither.
        """
        item = self.scene.objects[index]
        if item.dimensions is not None and "size" not in {field.name for field in self.schema.word_fields}:
            return float(np.prod(item.dimensions))
        order = sizes(self.schema)
        if item.size not in order:
            raise ProgramError(
                f"objects[{index}] has no size among {', '.join(order)}, and no dimensions."
                if order
                else f"objects[{index}] has no dimensions, and the schema {self.schema.name} has no words of size."
            )
        return float(order.index(item.size))


_WAYS = {  # the axis of the view frame, and the way along it
    "right": (0, 1.0), "left": (0, -1.0), "behind": (1, 1.0), "front": (1, -1.0), "above": (2, 1.0), "below": (2, -1.0),
}  # fmt: skip


def way(direction: str) -> Float[np.ndarray, "3"]:
    """The unit vector of a direction, or of a corner, in the view frame."""
    if " " in direction:
        depth, side = direction.split()
        diagonal = way("behind" if depth == "back" else depth) + way(side)
        return diagonal / np.linalg.norm(diagonal)
    axis, sign = _WAYS[direction]
    return sign * np.eye(3)[axis]


def unknown(word: str, known: Iterable[str], field: str) -> UnknownWord:
    """The error for a word that a field does not have."""
    words: Sequence[str] = tuple(known)
    near = get_close_matches(word, words, n=3)
    hint = f"did you mean {near[0]}? " if near else ""
    return UnknownWord(f"{word!r} is no {field} here; {hint}known are {', '.join(words)}.", word=word, near=near)

"""Colliders of objects: upright cylinders and boxes with a footprint on the floor and a height.

They stand in the *view frame* of a scene: how far to the right, how far behind and how high, as its camera sees it
(`kyvo.scene.relations.directions`). So nothing here knows which axis of the scene is up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from kyvo.scene.relations import directions
from kyvo.scene.scene import Scene, SceneObject, Vector
from kyvo.scene.schema import CLEVR_RADIUS, SceneSchema

UNKNOWN_RADIUS = {"clevr": 0.35, "m": 0.1}  # of an object whose size nothing tells
ON_OTHERS = 1.5  # radii: an object that stands higher stands on something
SMALLEST_STEP = 1e-4  # scene units along one axis of the view frame; a shorter move is none
ROUND = ("sphere", "cylinder", "cone")
FROM_SMALL = ("tiny", "mini", "little", "small", "short", "medium", "middle", "normal", "tall", "big", "large", "huge",
              "giant")  # fmt: skip
_ANGLES = np.arange(0, math.pi, math.pi / 24)  # along which the support functions of two footprints are compared


@dataclass(frozen=True, kw_only=True)
class Collider:
    """An upright cylinder or box: half extents along its own axes, and the turn of these axes in the view frame."""

    half_length: float  # scene units
    half_width: float
    half_height: float
    turn: float = 0.0  # rad, from the right towards behind
    is_round: bool = False
    is_known: bool = True  # whether the object itself tells its size

    @property
    def radius(self) -> float:
        """Half its larger side."""
        return max(self.half_length, self.half_width)

    @property
    def bounding_radius(self) -> float:
        """Of the circle around its footprint."""
        return self.radius if self.is_round else math.hypot(self.half_length, self.half_width)

    def support(self, angles: Float[np.ndarray, "*rad"]) -> Float[np.ndarray, "*rad"]:
        """Support function of the footprint: how far it reaches from its centre along directions of the view frame."""
        if self.is_round:
            return np.full(np.shape(angles), self.radius)
        turned = angles - self.turn
        return self.half_length * np.abs(np.cos(turned)) + self.half_width * np.abs(np.sin(turned))


class ViewFrame:
    """The axes of a scene as its camera sees it: location <-> (right, behind, up)."""

    def __init__(self, scene: Scene) -> None:
        """Raises SceneError as `directions` does."""
        ways = directions(scene)
        self.axes = np.array([ways["right"], ways["behind"], ways["above"]], dtype=float)
        self.scene = scene

    def points(self, objects: Sequence[SceneObject]) -> Float[np.ndarray, "objects 3"]:
        """Where they stand; NaN for one without a location."""
        locations = [(math.nan,) * 3 if item.location is None else item.location for item in objects]
        return np.array(locations, dtype=float).reshape(-1, 3) @ self.axes.T

    def moved(self, location: Vector, start: Float[np.ndarray, "3"], end: Float[np.ndarray, "3"]) -> Vector:
        """The location after a move from `start` to `end` in the view frame; unchanged numbers keep every digit."""
        step = np.where(np.abs(end - start) < SMALLEST_STEP, 0.0, end - start) @ self.axes
        x, y, z = (old if abs(by) < 1e-9 else round(old + by, 6) + 0.0 for old, by in zip(location, step, strict=True))
        return float(x), float(y), float(z)

    def location(self, point: Float[np.ndarray, "3"]) -> Vector:
        """Inverse of `points`."""
        x, y, z = (round(value, 6) + 0.0 for value in (point @ self.axes).tolist())
        return x, y, z


def collider_of(item: SceneObject, schema: SceneSchema, frame: ViewFrame) -> Collider:
    """Of one object: its `dimensions`, else CLEVR's for its size, else a guess that is marked.

    An object that stands lower than it would be high is as small as it stands: nothing is sunk into the floor. One that
    stands higher is as small as the lowest of its size, which it may stand on.
    """
    first = frame.axes[:2] @ np.eye(3)[0 if abs(frame.axes[2][0]) < 0.5 else 1]  # the object's own first axis
    turn = math.atan2(first[1], first[0]) + _turn(item, frame.scene)
    is_round = item.shape in ROUND
    if item.dimensions is not None:
        width, height, length = (extent / 2 for extent in item.dimensions)
        return Collider(half_length=length, half_width=width, half_height=height, turn=turn, is_round=is_round)
    radius = radius_of(item.size, schema) if frame.scene.units == "clevr" else None
    size = tall = radius or UNKNOWN_RADIUS.get(frame.scene.units, 0.1)
    if frame.scene.frame == "world" and item.location is not None:
        height = float(np.asarray(item.location) @ frame.axes[2])
        lowest = height if height < ON_OTHERS * size else _lowest(item, frame)
        if 0 < lowest < size:
            size = tall = lowest
        elif radius is None and height > 0:
            tall = height  # it stands on the floor, as far as anybody knows
    return Collider(
        half_length=size,
        half_width=size,
        half_height=tall,
        turn=turn,
        is_round=is_round,
        is_known=radius is not None,
    )


def _lowest(item: SceneObject, frame: ViewFrame) -> float:
    """The least height at which an object of this one's size stands."""
    alike = [other.location for other in frame.scene.objects if other.size == item.size and other.location is not None]
    return float((np.asarray(alike) @ frame.axes[2]).min())


def radius_of(size: str | None, schema: SceneSchema) -> float | None:
    """CLEVR's radius of a word of size; words between the smallest and the largest lie evenly between theirs."""
    if size in CLEVR_RADIUS:
        return CLEVR_RADIUS[size]
    words = sizes(schema)
    if size not in words:
        return None
    low, high = CLEVR_RADIUS["small"], CLEVR_RADIUS["large"]
    return low + (high - low) * words.index(size) / max(len(words) - 1, 1)


def sizes(schema: SceneSchema) -> tuple[str, ...]:
    """The schema's words of size, the smallest first; none where it has no such field.

    Known English words are put in their order; a schema with others lists them from the largest, as CLEVR's does.
    """
    words = next((field.words for field in schema.fields if field.name == "size"), ())
    if all(word in FROM_SMALL for word in words):
        return tuple(sorted(words, key=FROM_SMALL.index))
    return words[::-1]


def _turn(item: SceneObject, scene: Scene) -> float:
    if item.pose is not None:
        axis, sign = "xyz".index(scene.up_axis[-1]), -1.0 if scene.up_axis.startswith("-") else 1.0
        return sign * item.pose[axis]
    turn = item.turn
    return 0.0 if turn is None else math.fmod(turn, 2 * math.pi)


def separations(
    first: Collider, locations: Float[np.ndarray, "tries 2"], second: Collider, there: Float[np.ndarray, "2"]
) -> Float[np.ndarray, " tries"]:
    """Signed distances of two footprints in the view frame, the first at each location; below 0 where they meet."""
    apart = locations - there
    distance = np.linalg.norm(apart, axis=1)
    if first.is_round and second.is_round:
        return distance - first.radius - second.radius
    fixed = np.concatenate([_ANGLES, [first.turn, first.turn + math.pi / 2, second.turn, second.turn + math.pi / 2]])
    along = np.abs(apart @ np.stack([np.cos(fixed), np.sin(fixed)])) - first.support(fixed) - second.support(fixed)
    center = np.arctan2(apart[:, 1], apart[:, 0])
    return np.maximum(along.max(1), distance - first.support(center) - second.support(center))

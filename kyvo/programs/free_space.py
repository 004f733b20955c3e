"""`FreeSpace`: where a `Group` of objects fits, inside the bins, on the floor or an object, and in no other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from kyvo.programs.descriptions import describe
from kyvo.programs.errors import CannotPlace
from kyvo.programs.world import SAME, STANDING, Objects, World
from kyvo.scene.colliders import Collider, separations

GAP = 0.2  # of the placed object's radius: the distance that "next to" leaves between two objects
STEPS = 800  # tried along a line
ROUNDS, TURNS = 60, 48  # tried around a point
FAN = tuple(sign * turn * math.pi / 24 for turn in (1, 2, 3, 4, 5) for sign in (1, -1))  # off a straight line
Points = Float[np.ndarray, "tries 3"]
Point = Float[np.ndarray, "3"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """What is placed as one."""

    indices: Objects  # of the world, where it stands there; none for new objects
    colliders: Sequence[Collider]
    points: Float[np.ndarray, "members 3"]  # where it stands now; new objects stand in the middle of the floor
    drop: float = 0.0  # how far it comes down to the floor, where it stands on an object that stays
    said: str  # for messages: "the red cube"

    @property
    def center(self) -> Point:
        return self.points[0] if len(self.points) == 1 else self.points.mean(0)

    @property
    def feet(self) -> Float[np.ndarray, " members"]:
        """How low each member reaches below the centre."""
        return self.points[:, 2] - np.array([collider.half_height for collider in self.colliders]) - self.center[2]

    @property
    def radius(self) -> float:
        """Of the circle around its centre that holds all of it."""
        away = np.linalg.norm(self.points[:, :2] - self.center[:2], axis=1)
        return float(max(a + collider.radius for a, collider in zip(away, self.colliders, strict=True)))

    @property
    def clearance(self) -> float:
        return GAP * max(collider.radius for collider in self.colliders)


def group_of(world: World, indices: Sequence[int]) -> Group:
    """Objects of the world that move. One that stands on an object that stays comes down to the floor.

    Raises ProgramError for one without a location.
    """
    points = np.array([world.point(index) for index in indices])
    colliders = [world.colliders[index] for index in indices]
    feet = points[:, 2] - [collider.half_height for collider in colliders]
    lowest = indices[int(feet.argmin())]
    placed = all(item.location is not None for item in world.scene.objects)
    carried = placed and bool(set(np.flatnonzero(world.related("below")[lowest]).tolist()) - set(indices))
    said = describe(world.scene, lowest) if len(indices) == 1 else f"the {len(indices)} objects"
    drop = float(feet.min() - ground(world)) if carried else 0.0
    return Group(indices=tuple(indices), colliders=colliders, points=points, drop=drop, said=said)


def ground(world: World) -> float:
    """The height of the floor: 0 in a world's frame, the lowest object's foot in a camera's."""
    if world.scene.frame == "world":
        return 0.0
    feet = [point[2] - collider.half_height for point, collider in zip(world.points, world.colliders, strict=True)]
    return min((foot for foot in feet if not math.isnan(foot)), default=0.0)


class FreeSpace:
    """Where one group fits in one world."""

    def __init__(self, world: World, group: Group) -> None:
        self.world = world
        self.group = group
        self.others = [
            index
            for index, item in enumerate(self.world.scene.objects)
            if index not in group.indices and item.location is not None
        ]
        self._bounds = _bounds(self.world)
        self._inside = self._fits(group.points) if group.indices else np.ones((len(group.points), 3), dtype=bool)

    def on_ground(self, point: Point) -> Point:
        """The point at the height of the group's centre."""
        return np.array([point[0], point[1], self.group.center[2] - self.group.drop])

    def free(self, centers: Points, clearance: float) -> Bool[np.ndarray, " tries"]:
        """Whether the whole group fits with its centre at each point: inside the bins, and in no other object."""
        return self.are_free(centers[:, None] + (self.group.points - self.group.center), clearance)

    def are_free(self, points: Float[np.ndarray, "tries members 3"], clearance: float) -> Bool[np.ndarray, " tries"]:
        """`free` for the places of all members."""
        free = np.ones(len(points), dtype=bool)
        for member, collider in enumerate(self.group.colliders):
            there = points[:, member]
            free &= (self._fits(there) | ~self._inside[member]).all(1) & self._rests(member, there)
            for other in self.others:
                lower, place = self.world.colliders[other], self.world.points[other, :2]
                reach = collider.bounding_radius + lower.bounding_radius + clearance
                near = free & self._meets_in_height(collider, there[:, 2], other)
                near &= ((there[:, :2] - place) ** 2).sum(1) < reach**2  # the others are free for sure
                if near.any():
                    free[near] &= separations(collider, there[near, :2], lower, place) >= clearance - SAME
        return free

    def _meets_in_height(self, collider: Collider, heights: np.ndarray, other: int) -> Bool[np.ndarray, " tries"]:
        lower = self.world.colliders[other]
        reach = collider.half_height + lower.half_height - STANDING * min(collider.half_height, lower.half_height)
        return np.abs(heights - self.world.points[other, 2]) < reach

    def _rests(self, member: int, points: Points) -> Bool[np.ndarray, " tries"]:
        """Whether a member stands on the floor, or on an object. Where the floor is not known it may be anywhere."""
        collider, feet = self.group.colliders[member], self.group.feet
        if self.world.scene.frame != "world" or feet[member] > feet.min() + SAME:
            return np.ones(len(points), dtype=bool)
        rests = np.abs(points[:, 2] - collider.half_height - self.floor) <= 1e-4
        for other in self.others if not rests.all() else ():
            lower = self.world.colliders[other]
            foot = points[:, 2] - collider.half_height - self.world.points[other, 2] - lower.half_height
            on = np.abs(foot) <= STANDING * min(collider.half_height, lower.half_height)
            rests |= on & (separations(collider, points[:, :2], lower, self.world.points[other, :2]) < 0)
        return rests

    @property
    def floor(self) -> float:
        """The height of the group's feet on the floor; one that stands in no known way keeps its height."""
        return float(self.group.center[2] - self.group.drop + self.group.feet.min())

    def _fits(self, points: Points) -> Bool[np.ndarray, "tries 3"]:
        """Under each of the scene's axes, whether points are inside the bins."""
        low, high = self._bounds
        locations = points @ self.world.view_frame.axes
        return (locations >= low) & (locations <= high)

    def members(self, center: Point) -> Float[np.ndarray, "members 3"]:
        """Where the members stand when the group's centre is at a point."""
        return self.group.points + (center - self.group.center)

    def line(self, start: Point, direction: Point) -> Points:
        """Points from the start on, farther than the floor reaches."""
        far = 2 * self.world.floor[1] + 2 * self.group.radius
        return start + np.linspace(0, far, STEPS)[:, None] * direction

    def fan(self, start: Point, direction: Point) -> Points:
        """Lines up to 45 degrees off the straight one, nearest points first: where the straight line has no room."""
        across = np.array([-direction[1], direction[0], 0.0])
        lines = [self.line(start, direction + math.tan(angle) * across)[::4] for angle in FAN]
        tries = np.concatenate(lines)
        return tries[np.argsort(np.linalg.norm(tries - start, axis=1), kind="stable")]

    def around(self, center: Point, far: float) -> Points:
        """The point, then circles around it."""
        radii = np.linspace(far / ROUNDS, far, ROUNDS)
        angles = np.arange(TURNS) * (2 * math.pi / TURNS)
        circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(TURNS)], axis=1)
        return np.concatenate([center[None], (center + radii[:, None, None] * circle).reshape(-1, 3)])

    def nearest(self, center: Point, clearance: float) -> Point | None:
        """The free point nearest to this one; None where the floor is full."""
        tries = self.around(center, 2 * self.world.floor[1])
        free = self.free(tries, clearance)
        return tries[int(free.argmax())] if free.any() else None

    def cannot(self, center: Point, said: str) -> CannotPlace:
        """Why the group can not stand at a point, and where it can."""
        inside = np.clip(center @ self.world.view_frame.axes, *self._bounds) @ self.world.view_frame.axes.T
        nearest = self.nearest(self.on_ground(inside), 0.0)
        if nearest is None:
            hint, location = "no free place is left", None
        else:
            location = self.world.view_frame.location(nearest)
            hint = f"the nearest free place is ({', '.join(f'{value:.2f}' for value in location)})"
        return CannotPlace(f"{self.group.said} can not go {said}: {self._reason(center)}; {hint}.", nearest=location)

    def _reason(self, center: Point) -> str:
        for member, point in enumerate(self.members(center)):
            outside = ~self._fits(point[None])[0] & self._inside[member]
            if outside.any():
                axis = int(outside.argmax())
                low, high = (side[axis] for side in self._bounds)
                value = self.world.view_frame.location(point)[axis]
                return f"{'xyz'[axis]} would be {value:.3f}, and the bins go from {low:.3f} to {high:.3f}"
            collider = self.group.colliders[member]
            if not self._rests(member, point[None])[0]:
                return f"it would {'hang in the air' if point[2] > self.group.points[member, 2] else 'be in the floor'}"
            for other in self.others:
                if self._meets_in_height(collider, point[2:], other)[0]:
                    there = self.world.points[other, :2]
                    if separations(collider, point[None, :2], self.world.colliders[other], there)[0] < -SAME:
                        return f"{describe(self.world.scene, other)} stands there"
        return "no place there is free"


def _bounds(world: World) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """The least and the largest location: the schema's bins, or objects that stand farther; none without bins.

    Bins end half a step beyond their outer values. The floor of a world's frame reaches equally far on all sides.
    """
    field = next((field for field in world.schema.fields if field.name == "location" and field.axes), None)
    if field is None:
        return np.full(3, -np.inf), np.full(3, np.inf)
    low, high = (np.array([axis.values[end] for axis in field.axes]) for end in (0, -1))
    steps = np.array([np.diff(axis.values[:2], append=axis.values[-1:])[0] for axis in field.axes])
    low, high = low - steps / 2, high + steps / 2
    locations = np.array([item.location for item in world.scene.objects if item.location is not None]).reshape(-1, 3)
    if world.scene.frame == "world" and len(locations):
        flat = np.abs(world.view_frame.axes[2]) < 0.5
        reach = np.where(flat, np.abs(locations[:, flat]).max(), 0.0)
        low, high = np.minimum(low, -reach), np.maximum(high, reach)
    everything = np.concatenate([[low, high], locations])
    return everything.min(0) - SAME, everything.max(0) + SAME

"""Where moved, copied and new objects go: each `Place` as points of the view frame that are free and inside the bins.

Several objects move as one group and keep how they stand to one another. A place that a program leaves open ("next to",
"left of" without a distance) is the nearest free one; a place that it gives ("2 units left of") is taken or refused.
`CannotPlace` then says what is in the way and where it would fit.
"""

import math

import numpy as np
from jaxtyping import Bool, Float

from kyvo.programs import program as p
from kyvo.programs.descriptions import describe
from kyvo.programs.english import RELATIONS, WAYS, region_words, units
from kyvo.programs.errors import AmbiguousReference, CannotPlace, NoSuchObject, ProgramError
from kyvo.programs.free_space import STEPS, FreeSpace, Group, Point, Points, ground
from kyvo.programs.phrases import objects_of
from kyvo.programs.program import Place, Selector
from kyvo.programs.selecting import Finder
from kyvo.programs.turns import place_before, removed_at
from kyvo.programs.world import NEAR, SAME, STANDING, Objects, World, way
from kyvo.scene.colliders import separations

SIDES = (0, 8, 12, 4, 14, 10, 2, 6, 15, 1, 7, 9, 13, 11, 3, 5)  # sixteenths of a turn; right, left, front, behind first


class Placer:
    """Finds places for one group in one world."""

    def __init__(self, finder: Finder, group: Group, *, world: World | None = None, moved: Objects = ()) -> None:
        """
        Args:
            finder: looks for the objects that a place names.
            world: what stands there, the finder's own unless new objects came to it.
            moved: objects that earlier steps of the same edit moved.
        """
        self.finder = finder
        self.world = world or finder.world
        self.group = group
        self.moved = moved
        self.anchors: list[int] = []  # the objects that the place was found by
        self.space = FreeSpace(self.world, group)

    def place(self, place: Place) -> Float[np.ndarray, "members 3"]:
        """Where the members go. Raises CannotPlace, and NoSuchObject and AmbiguousReference for objects it names."""
        if isinstance(place, p.Before):
            return self._before()
        if isinstance(place, p.OnTop) and len(self.group.points) > 1:
            raise ProgramError("several objects are stacked one by one, not as a group.")
        tries, said, clearance = self._tries(place)
        free = self.space.free(tries, clearance)
        if free.any():
            return self.space.members(tries[int(free.argmax())])
        raise self.space.cannot(tries[0], said)

    def near(self, center: Point) -> Float[np.ndarray, "members 3"]:
        """The free place nearest to a point. Raises CannotPlace where the floor is full."""
        nearest = self.space.nearest(self.space.on_ground(center), self.group.clearance)
        if nearest is None:
            raise CannotPlace(f"the floor has no free place for {self.group.said}; remove something first.")
        return self.space.members(nearest)

    def need(self, center: Point, said: str) -> None:
        """Raises CannotPlace where the group does not fit with its centre at a point."""
        if not self.space.free(center[None], 0.0)[0]:
            raise self.space.cannot(center, said)

    # What each place means: points for the group's centre in the order in which they are tried, words, and the gap

    def _tries(self, place: Place) -> tuple[Points, str, float]:
        group, center = self.group, self.group.center
        match place:
            case p.Beside(direction="above", to=to, distance=None):
                return self._on_top(self._anchor(to))
            case p.Beside(direction=direction, to=to, distance=None):
                anchor = self._anchor(to)
                start = self.space.on_ground(self.world.point(anchor))
                if direction == "below":
                    return self._below(anchor)
                tries = np.concatenate([self.space.line(start, way(direction)), self.space.fan(start, way(direction))])
                beyond = tries[self._is_beyond(tries, start, way(direction))]
                return (
                    (beyond if len(beyond) else tries[-1:]),
                    f"{RELATIONS[direction]} {self._named(anchor)}",
                    group.clearance,
                )
            case p.Beside(direction=direction, to=to, distance=distance):
                anchor = self._anchor(to)
                start = self.world.point(anchor)
                if direction not in ("above", "below"):
                    start = self.space.on_ground(start)
                assert distance is not None
                end = start + distance * way(direction)
                return end[None], f"{units(distance)}{RELATIONS[direction]} {self._named(anchor)}", 0.0
            case p.NextTo(to=to):
                return self._next_to(self._anchor(to))
            case p.Midway(first=first, second=second):
                ends = self._anchor(first), self._anchor(second)
                if ends[0] == ends[1]:
                    raise ProgramError(f"{self._named(ends[0])} is named twice; two objects are needed.")
                start, end = (self.space.on_ground(self.world.point(index)) for index in ends)
                parts = sorted(np.linspace(0.1, 0.9, 81).tolist(), key=lambda part: abs(part - 0.5))
                tries = start + np.array(parts)[:, None] * (end - start)
                return tries, f"between {self._named(ends[0])} and {self._named(ends[1])}", 0.0
            case p.OnTop(of=of):
                return self._on_top(self._anchor(of))
            case p.Point(x=x, y=y, z=z):
                return self._at_point(x, y, z)
            case p.Offset(direction=direction, distance=distance):
                length = 2 * group.radius if distance is None else distance
                end = center + length * way(direction)
                tries = np.array([end - (0, 0, group.drop), end])  # on the floor, or still on what it stands on
                return tries, f"{units(length)}{WAYS[direction]}", 0.0
            case p.Toward(to=to, distance=distance):
                return self._toward(self._anchor(to), distance)
            case p.At(region=region):
                return self._in_region(region)
            case p.PlaceOf(of=of):
                return self._place_of(of)
            case p.InLine(to=to, direction=direction):
                return self._in_line(to, direction)
            case _:
                raise ProgramError(f"{type(place).__name__} is no place.")

    def _is_beyond(self, tries: Points, start: Point, direction: Point) -> Bool[np.ndarray, " tries"]:
        """Whether all members would be in that direction from the start, by more than relations need."""
        least = float(((self.group.points - self.group.center) @ direction).min())
        return (tries - start) @ direction + least > self.world.margin

    def _next_to(self, anchor: int) -> tuple[Points, str, float]:
        """Around the object as near as it may stand; the side nearest to where the group stands now comes first."""
        start = self.space.on_ground(self.world.point(anchor))
        said = f"next to {self._named(anchor)}"
        if self.group.indices:
            apart = self.group.points - self.world.point(anchor)
            sure = len(apart) == 1 and abs(apart[0, 2]) < STANDING
            if sure and -SAME < self.world.gap(anchor, self.group.indices[0]) <= 2 * self.group.clearance:
                return self.group.center[None], said, 0.0
        near: list[tuple[bool, float, Point]] = []
        for order, turn in enumerate(SIDES):
            angle = 2 * math.pi * turn / len(SIDES)
            tries = self.space.line(start, np.array([math.cos(angle), math.sin(angle), 0.0]))
            free = self.space.free(tries, self.group.clearance)
            if free.any():
                point = tries[int(free.argmax())]
                gap = self._gap(point, anchor)
                away = float(np.linalg.norm(point - self.group.center)) if self.group.indices else float(order)
                near += [(gap > 2 * self.group.clearance, away, point)] if self._is_near(gap, anchor) else []
        near.sort(key=lambda row: row[:2])
        return (np.array([point for *_, point in near]) if near else start[None]), said, 0.0

    def _gap(self, center: Point, anchor: int) -> float:
        """Between the group, with its centre at a point, and an object."""
        there = self.world.points[anchor, :2]
        pairs = zip(self.space.members(center), self.group.colliders, strict=True)
        return min(
            float(separations(collider, point[None, :2], self.world.colliders[anchor], there)[0])
            for point, collider in pairs
        )

    def _is_near(self, gap: float, anchor: int) -> bool:
        return gap < NEAR * self.world.colliders[anchor].radius

    def _on_top(self, anchor: int) -> tuple[Points, str, float]:
        """On the highest of what stands on an object."""
        over = self.world.related("above")[anchor]
        pile = [index for index in self.space.others if over[index]] + [anchor]
        top = max(pile, key=lambda index: self.world.points[index, 2] + self.world.colliders[index].half_height)
        end = self.world.point(top).copy()
        end[2] += self.world.colliders[top].half_height + self.group.colliders[0].half_height
        return end[None], f"on {self._named(anchor)}", 0.0

    def _below(self, anchor: int) -> tuple[Points, str, float]:
        end = self.world.point(anchor).copy()
        end[2] -= self.world.colliders[anchor].half_height + self.group.colliders[0].half_height
        if end[2] - self.group.colliders[0].half_height < ground(self.world) - SAME:
            raise CannotPlace(f"below {self._named(anchor)} is no room for {self.group.said}; it stands on the floor.")
        return end[None], f"below {self._named(anchor)}", 0.0

    def _at_point(self, x: float, y: float, z: float | None) -> tuple[Points, str, float]:
        frame = self.world.view_frame
        upright = int(np.abs(frame.axes[2]).argmax())
        if z is None:
            if upright != 2:  # two numbers are then those along the floor
                raise ProgramError("a point of this scene needs three numbers; its third is not the height.")
            end = frame.axes @ np.array([x, y, 0.0])
            end = self.space.on_ground(end)
        else:
            end = frame.axes @ np.array([x, y, z])
        return end[None], f"at ({x:g}, {y:g}{'' if z is None else f', {z:g}'})", 0.0

    def _toward(self, anchor: int, distance: float | None) -> tuple[Points, str, float]:
        start, end = self.space.on_ground(self.group.center), self.space.on_ground(self.world.point(anchor))
        length = float(np.linalg.norm(end - start))
        if length < SAME:
            raise CannotPlace(f"{self.group.said} stands where {self._named(anchor)} stands; no way leads there.")
        said = f"{'towards' if distance is None or distance >= 0 else 'away from'} {self._named(anchor)}"
        if distance is not None:
            return (start + distance / length * (end - start))[None], said, 0.0
        parts = np.linspace(1, 0, STEPS)[:, None]
        return start + parts * (end - start), said, self.group.clearance

    def _in_region(self, region: str) -> tuple[Points, str, float]:
        """As far as the floor goes; what is not said stays, or is the middle for a new object."""
        middle, half = self.world.floor
        reach = max(half - self.group.radius, 0.0)
        end = self.space.on_ground(self.group.center)
        for part in region.split(" "):
            if part == "middle":
                continue
            axis, sign = {"left": (0, -1), "right": (0, 1), "front": (1, -1), "back": (1, 1)}[part]
            end[axis] = middle[axis] + sign * reach
            if "middle" in region:
                end[1 - axis] = middle[1 - axis]
        if region == "middle":
            end[:2] = middle
        near, far = self.space.around(end, half / 3), self.space.around(end, 2 * half)
        tries = np.concatenate([near, far[self.world.in_region(far, region)]])
        return tries, region_words(region), 0.0

    def _place_of(self, of: Selector) -> tuple[Points, str, float]:
        """Where an object stands; where it stood, for one that was moved or removed before."""
        inner = of.of if isinstance(of, p.The) else of
        if isinstance(inner, p.Earlier) and inner.role == "removed":
            scene, gone = removed_at(self.finder.dialogue, inner.turn)
            if len(gone) != 1:
                raise NoSuchObject(f"{len(gone)} objects were removed then; one place is needed.")
            return self._where(World(scene, self.world.schema), gone[0], "stood")
        index = self._anchor(of, itself=True)
        if index in self.moved or isinstance(inner, p.Earlier):
            scene, old = place_before(self.finder.dialogue, index)
            return self._where(World(scene, self.world.schema), old, "stood")
        return self._where(self.world, index, "stands")

    def _where(self, world: World, index: int, verb: str) -> tuple[Points, str, float]:
        """At the foot of an object of this world, or on the floor below."""
        point = world.point(index)
        foot = point[2] - world.colliders[index].half_height
        same = np.array([point[0], point[1], foot - self.group.feet.min()])
        return np.array([same, self.space.on_ground(point)]), f"where {describe(world.scene, index)} {verb}", 0.0

    def _in_line(self, to: Selector, direction: str) -> tuple[Points, str, float]:
        anchors = self._some(to)
        line = np.mean([self.world.point(index) for index in anchors], axis=0)
        axis = int(np.abs(way(direction)).argmax())
        if axis == 2:
            raise ProgramError("a line goes from left to right or from front to back; say on top of for one upwards.")
        end = self.space.on_ground(self.group.center)
        end[1 - axis] = line[1 - axis]
        along = way(direction)
        steps = np.linspace(0, 2 * self.world.floor[1], STEPS // 2)
        tries = np.stack([end + steps[:, None] * along, end - steps[:, None] * along], axis=1).reshape(-1, 3)
        return tries, f"on one line with {objects_of(to)}", 0.0

    def _before(self) -> Float[np.ndarray, "members 3"]:
        ends = []
        for index in self.group.indices:
            scene, old = place_before(self.finder.dialogue, index)
            location = scene.objects[old].location
            if location is None:
                raise ProgramError("the place is not known any more; say another.")
            ends.append(self.world.view_frame.axes @ np.array(location))
        if not ends:
            raise ProgramError("a new object has no place where it stood before; say another.")
        points = np.array(ends)
        shift = points.mean(0)
        if not self.space.are_free(points[None], 0.0)[0]:
            raise self.space.cannot(shift, "where it stood before")
        return points

    # Objects

    def _anchor(self, selector: Selector, *, itself: bool = False) -> int:
        index = self._one(selector)
        self.anchors.append(index)
        if index in self.group.indices and not itself:
            raise ProgramError(f"{self.group.said} can not be placed by {self._named(index)}, which moves with it.")
        return index

    def _one(self, selector: Selector) -> int:
        """The object of a selector; the lowest of several that stand on one another, as their place is one."""
        try:
            return self.finder.one(selector)
        except AmbiguousReference as error:
            pile = self.finder.world.pile(error.candidates)
            if pile is None or error.selector != selector:
                raise
            return pile[0]

    def _some(self, selector: Selector) -> Objects:
        found = tuple(index for index in self.finder.some(selector) if index not in self.group.indices)
        if not found:
            raise ProgramError(f"{self.group.said} can not be placed by itself; name other objects.")
        self.anchors += found
        return found

    def _named(self, index: int) -> str:
        return describe(self.world.scene, index)

"""Objects of an edited scene: elsewhere, turned, new, or in each other's place."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from kyvo.programs.errors import ProgramError
from kyvo.programs.free_space import Point
from kyvo.programs.new_shapes import NewShape
from kyvo.programs.world import Objects, World
from kyvo.scene.clevr import pixel_coords
from kyvo.scene.scene import Scene, SceneObject, Vector

NEW_SIZE = 1.0  # of the longest side of a new shape, in the scene's units, where no object tells a size


def object_at(location: Vector, item: SceneObject, scene: Scene) -> SceneObject:
    """The object there; its `pixel_coords`, if it has them, follow, or go where no camera says them."""
    extra = {key: value for key, value in item.extra.items() if key != "pixel_coords"}
    if "pixel_coords" in item.extra and scene.camera is not None:
        extra["pixel_coords"] = pixel_coords(scene.camera, location)
    return replace(item, location=location, extra=extra)


def turned(item: SceneObject, angle: float, scene: Scene) -> SceneObject:
    """The object turned about the vertical, counter-clockwise seen from above (rad)."""
    axis, sign = "xyz".index(scene.up_axis[-1]), -1.0 if scene.up_axis.startswith("-") else 1.0
    if "R_cam" in item.extra:
        raise ProgramError("an object with a rotation matrix (R_cam) can not be turned; give it a pose.")
    if item.pose is None:
        old = item.extra.get("rotation", 0.0)
        if not isinstance(old, int | float):
            raise ProgramError(f"the rotation of an object is {old!r}; a number is needed to turn it on.")
        # of CLEVR's files, whose number is read as radians (`kyvo.scene.colliders`)
        return item.with_values(rotation=round(math.fmod(old + angle, 2 * math.pi), 6))
    if axis != 2 and any(item.pose[axis + 1 :]):
        raise ProgramError("a tilted object can not be turned about the vertical; give it an upright pose.")
    pose = list(item.pose)
    pose[axis] = round(math.remainder(pose[axis] + sign * angle, 2 * math.pi), 6)
    return replace(item, pose=(pose[0], pose[1], pose[2]))


def plain_object(world: World, words: Mapping[str, str], *, shape: NewShape | None) -> SceneObject:
    """A new object with these words, square to the axes, and as large as most objects where sizes are numbers."""
    names = {entry.name for entry in world.schema.fields}
    values: dict[str, Any] = dict(words)
    if shape is not None:
        values["shape_codes"] = shape.codes
    if "dimensions" in names:
        usual = usual_dimensions(world, words)
        if shape is not None:
            usual = np.array(shape.extents) * (NEW_SIZE if usual is None else usual.max())
        if usual is None:
            raise ProgramError("nothing in the scene tells how large a new object is; copy an object instead.")
        values["dimensions"] = tuple(usual.tolist())
    if "pose" in names:
        values["pose"] = (0.0, 0.0, 0.0)
    for name, value in (("rotation", 0.0), ("pixel_coords", None)):
        if any(name in item.extra for item in world.scene.objects):
            values[name] = value
    return SceneObject().with_values(**values)


def usual_dimensions(world: World, words: Mapping[str, str]) -> Float[np.ndarray, "3"] | None:
    """The median of objects of the same kind, else of all; None where none has any."""
    kind = next((name for name in ("category", "shape") if name in words), None)
    alike = [i for i in world.all if kind is None or world.word(i, kind) == words[kind]]
    known = [world.scene.objects[i].dimensions for i in alike or world.all]
    found = [extents for extents in known if extents is not None]
    return np.median(np.array(found), axis=0) if found else None


def carries(world: World, pair: Objects) -> bool:
    """Whether one of the two stands on the other."""
    placed = all(item.location is not None for item in world.scene.objects)
    above = world.related("above") if placed else np.zeros((len(world),) * 2, dtype=bool)
    return bool(above[pair[0], pair[1]] or above[pair[1], pair[0]])


def exchanged(world: World, pair: Objects) -> list[Point]:
    """Where two objects go that change places: each to the other's foot; within one pile, the upper one goes down
    to the lower one's foot and the lower one onto it."""
    points = [world.point(index).copy() for index in pair]
    halves = [world.colliders[index].half_height for index in pair]
    feet = [point[2] - half for point, half in zip(points, halves, strict=True)]
    if carries(world, pair):
        low, high = (0, 1) if feet[0] < feet[1] else (1, 0)
        feet[high] += 2 * (halves[high] - halves[low])
    ends = []
    for own, other in ((0, 1), (1, 0)):
        rise = feet[other] - (points[own][2] - halves[own])
        ends.append(np.array([*points[other][:2], points[own][2] + (0.0 if abs(rise) < 1e-6 else rise)]))
    return ends

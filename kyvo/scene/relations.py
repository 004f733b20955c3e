"""Where objects stand to one another: CLEVR's directions and the relations they give.

A relation is meant as the camera sees it: an object is behind another when it is farther along the view on the floor.
CLEVR takes the view of the camera before its jitter, so that all its scenes have the same directions.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kyvo.errors import SceneError
from kyvo.scene.scene import Camera, Scene, Vector
from kyvo.scene.schema import clevr_camera

RELATIONS = ("left", "right", "front", "behind")
MARGIN = 0.2  # clevr units; CLEVR's generator does not call an object left of another by less
DIRECTIONS = ("left", "right", "front", "behind", "above", "below")
SAME_VIEW = 0.98  # cosine; CLEVR's jitter turns its view by 4 degrees at most


def view_directions(camera: Camera, up: Vector = (0.0, 0.0, 1.0)) -> dict[str, Vector]:
    """Unit vectors of the world frame for a camera: CLEVR's six `directions`. `up` is one of the frame's axes."""
    _, down, forward = (np.asarray(axis, dtype=float) for axis in camera.rotation)
    right = np.asarray(camera.rotation[0], dtype=float)
    flat = 1.0 - np.abs(up)
    if np.linalg.norm(forward * flat) < 1e-6:  # it looks straight down: what is higher in the picture is behind
        forward = -down
    behind, rightward = (_unit(vector * flat) for vector in (forward, right))
    named = {"behind": behind, "right": rightward, "above": np.asarray(up, dtype=float)}
    opposite = {"front": -named["behind"], "left": -named["right"], "below": -named["above"]}
    return {name: _vector(vector) for name, vector in (named | opposite).items()}


def directions(scene: Scene) -> Mapping[str, Vector]:
    """Six unit vectors of the scene's frame, as its camera sees them.

    Those that the scene's `extra` gives, as CLEVR's files do; in a camera's frame its axes; those of the scene's camera
    where that is no jittered one of CLEVR's; else CLEVR's. Raises SceneError where nothing says them.
    """
    given = scene.extra.get("directions")
    if given is not None:
        return _given(given, _up(scene.up_axis))
    if scene.frame == "camera":
        return CAMERA_DIRECTIONS
    up = _up(scene.up_axis)
    if scene.camera is not None:
        seen = view_directions(scene.camera, up)
        if up != (0.0, 0.0, 1.0) or np.dot(seen["behind"], CLEVR_DIRECTIONS["behind"]) < SAME_VIEW:
            return seen
    elif up != (0.0, 0.0, 1.0):
        raise SceneError(f"the up axis is {scene.up_axis} and there is no camera; give one to say what left is.")
    return CLEVR_DIRECTIONS


def relationships(scene: Scene, *, margin: float = MARGIN) -> dict[str, list[list[int]]]:
    """CLEVR's `relationships`: under each relation, for each object i, the ascending indices of those that are, seen
    from i, in that direction by more than `margin`.

    Raises SceneError for an object without a location.
    """
    for index, item in enumerate(scene.objects):
        if item.location is None:
            raise SceneError(f"objects[{index}].location is missing; relations need it.")
    locations = np.array([item.location for item in scene.objects], dtype=float).reshape(-1, 3)
    apart = locations[None] - locations[:, None]  # [i, j]: from i to j
    found = {}
    for name in RELATIONS:
        beyond = apart @ np.asarray(directions(scene)[name], dtype=float) > margin
        found[name] = [np.flatnonzero(row).tolist() for row in beyond]
    return found


def _given(given: Any, up: Vector) -> dict[str, Vector]:
    """The `directions` of a file, which may leave out above and below. Raises SceneError unless they are vectors."""
    upright = {"above": up, "below": tuple(-value for value in up)}
    try:
        found = {name: _vector(np.asarray({**upright, **given}[name], dtype=float)) for name in DIRECTIONS}
        apart = [np.dot(found[a], found[b]) for a, b in (("right", "behind"), ("right", "above"), ("behind", "above"))]
        sound = all(abs(np.linalg.norm(found[name]) - 1) < 0.01 for name in DIRECTIONS) and np.abs(apart).max() < 0.01
    except (KeyError, TypeError, ValueError):
        sound, found = False, {}
    if not sound:
        raise SceneError(
            f"directions do not hold together; {', '.join(DIRECTIONS)} are needed, as unit vectors at right angles. "
            "Leave them out for those of the camera."
        )
    return found


def _up(axis: str) -> Vector:
    sign = -1.0 if axis[:1] == "-" else 1.0
    x, y, z = (sign if name == axis[-1:] else 0.0 for name in "xyz")
    return x, y, z


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


CAMERA_DIRECTIONS: dict[str, Vector] = {  # OpenCV's axes: x right, y down, z away
    "behind": (0.0, 0.0, 1.0), "right": (1.0, 0.0, 0.0), "above": (0.0, -1.0, 0.0),
    "front": (0.0, 0.0, -1.0), "left": (-1.0, 0.0, 0.0), "below": (0.0, 1.0, 0.0),
}  # fmt: skip
CLEVR_DIRECTIONS = view_directions(clevr_camera(480, 320))

"""How a camera sees the cubes of a scene: where, how large and from which direction.

Cubes are of CLEVR's two sizes, in a world frame.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from kyvo.scene.scene import Camera, SceneObject
from kyvo.scene.schema import CLEVR_RADIUS


def cube_views(camera: Camera, cubes: Sequence[SceneObject]) -> Float[np.ndarray, "cubes 4"]:
    """How each is seen: its centre in widths from the picture's middle, the logarithm of its half side in widths, and
    the angle by which the camera looks down on it, rad."""
    places = np.array([cube.location for cube in cubes], dtype=float).reshape(-1, 3)
    seen = camera.project(places)
    middle = np.array([camera.width, camera.height]) / 2
    halves = np.array([CLEVR_RADIUS[cube.size] for cube in cubes if cube.size])
    sides = halves * camera.focal / camera.width / np.maximum(seen[:, 2], 0.1)
    away = places - np.asarray(camera.location)
    down = np.arctan2(-away[:, 2], np.hypot(away[:, 0], away[:, 1]))
    return np.column_stack([(seen[:, :2] - middle) / camera.width, np.log(sides), down])


def viewing_directions(camera: Camera, cubes: Sequence[SceneObject]) -> Float[np.ndarray, " cubes"]:
    """In which direction on the floor the camera sees each, rad, from the x axis."""
    away = np.array([cube.location for cube in cubes], dtype=float).reshape(-1, 3) - np.asarray(camera.location)
    return np.arctan2(away[:, 1], away[:, 0])


def is_seen_cube(item: SceneObject) -> bool:
    """Whether it is a cube of which a camera says how it is seen."""
    return item.shape == "cube" and item.size in CLEVR_RADIUS and item.location is not None

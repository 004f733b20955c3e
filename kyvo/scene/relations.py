"""Where objects stand to one another: CLEVR's directions and the relations they give.

A relation is meant as the camera sees it: an object is behind another when it is farther along the view on the floor.
CLEVR takes the view of the camera before its jitter, so that all its scenes have the same directions.
"""

from collections.abc import Mapping

import numpy as np

from kyvo.errors import SceneError
from kyvo.scene.scene import Camera, Scene, Vector
from kyvo.scene.schema import clevr_camera

RELATIONS = ("left", "right", "front", "behind")
MARGIN = 0.2  # clevr units; CLEVR's generator does not call an object left of another by less


def view_directions(camera: Camera) -> dict[str, Vector]:
    """Unit vectors of the world frame (+z up) for a camera: CLEVR's six `directions`."""
    right, _, forward = (np.asarray(axis, dtype=float) for axis in camera.rotation)
    behind, rightward = (_unit(vector * (1.0, 1.0, 0.0)) for vector in (forward, right))
    named = {"behind": behind, "right": rightward, "above": np.array((0.0, 0.0, 1.0))}
    opposite = {"front": -named["behind"], "left": -named["right"], "below": -named["above"]}
    return {name: _vector(vector) for name, vector in (named | opposite).items()}


def directions(scene: Scene) -> Mapping[str, Vector]:
    """Those that the scene's `extra` gives, as CLEVR's files do, or else CLEVR's."""
    given = scene.extra.get("directions")
    return CLEVR_DIRECTIONS if given is None else {name: _vector(np.asarray(given[name])) for name in given}


def relationships(scene: Scene, *, margin: float = MARGIN) -> dict[str, list[list[int]]]:
    """CLEVR's `relationships`: under each relation, for each object i, the ascending indices of those that are, seen
    from i, in that direction by more than `margin`.

    Raises SceneError for an object without a location.
    """
    for index, item in enumerate(scene.objects):
        if item.location is None:
            raise SceneError(f"objects[{index}].location is missing; relations need it.")
    places = np.array([item.location for item in scene.objects], dtype=float).reshape(-1, 3)
    apart = places[None] - places[:, None]  # [i, j]: from i to j
    found = {}
    for name in RELATIONS:
        beyond = apart @ np.asarray(directions(scene)[name], dtype=float) > margin
        found[name] = [np.flatnonzero(row).tolist() for row in beyond]
    return found


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


CLEVR_DIRECTIONS = view_directions(clevr_camera(480, 320))

"""`turn_maps`: how the cubes of a scene are turned, on a grid beside the codes of its picture.

Codes of a small picture tell little of a cube's edges. A decoder with `turns` (`VQGANConfig`) takes such a map as well.
Each place near a cube has its coordinates in the cube's own frame: where the ray through it meets the planes of the
cube's top and of its bottom, along the cube's sides and in its half sides. So sides are seen where these are 1 or -1.
The last channel is 1 there. Elsewhere all is 0.

A cube looks alike after a quarter. Of its four frames the one is taken that looks most along the line of sight.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from kyvo.scene.cube_views import cube_views, is_seen_cube, viewing_directions
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import CLEVR_RADIUS

CHANNELS = 5
QUARTER = np.pi / 2
REACH = 1.8  # of a cube around its centre in the picture, in its half sides
FARTHEST = 2.0  # coordinate


def turn_maps(scenes: Sequence[Scene], *, width: int, height: int) -> Float[np.ndarray, "scenes 5 height width"]:
    """The maps of pictures of `width` x `height` px. Nearer cubes hide farther ones.

    A scene without a camera has an empty map, and so has a cube without a turn.
    """
    maps = np.zeros((len(scenes), CHANNELS, height, width), dtype=np.float32)
    for own, scene in zip(maps, scenes, strict=True):
        cubes = [item for item in scene.objects if is_seen_cube(item) and item.turn is not None]
        if scene.camera is not None and cubes:
            _draw(own, scene.camera.resized(width, height), cubes)
    return maps


def _draw(own: Float[np.ndarray, "5 height width"], camera: Camera, cubes: Sequence[SceneObject]) -> None:
    """Writes the cubes, the farthest first."""
    height, width = own.shape[1:]
    rows, columns = np.mgrid[:height, :width] + 0.5
    directions = viewing_directions(camera, cubes)
    turns = np.array([cube.turn for cube in cubes]) % QUARTER - directions
    angles = directions + (turns + QUARTER / 2) % QUARTER - QUARTER / 2
    views = cube_views(camera, cubes)
    depths = camera.project(np.array([cube.location for cube in cubes], dtype=float))[:, 2]
    for index in np.argsort(-depths):
        cube = cubes[index]
        assert cube.location is not None and cube.size is not None
        half = CLEVR_RADIUS[cube.size]
        x, y = width * views[index, :2] + (width / 2, height / 2)
        near = np.hypot(columns - x, rows - y) <= REACH * width * np.exp(views[index, 2])
        pixels = np.column_stack([columns[near], rows[near]])
        axes = np.array(
            [[np.cos(angles[index]), np.sin(angles[index])], [-np.sin(angles[index]), np.cos(angles[index])]]
        )
        for first, plane in ((0, cube.location[2] + half), (2, cube.location[2] - half)):
            met = camera.at_heights(pixels, np.full(len(pixels), plane))[:, :2] - cube.location[:2]
            own[first : first + 2, near] = np.clip(axes @ met.T / half, -FARTHEST, FARTHEST)
        own[4, near] = 1.0

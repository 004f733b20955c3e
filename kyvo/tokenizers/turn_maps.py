"""`turn_maps`: which faces of its cubes a picture shows where, on a grid beside its codes.

Codes of a small picture tell little of how a cube is turned. A decoder with `turns` (`VQGANConfig`) takes such a map as
well. It has a channel for the top of cubes, one for the side that looks most at the camera, and one for the other side
that is seen; each is 1 where that face is.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from kyvo.scene.cube_views import cube_views, is_seen_cube, viewing_directions
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import CLEVR_RADIUS

CHANNELS = 3
QUARTER = np.pi / 2
REACH = 1.8  # of a cube around its centre in the picture, in its half sides


def turn_maps(scenes: Sequence[Scene], *, width: int, height: int) -> Float[np.ndarray, "scenes 3 height width"]:
    """The maps of pictures of `width` x `height` px. Nearer cubes hide farther ones; other objects hide none.

    A scene without a camera has an empty map, and so has a cube without a turn.
    """
    maps = np.zeros((len(scenes), CHANNELS, height, width), dtype=np.float32)
    for own, scene in zip(maps, scenes, strict=True):
        cubes = [item for item in scene.objects if is_seen_cube(item) and item.turn is not None]
        if scene.camera is not None and cubes:
            _draw(own, scene.camera.resized(width, height), cubes)
    return maps


def _draw(own: Float[np.ndarray, "3 height width"], camera: Camera, cubes: Sequence[SceneObject]) -> None:
    """Writes the cubes, the farthest first."""
    height, width = own.shape[1:]
    rows, columns = np.mgrid[:height, :width] + 0.5
    directions = viewing_directions(camera, cubes)
    turns = np.array([cube.turn for cube in cubes]) % QUARTER - directions
    # A cube looks alike after a quarter. Of its four frames the one is taken that looks most along the line of sight.
    angles = directions + (turns + QUARTER / 2) % QUARTER - QUARTER / 2
    views = cube_views(camera, cubes)
    depths = camera.project(np.array([cube.location for cube in cubes], dtype=float))[:, 2]
    for index in np.argsort(-depths):
        x, y = width * views[index, :2] + (width / 2, height / 2)
        near = np.hypot(columns - x, rows - y) <= REACH * width * np.exp(views[index, 2])
        pixels = np.column_stack([columns[near], rows[near]])
        shown = own[:, near]
        faces = _faces(camera, cubes[index], float(angles[index]), pixels)
        shown[:, faces.any(0)] = faces[:, faces.any(0)]
        own[:, near] = shown


def _faces(
    camera: Camera, cube: SceneObject, angle: float, pixels: Float[np.ndarray, "pixels 2"]
) -> Float[np.ndarray, "3 pixels"]:
    """Which face of a cube, whose first axis is at `angle`, the ray through each pixel meets first; all 0 for none."""
    assert cube.location is not None and cube.size is not None
    half, axes = CLEVR_RADIUS[cube.size], np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def met(plane: float) -> Float[np.ndarray, "2 pixels"]:
        """Where the rays meet a horizontal plane, along the cube's axes, in half sides."""
        points = camera.at_heights(pixels, np.full(len(pixels), plane))[:, :2]
        return axes @ (points - cube.location[:2]).T / half  # type: ignore[index]

    top, bottom = met(cube.location[2] + half), met(cube.location[2] - half)
    way = bottom - top
    way = np.where(abs(way) < 1e-9, 1e-9, way)
    ends = np.sort([(-1 - top) / way, (1 - top) / way], axis=0)  # shares of the way down, along each axis
    enters, leaves = np.maximum(ends[0].max(0), 0), np.minimum(ends[1].min(0), 1)
    is_top, is_front = ends[0].max(0) <= 0, ends[0][0] >= ends[0][1]
    faces = np.stack([is_top, ~is_top & is_front, ~is_top & ~is_front])
    return (faces & (enters < leaves)).astype(np.float32)

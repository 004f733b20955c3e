"""`turn_maps`: how the cubes of a scene are turned, on a grid beside the codes of its picture.

Codes of a small picture tell little of a cube's edges. A decoder with `turns` (`VQGANConfig`) takes such a map as well.
The places near a cube's centre have the cosine and the sine of four times its turn, since a cube looks alike after a
quarter, and a 1. The turn is relative to the direction in which the camera sees the cube. Elsewhere all is 0.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from kyvo.scene.cube_views import cube_views, is_seen_cube, viewing_directions
from kyvo.scene.scene import Scene

CHANNELS = 3
REACH = 1.4  # of a cube around its centre, in its half sides: its corners


def turn_maps(scenes: Sequence[Scene], *, width: int, height: int) -> Float[np.ndarray, "scenes 3 height width"]:
    """The maps of pictures of `width` x `height` px. Nearer cubes hide farther ones.

    A scene without a camera has an empty map, and so has a cube without a turn.
    """
    maps = np.zeros((len(scenes), CHANNELS, height, width), dtype=np.float32)
    rows, columns = np.mgrid[:height, :width] + 0.5
    for number, scene in enumerate(scenes):
        cubes = [item for item in scene.objects if is_seen_cube(item) and item.turn is not None]
        if scene.camera is None or not cubes:
            continue
        camera = scene.camera.resized(width, height)
        angles = 4 * (np.array([cube.turn for cube in cubes]) - viewing_directions(camera, cubes))
        depths = camera.project(np.array([cube.location for cube in cubes], dtype=float))[:, 2]
        views = cube_views(camera, cubes)
        for index in np.argsort(-depths):
            x, y = width * views[index, :2] + (width / 2, height / 2)
            near = np.hypot(columns - x, rows - y) <= REACH * width * np.exp(views[index, 2])
            maps[number, :, near] = (np.cos(angles[index]), np.sin(angles[index]), 1.0)
    return maps

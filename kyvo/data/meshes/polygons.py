"""Polygons to triangles that keep their outlines.

A fan from the first corner covers a polygon where all its triangles face the same way; the others are cut by ear
clipping (mapbox_earcut) in the plane of their normal.
"""

import mapbox_earcut
import numpy as np
from jaxtyping import Float, Int


def triangulate(
    points: Float[np.ndarray, "corners 3"], sizes: Int[np.ndarray, " polygons"]
) -> tuple[Int[np.ndarray, "triangles 3"], Int[np.ndarray, " triangles"]]:
    """Corners of each triangle, as rows of `points`, and the polygon that it is of.

    Args:
        points: the polygons' corners, one polygon after another.
        sizes: the number of corners of each. Polygons of fewer than three have no triangle.
    """
    starts = np.cumsum(sizes) - sizes
    triangles, owners = [np.zeros((0, 3), dtype=np.int64)], [np.zeros(0, dtype=np.int64)]

    def add(corners: np.ndarray, polygons: np.ndarray) -> None:
        triangles.append(corners.reshape(-1, 3))
        owners.append(np.repeat(polygons, len(triangles[-1]) // max(len(polygons), 1)))

    for size in np.unique(sizes[sizes >= 3]).tolist():
        which = np.flatnonzero(sizes == size)
        fan = np.stack([np.zeros(size - 2), np.arange(1, size - 1), np.arange(2, size)], axis=1).astype(np.int64)
        if size > 3:
            outlines = points[starts[which, None] + np.arange(size)]
            covers = _fan_covers(outlines)
            for polygon, outline in zip(which[~covers], outlines[~covers], strict=True):
                add(starts[polygon] + _clip_ears(outline, fan), np.array([polygon]))
            which = which[covers]
        add(starts[which, None, None] + fan, which)
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(triangles)[order], owner[order]


def _fan_covers(outlines: Float[np.ndarray, "polygons corners 3"]) -> np.ndarray:
    """Of each polygon, whether no triangle of its fan faces against it."""
    spokes = outlines[:, 1:] - outlines[:, :1]
    areas = np.cross(spokes[:, :-1], spokes[:, 1:])
    normal = areas.sum(1)  # Newell's
    facing = (areas * normal[:, None]).sum(2)
    return (facing >= -1e-9 * (normal**2).sum(1, keepdims=True)).all(1)


def _clip_ears(outline: Float[np.ndarray, "corners 3"], fan: Int[np.ndarray, "triangles 3"]) -> np.ndarray:
    """The triangles of one polygon, facing as it does; the fan for an outline that crosses itself."""
    spokes = outline[1:] - outline[0]
    normal = np.cross(spokes[:-1], spokes[1:]).sum(0)
    drop = int(np.abs(normal).argmax())
    flat = np.ascontiguousarray(outline[:, [(drop + 1) % 3, (drop + 2) % 3]], dtype=np.float64)
    cut = mapbox_earcut.triangulate_float64(flat, np.array([len(flat)], dtype=np.uint32)).reshape(-1, 3)
    first, second = flat[cut[:, 1]] - flat[cut[:, 0]], flat[cut[:, 2]] - flat[cut[:, 0]]
    doubled = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    if not np.isclose(np.abs(doubled).sum(), abs(normal[drop]), rtol=1e-6):
        return fan
    turned = doubled * normal[drop] < 0
    return np.where(turned[:, None], cut[:, ::-1], cut).astype(np.int64)


def strip_triangles(strip: Int[np.ndarray, " corners"]) -> Int[np.ndarray, "triangles 3"]:
    """The triangles of one strip, all facing as the first one does."""
    number = np.arange(max(len(strip) - 2, 0))
    odd = number % 2
    return strip[np.stack([number, number + 1 + odd, number + 2 - odd], axis=1)]

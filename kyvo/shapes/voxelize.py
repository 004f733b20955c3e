"""The cells of a cubic grid that a mesh's surface crosses.

A triangle meets a box where its plane does and its projections along x, y and z meet the box's (Schwarz and Seidel,
https://doi.org/10.1145/1882261.1866201, section 4). The plane is not asked cell by cell: over each column of cells
along the triangle's steepest axis it gives the few cells to look at, so that work follows area and not volume.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

MARGIN = 1e-6  # of the cube's side: corners on its hull belong to the outermost cells, as in TRELLIS
COLUMNS = 1 << 18  # looked at together; the memory needed follows from it
SLACK = 1e-9  # cells: corners that only touch a cell count


def voxelize(triangles: Float[np.ndarray, "faces 3 3"], *, resolution: int = 64) -> Int[np.ndarray, "cells 3"]:
    """The active cells of a mesh in [-1/2, 1/2]^3, in order of x, then y, then z.

    Cell (i, j, k) covers [i, i + 1] / resolution - 1/2 along x, and likewise along y and z. What lies outside the cube
    is drawn to its hull. The cells are those of Open3D's `create_from_triangle_mesh_within_bounds`.
    """
    active = np.zeros(resolution**3, dtype=bool)
    for start in range(0, len(triangles), COLUMNS):
        block = np.clip(triangles[start : start + COLUMNS].astype(np.float64), MARGIN - 0.5, 0.5 - MARGIN)
        corners = (block + 0.5) * resolution
        low, high = np.floor(corners.min(1)).astype(np.int64), np.floor(corners.max(1)).astype(np.int64)
        inside = (low == high).all(1)  # most triangles of a fine mesh lie in one cell
        active[cell_numbers(low[inside], resolution)] = True
        # Triangles without area are edges of their neighbours.
        flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        rest = np.flatnonzero(~inside & (np.abs(flat).max(1) > 1e-12))
        for chunk in _chunks(corners, flat, rest):
            active[cell_numbers(_crossed(corners[chunk], flat[chunk]), resolution)] = True
    return np.stack(np.unravel_index(np.flatnonzero(active), (resolution,) * 3), axis=1).astype(np.int64)


def cell_numbers(cells: Int[np.ndarray, "rows 3"], resolution: int) -> Int[np.ndarray, " rows"]:
    """One number for each cell, in the order of `voxelize`."""
    return (cells[:, 0] * resolution + cells[:, 1]) * resolution + cells[:, 2]


def _chunks(corners: np.ndarray, normals: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The rows in runs of at most COLUMNS columns (or of one triangle)."""
    spans = np.floor(corners[rows].max(1)) - np.floor(corners[rows].min(1)) + 1
    steep = np.abs(normals[rows]).argmax(1)
    columns = spans.prod(1) / np.take_along_axis(spans, steep[:, None], 1)[:, 0]
    number = ((np.cumsum(columns) - columns) // COLUMNS).astype(np.int64)
    yield from np.split(rows, np.flatnonzero(np.diff(number)) + 1)


def _crossed(corners: Float[np.ndarray, "faces 3 3"], normals: Float[np.ndarray, "faces 3"]) -> np.ndarray:
    """The cells that these triangles cross, some of them more than once."""
    # Axes in the order u, v, w, a turn of x, y, z that makes w the steepest.
    order = (np.abs(normals).argmax(1)[:, None] + (1, 2, 0)) % 3
    corners = np.take_along_axis(corners, order[:, None, :], 2)
    normals = np.take_along_axis(normals, order, 1)
    low, high = np.floor(corners.min(1)).astype(np.int64), np.floor(corners.max(1)).astype(np.int64)
    wide = high - low + 1

    face, place = _repeat(wide[:, 0] * wide[:, 1])
    u, v = low[face, 0] + place // wide[face, 1], low[face, 1] + place % wide[face, 1]
    keep = _meets(corners, normals, face, (u, v), (0, 1))
    face, u, v = face[keep], u[keep], v[keep]

    # Where the plane runs over the column's square.
    slope = -normals[:, :2] / normals[:, 2:]
    middle = corners[face, 0, 2] + (slope[face] * (np.stack([u, v], 1) + 0.5 - corners[face, 0, :2])).sum(1)
    reach = np.abs(slope[face]).sum(1) / 2 + SLACK
    first = np.maximum(np.ceil(middle - reach).astype(np.int64) - 1, low[face, 2])
    last = np.minimum(np.floor(middle + reach).astype(np.int64), high[face, 2])
    column, place = _repeat(np.maximum(last - first + 1, 0))
    face, u, v, w = face[column], u[column], v[column], first[column] + place

    for first_axis, second_axis in ((1, 2), (2, 0)):
        cell = (u, v, w)
        keep = _meets(corners, normals, face, (cell[first_axis], cell[second_axis]), (first_axis, second_axis))
        face, u, v, w = face[keep], u[keep], v[keep], w[keep]
    cells = np.empty((len(face), 3), dtype=np.int64)
    np.put_along_axis(cells, order[face], np.stack([u, v, w], 1), 1)
    return cells


def _repeat(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each index as often as its count says, and which time it is."""
    index = np.repeat(np.arange(len(counts)), counts)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)


def _meets(
    corners: np.ndarray, normals: np.ndarray, face: np.ndarray, cells: tuple[np.ndarray, ...], axes: tuple[int, int]
) -> Bool[np.ndarray, " rows"]:
    """Whether the triangle's projection on two axes, the first before the second in their turn, meets a cell's."""
    first, second = axes
    sign = np.sign(normals[:, 3 - first - second])  # 0, a line: everything passes, as the plane says as much
    inside = np.ones(len(face), dtype=bool)
    for number in range(3):
        start, end = corners[:, number], corners[:, (number + 1) % 3]
        across = (start[:, second] - end[:, second]) * sign  # the edge's inward normal
        along = (end[:, first] - start[:, first]) * sign
        best = np.maximum(across, 0) + np.maximum(along, 0) - across * start[:, first] - along * start[:, second]
        inside &= across[face] * cells[0] + along[face] * cells[1] + best[face] >= -SLACK
    return inside

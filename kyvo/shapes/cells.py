"""A mesh as the bundled shape tokenizer takes it: surface features (kyvo/shapes/contour.py) of the cells it crosses.

Which grid edges the surface crosses is found by dropping, for each axis, all grid lines along it onto each triangle.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from kyvo.data.meshes.assets import Asset
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.features import surface_features

STEP = 1 / 128  # features are rounded to it, so that files of them are a third as long
LINES = 1 << 20  # of grid lines and triangles, looked at together
SLACK = 1e-7  # cells: a line through an edge of two triangles hits at least one; a plane on a grid plane is above it


def surface_latent(mesh: Asset, *, resolution: int) -> StructuredLatent:
    """Features of a mesh that lies in the cube (`kyvo.shapes.mesh.normalized`)."""
    coords, feats = surface_features(mesh, resolution=resolution)
    crossed = crossed_edges(mesh.triangles, coords, resolution=resolution)
    features = np.concatenate([feats, np.where(crossed, 1.0, -1.0)], axis=1)
    return StructuredLatent(
        coords=torch.from_numpy(coords.astype(np.int64)),
        feats=torch.from_numpy(np.round(features / STEP) * STEP).float(),
        resolution=resolution,
    )


def crossed_edges(
    triangles: Float[np.ndarray, "faces 3 3"], coords: Int[np.ndarray, "cells 3"], *, resolution: int
) -> Bool[np.ndarray, "cells 3"]:
    """Whether the surface crosses the edges along x, y and z that start at each cell's lowest corner."""
    corners = (triangles.astype(np.float64) + 0.5) * resolution
    numbers = np.ravel_multi_index(tuple(coords.T), (resolution,) * 3)
    crossed = np.zeros((len(coords), 3), dtype=bool)
    for axis in range(3):
        hit = np.zeros(resolution**3, dtype=bool)
        for cells in _cells_of_hits(np.roll(corners, -axis, axis=2), resolution):
            hit[np.ravel_multi_index(tuple(np.roll(cells, axis, axis=1).T), (resolution,) * 3)] = True
        crossed[:, axis] = hit[numbers]
    return crossed


def _cells_of_hits(corners: Float[np.ndarray, "faces 3 3"], resolution: int) -> Iterator[Int[np.ndarray, "hits 3"]]:
    """Cells of the edges that are crossed along the first of the corners' axes."""
    across = corners[:, :, 1:]
    first = np.clip(np.ceil(across.min(1) - SLACK).astype(np.int64), 0, resolution - 1)
    last = np.clip(np.floor(across.max(1) + SLACK).astype(np.int64), -1, resolution - 1)
    wide = np.maximum(last - first + 1, 0)
    counts = wide.prod(1)
    block = (np.cumsum(counts) - counts) // LINES
    for rows in np.split(np.arange(len(corners)), np.flatnonzero(np.diff(block)) + 1):
        face = np.repeat(rows, counts[rows])
        place = np.arange(len(face)) - np.repeat(np.cumsum(counts[rows]) - counts[rows], counts[rows])
        line = np.stack([first[face, 0] + place // wide[face, 1], first[face, 1] + place % wide[face, 1]], 1)
        corner = corners[face]
        edges = np.roll(corner[..., 1:], -1, axis=1) - corner[..., 1:]
        ends = line[:, None] - corner[..., 1:]
        # Twice the areas of the line with each edge; with one sign where the line is inside.
        areas = edges[..., 0] * ends[..., 1] - edges[..., 1] * ends[..., 0]
        total = areas.sum(1)
        inside = (areas * np.sign(total)[:, None] >= -SLACK).all(1) & (np.abs(total) > SLACK)
        weights = np.roll(areas[inside], -1, axis=1) / total[inside, None]  # of each corner: the edge opposite to it
        height = (weights * corner[inside, :, 0]).sum(1)
        cell = np.floor(height + SLACK).astype(np.int64)
        fits = (cell >= 0) & (cell < resolution)
        yield np.column_stack([cell, line[inside]])[fits]

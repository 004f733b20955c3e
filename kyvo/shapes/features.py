"""Surface features of a mesh: point, normal and color in each cell that it crosses. No pictures, no weights.

Points spread evenly over the surface give each cell the mean place, normal and color of the surface inside it; the few
cells without a point, whose corner the surface touches, take those of the surface's nearest point. How far the surface
is from the cell's centre, with its sign, is the offset along the normal.
"""

import numpy as np
from jaxtyping import Float, Int

from kyvo.data.meshes.assets import Asset
from kyvo.data.meshes.mesh_files import to_srgb
from kyvo.data.meshes.mesh_renderer import surface_color
from kyvo.data.meshes.rays import ray_scene
from kyvo.shapes.mesh import areas, surface_points
from kyvo.shapes.voxelize import MARGIN, cell_numbers, voxelize

CHANNELS = 9
POINTS_PER_CELL = 16  # where the surface crosses a cell squarely
MAX_POINTS = 1 << 21


def surface_features(
    mesh: Asset, *, resolution: int = 64
) -> tuple[Int[np.ndarray, "cells 3"], Float[np.ndarray, "cells 9"]]:
    """The active cells of a mesh in the cube (`kyvo.shapes.mesh.normalized`), and nine features of each, float32.

    In this order: from the cell's centre to the mean place of the surface inside it, in cells, within +-1/2 [3]; unit
    normal, outward where the mesh is wound so [3]; sRGB color, in [-1, 1] [3].
    """
    triangles = mesh.triangles
    coords = voxelize(triangles, resolution=resolution)
    count = int(np.clip(np.ceil(areas(triangles).sum() * resolution**2 * POINTS_PER_CELL), 4096, MAX_POINTS))
    faces, weights = surface_points(triangles, count)
    points = (triangles[faces] * weights[..., None]).sum(1)
    normals = face_normals(triangles)

    # The row of each point's cell; a point that rounding put beside the active cells has none.
    numbers = cell_numbers(coords, resolution)
    inside = np.clip(points, MARGIN - 0.5, 0.5 - MARGIN)
    wanted = cell_numbers(((inside + 0.5) * resolution).astype(np.int64), resolution)
    row = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    found = numbers[row] == wanted
    values = np.concatenate([inside, normals[faces], surface_color(mesh, faces, weights[..., None])], axis=1)[found]
    row, faces = row[found], faces[found]
    hits = np.bincount(row, minlength=len(coords))
    feats = np.stack([np.bincount(row, column, minlength=len(coords)) for column in values.T], axis=1)
    feats /= np.maximum(hits, 1)[:, None]

    centers = (coords + 0.5) / resolution - 0.5
    empty = np.flatnonzero(hits == 0)
    if len(empty):
        near = ray_scene(triangles).nearest(centers[empty])
        weights = near.weights[..., None]
        points_on_surface = (triangles[near.triangle] * weights).sum(1)
        color = surface_color(mesh, near.triangle, weights)
        feats[empty] = np.concatenate([points_on_surface, normals[near.triangle], color], axis=1)
    length = np.linalg.norm(feats[:, 3:6], axis=1, keepdims=True)
    # Both sides of a thin wall cancel out; either of them will do.
    one = np.zeros(len(coords), dtype=np.int64)
    one[row] = faces
    normal = np.where(length > 1e-3, feats[:, 3:6] / np.maximum(length, 1e-3), normals[one])
    offset = np.clip((feats[:, :3] - centers) * resolution, -0.5, 0.5)
    color = 2 * to_srgb(np.clip(feats[:, 6:], 0, 1)) - 1
    return coords, np.concatenate([offset, normal, color], axis=1).astype(np.float32)


def face_normals(triangles: Float[np.ndarray, "faces 3 3"]) -> Float[np.ndarray, "faces 3"]:
    """Unit normals; zero for a triangle without area."""
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(cross, axis=1, keepdims=True)
    return np.divide(cross, length, out=np.zeros_like(cross), where=length > 0)

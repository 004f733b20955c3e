"""Meshes in TRELLIS's cube: z up, the box's centre at the origin, the longest side 1 (arXiv 2412.01506, section 3)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from kyvo.data.assets import UP, Asset
from kyvo.data.mesh_files import AssetError, read_mesh

UP_AXES = {".glb": "+y", ".gltf": "+y", ".obj": "+y", ".ply": "+z"}  # glTF's rule, and the custom of the others


def load_shape(path: Path | str, *, up_axis: str | None = None) -> Asset:
    """A GLB, glTF, OBJ or PLY file with its colors and textures, in the cube.

    Args:
        up_axis: the file's, as "+y"; by default the one that its kind of file has.

    Raises:
        AssetError: the file, and what is wrong with it.
    """
    path = Path(path)
    if up_axis is not None and up_axis not in UP:
        raise AssetError(f"up_axis: {up_axis!r} is no axis; known are {', '.join(UP)}.")
    read = read_mesh(path)
    turn = np.array(UP[up_axis or UP_AXES[path.suffix.lower()]], dtype=float)
    try:
        return normalized(
            Asset(
                name=path.stem,
                category="shape",
                triangles=read.triangles @ turn.T,
                colors=read.colors,
                uv=read.uv,
                texture=read.texture,
                textures=read.textures,
            )
        )
    except AssetError as error:
        raise AssetError(f"file: {path}: {error}") from error


def normalized(mesh: Asset) -> Asset:
    """The mesh moved and scaled into the cube. Raises AssetError for one without any area."""
    low, high = mesh.triangles.min((0, 1)), mesh.triangles.max((0, 1))
    longest = float((high - low).max())
    if longest:  # beyond float32's reach there is no direction either
        triangles = (mesh.triangles - (low + high) / 2) / longest
        if areas(triangles).sum() > 1e-9:
            return replace(mesh, triangles=triangles)
    what = "all its corners are one point" if not longest else "its triangles are lines"
    raise AssetError(f"the mesh has {len(mesh.triangles)} triangles and no area: {what}. Export it with its faces.")


def areas(triangles: Float[np.ndarray, "faces 3 3"]) -> Float[np.ndarray, " faces"]:
    """Of each triangle."""
    return np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1) / 2


def surface_points(
    triangles: Float[np.ndarray, "faces 3 3"], count: int
) -> tuple[np.ndarray, Float[np.ndarray, "count 3"]]:
    """`count` places spread evenly over the surface: the triangle of each, and the weights of its corners.

    Triangles have points in proportion to their area, in their order; inside them the points follow the R2 sequence
    (Roberts, 2018), folded into the triangle. Nothing is drawn at random.
    """
    reach = np.cumsum(areas(triangles))
    index = np.arange(count)
    faces = np.minimum(np.searchsorted(reach, (index + 0.5) / count * reach[-1], side="right"), len(triangles) - 1)
    plastic = 1.32471795724474602596
    u, v = (0.5 + index / plastic) % 1, (0.5 + index / plastic**2) % 1
    beyond = u + v > 1
    u, v = np.where(beyond, 1 - u, u), np.where(beyond, 1 - v, v)
    return faces, np.stack([1 - u - v, u, v], axis=1)

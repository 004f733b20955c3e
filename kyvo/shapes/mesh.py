"""Meshes in TRELLIS's cube: z up, the box's centre at the origin, the longest side 1 (arXiv 2412.01506, section 3)."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from kyvo.data.meshes.assets import UP, Asset
from kyvo.data.meshes.mesh_files import AssetError, read_mesh
from kyvo.scene.scene import Vector

UP_AXES = {".glb": "+y", ".gltf": "+y", ".obj": "+y", ".ply": "+z"}  # glTF's rule, and the custom of the others


@dataclass(frozen=True, kw_only=True)
class CubeTransform:
    """From the cube to where a mesh stood before it was normalised, with z up and in its file's units.

    A point p of the cube stood at center + size * (turn @ p). There is a turn only where the caller gave the file's up
    axis.
    """

    center: Vector
    size: float  # of the longest side
    turn: tuple[Vector, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))  # its rows

    @classmethod
    def of(cls, *, center: Any, size: Any, turn: Any) -> "CubeTransform":
        """From arrays or a file's lists. Raises AssetError for what is not finite, has no size or is no rotation."""
        rows = np.array(turn, dtype=float)
        middle = np.array(center, dtype=float)
        if middle.shape != (3,) or not np.isfinite(middle).all():
            raise AssetError(f"place.center: {center} is not three finite numbers.")
        if not 0 < size < np.inf:
            raise AssetError(f"place.size: {size} is no length; it is above 0.")
        if rows.shape != (3, 3) or not np.allclose(rows @ rows.T, np.eye(3)) or np.linalg.det(rows) < 0:
            raise AssetError(f"place.turn: {np.round(rows, 3).tolist()} is no rotation of three rows.")
        return cls(center=tuple(middle.tolist()), size=float(size), turn=tuple(tuple(row) for row in rows.tolist()))

    def to_world(self, points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
        """From the cube to where the mesh stood."""
        return self.size * points @ np.array(self.turn).T + np.array(self.center)

    def to_cube(self, points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
        """Inverse of `to_world`."""
        return (points - np.array(self.center)) @ np.array(self.turn) / self.size


def load_shape(path: Path | str, *, up_axis: str | None = None) -> Asset:
    """A GLB, glTF, OBJ or PLY file with its colors and textures, in the cube.

    Args:
        up_axis: the file's, as "+y"; by default the one that its kind of file has.

    Raises:
        AssetError: the file, and what is wrong with it.
    """
    return load_placed(path, up_axis=up_axis)[0]


def load_placed(path: Path | str, *, up_axis: str | None = None) -> tuple[Asset, CubeTransform]:
    """As `load_shape`, and where the mesh stood."""
    path = Path(path)
    if up_axis is not None and up_axis not in UP:
        raise AssetError(f"up_axis: {up_axis!r} is no axis; known are {', '.join(UP)}.")
    read = read_mesh(path)
    usual = UP_AXES[path.suffix.lower()]
    to_cube, to_world = (np.array(UP[axis], dtype=float) for axis in (up_axis or usual, usual))
    asset = Asset(
        name=path.stem,
        category="shape",
        triangles=read.triangles @ to_cube.T,
        colors=read.colors,
        uv=read.uv,
        texture=read.texture,
        textures=read.textures,
        samplers=read.samplers,
    )
    try:
        mesh = normalized(asset)
    except AssetError as error:
        raise AssetError(f"file: {path}: {error}") from error
    turn = to_world @ to_cube.T
    center, size = box_of(asset)
    return mesh, CubeTransform.of(center=turn @ center, size=size, turn=turn)


def normalized(mesh: Asset) -> Asset:
    """The mesh moved and scaled into the cube. Raises AssetError for one without any area."""
    center, longest = box_of(mesh)
    if longest:  # beyond float32's reach there is no direction either
        triangles = (mesh.triangles - center) / longest
        if areas(triangles).sum() > 1e-9:
            return replace(mesh, triangles=triangles)
    what = "all its corners are one point" if not longest else "its triangles are lines"
    raise AssetError(f"the mesh has {len(mesh.triangles)} triangles and no area: {what}. Export it with its faces.")


def box_of(mesh: Asset) -> tuple[Float[np.ndarray, "3"], float]:
    """The centre of the mesh's box, and its longest side."""
    low, high = mesh.triangles.min((0, 1)), mesh.triangles.max((0, 1))
    return (low + high) / 2, float((high - low).max())


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

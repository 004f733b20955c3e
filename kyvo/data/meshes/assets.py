"""Mesh assets: a folder of mesh files and an `assets.yaml` that says how each of them stands.

    assets:
      - {file: bench.glb, category: bench, up_axis: +y, scale: 1.0, resting_pose: [0, 0, 0]}

`file` and `category` are needed; the rest is as shown unless given, and `name` is the file's stem. `scale` is in scene
units per unit of the file; `resting_pose` turns the asset about x, y, z (radians) after z has been put upwards. An
asset in memory stands upright with its box's centre at the origin. One that is no good is an `AssetError` in the
library's `faults`; the others go on.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float
from scipy.sparse import csr_matrix

from kyvo.data.meshes.mesh_files import AssetError, LooseMesh, read_mesh
from kyvo.scene.scene import Vector

INDEX = "assets.yaml"
MIN_EXTENT, MAX_EXTENT = 0.05, 6.0  # longest side in scene units; CLEVR's floor is 6 wide
SMOOTH_ANGLE = math.radians(40)  # edges sharper than this stay sharp when shaded
UP = {  # rows of the rotation that turns the file's up axis to +z
    "+x": ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    "-x": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    "+y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "-y": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "+z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-z": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Asset(LooseMesh):
    """A mesh that stands upright, in scene units, the centre of its box at the origin."""

    name: str
    category: str

    @cached_property
    def extent(self) -> Vector:
        """Sides of the upright box along x, y, z."""
        x, y, z = np.ptp(self.triangles.reshape(-1, 3), axis=0).tolist()
        return x, y, z

    @cached_property
    def radius(self) -> float:
        """Of the upright cylinder around the origin that holds the asset: no pose about z leaves it."""
        return float(np.linalg.norm(self.triangles[..., :2], axis=-1).max())

    @cached_property
    def normals(self) -> Float[np.ndarray, "faces 3 3"]:
        """Unit normals at the corners, averaged over the faces that meet there at no more than SMOOTH_ANGLE."""
        return corner_normals(self.triangles)


@dataclass(frozen=True, kw_only=True)
class AssetLibrary:
    """Assets by name, in the YAML's order, and the errors of those left out."""

    assets: Mapping[str, Asset]
    faults: tuple[AssetError, ...] = ()

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(asset.category for asset in self.assets.values()))

    def of(self, category: str) -> tuple[Asset, ...]:
        """The assets of a category. Raises AssetError when there are none."""
        found = tuple(asset for asset in self.assets.values() if asset.category == category)
        if not found:
            left_out = f" {len(self.faults)} assets were left out: {self.faults[0]}" if self.faults else ""
            raise AssetError(
                f"the library has no asset of category {category!r}; it has {', '.join(self.categories)}.{left_out}"
            )
        return found


def load_library(folder: Path) -> AssetLibrary:
    """All assets that `folder/assets.yaml` lists; those that are no good are in `faults`.

    Raises AssetError when the YAML is missing or no list of assets, or no asset in it is good.
    """
    index = Path(folder) / INDEX
    try:
        data = yaml.safe_load(index.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise AssetError(f"{index}: not a readable YAML file ({error}).") from error
    rows = data.get("assets") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not rows:
        raise AssetError(f"{index}: `assets` must be a list with at least one asset ({{file: ..., category: ...}}).")
    assets: dict[str, Asset] = {}
    faults = []
    for number, row in enumerate(rows):
        try:
            asset = _load_row(Path(folder), row)
            if asset.name in assets:
                raise AssetError(f"name: {asset.name!r} stands twice; give one of them another `name`.")
            assets[asset.name] = asset
        except AssetError as error:
            faults.append(AssetError(f"{index}: assets[{number}].{error}"))
    if not assets:
        raise AssetError(f"{index}: none of its {len(rows)} assets can be used. The first: {faults[0]}")
    return AssetLibrary(assets=assets, faults=tuple(faults))


def _load_row(folder: Path, row: Any) -> Asset:
    known = ("file", "category", "name", "up_axis", "scale", "resting_pose")
    if not isinstance(row, dict):
        raise AssetError(f"row: a mapping with file and category is needed, but this is {row!r}.")
    for key in row:
        if key not in known:
            raise AssetError(f"{key}: not a field of an asset; known are {', '.join(known)}.")
    for key in ("file", "category"):
        if not isinstance(row.get(key), str) or not row[key]:
            raise AssetError(f"{key}: {row.get(key)!r} is no name; give one.")
    scale = row.get("scale", 1.0)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise AssetError(f"scale: {scale!r} is no positive number.")
    pose = row.get("resting_pose", (0.0, 0.0, 0.0))
    if not (
        isinstance(pose, list | tuple)
        and len(pose) == 3
        and all(isinstance(angle, int | float) and math.isfinite(angle) for angle in pose)
    ):
        raise AssetError(f"resting_pose: {pose!r} is no list of three angles in radians.")
    x, y, z = pose
    return load_asset(
        folder / row["file"],
        category=row["category"],
        name=row.get("name"),
        up_axis=row.get("up_axis", "+y"),
        scale=float(scale),
        resting_pose=(float(x), float(y), float(z)),
    )


def load_asset(
    path: Path,
    *,
    category: str,
    name: str | None = None,
    up_axis: str = "+y",
    scale: float = 1.0,
    resting_pose: Vector = (0.0, 0.0, 0.0),
) -> Asset:
    """One mesh file as an upright asset. Raises AssetError with the file and the field that is wrong."""
    if up_axis not in UP:
        raise AssetError(f"up_axis: {up_axis!r} is no axis; known are {', '.join(UP)}.")
    read = read_mesh(path)
    triangles = read.triangles @ (rotation_matrix(resting_pose) @ np.array(UP[up_axis], dtype=float)).T * scale
    low, high = triangles.min((0, 1)), triangles.max((0, 1))
    longest = float((high - low).max())
    if not MIN_EXTENT <= longest <= MAX_EXTENT:
        fits = f"scale {scale / longest:.3g} makes it 1 long" if longest > 0 else "the mesh is a single point"
        raise AssetError(
            f"scale: {scale:g} makes {path} {longest:.3g} scene units long; "
            f"{MIN_EXTENT:g} to {MAX_EXTENT:g} fit ({fits})."
        )
    return Asset(
        name=name or path.stem,
        category=category,
        triangles=triangles - (low + high) / 2,
        colors=read.colors,
        uv=read.uv,
        texture=read.texture,
        textures=read.textures,
        samplers=read.samplers,
    )


def rotation_matrix(pose: Vector) -> Float[np.ndarray, "3 3"]:
    """The rotation of a pose: about the frame's x first, then its y, then its z. It maps columns."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(pose), np.sin(pose)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def corner_normals(triangles: Float[np.ndarray, "faces 3 3"]) -> Float[np.ndarray, "faces 3 3"]:
    """Unit normals at the corners: the area-weighted mean of the faces around, those across sharp edges left out."""
    area = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    unit = area / np.maximum(np.linalg.norm(area, axis=1, keepdims=True), 1e-12)
    size = max(float(np.ptp(triangles.reshape(-1, 3), axis=0).max()), 1e-12)
    places = np.round(triangles.reshape(-1, 3) / size * 1e5).astype(np.int64)
    _, place = np.unique(places, axis=0, return_inverse=True)
    num_corners = len(places)
    at = csr_matrix((np.ones(num_corners), (np.arange(num_corners), place.reshape(-1))))
    pairs = (at @ at.T).tocoo()  # corners at the same place
    face, other = pairs.row // 3, pairs.col // 3
    near = ((unit[face] * unit[other]).sum(1) >= math.cos(SMOOTH_ANGLE)) | (face == other)
    total = csr_matrix((near[near], (pairs.row[near], other[near])), shape=(num_corners, len(triangles))) @ area
    total = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return total.reshape(-1, 3, 3)

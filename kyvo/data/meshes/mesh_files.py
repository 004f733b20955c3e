"""One mesh file to loose triangles with their colors and textures: the reader of GLB, glTF, OBJ and PLY.

What changes the surface or its color is read or refused by its name; docs/shapes.md lists both. What a file claims to
hold is checked before anything of that size is read: a file larger than MAX_BYTES, or of more than MAX_TRIANGLES
triangles, is refused, and so is one that names something it lacks.
"""

import logging
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from kyvo.data.meshes.gltf_scenes import read_gltf
from kyvo.data.meshes.mesh_parts import (
    MAX_TRIANGLES,
    UNTEXTURED,
    AssetError,
    Fault,
    MeshPart,
    Pixels,
    Sampler,
    to_linear,
    to_srgb,
)
from kyvo.data.meshes.obj_files import read_obj
from kyvo.data.meshes.ply_files import read_ply

__all__ = [
    "MAX_BYTES",
    "MAX_TRIANGLES",
    "READERS",
    "UNTEXTURED",
    "AssetError",
    "LooseMesh",
    "read_mesh",
    "read_parts",
    "to_linear",
    "to_srgb",
]

LOG = logging.getLogger(__name__)

MAX_BYTES = 1 << 30  # of a file
READERS: dict[str, Callable[..., list[MeshPart]]] = {
    ".glb": read_gltf,
    ".gltf": read_gltf,
    ".obj": read_obj,
    ".ply": read_ply,
}
# What readers raise on files that are cut or damaged.
_DAMAGE = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OSError,
    OverflowError,
    RecursionError,
    struct.error,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class LooseMesh:
    """A mesh as triangles that share no corner."""

    triangles: Float[np.ndarray, "faces 3 3"]
    colors: Float[np.ndarray, "faces 3 3"]  # linear RGB in [0, 1] at each corner; multiplies the texture
    uv: Float[np.ndarray, "faces 3 2"]  # (0, 0) is the texture's lower left corner
    texture: Int[np.ndarray, " faces"]  # index into `textures`, -1 for none
    textures: tuple[Pixels, ...] = ()
    samplers: tuple[Sampler, ...] = ()  # of each texture


def read_mesh(path: Path) -> LooseMesh:
    """The mesh in the file's own axes and units. Raises AssetError with the file and what is wrong with it."""
    parts = [part for part in read_parts(path) if part.mode == "triangles" and len(part.faces)]
    if not parts:
        raise AssetError(f"file: {path}: faces: there are none; a triangle mesh is needed, not points or lines.")
    for part in parts:
        broken = int((~np.isfinite(part.vertices)).any(1).sum())
        if broken:
            raise AssetError(
                f"file: {path}: vertices: {broken} of {len(part.vertices)} have a coordinate that is NaN or infinite. "
                "Export the mesh anew."
            )
        if not np.isfinite(part.uv).all() or not np.isfinite(part.colors).all():
            raise AssetError(f"file: {path}: a color or a texture coordinate is NaN or infinite. Export the mesh anew.")
    textures = {id(part.texture): part.texture for part in parts if part.texture is not None}
    numbers = {key: number for number, key in enumerate(textures)}
    number_of = [numbers.get(id(part.texture), -1) for part in parts]
    return LooseMesh(
        triangles=np.concatenate([part.vertices[part.faces] for part in parts]),
        colors=np.concatenate([part.colors for part in parts]),
        uv=np.concatenate([part.uv for part in parts]),
        texture=np.repeat(number_of, [len(part.faces) for part in parts]),
        textures=tuple(texture.pixels for texture in textures.values()),
        samplers=tuple(texture.sampler for texture in textures.values()),
    )


def read_parts(path: Path, *, colors: bool = True) -> list[MeshPart]:
    """The parts of a mesh file in its own axes and units.

    Points and lines among triangles give a warning: they have no surface.

    Args:
        colors: False is for who wants the surface alone: a lost texture is then no fault.

    Raises:
        AssetError: the file, and what is wrong with it.
    """
    if not path.is_file():
        raise AssetError(f"file: {path} does not exist.")
    kind = path.suffix.lower()
    if kind not in READERS:
        raise AssetError(f"file: {path} is of no known kind; known are {', '.join(READERS)}.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise AssetError(
            f"file: {path} is {size / 1e9:.1f} GB large; up to {MAX_BYTES / 1e9:.1f} GB are read. Reduce the mesh."
        )
    try:
        with np.errstate(all="ignore"):  # what overflows is found to be infinite
            parts = READERS[kind](path, colors=colors)
    except Fault as fault:
        raise AssetError(f"file: {path}: {fault}") from fault
    except _DAMAGE as error:
        raise AssetError(f"file: {path} is not a readable {path.suffix} ({type(error).__name__}: {error}).") from error
    _tell_of_the_rest(path, parts)
    return parts


def _tell_of_the_rest(path: Path, parts: Sequence[MeshPart]) -> None:
    modes = {part.mode for part in parts}
    if "triangles" in modes:
        for mode in sorted(modes - {"triangles"}):
            LOG.warning("%s: it has %s beside its triangles; they have no surface and are left out", path, mode)

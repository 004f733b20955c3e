"""What every reader of mesh files gives: parts of one material, with colors and texture coordinates at their corners.

Colors are linear RGB in [0, 1]. Those of a surface point are the corners' colors times the texture there.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

from kyvo.errors import KyvoError

MAX_TRIANGLES = 2_000_000  # of a file: about 0.5 GB in memory
UNTEXTURED = 0.6  # gray of a mesh whose file says no color, linear

Pixels = UInt8[np.ndarray, "height width 3"]  # sRGB
Wrap = Literal["repeat", "mirror", "clamp"]


class AssetError(KyvoError):
    """A mesh file, or its row in the assets' YAML, that cannot be used."""


class Fault(ValueError):
    """Why a mesh file is refused: what was found, as half a sentence, and what to do about it, as a whole one."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """How a texture continues beyond its edges, and whether its texels are blended."""

    wrap_u: Wrap = "repeat"
    wrap_v: Wrap = "repeat"
    nearest: bool = False


REPEAT = Sampler()


@dataclass(frozen=True, kw_only=True, eq=False)
class Texture:
    """A picture and how it is sampled."""

    pixels: Pixels
    sampler: Sampler = REPEAT


@dataclass(frozen=True, kw_only=True, eq=False)
class MeshPart:
    """Triangles, or points or line segments, of one object and one material, in the file's own axes and units."""

    name: str  # of the object; parts of one object share it
    mode: Literal["triangles", "points", "lines"] = "triangles"
    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]  # none but in triangles
    colors: Float[np.ndarray, "faces 3 3"]  # linear, at each corner
    uv: Float[np.ndarray, "faces 3 2"]  # (0, 0) is the texture's lower left corner
    texture: Texture | None = None


def bare_part(name: str, mode: Literal["points", "lines"], vertices: Float[np.ndarray, "vertices 3"]) -> MeshPart:
    """Points or lines, which have no surface."""
    return MeshPart(
        name=name,
        mode=mode,
        vertices=vertices,
        faces=np.zeros((0, 3), dtype=np.int64),
        colors=np.zeros((0, 3, 3)),
        uv=np.zeros((0, 3, 2)),
    )


def check_indices(corners: Int[np.ndarray, " corners"], num_vertices: int, *, first: int = 0) -> None:
    """Raises Fault where a corner is of a vertex that is not there.

    Args:
        first: the number that the file gives its first vertex, for the message.
    """
    lowest, highest = (int(corners.min()), int(corners.max())) if len(corners) else (0, -1)
    if lowest < 0 or highest >= num_vertices:
        index = lowest if lowest < 0 else highest
        raise Fault(f"faces: one names vertex {index + first} of {num_vertices}", "Export the mesh anew.")


def scaled_colors(values: Float[np.ndarray, "rows 3"], kind: str, where: str) -> Float[np.ndarray, "rows 3"]:
    """Colors in [0, 1]. Raises Fault for numbers of no known range."""
    highest = {"u1": 255, "u2": 65535}.get(kind)
    if highest is None:  # floats are in [0, 1]; integers, whatever their type, in 0 to 255
        whole = (values == np.round(values)).all()
        highest = 1 if kind[0] == "f" and not (whole and values.max(initial=0) > 1) else 255
    scaled = values / highest
    if not (scaled >= -1e-3).all() or not (scaled <= 1 + 1e-3).all():
        raise Fault(
            f"colors: {where} go from {values.min():g} to {values.max():g}; 0 to 1, or whole numbers to 255, are read",
            "Export the colors anew.",
        )
    return np.clip(scaled, 0, 1)


def too_many_triangles() -> Fault:
    return Fault(
        f"faces: there are more than {MAX_TRIANGLES:,}, which is the most that is read",
        "Reduce the mesh (Blender's Decimate, or MeshLab's quadric edge collapse).",
    )


def lost_texture(lost: str) -> Fault:
    return Fault(f"texture: {lost}", "Restore it, or export the mesh with its textures embedded.")


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] -> linear light in [0, 1] (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """The way back from `to_linear`."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)

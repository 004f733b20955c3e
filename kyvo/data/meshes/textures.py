"""Texture pictures of mesh files: decoded whole, so that a cut one is found, and sampled."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from kyvo.data.meshes.mesh_parts import Pixels, Sampler, Wrap, lost_texture
from kyvo.errors import ImageError
from kyvo.tokenizers.picture_decoding import FORMATS, decode_picture

TEXTURES = (*FORMATS, "TGA")  # that are read

# Compressed for graphics cards; there is no reader for them here.
_GPU_FORMATS = {b"\xabKTX 20\xbb": "KTX2", b"\xabKTX 11\xbb": "KTX", b"sB\x13\x00": "Basis Universal"}


def decode_texture(source: bytes | Path, where: str) -> Pixels:
    """The picture's colors without its transparency, rows as they are stored: EXIF's orientation is not applied.

    Args:
        where: for messages: "map_Kd of a.mtl names wood.png".

    Raises:
        Fault: the picture is missing, cut, or of a kind that is not read.
    """
    if isinstance(source, Path):
        if not source.is_file():
            raise lost_texture(f"{where}, which is missing")
        source = source.read_bytes()
    for magic, name in _GPU_FORMATS.items():
        if source.startswith(magic):
            raise lost_texture(f"{where}, which is in the format {name}; PNG, JPEG and WebP are read")
    try:
        return decode_picture(source, "it", formats=TEXTURES, texture=True)
    except ImageError as error:
        raise lost_texture(f"{where}, which is no readable picture: {error}") from error


def sample(pixels: Pixels, sampler: Sampler, uv: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 3"]:
    """The texture at (u, v), sRGB in [0, 255]; (0, 0) is its lower left corner."""
    height, width = pixels.shape[:2]
    x, y = uv[:, 0] * width, (1 - uv[:, 1]) * height

    def texel(column: np.ndarray, row: np.ndarray) -> np.ndarray:
        return pixels[_wrapped(row, height, sampler.wrap_v), _wrapped(column, width, sampler.wrap_u)].astype(float)

    if sampler.nearest:
        return texel(np.floor(x).astype(int), np.floor(y).astype(int))
    left, top = np.floor(x - 0.5).astype(int), np.floor(y - 0.5).astype(int)
    right, down = (x - 0.5 - left)[:, None], (y - 0.5 - top)[:, None]
    upper = texel(left, top) * (1 - right) + texel(left + 1, top) * right
    lower = texel(left, top + 1) * (1 - right) + texel(left + 1, top + 1) * right
    return upper * (1 - down) + lower * down


def _wrapped(index: Int[np.ndarray, " points"], size: int, wrap: Wrap) -> Int[np.ndarray, " points"]:
    if wrap == "clamp":
        return np.clip(index, 0, size - 1)
    if wrap == "mirror":
        index = index % (2 * size)
        return np.minimum(index, 2 * size - 1 - index)
    return index % size

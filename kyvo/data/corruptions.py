"""Corruptions of pictures: what files, cameras and people do to them on the way. uint8 [H, W, 3] in and out.

Those of ImageNet-C (https://arxiv.org/abs/1903.12261) are wider; these are what photographs of a scene suffer most.
"""

import io
import zlib
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import UInt8
from PIL import Image

PAD = 120  # px around a picture before it is tilted, so that no corner is empty

Picture = UInt8[np.ndarray, "_ _ 3"]


def jpeg(picture: Picture, quality: int) -> Picture:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def lit(picture: Picture, factor: float) -> Picture:
    """With its sRGB values multiplied."""
    return np.clip(np.rint(picture * factor), 0, 255).astype(np.uint8)


def gray(picture: Picture) -> Picture:
    return np.asarray(Image.fromarray(picture).convert("L").convert("RGB"))


def tilted(picture: Picture, degrees: float) -> Picture:
    """Turned about its middle; the edge's pixels are repeated where the picture ends."""
    height, width = picture.shape[:2]
    padded = Image.fromarray(np.pad(picture, ((PAD, PAD), (PAD, PAD), (0, 0)), mode="edge"))
    return np.asarray(padded.rotate(degrees, Image.Resampling.BICUBIC))[PAD : PAD + height, PAD : PAD + width]


def cropped(picture: Picture, rows: float, columns: float) -> Picture:
    """Without this share of its height at top and bottom each, and of its width at both sides."""
    height, width = picture.shape[:2]
    above, beside = round(height * rows), round(width * columns)
    return picture[above : height - above, beside : width - beside]


def narrow(picture: Picture, width: int) -> Picture:
    """Reduced to `width` px."""
    height = round(width * picture.shape[0] / picture.shape[1])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def noisy(picture: Picture, sigma: float) -> Picture:
    """With Gaussian noise, the same for the same picture."""
    noise = np.random.default_rng(zlib.crc32(picture.tobytes())).normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


CORRUPTIONS: Mapping[str, Callable[[Picture], Picture]] = {
    "JPEG, quality 30": lambda picture: jpeg(picture, 30),
    "JPEG, quality 10": lambda picture: jpeg(picture, 10),
    "brightness 0.75": lambda picture: lit(picture, 0.75),
    "brightness 0.5": lambda picture: lit(picture, 0.5),
    "brightness 1.25": lambda picture: lit(picture, 1.25),
    "grey": gray,
    "tilt of 1 degree": lambda picture: tilted(picture, 1),
    "tilt of 5 degrees": lambda picture: tilted(picture, 5),
    "crop to 16:9": lambda picture: cropped(picture, 0.078, 0),
    "crop to 4:3": lambda picture: cropped(picture, 0, 0.0555),
    "crop of 5 % at each side": lambda picture: cropped(picture, 0.05, 0.05),
    "64 px wide": lambda picture: narrow(picture, 64),
    "noise, sigma 10": lambda picture: noisy(picture, 10),
    "noise, sigma 25": lambda picture: noisy(picture, 25),
}

"""A picture of one object as the flows take it: without its background, cropped to a square around the object.

What is background is said by the picture's own transparency, by a mask file, or by a plain background; nothing is
guessed where none of them fits. As TRELLIS prepares its conditions, the object fills 1 / 1.2 of the square.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy import ndimage
from torch import Tensor

from kyvo.errors import ImageError
from kyvo.tokenizers.pictures import read_picture, read_picture_with_alpha

LARGEST_SIDE = 1024  # px; larger pictures are scaled down first
MARGIN = 1.2  # side of the square in longest sides of the object
SOLID = 204  # alpha, of 255, from which a pixel bounds the object
NEAR = 24.0  # largest distance of a background's pixels from its colour, of 255
PLAIN_SHARE = 0.97  # of the border's pixels that a plain background has near its colour
SMALLEST_SHARE = 0.0005  # of the picture that an object covers; specks are smaller


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectPicture:
    """A square around one object."""

    rgba: UInt8[np.ndarray, "side side 4"]  # straight alpha, 0 outside the object

    def pixels(self, size: int) -> Float[Tensor, "3 size size"]:
        """The object on black, in [0, 1]."""
        alpha = self.rgba[..., 3:].astype(np.float32) / 255
        on_black = np.round(self.rgba[..., :3] * alpha).astype(np.uint8)
        resized = Image.fromarray(on_black).resize((size, size), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255


def read_object_picture(path: Path | str, *, mask: Path | str | None = None) -> ObjectPicture:
    """The object of a picture file.

    Args:
        mask: a picture of the same size, light where the object is.

    Raises:
        ImageError: a file is no picture, the mask has another size, the background is not plain and nothing says where
            the object is, or there is no object.
    """
    rgba = read_picture_with_alpha(path)
    shown = None if mask is None else read_picture(mask)
    try:
        return cut_out(rgba if shown is None else with_mask(rgba, shown))
    except ImageError as error:
        where = path if mask is None else f"{path} with the mask {mask}"
        raise ImageError(f"{where}: {error}") from error


def with_mask(
    rgba: UInt8[np.ndarray, "height width 4"], mask: UInt8[np.ndarray, "rows columns 3"]
) -> UInt8[np.ndarray, "height width 4"]:
    """The picture with a mask's lightness as its opacity. Raises ImageError for a mask of another size."""
    if mask.shape[:2] != rgba.shape[:2]:
        raise ImageError(
            f"its mask has {mask.shape[1]}x{mask.shape[0]} px and the picture {rgba.shape[1]}x{rgba.shape[0]}; a mask "
            "has its picture's size."
        )
    return np.concatenate([rgba[..., :3], mask.mean(2, keepdims=True).astype(np.uint8)], axis=2)


def cut_out(rgba: UInt8[np.ndarray, "height width 4"]) -> ObjectPicture:
    """The object of a picture in memory. Raises ImageError as `read_object_picture` does."""
    image = Image.fromarray(rgba)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    rgba = np.array(image)
    if (rgba[..., 3] == 255).all():
        rgba[..., 3] = 255 * plain_background_cut(rgba[..., :3])
    rows, columns = np.nonzero(rgba[..., 3] >= SOLID)
    if len(rows) < SMALLEST_SHARE * rgba[..., 3].size:
        raise ImageError("it shows no object: what is not background covers nothing. Give another picture or mask.")
    low, high = np.array([rows.min(), columns.min()]), np.array([rows.max(), columns.max()]) + 1
    side = max(1, round(MARGIN * int((high - low).max())))
    top, left = np.round((low + high - side) / 2).astype(int)
    square = image_of(rgba).crop((left, top, left + side, top + side))  # beyond the picture it is transparent
    return ObjectPicture(rgba=np.array(square))


def image_of(rgba: UInt8[np.ndarray, "height width 4"]) -> Image.Image:
    """With nothing where the object is not, so that no background bleeds in when it is resized."""
    return Image.fromarray(np.where(rgba[..., 3:] > 0, rgba, 0).astype(np.uint8))


def plain_background_cut(rgb: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "height width"]:
    """Where the object is, before a background of one colour: what the border does not reach through that colour.

    Raises:
        ImageError: the border has more than one colour.
    """
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]]).astype(float)
    color = np.median(border, axis=0)
    share = (np.linalg.norm(border - color, axis=1) <= NEAR).mean()
    if share < PLAIN_SHARE:
        raise ImageError(
            f"its background is not plain: {1 - share:.0%} of the pixels at its border differ from the others. Give a "
            "mask (light where the object is) or a picture with transparency."
        )
    near = np.linalg.norm(rgb.astype(float) - color, axis=2) <= NEAR
    label: Any = ndimage.label  # scipy's stubs do not know what it returns
    areas, _ = label(near)
    reached = np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))
    shown = ~np.isin(areas, reached[reached > 0])
    parts, _ = label(shown)
    sizes = np.bincount(parts.ravel())
    large = sizes >= SMALLEST_SHARE * shown.size
    large[0] = False
    return large[parts]

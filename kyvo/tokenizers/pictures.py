"""Reading a picture of unknown origin safely: any common format -> uint8 [H, W, 3], or an ImageError.

A picture comes as a file, as a file's bytes, as base64 or a data URI of these, as a PIL image or as an array.
"""

import base64
import binascii
import io
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kyvo.errors import ImageError

MAX_MEGAPIXELS = 100
# Endings of pictures in folders. Pillow does not read HEIC and JPEG XL; such a file is named rather than passed over.
SUFFIXES = (
    ".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".png",
    ".tif", ".tiff", ".webp",
)  # fmt: skip

_DATA_URI = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?P<options>(?:;[\w=.+-]+)*),", re.ASCII | re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{100,}={0,2}\s*")  # longer than most paths
_CHANNELS = (1, 2, 3, 4)  # grey, grey with transparency, RGB, RGBA
_GREY_STEPS = {"1": 255, "L;2": 85, "L;4": 17}  # Pillow's raw modes of fewer than 8 bits -> a step in 0 to 255


def read_picture(path: Path | str) -> np.ndarray:
    """The picture as sRGB uint8 [H, W, 3], upright by its EXIF orientation.

    Grey, palette, CMYK and 16-bit pictures are converted (16 bits are scaled by 257, not clipped); transparency is
    composited on white; of an animation the first frame is read. Raises ImageError for what is no picture, is cut
    short, or has more than 100 megapixels, which is decided from the header before any pixel is decoded.
    """
    path = Path(path)
    if path.is_dir():
        raise ImageError(f"{path} is a directory; give the picture files in it.")
    if not path.is_file():
        raise ImageError(f"{path} does not exist.")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes).")
    return _decode(path, str(path))


def decode_picture(data: bytes, *, name: str = "the picture", formats: Sequence[str] | None = None) -> np.ndarray:
    """As `read_picture`, of a file's bytes.

    Args:
        data: the file.
        name: for messages.
        formats: of Pillow, those that are tried; None for all.
    """
    if not data:
        raise ImageError(f"{name} is empty (0 bytes).")
    return _decode(io.BytesIO(data), name, formats)


def load_picture(source: Any) -> np.ndarray:
    """A picture in any of the ways in which programs hand it over, uint8 [H, W, 3].

    Args:
        source: a path, a file:// address, a data URI, base64, a file's bytes, a PIL image, or an array, uint8, [H, W]
            or [H, W, 1 to 4].

    Raises:
        ImageError: it is no picture, or an address that would have to be downloaded.
    """
    if isinstance(source, bytes | bytearray):
        return decode_picture(bytes(source))
    if isinstance(source, Image.Image):
        return _to_rgb(ImageOps.exif_transpose(source))
    if not isinstance(source, str | os.PathLike):
        return _of_array(np.asarray(source))
    text = os.fspath(source)
    if text[:5].lower() == "data:":
        return decode_picture(decode_base64(text))
    scheme = text.partition("://")[0].lower() if "://" in text[:32] else ""
    if scheme == "file":
        return read_picture(url2pathname(urlsplit(text).path))
    if scheme:
        raise ImageError(f"{text[:200]} is not downloaded; give the picture's file, or the picture itself.")
    if _BASE64.fullmatch(text) and (len(text) > 1000 or not Path(text).is_file()):
        return decode_picture(decode_base64(text))
    return read_picture(text)


def decode_base64(text: str) -> bytes:
    """Base64, or a data URI of it, as bytes; it may be in lines, as MIME has it. Raises ImageError."""
    if text[:5].lower() == "data:":
        head = _DATA_URI.match(text[:200])
        if head is None or ";base64" not in head["options"].lower():
            raise ImageError("the data URI does not begin as data:image/png;base64, does.")
        text = text[head.end() :]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"the picture is not base64 ({error}).") from None


def _decode(file: Path | io.BytesIO, name: str, formats: Sequence[str] | None = None) -> np.ndarray:
    try:
        # Pillow warns of and then refuses large pictures by limits of its own; ours is checked just below.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=formats) as image:
                megapixels = image.width * image.height / 1e6
                if megapixels > MAX_MEGAPIXELS:
                    raise _too_large(name, f"{image.width}x{image.height} px ({megapixels:,.0f} megapixels)")
                _mend_transparency(image)
                return _to_rgb(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        # Pillow refuses the largest in `open` and tells only the number of pixels, in its message.
        num_pixels = int("".join(filter(str.isdigit, str(error).partition("pixels")[0])))
        raise _too_large(name, f"{num_pixels / 1e6:,.0f} megapixels") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a picture in a format Pillow reads; use PNG, JPEG or WebP.") from error
    except Exception as error:  # of any kind: SyntaxError for a broken chunk, ValueError for a large text, struct.error
        raise ImageError(f"{name} is truncated or damaged: {error}. Save or download it again.") from error


def _too_large(name: str, found: str) -> ImageError:
    return ImageError(f"{name} is too large: {found}; the limit is {MAX_MEGAPIXELS} megapixels. Scale it down first.")


def _mend_transparency(image: Image.Image) -> None:
    """Brings the transparent colour of a PNG to the scale of its pixels, which Pillow leaves at that of the file."""
    color = image.info.get("transparency")
    if image.format != "PNG" or not image.tile or isinstance(color, bytes) or color is None:
        return
    mode = image.tile[0][3]
    if mode in _GREY_STEPS:
        image.info["transparency"] = color * _GREY_STEPS[mode]
    elif mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in color)


def _of_array(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _CHANNELS)):
        raise ImageError(f"A picture is uint8 [H, W, 3]; found {array.dtype} {list(array.shape)}.")
    if not array.size:
        raise ImageError(f"A picture has pixels; found {list(array.shape)}.")
    return _to_rgb(Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array))


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        # Pillow opens 16-bit grey as I;16 or I by format and version: both hold 0 to 65,535.
        grey = values / 257.0 if image.mode != "F" else values * (255.0 if values.max() <= 1.0 else 1.0)
        if isinstance(image.info.get("transparency"), int):
            grey[values == image.info["transparency"]] = 255.0
        return np.repeat(np.clip(np.round(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))

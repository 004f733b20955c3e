"""Reading a picture of unknown origin: any common format -> uint8 [H, W, 3], or an ImageError.

A picture comes as a file, as a file's bytes, as base64 or a data URI of these, as a PIL image or as an array. Every
picture of the package goes through `read_picture` or `load_picture`, or, as bytes, through `decode_picture`.
"""

import base64
import binascii
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import numpy as np
from PIL import Image, ImageOps

from kyvo.errors import ImageError
from kyvo.tokenizers.picture_decoding import decode_picture, to_rgb

MAX_BYTES = 2**30  # of a file
# Endings of pictures in folders. Pillow does not read HEIC and JPEG XL; such a file is named rather than passed over.
SUFFIXES = (
    ".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".png",
    ".tif", ".tiff", ".webp",
)  # fmt: skip

_DATA_URI = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?P<options>(?:;[\w=.+-]+)*),", re.ASCII | re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{100,}={0,2}\s*")  # longer than most paths
_CHANNELS = (1, 2, 3, 4)  # grey, grey with transparency, RGB, RGBA


def read_picture(path: Path | str) -> np.ndarray:
    """The picture as `decode_picture` gives it. Raises ImageError, which names the file, for whatever is wrong."""
    return decode_picture(_content(Path(path)), str(path))


def read_picture_with_alpha(path: Path | str) -> np.ndarray:
    """As `read_picture`, uint8 [H, W, 4] with straight alpha: 255 everywhere where the file has no transparency."""
    return decode_picture(_content(Path(path)), str(path), form="rgba")


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"{path} is a directory; give the picture files in it.")
        if not path.is_file():
            raise ImageError(f"{path} does not exist.")
        size = path.stat().st_size
        if size == 0:
            raise ImageError(f"{path} is empty (0 bytes).")
        if size > MAX_BYTES:
            raise ImageError(f"{path} has {size:,} bytes; a picture file may have {MAX_BYTES:,}.")
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror or error}).") from error
    return data


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
        return to_rgb(ImageOps.exif_transpose(source))
    if not isinstance(source, str | os.PathLike):
        array = np.asarray(source)
        if array.dtype == object:
            raise ImageError(f"A picture is a path, bytes, a PIL image or an array; found a {type(source).__name__}.")
        return _of_array(array)
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
    """Base64, or a data URI of it, as bytes. Raises ImageError.

    It may be in lines, as MIME has it; in a URI also in the alphabet of URLs, without padding, and percent-encoded.
    """
    text = "".join(text.split())
    if text[:5].lower() == "data:":
        head = _DATA_URI.match(text[:200])
        if head is None or ";base64" not in head["options"].lower():
            raise ImageError("the data URI does not begin as data:image/png;base64, does.")
        text = unquote(text[head.end() :]).replace("-", "+").replace("_", "/").rstrip("=")
        text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"the picture is not base64 ({error}).") from None


def _of_array(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _CHANNELS)):
        raise ImageError(f"A picture is uint8 [H, W, 3]; found {array.dtype} {list(array.shape)}.")
    if not array.size:
        raise ImageError(f"A picture has pixels; found {list(array.shape)}.")
    return to_rgb(Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array))

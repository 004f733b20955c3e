"""Reading a picture file of unknown origin safely: any common format -> uint8 [H, W, 3], or an ImageError."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kyvo.errors import ImageError

MAX_MEGAPIXELS = 100


def read_picture(path: Path | str) -> np.ndarray:
    """The picture as sRGB uint8 [H, W, 3], upright by its EXIF orientation.

    Grey, palette, CMYK and 16-bit pictures are converted (16 bits are scaled by 257, not clipped); transparency is
    composited on white; of an animation the first frame is read. Raises ImageError for what is no picture, is cut
    short, or has more than 100 megapixels, which is decided from the header before any pixel is decoded.
    """
    return _read(Path(path), _to_rgb)


def read_picture_with_alpha(path: Path | str) -> np.ndarray:
    """As `read_picture`, uint8 [H, W, 4] with straight alpha: 255 everywhere where the file has no transparency."""
    return _read(Path(path), _to_rgba)


def _read(path: Path, convert: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    if path.is_dir():
        raise ImageError(f"{path} is a directory; give the picture files in it.")
    if not path.is_file():
        raise ImageError(f"{path} does not exist.")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes).")
    try:
        # Pillow warns of and then refuses large pictures by limits of its own; ours is checked just below.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                megapixels = image.width * image.height / 1e6
                if megapixels > MAX_MEGAPIXELS:
                    raise _too_large(path, f"{image.width}x{image.height} px ({megapixels:,.0f} megapixels)")
                return convert(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        # Pillow refuses the largest in `open` and tells only the number of pixels, in its message.
        num_pixels = int("".join(filter(str.isdigit, str(error).partition("pixels")[0])))
        raise _too_large(path, f"{num_pixels / 1e6:,.0f} megapixels") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not a picture in a format Pillow reads; use PNG, JPEG or WebP.") from error
    except (OSError, SyntaxError, EOFError) as error:  # Pillow's PNG reader raises SyntaxError for a broken chunk
        raise ImageError(f"{path} is truncated or damaged: {error}. Save or download it again.") from error


def _too_large(path: Path, found: str) -> ImageError:
    return ImageError(f"{path} is too large: {found}; the limit is {MAX_MEGAPIXELS} megapixels. Scale it down first.")


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image).astype(np.float64)
        # Pillow opens 16-bit grey as I;16 or I by format and version: both hold 0 to 65,535.
        grey = grey / 257.0 if image.mode != "F" else grey * (255.0 if grey.max() <= 1.0 else 1.0)
        return np.repeat(np.clip(np.round(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _to_rgba(image: Image.Image) -> np.ndarray:
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA"))
    rgb = _to_rgb(image)
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=2)

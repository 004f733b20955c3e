"""Pictures, scenes and texts as a request carries them -> arrays, scenes and texts.

Nothing here opens a path or a URL of a client.
"""

import base64
import binascii
import io
import re
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from kyvo.errors import ConfigError, ImageError, SceneError
from kyvo.processor import Processor
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema
from kyvo.scene.validate import validate
from kyvo.serving.limits import Limits
from kyvo.tokenizers.image import fit
from kyvo.tokenizers.pictures import read_picture

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # Pillow has readers that start other programs
MAX_FAULTS = 5  # of a scene, told in one answer
_DATA_URI = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?P<options>(?:;[\w=.+-]+)*),", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Reads what a client gives for one model: its schema's scenes, pictures at its size."""

    limits: Limits
    schema: SceneSchema
    size: tuple[int, int]  # width and height of the model's pictures

    @classmethod
    def of(cls, processor: Processor, limits: Limits) -> "Inputs":
        config = processor.image.config
        return cls(limits=limits, schema=processor.schema, size=(config.width, config.height))

    def picture(self, text: str) -> np.ndarray:
        """Base64 or a data URI -> uint8 [height, width, 3] at the model's size, so that none waits at its own."""
        return fit(picture_of(text, self.limits), *self.size)

    def scene(self, data: Mapping[str, Any]) -> Scene:
        """Scene JSON -> scene. Raises SceneError with the places of what does not fit."""
        objects = data.get("objects")
        if isinstance(objects, list) and len(objects) > self.limits.objects:
            raise SceneError(f"scene: objects has {len(objects):,} entries; the limit is {self.limits.objects}.")
        faults = validate(data, self.schema)
        if faults:
            left = len(faults) - MAX_FAULTS
            raise SceneError("scene: " + " ".join(faults[:MAX_FAULTS]) + (f" And {left} more." if left > 0 else ""))
        return scene_from_json(dict(data))

    def text(self, text: str) -> str:
        """The text. Raises ConfigError where it is too long."""
        if len(text) > self.limits.text:
            raise ConfigError(f"the text has {len(text):,} characters; the limit is {self.limits.text:,}.")
        return text.strip()


def picture_of(text: str, limits: Limits) -> np.ndarray:
    """Base64, or a data URI of it -> uint8 [height, width, 3]. Raises ImageError saying what is wrong."""
    if not text.startswith("data:") and "://" in text[:32]:
        raise ImageError("this server opens no URL; send the picture itself, as base64 or a data URI.")
    if text.startswith("data:"):
        head = _DATA_URI.match(text[:200])
        if head is None or ";base64" not in head["options"]:
            raise ImageError("the data URI does not begin as data:image/png;base64, does.")
        text = text[head.end() :]
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"the picture is not base64 ({error}).") from None
    return picture_of_bytes(data, limits)


def picture_of_bytes(data: bytes, limits: Limits) -> np.ndarray:
    """A picture file's content -> uint8 [height, width, 3]; its size is read from the header before any pixel is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        raise ImageError(f"the picture has more than {limits.megapixels:g} megapixels; scale it down first.") from None
    except (OSError, SyntaxError, ValueError, EOFError):  # UnidentifiedImageError is an OSError
        raise ImageError(f"this is not a picture of a kind that is read here: {', '.join(FORMATS)}.") from None
    if width * height > limits.megapixels * 1e6:
        raise ImageError(
            f"the picture has {width} x {height} px; the limit is {limits.megapixels:g} megapixels. Scale it down."
        )
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            return read_picture(file.name)
        except ImageError as error:
            raise ImageError(str(error).replace(file.name, "the picture")) from None


def png_bytes(picture: np.ndarray | Image.Image) -> bytes:
    """The file of a picture, uint8 [height, width, 3]."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def data_uri(picture: np.ndarray) -> str:
    """The picture as `data:image/png;base64,...`; inverse of `picture_of`."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(picture)).decode()

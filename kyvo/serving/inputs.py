"""Pictures, scenes and texts as a request carries them -> arrays, scenes and texts.

Nothing here opens a path or a URL of a client.
"""

import base64
import io
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
from kyvo.tokenizers.image import Fitted
from kyvo.tokenizers.picture_decoding import Form, decode_picture
from kyvo.tokenizers.pictures import decode_base64

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
PATIENCE = 1.0  # s that a picture waits for its turn where its decoding is not known to be cheap
MAX_FAULTS = 5  # of a scene, listed in one answer


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

    def picture(self, text: str) -> Fitted:
        """Base64 or a data URI -> a picture at the model's size, so that none waits at its own."""
        return self.fit(picture_of(text, self.limits))

    def fit(self, picture: np.ndarray) -> Fitted:
        """A picture, uint8 [H, W, 3], at the model's size."""
        return Fitted.of(picture, *self.size)

    def scene(self, data: Mapping[str, Any]) -> Scene:
        """Scene JSON -> scene, also with values that the model has no numbers for. Raises SceneError with the places
        of what does not fit."""
        return self._scene(data, None)

    def drawable(self, data: Mapping[str, Any]) -> Scene:
        """The same for a scene that the model has to read: each value needs a number or a word of the schema."""
        return self._scene(data, self.schema)

    def _scene(self, data: Mapping[str, Any], schema: SceneSchema | None) -> Scene:
        objects = data.get("objects")
        if isinstance(objects, list) and len(objects) > self.limits.objects:
            raise SceneError(f"scene: objects has {len(objects):,} entries; the limit is {self.limits.objects}.")
        faults = validate(data, schema)
        if faults:
            left = len(faults) - MAX_FAULTS
            raise SceneError("scene: " + " ".join(faults[:MAX_FAULTS]) + (f" And {left} more." if left > 0 else ""))
        return scene_from_json(dict(data))

    def text(self, text: str) -> str:
        """The text. Raises ConfigError where it is too long."""
        if len(text) > self.limits.text:
            raise ConfigError(f"the text has {len(text):,} characters; the limit is {self.limits.text:,}.")
        return text.strip()


def picture_of(text: str, limits: Limits, *, form: Form = "rgb") -> np.ndarray:
    """Base64, or a data URI of it -> the picture, as of `decode_picture`. Raises ImageError saying what is wrong."""
    if text[:5].lower() != "data:" and "://" in text[:32]:
        raise ImageError("this server opens no URL; send the picture itself, as base64 or a data URI.")
    return picture_of_bytes(decode_base64(text), limits, form=form)


def picture_of_bytes(data: bytes, limits: Limits, *, form: Form = "rgb") -> np.ndarray:
    """A picture file's content, as of `decode_picture`; its size is read from the header before any pixel is."""
    return decode_picture(
        data,
        "the picture",
        formats=FORMATS,
        max_megapixels=limits.megapixels,
        seconds=limits.picture_seconds,
        patience=PATIENCE,
        form=form,
    )


def png_bytes(picture: np.ndarray | Image.Image) -> bytes:
    """The file of a picture, uint8 [height, width, 3]."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def data_uri(picture: np.ndarray) -> str:
    """The picture as `data:image/png;base64,...`; inverse of `picture_of`."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(picture)).decode()

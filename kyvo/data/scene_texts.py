"""`SceneText`: a text that a scene is made of, where other scenes are made of a picture."""

import textwrap
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from kyvo.data.scene_pictures import MAX_OBJECTS
from kyvo.errors import ConfigError
from kyvo.shapes.scene_texts import object_phrases

SIDE, LETTERS = 192, 28  # px of the sheet's picture; letters of its lines


@dataclass(frozen=True, kw_only=True)
class SceneText:
    """A text, and what it says of each object."""

    text: str
    phrases: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> "SceneText":
        """Raises ConditionError for an empty text, and ConfigError for one of too many objects."""
        phrases = object_phrases(text)
        if len(phrases) > MAX_OBJECTS:
            raise ConfigError(f"the text names {len(phrases)} objects; a scene has at most {MAX_OBJECTS}. Shorten it.")
        return cls(text=text.strip(), phrases=tuple(phrases))

    def __len__(self) -> int:
        return len(self.phrases)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the objects: number and phrase, as two chairs are two objects."""
        return tuple(f"{number} {phrase}" for number, phrase in enumerate(self.phrases))

    @property
    def rgb(self) -> UInt8[np.ndarray, "height width 3"]:
        """What stands for the picture on a sheet: the words on white."""
        sheet = Image.new("RGB", (SIDE, SIDE), "white")
        ImageDraw.Draw(sheet).multiline_text((8, 8), "\n".join(textwrap.wrap(self.text, LETTERS)), fill="black")
        return np.asarray(sheet)

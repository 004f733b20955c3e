"""Scenes in words: the texts of a row of `kyvo data scenes`, and the objects that a text names.

    a red cup on a brown table beside a chair

An object is said by its kind, and mostly by its main color; "on" and "beside" say how objects stand.
"""

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from kyvo.data.meshes.captions import COLORS, color_name
from kyvo.data.scene_pictures import MAX_OBJECTS
from kyvo.errors import ConfigError
from kyvo.models.flow.conditions import checked_text
from kyvo.models.flow.small_encoders import split_words
from kyvo.shapes.contour import COLOR

if TYPE_CHECKING:
    from kyvo.shapes.scene_flow_data import SceneRow  # needs the extra that reads sets

ON, BESIDE = "on", "beside"
PARTING = re.compile(
    r"(?:\s*[,;]|(?=\s))\s*(?:and\s+)?\b(?:on top of|on|beside|next to)\s+"
    r"|\s*[,;]\s*(?:and\s+)?"
    r"|\s+and\s+(?=(?:an?|the)\s)",
    re.IGNORECASE,
)
COLORED = 0.8  # share of objects whose color is said
NUM_CELLS = 64  # of an object, that its main color is looked for in
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


def object_phrases(text: str) -> list[str]:
    """What a text says of each object, in its order. Raises ConditionError for an empty text."""
    return [phrase for phrase in PARTING.split(checked_text(text)) if phrase.strip()]


def row_texts(row: "SceneRow", rng: np.random.Generator) -> list[str]:
    """The text of a row's scene, and of each object in the row's order."""
    phrases = [_phrase(category, feats.numpy(), rng) for category, feats in zip(row.categories, row.feats, strict=True)]
    carried = {below: number for number, below in enumerate(row.on) if below is not None}
    standing = [
        f"{phrases[carried[number]]} {ON} {phrase}" if number in carried else phrase
        for number, phrase in enumerate(phrases)
        if row.on[number] is None
    ]
    said = f" {BESIDE} ".join(standing[index] for index in rng.permutation(len(standing)))
    return [said, *phrases]


def scene_words(categories: Iterable[str]) -> list[str]:
    """All words of such texts."""
    return sorted({word for text in ("a an", ON, BESIDE, *COLORS, *categories) for word in split_words(text)})


def _phrase(category: str, feats: Float[np.ndarray, "cells channels"], rng: np.random.Generator) -> str:
    words = f"{_main_color(feats, rng)} {category}" if rng.random() < COLORED else category
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _main_color(feats: Float[np.ndarray, "cells channels"], rng: np.random.Generator) -> str:
    """The name that most of the cells' colors have."""
    chosen = feats[rng.integers(len(feats), size=NUM_CELLS), COLOR]
    names = [color_name(color) for color in ((chosen + 1) * 127.5).tolist()]
    return max(COLORS, key=names.count)

"""Exposure correction: pictures that are too dark or too bright get the brightness of the training pictures.

All pictures of one studio have the same background behind the objects. Its brightness, the median over the upper rows,
tells how a picture was exposed. Pictures within the tolerance stay as they are, so usual pictures lose nothing. A model
folder has the figures in `exposure.json`, written by `eval/in_domain.py`; they are of pictures it was fitted on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from kyvo.errors import CheckpointError
from kyvo.files import read_json_object
from kyvo.scene.files import write_json

FILE = "exposure.json"
UPPER = 0.25  # of the rows: the background, with few objects before it
LARGEST_GAIN = 3.0  # a picture that is farther off has another background, and stays as it is

Picture = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """The background that a model's pictures have."""

    background: float  # mean of the channels, sRGB, 0 to 255
    tolerance: float = 0.05  # share of it, within which a picture stays as it is

    def apply(self, picture: Picture) -> tuple[Picture, str | None]:
        """The picture at the model's brightness, and what is to be said of the change; None where there is none."""
        found = background(picture)
        gain = self.background / max(found, 1e-3)
        if abs(found / self.background - 1) <= self.tolerance or not 1 / LARGEST_GAIN <= gain <= LARGEST_GAIN:
            return picture, None
        lit = np.clip(np.rint(picture * gain), 0, 255).astype(np.uint8)
        return (
            lit,
            f"it is {1 / gain:.2f} times as bright as the model's pictures: its values were multiplied by {gain:.2f}",
        )

    @classmethod
    def fit(cls, pictures: Sequence[Picture]) -> "Exposure":
        """The median background of pictures that the model knows."""
        return cls(background=round(float(np.median([background(picture) for picture in pictures])), 1))

    def save(self, folder: str | Path, about: Mapping[str, Any]) -> None:
        """Writes `exposure.json`; `about` says what it was fitted on."""
        write_json({**asdict(self), **about}, Path(folder) / FILE)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Exposure | None":
        """That of a model folder; None for a folder without one. Raises CheckpointError for a bad file."""
        path = Path(folder) / FILE
        if not path.is_file():
            return None
        data = read_json_object(path)
        try:
            found = cls(background=float(data["background"]), tolerance=float(data["tolerance"]))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise CheckpointError(f"{path}: no exposure ({error}); make it again by eval/in_domain.py.") from error
        if not (0 < found.background <= 255 and found.tolerance >= 0 and math.isfinite(found.tolerance)):
            raise CheckpointError(f"{path}: background must be above 0 and at most 255, tolerance 0 or more.")
        return found


def background(picture: Picture) -> float:
    """How bright the upper rows are: the median of the pixels' mean over the channels."""
    return float(np.median(picture[: max(1, round(UPPER * len(picture)))].mean(-1)))

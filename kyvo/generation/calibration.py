"""Calibrated confidences: of the objects with confidence 0.7, seven in ten are right.

A model's probabilities tell which objects it is surer of, but not how often it is right: those of a list of tokens say
nothing of a list that is wrong from its start. Platt's scaling, `p -> sigmoid(scale * logit(p) + shift)`, is fitted on
pictures that the model was not trained on (J. Platt, Probabilistic outputs for support vector machines, 1999). It
keeps the order of confidences, and its two numbers need some hundred objects. A model folder has them in
`calibration.json`, written by eval/calibration.py.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.errors import CheckpointError, ConfigError
from kyvo.files import read_json_object
from kyvo.scene.files import write_json

FILE = "calibration.json"
NUM_BINS = 10
_EDGE = 1e-6  # confidences are moved this far into (0, 1), where the logit is finite


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A rising map of [0, 1] into itself; by default each confidence stays."""

    scale: float = 1.0
    shift: float = 0.0

    def apply(self, confidences: Sequence[float]) -> list[float]:
        """How probable it is that objects of these confidences are right."""
        if self == Calibration():
            return list(confidences)
        return (1 / (1 + np.exp(-(self.scale * _logit(confidences) + self.shift)))).tolist()

    @classmethod
    def fit(cls, confidences: Sequence[float], right: Sequence[bool]) -> "Calibration":
        """The likeliest of held-out objects, with Platt's targets: not quite 0 and 1, so that few objects do not
        make it certain. Raises ConfigError for objects of which none, or all, are right."""
        from scipy.optimize import minimize

        logits, labels = _logit(confidences), np.asarray(right, dtype=bool)
        if labels.all() or not labels.any():
            raise ConfigError(f"{int(labels.sum())} of {len(labels)} objects are right; fitting needs some of both.")
        high, low = (labels.sum() + 1) / (labels.sum() + 2), 1 / ((~labels).sum() + 2)
        targets = np.where(labels, high, low)

        def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
            z = numbers[0] * logits + numbers[1]
            apart = 1 / (1 + np.exp(-z)) - targets
            return float(np.mean(np.logaddexp(0, z) - targets * z)), np.array([np.mean(apart * logits), apart.mean()])

        found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(1e-3, 50), (-50, 50)])
        return cls(scale=float(found.x[0]), shift=float(found.x[1]))

    def save(self, folder: str | Path, about: Mapping[str, Any]) -> None:
        """Writes `calibration.json`; `about` says how it was fitted and how good it is."""
        write_json({"scale": self.scale, "shift": self.shift, **about}, Path(folder) / FILE)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Calibration":
        """That of a model folder; without a file, one that changes nothing. Raises CheckpointError for a bad one."""
        path = Path(folder) / FILE
        if not path.is_file():
            return cls()
        data = read_json_object(path)
        try:
            found = cls(scale=float(data["scale"]), shift=float(data["shift"]))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise CheckpointError(f"{path}: no calibration ({error}); make it again by eval/calibration.py.") from error
        if not (found.scale > 0 and math.isfinite(found.scale) and math.isfinite(found.shift)):
            raise CheckpointError(f"{path}: scale is {found.scale} and shift {found.shift}; a scale above 0 is needed.")
        return found


def expected_calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """How far confidence and share of right objects are apart, in [0, 1]: over ten equal bins, weighted by objects.

    That of M. Pakdaman Naeini et al., 2015 (https://doi.org/10.1609/aaai.v29i1.9602).
    """
    sure, labels = np.asarray(confidences, dtype=float), np.asarray(right, dtype=float)
    bins = np.minimum((sure * NUM_BINS).astype(int), NUM_BINS - 1)
    return float(sum(abs((sure - labels)[bins == index].sum()) for index in range(NUM_BINS)) / max(len(sure), 1))


def reliability(confidences: Sequence[float], right: Sequence[bool]) -> list[dict[str, float]]:
    """The bins that hold objects: their number, mean confidence and share of right ones."""
    sure, labels = np.asarray(confidences, dtype=float), np.asarray(right, dtype=float)
    bins = np.minimum((sure * NUM_BINS).astype(int), NUM_BINS - 1)
    return [
        {
            "from": index / NUM_BINS,
            "objects": int((bins == index).sum()),
            "confidence": float(sure[bins == index].mean()),
            "right": float(labels[bins == index].mean()),
        }
        for index in np.unique(bins).tolist()
    ]


def _logit(confidences: Sequence[float]) -> np.ndarray:
    inside = np.clip(np.asarray(confidences, dtype=float), _EDGE, 1 - _EDGE)
    return np.log(inside / (1 - inside))

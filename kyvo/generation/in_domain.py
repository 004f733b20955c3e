"""The in-domain check: a score in [0, 1] of how like a picture is to the model's training pictures.

A model recognises something in every picture; photographs and drawings get objects of high confidence too. Four kinds
of evidence tell them apart:

- the image tokenizer's own error: how far the picture's latents are from the codes that stand for them;
- the recognised scene, ray-traced, against the picture: over all, in the worst region, and in the pattern of light;
- how improbable the language model found the objects that it wrote.

The picture's brightness as a whole counts for nothing. A logistic regression weighs the evidence (`eval/in_domain.py`).
A model folder has its weights and its threshold in `in_domain.json`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from kyvo.data.clevr.sampling import render_scenes
from kyvo.errors import CheckpointError, ConfigError
from kyvo.files import read_json_object
from kyvo.scene.files import write_json
from kyvo.scene.scene import Scene

FILE = "in_domain.json"
EVIDENCE = ("code_error", "difference", "worst_region", "pattern", "surprise")
WIDTH = 60  # px, at which picture and rendering are compared: half of what the bundled model sees
REGIONS = (5, 8)  # rows and columns of them
DARKEST = 0.02  # mean value in [0, 1]; differences are in proportion to a picture's brightness, but not below this
_EDGE = 0.01  # added before the logarithm, so that no evidence is endless
_PENALTY = 1e-3  # on the squares of the weights of standardised evidence, against its mean log-likelihood

Evidence = Float[np.ndarray, "pictures evidence"]


@dataclass(frozen=True, kw_only=True)
class InDomain:
    """Weights of the evidence, and the score below which a picture gets a warning."""

    weights: Mapping[str, float]  # by the names of EVIDENCE
    shift: float
    threshold: float = 0.5

    def scores(self, evidence: Evidence) -> list[float]:
        """The score of each picture."""
        weights = np.array([self.weights[name] for name in EVIDENCE])
        return (1 / (1 + np.exp(-np.clip(evidence @ weights + self.shift, -50, 50)))).tolist()

    def warnings(self, score: float) -> tuple[str, ...]:
        """What is to be said of a picture with this score; nothing of most."""
        if score >= self.threshold:
            return ()
        return (
            f"the picture is unlike those that the model knows (score {score:.2f}, below {self.threshold:g}): "
            "its objects may be made up",
        )

    @classmethod
    def fit(cls, evidence: Evidence, known: Sequence[bool], *, threshold: float = 0.5) -> "InDomain":
        """The likeliest weights where both kinds count alike, whatever their numbers.

        Raises ConfigError for pictures that are all of one kind.
        """
        from scipy.optimize import minimize

        labels = np.asarray(known, dtype=bool)
        if labels.all() or not labels.any():
            raise ConfigError(f"{int(labels.sum())} of {len(labels)} pictures are known; fitting needs some of both.")
        means, scales = evidence.mean(0), evidence.std(0) + 1e-9
        inputs = np.column_stack([(evidence - means) / scales, np.ones(len(evidence))])
        shares = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())

        def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
            z, penalised = inputs @ numbers, np.append(numbers[:-1], 0)
            apart = shares * (1 / (1 + np.exp(-z)) - labels)
            value = np.sum(shares * (np.logaddexp(0, z) - labels * z)) + _PENALTY * np.sum(penalised**2)
            return float(value), inputs.T @ apart + 2 * _PENALTY * penalised

        bounds = [(None, 0.0)] * len(EVIDENCE) + [(None, None)]  # what speaks against a picture never speaks for it
        found = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x
        weights = found[:-1] / scales
        return cls(
            weights=dict(zip(EVIDENCE, weights.tolist(), strict=True)),
            shift=float(found[-1] - weights @ means),
            threshold=threshold,
        )

    def save(self, folder: str | Path, about: Mapping[str, Any]) -> None:
        """Writes `in_domain.json`; `about` says what it was fitted on and how well it tells pictures apart."""
        write_json({**asdict(self), **about}, Path(folder) / FILE)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "InDomain | None":
        """That of a model folder; None for a folder without one. Raises CheckpointError for a bad file."""
        path = Path(folder) / FILE
        if not path.is_file():
            return None
        data = read_json_object(path)
        try:
            weights = {name: float(data["weights"][name]) for name in EVIDENCE}
            found = cls(weights=weights, shift=float(data["shift"]), threshold=float(data["threshold"]))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise CheckpointError(
                f"{path}: no in-domain score ({error}); make it again by eval/in_domain.py."
            ) from error
        if not (all(map(math.isfinite, (*weights.values(), found.shift))) and 0 <= found.threshold <= 1):
            raise CheckpointError(f"{path}: weights and shift must be finite, and the threshold within 0 and 1.")
        return found


def gather(
    pictures: Sequence[UInt8[np.ndarray, "height width 3"]],
    code_errors: Float[np.ndarray, " pictures"],
    scenes: Sequence[Scene],
) -> Evidence:
    """The evidence on pictures that were recognised, all of it larger where a picture is less like the model's.

    Args:
        pictures: at the model's size.
        code_errors: as of `ImageTokenizer.quantize`.
        scenes: as recognised, with the cameras that were read.

    Raises SceneError for scenes that the ray tracer cannot draw.
    """
    height = round(WIDTH * pictures[0].shape[0] / pictures[0].shape[1])
    drawn = render_scenes(scenes, width=WIDTH, height=height, samples=1)
    rows = [
        (error, *_disagreement(_shrunk(picture, height), rendering / 255), _surprise(scene))
        for picture, error, rendering, scene in zip(pictures, code_errors, drawn, scenes, strict=True)
    ]
    return np.log(np.array(rows) + _EDGE)


def _disagreement(picture: np.ndarray, rendering: np.ndarray) -> tuple[float, float, float]:
    """How far a picture is from its rendering, both in [0, 1]: over all, in the worst region, and in pattern."""
    gain = np.sum(picture * rendering) / np.sum(rendering**2)
    apart = np.abs(picture - gain * rendering) / max(float(picture.mean()), DARKEST)
    worst = max(float(part.mean()) for row in np.array_split(apart, REGIONS[0]) for part in _columns(row))
    light, expected = (one.mean(-1) - one.mean() for one in (picture, rendering))
    alike = np.sum(light * expected) / (np.sqrt(np.sum(light**2) * np.sum(expected**2)) + 1e-6)
    return float(np.sqrt(np.mean(apart**2))), worst, float(1 - alike)


def _columns(row: np.ndarray) -> list[np.ndarray]:
    return np.array_split(row, REGIONS[1], axis=1)


def _surprise(scene: Scene) -> float:
    """Mean negative logarithm of the objects' confidences; 1 where there is no object, which is rare."""
    sure = [item.confidence for item in scene.objects if item.confidence is not None]
    return float(-np.mean(np.log(np.clip(sure, 1e-6, 1)))) if sure else 1.0


def _shrunk(picture: np.ndarray, height: int) -> np.ndarray:
    """A picture at the size of comparison, in [0, 1]."""
    return np.asarray(Image.fromarray(picture).resize((WIDTH, height), Image.Resampling.BOX)) / 255

"""How well predicted scenes agree with the truth: the Jaccard index of Kyvo's paper, and what explains it.

The protocol is that of https://arxiv.org/abs/2506.08002: predicted objects, in their order, each take the first
unmatched true object, in its order, whose attributes agree and which is nearer than tau (strictly); a scene scores
tp / (tp + fp + fn), and the figure is the mean over scenes, then over taus. It depends on the objects' order, so the
same index under the best possible matching stands beside it; that one is never lower.

One deviation: where prediction and truth are both empty, nothing is wrong and the score is 1 (the released script
gives -1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from kyvo.errors import SceneError
from kyvo.scene.scene import Scene, SceneObject

CLEVR_TAUS = (0.05, 0.10, 0.15, 0.20, 0.25)  # clevr units


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """When a predicted object may stand for a true one."""

    attributes: tuple[str, ...]  # must be equal
    axes: tuple[int, ...] = (0, 1, 2)  # of `location`, that the distance is taken over

    def agrees(self, predicted: SceneObject, truth: SceneObject) -> bool:
        """Whether all attributes are equal."""
        return all(predicted.get(name) == truth.get(name) for name in self.attributes)

    def distances(self, predicted: Scene, truth: Scene) -> np.ndarray:
        """Euclidean distances [predicted, true] along `axes`."""
        ours, theirs = (self._points(scene) for scene in (predicted, truth))
        return np.sqrt(((ours[:, None] - theirs[None]) ** 2).sum(-1))

    def matches(self, predicted: Scene, truth: Scene, tau: float) -> np.ndarray:
        """Which pairs may match: bool [predicted, true]."""
        agree = [[self.agrees(item, true) for true in truth.objects] for item in predicted.objects]
        return np.asarray(agree, dtype=bool).reshape(len(predicted), len(truth)) & (
            self.distances(predicted, truth) < tau
        )

    def _points(self, scene: Scene) -> np.ndarray:
        for index, item in enumerate(scene.objects):
            if item.location is None:
                raise SceneError(f"objects[{index}].location is missing; the distance needs it.")
        points = np.asarray([item.location for item in scene.objects], dtype=float).reshape(-1, 3)
        return points[:, list(self.axes)]


CLEVR = Criterion(attributes=("shape", "size", "color", "material"), axes=(0, 1))


@dataclass(frozen=True, kw_only=True)
class SceneScores:
    """Scores over a set of scenes. Those that no pair informs are None."""

    num_scenes: int
    jaccard: float  # mean over scenes and taus
    jaccard_by_tau: dict[float, float]
    optimal_jaccard: float  # the same under the best matching
    attribute_accuracy: dict[str, float] | None  # over nearest pairs closer than the largest tau
    position_error: float | None  # mean distance over nearest pairs, however far
    count_accuracy: float  # share of scenes with the true number of objects


def jaccard(predicted: Scene, truth: Scene, *, tau: float, criterion: Criterion = CLEVR) -> float:
    """The paper's index of one scene, in [0, 1].

    Args:
        tau: the distance, in the scenes' units, below which a pair may match.
    """
    free = np.ones(len(truth), dtype=bool)
    for row in criterion.matches(predicted, truth, tau):
        candidates = np.flatnonzero(row & free)
        if len(candidates):
            free[candidates[0]] = False
    return _index(int((~free).sum()), predicted, truth)


def optimal_jaccard(predicted: Scene, truth: Scene, *, tau: float, criterion: Criterion = CLEVR) -> float:
    """The index of one scene under the matching with most pairs; it does not depend on the objects' order."""
    matches = criterion.matches(predicted, truth, tau)
    pairs = linear_sum_assignment(matches, maximize=True)
    return _index(int(matches[pairs].sum()), predicted, truth)


def mean_jaccard(
    predictions: Sequence[Scene],
    truths: Sequence[Scene],
    *,
    taus: Sequence[float] = CLEVR_TAUS,
    criterion: Criterion = CLEVR,
) -> SceneScores:
    """The paper's figure over a set, with what explains it. Scenes are paired by position.

    Raises:
        SceneError: the two lists differ in length or are empty, or an object has no location.
    """
    if len(predictions) != len(truths) or not predictions:
        raise SceneError(
            f"{len(predictions)} predictions and {len(truths)} truths; as many of both are needed, at least 1."
        )
    scenes = list(zip(predictions, truths, strict=True))
    by_tau, optimal = {}, []
    for tau in taus:
        by_tau[tau] = float(np.mean([jaccard(ours, true, tau=tau, criterion=criterion) for ours, true in scenes]))
        optimal += [optimal_jaccard(ours, true, tau=tau, criterion=criterion) for ours, true in scenes]
    errors: list[float] = []
    right: dict[str, list[bool]] = {name: [] for name in criterion.attributes}
    for ours, true in scenes:
        distances = criterion.distances(ours, true)
        for i, j in zip(*linear_sum_assignment(distances), strict=True):
            errors.append(float(distances[i, j]))
            if distances[i, j] < max(taus):
                for name, values in right.items():
                    values.append(ours.objects[i].get(name) == true.objects[j].get(name))
    near = any(right.values())
    return SceneScores(
        num_scenes=len(scenes),
        jaccard=float(np.mean(list(by_tau.values()))),
        jaccard_by_tau=by_tau,
        optimal_jaccard=float(np.mean(optimal)),
        attribute_accuracy={name: float(np.mean(values)) for name, values in right.items()} if near else None,
        position_error=float(np.mean(errors)) if errors else None,
        count_accuracy=float(np.mean([len(ours) == len(true) for ours, true in scenes])),
    )


def _index(num_matched: int, predicted: Scene, truth: Scene) -> float:
    union = len(predicted) + len(truth) - num_matched
    return num_matched / union if union else 1.0

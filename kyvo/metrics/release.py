"""The measures of the released Kyvo scripts as they are, faults included: to compare with figures made by them.

They work on rows in the released form (`3d_coords`, `rotation`, `center_cam`). Unlike in `kyvo.metrics.scenes`,
an empty prediction of an empty scene scores -1; ObjaWorld's angles are subtracted without going around the circle;
Objectron's predictions take the closest object and not the first; a missing field is no error but no match; what has
no prediction is left out of the mean. One tau gives one figure. Text counts only where it is equal to the letter.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.distance import euclidean

from kyvo.errors import SceneError

LEVEL = 0.05  # ObjaWorld: largest difference of heights, exclusive
TURNED = 0.15  # rad, exclusive
EXTENT = 0.05  # Objectron: mean absolute difference of dimensions, m, inclusive

Row = Mapping[str, Any]
Rows = Sequence[Row]

_MARKERS = re.compile(r"\[TEXT-START\]|\[TEXT-END\]|<\|end_of_text\|>")


def clevr_index(predicted: Rows, truth: Rows, *, tau: float) -> float:
    """The index of one CLEVR scene: equal size, colour, material and shape, x and y nearer than tau; -1 if empty."""
    return _greedy(predicted, truth, lambda ours, true: _clevr_match(ours, true, tau))


def objaworld_index(predicted: Rows, truth: Rows, *, tau: float) -> float:
    """The index of one ObjaWorld scene; the truth's shape is what stands before its hyphen."""
    return _greedy(predicted, truth, lambda ours, true: _objaworld_match(ours, true, tau))


def objectron_index(predicted: Rows, truth: Rows, *, tau: float, extent: float = EXTENT) -> float:
    """The index of one picture: each prediction, category by category, takes the closest true object that is free.

    Raises SceneError where both are empty: such pictures are not among those that the script averages.
    """
    if not predicted and not truth:
        raise SceneError("prediction and truth are both empty; the released script has no index for that.")
    taken: set[int] = set()
    for ours in predicted:
        best, closest = None, float("inf")
        for index, true in enumerate(truth):
            if index in taken or ours["category"] != true["category"]:
                continue
            distance = euclidean(ours["center_cam"], true["center_cam"])
            apart = np.mean(np.abs(np.asarray(ours["dimensions"]) - np.asarray(true["dimensions"])))
            if distance < tau and distance < closest and apart <= extent:
                best, closest = index, distance
        if best is not None:
            taken.add(best)
    return len(taken) / (len(predicted) + len(truth) - len(taken))


INDICES: dict[str, Callable[..., float]] = {
    "clevr": clevr_index,
    "objaworld": objaworld_index,
    "objectron": objectron_index,
}


def clean_answer(answer: str) -> str:
    """An answer without the markers that the released evaluation leaves in its files."""
    return _MARKERS.sub("", answer).strip()


def answer_accuracy(predictions: Sequence[str], truths: Sequence[str]) -> float:
    """The share of answers, paired by position, that are equal to the letter, in [0, 1] (the script prints percent).

    Raises SceneError for lists that are empty or of different length.
    """
    if len(predictions) != len(truths) or not truths:
        raise SceneError(f"{len(predictions)} predictions and {len(truths)} truths; as many of both are needed.")
    same = [clean_answer(ours) == clean_answer(true) for ours, true in zip(predictions, truths, strict=True)]
    return sum(same) / len(same)


def _greedy(predicted: Rows, truth: Rows, fits: Callable[[Row, Row], bool]) -> float:
    taken: set[int] = set()
    for ours in predicted:
        for index, true in enumerate(truth):
            if index not in taken and _fits(fits, ours, true):
                taken.add(index)
                break
    union = len(predicted) + len(truth) - len(taken)
    return len(taken) / union if union else -1.0


def _fits(fits: Callable[[Row, Row], bool], ours: Row, true: Row) -> bool:
    try:
        return fits(ours, true)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return False  # the script skips a pair that lacks something


def _clevr_match(ours: Row, true: Row, tau: float) -> bool:
    names = ("size", "color", "material", "shape")
    return all(ours[name] == true[name] for name in names) and _floor_distance(ours, true) < tau


def _objaworld_match(ours: Row, true: Row, tau: float) -> bool:
    return (
        ours["shape"] == true["shape"].split("-")[0]
        and _floor_distance(ours, true) < tau
        and abs(ours["3d_coords"][2] - true["3d_coords"][2]) < LEVEL
        and abs(ours["3d_coords"][3] - true["rotation"]) < TURNED
    )


def _floor_distance(ours: Row, true: Row) -> float:
    return float(np.linalg.norm(np.array(ours["3d_coords"][:2]) - np.array(true["3d_coords"][:2])))

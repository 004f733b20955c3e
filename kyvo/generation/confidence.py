"""Confidences of decoded objects, from the probabilities of their tokens."""

import math
from collections.abc import Sequence

from kyvo.tokenizers.vocabulary import OBJECT_END, OBJECT_START, Vocabulary


def object_confidences(ids: Sequence[int], probabilities: Sequence[float], vocabulary: Vocabulary) -> list[float]:
    """One number in [0, 1] an object, in order: the geometric mean of the probabilities of the ids it chose.

    Forced ids (probability 1) are left out, so that a schema with more markers is not surer.
    """
    start, end = vocabulary.marker_id(OBJECT_START), vocabulary.marker_id(OBJECT_END)
    confidences: list[float] = []
    logs: list[float] = []
    for token, probability in zip(ids, probabilities, strict=True):
        if token == start:
            logs = []
        if probability < 1.0:
            logs.append(math.log(max(probability, 1e-12)))
        if token == end:
            confidences.append(math.exp(sum(logs) / len(logs)) if logs else 1.0)
    return confidences

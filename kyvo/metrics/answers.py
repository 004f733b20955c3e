"""Exact-match accuracy of answers: of all, by family and by type, beside guessing baselines.

An answer counts when it equals the true one after blanks at its ends are cut; "Yes" is not "yes". Guessing knows each
question's type: `random` draws evenly among the type's answers that occur in the truth, `most frequent` always gives
the commonest one of its type in the group that is looked at.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kyvo.errors import SceneError

_WORDS = {
    "bool": ("yes", "no", "true", "false"),
    "size": ("large", "small"),
    "material": ("rubber", "metal"),
    "shape": ("cube", "sphere", "cylinder"),
    "color": ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow"),
}


@dataclass(frozen=True, kw_only=True)
class TrueAnswer:
    """What is right, and what kind of question it answers."""

    text: str
    family: str = "all"
    type: str = ""  # "" is read off the answer, see `type_of`
    boolean: bool = False  # JSON's true or false
    picture: str = ""  # that the question is about; "" where unknown

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", self.type or type_of(self.text))


@dataclass(frozen=True, kw_only=True)
class AnswerScore:
    """A group of questions: its exact match and what guessing scores there, all in [0, 1]."""

    count: int
    exact_match: float
    random: float
    most_frequent: float


def type_of(answer: str) -> str:
    """ "bool", "integer", an attribute of CLEVR, or "other", as the answer's word shows."""
    word = answer.strip().lower()
    if word.isdigit():
        return "integer"
    return next((name for name, words in _WORDS.items() if word in words), "other")


def exact_matches(predictions: Sequence[str | None], truths: Sequence[TrueAnswer]) -> np.ndarray:
    """Which answers are right, bool [questions]; None, no answer, is wrong. Paired by position.

    Raises SceneError for lists that are empty or of different length.
    """
    if len(predictions) != len(truths) or not truths:
        raise SceneError(f"{len(predictions)} answers to {len(truths)} questions; as many of both are needed.")
    pairs = zip(predictions, truths, strict=True)
    return np.array([ours is not None and ours.strip() == true.text.strip() for ours, true in pairs])


def score_answers(predictions: Sequence[str | None], truths: Sequence[TrueAnswer]) -> dict[str, dict[str, AnswerScore]]:
    """The scores of all questions, of each family and of each type: "all", "family", "type" -> name -> score.

    Raises SceneError as `exact_matches`.
    """
    right = exact_matches(predictions, truths)
    options = Counter(kind for kind, _ in {(true.type, true.text.strip()) for true in truths})
    chance = np.array([1 / options[true.type] for true in truths])
    groups: dict[str, dict[str, list[int]]] = {"all": {"all": list(range(len(truths)))}, "family": {}, "type": {}}
    for index, true in enumerate(truths):
        groups["family"].setdefault(true.family, []).append(index)
        groups["type"].setdefault(true.type, []).append(index)
    return {
        by: {
            name: AnswerScore(
                count=len(members),
                exact_match=float(right[members].mean()),
                random=float(chance[members].mean()),
                most_frequent=_most_frequent([truths[index] for index in members]),
            )
            for name, members in sorted(named.items())
        }
        for by, named in groups.items()
    }


def _most_frequent(truths: Sequence[TrueAnswer]) -> float:
    counts: dict[str, Counter[str]] = {}
    for true in truths:
        counts.setdefault(true.type, Counter())[true.text.strip()] += 1
    return sum(max(counter.values()) for counter in counts.values()) / len(truths)

"""The ids allowed at each label, by the constraint that decoding obeys: the loss is a softmax over these alone.

A model that is decoded under a constraint only ever chooses among the ids that may come. So its loss need not know of
others: 8,192 codes, 121 numbers or a handful of words, and never the whole vocabulary. Where one id alone may come,
nothing is asked and nothing is learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from kyvo.errors import TokenError
from kyvo.generation.constraint import Constraint
from kyvo.tokenizers.scene import OptionalParts
from kyvo.tokenizers.sequence import IGNORE, SequenceBuilder
from kyvo.tokenizers.sequence import Sequence as TokenSequence
from kyvo.tokenizers.tasks import Segment, Task

MAX_OBJECTS, MAX_TEXT = 64, 512  # more than any sample has; decoding may stop earlier


@dataclass(frozen=True, eq=False)
class AllowedIds:
    """A set of ids, of which there is one object alone."""

    ids: np.ndarray  # int64, ascending


@dataclass(frozen=True, kw_only=True)
class Group:
    """The labels of a batch that are chosen from the same ids."""

    ids: Tensor  # int64 [allowed], ascending
    members: Tensor  # int64 [labels], places among the batch's labels
    targets: Tensor  # int64 [labels], of the labels among the ids

    def to(self, device: torch.device) -> "Group":
        return Group(**{name: value.to(device) for name, value in vars(self).items()})

    @property
    def rows(self) -> slice | Tensor:
        """The ids as an index of rows: a slice where they are a range."""
        first, last = int(self.ids[0]), int(self.ids[-1])
        return slice(first, last + 1) if last - first + 1 == len(self.ids) else self.ids


class AllowedWalk:
    """Says of the sequences of one builder which ids each of their labels is one of."""

    def __init__(self, builder: SequenceBuilder) -> None:
        self.builder = builder
        self._constraints: dict[tuple[Task, OptionalParts], Constraint] = {}
        self._states: dict[tuple[Task, OptionalParts], dict[int, AllowedIds | None]] = {}
        self._sets: dict[bytes, AllowedIds] = {}

    def __call__(self, task: Task, sequence: TokenSequence, optional: OptionalParts) -> TokenSequence:
        """The sequence with its `allowed` sets: None where there is no label, and where one id alone may come.

        Raises TokenError for an output that decoding could not write.
        """
        optional = replace(optional, camera=bool(optional.camera))
        key = (task, optional)
        if key not in self._constraints or Segment.PROGRAM in task.outputs:  # that one grows with each program
            self._constraints[key] = Constraint.for_task(
                task, self.builder, max_objects=MAX_OBJECTS, max_text=MAX_TEXT, optional=optional
            )
            self._states[key] = {}
        constraint, known = self._constraints[key], self._states[key]
        allowed = np.full(len(sequence.ids), None, dtype=object)
        state = Constraint.START
        for place in np.flatnonzero(sequence.labels != IGNORE).tolist():
            if state not in known:
                known[state] = self._set(constraint.allowed(state))
            allowed[place] = known[state]
            state = constraint.step(state, int(sequence.ids[place]))
        if state != constraint.end:
            raise TokenError("the output ends before its constraint does.")
        return replace(sequence, allowed=allowed)

    def _set(self, ids: np.ndarray) -> AllowedIds | None:
        """None where there is no choice."""
        if len(ids) < 2:
            return None
        ids = np.unique(ids)
        return self._sets.setdefault(ids.tobytes(), AllowedIds(ids))


def groups(labels: np.ndarray, allowed: np.ndarray) -> tuple[Group, ...]:
    """A batch's labels by what they are chosen from, the largest sets first.

    Args:
        labels: int64 [labels].
        allowed: AllowedIds [labels].
    """
    members: dict[AllowedIds, list[int]] = {}
    for place, entry in enumerate(allowed.tolist()):
        members.setdefault(entry, []).append(place)
    ordered: Sequence[tuple[AllowedIds, list[int]]] = sorted(members.items(), key=lambda item: -len(item[0].ids))
    return tuple(
        Group(
            ids=torch.from_numpy(entry.ids),
            members=torch.tensor(targets),
            targets=torch.from_numpy(np.searchsorted(entry.ids, labels[targets])),
        )
        for entry, targets in ordered
    )

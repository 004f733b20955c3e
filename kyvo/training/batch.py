"""`Batch`: the tensors a step takes, and how sequences become one: a row each, or several to a row (packing)."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from kyvo.tokenizers.sequence import IGNORE, MAX_NUMBER
from kyvo.tokenizers.sequence import Sequence as TokenSequence
from kyvo.training.allowed import Group, groups
from kyvo.training.auxiliary_heads import CopyTargets, GroundingTargets, Targets, object_targets
from kyvo.training.model import AttentionMask, attention_mask

MULTIPLE = 32  # lengths are padded to it: few shapes, so few compilations
MULTIPLE_CUDA = 128  # likewise where a step takes a hundredth of the time of a compilation


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One micro-batch. Labels are given by the positions whose hidden states predict them."""

    ids: Tensor  # [B, S] int64
    positions: Tensor  # [N] int64, flat into B x S
    targets: Tensor  # [N] int64
    weights: Tensor  # [N] float32
    grid_positions: Tensor  # [B, S] int64, of image codes in their pictures; -1 elsewhere
    num_tokens: int  # without padding
    groups: tuple[Group, ...] = ()  # of labels by the ids they are one of, where the loss looks at these alone
    objects: Targets = field(default_factory=Targets)  # to be read in the states, as far as the samples say it
    documents: Tensor | None = None  # [B, S] int16, where rows are shared: the number of a token's sequence; -1 padding
    spans: Tensor | None = None  # [B, S] int16, where there are any, or branches: the number of a token's two-way span
    branches: Tensor | None = None  # [B, S] int16, likewise: the number of a token's branch; -1 before all
    input_pos: Tensor | None = None  # [B, S] int64, only where there are branches: each token's position in its sample
    samples: tuple[str, ...] = ()  # where they stand, `TokenizedScenes.describe`
    skipped: tuple[str, ...] = ()  # likewise, of those too long for the model in the window this batch begins

    def to(self, device: torch.device) -> "Batch":
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor | Targets)}
        return replace(self, **moved, groups=tuple(group.to(device) for group in self.groups))

    def attention(self) -> AttentionMask:
        """What each token sees; None is plain causal. It is made where the batch is: it is far larger than that."""
        if self.spans is None or self.branches is None:
            return None
        return attention_mask(self.spans, self.branches, self.documents)


def padded(length: int, multiple: int = MULTIPLE) -> int:
    """The next multiple."""
    return -(-length // multiple) * multiple


Item = TypeVar("Item")


def balanced_groups(items: Sequence[Item], lengths: Sequence[int], count: int) -> list[list[Item]]:
    """`count` groups of about as many tokens each: the longest item goes to the group with the fewest so far."""
    groups: list[list[Item]] = [[] for _ in range(count)]
    heap = [(0, number) for number in range(count)]
    for index in sorted(range(len(items)), key=lambda index: -lengths[index]):
        tokens, number = heapq.heappop(heap)
        groups[number].append(items[index])
        heapq.heappush(heap, (tokens + lengths[index], number))
    return groups


def pack(sequences: Sequence[TokenSequence], *, tokens: int) -> list[list[TokenSequence]]:
    """Rows of whole sequences with at most `tokens` tokens each; as few as are found, filled alike."""
    lengths = [len(sequence.ids) for sequence in sequences]
    count = -(-sum(lengths) // tokens)
    while True:
        rows = balanced_groups(sequences, lengths, count)
        if max(sum(len(sequence.ids) for sequence in row) for row in rows) <= tokens:
            return rows
        count += 1


def next_grid_positions(sequence: TokenSequence) -> np.ndarray:
    """int64 [seq]: before each code that comes out, its row-major place; -1 elsewhere, and without `drawn`."""
    if sequence.drawn is None:
        return np.full(len(sequence.ids), -1)
    return np.append(np.maximum(sequence.grid_positions[1:] - len(sequence.drawn) - MAX_NUMBER, -1), -1)


def _targets(sequences: Sequence[TokenSequence], starts: Sequence[int]) -> Targets:
    """What is to be read in sequences that begin at `starts` in batch x seq."""
    pairs = list(zip(sequences, starts, strict=True))
    asked = [(one.asked, start + _output_starts(one)) for one, start in pairs if one.asked is not None]
    named = [(one.named, start) for one, start in pairs if one.named is not None]
    words = [(found[at], start + at) for found, start in named for at in [np.flatnonzero(found.max(axis=1) >= 0)]]
    return Targets(
        seen=object_targets(
            [np.where(sequence.labels == IGNORE, sequence.grid_positions, -1) for sequence in sequences],
            [sequence.objects for sequence in sequences],
            starts,
        ),
        drawn=object_targets(
            [next_grid_positions(sequence) for sequence in sequences],
            [sequence.drawn for sequence in sequences],
            starts,
        ),
        asked=_joined(asked),
        named=_joined(words),
        changed=_changed(sequences, starts),
    )


def _changed(sequences: Sequence[TokenSequence], starts: Sequence[int]) -> CopyTargets | None:
    """Of all ids that come out of an edit; None of none."""
    positions, changed = [], []
    for one, start in zip(sequences, starts, strict=True):
        if one.changed is not None:
            written = np.flatnonzero(one.labels != IGNORE)
            positions.append(start + written - 1)
            changed.append(one.changed[written])
    if not positions:
        return None
    return CopyTargets(
        positions=torch.from_numpy(np.concatenate(positions)), changed=torch.from_numpy(np.concatenate(changed))
    )


def _joined(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> GroundingTargets | None:
    """Of what texts or words are about, and where they stand in batch x seq; None of none."""
    if not any(len(found) for _, found in parts):
        return None
    about, positions = (torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))
    return GroundingTargets(positions=positions, about=about)


def _output_starts(sequence: TokenSequence) -> np.ndarray:
    """int64 [texts]: where each branch's output begins."""
    branches = sequence.branches or ((0, len(sequence.ids)),)
    return np.array([start + np.argmax(sequence.labels[start:stop] != IGNORE) for start, stop in branches])


def collate(
    sequences: Sequence[TokenSequence],
    *,
    pad_id: int,
    multiple: int = MULTIPLE,
    pack_tokens: int | None = None,
) -> Batch:
    """Rows padded on the right. With causal attention no mask is needed, as nothing that has a label looks there.

    With `pack_tokens` sequences share rows of at most so many tokens, and the batch says whose each token is.
    """
    rows = [[sequence] for sequence in sequences] if pack_tokens is None else pack(sequences, tokens=pack_tokens)
    length = padded(max(sum(len(sequence.ids) for sequence in row) for row in rows), multiple)
    ids = np.full((len(rows), length), pad_id, dtype=np.int64)
    labels = np.full((len(rows), length), IGNORE, dtype=np.int64)
    weights = np.zeros((len(rows), length), dtype=np.float32)
    grid_positions = np.full((len(rows), length), -1, dtype=np.int64)
    documents, spans, branches = np.full((3, len(rows), length), -1, dtype=np.int16)
    input_pos = np.tile(np.arange(length), (len(rows), 1))
    allowed = None
    if all(one.allowed is not None for one in sequences):
        allowed = np.full((len(rows), length), None, dtype=object)
    starts = []
    for number, row in enumerate(rows):
        start = num_spans = num_branches = 0
        for document, sequence in enumerate(row):
            part = (number, slice(start, start + len(sequence.ids)))
            ids[part] = sequence.ids
            labels[part] = sequence.labels
            weights[part] = sequence.weights
            grid_positions[part] = sequence.grid_positions
            if allowed is not None:
                allowed[part] = sequence.allowed
            documents[part] = document
            for first, stop in sequence.spans:
                spans[number, start + first : start + stop] = num_spans
                num_spans += 1
            for first, stop in sequence.branches:
                branches[number, start + first : start + stop] = num_branches
                begins = start + sequence.branches[0][0]
                input_pos[number, start + first : start + stop] = np.arange(begins, begins + stop - first)
                num_branches += 1
            labels[number, start] = IGNORE  # nothing stands before it
            starts.append(number * length + start)
            start += len(sequence.ids)
    labelled = np.flatnonzero(labels.reshape(-1) != IGNORE)
    if allowed is not None:  # forced ids are never asked for
        labelled = labelled[[entry is not None for entry in allowed.reshape(-1)[labelled]]]
    targets = labels.reshape(-1)[labelled]
    ordered = list(chain.from_iterable(rows))
    packed = pack_tokens is not None
    masked = packed or any(one.spans or one.branches for one in sequences)
    return Batch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(labelled - 1),
        targets=torch.from_numpy(targets),
        weights=torch.from_numpy(weights.reshape(-1)[labelled]),
        grid_positions=torch.from_numpy(grid_positions),
        num_tokens=sum(len(sequence.ids) for sequence in sequences),
        groups=() if allowed is None else groups(targets, allowed.reshape(-1)[labelled]),
        objects=_targets(ordered, starts),
        documents=torch.from_numpy(documents) if packed else None,
        spans=torch.from_numpy(spans) if masked else None,
        branches=torch.from_numpy(branches) if masked else None,
        input_pos=torch.from_numpy(input_pos) if any(one.branches for one in sequences) else None,
    )

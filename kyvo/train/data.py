"""From coded sets to batches: which sample comes when, in which task, and the tensors a step takes.

The order is a pure function of the seed and the batch number, so a run resumes anywhere by counting. Lengths are
known only after building, so a window of batches is built together, sorted by length and cut: batches hold sequences
of like length, and windows stay small beside the set.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from datasets import concatenate_datasets, load_from_disk
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from kyvo.errors import ConfigError
from kyvo.scene.files import scene_from_json
from kyvo.tokenizers.sequence import IGNORE, SequenceBuilder
from kyvo.tokenizers.sequence import Sequence as TokenSequence
from kyvo.tokenizers.tasks import TASKS, Segments
from kyvo.train.model import attention_mask

WINDOW = 16  # batches built and sorted together
MULTIPLE = 32  # lengths are padded to it: few shapes, so few compilations


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One micro-batch. Labels are given by the positions whose hidden states predict them."""

    ids: Tensor  # [B, S] int64
    positions: Tensor  # [N] int64, flat into B x S
    targets: Tensor  # [N] int64
    weights: Tensor  # [N] float32
    mask: Tensor | None  # [B, S, S] bool, only where spans attend both ways
    num_tokens: int  # without padding

    def to(self, device: torch.device) -> "Batch":
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)


class CodedScenes:
    """Pictures' codes and their scenes, as samples of a mixture of tasks.

    The sets have the columns `codes` and `scene` (scene JSON); a task fits when each of its segments is one of them.
    """

    def __init__(self, builder: SequenceBuilder, *, folders: list[str], tasks: Mapping[str, float]) -> None:
        """Raises ConfigError for an unknown or unfit task, and for a folder that is no such set.

        Args:
            builder: makes the sequences.
            folders: Arrow sets, joined.
            tasks: task name -> share of the samples; need not add up to 1.
        """
        self.builder = builder
        self.rows = concatenate_datasets([_open(folder) for folder in folders])
        for name in tasks:
            if name not in TASKS:
                raise ConfigError(f"data.tasks has {name!r}; known tasks are {', '.join(TASKS)}.")
            segments = [*TASKS[name].inputs, *TASKS[name].outputs]
            if sorted(segments) != ["image", "scene"]:
                raise ConfigError(f"data.tasks has {name!r}, which needs more than one picture and its scene a sample.")
        self.tasks = [TASKS[name] for name in tasks]
        self.shares = np.array(list(tasks.values()), dtype=float) / sum(tasks.values())

    def __len__(self) -> int:
        return len(self.rows)

    def sequences(self, indices: Sequence[int], rng: np.random.Generator) -> list[TokenSequence]:
        """The sequences of some samples, each in a task drawn from `rng`."""
        rows = self.rows[list(indices)]
        chosen = rng.choice(len(self.tasks), size=len(indices), p=self.shares)
        return [
            self._sequence(codes, scene, self.tasks[task])
            for codes, scene, task in zip(rows["codes"], rows["scene"], chosen, strict=True)
        ]

    def _sequence(self, codes: Any, scene: str, task: Any) -> TokenSequence:
        content = {"image": np.asarray(codes), "scene": scene_from_json(json.loads(scene))}
        # Ground truth may lie a rounding outside the outermost bins.
        return self.builder.build(
            task,
            Segments(**{segment: content[segment] for segment in task.inputs}),
            Segments(**{segment: content[segment] for segment in task.outputs}),
            clamp=True,
        )


def _open(folder: str) -> Any:
    try:
        rows = load_from_disk(folder)
    except FileNotFoundError as error:
        raise ConfigError(
            f"data.folders has {folder}, which is no Arrow set. tokenizers/encode.py makes one."
        ) from error
    missing = {"codes", "scene"} - set(rows.column_names)
    if missing:
        raise ConfigError(f"{folder} lacks the columns {', '.join(sorted(missing))}; tokenizers/encode.py writes them.")
    return rows.select_columns(["codes", "scene"])


class BatchStream(IterableDataset):
    """Endless batches from batch number `start` on."""

    def __init__(
        self, samples: CodedScenes, *, batch_size: int, seed: int, max_seq_len: int, pad_id: int, start: int = 0
    ) -> None:
        if len(samples) < batch_size:
            raise ConfigError(f"the data has {len(samples)} samples, fewer than train.batch_size, {batch_size}.")
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self.max_seq_len = max_seq_len
        self.pad_id = pad_id
        self.start = start

    def __iter__(self) -> Iterator[Batch]:
        per_epoch = len(self.samples) // self.batch_size
        number = self.start
        while True:
            epoch, place = divmod(number, per_epoch)
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.samples))
            for first in range(place - place % WINDOW, per_epoch, WINDOW):
                stop = min(first + WINDOW, per_epoch)
                chosen = order[first * self.batch_size : stop * self.batch_size]
                batches = self._window(chosen, np.random.default_rng([self.seed, epoch, first]))
                yield from (self._collate(batch) for batch in batches[max(0, place - first) :])
            number = (epoch + 1) * per_epoch

    def _window(self, indices: np.ndarray, rng: np.random.Generator) -> list[list[TokenSequence]]:
        sequences = sorted(self.samples.sequences(indices.tolist(), rng), key=lambda sequence: len(sequence.ids))
        batches = [sequences[at : at + self.batch_size] for at in range(0, len(sequences), self.batch_size)]
        return [batches[index] for index in rng.permutation(len(batches))]

    def _collate(self, sequences: list[TokenSequence]) -> Batch:
        batch = collate(sequences, pad_id=self.pad_id)
        if batch.ids.shape[1] > self.max_seq_len:
            raise ConfigError(
                f"a sequence has {batch.ids.shape[1]} tokens after padding, the model takes {self.max_seq_len}. "
                "Choose a larger model.size, or leave such samples out of the data."
            )
        return batch


def collate(sequences: Sequence[TokenSequence], *, pad_id: int, multiple: int = MULTIPLE) -> Batch:
    """Pads on the right; with causal attention no mask is needed, as nothing that has a label looks there."""
    length = -(-max(len(sequence.ids) for sequence in sequences) // multiple) * multiple
    ids = np.full((len(sequences), length), pad_id, dtype=np.int64)
    labels = np.full((len(sequences), length), IGNORE, dtype=np.int64)
    weights = np.zeros((len(sequences), length), dtype=np.float32)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence.ids)] = sequence.ids
        labels[row, : len(sequence.ids)] = sequence.labels
        weights[row, : len(sequence.ids)] = sequence.weights
    labels[:, 0] = IGNORE  # nothing stands before it
    labelled = np.flatnonzero(labels.reshape(-1) != IGNORE)
    return Batch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(labelled - 1),
        targets=torch.from_numpy(labels.reshape(-1)[labelled]),
        weights=torch.from_numpy(weights.reshape(-1)[labelled]),
        mask=attention_mask(length, [sequence.spans for sequence in sequences]),
        num_tokens=sum(len(sequence.ids) for sequence in sequences),
    )


def load_batches(stream: BatchStream, *, prefetch: bool) -> Iterator[Batch]:
    """The stream, built in this process or ahead of time in one other; the order is the same."""
    return iter(
        DataLoader(stream, batch_size=None, num_workers=int(prefetch), prefetch_factor=32 if prefetch else None)
    )

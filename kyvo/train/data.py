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
from datasets import load_from_disk
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from kyvo.errors import ConfigError
from kyvo.scene.files import scene_from_json
from kyvo.tokenizers.sequence import IGNORE, SequenceBuilder
from kyvo.tokenizers.sequence import Sequence as TokenSequence
from kyvo.tokenizers.tasks import TASKS, Segments
from kyvo.train.model import attention_mask
from kyvo.train.reading import ObjectTargets, object_rows, object_targets

WINDOW = 16  # batches built and sorted together
MULTIPLE = 32  # lengths are padded to it: few shapes, so few compilations


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One micro-batch. Labels are given by the positions whose hidden states predict them."""

    ids: Tensor  # [B, S] int64
    positions: Tensor  # [N] int64, flat into B x S
    targets: Tensor  # [N] int64
    weights: Tensor  # [N] float32
    places: Tensor  # [B, S] int64, of image codes in their pictures; -1 elsewhere
    mask: Tensor | None  # [B, S, S] bool, only where spans attend both ways
    num_tokens: int  # without padding
    objects: ObjectTargets | None = None  # where the samples say what their pictures hold

    def to(self, device: torch.device) -> "Batch":
        moved = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor | ObjectTargets)
        }
        return replace(self, **moved)


COLUMNS = {  # task -> the column of each input, and of each output; in `questions` one of a row's questions is taken
    "rendering": ({"scene": "scene"}, {"image": "codes"}),
    "recognition": ({"image": "codes"}, {"scene": "scene"}),
    "editing": (
        {"image": "codes", "scene": "scene", "text": "instruction"},
        {"image": "target_codes", "scene": "target_scene"},
    ),
    "question_answering": (
        {"image": "codes", "scene": "scene", "text": "questions.question"},
        {"text": "questions.answer"},
    ),
}


class CodedScenes:
    """Coded sets as samples of a mixture of tasks.

    A set serves the tasks whose COLUMNS it has. Scenes are scene JSON, codes those of `tokenizers/encode.py`.
    """

    def __init__(
        self, builder: SequenceBuilder, *, folders: list[str], tasks: Mapping[str, float], objects: bool = False
    ) -> None:
        """Raises ConfigError for an unknown task, a folder that is no such set, and one that serves no task.

        Args:
            builder: makes the sequences.
            folders: Arrow sets, joined.
            tasks: task name -> share of the samples, among those its set serves; need not add up to 1.
            objects: say of each sequence with a picture where its objects stand; scenes without a camera do not.
        """
        self.builder = builder
        self.objects = objects
        for name in tasks:
            if name not in COLUMNS:
                raise ConfigError(f"data.tasks has {name!r}; known tasks are {', '.join(COLUMNS)}.")
        self.sets = [_open(folder) for folder in folders]
        self.ends = np.cumsum([len(rows) for rows in self.sets])
        self.tasks: list[list[str]] = []
        self.limits: list[np.ndarray] = []  # of each set's tasks in [0, 1)
        for folder, rows in zip(folders, self.sets, strict=True):
            served = [name for name in tasks if _needed(name) <= set(rows.column_names)]
            if not served:
                needed = sorted(set.union(*(_needed(name) for name in tasks)))
                raise ConfigError(
                    f"{folder} has the columns {', '.join(rows.column_names)}; {', '.join(tasks)} take "
                    f"{', '.join(needed)}. tokenizers/encode.py writes them."
                )
            shares = np.array([tasks[name] for name in served], dtype=float)
            self.tasks.append(served)
            self.limits.append(np.cumsum(shares) / shares.sum())

    def __len__(self) -> int:
        return int(self.ends[-1])

    def sequences(self, indices: Sequence[int], rng: np.random.Generator) -> list[TokenSequence]:
        """The sequences of some samples, each in a task drawn from `rng`."""
        return [
            self._sequence(index, *draws) for index, draws in zip(indices, rng.random((len(indices), 2)), strict=True)
        ]

    def _sequence(self, index: int, which_task: float, which_question: float) -> TokenSequence:
        number = int(np.searchsorted(self.ends, index, side="right"))
        row = self.sets[number][int(index - self.ends[number])]  # counted from the set's end
        task = self.tasks[number][int(np.searchsorted(self.limits[number], which_task, side="right"))]
        if row.get("questions"):
            question = row["questions"][int(which_question * len(row["questions"]))]
            row |= {f"questions.{name}": value for name, value in question.items()}
        given, wanted = (
            Segments(**{segment: _content(segment, row[column]) for segment, column in side.items()})
            for side in COLUMNS[task]
        )
        # Ground truth may lie a rounding outside the outermost bins.
        sequence = self.builder.build(TASKS[task], given, wanted, clamp=True)
        scene = given.scene or wanted.scene
        if not self.objects or given.image is None or scene is None or scene.camera is None:
            return sequence
        rows, columns = self.builder.image_grid
        return replace(sequence, objects=object_rows(scene, self.builder.scenes.schema, rows=rows, columns=columns))


def _needed(task: str) -> set[str]:
    return {column.split(".")[0] for side in COLUMNS[task] for column in side.values()}


def _content(segment: str, value: Any) -> Any:
    if segment == "image":
        return np.asarray(value)
    return scene_from_json(json.loads(value)) if segment == "scene" else value


def _open(folder: str) -> Any:
    try:
        rows = load_from_disk(folder)
    except FileNotFoundError as error:
        raise ConfigError(
            f"data.folders has {folder}, which is no Arrow set. tokenizers/encode.py makes one."
        ) from error
    known = set.union(*map(_needed, COLUMNS))
    return rows.select_columns([name for name in rows.column_names if name in known])


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
    places = np.full((len(sequences), length), -1, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence.ids)] = sequence.ids
        labels[row, : len(sequence.ids)] = sequence.labels
        weights[row, : len(sequence.ids)] = sequence.weights
        places[row, : len(sequence.ids)] = sequence.places
    labels[:, 0] = IGNORE  # nothing stands before it
    labelled = np.flatnonzero(labels.reshape(-1) != IGNORE)
    return Batch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(labelled - 1),
        targets=torch.from_numpy(labels.reshape(-1)[labelled]),
        weights=torch.from_numpy(weights.reshape(-1)[labelled]),
        places=torch.from_numpy(places),
        mask=attention_mask(length, [sequence.spans for sequence in sequences]),
        num_tokens=sum(len(sequence.ids) for sequence in sequences),
        objects=object_targets(np.where(labels == IGNORE, places, -1), [sequence.objects for sequence in sequences]),
    )


def load_batches(stream: BatchStream, *, prefetch: bool) -> Iterator[Batch]:
    """The stream, built in this process or ahead of time in one other; the order is the same."""
    return iter(
        DataLoader(stream, batch_size=None, num_workers=int(prefetch), prefetch_factor=32 if prefetch else None)
    )

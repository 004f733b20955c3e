"""From samples to batches: which sample comes when, and with which others.

The order is a pure function of the seed and the step, so a run resumes anywhere by counting. Lengths are
known only after building, so a window of batches is built together and parted: batches hold sequences of like length,
or, where sequences share rows (packing), as many tokens each. Windows stay small beside the set.
"""

import itertools
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from kyvo.errors import ConfigError
from kyvo.tokenizers.sequence import Sequence as TokenSequence
from kyvo.training.batch import MULTIPLE, Batch, balanced_groups, collate, padded

WINDOW = 16  # batches built and sorted together


@runtime_checkable
class Samples(Protocol):
    """What batches are made of: sequences by their number, and where each comes from."""

    def __len__(self) -> int: ...

    def sequences(self, indices: Sequence[int], rng: np.random.Generator) -> list[TokenSequence]: ...

    def describe(self, index: int) -> str: ...


class BatchStream(IterableDataset):
    """Endless micro-batches from step `start` on.

    A step takes `slots` micro-batches, and each slot has windows of its own, so that a rank builds no more than it
    takes: ranks share the slots, and what a slot holds does not depend on how many they are.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        batch_size: int,
        seed: int,
        max_seq_len: int,
        pad_id: int,
        start: int = 0,
        slots: int = 1,
        rank: int = 0,
        num_ranks: int = 1,
        pack_tokens: int | None = None,
        skip_too_long: bool = False,
        multiple: int = MULTIPLE,
    ) -> None:
        """Raises ConfigError where the set cannot fill a step, or a packed row would not fit the model.

        Args:
            samples: the set.
            batch_size: samples in a micro-batch.
            seed: of the order.
            max_seq_len: tokens the model takes.
            pad_id: of the text tokenizer.
            start: the first step.
            slots: micro-batches in a step, of all ranks together.
            rank: of `num_ranks`; takes the slots rank, rank + num_ranks, ...
            num_ranks: that share the slots.
            pack_tokens: sequences share rows of at most so many tokens; None: a row each.
            skip_too_long: leave out what the model does not take, instead of an error.
            multiple: that lengths are padded to.
        """
        if len(samples) < batch_size * slots:
            raise ConfigError(
                f"the data has {len(samples)} samples, fewer than a step takes: train.batch_size, {batch_size}, times "
                f"{slots} of accumulation and ranks."
            )
        if pack_tokens is not None and not MULTIPLE <= pack_tokens <= max_seq_len:
            raise ConfigError(
                f"train.pack_tokens is {pack_tokens}; it can be from {MULTIPLE} to what the model takes, {max_seq_len}."
            )
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self.limit = max_seq_len if pack_tokens is None else pack_tokens
        self.pad_id = pad_id
        self.start = start
        self.slots = slots
        self.mine = range(rank, slots, num_ranks)
        self.packs = pack_tokens is not None
        self.skip_too_long = skip_too_long
        self.multiple = multiple

    def __iter__(self) -> Iterator[Batch]:
        for window in self.windows():
            yield from window()

    def windows(self) -> Iterator[Callable[[], list[Batch]]]:
        """The stream in parts that are built by themselves: each a function that builds its batches."""
        per_epoch = len(self.samples) // (self.batch_size * self.slots)  # steps
        epoch, place = divmod(self.start, per_epoch)
        while True:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.samples))
            while place < per_epoch:
                first = place - place % WINDOW
                count = min(WINDOW, per_epoch - first)
                yield partial(self._batches, order, first, count, epoch, place - first)
                place = first + count
            epoch, place = epoch + 1, 0

    def _batches(self, order: np.ndarray, first: int, count: int, epoch: int, begin: int) -> list[Batch]:
        """The batches of `count` steps from `first` on, without those before the step `begin` of them."""
        windows = [self._window(order, first, count, slot, epoch) for slot in self.mine]
        return [
            # Those left out are said once, with the window's first batch.
            self._collate(parts[step], skipped if step == 0 else ())
            for step in range(begin, count)
            for parts, skipped in windows
        ]

    def _window(
        self, order: np.ndarray, first: int, count: int, slot: int, epoch: int
    ) -> tuple[list[list[tuple[int, TokenSequence]]], tuple[int, ...]]:
        """A slot's samples of `count` steps from `first` on, as micro-batches, and those that are too long."""
        number = first * self.slots + slot * count  # of its first micro-batch in the epoch
        rng = np.random.default_rng([self.seed, epoch, number])
        indices = order[number * self.batch_size : (number + count) * self.batch_size].tolist()
        built = list(zip(indices, self.samples.sequences(indices, rng), strict=True))
        fits = [pair for pair in built if padded(len(pair[1].ids), self.multiple) <= self.limit]
        skipped = tuple(index for index, sequence in built if padded(len(sequence.ids), self.multiple) > self.limit)
        if (skipped and not self.skip_too_long) or len(fits) < count:
            longest = max(len(sequence.ids) for _, sequence in built)
            raise ConfigError(
                f"{len(skipped)} of {len(built)} samples are too long, among them {self.samples.describe(skipped[0])}: "
                f"the longest has {padded(longest, self.multiple)} tokens after padding, the model takes {self.limit}. "
                "Choose a larger model.size or train.pack_tokens, or set train.too_long=skip."
            )
        lengths = [len(sequence.ids) for _, sequence in fits]
        if self.packs:
            groups = balanced_groups(fits, lengths, count)
        else:
            fits.sort(key=lambda pair: len(pair[1].ids))
            cuts = np.linspace(0, len(fits), count + 1).astype(int)
            groups = [fits[start:stop] for start, stop in pairwise(cuts)]
        return [groups[index] for index in rng.permutation(count)], skipped

    def _collate(self, part: list[tuple[int, TokenSequence]], skipped: tuple[int, ...]) -> Batch:
        limit = self.limit if self.packs else None
        sequences = [sequence for _, sequence in part]
        batch = collate(sequences, pad_id=self.pad_id, multiple=self.multiple, pack_tokens=limit)
        described = map(self.samples.describe, (index for index, _ in part))
        return replace(batch, samples=tuple(described), skipped=tuple(map(self.samples.describe, skipped)))


class _Windows(IterableDataset):
    """A stream's windows as bytes, those of this worker's turn. Tensors themselves would each hold a file open."""

    def __init__(self, stream: BatchStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        worker = get_worker_info()
        assert worker is not None
        for build in itertools.islice(self.stream.windows(), worker.id, None, worker.num_workers):
            yield pickle.dumps(build())


def load_batches(stream: BatchStream, *, prefetch: int) -> Iterator[Batch]:
    """The stream, built in this process or ahead of time in so many others; the order is the same."""
    if not prefetch:
        yield from stream
        return
    loader = DataLoader(
        _Windows(stream),
        batch_size=None,
        num_workers=prefetch,
        prefetch_factor=2,
        generator=torch.Generator(),  # else it draws from the global one, and dropout differs after a resume
    )
    windows = map(pickle.loads, loader)
    # A window has a hundred megabytes: it is taken in while the one before is trained on.
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, windows)
        while True:
            window = coming.result()
            coming = reader.submit(next, windows)
            yield from window

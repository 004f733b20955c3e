"""`Engine`: the decoding loop. Requests of any tasks and lengths join and leave one running batch.

A step reads the prompts of those who join (a part that an earlier prompt shares is taken over, `prefix.py`), then sends
every row's *pending* ids through the model: the one chosen last and those its constraint forces. Rows are in no
step with each other: each has its own length in the cache, its own positions and its own mask.

transformers' own continuous batching serves plain ids on a GPU; it takes no grammar, no vectors added to embeddings and
no spans that attend both ways.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kyvo.errors import KyvoError, TokenError
from kyvo.generation.cache import SequenceCache
from kyvo.generation.constraint import Constraint
from kyvo.generation.hidden_states import hidden_states
from kyvo.generation.prefix import WORTH, PrefixCache, Spans
from kyvo.generation.requests import DecodedSequence, Handle, Request
from kyvo.generation.sequence_state import SequenceState
from kyvo.generation.token_selection import NEAR, TokenSelector
from kyvo.models.llama.embedding import position_vectors

if TYPE_CHECKING:
    from kyvo.generation.hidden_states import CausalLM

Result = TypeVar("Result")

MAX_SEQUENCES = 32
MAX_SHARED = 8192  # ids; 8 kB each in the bundled model


@dataclass(frozen=True, kw_only=True, eq=False)
class PositionTable:
    """What a model that was trained with positions adds to the embedding of image codes and objects."""

    vectors: Float[Tensor, "places dim"]
    find: Callable[[Sequence[int]], np.ndarray]  # `SequenceBuilder.grid_positions`

    def add(
        self, embedded: Float[Tensor, "rows width dim"], sequences: Sequence[Sequence[int]], *, seen: Sequence[int]
    ) -> Float[Tensor, "rows width dim"]:
        """Embeddings of the ids of each row after the `seen` first ones, with the vectors of their places."""
        grid_positions = np.full(embedded.shape[:2], -1, dtype=np.int64)
        for index, (ids, start) in enumerate(zip(sequences, seen, strict=True)):
            grid_positions[index, : len(ids) - start] = self.find(ids)[start:]
        if grid_positions.max() < 0:
            return embedded
        return embedded + position_vectors(self.vectors, torch.from_numpy(grid_positions).to(embedded.device))


class Engine:
    """One batch of a model that is always running. All methods may be called from any thread.

    Without `running` there is no thread: whoever waits for a result drives the loop. The weights must stay as they are,
    since what was read of prompts is kept.
    """

    def __init__(
        self,
        model: "CausalLM",
        *,
        position_table: PositionTable | None = None,
        max_sequences: int = MAX_SEQUENCES,
        max_shared: int = MAX_SHARED,
        near: int = NEAR,
        codebook: Float[Tensor, "codes width"] | None = None,
    ) -> None:
        """
        Args:
            model: a folded model; its weights decide, the constraint only removes what cannot come.
            position_table: of a model that was trained with positions.
            max_sequences: requests that decode together; more wait.
            max_shared: ids of prompts whose states are kept for prompts that begin alike; 0 for none.
            near, codebook: how numbers and image codes are chosen (`TokenSelector`).
        """
        self.model = model
        self.position_table = position_table
        self.max_sequences = max_sequences
        self.num_forwards = 0  # since the start
        self._cache = SequenceCache(model.config, max_sequences=max_sequences, dtype=model.dtype, device=model.device)
        self._prefixes = PrefixCache(max_shared)
        table = model.get_input_embeddings()
        assert isinstance(table, torch.nn.Embedding)
        self._choice = TokenSelector(near=near, codebook=codebook, table=table.weight)
        self._sequences: list[SequenceState] = []  # row i of the cache is the i-th
        self._waiting: deque[SequenceState] = deque()
        self._calls: deque[tuple[Future, Callable[[], object]]] = deque()
        self._turn = threading.Lock()  # who holds it makes a step
        self._news = threading.Condition()  # guards `_waiting`; told of what a sleeping thread must know
        self._thread: threading.Thread | None = None
        self._draining = False

    @property
    def num_running(self) -> int:
        return len(self._sequences)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def submit(self, request: Request) -> Handle:
        """Queues a request. Raises TokenError for a prompt that the model cannot take."""
        self.check(request.prompt)
        handle = Handle(self._drive)
        sequence = SequenceState(request, handle, context=self.model.config.max_position_embeddings)
        with self._news:
            self._waiting.append(sequence)
            self._news.notify_all()
        return handle

    def call(self, network: Callable[[], Result], *, timeout: float | None = None) -> Result:
        """Runs another network between two steps, and returns what it gives: all networks take turns on one queue.

        Raises TimeoutError after `timeout` seconds, and what the network raises.
        """
        future: Future[Result] = Future()
        with self._news:
            self._calls.append((future, network))
            self._news.notify_all()
        while not future.done() and self._drive():
            pass
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()  # where it has not begun, it never does
            raise

    @contextmanager
    def running(self) -> Iterator["Engine"]:
        """A thread drives the loop; leaving waits until all that was submitted has ended."""
        if self._thread is not None:
            raise KyvoError("this engine has a thread already; leave the first `running` before another.")
        self._draining = False
        self._thread = thread = threading.Thread(target=self._serve, name="kyvo-engine", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            with self._news:
                self._draining = True
                self._news.notify_all()
            thread.join()

    @torch.inference_mode()
    def step(self) -> bool:
        """One round: who leaves, who joins, one forward of all, one call. False when nothing is left."""
        with self._turn:
            self._run_call()
            try:
                self._leave()
                self._join()
                self._leave()  # the first choice may be the end
                if self._sequences:
                    self._forward(0, len(self._sequences))
            except RuntimeError as error:  # torch's, out of memory included
                self._fail(error)  # those in the batch get it, the rest goes on
            self._leave()
            if not self._sequences:
                self._cache.shrink()
            return bool(self._sequences or self._waiting or self._calls)

    def _run_call(self) -> None:
        with self._news:
            if not self._calls:
                return
            future, network = self._calls.popleft()
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(network())
        except Exception as error:  # the caller's to handle; the loop goes on
            future.set_exception(error)

    def _serve(self) -> None:
        try:
            while True:
                if not self.step():
                    with self._news:
                        if self._draining and not self._waiting and not self._calls:
                            return
                        self._news.wait_for(lambda: self._waiting or self._calls or self._draining)
        finally:  # nobody may wait for ever for a loop that broke
            self._thread = None
            with self._news:
                self._sequences += self._waiting
                self._waiting.clear()
                calls, self._calls = self._calls, deque()
            ended = KyvoError("the engine's loop ended before this request was done.")
            self._fail(ended)
            for future, _ in calls:
                future.set_exception(ended)

    def _drive(self) -> bool:
        if self._thread is not None:
            return False
        self.step()
        return True

    def check(self, prompt: Sequence[int]) -> None:
        """Raises TokenError for a prompt that the model cannot take."""
        size, context = self.model.config.vocab_size, self.model.config.max_position_embeddings
        if len(prompt) == 0:
            raise TokenError("the prompt is empty; it begins with BOS at least.")
        if len(prompt) >= context:
            raise TokenError(
                f"the prompt has {len(prompt):,} ids and the model sees {context:,}, with its output; "
                "give a scene of fewer objects, or a shorter text."
            )
        if not 0 <= min(prompt) <= max(prompt) < size:
            raise TokenError(
                f"the prompt has ids from {min(prompt)} to {max(prompt)}; the model knows 0 to {size - 1}."
            )

    def _leave(self) -> None:
        """Ends rows that are done, cancelled or late. The last row moves where one left, so that there are no gaps."""
        for slot in reversed(range(len(self._sequences))):
            sequence = self._sequences[slot]
            sequence.check()
            if sequence.finished:
                last = self._sequences.pop()
                if last is not sequence:
                    self._cache.move(len(self._sequences), slot, last.num_seen)
                    self._sequences[slot] = last
                sequence.handle.finish(sequence.out)
        with self._news:
            for sequence in self._waiting:
                sequence.check()
            ended = [sequence for sequence in self._waiting if sequence.finished]
            if ended:
                self._waiting = deque(sequence for sequence in self._waiting if not sequence.finished)
        for sequence in ended:
            sequence.handle.finish(sequence.out)

    def _join(self) -> None:
        """Reads the prompts of those for whom there is room, those of like length together."""
        joining = sorted(self._next(self.max_sequences - len(self._sequences)), key=_num_pending)
        start = len(self._sequences)
        self._sequences += joining
        for slot, sequence in enumerate(joining, start):
            self._cache.reserve(len(self._sequences), len(sequence.ids))
            if sequence.known is not None:
                self._cache.write(slot, sequence.known)
                sequence.known = None
        for _, group in groupby(joining, key=lambda sequence: sequence.num_pending.bit_length()):
            sequences = list(group)
            self._forward(start, start + len(sequences))
            for slot, sequence in enumerate(sequences, start):
                if self._prefixes.wants(sequence.prompt, shared=sequence.out.num_shared):
                    self._prefixes.add(sequence.prompt, self._cache.read(slot, len(sequence.prompt.ids)))
            start += len(sequences)

    def _next(self, room: int) -> list[SequenceState]:
        """Those that join now, first come first. Who begins like one of them joins after that one has been read."""
        joining: list[SequenceState] = []
        later: list[SequenceState] = []
        with self._news:
            while self._waiting and len(joining) < room:
                sequence = self._waiting.popleft()
                sequence.num_seen, sequence.known = self._prefixes.longest(sequence.prompt)
                sequence.out.num_shared = sequence.num_seen
                first = (other for other in joining if self._prefixes.wants(other.prompt, shared=other.num_seen))
                begins_alike = any(sequence.prompt.shared(other.prompt) >= sequence.num_seen + WORTH for other in first)
                (later if begins_alike else joining).append(sequence)
            self._waiting.extendleft(reversed(later))
        return joining

    def _forward(self, start: int, stop: int) -> None:
        """Sends what is pending of some rows through the model; each then has its next id."""
        sequences = self._sequences[start:stop]
        counts = torch.tensor([sequence.num_pending for sequence in sequences])
        columns = torch.arange(int(counts.max()))
        real = columns < counts[:, None]  # rows width
        positions = torch.tensor([sequence.num_seen for sequence in sequences])[:, None] + columns
        ids = torch.zeros_like(positions)
        ids[real] = torch.tensor([*chain.from_iterable(sequence.ids[sequence.num_seen :] for sequence in sequences)])

        spans = [sequence.prompt.spans for sequence in sequences]
        visible = visible_ids(positions, spans, length=max(len(sequence.ids) for sequence in sequences))

        self._cache.reserve(len(self._sequences), visible.shape[2])
        self._cache.aim(start, positions, real)
        device = self.model.device
        ids = ids.to(device)
        embedded = self.model.get_input_embeddings()(ids)
        for index, sequence in enumerate(sequences):
            if sequence.embedded is not None:
                embedded[index, 0] = sequence.embedded
        if self.position_table is not None:
            embedded = self.position_table.add(
                embedded, [sequence.ids for sequence in sequences], seen=[sequence.num_seen for sequence in sequences]
            )
        hidden = hidden_states(
            self.model,
            embedded,
            mask=additive_mask(visible.to(device), embedded.dtype),
            positions=positions.to(device),
            cache=self._cache,
        )
        last = hidden[torch.arange(len(sequences), device=device), (counts - 1).to(device)]
        self.num_forwards += 1
        chosen = self._choice(self.model.lm_head(last).float(), sequences)
        for sequence, own in zip(sequences, chosen, strict=True):
            sequence.choose(own)

    def _fail(self, error: BaseException) -> None:
        sequences, self._sequences = self._sequences, []
        for sequence in sequences:
            sequence.handle.finish(error)


def decode(
    model: "CausalLM",
    prompts: Sequence[Sequence[int]],
    constraints: Sequence[Constraint],
    *,
    spans: Sequence[Spans] | None = None,
    position_table: PositionTable | None = None,
    near: int = NEAR,
    codebook: Float[Tensor, "codes width"] | None = None,
    max_sequences: int = MAX_SEQUENCES,
) -> list[DecodedSequence]:
    """Completes every prompt greedily within its constraint, by an engine of its own.

    Args:
        prompts: ids of each, without padding; lengths may differ.
        constraints: one a prompt; prompts may share one.
        spans: of each prompt, what attends both ways (`SequenceBuilder.spans`); without them all is causal.
        position_table, near, codebook, max_sequences: as of `Engine`.
    """
    engine = Engine(model, position_table=position_table, near=near, codebook=codebook, max_sequences=max_sequences)
    handles = [
        engine.submit(Request(prompt=prompt, constraint=constraint, spans=own))
        for prompt, constraint, own in zip(prompts, constraints, spans or [()] * len(prompts), strict=True)
    ]
    return [handle.result() for handle in handles]


def _num_pending(sequence: SequenceState) -> int:
    return sequence.num_pending


def visible_ids(
    positions: Int[Tensor, "rows width"], spans: Sequence[Spans], *, length: int
) -> Bool[Tensor, "rows width length"]:
    """True where the id at a position sees one of the `length` first: those before it, itself, and its two-way span.

    `positions` of a row rise by one; a span is among them as a whole, or not at all.
    """
    visible = torch.arange(length) <= positions[..., None]
    for row, (first, own) in enumerate(zip(positions[:, 0].tolist(), spans, strict=True)):
        for start, stop in own:
            if start >= first:
                visible[row, start - first : stop - first, start:stop] = True
    return visible


def additive_mask(
    visible: Bool[Tensor, "rows width length"], dtype: torch.dtype
) -> Float[Tensor, "rows 1 width length"]:
    """As attention takes a mask: what is added to the scores."""
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]

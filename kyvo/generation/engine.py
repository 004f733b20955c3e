"""`Engine`: the decoding loop. Requests of any tasks and lengths join and leave one running batch.

A step reads the prompts of those who join (a part that an earlier prompt shares is taken over, `prefix.py`), then sends
every row's *pending* ids through the model: the one chosen last and those its grammar forces after it. Rows are in no
step with each other: each has its own length in the cache, its own positions and its own mask.

transformers' own continuous batching serves plain ids on a GPU; it takes no grammar, no vectors added to embeddings and
no spans that attend both ways.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from itertools import chain, groupby

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import LlamaForCausalLM, LlamaModel

from kyvo.errors import KyvoError, TokenError
from kyvo.generation.cache import RowCache
from kyvo.generation.choice import NEAR, Choice
from kyvo.generation.grammar import Grammar
from kyvo.generation.prefix import WORTH, PrefixCache, Spans
from kyvo.generation.requests import Decoded, Handle, Request
from kyvo.generation.rows import Row
from kyvo.models.embedding import place_vectors

MAX_ROWS = 32
MAX_SHARED = 8192  # ids; 8 kB each in the bundled model
# What a model calls its cache: transformers 5.24 has a new name, and warns of the old one at every forward.
CACHE = "cache" if "cache" in signature(LlamaModel.forward).parameters else "past_key_values"


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """What a model that was trained with positions adds to the embedding of image codes and objects."""

    vectors: Float[Tensor, "places dim"]
    find: Callable[[Sequence[int]], np.ndarray]  # `SequenceBuilder.places`

    def add(
        self, embedded: Float[Tensor, "rows width dim"], rows: Sequence[Sequence[int]], *, seen: Sequence[int]
    ) -> Float[Tensor, "rows width dim"]:
        """Embeddings of the ids of each row after the `seen` first ones, with the vectors of their places."""
        places = np.full(embedded.shape[:2], -1, dtype=np.int64)
        for index, (ids, start) in enumerate(zip(rows, seen, strict=True)):
            places[index, : len(ids) - start] = self.find(ids)[start:]
        if places.max() < 0:
            return embedded
        return embedded + place_vectors(self.vectors, torch.from_numpy(places).to(embedded.device))


class Engine:
    """One batch of a model that is always running. All methods may be called from any thread.

    Without `running` there is no thread: whoever waits for a result drives the loop. The weights must stay as they are,
    since what was read of prompts is kept.
    """

    def __init__(
        self,
        model: LlamaForCausalLM,
        *,
        places: Places | None = None,
        max_rows: int = MAX_ROWS,
        max_shared: int = MAX_SHARED,
        near: int = NEAR,
        codebook: Float[Tensor, "codes width"] | None = None,
    ) -> None:
        """
        Args:
            model: a folded model; its weights decide, the grammar only removes what cannot come.
            places: of a model that was trained with positions.
            max_rows: requests that decode together; more wait.
            max_shared: ids of prompts whose states are kept for prompts that begin alike; 0 for none.
            near, codebook: how numbers and image codes are chosen (`Choice`).
        """
        self.model = model
        self.places = places
        self.max_rows = max_rows
        self.num_forwards = 0  # since the start
        self._cache = RowCache(model.config, max_rows=max_rows, dtype=model.dtype, device=model.device)
        self._prefixes = PrefixCache(max_shared)
        table = model.get_input_embeddings()
        assert isinstance(table, torch.nn.Embedding)
        self._choice = Choice(near=near, codebook=codebook, table=table.weight)
        self._rows: list[Row] = []  # row i of the cache is the i-th
        self._waiting: deque[Row] = deque()
        self._turn = threading.Lock()  # who holds it makes a step
        self.beside = threading.Lock()  # held by who runs the model beside the loop: one at a time bounds the memory
        self._news = threading.Condition()  # guards `_waiting`; told of what a sleeping thread must know
        self._thread: threading.Thread | None = None
        self._draining = False

    @property
    def num_running(self) -> int:
        return len(self._rows)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def submit(self, request: Request) -> Handle:
        """Queues a request. Raises TokenError for a prompt that the model cannot take."""
        self.check(request.prompt)
        handle = Handle(self._drive)
        row = Row(request, handle, context=self.model.config.max_position_embeddings)
        with self._news:
            self._waiting.append(row)
            self._news.notify_all()
        return handle

    def run_until_done(self) -> None:
        """Drives the loop until nothing is left."""
        while self.step():
            pass

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
        """One round: who leaves, who joins, one forward of all. False when nothing is left."""
        with self._turn:
            try:
                self._leave()
                self._join()
                self._leave()  # the first choice may be the end
                if self._rows:
                    self._forward(0, len(self._rows))
            except RuntimeError as error:  # torch's, out of memory included
                self._fail(error)  # those in the batch get it, the rest goes on
            self._leave()
            if not self._rows:
                self._cache.shrink()
            return bool(self._rows or self._waiting)

    def _serve(self) -> None:
        try:
            while True:
                if not self.step():
                    with self._news:
                        if self._draining and not self._waiting:
                            return
                        self._news.wait_for(lambda: self._waiting or self._draining)
        finally:  # nobody may wait for ever for a loop that broke
            self._thread = None
            with self._news:
                self._rows += self._waiting
                self._waiting.clear()
            self._fail(KyvoError("the engine's loop ended before this request was done."))

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
        for slot in reversed(range(len(self._rows))):
            row = self._rows[slot]
            row.check()
            if row.finished:
                last = self._rows.pop()
                if last is not row:
                    self._cache.move(len(self._rows), slot, last.num_seen)
                    self._rows[slot] = last
                row.handle.finish(row.out)
        with self._news:
            for row in self._waiting:
                row.check()
            ended = [row for row in self._waiting if row.finished]
            if ended:
                self._waiting = deque(row for row in self._waiting if not row.finished)
        for row in ended:
            row.handle.finish(row.out)

    def _join(self) -> None:
        """Reads the prompts of those for whom there is room, those of like length together."""
        joining = sorted(self._next(self.max_rows - len(self._rows)), key=_num_pending)
        start = len(self._rows)
        self._rows += joining
        for slot, row in enumerate(joining, start):
            self._cache.reserve(len(self._rows), len(row.ids))
            if row.known is not None:
                self._cache.write(slot, row.known)
                row.known = None
        for _, group in groupby(joining, key=lambda row: row.num_pending.bit_length()):
            rows = list(group)
            self._forward(start, start + len(rows))
            for slot, row in enumerate(rows, start):
                if self._prefixes.wants(row.prompt, shared=row.out.num_shared):
                    self._prefixes.add(row.prompt, self._cache.read(slot, len(row.prompt.ids)))
            start += len(rows)

    def _next(self, room: int) -> list[Row]:
        """Those that join now, first come first. Who begins like one of them joins after that one has been read."""
        joining: list[Row] = []
        later: list[Row] = []
        with self._news:
            while self._waiting and len(joining) < room:
                row = self._waiting.popleft()
                row.num_seen, row.known = self._prefixes.longest(row.prompt)
                row.out.num_shared = row.num_seen
                first = (other for other in joining if self._prefixes.wants(other.prompt, shared=other.num_seen))
                begins_alike = any(row.prompt.shared(other.prompt) >= row.num_seen + WORTH for other in first)
                (later if begins_alike else joining).append(row)
            self._waiting.extendleft(reversed(later))
        return joining

    def _forward(self, start: int, stop: int) -> None:
        """Sends what is pending of some rows through the model; each then has its next id."""
        rows = self._rows[start:stop]
        counts = torch.tensor([row.num_pending for row in rows])
        columns = torch.arange(int(counts.max()))
        real = columns < counts[:, None]  # rows width
        positions = torch.tensor([row.num_seen for row in rows])[:, None] + columns
        ids = torch.zeros_like(positions)
        ids[real] = torch.tensor([*chain.from_iterable(row.ids[row.num_seen :] for row in rows)])

        spans = [row.prompt.spans for row in rows]
        visible = visible_ids(positions, spans, length=max(len(row.ids) for row in rows))

        self._cache.reserve(len(self._rows), visible.shape[2])
        self._cache.aim(start, positions, real)
        device = self.model.device
        ids = ids.to(device)
        embedded = self.model.get_input_embeddings()(ids)
        for index, row in enumerate(rows):
            if row.embedded is not None:
                embedded[index, 0] = row.embedded
        if self.places is not None:
            embedded = self.places.add(embedded, [row.ids for row in rows], seen=[row.num_seen for row in rows])
        hidden = self.model.model(
            inputs_embeds=embedded,
            attention_mask=additive(visible.to(device), embedded.dtype),
            position_ids=positions.to(device),
            use_cache=True,
            **{CACHE: self._cache},
        ).last_hidden_state
        last = hidden[torch.arange(len(rows), device=device), (counts - 1).to(device)]
        self.num_forwards += 1
        chosen = self._choice(self.model.lm_head(last).float(), rows)
        for row, own in zip(rows, chosen, strict=True):
            row.choose(own)

    def _fail(self, error: BaseException) -> None:
        rows, self._rows = self._rows, []
        for row in rows:
            row.handle.finish(error)


def decode(
    model: LlamaForCausalLM,
    prompts: Sequence[Sequence[int]],
    grammars: Sequence[Grammar],
    *,
    spans: Sequence[Spans] | None = None,
    places: Places | None = None,
    near: int = NEAR,
    codebook: Float[Tensor, "codes width"] | None = None,
    max_rows: int = MAX_ROWS,
) -> list[Decoded]:
    """Completes every prompt greedily within its grammar, by an engine of its own.

    Args:
        prompts: ids of each row, without padding; lengths may differ.
        grammars: one a row; rows may share one.
        spans: of each prompt, what attends both ways (`SequenceBuilder.spans`); without them all is causal.
        places, near, codebook, max_rows: as of `Engine`.
    """
    engine = Engine(model, places=places, near=near, codebook=codebook, max_rows=max_rows)
    handles = [
        engine.submit(Request(prompt=prompt, grammar=grammar, spans=own))
        for prompt, grammar, own in zip(prompts, grammars, spans or [()] * len(prompts), strict=True)
    ]
    return [handle.result() for handle in handles]


def _num_pending(row: Row) -> int:
    return row.num_pending


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


def additive(visible: Bool[Tensor, "rows width length"], dtype: torch.dtype) -> Float[Tensor, "rows 1 width length"]:
    """As every attention of transformers but flash takes a mask: what is added to the scores."""
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]

"""What goes into the engine and what comes out: `Request`, `Handle`, `DecodedSequence`."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Literal

from torch import Tensor

from kyvo.errors import ConfigError
from kyvo.generation.constraint import Constraint
from kyvo.generation.prefix import Spans
from kyvo.generation.sampling import Sampling
from kyvo.tokenizers.tasks import Segment

Reason = Literal[
    "limit",  # a scene has as many objects, or a text as many ids, as the grammar lets it have
    "max_tokens",
    "context",  # the model's `max_position_embeddings`
    "deadline",
    "cancelled",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """A prompt to be completed within a grammar. Raises ConfigError for a budget or deadline that lets nothing out."""

    prompt: Sequence[int]  # ids, without padding
    constraint: Constraint
    spans: Spans = ()  # what attends both ways (`SequenceBuilder.spans`); without them all is causal
    sampling: Mapping[Segment, Sampling] = field(default_factory=dict)  # a kind that is not named is greedy
    max_tokens: int | None = None  # ids of the output, forced ones counted
    deadline: float | None = None  # seconds from submission on, waiting included

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigError(f"max_tokens is {self.max_tokens}; it must be at least 1.")
        if self.deadline is not None and not self.deadline > 0:
            raise ConfigError(f"deadline is {self.deadline} s; it must be above 0.")


@dataclass(kw_only=True, eq=False)
class DecodedSequence:
    """One output. Of an output cut short the unfinished object is dropped and the rest closed, so that it parses;
    `ids` is empty where that cannot be: inside a picture, and before the first piece of a text."""

    ids: list[int] = field(default_factory=list)  # from the id after the prompt to EOS
    probabilities: list[float] = field(default_factory=list)  # among the ids allowed, of a number with its neighbours
    # Of each greedy image code [width], as it was written: the mean that it is nearest to (`TokenSelector`).
    vectors: list[Tensor] = field(default_factory=list)
    reason: Reason | None = None  # why it is shorter than the model would have it
    num_prompt: int = 0  # ids of the prompt
    num_shared: int = 0  # of which the states were taken over from an earlier prompt
    num_asked: int = 0  # ids the model was asked for; the others were forced

    @property
    def truncated(self) -> bool:
        return self.reason is not None


class Handle:
    """A submitted request. `future` is for `asyncio.wrap_future` and callbacks; end it by `cancel` alone."""

    def __init__(self, drive: Callable[[], bool]) -> None:
        """`drive` makes a step of the engine where no thread does; False where one does."""
        self.future: Future[DecodedSequence] = Future()
        self.future.set_running_or_notify_cancel()  # so that cancelling a wrapper leaves it alone
        self.cancelled = False
        self._drive = drive
        self._new: SimpleQueue[int | None] = SimpleQueue()

    @property
    def done(self) -> bool:
        return self.future.done()

    def stream(self) -> Iterator[int]:
        """Ids as they are decided. For one reader. An output cut short takes back those of its unfinished part."""
        while (token := self._next()) is not None:
            yield token
        self._new.put(None)
        if error := self.future.exception():
            raise error

    def result(self, timeout: float | None = None) -> DecodedSequence:
        """Waits for the end. Raises TimeoutError after `timeout` seconds, and what the engine failed with."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.done and (end is None or time.monotonic() < end) and self._drive():
            pass
        return self.future.result(None if end is None else max(0.0, end - time.monotonic()))

    def cancel(self) -> None:
        """Ends the request at the next step, with what it has."""
        self.cancelled = True

    def add(self, tokens: Sequence[int]) -> None:
        """For the engine: ids that were decided."""
        for token in tokens:
            self._new.put(token)

    def finish(self, result: DecodedSequence | BaseException) -> None:
        """For the engine: how it ended."""
        if isinstance(result, DecodedSequence):
            self.future.set_result(result)
        else:
            self.future.set_exception(result)
        self._new.put(None)

    def _next(self) -> int | None:
        while True:
            try:
                return self._new.get_nowait()
            except Empty:
                if self.done or not self._drive():
                    return self._new.get()

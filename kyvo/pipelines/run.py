"""`Run`: one request on its way through a pipeline. It knows how long it may take, and whether anybody still waits.

Each network call of a pipeline goes through a run, and so through the engine's queue: limits, deadlines and cancelling
hold for all of them alike.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from kyvo.errors import ConfigError, KyvoError
from kyvo.generation.language_model import Completion, LanguageModel, Pending
from kyvo.generation.prompts import length_error
from kyvo.generation.sampling import GREEDY, Sampling
from kyvo.tokenizers.scene import OptionalParts
from kyvo.tokenizers.tasks import Segment, Segments

Result = TypeVar("Result")

LATE = "there was no answer in time; try again when less is asked."
GRACE = 5.0  # seconds that the engine may take beyond a deadline, which it sees between two steps


class DeadlineExceeded(KyvoError):
    """The time was over before there was anything to answer with."""


class Cancelled(KyvoError):
    """Nobody waits for the run any more."""


class Run:
    """One request. All methods but `cancel` are for the one thread that runs it."""

    def __init__(
        self,
        model: LanguageModel,
        *,
        seconds: float = math.inf,
        sampling: Sampling = GREEDY,
        max_tokens: int | None = None,
        listen: Callable[[str], None] | None = None,
    ) -> None:
        """
        Args:
            seconds: that it may take from now on.
            sampling: of pictures.
            max_tokens: of what the request ends in (`complete`, `last`).
            listen: called with each piece of the text that the request ends in, as it is decided.
        """
        self.model = model
        self.sampling = sampling
        self.max_tokens = max_tokens
        self.listen = listen
        self.num_prompt = 0  # ids of all prompts so far
        self.num_output = 0
        self._deadline = time.monotonic() + seconds
        self._cancelled = False
        self._pending: list[Pending] = []

    def cancel(self) -> None:
        """Nobody waits any more: what decodes leaves the batch, and nothing new begins. From any thread."""
        self._cancelled = True
        for pending in self._pending:
            pending.cancel()

    @property
    def seconds_left(self) -> float:
        return self._deadline - time.monotonic()

    def check(self) -> None:
        """Raises Cancelled or DeadlineExceeded where the run is not to go on."""
        if self._cancelled:
            raise Cancelled("nobody waits for this any more.")
        if self.seconds_left <= 0:
            raise DeadlineExceeded(LATE)

    def stops(self) -> bool:
        """Asked by long work between its steps: raises as `check` does, and says that it is to go on."""
        self.check()
        return False

    def call(self, network: Callable[[], Result]) -> Result:
        """Runs another network than the language model on the engine's queue."""
        self.check()
        try:
            return self.model.engine.call(network, timeout=self._timeout)
        except TimeoutError:
            self.check()
            raise

    def complete(
        self,
        task: str,
        given: Sequence[Segments],
        *,
        last: bool = False,
        optionals: Sequence[OptionalParts | None] | None = None,
    ) -> list[Completion]:
        """The language model's outputs, all decoded together. The `reason` of each says whether it was cut short.

        Args:
            optionals: of the scenes of each input, as of `LanguageModel.submit`.

        Raises ConfigError where nothing whole came out of one.
        """
        self.check()
        deadline = None if math.isinf(self._deadline) else self.seconds_left
        self._pending = [
            self.model.submit(
                task,
                segments,
                sampling={"image": self.sampling},
                max_tokens=self.max_tokens if last else None,
                deadline=deadline,
                optional=optional,
            )
            for segments, optional in zip(given, optionals or [None] * len(given), strict=True)
        ]
        if self._cancelled:  # meanwhile
            self.cancel()
        if last and self.listen is not None and Segment.TEXT in self._pending[0].task.outputs:
            for piece in self._pending[0].texts():
                self.listen(piece)
        return [self._result(pending) for pending in self._pending]

    @property
    def _timeout(self) -> float | None:
        return None if math.isinf(self._deadline) else max(self.seconds_left, 0) + GRACE

    def _result(self, pending: Pending) -> Completion:
        try:
            completion = pending.result(self._timeout)
        except TimeoutError:
            pending.cancel()
            self.check()
            raise
        self.num_prompt += completion.num_prompt
        self.num_output += completion.num_output
        missing = [kind for kind in pending.task.outputs if getattr(completion, kind) is None]
        if missing:
            self.check()
            what = "picture" if missing[0] is Segment.IMAGE else missing[0].value
            raise ConfigError(length_error(what, completion.reason))
        return completion

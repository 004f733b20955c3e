"""`Throughput`: tokens a second and seconds a step, for the log and for a decay that ends in time."""

import statistics
import time
from collections import deque

WINDOW = 100  # steps; where harder data begins, some 30 of them compile for lengths not seen before
SLOW = 3  # times below the usual rate: such a step compiled, or a checkpoint was written


class Throughput:
    """How fast the newest steps went, those left out that are no measure of the next ones."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.steps: deque[tuple[int, float]] = deque(maxlen=WINDOW)  # tokens and seconds

    def count(self, num_tokens: int) -> None:
        now = time.monotonic()
        self.steps.append((num_tokens, now - self.last))
        self.last = now

    @property
    def seconds_per_step(self) -> float:
        """The mean, since batches of texts are far shorter than those of pictures. 0 until the window is full: the
        first steps compile, and would say that no time is left."""
        if len(self.steps) < WINDOW:
            return 0.0
        usual = self.tokens_per_second
        return statistics.mean(seconds for tokens, seconds in self.steps if tokens / seconds > usual / SLOW)

    @property
    def tokens_per_second(self) -> float:
        """The median of the steps' rates."""
        return statistics.median(tokens / seconds for tokens, seconds in self.steps) if self.steps else 0.0

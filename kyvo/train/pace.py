"""How fast a run goes, for its log and for fitting its decay in before its time is up."""

import statistics
import time
from collections import deque

WINDOW = 100  # steps; where harder data begins, some 30 of them compile for lengths not seen before


class Pace:
    """How fast the newest steps went. The rate is the median of a full window's, so that compiling and saving do not
    count; batches of texts are far shorter than those of pictures, so a step has the mean of their tokens."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.tokens: deque[int] = deque(maxlen=WINDOW)
        self.rates: deque[float] = deque(maxlen=WINDOW)

    def count(self, num_tokens: int) -> None:
        now = time.monotonic()
        self.tokens.append(num_tokens)
        self.rates.append(num_tokens / (now - self.last))
        self.last = now

    @property
    def seconds_per_step(self) -> float:
        """0 until the window is full: the first steps compile, and would say that no time is left."""
        return statistics.mean(self.tokens) / self.tokens_per_second if len(self.tokens) == self.tokens.maxlen else 0.0

    @property
    def tokens_per_second(self) -> float:
        return statistics.median(self.rates) if self.rates else 0.0

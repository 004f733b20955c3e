"""How fast a run goes, for its log and for fitting its decay in before its time is up."""

import statistics
import time
from collections import deque

WINDOW = 100  # steps; where harder data begins, some 30 of them compile for lengths not seen before


class Pace:
    """How fast the newest steps went. Medians over a full window, so that compiling and saving do not count."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.seconds: deque[float] = deque(maxlen=WINDOW)
        self.rates: deque[float] = deque(maxlen=WINDOW)

    def count(self, num_tokens: int) -> None:
        now = time.monotonic()
        self.seconds.append(now - self.last)
        self.rates.append(num_tokens / (now - self.last))
        self.last = now

    @property
    def seconds_per_step(self) -> float:
        """0 until the window is full: the first steps compile, and would say that no time is left."""
        return statistics.median(self.seconds) if len(self.seconds) == self.seconds.maxlen else 0.0

    @property
    def tokens_per_second(self) -> float:
        return statistics.median(self.rates) if self.rates else 0.0

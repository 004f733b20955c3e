"""`Budget`: how many bytes the requests in flight may hold together, those that wait outside the queue included."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kyvo.serving.errors import RequestError

COPIES = 4  # of a body: its pieces, the whole, the text, and what is parsed
RETRY_AFTER = 1  # s


class Account:
    """What one request holds."""

    def __init__(self, budget: "Budget") -> None:
        self._budget = budget
        self.held = 0

    def take(self, size: int) -> None:
        """For so many bytes of the body. Raises RequestError where the budget has no room for them."""
        self._budget.take(size * COPIES)
        self.held += size * COPIES


class Budget:
    """Shared by all requests of a server. For any thread."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self._lock = threading.Lock()

    @contextmanager
    def account(self) -> Iterator[Account]:
        """One request's; what it took is free again at the end."""
        own = Account(self)
        try:
            yield own
        finally:
            with self._lock:
                self.held -= own.held

    def take(self, size: int) -> None:
        with self._lock:
            if self.held + size > self.most:
                raise RequestError(
                    503,
                    "the requests in flight hold as much memory as they may; try again when some are done.",
                    headers={"Retry-After": str(RETRY_AFTER)},
                )
            self.held += size

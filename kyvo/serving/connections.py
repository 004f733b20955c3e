"""Connections to the server: how long one may be silent, how many may be open, and how much is logged of them.

uvicorn ends a connection that is idle after an answer, and nothing else: one that never sends a request's head, sends
it byte by byte, or never takes its answer stays for ever, and enough of them use up what files a process may open.
"""

import asyncio
import contextlib
import logging
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from kyvo.serving.limits import Limits

SPARE_FILES = 128  # of those a process may open: for what is accepted at once, the model's files and its decoders
MAX_RECORDS = 20  # of a logger in a period
PERIOD = 60.0  # s


def num_connections(limits: Limits) -> int:
    """How many may be open: the limit, as far as the system lets the process open files. At least 8."""
    with contextlib.suppress(ImportError):  # Windows counts them otherwise
        import resource

        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files != resource.RLIM_INFINITY:
            return max(8, min(limits.connections, files - SPARE_FILES))
    return limits.connections


def protocol(limits: Limits) -> type[H11Protocol]:
    """uvicorn's HTTP protocol with the limits of one server."""
    return type("LimitedProtocol", (_Limited,), {"limits": limits, "most": num_connections(limits)})


class _Limited(H11Protocol):
    """A connection waits for a request, its body included, or works on one. Waiting and writing have deadlines; where
    too many are open, the one that has waited longest is closed, and where none waits, the new one is."""

    limits: Limits
    most: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waits_since: float | None = None  # None while it works on a request
        self._head: asyncio.TimerHandle | None = None
        self._write: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_idle and self._head is None:
            self._await_head()  # the next request of a connection that was kept
        super().data_received(data)
        self._note_request()

    def on_response_complete(self) -> None:
        self._waits_since = time.monotonic()
        if self.cycle.more_body:  # the rest of a refused body must come as fast as a head
            self._await_head()
        super().on_response_complete()
        self._note_request()  # one that was sent before the answer

    def pause_writing(self) -> None:
        """The client takes nothing of what it is sent."""
        super().pause_writing()
        self._write = self.loop.call_later(self.limits.body_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._write is not None:
            self._write.cancel()
            self._write = None
        super().resume_writing()

    @property
    def _is_idle(self) -> bool:
        """Whether no request has begun that is not answered."""
        return self.cycle is None or self.cycle.response_complete

    def _note_request(self) -> None:
        if self._is_idle:
            return
        self._cancel_head()  # the body has a deadline of its own (`kyvo.serving.body`)
        if not self.cycle.more_body:
            self._waits_since = None

    def _await_head(self) -> None:
        self._waits_since = time.monotonic()
        self._cancel_head()
        self._head = self.loop.call_later(self.limits.head_seconds, self._give_up)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()

    def _make_room(self) -> None:
        open_ones = [other for other in self.connections if isinstance(other, _Limited)]
        open_ones = [other for other in open_ones if not other.transport.is_closing()]
        if len(open_ones) <= self.most:
            return
        waiting = [other for other in open_ones if other._waits_since is not None and other is not self]
        longest = min(waiting, key=lambda other: other._waits_since or 0.0, default=self)
        longest._give_up()

    def _cancel_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _stop_timers(self) -> None:
        self._cancel_head()
        if self._write is not None:
            self._write.cancel()
            self._write = None


class RateLimitFilter(logging.Filter):
    """Lets a logger write so many records in a period, and says then how many more there were."""

    def __init__(self, *, most: int = MAX_RECORDS, period: float = PERIOD) -> None:
        super().__init__()
        self.most = most
        self.period = period
        self._start = -period
        self._count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._start >= self.period:
            left = self._count - self.most
            if left > 0:
                record.msg, record.args = f"{record.getMessage()} ({left:,} records before were not written)", ()
            self._start, self._count = now, 0
        self._count += 1
        return self._count <= self.most


def limit_logs() -> None:
    """What clients cause is logged sparsely: uvicorn's records and asyncio's."""
    for name in ("uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        if not any(isinstance(own, RateLimitFilter) for own in logger.filters):
            logger.addFilter(RateLimitFilter())

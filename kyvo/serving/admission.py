"""`Admission`: which jobs are taken, and whose turn is next.

A job's cost is its share of the time that passes while it runs (processor sharing). The mean cost of a kind's last jobs
tells how long a new one would take beside those that are there; where that is more than a client would wait, it is
refused at once. A job that ran out of time counts LATE times what it was charged, as nobody knows what it lacked: so
a server that takes too many takes fewer soon.

Clients take turns. Where the queue is full, a client with fewer jobs than another takes the place of that one's last.
"""

import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable

RECENT = 0.2  # weight of the last job in the mean cost of its kind
LATE = 2.0


class Entry:
    """A job on its way."""

    client: str
    kind: str  # jobs of one kind cost alike


class Admission:
    """The jobs that were taken and are not done. Its owner holds a lock for all but the numbers."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.num_waiting = 0
        self._waiting: OrderedDict[str, deque[Entry]] = OrderedDict()  # by client, whose turn is next first
        self._running: dict[Entry, float] = {}  # the shared time at which each began
        self._shared = 0.0  # s that a job would have had to itself which ran all along
        self._seen = clock()
        self._costs: defaultdict[str, float] = defaultdict(float)  # s, by kind

    @property
    def num_running(self) -> int:
        return len(self._running)

    def seconds(self, kind: str) -> float:
        """After how long a new job would be done: behind those that wait, and beside those that run. Beside it each of
        these takes no more of the time than it does."""
        own = self._costs[kind]
        beside = sum(min(self._costs[entry.kind], own) for entry in self._running)
        behind = sum(self._costs[entry.kind] for entries in self._waiting.values() for entry in entries)
        return beside + behind + own

    def add(self, entry: Entry) -> None:
        self._waiting.setdefault(entry.client, deque()).append(entry)
        self.num_waiting += 1

    def displace(self, client: str) -> Entry | None:
        """Takes out the last waiting job of the client with most jobs, if that has two more than this one."""
        counts = Counter(entry.client for entry in self._running)
        counts.update({name: len(own) for name, own in self._waiting.items()})
        greedy = max(self._waiting, key=lambda name: counts[name], default=None)
        if greedy is None or counts[greedy] < counts[client] + 2:
            return None
        return self._take(greedy, last=True)

    def withdraw(self, entry: Entry) -> bool:
        """Takes out a job that waits; False where it does not."""
        own = self._waiting.get(entry.client, ())
        if entry not in own:
            return False
        self.num_waiting -= 1
        self._waiting[entry.client].remove(entry)
        if not own:
            del self._waiting[entry.client]
        return True

    def begin(self) -> Entry | None:
        """The job whose turn it is; None where all that waited were displaced."""
        if not self._waiting:
            return None
        client = next(iter(self._waiting))
        entry = self._take(client, last=False)
        if client in self._waiting:
            self._waiting.move_to_end(client)
        self._pass_time()
        self._running[entry] = self._shared
        return entry

    def end(self, entry: Entry, *, factor: float = 1.0) -> None:
        """A running job has ended, at `factor` times what it was charged; 0 where that tells nothing of others."""
        self._pass_time()
        cost = factor * (self._shared - self._running.pop(entry))
        if factor:
            known = self._costs.get(entry.kind, cost)
            self._costs[entry.kind] = known + RECENT * (cost - known)

    def _take(self, client: str, *, last: bool) -> Entry:
        self.num_waiting -= 1
        own = self._waiting[client]
        entry = own.pop() if last else own.popleft()
        if not own:
            del self._waiting[client]
        return entry

    def _pass_time(self) -> None:
        now = self._clock()
        self._shared += (now - self._seen) / max(len(self._running), 1)
        self._seen = now

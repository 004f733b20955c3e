"""Jobs that take longer than a client's connection: how far each is, and the files that it gives.

A job is named and asked about. One is worked on at a time, by a worker of its own. What a job has to read of its
client's files is read before its turn comes, by another worker, so that a slow file delays no other job. Files of
finished jobs are kept until they take more than they may, or an hour has passed.
"""

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from kyvo.errors import KyvoError
from kyvo.generation.flow_sampler import Progress
from kyvo.pipelines.run import Cancelled, Run
from kyvo.serving.errors import RequestError
from kyvo.serving.worker import Job, JobOutput, Overloaded, Worker

LOG = logging.getLogger(__name__)

KEPT_SECONDS = 3600.0  # that the files of a finished job stay
MAX_KEPT = 256  # jobs that are remembered
State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True, eq=False)
class JobResult:
    """What a job gives."""

    result: Any  # of the job's kind
    files: Mapping[str, bytes]  # by name
    seconds: float


@dataclass(kw_only=True, eq=False)
class LongJob:
    """One job. Its own thread writes it, any other reads it."""

    path: str  # where it is asked about; its end is a name that nobody can guess
    future: Future[JobOutput] = field(default_factory=Future)
    withdraw: Callable[[], None] = lambda: None  # from the worker that has it
    cancelled: bool = False
    began: bool = False
    progress: Progress | None = None  # of the stage that it is at
    ended: float | None = None  # by the monotonic clock
    size: int = 0  # bytes of its files

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def state(self) -> State:
        if not self.future.done():
            return "running" if self.began else "waiting"
        error = self.future.exception()
        if error is None:
            return "done"
        return "cancelled" if isinstance(error, Cancelled) else "failed"

    @property
    def error(self) -> str | None:
        """Why it has no result."""
        error = self.future.exception() if self.future.done() else None
        if error is None or isinstance(error, KyvoError):
            return None if error is None else str(error)
        return "an error of the server's own; its log says more."

    @property
    def made(self) -> JobResult | None:
        return self.future.result().result if self.state == "done" else None

    def cancel(self) -> None:
        self.cancelled = True
        self.withdraw()

    def watch(self, progress: Progress) -> None:
        """For samplers to call."""
        self.progress = progress


class LongJobs:
    """The jobs of one server, by their paths. For any thread."""

    def __init__(self, worker: Worker, readers: Worker) -> None:
        """`worker` has `Limits.parallel` 1: jobs take turns. `readers` reads the files of those that wait."""
        self.worker = worker
        self.readers = readers
        self._jobs: OrderedDict[str, LongJob] = OrderedDict()
        self._lock = threading.Lock()

    def start(self) -> None:
        self.worker.start()
        self.readers.start()

    def stop(self) -> None:
        """Takes nothing new; what is not done is cancelled, as nobody could fetch it."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        self.readers.stop()
        self.worker.stop()

    def add(
        self,
        folder: str,
        task: str,
        make: Callable[..., JobResult],
        *,
        read: Callable[[], Any] | None = None,
        client: str = "",
    ) -> LongJob:
        """Takes a job. Raises Overloaded where the queue is full.

        Args:
            folder: of its path.
            task: for the metrics.
            make: of the run, the job, and `found`, what `read` returned.
            read: reads files before the job's turn comes.
        """
        job = LongJob(path=f"{folder}/{secrets.token_urlsafe(16)}")
        reading = self.readers.num_open
        waiting = reading + self.worker.num_open
        if (reading or read is not None) and waiting >= self.worker.limits.jobs:
            raise Overloaded(f"{waiting} jobs are waiting, and no more may.", retry_after=self.worker.retry_after)
        if read is None:
            self._queue(job, task, partial(make, found=None), client)
        else:
            self._read(job, task, make, read, client)
        with self._lock:
            self._jobs[job.path] = job
        job.future.add_done_callback(lambda future: self._end(job, future))
        return job

    def _read(
        self, job: LongJob, task: str, make: Callable[..., JobResult], read: Callable[[], Any], client: str
    ) -> None:
        """Has a job's files read, and queues it when they are."""

        def then(reading: Future[JobOutput]) -> None:
            try:
                self._queue(job, task, partial(make, found=reading.result().result), client)
            except Exception as error:
                job.future.set_exception(error)

        ticket = self.readers.submit(Job(task=f"{task}_files", work=lambda run: read()), client=client)
        job.withdraw = partial(self.readers.withdraw, ticket)
        ticket.future.add_done_callback(then)

    def _queue(self, job: LongJob, task: str, make: Callable[[Run, LongJob], JobResult], client: str) -> None:
        def work(run: Run) -> JobResult:
            if job.cancelled:  # while its files were read
                raise Cancelled("it was cancelled before it began.")
            job.began = True
            return make(run, job)

        ticket = self.worker.submit(Job(task=task, work=work), client=client)
        job.withdraw = partial(self.worker.withdraw, ticket)
        ticket.future.add_done_callback(lambda done: _follow(job.future, done))

    def get(self, folder: str, name: str) -> LongJob:
        """Raises RequestError where there is none of this name."""
        with self._lock:
            self._forget_old()
            job = self._jobs.get(f"{folder}/{name}")
        if job is None:
            raise RequestError(404, f"there is no job {name[:40]!r}; finished ones are kept for an hour at most.")
        return job

    def remove(self, folder: str, name: str) -> None:
        """Cancels the job where it is not done, and forgets it with its files. Raises RequestError as `get` does."""
        job = self.get(folder, name)
        with self._lock:
            self._jobs.pop(job.path, None)
        job.cancel()

    def _end(self, job: LongJob, future: Future[JobOutput]) -> None:
        error = future.exception()
        if error is not None and not isinstance(error, KyvoError):
            LOG.error("a job failed", exc_info=error)
        with self._lock:
            job.size = 0 if job.made is None else sum(map(len, job.made.files.values()))
            job.ended = time.monotonic()
            self._forget_old()

    def _forget_old(self) -> None:
        """Lets go of finished jobs that are old, and of the oldest where they are too many or too large."""
        ended = sorted((job for job in self._jobs.values() if job.ended is not None), key=lambda job: job.ended or 0)
        size = sum(job.size for job in ended)
        for job in ended:
            assert job.ended is not None
            is_old = time.monotonic() - job.ended > KEPT_SECONDS
            if not is_old and size <= self.worker.limits.object_results and len(self._jobs) <= MAX_KEPT:
                return
            self._jobs.pop(job.path, None)
            size -= job.size


def _follow(future: Future[Any], done: Future[Any]) -> None:
    """Ends a future as another has ended."""
    error = done.exception()
    if error is None:
        future.set_result(done.result())
    else:
        future.set_exception(error)

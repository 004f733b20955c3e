"""`Worker`: jobs for the model, from any thread, at most so many at a time.

A job is one request: a function of the `Run` that its pipelines take. Each has a thread that waits most of its life;
the engine decodes all of them together.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from kyvo.api import Kyvo
from kyvo.errors import KyvoError
from kyvo.generation.sampling import GREEDY, Sampling
from kyvo.pipelines.run import Cancelled, DeadlineExceeded, Run
from kyvo.serving.admission import LATE, Admission, Entry
from kyvo.serving.limits import Limits
from kyvo.serving.metrics import Metrics


class Overloaded(KyvoError):
    """As much is there to do as may be, or the worker stops; `retry_after` is in seconds."""

    def __init__(self, reason: str, *, retry_after: int) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One request."""

    task: str  # for the metrics
    work: Callable[[Run], Any]
    sampling: Sampling = GREEDY  # of pictures
    max_tokens: int | None = None  # of what the request ends in
    renders: bool = False  # also; then it costs more than others of its task


@dataclass(frozen=True, kw_only=True, eq=False)
class JobOutput:
    """What a job's work returned, and the tokens of all that ran for it."""

    result: Any
    num_prompt: int
    num_output: int


class QueuedJob(Entry):
    """A job on its way. `future` has the result, or the KyvoError that ended it."""

    def __init__(self, job: Job, run: Run, *, client: str) -> None:
        self.future: Future[JobOutput] = Future()
        self.job = job
        self.run = run
        self.client = client
        self.kind = kind_of(job)

    def cancel(self) -> None:
        """Nobody waits any more: the job leaves the batch, or never enters it."""
        self.run.cancel()


def kind_of(job: Job) -> str:
    """What jobs that cost alike have in common."""
    return f"{job.task} and rendering" if job.renders else job.task


class Worker:
    """Runs jobs from `start` to `stop`."""

    def __init__(self, model: Kyvo, *, limits: Limits, metrics: Metrics, runs_engine: bool = True) -> None:
        """
        Args:
            runs_engine: of several workers of one model, one runs its engine.
        """
        self.model = model
        self._runs_engine = runs_engine
        self.limits = limits
        self.metrics = metrics
        self._lock = threading.Lock()
        self._jobs = Admission()
        self._accepts = False
        self._ends: deque[float] = deque(maxlen=32)  # when the last jobs were done
        self._stack = ExitStack()
        metrics.show_queue(waiting=lambda: self.num_waiting, running=lambda: self.num_running)

    def start(self) -> None:
        if self._runs_engine:
            self._stack.enter_context(self.model.language_model.engine.running())
        self._threads = self._stack.enter_context(ThreadPoolExecutor(self.limits.parallel, thread_name_prefix="job"))
        self._accepts = True

    def stop(self) -> None:
        """Takes nothing new and finishes the jobs that were taken."""
        with self._lock:
            self._accepts = False
        self._stack.close()

    @property
    def accepts(self) -> bool:
        """Whether it takes jobs."""
        return self._accepts

    @property
    def num_waiting(self) -> int:
        return self._jobs.num_waiting

    @property
    def num_running(self) -> int:
        return self._jobs.num_running

    def submit(self, job: Job, *, client: str = "", listen: Callable[[str], None] | None = None) -> QueuedJob:
        """Takes a job, or raises Overloaded.

        Args:
            client: whose it is; clients take turns.
            listen: called, in another thread, with each piece of a text as it is decided.
        """
        run = Run(
            self.model.language_model,
            seconds=self.limits.seconds,
            sampling=job.sampling,
            max_tokens=job.max_tokens,
            listen=listen,
        )
        ticket = QueuedJob(job, run, client=client)
        with self._lock:
            if not self._accepts:
                raise Overloaded("the server stops; it takes nothing new.", retry_after=10)
            busy = self._busy(job)
            displaced = self._jobs.displace(client) if busy else None
            if busy and displaced is None:
                self.metrics.jobs.labels(job.task, "refused").inc()
                raise busy
            self._jobs.add(ticket)
        self._threads.submit(self._work)
        if isinstance(displaced, QueuedJob):
            self._count(displaced, busy)
            displaced.future.set_exception(busy)
        return ticket

    def withdraw(self, ticket: QueuedJob) -> None:
        """Cancels a job, and makes room at once where it waits."""
        ticket.cancel()
        with self._lock:
            waited = self._jobs.withdraw(ticket)
        if waited:
            error = Cancelled("it was cancelled before it began.")
            self._count(ticket, error)
            ticket.future.set_exception(error)

    def run(self, job: Job) -> JobOutput:
        """A job's result, waited for."""
        return self.submit(job).future.result()

    @property
    def retry_after(self) -> int:
        """Seconds until half of the jobs are done, at the throughput of the last ones."""
        if len(self._ends) < 2:
            return 1
        per_job = (time.monotonic() - self._ends[0]) / len(self._ends)
        return min(max(math.ceil(per_job * self.num_open / 2), 1), 60)

    @property
    def num_open(self) -> int:
        return self._jobs.num_waiting + self._jobs.num_running

    def _busy(self, job: Job) -> Overloaded | None:
        """Why the job cannot be taken; None where it can. A server without jobs takes any."""
        if self.num_open >= self.limits.jobs:
            return Overloaded(f"{self.num_open} jobs are waiting, and no more may.", retry_after=self.retry_after)
        if self.num_open and self._jobs.seconds(kind_of(job)) > self.limits.seconds:
            reason = f"{self.num_open} jobs are waiting; one more would take longer than {self.limits.seconds:g} s."
            return Overloaded(reason, retry_after=self.retry_after)
        return None

    def _count(self, ticket: QueuedJob, error: BaseException | None) -> None:
        outcomes = {type(None): "done", Cancelled: "cancelled", DeadlineExceeded: "late", Overloaded: "refused"}
        outcome = outcomes.get(type(error), "failed")
        self.metrics.jobs.labels(ticket.job.task, outcome).inc()
        self.metrics.tokens.labels("prompt").inc(ticket.run.num_prompt)
        self.metrics.tokens.labels("completion").inc(ticket.run.num_output)

    def _work(self) -> None:
        """Does the job whose turn it is."""
        with self._lock:
            ticket = self._jobs.begin()
        if not isinstance(ticket, QueuedJob):
            return
        done, error = None, None
        try:
            ticket.run.check()
            result = ticket.job.work(ticket.run)
            done = JobOutput(result=result, num_prompt=ticket.run.num_prompt, num_output=ticket.run.num_output)
        except BaseException as failure:
            error = failure
        with self._lock:
            self._jobs.end(
                ticket, factor=1.0 if error is None else LATE if isinstance(error, DeadlineExceeded) else 0.0
            )
            self._ends.append(time.monotonic())
        self._count(ticket, error)
        if done is not None:
            ticket.future.set_result(done)
        else:
            ticket.future.set_exception(error)

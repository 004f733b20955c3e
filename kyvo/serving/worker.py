"""`Worker`: jobs for the model, from any thread, at most so many at a time.

A job may take several runs of the model: a question about a picture needs its scene, one about a scene its picture.
Each job has a thread that waits most of its life; the engine decodes all of them together.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from kyvo.api import Completion, Kyvo, Pending
from kyvo.conversation import merge
from kyvo.errors import ConfigError, KyvoError
from kyvo.generation.constraint import Constraint
from kyvo.generation.sampling import GREEDY, Sampling
from kyvo.scene.scene import Camera, Scene
from kyvo.serving.limits import Limits
from kyvo.serving.metrics import Metrics
from kyvo.tokenizers.tasks import SCENE_ALONE, TASKS, Segment, Segments

LATE = "there was no answer in time; try again when less is asked of the server."
GRACE = 5.0  # seconds that the engine may take beyond a deadline, which it sees between two steps


class Busy(KyvoError):
    """As many jobs are there as may be, or the worker stops; `retry_after` is in seconds."""

    def __init__(self, reason: str, *, retry_after: int) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Late(KyvoError):
    """The time was over before there was anything to answer with."""


class GivenUp(KyvoError):
    """Nobody waits for the job any more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One task on one input. A picture or a scene that the task needs and that is not there is made first."""

    task: str
    picture: np.ndarray | None = None  # uint8 [height, width, 3]
    camera: Camera | None = None  # that took the picture, where it is known
    scene: Scene | None = None
    text: str | None = None
    sampling: Sampling = GREEDY  # of pictures
    max_tokens: int | None = None  # of the last run


@dataclass(frozen=True, kw_only=True, eq=False)
class Done:
    """A job's result. `given` is the scene that the task had, which may have been recognised first."""

    completion: Completion
    given: Scene | None
    num_prompt: int  # tokens of all runs
    num_output: int


class Ticket:
    """A job on its way. `future` has the result, or the KyvoError that ended it."""

    future: Future[Done]

    def __init__(self, job: Job, *, seconds: float, listen: Callable[[str], None] | None) -> None:
        self.job = job
        self.listen = listen
        self.num_prompt = 0
        self.num_output = 0
        self._deadline = time.monotonic() + seconds
        self._cancelled = False
        self._pending: Pending | None = None

    def cancel(self) -> None:
        """Nobody waits any more: the job leaves the batch, or never enters it."""
        self._cancelled = True
        if self._pending is not None:
            self._pending.cancel()

    def enter(self, pending: Pending) -> None:
        """Names the run that `cancel` ends from now on."""
        self._pending = pending
        if self._cancelled:
            pending.cancel()

    def check(self) -> None:
        """Raises GivenUp or Late where the job is not to go on."""
        if self._cancelled:
            raise GivenUp("nobody waits for this job any more.")
        if self.seconds_left <= 0:
            raise Late(LATE)

    @property
    def seconds_left(self) -> float:
        return self._deadline - time.monotonic()


class Worker:
    """Runs jobs from `start` to `stop`."""

    def __init__(self, model: Kyvo, *, limits: Limits, metrics: Metrics) -> None:
        self.model = model
        self.limits = limits
        self.metrics = metrics
        self._lock = threading.Lock()
        self._encoding = threading.Lock()  # pictures go through their network one at a time: the cores are few
        self._open = 0
        self._running = 0
        self._accepts = False
        self._ends: deque[float] = deque(maxlen=32)  # when the last jobs were done
        self._stack = ExitStack()
        metrics.show_queue(waiting=lambda: self.num_waiting, running=lambda: self._running)

    def start(self) -> None:
        self._stack.enter_context(self.model.engine.running())
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
        return self._open - self._running

    @property
    def num_running(self) -> int:
        return self._running

    def submit(self, job: Job, *, listen: Callable[[str], None] | None = None) -> Ticket:
        """Takes a job, or raises Busy.

        Args:
            listen: called, in another thread, with each piece of a text as it is decided.
        """
        with self._lock:
            if not self._accepts:
                raise Busy("the server stops; it takes nothing new.", retry_after=10)
            if self._open >= self.limits.jobs:
                self.metrics.jobs.labels(job.task, "refused").inc()
                raise Busy(f"{self._open} jobs are waiting, and no more may.", retry_after=self._retry_after())
            self._open += 1
        ticket = Ticket(job, seconds=self.limits.seconds, listen=listen)
        ticket.future = self._threads.submit(self._work, ticket)
        ticket.future.add_done_callback(lambda future: self._count(ticket, future))
        return ticket

    def run(self, job: Job) -> Done:
        """A job's result, waited for."""
        return self.submit(job).future.result()

    def _retry_after(self) -> int:
        """Seconds until half of the jobs are done, at the rate of the last ones."""
        if len(self._ends) < 2:
            return 1
        per_job = (time.monotonic() - self._ends[0]) / len(self._ends)
        return min(max(math.ceil(per_job * self._open / 2), 1), 60)

    def _count(self, ticket: Ticket, future: Future[Done]) -> None:
        with self._lock:
            self._open -= 1
            self._ends.append(time.monotonic())
        error = GivenUp() if future.cancelled() else future.exception()
        outcome = {type(None): "done", GivenUp: "cancelled", Late: "late"}.get(type(error), "failed")
        self.metrics.jobs.labels(ticket.job.task, outcome).inc()
        self.metrics.tokens.labels("prompt").inc(ticket.num_prompt)
        self.metrics.tokens.labels("completion").inc(ticket.num_output)

    def _work(self, ticket: Ticket) -> Done:
        with self._lock:
            self._running += 1
        try:
            return self._run(ticket)
        finally:
            with self._lock:
                self._running -= 1

    def _run(self, ticket: Ticket) -> Done:
        job, scene = ticket.job, ticket.job.scene
        if Segment.SCENE in TASKS[job.task].inputs and scene is None:
            scene = self._recognize(ticket).scene
        if job.task == "editing" and scene is not None:
            completion = self._edit(ticket, scene)
        elif job.task == "recognition":
            completion = self._recognize(ticket, last=True)
        else:
            task = SCENE_ALONE.get(job.task, job.task) if job.picture is None else job.task
            needed = TASKS[task].inputs
            shown = self.model.to_canonical_camera(scene) if scene is not None and task == "rendering" else scene
            given = Segments(
                image=self._codes(job.picture) if Segment.IMAGE in needed else None,
                scene=shown if Segment.SCENE in needed else None,
                text=job.text if Segment.TEXT in needed else None,
            )
            answers = None
            if job.task == "question_answering" and scene is not None:
                answers = self.model.answers(scene, job.text or "")
            completion = self._complete(ticket, task, given, constraint=answers, last=True)
            if task == "rendering":
                completion = self._closed_loop(ticket, given.scene, completion)
        return Done(completion=completion, given=scene, num_prompt=ticket.num_prompt, num_output=ticket.num_output)

    def _recognize(self, ticket: Ticket, *, last: bool = False) -> Completion:
        picture = ticket.job.picture
        written = self._complete(ticket, "recognition", Segments(image=self._codes(picture)), last=last)
        assert written.scene is not None and picture is not None
        with self._encoding:
            cameras = None if ticket.job.camera is None else [ticket.job.camera]
            return replace(written, scene=self.model.refined([written.scene], [picture], cameras=cameras)[0])

    def _edit(self, ticket: Ticket, scene: Scene) -> Completion:
        """As `Kyvo.edit`; what the instruction left alone keeps its exact numbers and its unknown keys."""
        ticket.check()
        try:
            written = self.model.change_one(
                scene, ticket.job.text or "", max_tokens=ticket.job.max_tokens, deadline=ticket.seconds_left
            )
        finally:
            ticket.check()  # who is late is told so, whatever was cut
        ticket.num_prompt += written.num_prompt
        ticket.num_output += written.num_output
        assert written.scene is not None
        after = merge(scene, written.scene, self.model.processor.schema)
        written, shown = replace(written, scene=after), self.model.to_canonical_camera(after)
        drawn = self._complete(ticket, "rendering", Segments(scene=shown))
        return written.with_picture(self._closed_loop(ticket, shown, drawn))

    def _closed_loop(self, ticket: Ticket, scene: Scene | None, drawn: Completion) -> Completion:
        """What was rendered, looked at as `Kyvo.render` does in the time that is left; one drawn at random stays."""
        ticket.check()
        if scene is None or drawn.image is None or drawn.truncated or ticket.job.sampling != GREEDY:
            return drawn
        (image,) = self.model.closed_loop([scene], [drawn.image], deadline=ticket.seconds_left)
        return replace(drawn, image=image)

    def _codes(self, picture: np.ndarray | None) -> np.ndarray:
        if picture is None:
            raise ConfigError("there is neither a picture nor a scene.")
        with self._encoding:
            return self.model.encode_images([picture])[0]

    def _complete(
        self, ticket: Ticket, task: str, given: Segments, *, constraint: Constraint | None = None, last: bool = False
    ) -> Completion:
        ticket.check()
        pending = self.model.submit(
            task,
            given,
            sampling={"image": ticket.job.sampling},
            constraint=constraint,
            max_tokens=ticket.job.max_tokens if last else None,
            deadline=ticket.seconds_left,
        )
        ticket.enter(pending)
        if last and ticket.listen is not None and Segment.TEXT in pending.task.outputs:
            for piece in pending.texts():
                ticket.listen(piece)
        try:
            completion = pending.result(timeout=max(ticket.seconds_left, 0) + GRACE)
        except TimeoutError:
            ticket.cancel()
            raise Late(LATE) from None
        except KyvoError as error:  # the prompt was taken, so this is no fault of the client's
            raise RuntimeError(f"the engine failed in {task}: {error}") from error
        ticket.num_prompt += completion.num_prompt
        ticket.num_output += completion.num_output
        if any(getattr(completion, kind) is None for kind in pending.task.outputs):
            ticket.check()
            raise ConfigError(
                f"the output was cut ({completion.reason}) before it was whole; allow more tokens, or give less."
            )
        return completion

"""Jobs that make objects: what a request asks for, how far it is, and the files that it gives.

They take longer than a client's connection, so a job is named and asked about. One is worked on at a time, by a worker
of its own; files of finished jobs are kept until they take more than they may, or an hour has passed.
"""

import logging
import secrets
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kyvo.data.object_pictures import ObjectPicture
from kyvo.errors import KyvoError
from kyvo.generation.flow_sampler import Progress
from kyvo.pipelines.object_editing import box_region, edit_region, vary_details
from kyvo.pipelines.object_inputs import LatentKind
from kyvo.pipelines.object_outputs import SUFFIXES, output_paths, write_objects
from kyvo.pipelines.object_source import ObjectSource
from kyvo.pipelines.objects import GeneratedObject, ObjectGenerator
from kyvo.pipelines.run import Cancelled, Run
from kyvo.serving.errors import RequestError
from kyvo.serving.limits import Limits
from kyvo.serving.object_reading import SentFile, read_sent
from kyvo.serving.worker import Done, Job, Ticket, Worker
from kyvo.shapes.mesh import Place

LOG = logging.getLogger(__name__)

KEPT_SECONDS = 3600.0  # that the files of a finished job stay
MAX_KEPT = 256  # jobs that are remembered
State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectRequest:
    """What is asked for: a new object, or with `edited` a variant of one, or with a region a part made anew."""

    text: str | None = None
    image: ObjectPicture | None = None
    edited: SentFile | None = None
    box: Sequence[float] | None = None  # x0, y0, z0, x1, y1, z1 in the object's frame
    mask: SentFile | None = None  # a closed mesh around the region
    strength: float = 1.0
    count: int = 1
    seed: int = 0
    formats: Sequence[str] = ("glb",)

    @property
    def task(self) -> str:
        if self.edited is None:
            return "object"
        return "object_variant" if self.box is None and self.mask is None else "object_region"

    @property
    def condition(self) -> dict[str, Any]:
        return {"text": self.text} if self.image is None else {"image": self.image}


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """What a job gives."""

    objects: Sequence[GeneratedObject]
    files: Mapping[str, bytes]  # by name
    seconds: float


@dataclass(kw_only=True, eq=False)
class ObjectJob:
    """One job. Its own thread writes it, any other reads it."""

    id: str
    ticket: Ticket | None = None  # none before the worker has taken it
    began: bool = False
    progress: Progress | None = None  # of the stage that it is at
    ended: float | None = None  # by the monotonic clock
    size: int = 0  # bytes of its files

    @property
    def future(self) -> Future[Done]:
        assert self.ticket is not None
        return self.ticket.future

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
    def made(self) -> Made | None:
        return self.future.result().result if self.state == "done" else None


class ObjectJobs:
    """The jobs of one server, by their names, which nobody can guess. For any thread."""

    def __init__(self, worker: Worker, source: ObjectSource) -> None:
        """`worker` has `Limits.parallel` 1: jobs take turns."""
        self.worker = worker
        self.source = source
        self._jobs: OrderedDict[str, ObjectJob] = OrderedDict()
        self._lock = threading.Lock()

    def start(self) -> None:
        self.worker.start()

    def stop(self) -> None:
        """Takes nothing new; what is not done is cancelled, as nobody could fetch it."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            if job.ticket is not None:
                self.worker.withdraw(job.ticket)
        self.worker.stop()

    def add(self, request: ObjectRequest, *, client: str = "") -> ObjectJob:
        """Takes a job. Raises Busy where the queue is full, and RequestError where the server has no generator."""
        if (reason := self.source.lacks) is not None:
            raise RequestError(501, f"this server makes no objects: {reason} Then start it with --objects FOLDER.")
        job = ObjectJob(id=secrets.token_urlsafe(16))

        def work(run: Run) -> Made:
            job.began = True
            return make_objects(request, self.source.get(), run, self.worker.limits, job)

        job.ticket = self.worker.submit(Job(task=request.task, work=work), client=client)
        with self._lock:
            self._jobs[job.id] = job
        job.future.add_done_callback(lambda future: self._end(job, future))
        return job

    def get(self, name: str) -> ObjectJob:
        """Raises RequestError where there is none of this name."""
        with self._lock:
            self._forget_old()
            job = self._jobs.get(name)
        if job is None:
            raise RequestError(404, f"there is no job {name[:40]!r}; finished ones are kept for an hour at most.")
        return job

    def remove(self, name: str) -> None:
        """Cancels the job where it is not done, and forgets it with its files. Raises RequestError as `get` does."""
        job = self.get(name)
        with self._lock:
            self._jobs.pop(name, None)
        assert job.ticket is not None
        self.worker.withdraw(job.ticket)

    def _end(self, job: ObjectJob, future: Future[Done]) -> None:
        error = future.exception()
        if error is not None and not isinstance(error, KyvoError):
            LOG.error("a job that makes objects failed", exc_info=error)
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
            del self._jobs[job.id]
            size -= job.size


def make_objects(request: ObjectRequest, generator: ObjectGenerator, run: Run, limits: Limits, job: ObjectJob) -> Made:
    """Does what a request asks for. Raises as `ObjectGenerator.generate`, `edit_region` and `read_sent` do, and
    Cancelled or Late where the run is not to go on."""
    began = time.monotonic()

    def note(progress: Progress) -> None:
        job.progress = progress

    watching: dict[str, Any] = {"progress": note, "cancelled": run.stops, "seed": request.seed, **request.condition}
    place = None
    if request.edited is None:
        made = generator.generate(count=request.count, **watching)
    else:
        found = read_sent(request.edited, LatentKind.of(generator), limits, mask=request.mask)
        place, latent, region = found.item.place, found.item.latent, found.region
        watching["strength"] = request.strength
        if request.box is not None:
            region = box_region(request.box[:3], request.box[3:], resolution=latent.resolution)
        if region is None:
            made = vary_details(generator, latent, count=request.count, **watching)
        else:
            made = [edit_region(generator, latent, region, **watching)]
    run.check()
    files = _files(made, request.formats, place)
    run.check()
    return Made(objects=made, files=files, seconds=time.monotonic() - began)


def _files(made: Sequence[GeneratedObject], formats: Sequence[str], place: Place | None) -> dict[str, bytes]:
    """Each object in each format, as `kyvo generate` writes it: object-0.glb and on, and one sheet of all."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="kyvo-object-") as folder:
        for format in dict.fromkeys(formats):
            # Named as of several, so that the first one's name does not depend on their number.
            paths = output_paths(Path(folder) / f"object{SUFFIXES[format]}", format=format, count=len(made) + 1)
            paths = paths[: len(made)]
            write_objects(made, paths, format=format, place=place)
            found |= {path.name: path.read_bytes() for path in paths}
    return found

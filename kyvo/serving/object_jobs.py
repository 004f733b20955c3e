"""Jobs that make objects: what a request asks for, and the files that it gives."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kyvo.data.object_pictures import ObjectPicture
from kyvo.pipelines.object_editing import box_region, edit_region, vary_details
from kyvo.pipelines.object_inputs import LatentKind
from kyvo.pipelines.object_outputs import SUFFIXES, output_paths, write_objects
from kyvo.pipelines.object_source import ObjectSource
from kyvo.pipelines.objects import GeneratedObject, ObjectGenerator
from kyvo.pipelines.run import Run
from kyvo.serving.errors import RequestError
from kyvo.serving.long_jobs import JobResult, LongJob, LongJobs
from kyvo.serving.object_reading import ReadObject, SentFile, read_sent
from kyvo.shapes.mesh import CubeTransform

PATH = "/v1/objects"  # of the jobs


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


def add_objects(jobs: LongJobs, source: ObjectSource, request: ObjectRequest, *, client: str = "") -> LongJob:
    """Takes a job. Raises Overloaded where the queue is full, and RequestError where the server has no generator."""
    if (reason := source.lacks) is not None:
        raise RequestError(501, f"this server makes no objects: {reason} Then start it with --objects FOLDER.")

    def read() -> ReadObject:
        assert request.edited is not None
        return read_sent(request.edited, LatentKind.of(source.get()), jobs.worker.limits, mask=request.mask)

    def make(run: Run, job: LongJob, *, found: ReadObject | None) -> JobResult:
        return make_objects(request, found, source.get(), run, job)

    return jobs.add(PATH, request.task, make, read=None if request.edited is None else read, client=client)


def make_objects(
    request: ObjectRequest, found: ReadObject | None, generator: ObjectGenerator, run: Run, job: LongJob
) -> JobResult:
    """Does what a request asks for, to the object of its file. Raises as `ObjectGenerator.generate` and `edit_region`
    do, and Cancelled or DeadlineExceeded where the run is not to go on."""
    began = time.monotonic()
    watching: dict[str, Any] = {
        "progress": job.watch,
        "cancelled": run.stops,
        "seed": request.seed,
        **request.condition,
    }
    place = None
    if found is None:
        made = generator.generate(count=request.count, **watching)
    else:
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
    return JobResult(result=made, files=files, seconds=time.monotonic() - began)


def _files(made: Sequence[GeneratedObject], formats: Sequence[str], place: CubeTransform | None) -> dict[str, bytes]:
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

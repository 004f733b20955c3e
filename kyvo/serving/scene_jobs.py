"""Jobs that make a scene of a picture or a text: what a request asks for, and the files that it gives."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from kyvo.api import Kyvo
from kyvo.data.scene_pictures import ScenePicture
from kyvo.models.segmenter import Prompt
from kyvo.pipelines.run import Run
from kyvo.pipelines.scene_masks import masked_by_prompts, masked_by_scene
from kyvo.pipelines.scene_source import MethodName, SceneSource
from kyvo.pipelines.scenes import generate_scene
from kyvo.scene.scene import Camera
from kyvo.serving.errors import RequestError
from kyvo.serving.long_jobs import JobResult, LongJob, LongJobs
from kyvo.shapes.scene_files import write_scene
from kyvo.shapes.scene_texts import SceneText
from kyvo.shapes.tokenizer import ShapeTokenizer

PATH = "/v1/scenes/jobs"  # of the jobs


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneRequest:
    """What is asked for. Of a picture without masks and prompts, the scene is recognised first: its outlines are the
    masks."""

    rgb: UInt8[np.ndarray, "height width 3"]  # of a text, what stands for the picture
    given: ScenePicture | SceneText | None = None  # a picture where masks were given, or none are needed
    prompts: Mapping[str, Prompt] | None = None
    method: MethodName = MethodName.SCENEGEN
    camera: Camera | None = None  # for the baselines
    seed: int = 0
    formats: Sequence[str] = ("glb",)

    @property
    def is_of_text(self) -> bool:
        return isinstance(self.given, SceneText)


def add_scene(jobs: LongJobs, model: Kyvo, source: SceneSource, request: SceneRequest, *, client: str = "") -> LongJob:
    """Takes a job. Raises Overloaded where the queue is full, and RequestError where the server lacks the method."""
    if (reason := source.lacks_text if request.is_of_text else source.lacks(request.method)) is not None:
        raise RequestError(
            501,
            f"this server has no method {request.method.value}: {reason} Its options --model, --scenes and --library "
            "name what it has.",
        )

    def make(run: Run, job: LongJob, *, found: None) -> JobResult:
        return make_scene(request, model, source, run, job)

    return jobs.add(PATH, "scene_of_shapes", make, client=client)


def make_scene(request: SceneRequest, model: Kyvo, source: SceneSource, run: Run, job: LongJob) -> JobResult:
    """Does what a request asks for. Raises as `generate_scene`, `masked_by_scene` and `masked_by_prompts` do, and
    Cancelled or DeadlineExceeded where the run is not to go on."""
    began = time.monotonic()
    method = source.from_text() if request.is_of_text else source.get(request.method, camera=request.camera)
    given = _masked(request, model, source, run) if request.given is None else request.given
    run.check()
    made = generate_scene(method, given, seed=request.seed, progress=job.watch, cancelled=run.stops)
    run.check()
    tokenizer = ShapeTokenizer.from_pretrained() if "json" in request.formats else None
    files = {}
    with tempfile.TemporaryDirectory(prefix="kyvo-scene-") as folder:
        for format in dict.fromkeys(request.formats):
            path = Path(folder) / f"scene.{format}"
            write_scene(made, [path], picture=given, tokenizer=tokenizer)
            files[path.name] = path.read_bytes()
            run.check()
    return JobResult(result=made, files=files, seconds=time.monotonic() - began)


def _masked(request: SceneRequest, model: Kyvo, source: SceneSource, run: Run) -> ScenePicture:
    if request.prompts is not None:
        return masked_by_prompts(request.rgb, request.prompts, segmenter=source.segmenter)
    scene = model.recognition([request.rgb], run)[0].scene
    assert scene is not None  # a recognition ends in one
    return masked_by_scene(request.rgb, scene)

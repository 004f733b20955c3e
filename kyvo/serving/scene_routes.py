"""The endpoints of scenes of shapes, which are made by jobs.

POST   /v1/scenes/generate             from a picture with masks, prompts, or a scene; or from a text
GET    /v1/scenes/methods              what the server can do
GET    /v1/scenes/jobs/{id} and on     as of all jobs (`kyvo.serving.long_job_routes`)
"""

import numpy as np
from fastapi import APIRouter, Request

from kyvo.data.scene_pictures import (
    ScenePicture,
    as_scene_picture,
    check_shows,
    label_masks,
    light_mask,
    read_labels,
    without_masks,
)
from kyvo.errors import ConfigError, ImageError
from kyvo.models.segmenter import Prompt
from kyvo.pipelines.scene_masks import check_prompts, masked_by_scene
from kyvo.pipelines.scene_source import MethodName, SceneSource
from kyvo.scene.files import camera_from_json
from kyvo.serving.body import BodyRoute
from kyvo.serving.inputs import Inputs, picture_of
from kyvo.serving.long_job_routes import jobs_of, reading_routes, shared_status
from kyvo.serving.long_jobs import LongJob
from kyvo.serving.requests import client_of, in_reader
from kyvo.serving.scene_jobs import PATH, SceneRequest, add_scene
from kyvo.serving.scene_schemas import MethodCard, PlacedShape, SceneGenerateRequest, SceneJobStatus, SceneMethods
from kyvo.serving.schemas import ErrorBody
from kyvo.shapes.scene_texts import SceneText

_NO_METHOD = {501: {"model": ErrorBody, "description": "the server lacks the method or its weights"}}

router = APIRouter(route_class=BodyRoute)


@router.post("/v1/scenes/generate", status_code=202, responses={**_NO_METHOD})
async def generate(body: SceneGenerateRequest, request: Request) -> SceneJobStatus:
    """Starts a job that makes the objects of a picture or a text, each where it stands."""
    state = request.app.state
    asked = await in_reader(request, lambda inputs: request_of(body, inputs, state.scenes))
    job = add_scene(jobs_of(request), state.worker.model, state.scenes, asked, client=client_of(request))
    return status_of(job)


@router.get("/v1/scenes/methods")
async def methods(request: Request) -> SceneMethods:
    """What the server can make scenes by."""
    source = request.app.state.scenes
    cards = [
        MethodCard(name=name, label=name.label, needs_masks=name.needs_masks, lacks=source.lacks(name))
        for name in MethodName
    ]
    return SceneMethods(methods=cards, segmenter=source.segments, lacks_text=source.lacks_text)


def request_of(body: SceneGenerateRequest, inputs: Inputs, source: SceneSource) -> SceneRequest:
    """Raises ConditionError, ConfigError, ImageError or SceneError for what does not do."""
    if body.text is not None:
        text = SceneText.of(inputs.text(body.text))
        return SceneRequest(rgb=text.rgb, given=text, seed=body.seed, formats=body.formats, method=body.method)
    if body.camera is not None and not body.method.has_camera:
        raise ConfigError(f"a camera goes with the baselines; {body.method.value} finds places without one.")
    assert body.image is not None  # as there is no text
    rgb = picture_of(body.image, inputs.limits)
    check_shows(rgb)
    prompts = _prompts(body)
    if prompts:
        _check_pixels(rgb, len(prompts), inputs)
        check_prompts(rgb, prompts, segments=source.segments)
    return SceneRequest(
        rgb=rgb,
        given=_picture(body, rgb, inputs),
        prompts=prompts or None,
        method=body.method,
        camera=None if body.camera is None else camera_from_json(body.camera),
        seed=body.seed,
        formats=body.formats,
    )


def _prompts(body: SceneGenerateRequest) -> dict[str, Prompt]:
    found = {}
    for number, item in enumerate(body.objects or ()):
        if item.mask is None:
            x0, y0, x1, y1 = item.box or (0, 0, 0, 0)
            points = tuple((x, y) for x, y in item.points or ())
            box = None if item.box is None else (x0, y0, x1, y1)
            found[item.name or str(number)] = Prompt(box=box, points=points)
    return found


def _picture(body: SceneGenerateRequest, rgb: np.ndarray, inputs: Inputs) -> ScenePicture | None:
    """None where the job has to find the masks."""
    if not body.sources:
        return without_masks(rgb)
    if body.scene is not None:
        scene = inputs.scene(body.scene)
        _check_pixels(rgb, len(scene.objects), inputs)
        return masked_by_scene(rgb, scene)
    if body.labels is not None:
        labels, values = read_labels(picture_of(body.labels, inputs.limits))
        _check_pixels(labels, len(values), inputs)
        named = label_masks(labels, values)
        return as_scene_picture(rgb, [mask for _, mask in named], [name for name, _ in named])
    masked = {item.name or str(number): item.mask for number, item in enumerate(body.objects or ()) if item.mask}
    if not masked:
        return None
    _check_pixels(rgb, len(masked), inputs)
    masks = []
    for name, mask in masked.items():
        try:
            masks.append(light_mask(picture_of(mask, inputs.limits)))
        except ImageError as error:
            raise ImageError(f"the mask of {name}: {error}") from error
    return as_scene_picture(rgb, masks, list(masked))


def _check_pixels(picture: np.ndarray, count: int, inputs: Inputs) -> None:
    """Masks have the picture's size, and all of them are held at a time."""
    height, width = picture.shape[:2]
    megapixels = count * height * width / 1e6
    if megapixels > inputs.limits.mask_megapixels:
        raise ImageError(
            f"{count} masks of {width}x{height} px have {megapixels:,.0f} megapixels; the limit is "
            f"{inputs.limits.mask_megapixels:g}. Send a smaller picture: networks see 1,024 px at most."
        )


def status_of(job: LongJob) -> SceneJobStatus:
    made = None if job.made is None else job.made.result
    objects = [
        PlacedShape(
            name=item.name,
            translation=list(item.pose.translation),
            quaternion_wxyz=list(item.pose.quaternion_wxyz),
            scale=item.pose.scale,
        )
        for item in (made.objects if made else ())
    ]
    return SceneJobStatus(
        axes=made and made.axes,
        query=made and made.query,
        objects=objects,
        warnings=list(made.warnings) if made else [],
        **shared_status(job),
    )


reading = reading_routes(PATH, SceneJobStatus, status_of)

"""The endpoints of objects: a job is started, asked about and cancelled, and its files are fetched.

POST   /v1/objects/generate|variant|region    from a text or a picture; from an object that is sent, too
GET    /v1/objects/{id} and on                as of all jobs (`kyvo.serving.long_job_routes`)
"""

import binascii
from base64 import b64decode

from fastapi import APIRouter, Request

from kyvo.data.meshes.mesh_files import AssetError
from kyvo.data.object_pictures import ObjectPicture, cut_out, with_mask
from kyvo.errors import ConfigError, ImageError
from kyvo.serving.body import BodyRoute
from kyvo.serving.inputs import Inputs, picture_of
from kyvo.serving.limits import Limits
from kyvo.serving.long_job_routes import jobs_of, reading_routes, shared_status
from kyvo.serving.long_jobs import LongJob
from kyvo.serving.object_jobs import PATH, ObjectRequest, add_objects
from kyvo.serving.object_reading import SentFile
from kyvo.serving.object_schemas import (
    GenerateRequest,
    JobStatus,
    ObjectFile,
    ObjectSummary,
    RegionRequest,
    VariantRequest,
)
from kyvo.serving.requests import client_of, in_reader
from kyvo.serving.schemas import ErrorBody

_NO_GENERATOR = {501: {"model": ErrorBody, "description": "the server has no generator of objects"}}

router = APIRouter(route_class=BodyRoute)


@router.post(f"{PATH}/generate", status_code=202, responses={**_NO_GENERATOR})
async def generate(body: GenerateRequest, request: Request) -> JobStatus:
    """Starts a job that makes objects of a text or of a picture."""
    return await _start(request, body)


@router.post(f"{PATH}/variant", status_code=202, responses={**_NO_GENERATOR})
async def variant(body: VariantRequest, request: Request) -> JobStatus:
    """Starts a job that keeps an object's structure and makes its details and colors anew."""
    return await _start(request, body)


@router.post(f"{PATH}/region", status_code=202, responses={**_NO_GENERATOR})
async def region(body: RegionRequest, request: Request) -> JobStatus:
    """Starts a job that makes a part of an object anew; the rest stays as it is."""
    return await _start(request, body)


async def _start(request: Request, body: GenerateRequest | VariantRequest | RegionRequest) -> JobStatus:
    asked = await in_reader(request, lambda inputs: request_of(body, inputs))
    source = request.app.state.worker.model.objects
    return status_of(add_objects(jobs_of(request), source, asked, client=client_of(request)))


def request_of(body: GenerateRequest | VariantRequest | RegionRequest, inputs: Inputs) -> ObjectRequest:
    """Raises ConfigError, ImageError or AssetError for what does not do. Meshes are not opened here."""
    limits, count = inputs.limits, getattr(body, "count", 1)
    if count > limits.object_count:
        raise ConfigError(f"count is {count:,}; the limit is {limits.object_count}.")
    sent, mask = getattr(body, "object", None), getattr(body, "mask", None)
    if mask is not None and mask.format == "latent":
        raise AssetError("the mask is a latent; a region is given by a closed mesh, as GLB or PLY.")
    return ObjectRequest(
        text=None if body.text is None else inputs.text(body.text),
        image=None if body.image is None else _object_picture(body.image, body.image_mask, limits),
        edited=None if sent is None else _sent_file(sent),
        box=getattr(body, "box", None),
        mask=None if mask is None else _sent_file(mask),
        strength=getattr(body, "strength", 1.0),
        count=count,
        seed=body.seed,
        formats=body.formats,
    )


def _object_picture(text: str, mask: str | None, limits: Limits) -> ObjectPicture:
    rgba = picture_of(text, limits, form="rgba")
    try:
        return cut_out(rgba if mask is None else with_mask(rgba, picture_of(mask, limits)))
    except ImageError as error:
        raise ImageError(f"the picture: {error}") from error


def _sent_file(file: ObjectFile) -> SentFile:
    try:
        content = b64decode("".join(file.data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise AssetError(f"the data of the {file.format} file are not base64 ({error}).") from None
    return SentFile(format=file.format, content=content, up_axis=file.up_axis)


def status_of(job: LongJob) -> JobStatus:
    made = () if job.made is None else job.made.result
    objects = [
        ObjectSummary(seed=one.seed, sample=one.sample, cells=len(one.slat.coords), warnings=list(one.warnings))
        for one in made
    ]
    return JobStatus(objects=objects, **shared_status(job))


reading = reading_routes(PATH, JobStatus, status_of)

"""The endpoints of objects: a job is started, asked about and cancelled, and its files are fetched.

POST   /v1/objects/generate|variant|region    from a text or a picture; from an object that is sent, too
GET    /v1/objects/{id}                       how far it is, and its files
GET    /v1/objects/{id}/{name}                one of them
DELETE /v1/objects/{id}                       cancels it
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from kyvo.data.meshes.mesh_files import AssetError
from kyvo.data.object_pictures import ObjectPicture, cut_out, with_mask
from kyvo.errors import ConfigError, ImageError
from kyvo.serving.body import BodyRoute
from kyvo.serving.errors import RequestError
from kyvo.serving.inputs import Inputs, picture_of
from kyvo.serving.limits import Limits
from kyvo.serving.object_jobs import ObjectJob, ObjectJobs, ObjectRequest
from kyvo.serving.object_reading import SentFile
from kyvo.serving.object_schemas import (
    GenerateRequest,
    JobStatus,
    MadeFile,
    MadeObject,
    ObjectFile,
    RegionRequest,
    StageProgress,
    VariantRequest,
)
from kyvo.serving.requests import client_of, in_reader
from kyvo.serving.schemas import Fault

PATH = "/v1/objects"
MEDIA: Mapping[str, str] = {".glb": "model/gltf-binary", ".png": "image/png"}  # by the end of a file's name
_NO_JOB = {404: {"model": Fault, "description": "no job or file of this name"}}
_NO_GENERATOR = {501: {"model": Fault, "description": "the server has no generator of objects"}}

router = APIRouter(route_class=BodyRoute)
reading = APIRouter(route_class=BodyRoute, responses={**_NO_JOB})


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


@reading.get(f"{PATH}/{{id}}")
async def status(id: str, request: Request) -> JobStatus:
    """How far a job is, and what it made."""
    return _status(_jobs(request).get(id))


@reading.get(f"{PATH}/{{id}}/{{name}}", response_class=Response)
async def file(id: str, name: str, request: Request) -> Response:
    """A file that a job made."""
    made = _jobs(request).get(id).made
    if made is None or name not in made.files:
        raise RequestError(404, f"the job has no file {name[:40]!r}; its status lists those that it has.")
    media = MEDIA.get(name[name.rfind(".") :], "application/octet-stream")
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(made.files[name], media_type=media, headers=headers)


@reading.delete(f"{PATH}/{{id}}", status_code=204)
async def cancel(id: str, request: Request) -> None:
    """Cancels a job that is not done, and removes it and its files."""
    _jobs(request).remove(id)


def _jobs(request: Request) -> ObjectJobs:
    return request.app.state.object_jobs


async def _start(request: Request, body: GenerateRequest | VariantRequest | RegionRequest) -> JobStatus:
    asked = await in_reader(request, lambda inputs: request_of(body, inputs))
    return _status(_jobs(request).add(asked, client=client_of(request)))


def request_of(body: GenerateRequest | VariantRequest | RegionRequest, inputs: Inputs) -> ObjectRequest:
    """Raises ConfigError, ImageError or AssetError for what does not do. Meshes are not opened here."""
    limits, count = inputs.limits, getattr(body, "count", 1)
    if count > limits.object_count:
        raise ConfigError(f"count is {count:,}; the limit is {limits.object_count}.")
    sent, mask = getattr(body, "object", None), getattr(body, "mask", None)
    if mask is not None and mask.format == "latent":
        raise AssetError("the mask is a latent; a region is told by a closed mesh, as GLB or PLY.")
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


def _status(job: ObjectJob) -> JobStatus:
    path, made, progress = f"{PATH}/{job.id}", job.made, job.progress
    running = progress is not None and job.state == "running"
    return JobStatus(
        id=job.id,
        path=path,
        status=job.state,
        progress=StageProgress.model_validate(progress, from_attributes=True) if running else None,
        error=job.error,
        objects=[]
        if made is None
        else [
            MadeObject(seed=one.seed, sample=one.sample, cells=len(one.slat.coords), warnings=list(one.warnings))
            for one in made.objects
        ],
        files=[]
        if made is None
        else [MadeFile(name=name, path=f"{path}/{name}", bytes=len(data)) for name, data in made.files.items()],
        seconds=None if made is None else round(made.seconds, 3),
    )

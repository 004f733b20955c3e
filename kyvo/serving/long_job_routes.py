"""The endpoints of jobs of one kind, below the folder of their paths.

GET    FOLDER/{id}           how far it is, and its files
GET    FOLDER/{id}/{name}    one of them
DELETE FOLDER/{id}           cancels it
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from kyvo.serving.body import BodyRoute
from kyvo.serving.errors import RequestError
from kyvo.serving.long_job_schemas import LongJobStatus, OutputFile, StageProgress
from kyvo.serving.long_jobs import LongJob, LongJobs
from kyvo.serving.schemas import ErrorBody

MEDIA: Mapping[str, str] = {".glb": "model/gltf-binary", ".png": "image/png"}  # by the end of a file's name
_NO_JOB = {404: {"model": ErrorBody, "description": "no job or file of this name"}}


def jobs_of(request: Request) -> LongJobs:
    return request.app.state.long_jobs


def shared_status(job: LongJob) -> dict[str, Any]:
    """The fields of `LongJobStatus`."""
    made, progress = job.made, job.progress
    running = progress is not None and job.state == "running"
    files = {} if made is None else made.files
    return {
        "id": job.id,
        "path": job.path,
        "status": job.state,
        "progress": StageProgress.model_validate(progress, from_attributes=True) if running else None,
        "error": job.error,
        "files": [OutputFile(name=name, path=f"{job.path}/{name}", bytes=len(data)) for name, data in files.items()],
        "seconds": None if made is None else round(made.seconds, 3),
    }


def reading_routes(folder: str, kind: type[LongJobStatus], status_of: Callable[[LongJob], LongJobStatus]) -> APIRouter:
    """The three endpoints.

    Args:
        folder: of the jobs' paths.
        kind: what `status_of` gives.
    """
    router = APIRouter(route_class=BodyRoute, responses={**_NO_JOB})

    @router.get(f"{folder}/{{id}}", response_model=kind)
    async def status(id: str, request: Request) -> LongJobStatus:
        """How far a job is, and what it made."""
        return status_of(jobs_of(request).get(folder, id))

    @router.get(f"{folder}/{{id}}/{{name}}", response_class=Response)
    async def file(id: str, name: str, request: Request) -> Response:
        """A file that a job made."""
        made = jobs_of(request).get(folder, id).made
        if made is None or name not in made.files:
            raise RequestError(404, f"the job has no file {name[:40]!r}; its status lists those that it has.")
        media = MEDIA.get(name[name.rfind(".") :], "application/octet-stream")
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
        return Response(made.files[name], media_type=media, headers=headers)

    @router.delete(f"{folder}/{{id}}", status_code=204)
    async def cancel(id: str, request: Request) -> None:
        """Cancels a job that is not done, and removes it and its files."""
        jobs_of(request).remove(folder, id)

    return router

"""The HTTP API: its endpoints, and how a request waits for its job.

POST /v1/chat/completions                    OpenAI's chat: pictures, scenes and text in, the same out
POST /v1/scenes/recognize|render|edit|ask    the tasks by their names
     /v1/objects/...                         jobs that make objects (`kyvo.serving.object_routes`)
     /v1/scenes/generate, /v1/scenes/jobs/   jobs that make scenes of shapes (`kyvo.serving.scene_routes`)
GET  /v1/scenes/schema                       the JSON Schema of scenes
GET  /v1/models, /v1/models/NAME             what runs here
GET  /health, /metrics                       how it goes

No endpoint takes a path or a URL. Pages of other origins may ask where `origins` names them (CORS).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import kyvo
from kyvo.api import Kyvo
from kyvo.errors import ConfigError, KyvoError
from kyvo.pipelines.run import GRACE, LATE, DeadlineExceeded
from kyvo.pipelines.scene_source import SceneSource
from kyvo.scene.files import camera_from_json, scene_to_json
from kyvo.scene.source import source_of
from kyvo.scene.validate import json_schema
from kyvo.serving import jobs, object_routes, scene_routes
from kyvo.serving.auth import Auth
from kyvo.serving.body import BodyRoute
from kyvo.serving.budget import Budget
from kyvo.serving.chat import Chunks, completion_of, event, job_of, sampling_of, understood_of, usage_of
from kyvo.serving.errors import CLIENT_GONE, RequestError, error_body, install_handlers
from kyvo.serving.inputs import Inputs, data_uri
from kyvo.serving.limits import Limits
from kyvo.serving.long_jobs import LongJobs
from kyvo.serving.memory import return_when_idle
from kyvo.serving.metrics import CountRequests, Metrics
from kyvo.serving.object_reading import READERS as FILE_READERS
from kyvo.serving.requests import client_of, in_reader
from kyvo.serving.schemas import (
    AskRequest,
    AskResponse,
    ChatCompletion,
    ChatRequest,
    EditRequest,
    EditResponse,
    ErrorBody,
    Health,
    ModelCard,
    ModelList,
    RecognizeRequest,
    RecognizeResponse,
    RenderRequest,
    RenderResponse,
    Sampling,
)
from kyvo.serving.worker import Job, JobOutput, Overloaded, QueuedJob, Worker
from kyvo.tokenizers.picture_decoding import DecoderBusy

READERS = 32  # pictures and scenes read at a time
LOCAL_HOSTS = ("127.0.0.1", "localhost")
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/\s]+")
_REFUSALS = {400: "not JSON", 408: "the body came too slowly", 413: "too large", 415: "not application/json"}
_REFUSALS |= {422: "does not fit", 429: "too many jobs; see Retry-After", 503: "overloaded; see Retry-After"}
_FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": reason} for status, reason in _REFUSALS.items()
}
_GATE: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorBody, "description": "no key, or another"},
    403: {"model": ErrorBody, "description": "asked by another host's name"},
}


def create_app(
    model: Kyvo,
    *,
    name: str,
    limits: Limits | None = None,
    api_key: str | None = None,
    hosts: Sequence[str] | None = LOCAL_HOSTS,
    origins: Sequence[str] = (),
    scenes: SceneSource | None = None,
) -> FastAPI:
    """The server's app; its worker, `app.state.worker`, runs while the app does.

    Args:
        name: the model's, as clients give it.
        api_key: needed of every request but those of /health.
        hosts: the names by which clients may call the server; None for any.
        scenes: makes scenes of shapes; by default by the bundled flows and the model's generator of objects.
        origins: pages of these may ask, as "https://example.org"; "*" for all.

    Raises:
        ConfigError: what is no origin, which no browser would ever match.
    """
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigError(
                f"{origin!r} is no origin; give scheme, host and port alone, as https://example.org, or *."
            )
    limits = limits or Limits()
    metrics = Metrics()
    worker = Worker(model, limits=limits, metrics=metrics)
    in_turn = replace(limits, jobs=limits.object_jobs, parallel=1, seconds=limits.object_seconds)
    long_jobs = LongJobs(
        Worker(model, limits=in_turn, metrics=metrics, runs_engine=False),
        readers=Worker(model, limits=replace(in_turn, parallel=FILE_READERS), metrics=metrics, runs_engine=False),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        long_jobs.start()
        returning = asyncio.create_task(return_when_idle())
        yield
        returning.cancel()
        await asyncio.to_thread(long_jobs.stop)
        await asyncio.to_thread(worker.stop)
        app.state.readers.shutdown()

    app = FastAPI(
        title="Kyvo", version=kyvo.__version__, lifespan=lifespan, docs_url=None, redoc_url=None, responses=_GATE
    )
    app.state.limits, app.state.worker, app.state.metrics, app.state.name = limits, worker, metrics, name
    app.state.long_jobs = long_jobs
    app.state.scenes = scenes or SceneSource(objects=model.objects, recognition=model.recognition)
    app.state.inputs = Inputs.of(model.processor, limits)
    app.state.budget = Budget(limits.memory)
    app.state.readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")  # most of them wait for a decoder
    install_handlers(app)
    app.add_exception_handler(Overloaded, _on_busy)
    app.add_exception_handler(DeadlineExceeded, _on_late)
    app.add_exception_handler(DecoderBusy, _on_decoder_busy)
    app.include_router(_router)
    routers = [_router]
    for kind in (object_routes, scene_routes):
        app.include_router(kind.router, responses=_FAULTS)
        app.include_router(kind.reading)
        routers += [kind.router, kind.reading]
    known = [route.path for router in routers for route in router.routes if isinstance(route, BodyRoute)]
    app.add_middleware(Auth, api_key=api_key, hosts=hosts, origins=origins)
    if origins:  # outside of the gate: a browser asks whether it may ask without any key
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST", "DELETE"], allow_headers=["*"],
            expose_headers=["Retry-After"],
        )  # fmt: skip
    app.add_middleware(CountRequests, metrics=metrics, known=known)  # the outermost: refusals count
    return app


async def _on_busy(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Overloaded)
    status = 429 if request.app.state.worker.accepts else 503
    return JSONResponse(error_body(status, error), status, {"Retry-After": str(error.retry_after)})


async def _on_late(request: Request, error: Exception) -> JSONResponse:
    retry_after = str(request.app.state.worker.retry_after)
    return JSONResponse(error_body(503, error), 503, {"Retry-After": retry_after})


async def _on_decoder_busy(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse(error_body(503, error), 503, {"Retry-After": "5"})


_router = APIRouter(route_class=BodyRoute)


@_router.post("/v1/scenes/recognize", responses=_FAULTS)
async def recognize(body: RecognizeRequest, request: Request) -> RecognizeResponse:
    """The scene in a picture."""
    model = _model(request)

    def job(inputs: Inputs) -> Job:
        camera = None if body.camera is None else camera_from_json(body.camera)
        return jobs.recognition(model, inputs.picture(body.image), camera=camera)

    done = await _run_whole(request, job)
    scene = done.result.scene
    return RecognizeResponse(scene=scene_to_json(scene), **asdict(source_of(scene)), **_about(done))


@_router.post("/v1/scenes/render", responses=_FAULTS)
async def render(body: RenderRequest, request: Request) -> RenderResponse:
    """A picture of a scene."""
    model = _model(request)

    def job(inputs: Inputs) -> Job:
        renderer = model.rendering if body.renderer is None else model.find_renderer(body.renderer)
        by_model = renderer is model.renderers["model"]  # the ray tracer draws what the model's bins do not hold
        scene = inputs.drawable(body.scene) if by_model else inputs.scene(body.scene)
        return jobs.rendering(renderer, scene, sampling=_sampling(body))

    done = await _run_whole(request, job)
    return RenderResponse(image=data_uri(done.result.image), **_about(done))


@_router.post("/v1/scenes/edit", responses=_FAULTS)
async def edit(body: EditRequest, request: Request) -> EditResponse:
    """The scene and its picture after an instruction, what differs, and how the instruction was understood."""
    model = _model(request)

    def job(inputs: Inputs) -> Job:
        scene, text = inputs.scene(body.scene), inputs.text(body.instruction)
        return jobs.editing(model, scene, text, render=body.render, sampling=_sampling(body))

    done = await _run_whole(request, job)
    edited = done.result
    return EditResponse(
        scene=scene_to_json(edited.scene),
        image=None if edited.image is None else data_uri(edited.image),
        diff=edited.diff.to_dict(),
        changed=edited.changed,
        removed=edited.removed,
        added=edited.added,
        **understood_of(edited),
        **_about(done),
    )


@_router.post("/v1/scenes/ask", responses=_FAULTS)
async def ask(body: AskRequest, request: Request) -> AskResponse:
    """The answer to a question about a scene, and what it rests on."""
    model = _model(request)

    def job(inputs: Inputs) -> Job:
        scene = None if body.scene is None else inputs.scene(body.scene)
        picture = None if body.image is None else inputs.picture(body.image)
        return jobs.answering(model, scene, inputs.text(body.question), picture=picture)

    done = await _run_whole(request, job)
    return AskResponse(answer=done.result.text, **understood_of(done.result), **_about(done))


@_router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={**_FAULTS, 404: {"model": ErrorBody, "description": "no model of this name"}},
)
async def chat(body: ChatRequest, request: Request) -> Any:
    """OpenAI's chat. With `stream`, server-sent events."""
    name = _known_model(request, body.model)
    if not body.stream:
        return completion_of(await _run(request, lambda inputs: job_of(body, inputs, _model(request))), model=name)
    job = await in_reader(request, lambda inputs: job_of(body, inputs, _model(request)))
    chunks = Chunks(model=name, with_usage=bool(body.stream_options and body.stream_options.include_usage))
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(piece: str | None) -> None:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)

    ticket = request.app.state.worker.submit(job, client=client_of(request), listen=tell)
    ticket.future.add_done_callback(lambda _: tell(None))
    return StreamingResponse(_events(ticket, pieces, chunks), media_type="text/event-stream")


async def _events(ticket: QueuedJob, pieces: "asyncio.Queue[str | None]", chunks: Chunks) -> AsyncIterator[str]:
    """The stream of a job; where its reader leaves, the job ends."""
    try:
        yield chunks.first()
        sent = ""
        while (piece := await pieces.get()) is not None:
            sent += piece
            yield chunks.piece(piece)
        try:
            done = ticket.future.result()
        except KyvoError as error:
            yield event(error_body(503 if isinstance(error, DeadlineExceeded) else 422, error))
            return
        for line in chunks.last(done, sent=sent):
            yield line
    finally:
        ticket.cancel()


@_router.get("/v1/models")
async def models(request: Request) -> ModelList:
    """The one model that runs here."""
    return ModelList(data=[ModelCard(id=request.app.state.name, created=0)])


@_router.get("/v1/models/{name:path}", responses={404: {"model": ErrorBody, "description": "no model of this name"}})
async def model(name: str, request: Request) -> ModelCard:
    """The model of a name, as the list has it."""
    return ModelCard(id=_known_model(request, name), created=0)


def _known_model(request: Request, name: str) -> str:
    known = request.app.state.name
    if name != known:
        raise RequestError(404, f"no model is called {name[:100]!r} here; there is {known!r}.")
    return known


@_router.get("/v1/scenes/schema")
async def schema() -> dict[str, Any]:
    """The JSON Schema of scenes."""
    return json_schema()


@_router.get("/health")
async def health(request: Request) -> Health:
    """Whether the server answers, and how much it has to do."""
    worker = request.app.state.worker
    return Health(
        model=request.app.state.name,
        version=kyvo.__version__,
        waiting=worker.num_waiting,
        running=worker.num_running,
    )


@_router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _sampling(body: Sampling) -> Any:
    return sampling_of(body.temperature, body.top_p, body.top_k, body.seed)


def _about(done: JobOutput) -> dict[str, Any]:
    return {"truncated": done.result.truncated, "reason": done.result.reason, "usage": usage_of(done)}


def _model(request: Request) -> Kyvo:
    return request.app.state.worker.model


async def _run_whole(request: Request, make: Callable[[Inputs], Job]) -> JobOutput:
    """As `_run`, for answers that have no place to say clearly that the time cut them: that is an error here."""
    done = await _run(request, make)
    if done.result.reason == "deadline":
        raise DeadlineExceeded(LATE)
    return done


async def _run(request: Request, make: Callable[[Inputs], Job]) -> JobOutput:
    """The job's result, waited for as long as the client waits."""
    state = request.app.state
    ticket = state.worker.submit(await in_reader(request, make), client=client_of(request))
    done = asyncio.wrap_future(ticket.future)
    done.add_done_callback(_look)
    gone = asyncio.ensure_future(_gone(request))
    try:
        patience = state.limits.seconds + 2 * GRACE  # whatever the job is at
        ended, _ = await asyncio.wait({done, gone}, return_when=asyncio.FIRST_COMPLETED, timeout=patience)
        if not ended:
            raise DeadlineExceeded(LATE)
        if not done.done():
            raise RequestError(CLIENT_GONE, "the client left.")
        return done.result()
    finally:
        gone.cancel()
        ticket.cancel()


def _look(future: "asyncio.Future[JobOutput]") -> None:
    """Looks at how it ended: asyncio reports errors that nobody looks at, and a client that left does not."""
    if not future.cancelled():
        future.exception()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

"""The HTTP API: its endpoints, and how a request waits for its job.

POST /v1/chat/completions                    OpenAI's chat: pictures, scenes and text in, the same out
POST /v1/scenes/recognize|render|edit|ask    the tasks by their names
GET  /v1/scenes/schema                       the JSON Schema of scenes
GET  /v1/models, /health, /metrics           what runs here, and how it goes

No endpoint takes a path or a URL.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import kyvo
from kyvo.api import Kyvo
from kyvo.errors import KyvoError
from kyvo.scene.diff import diff
from kyvo.scene.files import camera_from_json, scene_to_json
from kyvo.scene.scene import Scene
from kyvo.scene.validate import json_schema
from kyvo.serving.auth import Auth
from kyvo.serving.body import BodyRoute
from kyvo.serving.chat import Chunks, completion_of, event, job_of, sampling_of, usage_of
from kyvo.serving.errors import CLIENT_GONE, RequestError, error_body, install_handlers
from kyvo.serving.inputs import Inputs, data_uri
from kyvo.serving.limits import Limits
from kyvo.serving.metrics import CountRequests, Metrics
from kyvo.serving.schemas import (
    Answered,
    AskRequest,
    ChatCompletion,
    ChatRequest,
    Edited,
    EditRequest,
    Fault,
    Health,
    ModelCard,
    ModelList,
    Recognized,
    RecognizeRequest,
    Rendered,
    RenderRequest,
    Sampling,
)
from kyvo.serving.worker import Busy, Done, Job, Late, Ticket, Worker

LOCAL_HOSTS = ("127.0.0.1", "localhost")
_REFUSALS = {400: "not JSON", 408: "the body came too slowly", 413: "too large", 415: "not application/json"}
_REFUSALS |= {422: "does not fit", 429: "too many jobs; see Retry-After", 503: "stopping", 504: "no answer in time"}
_FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": Fault, "description": reason} for status, reason in _REFUSALS.items()
}
_GATE: dict[int | str, dict[str, Any]] = {
    401: {"model": Fault, "description": "no key, or another"},
    403: {"model": Fault, "description": "asked by another host's name"},
}


def create_app(
    model: Kyvo,
    *,
    name: str,
    limits: Limits | None = None,
    api_key: str | None = None,
    hosts: Sequence[str] | None = LOCAL_HOSTS,
) -> FastAPI:
    """The server's app; its worker, `app.state.worker`, runs while the app does.

    Args:
        name: the model's, as clients give it.
        api_key: needed of every request but those of /health.
        hosts: the names by which clients may call the server; None for any.
    """
    limits = limits or Limits()
    metrics = Metrics()
    worker = Worker(model, limits=limits, metrics=metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        await asyncio.to_thread(worker.stop)

    app = FastAPI(
        title="Kyvo", version=kyvo.__version__, lifespan=lifespan, docs_url=None, redoc_url=None, responses=_GATE
    )
    app.state.limits, app.state.worker, app.state.metrics, app.state.name = limits, worker, metrics, name
    app.state.inputs = Inputs.of(model.processor, limits)
    app.state.reading = asyncio.Semaphore(2)  # pictures read at a time: one of 20 megapixels takes 60 MB
    install_handlers(app)
    app.add_exception_handler(Busy, _on_busy)
    app.add_exception_handler(Late, _on_late)
    app.include_router(_router)
    known = [route.path for route in _router.routes if isinstance(route, BodyRoute)]
    app.add_middleware(Auth, api_key=api_key, hosts=hosts)
    app.add_middleware(CountRequests, metrics=metrics, known=known)  # the outermost: refusals count
    return app


async def _on_busy(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Busy)
    status = 429 if request.app.state.worker.accepts else 503
    return JSONResponse(error_body(status, str(error)), status, {"Retry-After": str(error.retry_after)})


async def _on_late(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse(error_body(504, str(error)), 504)


_router = APIRouter(route_class=BodyRoute)


@_router.post("/v1/scenes/recognize", responses=_FAULTS)
async def recognize(body: RecognizeRequest, request: Request) -> Recognized:
    """The scene in a picture."""

    def job(inputs: Inputs) -> Job:
        camera = None if body.camera is None else camera_from_json(body.camera)
        return Job(task="recognition", picture=inputs.picture(body.image), camera=camera)

    done = await _run(request, job)
    assert done.completion.scene is not None
    return Recognized(scene=scene_to_json(done.completion.scene), **_about(done))


@_router.post("/v1/scenes/render", responses=_FAULTS)
async def render(body: RenderRequest, request: Request) -> Rendered:
    """A picture of a scene."""
    done = await _run(
        request, lambda inputs: Job(task="rendering", scene=inputs.scene(body.scene), sampling=_sampling(body))
    )
    assert done.completion.image is not None
    return Rendered(image=data_uri(done.completion.image), **_about(done))


@_router.post("/v1/scenes/edit", responses=_FAULTS)
async def edit(body: EditRequest, request: Request) -> Edited:
    """The scene and its picture after an instruction, and what differs."""

    def job(inputs: Inputs) -> Job:
        return Job(
            task="editing",
            scene=inputs.scene(body.scene),
            picture=None if body.image is None else inputs.picture(body.image),
            text=inputs.text(body.instruction),
            sampling=_sampling(body),
        )

    done = await _run(request, job)
    after, image = done.completion.scene, done.completion.image
    assert isinstance(done.given, Scene) and after is not None and image is not None
    return Edited(
        scene=scene_to_json(after), image=data_uri(image), diff=diff(done.given, after).to_dict(), **_about(done)
    )


@_router.post("/v1/scenes/ask", responses=_FAULTS)
async def ask(body: AskRequest, request: Request) -> Answered:
    """The answer to a question about a scene."""

    def job(inputs: Inputs) -> Job:
        return Job(
            task="question_answering",
            scene=inputs.scene(body.scene),
            picture=None if body.image is None else inputs.picture(body.image),
            text=inputs.text(body.question),
        )

    done = await _run(request, job)
    assert done.completion.text is not None
    return Answered(answer=done.completion.text, **_about(done))


@_router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={**_FAULTS, 404: {"model": Fault, "description": "no model of this name"}},
)
async def chat(body: ChatRequest, request: Request) -> Any:
    """OpenAI's chat. With `stream`, server-sent events."""
    name = request.app.state.name
    if body.model != name:
        raise RequestError(404, f"no model is called {body.model[:100]!r} here; there is {name!r}.")
    if not body.stream:
        return completion_of(await _run(request, lambda inputs: job_of(body, inputs)), model=name)
    job = await _read(request, lambda inputs: job_of(body, inputs))
    chunks = Chunks(model=name, with_usage=bool(body.stream_options and body.stream_options.include_usage))
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(piece: str | None) -> None:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)

    ticket = request.app.state.worker.submit(job, listen=tell)
    ticket.future.add_done_callback(lambda _: tell(None))
    return StreamingResponse(_events(ticket, pieces, chunks), media_type="text/event-stream")


async def _events(ticket: Ticket, pieces: "asyncio.Queue[str | None]", chunks: Chunks) -> AsyncIterator[str]:
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
            yield event(error_body(504 if isinstance(error, Late) else 422, str(error)))
            return
        for line in chunks.last(done, sent=sent):
            yield line
    finally:
        ticket.cancel()


@_router.get("/v1/models")
async def models(request: Request) -> ModelList:
    """The one model that runs here."""
    return ModelList(data=[ModelCard(id=request.app.state.name, created=0)])


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


def _about(done: Done) -> dict[str, Any]:
    return {"truncated": done.completion.truncated, "reason": done.completion.reason, "usage": usage_of(done)}


async def _read(request: Request, make: Callable[[Inputs], Job]) -> Job:
    """The job of a body, made in a thread: pictures take their time."""
    state = request.app.state
    async with state.reading:
        return await asyncio.to_thread(make, state.inputs)


async def _run(request: Request, make: Callable[[Inputs], Job]) -> Done:
    """The job's result, waited for as long as the client waits."""
    ticket = request.app.state.worker.submit(await _read(request, make))
    done = asyncio.wrap_future(ticket.future)
    done.add_done_callback(_look)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({done, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise RequestError(CLIENT_GONE, "the client left.")
        return done.result()
    finally:
        gone.cancel()
        ticket.cancel()


def _look(future: "asyncio.Future[Done]") -> None:
    """Looks at how it ended: asyncio reports errors that nobody looks at, and a client that left does not."""
    if not future.cancelled():
        future.exception()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

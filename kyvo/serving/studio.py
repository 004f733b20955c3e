"""The studio: a page on the same server where a picture becomes a scene, and the scene is changed and asked about.

Other pages begin jobs: `objects.html` makes objects of texts and pictures, `scene_shapes.html` scenes of pictures.
They upload nothing, and ask the HTTP API alone.

All of it is served from here: no fonts, scripts or reports of other hosts; the page's own policy forbids them. What
each event does to a session is in `kyvo.serving.studio_session`, and what a visitor may ask in `studio_access`.
"""

import os
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.routing import Mount

from kyvo.errors import KyvoError
from kyvo.extras import extra
from kyvo.serving.studio_access import StudioAccess
from kyvo.serving.studio_session import COLUMNS, UNCHANGED, PageState, Session

PATH = "/"  # below another, Gradio forgets it in the addresses of samples
STYLE = "studio.css"
SCRIPT = "studio.js"  # one act at a time
# Pages of their own, which ask the HTTP API; each by its path, and its name in links.
JOB_PAGES = {"/objects": ("objects.html", "Objects"), "/shapes": ("scene_shapes.html", "Scenes of shapes")}
SHARED = ("job_page.css", "job_page.js")  # what they share stands where they name it in a comment
WORKING = "Working ..."
MAX_SESSIONS = 100  # remembered; the one that was used longest ago goes first
HEIGHT = 300  # px, of the two views: all of the page fits into 757 px
HINT = "Ask something, or say what to change: “How many cubes are there?”, “Remove the red cube.”"
# Gradio's page names other hosts; with this the browser asks none of them.
_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'none'; base-uri 'self'; "
    "form-action 'self'"
)


def import_gradio() -> Any:
    """The `gradio` module, told to report nothing. Raises MissingDependency with the line that installs it."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with extra("studio"):
        import gradio
    return gradio


def mount_studio(app: FastAPI) -> None:
    """Adds the pages to a server's app (`kyvo.serving.app.create_app`), at `PATH`; what the app has comes first."""
    gradio = import_gradio()

    for path, (name, _) in JOB_PAGES.items():
        app.add_api_route(path, _job_page(name), include_in_schema=False)
    limits = app.state.limits
    app.state.studio_folder = kept = tempfile.TemporaryDirectory(prefix="kyvo-studio-")  # goes when the app does
    folder = Path(kept.name).resolve()
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # by default one that all of the machine's pages share
    page = build_page(gradio, partial(Session, app.state.worker, uploads=folder), name=app.state.name)
    page.queue(default_concurrency_limit=4, max_size=limits.jobs)
    page.state_session_capacity = MAX_SESSIONS
    gradio.mount_gradio_app(
        app,
        page,
        PATH,
        server_name="127.0.0.1",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        max_file_size=limits.body,
        theme=_theme(gradio),
        css=_own(STYLE),
        head=f"<script>{_own(SCRIPT)}</script>",
    )
    page.has_launched = True  # else Gradio checks no path of an event: it is mounted, not launched
    mount = app.routes[-1]
    assert isinstance(mount, Mount)
    mount.app = StudioAccess(
        mount.app,
        folder=folder,
        samples=_sample_paths(page),
        events=_events(page),
        limits=limits,
        budget=app.state.budget,
    )
    app.add_middleware(_Policy)


def _own(name: str) -> str:
    return files("kyvo.serving").joinpath(name).read_text(encoding="utf-8")


def _job_page(name: str) -> Callable[[], Awaitable[HTMLResponse]]:
    page = _own(name)
    for shared in SHARED:
        page = page.replace(f"/* {shared} */", _own(shared))

    async def answer() -> HTMLResponse:
        return HTMLResponse(page)

    return answer


def _sample_paths(page: Any) -> list[str]:
    """Where Gradio keeps the samples, as the page names them."""
    rows = [row for part in page.config["components"] for row in part["props"].get("samples") or ()]
    return [value["path"] for row in rows for value in row]


def _events(page: Any) -> dict[int, list[str]]:
    """The events that the server runs, by number, and the kinds of the components that they read."""
    kinds = {part["id"]: part["type"] for part in page.config["components"]}
    return {
        event["id"]: [kinds[one] for one in event["inputs"]]
        for event in page.config["dependencies"]
        if event["backend_fn"]
    }


class _Policy:
    """ASGI middleware: every answer forbids the browser to ask other hosts for anything."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"content-security-policy", _POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def build_page(gradio: Any, new_session: Callable[[], Session], *, name: str) -> Any:
    """The page, with what happens on it."""
    samples = Path(str(files("kyvo"))).joinpath("assets", "samples")
    examples = [[str(path)] for path in sorted(samples.glob("*.png"))]
    with gradio.Blocks(title="Kyvo studio", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)) as page:
        session = gradio.State(None, time_to_live=6 * 3600)
        links = "".join(f"<a href='{path}'>{label}</a>" for path, (_, label) in JOB_PAGES.items())
        gradio.HTML(
            f"<header><h1>Kyvo studio</h1><p>A picture becomes a scene; the scene is changed and asked about in words."
            f"</p>{links}<span>model: {escape(name)}</span></header>",
            elem_id="head",
            padding=False,
        )
        with gradio.Row(equal_height=False):
            with gradio.Column(scale=3, min_width=260):
                picture = gradio.Image(
                    label="Picture: drop, paste or choose one", type="filepath", image_mode=None,
                    sources=["upload", "clipboard"], height=165, buttons=[], elem_id="picture",
                )  # fmt: skip
                gradio.Examples(examples, [picture], label="Or one of these", elem_id="samples")
                recognise = gradio.Button("Recognise", variant="primary", elem_id="recognise")
                scene_file = gradio.UploadButton("Open scene JSON", file_types=[".json"], size="sm", elem_id="open")
            with gradio.Column(scale=4, min_width=320):
                marked = gradio.Image(
                    label="What stands where", interactive=False, buttons=["fullscreen"], height=HEIGHT,
                    format="png", elem_id="marked",
                )  # fmt: skip
            with gradio.Column(scale=4, min_width=320):
                model = gradio.Model3D(
                    label="In 3D: drag turns, wheel zooms", interactive=False, height=HEIGHT,
                    clear_color=(0.13, 0.15, 0.18, 1.0), camera_position=(40, 60, None), elem_id="model",
                )  # fmt: skip
        banner = gradio.Markdown(visible=False, elem_id="banner")
        with gradio.Row(equal_height=True, elem_id="bar"):
            status = gradio.Markdown("Choose a picture and press **Recognise**.", elem_id="status")
            small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 90, "interactive": False}
            get_json = gradio.DownloadButton("↓ JSON", elem_id="get-json", **small)
            get_glb = gradio.DownloadButton("↓ GLB", elem_id="get-glb", **small)
            get_png = gradio.DownloadButton("↓ PNG", elem_id="get-png", **small)
        with gradio.Row(equal_height=False):
            with gradio.Column(scale=5, min_width=320):
                chat = gradio.Chatbot(
                    show_label=False, height=170, placeholder=HINT, buttons=[], feedback_options=None, elem_id="chat"
                )
                with gradio.Row(elem_id="say"):
                    gradio.Textbox(
                        show_label=False, placeholder="Ask, or say what to change; Enter sends", scale=5,
                        max_lines=3, autofocus=True, elem_id="text", container=False,
                    )  # fmt: skip
                    sent = gradio.Textbox(visible="hidden")
                    returned = gradio.Textbox(visible="hidden")  # a text that was not taken
                    say = gradio.Button(visible="hidden", elem_id="say-it")  # pressed by the script
                    gradio.Button("Send", variant="primary", scale=0, min_width=90, elem_id="send")
                with gradio.Row(elem_id="turns"):
                    undo = gradio.Button("Undo", size="sm", scale=0, min_width=80, elem_id="undo")
                    redo = gradio.Button("Redo", size="sm", scale=0, min_width=80, elem_id="redo")
                    render = gradio.Button("Render", size="sm", scale=0, min_width=80, elem_id="render")
            with gradio.Column(scale=6, min_width=480), gradio.Tabs():
                with gradio.Tab("Before and after"):
                    with gradio.Row():
                        plain: dict[str, Any] = {"interactive": False, "buttons": [], "height": 160, "format": "png"}
                        before = gradio.Image(label="Before", elem_id="before", **plain)
                        after = gradio.Image(label="After", elem_id="after", **plain)
                    changes = gradio.Markdown(UNCHANGED, elem_id="diff")
                with gradio.Tab("Objects"):
                    objects = gradio.Dataframe(
                        headers=COLUMNS,
                        interactive=False,
                        show_label=False,
                        max_height=210,
                        buttons=[],
                        elem_id="objects",
                    )
                with gradio.Tab("JSON"):
                    data = gradio.Code(
                        language="json", interactive=False, show_label=False, max_lines=14, elem_id="json"
                    )

        outputs = [
            session, status, marked, model, chat, before, after, changes, objects, data,
            get_json, get_glb, get_png, banner,
        ]  # fmt: skip
        page.load(new_session, None, session, api_visibility="private", show_progress="hidden")

        def show(own: Session, shown: PageState) -> list[Any]:
            downloads = [gradio.DownloadButton(value=path, interactive=True) for path in shown.files]
            classes = ["fault"] if shown.fault else []
            return [
                own, gradio.Markdown(shown.status, elem_classes=classes), shown.marked, shown.files[1],
                shown.messages, shown.before, shown.after, shown.changes, shown.objects, shown.json, *downloads,
                gradio.Markdown(shown.banner, visible=bool(shown.banner)),
            ]  # fmt: skip

        def event(act: Callable[..., PageState]) -> Callable[..., list[Any]]:
            """What the page shows after `act` on the session; of an error its words, and all else as it was."""

            def handle(own: Session | None, *inputs: Any) -> list[Any]:
                own = own or new_session()
                values = [value["path"] if isinstance(value, dict) else value for value in inputs]
                try:
                    with own.lock:
                        return [*show(own, act(own, *values)), ""]
                except KyvoError as error:
                    shown = gradio.Markdown(f"**That did not work:** {error}", elem_classes=["fault"])
                    text = values[0] if act is Session.say else ""
                    return [own, shown, *[gradio.skip()] * (len(outputs) - 2), text]

            return handle

        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

        def on(trigger: Any, act: Callable[..., PageState], *inputs: Any, js: str | None = None) -> None:
            """At once the status says that work has begun; the script is told when it has ended."""
            trigger(lambda: gradio.Markdown(WORKING, elem_classes=["working"]), None, status, queue=False, **hidden)
            # Files come as they were uploaded: only `kyvo.serving.inputs` opens them, within limits.
            done = trigger(event(act), [session, *inputs], [*outputs, returned], preprocess=False, js=js, **hidden)
            done.then(None, returned, js="text => kyvo.end(text)", **hidden)

        on(recognise.click, Session.recognise, picture)
        on(scene_file.upload, Session.open, scene_file, picture, js="(...given) => (kyvo.begin(), given)")
        on(say.click, Session.say, sent, js="session => [session, kyvo.text()]")
        on(undo.click, Session.undo)
        on(redo.click, Session.redo)
        on(render.click, Session.render)
    return page


def _theme(gradio: Any) -> Any:
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    return gradio.themes.Base(primary_hue="indigo", neutral_hue="slate", radius_size="md", spacing_size="sm", **fonts)

"""What a visitor may ask of the studio's page: the requests that the page makes, and files that this visitor uploaded.

Gradio's own server takes more: other routes, and in an event the path or URL of any file that it then opens. So every
request passes an allow-list, and every event is read before Gradio sees it. A cookie tells visitors apart; it is sent
to no other site.
"""

import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kyvo.serving.body import parse_json, read_body
from kyvo.serving.budget import Account, Budget
from kyvo.serving.errors import RequestError, error_body
from kyvo.serving.limits import Limits

COOKIE = "kyvo-visitor"
MAX_VISITORS = 1000  # remembered; the files of others are refused, and are uploaded again
MAX_UPLOADS = 100  # of a visitor
FORM = 2**16  # bytes of a form around the files that it uploads
_EVENTS = ("/gradio_api/queue/join", "/gradio_api/run/predict")
_UPLOAD = "/gradio_api/upload"
_POSTS = (*_EVENTS, _UPLOAD, "/gradio_api/cancel", "/gradio_api/reset")
_GETS = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)|/(assets|static|svelte)/.+"
    r"|/gradio_api/(info|app_id|theme\.css|startup-events|queue/data|upload_progress|heartbeat/\w+|file=.+)"
)


class StudioGate:
    """ASGI, before Gradio's own app."""

    def __init__(self, app: ASGIApp, *, folder: Path, samples: Collection[str], limits: Limits, budget: Budget) -> None:
        """
        Args:
            folder: where Gradio keeps uploads and results; nothing else is served.
            samples: paths that every visitor may name.
        """
        self.app = app
        self.folder = folder
        self.samples = frozenset(samples)
        self.limits = limits
        self.budget = budget
        self._uploads: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()  # paths by visitor, the latest last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            with self.budget.account() as account:
                await self._pass(scope, receive, send, account)
        except RequestError as refusal:
            answer = JSONResponse(error_body(refusal.status_code, refusal.detail), refusal.status_code, refusal.headers)
            await answer(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, account: Account) -> None:
        visitor = _visitor(scope)
        if not self._is_known(scope["method"], scope["path"]):
            raise RequestError(404, "the studio has no such page.")
        if scope["path"] in _EVENTS:
            receive = _whole(self._checked(await self._read(receive, 0, account), visitor), receive)
        elif scope["path"] == _UPLOAD:
            receive = _whole(await self._read(receive, FORM, account), receive)
            send = self._remembering(send, visitor)
        elif scope["path"] == "/" and not visitor:
            send = _with_cookie(send)
        await self.app(scope, receive, send)

    def _is_known(self, method: str, path: str) -> bool:
        if method == "POST":
            return path in _POSTS
        if method not in ("GET", "HEAD") or not _GETS.fullmatch(path):
            return False
        _, is_file, file = path.partition("/file=")
        return not is_file or Path(file).resolve().is_relative_to(self.folder)

    async def _read(self, receive: Receive, form: int, account: Account) -> bytes:
        limit = self.limits.body + form
        return await read_body(receive, limit=limit, seconds=self.limits.body_seconds, account=account)

    def _checked(self, body: bytes, visitor: str) -> bytes:
        """An event's body, written anew. Raises RequestError where it names a file that is not this visitor's."""
        event = parse_json(body, self.limits)
        known = self.samples | self._uploads.get(visitor, {}).keys()
        for path in _paths(event):
            if not isinstance(path, str) or path not in known:
                raise RequestError(403, "the event names a file that this visitor has not uploaded.")
        return json.dumps(event).encode()

    def _remembering(self, send: Send, visitor: str) -> Send:
        """`send`, which also notes the paths of uploaded files that it sends."""
        body = bytearray()

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    self._note(visitor, bytes(body))
            await send(message)

        return send_noted

    def _note(self, visitor: str, answer: bytes) -> None:
        try:
            paths = json.loads(answer)
        except ValueError:  # a refusal in words
            return
        if not isinstance(paths, list):
            return
        own = self._uploads.setdefault(visitor, OrderedDict())
        self._uploads.move_to_end(visitor)
        for path in paths:
            own[path] = None
            own.move_to_end(path)
        while len(own) > MAX_UPLOADS:
            own.popitem(last=False)
        while len(self._uploads) > MAX_VISITORS:
            self._uploads.popitem(last=False)


def _visitor(scope: Scope) -> str:
    """What the cookie says; clients without one are one visitor, ""."""
    cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    found = re.search(rf"(?:^|;\s*){COOKIE}=([\w-]{{1,64}})(?:;|$)", cookies)
    return found[1] if found else ""


def _with_cookie(send: Send) -> Send:
    """`send`, whose answer begins a visit."""
    line = f"{COOKIE}={secrets.token_urlsafe(24)}; Path=/; HttpOnly; SameSite=Strict".encode()

    async def send_with_cookie(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"set-cookie", line)]
        await send(message)

    return send_with_cookie


def _whole(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives this body at once, and then what comes after it."""
    given = False

    async def receive_whole() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_whole


def _paths(data: Any) -> Iterator[Any]:
    """What an event calls a path, at any depth: Gradio opens it, or asks its host where it is a URL."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key == "path":
                yield value
            yield from _paths(value)
    elif isinstance(data, list):
        for value in data:
            yield from _paths(value)

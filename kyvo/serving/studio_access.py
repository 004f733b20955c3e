"""Access control of the studio: only requests that its page makes, and only files that this visitor uploaded.

Gradio's own server takes more: other routes, and in an event the path or URL of any file that it then opens. It answers
500 to much that its page does not send. So every request passes an allow-list, and every event is read before Gradio
sees it, and written anew with no more than the page sends. A cookie tells visitors apart; it is sent to no other site.
"""

import json
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
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
MAX_PATH = 500  # characters of an address
SMALL = 2**16  # bytes of a body that names an event
BLOCK = 4096  # bytes that a file takes at least
RETRY_AFTER = 600  # s: Gradio looks as often for files that are old
FORM = 2**16  # bytes of a form around the files that it uploads
_EVENTS = ("/gradio_api/queue/join", "/gradio_api/run/predict")
_UPLOAD = "/gradio_api/upload"
_NAMING = ("/gradio_api/cancel", "/gradio_api/reset")
_POSTS = (*_EVENTS, _UPLOAD, *_NAMING)
_SESSION = re.compile(r"[\w-]{1,64}")
_FILE = {"_type": "gradio.FileData"}
_GETS = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)|/(assets|static|svelte)/.+"
    r"|/gradio_api/(info|app_id|theme\.css|startup-events|queue/data|upload_progress|heartbeat/\w+|file=.+)"
)


class StudioAccess:
    """ASGI, before Gradio's own app."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        folder: Path,
        samples: Collection[str],
        events: Mapping[int, Sequence[str]],
        limits: Limits,
        budget: Budget,
    ) -> None:
        """
        Args:
            folder: where Gradio keeps uploads and results; nothing else is served.
            samples: paths that every visitor may name.
            events: those that the server runs, by number, with the kinds of the components that they read.
        """
        self.app = app
        self.folder = folder
        self.samples = frozenset(samples)
        self.events = events
        self.limits = limits
        self.budget = budget
        self._uploads: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()  # paths by visitor, the latest last
        self._sizes: dict[str, int] = {}  # of all uploads that may still be there

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
            body = await self._read(receive, self.limits.body, account)
            await self.app(scope, _whole(self._checked(body, visitor), receive), send)
            return
        if scope["path"] in _NAMING:
            receive = _whole(await self._read(receive, SMALL, account), receive)
        elif scope["path"] == _UPLOAD:
            body = await self._read(receive, self.limits.body + FORM, account)
            self._check_room(len(body))
            receive = _whole(body, receive)
            send = self._remembering(send, visitor)
        elif scope["path"] == "/" and not visitor:
            send = _with_cookie(send)
        await _blaming(self.app, scope, receive, send)

    def _is_known(self, method: str, path: str) -> bool:
        if len(path) > MAX_PATH or "\0" in path:
            return False
        if method == "POST":
            return path in _POSTS
        if method not in ("GET", "HEAD") or not _GETS.fullmatch(path):
            return False
        _, is_file, file = path.partition("/file=")
        return not is_file or Path(file).resolve().is_relative_to(self.folder)

    async def _read(self, receive: Receive, limit: int, account: Account) -> bytes:
        return await read_body(receive, limit=limit, seconds=self.limits.body_seconds, account=account)

    def _checked(self, body: bytes, visitor: str) -> bytes:
        """An event's body, written anew. Raises RequestError where the page does not send the like, or it names a file
        that is not this visitor's."""
        event = parse_json(body, self.limits)
        known = self.samples | self._uploads.get(visitor, {}).keys()
        for path in _paths(event):
            if not isinstance(path, str) or path not in known:
                raise RequestError(403, "the event names a file that this visitor has not uploaded.")
        if not isinstance(event, dict):
            raise _unlike_the_page()
        number, session, data = event.get("fn_index"), event.get("session_hash"), event.get("data")
        kinds = self.events.get(number) if type(number) is int else None
        if kinds is None or not isinstance(session, str) or not _SESSION.fullmatch(session):
            raise _unlike_the_page()
        if not isinstance(data, list) or len(data) != len(kinds):
            raise _unlike_the_page()
        values = [_value(kind, value) for kind, value in zip(kinds, data, strict=True)]
        trigger = event.get("trigger_id")
        known_trigger = trigger if type(trigger) is int and abs(trigger) < 2**31 else None
        return json.dumps(
            {"data": values, "fn_index": number, "session_hash": session, "trigger_id": known_trigger}
        ).encode()

    def _check_room(self, size: int) -> None:
        """Raises RequestError where the uploads take as much of the disk as they may."""
        if sum(self._sizes.values()) + size > self.limits.uploads:
            self._sizes = {path: size for path, size in self._sizes.items() if os.path.exists(path)}
        if sum(self._sizes.values()) + size > self.limits.uploads:
            raise RequestError(
                503,
                f"the uploads take {self.limits.uploads:,} bytes, and no more may be; they go after an hour.",
                headers={"Retry-After": str(RETRY_AFTER)},
            )

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
            self._sizes[path] = max(os.path.getsize(path), BLOCK)
            own[path] = None
            own.move_to_end(path)
        while len(own) > MAX_UPLOADS:
            own.popitem(last=False)
        while len(self._uploads) > MAX_VISITORS:
            self._uploads.popitem(last=False)


def _unlike_the_page() -> RequestError:
    return RequestError(400, "the studio's page sends no such event; reload it.")


def _value(kind: str, value: Any) -> Any:
    """What a component of this kind says, as far as it is read. Raises RequestError for what none says."""
    if kind == "state":  # the server has it
        return None
    if kind == "textbox" and isinstance(value, str):
        return value
    if kind == "dataset" and type(value) is int and 0 <= value < 1000:
        return value
    if kind in ("image", "uploadbutton") and value is None:
        return None
    if kind in ("image", "uploadbutton") and isinstance(value, dict) and "path" in value:
        return {"path": value["path"], "meta": _FILE}
    raise _unlike_the_page()


async def _blaming(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Runs Gradio's app. Where it fails before it answers, it is the request's fault: nothing of ours runs in these.

    Raises RequestError.
    """
    failed = False

    async def send_unless_failed(message: Message) -> None:
        nonlocal failed
        failed = failed or (message["type"] == "http.response.start" and message["status"] >= 500)
        if not failed:
            await send(message)

    try:
        await app(scope, receive, send_unless_failed)
    except Exception:
        if not failed:  # the answer has begun
            raise
    if failed:
        raise RequestError(400, "the studio's page sends no such request; reload it.")


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

"""A request's body, read within limits: at most so many bytes, in at most so many seconds, and plain JSON.

What JSON of a small size can do to a server is refused before or right after parsing: nesting that no recursion
survives, a list of ten million empty lists, numbers that are not finite, half a surrogate pair that no answer could
carry. So nothing behind this module has to think of it.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive

from kyvo.scene.files import unique_keys
from kyvo.serving.budget import Account
from kyvo.serving.errors import CLIENT_GONE, RequestError
from kyvo.serving.limits import Limits


class BodyRoute(APIRoute):
    """A route whose handler gets a body that obeys `app.state.limits`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_limited(request: Request) -> Response:
            with request.app.state.budget.account() as account:
                limited = _LimitedRequest(request.scope, request.receive)
                limited.account = account
                return await handle(limited)

        return handle_limited


class _LimitedRequest(Request):
    """Hands `json()` what is within limits. Raises RequestError, which FastAPI lets through."""

    account: Account

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            self._body = await _read(self, self.app.state.limits, self.account)
        return self._body

    async def json(self) -> Any:
        return parse_json(await self.body(), self.app.state.limits)


async def _read(request: Request, limits: Limits, account: Account) -> bytes:
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > limits.body:
        raise _too_large(limits.body)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise RequestError(415, f"the content type is {content_type[:100] or 'missing'!r}; application/json is needed.")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", ""):
        raise RequestError(415, f"the content encoding is {encoding[:100]!r}; send the body as it is.")
    return await read_body(request.receive, limit=limits.body, seconds=limits.body_seconds, account=account)


async def read_body(receive: Receive, *, limit: int, seconds: float, account: Account) -> bytes:
    """A body of at most `limit` bytes that arrives within `seconds`, and fits into the account. Raises RequestError for
    another."""
    chunks, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RequestError(CLIENT_GONE, "the client left before its request was whole.")
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limit:
                    raise _too_large(limit)
                account.take(len(chunks[-1]))
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise RequestError(408, f"the body did not arrive within {seconds:g} s.") from None


def _too_large(limit: int) -> RequestError:
    return RequestError(413, f"the body is larger than {limit:,} bytes; send a smaller picture or scene.")


def parse_json(body: bytes, limits: Limits) -> Any:
    """The JSON of a body. Raises RequestError for what is none, or beyond the limits."""
    # Each value but the first follows one of these; strings may hold some, and short ones alone do.
    if sum(map(body.count, (b",", b"[", b"{"))) > limits.values:
        raise RequestError(413, f"the body has more than {limits.values:,} JSON values.")
    try:
        data = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=unique_keys)
    except RecursionError:
        raise RequestError(400, f"the JSON is nested deeper than {limits.depth} levels.") from None
    except ValueError as error:  # UnicodeDecodeError, JSONDecodeError, a number of too many digits
        raise RequestError(400, f"the body is not JSON: {str(error)[:200]}.") from None
    _check(data, limits)
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that JSON has")


def _check(data: Any, limits: Limits) -> None:
    layer, depth = [data], 0
    while layer:
        depth += 1
        if depth > limits.depth:
            raise RequestError(400, f"the JSON is nested deeper than {limits.depth} levels.")
        following: list[Any] = []
        for value in layer:
            if isinstance(value, dict):
                following += value.keys()
                following += value.values()
            elif isinstance(value, list):
                following += value
            elif isinstance(value, str) and not _is_unicode(value):
                raise RequestError(400, "a text holds half a surrogate pair, which is no character.")
            elif isinstance(value, int | float) and not abs(value) < 1e300:
                raise RequestError(400, "a number is beyond what a double holds.")
        layer = following


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

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

from kyvo.serving.errors import CLIENT_GONE, RequestError
from kyvo.serving.limits import Limits


class BodyRoute(APIRoute):
    """A route whose handler gets a body that obeys `app.state.limits`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_limited(request: Request) -> Response:
            return await handle(_LimitedRequest(request.scope, request.receive))

        return handle_limited


class _LimitedRequest(Request):
    """Hands `json()` what is within limits. Raises Refusal, which FastAPI lets through."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            self._body = await _read(self, self.app.state.limits)
        return self._body

    async def json(self) -> Any:
        return parse_json(await self.body(), self.app.state.limits)


async def _read(request: Request, limits: Limits) -> bytes:
    too_large = RequestError(413, f"the body is larger than {limits.body:,} bytes; send a smaller picture or scene.")
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > limits.body:
        raise too_large
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise RequestError(415, f"the content type is {content_type[:100] or 'missing'!r}; application/json is needed.")
    chunks, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise RequestError(CLIENT_GONE, "the client left before its request was whole.")
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limits.body:
                    raise too_large
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise RequestError(408, f"the body did not arrive within {limits.body_seconds:g} s.") from None


def parse_json(body: bytes, limits: Limits) -> Any:
    """The JSON of a body. Raises Refusal for what is none, or beyond the limits."""
    # Each value but the first follows one of these; strings may hold some, and short ones alone do.
    if sum(map(body.count, (b",", b"[", b"{"))) > limits.values:
        raise RequestError(413, f"the body has more than {limits.values:,} JSON values.")
    try:
        data = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
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

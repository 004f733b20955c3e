"""Error responses: one form, that of OpenAI's API, with a reason in words."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as PlainHTTPException

from kyvo.errors import KyvoError
from kyvo.programs.errors import AmbiguousReference, ProgramError, UnknownWord

CLIENT_GONE = 499  # nginx's number for a client that left; nobody reads the answer, the metrics count it
MAX_FAULTS = 5  # of a body, listed in one answer
_SNAKE = re.compile(r"(?<!^)(?=[A-Z])")
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class RequestError(HTTPException):
    """A request that is answered with this status and reason."""

    def __init__(self, status: int, reason: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, reason, dict(headers) if headers else None)


def error_body(status: int, reason: str | Exception) -> dict[str, Any]:
    """The JSON of an answer with this status. An error of a program has its name as `code`, in lower case, and what
    would fit: `candidates` (indices of objects) or `near` (words)."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    body: dict[str, Any] = {"message": str(reason), "type": kind, "param": None, "code": None}
    if isinstance(reason, ProgramError):
        body["code"] = _SNAKE.sub("_", type(reason).__name__).lower()
    if isinstance(reason, AmbiguousReference):
        body["candidates"] = list(reason.candidates)
    if isinstance(reason, UnknownWord):
        body |= {"param": reason.word, "near": list(reason.near)}
    return {"error": body}


def install_handlers(app: FastAPI) -> None:
    """Errors of ours, of pydantic and of the router all take the one form."""

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, PlainHTTPException)
        return JSONResponse(error_body(error.status_code, error.detail), error.status_code, error.headers)

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse(error_body(422, _faults(error)), 422)

    async def on_kyvo(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(error_body(422, error), 422)

    async def on_bug(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(error_body(500, "an error of the server's own; its log says more."), 500)

    app.add_exception_handler(PlainHTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(KyvoError, on_kyvo)
    app.add_exception_handler(Exception, on_bug)


def _faults(error: RequestValidationError) -> str:
    lines = []
    faults = error.errors()
    if any(_is_union(step) for fault in faults for step in fault["loc"]):  # of a list: that it is no text says nothing
        faults = [fault for fault in faults if fault["loc"][-1] != "str"]
    for fault in faults[:MAX_FAULTS]:
        steps = [step for step in fault["loc"] if step != "body" and not _is_union(step)]
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
        message = fault["msg"].removeprefix("Value error, ")  # of pydantic's, before a reason of ours
        lines.append(f"{place[:200] or 'the body'}: {message[:300]}")
    left = len(faults) - len(lines)
    return "; ".join(lines) + (f"; and {left} more" if left else "") + "."


def _is_union(step: str | int) -> bool:
    """Whether a step of pydantic's is a branch of a union, and no place in the body."""
    return isinstance(step, str) and "[" in step

"""What endpoints ask of a request: whose it is, and its content read in a thread."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi import Request

from kyvo.serving.inputs import Inputs

Content = TypeVar("Content")


def client_of(request: Request) -> str:
    """The client's address, by which clients take turns."""
    return request.client.host if request.client else ""


async def in_reader(request: Request, read: Callable[[Inputs], Content]) -> Content:
    """What `read` makes of the body, in a thread: pictures take their time."""
    state = request.app.state
    return await asyncio.get_running_loop().run_in_executor(state.readers, read, state.inputs)

"""The app on a socket: uvicorn with its settings, run to the end or beside a test."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from fastapi import FastAPI

from kyvo.errors import ConfigError
from kyvo.serving.connections import limit_logs, protocol

BACKLOG = 64  # connections that wait to be taken; asyncio takes as many at a time, each of them a file
KEEP_ALIVE = (
    75  # s that an idle connection stays: longer than clients keep theirs, so that none sends into a closed one
)


def open_socket(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises ConfigError where the address cannot be had."""
    try:
        return socket.create_server((host, port), backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port {port} of {host} cannot be had ({error}). Name another, or 0 for any.") from error


def run_app(app: FastAPI, listener: socket.socket, *, patience: float) -> None:
    """Serves until SIGINT or SIGTERM, then takes nothing new and finishes what it has.

    Args:
        patience: seconds that finishing may take.
    """
    with suppress(KeyboardInterrupt):  # raised once more after all is finished
        _make_server(app, patience).run(sockets=[listener])


def _make_server(app: FastAPI, patience: float) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=protocol(app.state.limits),
        ws="none",
        backlog=BACKLOG,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(patience) + 1,
    )
    limit_logs()  # after uvicorn has set up its loggers
    return uvicorn.Server(config)


@contextmanager
def serving(app: FastAPI, *, patience: float = 60) -> Iterator[str]:
    """The address of a server that runs in a thread, on a free port, as long as the block."""
    server = _make_server(app, patience)
    listener = open_socket("127.0.0.1", 0)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), name="server")
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start; its log says why.")
            threading.Event().wait(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()

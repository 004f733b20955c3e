"""A server in a process of its own, for the programs that measure it: its start, and the memory that it holds."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.request import urlopen

import psutil


def start_server(model: str, *options: str, threads: int | None = None) -> tuple[subprocess.Popen[str], str]:
    """`kyvo serve` on a free port, and its address; it has answered once.

    Args:
        options: further ones of the command.
        threads: of the process; None leaves the environment's.

    Raises:
        SystemExit: it did not start.
    """
    code = "from kyvo.cli.main import run; run()"
    command = [sys.executable, "-c", code, "serve", "--model", model, "--port", "0", *options]
    environment = os.environ if threads is None else os.environ | {"OMP_NUM_THREADS": str(threads)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    if not url:
        raise SystemExit(f"the server did not start; exit code {server.wait()}.")
    seconds_until_health(url)
    return server, url


def seconds_until_health(url: str) -> float:
    """How long it takes until the server at `url` (which ends in /v1) answers."""
    start = time.perf_counter()
    while True:
        try:
            with urlopen(url.removesuffix("/v1") + "/health", timeout=60):
                return time.perf_counter() - start
        except OSError:
            time.sleep(0.05)


def resident_memory(process: psutil.Process) -> int:
    """Bytes that the process and its children hold."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # a child that has just ended
            total += one.memory_info().rss
    return total


@contextmanager
def peak_memory(process: psutil.Process) -> Iterator[list[int]]:
    """The most bytes that the process holds during the block, as the one entry of a list."""
    peak, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.2):
            peak[0] = max(peak[0], resident_memory(process))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()

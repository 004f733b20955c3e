"""A server in a process of its own, for the programs that measure it."""

import os
import subprocess
import sys
import time
from urllib.request import urlopen


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

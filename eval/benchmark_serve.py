"""python eval/benchmark_serve.py [--model mini] [--clients 16] [--requests 1000] [--json]

How the server bears clients that ask all at once: errors, lost answers, how long the slowest wait, and memory.

The server runs in a process of its own, on `--cores` cores, and the clients here. First one client asks alone; then
`--clients` of them share `--requests` requests, each sending its next when it has its last answer. With N clients on a
server that did one job at a time, an answer would take N times as long as alone: the *queue share*. The 95th percentile
is compared with it, so a server that batches well is below 1.
"""

import argparse
import base64
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from queue import Empty, Queue
from statistics import median
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import psutil

from kyvo.evaluation.server_process import resident_memory, start_server

TARGET = 3.0  # the 95th percentile over what the queue share makes of one request alone
SAMPLES = Path(str(files("kyvo"))) / "assets" / "samples"


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Runs the benchmark, prints it and returns what it printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="a bundled model's name, or a model folder")
    parser.add_argument("--clients", type=int, default=16, help="that ask at the same time")
    parser.add_argument("--requests", type=int, default=1000, help="of all clients together")
    parser.add_argument("--alone", type=int, default=20, help="requests of the one client before them")
    parser.add_argument("--cores", type=int, default=2, help="of the server")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    if min(args.clients, args.requests, args.alone, args.cores) < 1:
        parser.error("counts must be at least 1.")

    server, url = start_server(args.model, "--queue", "256", threads=args.cores)
    process = psutil.Process(server.pid)
    try:
        bodies = make_bodies()
        alone = ask_all(url, bodies, clients=1, requests=args.alone)
        warm = ask_all(url, bodies, clients=args.clients, requests=min(args.requests, 4 * args.clients))
        memory = [resident_memory(process)]
        together = ask_all(
            url,
            bodies,
            clients=args.clients,
            requests=args.requests,
            after=lambda: memory.append(resident_memory(process)),
        )
    finally:
        server.terminate()
        server.wait(60)
    results = {
        "benchmark": "serve",
        **summary(alone["seconds"], together, clients=args.clients),
        "errors": alone["errors"] + warm["errors"] + together["errors"],
        "memory_mib": {
            "before": memory[0] / 2**20,
            "halfway": memory[len(memory) // 2] / 2**20,
            "after": memory[-1] / 2**20,
        },
        "settings": vars(args),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load_average": os.getloadavg()[0],
        },
    }
    print(json.dumps(results, indent=1) if args.json else "\n".join(lines(results)))
    return results


def make_bodies() -> list[tuple[str, dict[str, Any]]]:
    """Paths and bodies that are asked for in turn: each task, on each sample."""
    bodies = []
    for path in sorted(SAMPLES.glob("*.png")):
        image = base64.b64encode(path.read_bytes()).decode()
        scene = json.loads(path.with_suffix(".json").read_text())
        bodies += [
            ("/scenes/recognize", {"image": image}),
            ("/scenes/ask", {"scene": scene, "image": image, "question": "How many cubes are there?"}),
            ("/scenes/render", {"scene": scene}),
            ("/scenes/edit", {"scene": scene, "image": image, "instruction": "Add a small red rubber cube."}),
        ]
    return bodies


def ask_all(
    url: str,
    bodies: list[tuple[str, dict[str, Any]]],
    *,
    clients: int,
    requests: int,
    after: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Has `clients` threads send `requests` in turn; seconds of each by its path, and what went wrong.

    `after` is called after every tenth of them.
    """
    left: Queue[int] = Queue()
    for number in range(requests):
        left.put(number)
    seconds: dict[str, list[float]] = {path: [] for path, _ in bodies}
    errors: list[str] = []
    lock = threading.Lock()

    def client() -> None:
        while True:
            try:
                number = left.get_nowait()
            except Empty:
                return
            path, body = bodies[number % len(bodies)]
            start = time.perf_counter()
            fault = post(url + path, body)
            with lock:
                if fault:
                    errors.append(f"{path}: {fault}")
                else:
                    seconds[path].append(time.perf_counter() - start)
                if (number + 1) % max(requests // 10, 1) == 0:
                    after()

    start = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = sum(map(len, seconds.values()))
    return {
        "seconds": seconds,
        "errors": errors,
        "lost": requests - answered - len(errors),
        "rate": answered / (time.perf_counter() - start),
    }


def post(url: str, body: dict[str, Any]) -> str:
    """Sends a body and reads the answer; what went wrong, or nothing."""
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=600) as answer:
            json.load(answer)
    except HTTPError as error:
        return f"{error.code} {error.read(200)!r}"
    except OSError as error:  # URLError is one
        return f"{type(error).__name__} {error}"
    return ""


def summary(alone: dict[str, list[float]], together: dict[str, Any], *, clients: int) -> dict[str, Any]:
    """Waiting under load against waiting alone: by path, and of all requests."""
    rows = {
        path: {"alone_s": median(alone[path]), "p50_s": median(times), "p95_s": float(np.percentile(times, 95))}
        for path, times in together["seconds"].items()
        if times and alone[path]
    }
    single = float(np.mean([value for times in alone.values() for value in times]))
    p95 = float(np.percentile([value for times in together["seconds"].values() for value in times], 95))
    return {
        "paths": rows,
        "lost": together["lost"],
        "requests_per_s": together["rate"],
        "speedup": together["rate"] * single,  # over one request after another
        "p95_over_queue_share": p95 / (single * clients),
        "target": TARGET,
    }


def lines(results: dict[str, Any]) -> list[str]:
    settings, memory = results["settings"], results["memory_mib"]
    rows = [f"{settings['clients']} clients, {settings['requests']} requests, {settings['cores']} cores"]
    for path, row in results["paths"].items():
        rows.append(
            f"  {path:18} alone {row['alone_s']:.3f} s   median {row['p50_s']:.3f} s   95th {row['p95_s']:.3f} s"
        )
    rows.append(f"errors {len(results['errors'])}, lost {results['lost']}; {results['requests_per_s']:.2f} requests/s")
    rows.append(f"together against one after another: {results['speedup']:.2f} times as many")
    rows.append(
        f"95th percentile over queue share: {results['p95_over_queue_share']:.2f} (at most {results['target']:g})"
    )
    rows.append(f"memory: {memory['before']:.0f}, {memory['halfway']:.0f}, {memory['after']:.0f} MiB")
    return [*rows, *results["errors"][:5]]


if __name__ == "__main__":
    sys.exit(bool(main()["errors"]))

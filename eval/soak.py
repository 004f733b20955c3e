"""python eval/soak.py [--model mini] [--clients 16] [--requests 10000] [--json]

Whether the server bears mixed and hostile clients for hours: wrong answers, errors, and memory that does not come back.

The server runs in a process of its own. Each valid request is first asked alone, and its answer kept; `--warm-up`
requests follow that are not counted. Then `--clients` threads share `--requests` requests, one in four of them hostile:
damaged and costly pictures, texts beyond the limit, JSON that is none, bodies that stop half way, clients that leave,
silent connections. The others are drawn by the weights of VALID. Every valid answer is compared with the kept one: its
words exactly, its places within `--tolerance` (`docs/serving.md` says why they may differ).

An answer with 503 or 429 and `Retry-After` is stated overload: it is counted, and asked again after that time until
there is another answer. Any other 5xx is an error, an answer that is not the kept one is mixed up, and a request
without an answer is lost. Memory is read after the start, after the warm-up, at each tenth, at its peak and at the end.
"""

import argparse
import base64
import io
import json
import math
import os
import random
import socket
import struct
import sys
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from queue import Empty, Queue
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
import psutil
from PIL import Image

from kyvo.evaluation.server_process import peak_memory, resident_memory, seconds_until_health, start_server

SAMPLES = Path(str(files("kyvo"))) / "assets" / "samples"
HOSTILE = 0.25  # share of the requests
VALID = {  # weights of the valid ones: as many pictures as two cores can do beside the rest
    "ask": 32, "edit": 26, "chat": 22, "models": 8, "health": 8, "recognize": 3, "render": 0.5, "edit and render": 0.5,
}  # fmt: skip
FLAT = 1.10  # memory after over memory after the warm-up
CHANGING = {"id", "created", "usage", "confidence", "diff", "waiting", "running"}  # keys of answers that may differ
PATIENCE = 900.0  # s that a client waits for an answer: longer than any server's timeout
SETTLING = 5.0  # s
RECOVERY = 1.0  # s until /health answers after the last request


@dataclass(frozen=True, kw_only=True)
class Valid:
    """A request, and what it is answered with."""

    kind: str  # of VALID
    path: str
    body: dict[str, Any] | None = None  # None: GET
    known: Any = None


@dataclass
class Count:
    """What came of the requests."""

    statuses: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))  # by kind
    requests: int = 0
    overloaded: int = 0
    failed: list[str] = field(default_factory=list)  # 5xx that are no stated overload
    mixed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    truncated: int = 0
    refused: list[str] = field(default_factory=list)  # 4xx of valid requests
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Runs the soak, prints it and returns what it printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="a bundled model's name, or a model folder")
    parser.add_argument("--clients", type=int, default=16, help="that ask at the same time")
    parser.add_argument("--requests", type=int, default=10_000, help="of all clients together")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no further request is sent")
    parser.add_argument("--warm-up", type=int, default=2000, help="requests before them: they fill the caches")
    parser.add_argument("--timeout", type=float, default=60.0, help="of the server, in seconds; more on a slow machine")
    parser.add_argument("--samples", type=int, default=4, help="pictures and scenes that are asked about")
    parser.add_argument("--tolerance", type=float, default=0.02, help="of places, in the scene's units")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    if min(args.clients, args.requests, args.samples) < 1:
        parser.error("counts must be at least 1.")

    server, url = start_server(args.model, "--timeout", str(args.timeout))
    url = url.removesuffix("/v1")
    try:
        process = psutil.Process(server.pid)
        started = resident_memory(process)
        kept = [
            replace(one, known=ask(url + one.path, one.body))
            for one in valid_requests(args.samples, Path(args.model).name)
        ]
        settings = {"clients": args.clients, "near": args.tolerance}
        soak(url, kept, requests=args.warm_up, seed=args.seed + 1, **settings)
        warm, tenths = settled(process), []
        with peak_memory(process) as peak:
            start = time.perf_counter()
            count = soak(
                url, kept, requests=args.requests, seed=args.seed, seconds=60 * args.minutes,
                tenth=lambda: tenths.append(resident_memory(process)), **settings,
            )  # fmt: skip
            took = time.perf_counter() - start
            recovery = seconds_until_health(url)
        after = settled(process)
        connections = sum(one.status == psutil.CONN_ESTABLISHED for one in process.net_connections())
    finally:
        server.terminate()
        server.wait(90)
    results = {
        "benchmark": "soak",
        "requests": count.requests,
        "requests_per_s": count.requests / took,
        "statuses": {
            kind: {str(status): number for status, number in sorted(own.items())}
            for kind, own in sorted(count.statuses.items())
        },
        "answered": sum(map(len, count.seconds.values())),
        "overloaded": count.overloaded,
        "failed": len(count.failed),
        "mixed": len(count.mixed),
        "lost": len(count.lost),
        "truncated": count.truncated,
        "refused_valid": len(count.refused),
        "seconds": {
            kind: {"n": len(own), "p50": float(np.percentile(own, 50)), "p95": float(np.percentile(own, 95))}
            for kind, own in sorted(count.seconds.items())
        },
        "recovery_s": recovery,
        "connections_left": connections,
        "memory_mib": {
            "started": started / 2**20,
            "warm": warm / 2**20,
            "tenths": [round(one / 2**20) for one in tenths],
            "peak": peak[0] / 2**20,
            "after": after / 2**20,
        },
        "examples": [*count.failed, *count.mixed, *count.lost, *count.refused][:5],
        "passed": not (count.failed or count.mixed or count.lost or count.refused)
        and recovery < RECOVERY
        and after <= FLAT * warm,
        "settings": vars(args),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[2],
    }
    print(json.dumps(results, indent=1) if args.json else "\n".join(lines(results)))
    return results


def valid_requests(samples: int, model: str) -> list[Valid]:
    """Each kind on each sample."""
    found = [
        Valid(kind="models", path="/v1/models"),
        Valid(kind="health", path="/health"),
    ]
    for path in sorted(SAMPLES.glob("*.png"))[:samples]:
        image = base64.b64encode(path.read_bytes()).decode()
        scene = json.loads(path.with_suffix(".json").read_text())
        change = {"scene": scene, "instruction": "Add a small red rubber cube."}
        question = {"type": "text", "text": "How many spheres are there?"}
        content = [{"type": "scene", "scene": scene}, question]
        chat = {"model": model, "messages": [{"role": "user", "content": content}]}
        found += [
            Valid(kind="recognize", path="/v1/scenes/recognize", body={"image": image}),
            Valid(kind="ask", path="/v1/scenes/ask", body={"scene": scene, "question": "How many cubes are there?"}),
            Valid(kind="render", path="/v1/scenes/render", body={"scene": scene}),
            Valid(kind="edit", path="/v1/scenes/edit", body={**change, "render": False}),
            Valid(kind="edit and render", path="/v1/scenes/edit", body=change),
            Valid(kind="chat", path="/v1/chat/completions", body=chat),
        ]
    return found


def ask(url: str, body: dict[str, Any] | bytes | None) -> dict[str, Any]:
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    with urlopen(Request(url, content, {"Content-Type": "application/json"}), timeout=PATIENCE) as answer:
        return json.load(answer)


def soak(
    url: str,
    kept: list[Valid],
    *,
    clients: int,
    requests: int,
    seed: int,
    near: float,
    seconds: float = math.inf,
    tenth: Callable[[], None] = lambda: None,
) -> Count:
    """Has the clients send all requests, or what they can in so many seconds; what came of them. `tenth` is called
    after each tenth."""
    end = time.monotonic() + seconds
    left: Queue[int] = Queue()
    for number in range(requests):
        left.put(number)
    count, lock = Count(), threading.Lock()
    pictures = hostile_pictures()
    kinds = defaultdict(list)
    for one in kept:
        kinds[one.kind].append(one)

    def ask_valid(one: Valid) -> None:
        while True:
            start = time.perf_counter()
            status, found, retry_after, told = send(url + one.path, one.body)
            with lock:
                note(count, one.kind, status, retry_after is not None, told)
                if found is not None:
                    count.seconds[one.kind].append(time.perf_counter() - start)
                    count.truncated += bool(found.get("truncated"))
                    if not same(found, one.known, near=near):
                        count.mixed.append(f"{one.kind}: another answer than alone")
            if retry_after is None:
                return
            time.sleep(retry_after)

    def client() -> None:
        while time.monotonic() < end:
            try:
                number = left.get_nowait()
            except Empty:
                return
            with lock:
                count.requests += 1
            dice = random.Random(f"{seed} {number}")
            if dice.random() < HOSTILE:
                kind, status, overload = attack(url, pictures, dice)
                with lock:
                    note(count, f"hostile: {kind}", status, overload, f"{kind}: {status}")
            else:
                ask_valid(dice.choice(kinds[dice.choices([*VALID], [*VALID.values()])[0]]))
            if (number + 1) % max(requests // 10, 1) == 0:
                tenth()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count


def send(url: str, body: dict[str, Any] | bytes | None) -> tuple[int, dict[str, Any] | None, float | None, str]:
    """The status, 0 where there was no answer; the answer; after how many seconds to ask again; and what went wrong."""
    try:
        return 200, ask(url, body), None, ""
    except HTTPError as error:
        wait = error.headers.get("Retry-After")
        return error.code, None, None if wait is None else float(wait), f"{url}: {error.code} {error.read(200)!r}"
    except (OSError, ValueError) as error:
        return 0, None, None, f"{url}: {type(error).__name__} {error}"


def note(count: Count, kind: str, status: int, overload: bool, told: str) -> None:
    """Counts how one request ended; 0 is without an answer."""
    count.statuses[kind][status] += 1
    count.overloaded += overload
    if status >= 500 and not overload:
        count.failed.append(told)
    if kind in VALID:
        if status == 0:
            count.lost.append(told)
        elif 400 <= status < 500 and not overload:
            count.refused.append(told)


def same(found: Any, known: Any, *, near: float) -> bool:
    """Whether two answers have the same words, numbers near one another, and pictures that are."""
    if isinstance(found, dict) and isinstance(known, dict):
        keys = (found.keys() | known.keys()) - CHANGING
        return all(key in found and key in known and same(found[key], known[key], near=near) for key in keys)
    if isinstance(found, list) and isinstance(known, list):
        pairs = zip(found, known, strict=False)
        return len(found) == len(known) and all(same(*pair, near=near) for pair in pairs)
    if isinstance(found, int | float) and isinstance(known, int | float):
        return abs(found - known) <= near
    if isinstance(found, str) and isinstance(known, str) and found.startswith("data:image/png"):
        first, second = (np.asarray(Image.open(io.BytesIO(base64.b64decode(text[22:])))) for text in (found, known))
        return first.shape == second.shape and float(np.abs(first.astype(int) - second).mean()) < 1
    return found == known


def hostile_pictures() -> list[bytes]:
    """Damaged and costly ones."""
    noise = Image.fromarray(np.random.default_rng(0).integers(256, size=(64, 96, 3), dtype=np.uint8))

    def encoded(kind: str, picture: Image.Image = noise, **settings: Any) -> bytes:
        file = io.BytesIO()
        picture.save(file, kind, **settings)
        return file.getvalue()

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    jpeg = encoded("JPEG", Image.new("RGB", (2000, 2000), "red"), progressive=True)
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    png = encoded("PNG")
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**22)))
    return [
        jpeg[:-2] + scan * 1500 + jpeg[-2:],
        jpeg[:-2] + scan * 60 + jpeg[-2:],
        png[:-12] + text * 20 + png[-12:],
        png[:33] + chunk(b"acTL", bytes(8)) + chunk(b"fcTL", bytes(26)) + png[33:],
        png[: len(png) // 2],
        *(encoded(kind)[:200] for kind in ("WEBP", "GIF", "BMP", "TIFF", "PPM")),
    ]


def attack(url: str, pictures: list[bytes], dice: random.Random) -> tuple[str, int, bool]:
    """One hostile request: its kind, its status, 0 for none, and whether that is stated overload."""
    kind = dice.choice(["picture", "emoji", "json", "numbers", "half", "gone", "silent", "garbage", "twice"])
    return kind, *send_hostile(url, kind, pictures, dice)


def send_hostile(url: str, kind: str, pictures: list[bytes], dice: random.Random) -> tuple[int, bool]:
    scene = json.loads((SAMPLES / "clevr_0.json").read_text())
    if kind == "picture":
        picture = base64.b64encode(dice.choice(pictures)).decode()
        return status_of(url + "/v1/scenes/recognize", {"image": picture})
    if kind == "emoji":
        return status_of(url + "/v1/scenes/ask", {"scene": scene, "question": "\N{CUCUMBER}" * 500})
    if kind == "json":
        return status_of(url + "/v1/scenes/render", dice.choice([b"[" * 9999, b'{"a": NaN}', b"\xff", b"[[],[],", b""]))
    if kind == "numbers":
        scene["objects"][0]["location"] = dice.choice([[1e308, 0, 0], [0, 0], "here", [1e-300, 1e300, -0.0], None])
        return status_of(url + "/v1/scenes/render", {"scene": scene})
    if kind == "twice":
        scene["objects"] *= 50
        return status_of(url + "/v1/scenes/edit", {"scene": scene, "instruction": "Remove it."})
    return send_raw(url, kind, json.dumps({"scene": scene}).encode())


def status_of(url: str, body: dict[str, Any] | bytes) -> tuple[int, bool]:
    status, _, retry_after, _ = send(url, body)
    return status, retry_after is not None


def send_raw(url: str, kind: str, body: bytes) -> tuple[int, bool]:
    """What no HTTP library sends; the connection is left at once, or after a while."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    head = f"POST /v1/scenes/render HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    whole = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
    try:
        with socket.create_connection((host, port), timeout=10) as connection:
            content = {"half": whole[: len(whole) // 2], "gone": whole, "garbage": b"GARBAGE\r\n\r\n", "silent": b""}
            connection.sendall(content[kind])
            if kind in ("half", "silent"):
                time.sleep(1)
    except OSError:
        pass
    return 0, False


def settled(process: psutil.Process) -> int:
    """As `resident_memory`, once what is left of the hostile requests has ended."""
    time.sleep(SETTLING)
    return resident_memory(process)


def lines(results: dict[str, Any]) -> list[str]:
    settings, memory = results["settings"], results["memory_mib"]
    rows = [
        f"{settings['clients']} clients, {results['requests']} requests, {results['requests_per_s']:.2f} a second",
        f"answered {results['answered']}, failed {results['failed']}, mixed up {results['mixed']}, lost "
        f"{results['lost']}, valid but refused {results['refused_valid']}, truncated {results['truncated']}, "
        f"stated overload {results['overloaded']}",
        "statuses (0: hostile, no answer awaited)",
    ]
    for kind, own in results["statuses"].items():
        rows.append(f"  {kind:20} " + ", ".join(f"{status}: {number}" for status, number in own.items()))
    rows.append("answers")
    for kind, row in results["seconds"].items():
        rows.append(f"  {kind:20} {row['n']:6}   median {row['p50']:.2f} s   95th {row['p95']:.2f} s")
    rows.append(f"recovered in {results['recovery_s']:.3f} s, {results['connections_left']} connections left")
    rows.append(
        f"memory, MiB: {memory['started']:.0f} started, {memory['warm']:.0f} warm, at most {memory['peak']:.0f}, "
        f"after {memory['after']:.0f}; at each tenth {' '.join(map(str, memory['tenths']))}"
    )
    return [*rows, *results["examples"], "passed" if results["passed"] else "failed"]


if __name__ == "__main__":
    sys.exit(not main()["passed"])

"""python eval/benchmark_tasks.py [--model mini] [--cores 2] [--busy 2 5] [--json]

How long the tasks take on a few CPU cores, loading excluded, and the peak memory of `kyvo recognize`.

Every round has pictures, scenes and a question of its own, so that nothing is taken over from an earlier one; a round
before the others warms up. Seconds depend on the machine and its load: the best and the median of the rounds stand
beside the rate of a matmul that took its turn among them. Memory is that of the whole command in a process of its own.

`--busy` measures the tasks of one picture, scene or question again beside that many processes that never wait, in turns
with the others. A fair share of the cores makes a task (N + cores) / cores times as long, and half as much again is
allowed. Where other programs have the cores already, a few processes more slow it less: measure on an idle machine.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from kyvo.api import Kyvo
from kyvo.data.clevr.sampling import render_scenes, sample_scenes
from kyvo.data.language.questions import sample_questions
from kyvo.evaluation.provenance import machine
from kyvo.evaluation.timing import alternate
from kyvo.files import write_picture
from kyvo.scene.scene import Scene

PICTURES = 32  # recognised together; the levels are for as many
ASKED = {"recognize_together": 4.0, "recognize_one": 0.6, "render_one": 3.0, "answer_one": 0.3}  # s, on two cores
ALONE = ("recognize_one", "render_one", "answer_one")  # measured beside busy processes too
ASKED_GIGABYTES = 1.2
ASKED_SLOWER = 1.5  # than a fair share of the cores, beside busy processes

# A process between this one and the command: what was large before it started another program can count as that one's.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Runs the benchmark, prints it and returns what it printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="a bundled model's name, or a model folder")
    parser.add_argument("--cores", type=int, default=2, help="threads of the model")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="recognised together")
    parser.add_argument("--repeats", type=int, default=5, help="rounds; one more goes before to warm up")
    parser.add_argument("--matmul", type=int, default=2048, help="side of the matrices that give the matmul rate")
    parser.add_argument("--busy", type=int, nargs="+", default=[], metavar="N", help="other processes that never wait")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    if min(args.cores, args.pictures, args.repeats, args.matmul, *args.busy) < 1:
        parser.error("counts and sizes must be at least 1.")

    before = torch.get_num_threads()
    torch.set_num_threads(args.cores)
    try:
        seconds, pictures = measure(args)
    finally:
        torch.set_num_threads(before)
    results = {
        "benchmark": "tasks",
        "seconds": {
            name: {"best": min(seconds[name]), "median": median(seconds[name]), "asked": asked}
            for name, asked in ASKED.items()
        },
        "busy": {str(count): slowdown(seconds, count, cores=args.cores) for count in args.busy},
        "peak_gigabytes": {
            "recognize": peak_gigabytes(args.model, pictures, cores=args.cores),
            "asked": ASKED_GIGABYTES,
        },
        "matmul_gflops_per_second": 2 * args.matmul**3 / median(seconds["matmul"]) / 1e9,
        "settings": vars(args),
        "machine": machine(),
    }
    print(json.dumps(results, indent=1) if args.json else "\n".join(lines(results)))
    return results


def measure(args: argparse.Namespace) -> tuple[dict[str, list[float]], list[np.ndarray]]:
    """Seconds of each task in each round, and the pictures that were recognised together in the first.

    Tasks beside busy processes have the names of `beside`.
    """
    model = Kyvo.from_pretrained(args.model, device="cpu")
    config = model.processor.image.config
    view = {"width": config.width, "height": config.height}
    rounds = args.repeats + 1
    turns = rounds * (1 + len(args.busy))
    drawn = iter(sample_scenes(range(rounds * args.pictures + turns * 3), seed=args.seed, **view))

    def take(count: int) -> list[Scene]:
        return list(islice(drawn, count))

    together = [list(render_scenes(take(args.pictures), **view)) for _ in range(rounds)]
    single, rendered, asked = render_scenes(take(turns), **view), take(turns), take(turns)
    rng = np.random.default_rng(args.seed)
    questions = [sample_questions(scene, rng, count=1)[0].text for scene in asked]
    inputs = [iter(of) for of in (together, single, rendered, zip(asked, questions, strict=True))]
    square = torch.randn(args.matmul, args.matmul)
    tasks: dict[str, Callable[[], object]] = {
        "recognize_together": lambda: model.recognize(next(inputs[0])),
        "recognize_one": lambda: model.recognize([next(inputs[1])]),
        "render_one": lambda: model.render([next(inputs[2])]),
        "answer_one": lambda: model.ask(*next(inputs[3])),
    }
    with busy_processes(max(args.busy, default=0)) as processes:
        variants = dict(tasks)
        for count in args.busy:
            others = processes[:count]
            variants |= {under_load(name, count): partial(run_under_load, others, tasks[name]) for name in ALONE}
        seconds = alternate({**variants, "matmul": lambda: square @ square}, repeats=args.repeats)
    return seconds, together[0]


def under_load(name: str, count: int) -> str:
    """The name of a task beside `count` busy processes."""
    return f"{name} beside {count}"


@contextmanager
def busy_processes(count: int) -> Iterator[list[subprocess.Popen]]:
    """Processes that never wait, stopped until `run_under_load` lets them run."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run_under_load(processes: Sequence[subprocess.Popen], task: Callable[[], object]) -> None:
    """The task while the processes run."""
    for process in processes:
        process.send_signal(signal.SIGCONT)
    try:
        task()
    finally:
        for process in processes:
            process.send_signal(signal.SIGSTOP)


def slowdown(seconds: Mapping[str, Sequence[float]], count: int, *, cores: int) -> dict[str, dict[str, float]]:
    """How many times as long each task takes beside `count` busy processes, by medians, and what is asked."""
    asked = ASKED_SLOWER * (count + cores) / cores
    return {
        name: {"times": median(seconds[under_load(name, count)]) / median(seconds[name]), "asked": asked}
        for name in ALONE
    }


def peak_gigabytes(model: str, pictures: Sequence[np.ndarray], *, cores: int) -> float:
    """The most memory that `kyvo recognize` holds at a time while it reads these pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, picture in enumerate(pictures):
            write_picture(folder / f"{index:06d}.png", Image.fromarray(picture))
        command = [sys.executable, "-c", "from kyvo.cli.main import run; run()", "recognize", str(folder)]
        command += ["--out", str(folder / "scenes"), "--model", model, "--device", "cpu"]
        threads = {"OMP_NUM_THREADS": str(cores)}
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *command], env=os.environ | threads, stdout=subprocess.PIPE, check=True
        )
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024) / 1e9  # kibibytes but for macOS


def lines(results: Mapping[str, Any]) -> list[str]:
    """The results for people."""
    rows = [
        f"{name:<20} best {times['best']:7.3f} s   median {times['median']:7.3f} s   asked {times['asked']:g} s"
        for name, times in results["seconds"].items()
    ]
    rows += [
        f"{under_load(name, int(count)):<29} {found['times']:7.2f} times as long   asked {found['asked']:g}"
        for count, tasks in results["busy"].items()
        for name, found in tasks.items()
    ]
    peak = results["peak_gigabytes"]
    return [
        *rows,
        f"{'kyvo recognize':<20} peak {peak['recognize']:7.3f} GB   asked {peak['asked']:g} GB",
        f"{'matmul':<20} {results['matmul_gflops_per_second']:.1f} GFLOP/s, load {results['machine']['load_average']}",
    ]


if __name__ == "__main__":
    main()

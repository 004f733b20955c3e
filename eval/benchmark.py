"""python eval/benchmark.py train|decode|data [--json] [--size kyvo_mini] [--vocabulary kyvo|mini]

How fast training, decoding and data are, as ratios measured in one run. The variants of a measurement take turns,
round after round, so that a slow moment of the machine meets them all; a ratio is the median of the rounds' ratios.
Times alone depend on the machine and its load, so each stands beside what it is to be compared with. Weights are random
unless `--model` is given: speed does not depend on them.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch
from benchmarks.data import benchmark_data
from benchmarks.decoding import benchmark_decode
from benchmarks.inputs import IMAGES
from benchmarks.training import benchmark_train


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Runs one benchmark, prints it and returns what it printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="our training step against the released one")
    train.add_argument("--precision", choices=["fp32", "bf16_mixed"], default="bf16_mixed")
    train.add_argument("--batch-size", type=int, default=8, help="sequences a step")
    train.add_argument("--batches", type=int, default=2, help="steps a round")
    train.add_argument("--tasks", choices=["joint", "recognition"], default="joint", help="the samples' tasks")
    train.add_argument("--pack-tokens", type=int, default=1024, help="of a row that sequences share")
    train.add_argument("--compile", action="store_true", help="compile the layers")
    train.add_argument("--matmul", type=int, default=2048, help="side of the matrices that give the matmul rate")
    together = commands.add_parser("decode", help="our engine against no cache and against transformers")
    together.add_argument("--model", help="a bundled model's name, or a model folder; else random weights of --size")
    together.add_argument("--batch-size", type=int, default=32, help="scenes decoded together")
    together.add_argument("--alone", type=int, default=2, help="scenes for what is measured one by one")
    together.add_argument("--max-objects", type=int, default=7, help="a scene's; CLEVR's mean is 6.5")
    data = commands.add_parser("data", help="ray tracer, tokenising, opening a set")
    data.add_argument("--pictures", type=int, default=64, help="ray-traced and tokenised in a round")
    data.add_argument("--pixels", type=int, default=128, help="the ray tracer's picture is as wide and high")
    data.add_argument("--rows", type=int, default=2000, help="pictures in the set that is opened")
    data.add_argument("--scenes", type=int, default=100_000, help="rows of the large set that is opened: scenes alone")
    for command in (train, together, data):
        command.add_argument("--json", action="store_true", help="print JSON")
        command.add_argument("--size", choices=list(IMAGES), default="kyvo_mini")
        command.add_argument("--repeats", type=int, default=5, help="rounds; one more goes before to warm up")
        command.add_argument("--seed", type=int, default=0)
    for command, default in ((train, "kyvo"), (together, "mini")):
        command.add_argument("--vocabulary", choices=["kyvo", "mini"], default=default)
        command.add_argument("--device", default="auto", help="auto, cpu or cuda")
    args = parser.parse_args(argv)
    if min(value for name, value in vars(args).items() if type(value) is int and name != "seed") < 1:
        parser.error("counts and sizes must be at least 1.")

    torch.manual_seed(args.seed)
    results = {"train": benchmark_train, "decode": benchmark_decode, "data": benchmark_data}[args.command](args)
    results = {"benchmark": args.command, **results, "settings": vars(args), "machine": _machine()}
    print(json.dumps(results, indent=1) if args.json else "\n".join(_lines(results)))
    return results


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load_average": os.getloadavg()[0],  # far above the threads: other work was in the way
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def _lines(results: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for name, value in results.items():
        if isinstance(value, Mapping):
            lines += _lines(value, f"{prefix}{name}.")
        else:
            lines.append(f"{prefix + name:<44} {f'{value:.4g}' if isinstance(value, float) else value}")
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])

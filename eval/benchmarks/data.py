"""The ray tracer, tokenising, and the opening of a set."""

import argparse
import base64
import io
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import datasets
import numpy as np
import torch
from datasets.arrow_writer import ArrowWriter
from PIL import Image

from benchmarks.inputs import IMAGES
from kyvo.data.clevr.sampling import render_scenes, sample_scenes
from kyvo.data.dataset import open_set, scene_cell
from kyvo.data.generators import PICTURE
from kyvo.evaluation.timing import alternate, rate_ratio
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.vqgan import VQGAN


def benchmark_data(args: argparse.Namespace) -> dict[str, Any]:
    """Two processes that ray-trace against one, tokenising together against one by one, a set against one JSON."""
    scenes = sample_scenes(range(args.pictures), seed=args.seed, width=args.pixels, height=args.pixels)
    trace = partial(render_scenes, width=args.pixels, height=args.pixels)
    halves = [scenes[: len(scenes) // 2], scenes[len(scenes) // 2 :]]
    tokenizer = ImageTokenizer(VQGAN(IMAGES[args.size]()))
    pictures = list(trace(scenes))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_both(folder, pictures, [json.dumps(scene_to_json(scene)) for scene in scenes], args.rows)
        # Spawned, as forked processes may inherit locks of torch's threads; the warm-up round pays for their start.
        with multiprocessing.get_context("spawn").Pool(2, torch.set_num_threads, (1,)) as pool:
            seconds = alternate(
                {
                    "one_process": lambda: pool.apply(trace, (scenes,)),
                    "two_processes": lambda: pool.map(trace, halves, chunksize=1),
                    "tokenise_together": lambda: tokenizer.encode(pictures),
                    "tokenise_one_by_one": lambda: [tokenizer.encode([picture]) for picture in pictures],
                    "open_set": lambda: open_set(folder)[0],
                    "load_json": lambda: json.loads((folder / "all.json").read_text())[0],
                },
                repeats=args.repeats,
            )
    return {
        "two_processes_over_one": rate_ratio(seconds, "two_processes", "one_process"),
        "tokenise_together_over_one_by_one": rate_ratio(seconds, "tokenise_together", "tokenise_one_by_one"),
        "open_set_over_load_json": rate_ratio(seconds, "open_set", "load_json"),
        "pictures_per_second": {
            name: args.pictures / median(seconds[name])
            for name in ("one_process", "two_processes", "tokenise_together", "tokenise_one_by_one")
        },
        "seconds_to_open": {name: median(seconds[name]) for name in ("open_set", "load_json")},
        "large_set": opening_many(scenes, count=args.scenes, repeats=args.repeats),
    }


def opening_many(scenes: Sequence[Scene], *, count: int, repeats: int) -> dict[str, Any]:
    """A set of `count` scenes, over and over the same, against one JSON of them: seconds, and memory, to read a row.

    The set is as `kyvo data` writes it, 500 rows a file. Memory is the growth of what a fresh process holds.
    """
    cells = [scene_cell(scenes[index % len(scenes)]) for index in range(min(500, count))]
    num_files = -(-count // len(cells))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"data-{index:05d}-of-{num_files:05d}.arrow" for index in range(num_files)]
        for path, rows in ((paths[0], cells), (paths[-1], cells[: count - (num_files - 1) * len(cells)])):
            with ArrowWriter(path=str(path), features=datasets.Features(scene=datasets.Value("string"))) as writer:
                writer.write_batch({"scene": rows})
                writer.finalize()
        for path in paths[1:-1]:
            shutil.copyfile(paths[0], path)
        (folder / "all.json").write_text(json.dumps([{"scene": cells[index % len(cells)]} for index in range(count)]))
        seconds = alternate(
            {
                "open_set": lambda: open_set(folder)[count - 1],
                "load_json": lambda: json.loads((folder / "all.json").read_text())[count - 1],
            },
            repeats=repeats,
        )
        megabytes = {
            "open_set": _growth("open_set(folder)", folder),
            "load_json": _growth("json.loads((folder / 'all.json').read_text())", folder),
        }
    return {
        "rows": count,
        "open_set_over_load_json": rate_ratio(seconds, "open_set", "load_json"),
        "seconds_to_open": {name: median(times) for name, times in seconds.items()},
        "megabytes_to_open": megabytes,
        "memory_of_open_set_over_load_json": megabytes["open_set"] / megabytes["load_json"],
    }


def _growth(rows: str, folder: Path) -> float:
    """By how many MB a fresh process grows in memory for some rows, an expression, and the reading of their last."""
    code = f"""
import json, sys
from pathlib import Path
import psutil
from kyvo.data.dataset import open_set
folder = Path(sys.argv[1])
before = psutil.Process().memory_info().rss
rows = {rows}
rows[len(rows) - 1]
print((psutil.Process().memory_info().rss - before) / 1e6)
"""
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _write_both(folder: Path, pictures: Sequence[np.ndarray], scenes: Sequence[str], count: int) -> None:
    """A set of `count` pictures, over and over the same, as Arrow and as one JSON with the pictures in base64."""
    pngs = []
    for picture in pictures:
        png = io.BytesIO()
        Image.fromarray(picture).save(png, "png", compress_level=1)
        pngs.append(png.getvalue())
    rows = [(pngs[index % len(pngs)], scenes[index % len(pngs)], f"{index:06d}.png") for index in range(count)]
    arrow = [{"image": {"bytes": png, "path": name}, "scene": scene, "name": name} for png, scene, name in rows]
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(arrow, features=datasets.Features(PICTURE)).save_to_disk(folder)
    whole = [{"image": base64.b64encode(png).decode(), "scene": scene, "name": name} for png, scene, name in rows]
    (folder / "all.json").write_text(json.dumps(whole))

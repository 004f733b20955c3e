"""python eval/recognition.py --model mini --data DIR | --clevr scenes.json --images DIR [--out FILE] [--sheet PNG]

How well a model recognises: the Jaccard index of Kyvo's paper on pictures whose scenes are known.

`--data` is an Arrow set of this project (columns image and scene), `--clevr` a file of scenes in CLEVR's own format
whose `image_filename`s are looked up in `--images`. The metric is `kyvo.metrics.scenes`; pictures are fitted to the
model's size as in every other use, and truths are compared as they are, not rounded to the model's numbers.
"""

import argparse
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import kyvo
from kyvo.api import Kyvo
from kyvo.data.dataset import open_set
from kyvo.errors import SceneError
from kyvo.export.sheet import contact_sheet, draw_scene, enlarge
from kyvo.metrics.scenes import CLEVR, CLEVR_TAUS, mean_jaccard
from kyvo.scene.clevr import load_clevr
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Scene
from kyvo.scene.schema import clevr_camera
from kyvo.tokenizers.image import fit
from kyvo.tokenizers.pictures import read_picture

PROTOCOL = (
    "Jaccard index of https://arxiv.org/abs/2506.08002: predicted objects in order take the first free true object "
    f"with the same {', '.join(CLEVR.attributes)} that is nearer than tau on the floor (x, y); tp / (tp + fp + fn) "
    f"a scene, mean over scenes, then over tau = {', '.join(map(str, CLEVR_TAUS))}"
)
SHEET_PICTURES = 12

Sample = tuple[np.ndarray, Scene]  # a picture, uint8 [height, width, 3], and its true scene


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Evaluates and returns what `--out` holds."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="a bundled model's name, or a model folder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="an Arrow set")
    source.add_argument("--clevr", type=Path, help="a file of scenes in CLEVR's format")
    parser.add_argument("--images", type=Path, help="the folder of CLEVR's pictures")
    parser.add_argument("--limit", type=int, help="take the first N pictures only")
    parser.add_argument("--batch-size", type=int, default=32, help="pictures decoded together")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, help="a JSON file for the results")
    parser.add_argument("--sheet", type=Path, help=f"a PNG of the first {SHEET_PICTURES} pictures and predictions")
    args = parser.parse_args(argv)
    if (args.clevr is None) != (args.images is None):
        parser.error("--clevr and --images go together: the scenes, and the folder of their pictures.")
    if args.batch_size < 1 or (args.limit is not None and args.limit < 1):
        parser.error("--batch-size and --limit must be at least 1.")

    count, samples = arrow_samples(args.data) if args.data else clevr_samples(args.clevr, args.images)
    count = min(count, args.limit or count)
    model = Kyvo.from_pretrained(args.model, device=args.device)
    bar = tqdm(
        _batches(samples, count, args.batch_size), total=-(-count // args.batch_size), unit="batch", disable=None
    )
    first, predictions, truths, seconds = evaluate(model.recognize, bar)

    scores = asdict(mean_jaccard(predictions, truths))
    scores |= {
        "num_truncated": sum(bool(scene.extra.get("truncated")) for scene in predictions),
        "seconds_per_picture": seconds / count,
    }
    folder = Path(model.model.name_or_path)
    results = {
        "scores": scores,
        "protocol": PROTOCOL,
        "command": shlex.join(["python", "eval/recognition.py", *argv]),
        "decoding": "greedy: no seed",
        "data": {"source": str(args.data or args.clevr), "sha256": _data_hash(args.data or args.clevr)},
        "model": {"folder": folder.name, "sha256": _hashes(folder)},
        "machine": {"cpu": _cpu_name(), "cores": os.cpu_count(), "device": str(model.model.device)},
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy", "pillow")}
        | {"python": platform.python_version(), "kyvo": kyvo.__version__, "commit": _commit()},
    }
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(results, indent=1) + "\n")
    if args.sheet:
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
        config = model.processor.image.config
        draw_sheet(first, predictions, truths, width=config.width, height=config.height, path=args.sheet)
    print(_table(scores))
    return results


def arrow_samples(folder: Path) -> tuple[int, Iterator[Sample]]:
    """The number of samples of a set, and the samples one after another."""
    rows = open_set(folder)
    pairs = (
        (np.asarray(row["image"].convert("RGB")), scene_from_json(json.loads(row["scene"]), f"{folder}: row {index}"))
        for index, row in enumerate(rows)
    )
    return len(rows), pairs


def clevr_samples(scenes: Path, images: Path) -> tuple[int, Iterator[Sample]]:
    """The scenes of CLEVR's file, in its order, with their pictures. Raises SceneError where one is missing."""
    truths = load_clevr(scenes)
    missing = [scene.image for scene in truths if scene.image is None or not (images / scene.image).is_file()]
    if missing:
        raise SceneError(
            f"{len(missing)} of the {len(truths)} scenes in {scenes} have no picture in {images}, the first is "
            f"{missing[0]}. Give the folder of their pictures, or a file of the scenes that have one."
        )
    return len(truths), ((read_picture(images / str(scene.image)), scene) for scene in truths)


def evaluate(
    recognize: Callable[[Sequence[np.ndarray]], list[Scene]], batches: Iterator[list[Sample]]
) -> tuple[list[np.ndarray], list[Scene], list[Scene], float]:
    """The first pictures, all predictions and truths, and the seconds that recognition took, reading left out."""
    first: list[np.ndarray] = []
    predictions: list[Scene] = []
    truths: list[Scene] = []
    seconds = 0.0
    for batch in batches:
        pictures = [picture for picture, _ in batch]
        start = time.perf_counter()
        predictions += recognize(pictures)
        seconds += time.perf_counter() - start
        truths += [scene for _, scene in batch]
        first += pictures[: SHEET_PICTURES - len(first)]
    return first, predictions, truths, seconds


def _batches(samples: Iterator[Sample], count: int, batch_size: int) -> Iterator[list[Sample]]:
    for start in range(0, count, batch_size):
        yield [next(samples) for _ in range(min(batch_size, count - start))]


def draw_sheet(
    pictures: Sequence[np.ndarray],
    predictions: Sequence[Scene],
    truths: Sequence[Scene],
    *,
    width: int,
    height: int,
    path: Path,
) -> None:
    """Pictures as the model sees them, each beside what it recognised; the truth's camera places the boxes."""
    cells = []
    for picture, scene, truth in zip(pictures, predictions, truths, strict=False):
        camera = truth.camera.resized(width, height) if truth.camera else clevr_camera(width, height)
        picture = fit(picture, width, height)
        cells += [enlarge(picture, 3), draw_scene(picture, scene, camera, factor=3)]
    rows = [cells[start : start + 4] for start in range(0, len(cells), 4)]
    contact_sheet(rows, ("picture", "recognised") * 2).save(path)


def _table(scores: dict[str, Any]) -> str:
    lines = [f"{scores['num_scenes']} pictures, {scores['seconds_per_picture']:.3f} s each", ""]
    lines += [f"Jaccard, tau {tau:.2f}          {value:.4f}" for tau, value in scores["jaccard_by_tau"].items()]
    lines += [
        f"Jaccard, mean              {scores['jaccard']:.4f}",
        f"  under the best matching  {scores['optimal_jaccard']:.4f}",
        f"true number of objects     {scores['count_accuracy']:.4f}",
        f"truncated scenes           {scores['num_truncated']}",
    ]
    if scores["position_error"] is not None:
        lines.append(f"mean position error        {scores['position_error']:.4f} CLEVR units, nearest pairs")
    for name, value in (scores["attribute_accuracy"] or {}).items():
        lines.append(f"{name:<26} {value:.4f} of nearest pairs closer than {max(CLEVR_TAUS)}")
    return "\n".join(lines)


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: _hash(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _data_hash(source: Path) -> str | None:
    """A file's hash; of a set, what its card says, and None where it has no card yet."""
    if source.is_file():
        return _hash(source)
    card = source / "card.json"
    return json.loads(card.read_text())["sha256"] if card.is_file() else None


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")  # Linux; platform.processor() is empty or only the family there
    for line in path.read_text().splitlines() if path.is_file() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The checkout's commit, with a + where files differ from it; None outside one."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    main()

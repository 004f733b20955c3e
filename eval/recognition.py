"""python eval/recognition.py --model mini --data DIR | --clevr scenes.json --images DIR --out DIR

How well a model recognises pictures whose scenes are known, under the protocol of Kyvo's paper.

`--data` is an Arrow set of this project (columns image and scene), `--clevr` a file of scenes in CLEVR's own format
whose `image_filename`s are looked up in `--images`. Writes OUT/predictions.jsonl and, by `kyvo.evaluation`,
OUT/results.json: `kyvo evaluate scenes OUT/predictions.jsonl TRUTH` gives the same figures. Pictures are fitted to the
model's size as in every other use, and truths are compared as they are, not rounded to the model's numbers.
"""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kyvo.api import Kyvo
from kyvo.cli.evaluate import finish
from kyvo.data.dataset import open_set
from kyvo.errors import SceneError
from kyvo.evaluation.inputs import clean_key, read_scenes, sha256_of
from kyvo.evaluation.provenance import checkout_commit, cpu_name
from kyvo.evaluation.results import Results, save_results
from kyvo.evaluation.scenes import evaluate_scenes
from kyvo.export.sheet import contact_sheet, draw_scene, enlarge
from kyvo.files import write_picture, write_text
from kyvo.scene.clevr import load_clevr
from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.scene import Scene
from kyvo.scene.schema import clevr_camera
from kyvo.tokenizers.image import fit
from kyvo.tokenizers.pictures import read_picture

SHEET_PICTURES = 12

Sample = tuple[str, np.ndarray, Scene]  # a key, a picture, uint8 [height, width, 3], and its true scene


def main(argv: list[str] | None = None) -> Results:
    """Evaluates and returns what OUT/results.json holds."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="a bundled model's name, or a model folder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="an Arrow set")
    source.add_argument("--clevr", type=Path, help="a file of scenes in CLEVR's format")
    parser.add_argument("--images", type=Path, help="the folder of CLEVR's pictures")
    parser.add_argument("--schema", help="whose criterion scenes are compared by; that of the truth's schema else")
    parser.add_argument("--limit", type=int, help="take the first N pictures only")
    parser.add_argument("--no-refine", dest="refine", action="store_false", help="as the language model alone wrote it")
    parser.add_argument("--batch-size", type=int, default=32, help="pictures decoded together")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, required=True, help="a folder for predictions and results")
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
    first, predictions, truths, seconds = predict(partial(model.recognize, refine=args.refine), bar)
    found = args.out / "predictions.jsonl"
    args.out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"key": key, "scene": scene_to_json(scene)}) + "\n" for key, scene in predictions.items()]
    write_text(found, "".join(lines))

    truth = replace(read_scenes(args.data or args.clevr), items=truths, faults={})  # those up to the limit
    results = evaluate_scenes(read_scenes(found), truth, schema=args.schema)
    folder = Path(model.model.name_or_path)
    results = replace(
        results,
        inputs={
            **results.inputs,
            "model": {"name": folder.name, "sha256": {path.name: sha256_of(path) for path in sorted(folder.iterdir())}},
            "command": shlex.join(["python", "eval/recognition.py", *argv]),
            "decoding": "greedy: no seed",
        },
        versions={
            **results.versions,
            **{name: version(name) for name in ("torch", "transformers", "pillow")},
            "commit": checkout_commit(Path(__file__).parent),
            "cpu": f"{cpu_name()}, {os.cpu_count()} cores",
            "device": str(model.model.device),
        },
    )
    save_results(results, args.out / "results.json")
    if args.sheet:
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
        config = model.processor.image.config
        draw_sheet(first, predictions, truths, width=config.width, height=config.height, path=args.sheet)
    truncated = sum(bool(scene.extra.get("truncated")) for scene in predictions.values())
    print(
        f"{count} pictures, {seconds / count:.3f} s each; {truncated} scenes cut at the most objects", file=sys.stderr
    )
    finish(results, out=None, report=None, as_json=False)
    return results


def arrow_samples(folder: Path) -> tuple[int, Iterator[Sample]]:
    """The number of samples of a set, and the samples one after another."""
    rows = open_set(folder)
    samples = (
        (
            clean_key(row["name"]),
            np.asarray(row["image"].convert("RGB")),
            scene_from_json(json.loads(row["scene"]), f"{folder}: row {index}"),
        )
        for index, row in enumerate(rows)
    )
    return len(rows), samples


def clevr_samples(scenes: Path, images: Path) -> tuple[int, Iterator[Sample]]:
    """The scenes of CLEVR's file, in its order, with their pictures. Raises SceneError where one is missing."""
    truths = load_clevr(scenes)
    missing = [scene.image for scene in truths if scene.image is None or not (images / scene.image).is_file()]
    if missing:
        raise SceneError(
            f"{len(missing)} of the {len(truths)} scenes in {scenes} have no picture in {images}, the first is "
            f"{missing[0]}. Give the folder of their pictures, or a file of the scenes that have one."
        )
    names = [str(scene.image) for scene in truths]
    samples = zip(map(clean_key, names), (read_picture(images / name) for name in names), truths, strict=True)
    return len(truths), samples


def predict(
    recognize: Callable[[Sequence[np.ndarray]], list[Scene]], batches: Iterator[list[Sample]]
) -> tuple[list[np.ndarray], dict[str, Scene], dict[str, Scene], float]:
    """The first pictures, all predictions and truths by key, and the seconds that recognition took without reading."""
    first: list[np.ndarray] = []
    predictions: dict[str, Scene] = {}
    truths: dict[str, Scene] = {}
    seconds = 0.0
    for batch in batches:
        keys, pictures, scenes = zip(*batch, strict=True)
        start = time.perf_counter()
        predictions |= zip(keys, recognize(pictures), strict=True)
        seconds += time.perf_counter() - start
        truths |= zip(keys, scenes, strict=True)
        first += pictures[: SHEET_PICTURES - len(first)]
    return first, predictions, truths, seconds


def _batches(samples: Iterator[Sample], count: int, batch_size: int) -> Iterator[list[Sample]]:
    for start in range(0, count, batch_size):
        yield [next(samples) for _ in range(min(batch_size, count - start))]


def draw_sheet(
    pictures: Sequence[np.ndarray],
    predictions: Mapping[str, Scene],
    truths: Mapping[str, Scene],
    *,
    width: int,
    height: int,
    path: Path,
) -> None:
    """Pictures as the model sees them, each beside what it recognised; the camera that it read, else the truth's,
    places the boxes."""
    cells = []
    for picture, scene, truth in zip(pictures, predictions.values(), truths.values(), strict=False):
        camera = (scene.camera or truth.camera or clevr_camera(width, height)).resized(width, height)
        picture = fit(picture, width, height)
        cells += [enlarge(picture, 3), draw_scene(picture, scene, camera, factor=3)]
    rows = [cells[start : start + 4] for start in range(0, len(cells), 4)]
    write_picture(path, contact_sheet(rows, ("picture", "recognised") * 2))


if __name__ == "__main__":
    main()

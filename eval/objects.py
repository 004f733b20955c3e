"""python eval/objects.py --data data/held_out --out out/objects [--model mini] [--limit 64] [--training data/objects]

Objects made anew from their pictures, and from their captions: how near they come. `--data` is a set of `kyvo data
objects` that the generator was not trained on. Each object is made once from its first picture and once from its first
caption, into `OUT/picture` and `OUT/text`; the figures are those of `kyvo evaluate generation`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.data.dataset import open_set
from kyvo.data.object_pictures import ObjectPicture
from kyvo.evaluation.generation import evaluate_generation
from kyvo.files import write_text
from kyvo.pipelines.objects import ObjectError, ObjectGenerator
from kyvo.shapes.surfaces import colored_mesh, write_shape


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Makes the objects, prints the figures as JSON and returns them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="mini", help="a bundled generator's name, or a folder")
    parser.add_argument("--training", type=Path, help="the set that the generator was trained on")
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    generator = ObjectGenerator.from_pretrained(args.model)
    rows = open_set(args.data)
    rows = rows.select(range(min(args.limit, len(rows))))
    results = {}
    for kind in ("picture", "text"):
        began, failed = time.process_time(), make(generator, rows, kind, args.out / kind, seed=args.seed)
        seconds = (time.process_time() - began) / len(rows)
        found = evaluate_generation(args.out / kind, args.data, training=args.training, seed=args.seed)
        figures = {figure.name: [figure.value, figure.low, figure.high] for figure in found.figures}
        results[kind] = {"objects": len(rows), "empty": failed, "cpu_seconds_each": seconds, **figures}
    print(json.dumps(results, indent=1))
    return results


def make(generator: ObjectGenerator, rows: Any, kind: str, folder: Path, *, seed: int) -> int:
    """Writes a GLB for each row, named as it; returns how many came out empty."""
    folder.mkdir(parents=True, exist_ok=True)
    lines, failed = [], 0
    for row in rows:
        given: dict[str, Any] = {"text": row["captions"][0]}
        if kind == "picture":
            given = {"image": ObjectPicture(rgba=np.array(row["pictures"][0].convert("RGBA")))}
        try:
            write_shape(colored_mesh(generator(**given, seed=seed).mesh), folder / f"{row['name']}.glb")
        except ObjectError:
            failed += 1
            continue
        about = {"file": f"{row['name']}.glb", "caption": row["captions"][0], "category": row["category"]}
        lines.append(json.dumps(about))
    write_text(folder / "manifest.jsonl", "".join(f"{line}\n" for line in lines))
    return failed


if __name__ == "__main__":
    main()

"""python eval/corruptions.py --clevr scenes.json --images DIR [--model mini] --out FILE

What corruptions of real pictures cost a model: the Jaccard index of the paper's protocol before and after each.

Pictures are corrupted at their own size: JPEG, brightness, colour, tilt, crops, fewer pixels, noise. What a corruption
takes from the truth counts against the model: objects that a crop cuts away are still expected. A figure is the mean
over all pictures, and over their odd and even halves, of which the first serves to choose what is tuned.
"""

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kyvo.api import Kyvo
from kyvo.data.corruptions import CORRUPTIONS
from kyvo.evaluation.provenance import checkout_commit, cpu_name
from kyvo.files import write_plain_json
from kyvo.metrics.scenes import criterion_for, jaccard
from kyvo.scene.clevr import load_clevr
from kyvo.scene.source import source_of
from kyvo.tokenizers.pictures import read_picture

BATCH = 32
NONE = "none"
KINDS = [NONE, *CORRUPTIONS]


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measures and returns what `--out` holds."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clevr", type=Path, required=True, help="a file of scenes in CLEVR's format")
    parser.add_argument("--images", type=Path, required=True, help="the folder of CLEVR's pictures")
    parser.add_argument("--model", default="mini", help="a bundled model's name, or a model folder")
    parser.add_argument("--corruptions", nargs="+", choices=KINDS, default=KINDS, metavar="KIND")
    parser.add_argument("--limit", type=int, help="take the first N pictures only")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, required=True, help="a JSON file")
    args = parser.parse_args(argv)

    truths = load_clevr(args.clevr)[: args.limit]
    pictures = [read_picture(args.images / str(truth.image)) for truth in truths]
    model = Kyvo.from_pretrained(args.model, device=args.device)
    criterion = criterion_for(model.processor.schema.name)
    rows: dict[str, dict[str, Any]] = {}
    for name in tqdm(args.corruptions, unit="kind", disable=None):
        corrupted = pictures if name == NONE else [CORRUPTIONS[name](picture) for picture in pictures]
        found = [
            scene
            for start in range(0, len(corrupted), BATCH)
            for scene in model.recognize(corrupted[start : start + BATCH])
        ]
        scores = [
            float(np.mean([jaccard(scene, truth, tau=tau, criterion=criterion) for tau in criterion.taus]))
            for scene, truth in zip(found, truths, strict=True)
        ]
        rows[name] = {
            "jaccard": _mean(scores),
            "halves": [_mean(scores[0::2]), _mean(scores[1::2])],
            "warned to be out of domain": sum(bool(source_of(scene).warnings) for scene in found),
            "by_picture": scores,
        }
        print(f"{name:28} {rows[name]['jaccard']:.3f} {rows[name]['halves']}", file=sys.stderr, flush=True)
    results = {
        "pictures": len(pictures),
        "corruptions": rows,
        "command": shlex.join(["python", "eval/corruptions.py", *argv]),
        "commit": checkout_commit(Path(__file__).parent),
        "cpu": f"{cpu_name()}, {os.cpu_count()} cores",
    }
    write_plain_json(args.out, results, indent=1)
    print(
        json.dumps({name: {"jaccard": row["jaccard"], "halves": row["halves"]} for name, row in rows.items()}, indent=1)
    )
    return results


def _mean(scores: list[float]) -> float | None:
    return round(float(np.mean(scores)), 4) if scores else None


if __name__ == "__main__":
    main()

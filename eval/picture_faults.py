"""python eval/picture_faults.py --clevr scenes.json --images DIR [--model mini] --out FILE

What ordinary faults of real pictures cost a model: the Jaccard index of the paper's protocol before and after each.

Faults are made of the pictures at their own size: JPEG, brightness, colour, tilt, crops, fewer pixels, noise. What a
fault takes from the truth counts against the model: objects that a crop cuts away are still expected. A figure is the
mean over all pictures, and over their odd and even halves, of which the first serves to choose what is tuned.
"""

import argparse
import io
import json
import os
import shlex
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from kyvo.api import Kyvo
from kyvo.evaluation.provenance import checkout_commit, cpu_name
from kyvo.files import write_plain_json
from kyvo.metrics.scenes import criterion_for, jaccard
from kyvo.scene.clevr import load_clevr
from kyvo.scene.source import source_of
from kyvo.tokenizers.pictures import read_picture

BATCH = 32
PAD = 120  # px around a picture before it is tilted, so that no corner is empty


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def lit(picture: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(np.rint(picture * factor), 0, 255).astype(np.uint8)


def gray(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).convert("L").convert("RGB"))


def tilted(picture: np.ndarray, degrees: float) -> np.ndarray:
    """Turned about its middle; the edge's pixels are repeated where the picture ends."""
    height, width = picture.shape[:2]
    padded = Image.fromarray(np.pad(picture, ((PAD, PAD), (PAD, PAD), (0, 0)), mode="edge"))
    return np.asarray(padded.rotate(degrees, Image.Resampling.BICUBIC))[PAD : PAD + height, PAD : PAD + width]


def cropped(picture: np.ndarray, rows: float, columns: float) -> np.ndarray:
    """Without this share of its height at top and bottom each, and of its width at both sides."""
    height, width = picture.shape[:2]
    above, beside = round(height * rows), round(width * columns)
    return picture[above : height - above, beside : width - beside]


def narrow(picture: np.ndarray, width: int) -> np.ndarray:
    height = round(width * picture.shape[0] / picture.shape[1])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def noisy(picture: np.ndarray, sigma: float) -> np.ndarray:
    """With Gaussian noise; the same for the same picture."""
    noise = np.random.default_rng(zlib.crc32(picture.tobytes())).normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


FAULTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda picture: picture,
    "JPEG, quality 30": lambda picture: jpeg(picture, 30),
    "JPEG, quality 10": lambda picture: jpeg(picture, 10),
    "brightness 0.75": lambda picture: lit(picture, 0.75),
    "brightness 0.5": lambda picture: lit(picture, 0.5),
    "brightness 1.25": lambda picture: lit(picture, 1.25),
    "grey": gray,
    "tilt of 1 degree": lambda picture: tilted(picture, 1),
    "tilt of 5 degrees": lambda picture: tilted(picture, 5),
    "crop to 16:9": lambda picture: cropped(picture, 0.078, 0),
    "crop to 4:3": lambda picture: cropped(picture, 0, 0.0555),
    "crop of 5 % at each side": lambda picture: cropped(picture, 0.05, 0.05),
    "64 px wide": lambda picture: narrow(picture, 64),
    "noise, sigma 10": lambda picture: noisy(picture, 10),
    "noise, sigma 25": lambda picture: noisy(picture, 25),
}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measures and returns what `--out` holds."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clevr", type=Path, required=True, help="a file of scenes in CLEVR's format")
    parser.add_argument("--images", type=Path, required=True, help="the folder of CLEVR's pictures")
    parser.add_argument("--model", default="mini", help="a bundled model's name, or a model folder")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--limit", type=int, help="take the first N pictures only")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, required=True, help="a JSON file")
    args = parser.parse_args(argv)

    truths = load_clevr(args.clevr)[: args.limit]
    pictures = [read_picture(args.images / str(truth.image)) for truth in truths]
    model = Kyvo.from_pretrained(args.model, device=args.device)
    criterion = criterion_for(model.processor.schema.name)
    rows: dict[str, dict[str, Any]] = {}
    for name in tqdm(args.faults, unit="fault", disable=None):
        spoiled = [FAULTS[name](picture) for picture in pictures]
        found = [
            scene
            for start in range(0, len(spoiled), BATCH)
            for scene in model.recognize(spoiled[start : start + BATCH])
        ]
        scores = [
            float(np.mean([jaccard(scene, truth, tau=tau, criterion=criterion) for tau in criterion.taus]))
            for scene, truth in zip(found, truths, strict=True)
        ]
        rows[name] = {
            "jaccard": _mean(scores),
            "halves": [_mean(scores[0::2]), _mean(scores[1::2])],
            "told to be unlike the model's": sum(bool(source_of(scene).warnings) for scene in found),
            "by_picture": scores,
        }
        print(f"{name:28} {rows[name]['jaccard']:.3f} {rows[name]['halves']}", file=sys.stderr, flush=True)
    results = {
        "pictures": len(pictures),
        "faults": rows,
        "command": shlex.join(["python", "eval/picture_faults.py", *argv]),
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

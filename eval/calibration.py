"""python eval/calibration.py --model DIR --data SET --fit 500 --test 500

How well objects' confidences say how often they are right, before and after Platt's scaling.

An object is right where the paper's criterion matches it at its largest distance (`kyvo.metrics.scenes`). The scaling
is fitted on the first pictures of the set and measured on those after them; the training may have seen none of them.
Writes calibration.json, with both errors, into the model folder (or --out), where `Kyvo.from_pretrained` reads it.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kyvo.api import Kyvo
from kyvo.data.dataset import open_set
from kyvo.errors import ConfigError
from kyvo.generation.calibration import Calibration, expected_calibration_error, reliability
from kyvo.metrics.scenes import criterion_for, match_scene
from kyvo.scene.files import scene_from_json


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Fits, measures and writes; returns what calibration.json says besides its two numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="a bundled model's name, or a model folder")
    parser.add_argument("--data", type=Path, required=True, help="an Arrow set that the model was not trained on")
    parser.add_argument("--fit", type=int, default=500, help="pictures to fit on, the first of the set")
    parser.add_argument("--test", type=int, default=500, help="pictures to measure on, those after them")
    parser.add_argument("--batch-size", type=int, default=32, help="pictures decoded together")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, help="another folder for calibration.json than the model's")
    args = parser.parse_args(argv)
    if min(args.fit, args.test, args.batch_size) < 1:
        parser.error("--fit, --test and --batch-size must be at least 1.")

    rows = open_set(args.data)
    if len(rows) < args.fit + args.test:
        raise ConfigError(f"{args.data} has {len(rows)} pictures; --fit {args.fit} --test {args.test} need more.")
    model = Kyvo.from_pretrained(args.model, device=args.device)
    model.language_model.calibration = Calibration()  # what the folder has now would be fitted upon
    fit_on = judge(model, rows, range(args.fit), args.batch_size)
    test_on = judge(model, rows, range(args.fit, args.fit + args.test), args.batch_size)
    calibration = Calibration.fit(*fit_on)
    sure, right = test_on
    after = calibration.apply(sure)
    about = {
        "right": f"the paper's criterion at {max(criterion_for(model.processor.schema.name).taus):g}",
        "objects": {"fit": len(fit_on[0]), "test": len(sure), "right share": round(float(np.mean(right)), 4)},
        "expected_calibration_error": {
            "before": round(expected_calibration_error(sure, right), 4),
            "after": round(expected_calibration_error(after, right), 4),
        },
        "reliability": reliability(after, right),
        "command": f"python eval/calibration.py --model {Path(args.model).name} --data {args.data.name} "
        f"--fit {args.fit} --test {args.test}",
    }
    folder = args.out or Path(model.model.name_or_path)
    os.makedirs(folder, exist_ok=True)
    calibration.save(folder, about)
    print(json.dumps({"scale": calibration.scale, "shift": calibration.shift, **about}, indent=1))
    return about


def judge(model: Kyvo, rows: Any, indices: Sequence[int], batch_size: int) -> tuple[list[float], list[bool]]:
    """The confidence of every recognised object, and whether it is right."""
    criterion = criterion_for(model.processor.schema.name)
    confidences: list[float] = []
    right: list[bool] = []
    starts = range(0, len(indices), batch_size)
    for start in tqdm(starts, unit="batch", disable=None):
        batch = [rows[index] for index in indices[start : start + batch_size]]
        found = model.recognize([np.asarray(row["image"].convert("RGB")) for row in batch])
        for row, scene in zip(batch, found, strict=True):
            truth = scene_from_json(json.loads(row["scene"]), str(row["name"]))
            matched = {pair[0] for pair in match_scene(scene, truth, taus=criterion.taus, criterion=criterion).pairs}
            confidences += [float(item.confidence or 0.0) for item in scene.objects]
            right += [index in matched for index in range(len(scene))]
    return confidences, right


if __name__ == "__main__":
    main()

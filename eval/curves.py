"""python eval/curves.py --run runs/mini --image-tokenizer runs/image_mini --out kyvo/assets/mini

The curves of a model's trainings, as curves.json and curves.png: what a model card keeps of two logs.

`--run` is an output folder of the recipe (train.log), `--image-tokenizer` one of `tokenizers/train_image.py`
(log.jsonl). The JSON has every logged step; the picture smooths losses over 25 of them.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kyvo.deprecated import LOG_NAMES, current_names
from kyvo.errors import ConfigError

STEP = re.compile(r"Step (\d+) \| (.*)")
SMOOTH = 25  # logged steps
Curves = dict[str, dict[str, list[float]]]  # training -> quantity -> values; "step" is one

PANELS = (  # training, quantity, title
    ("language_model", "loss", "language model: loss, nats a label"),
    ("language_model", "auxiliary_loss", "objects read in the states: loss, nats"),
    ("language_model", "lr", "language model: learning rate of the matrices"),
    ("image_tokenizer", "psnr", "image tokenizer: PSNR on held-out pictures, dB"),
    ("image_tokenizer", "perplexity", "image tokenizer: perplexity of the codes"),
    ("image_tokenizer", "location_error", "place read from 3x3 codes: mean error, CLEVR units"),
)


def main(argv: list[str] | None = None) -> Curves:
    """Writes and returns the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="output folder of the recipe")
    parser.add_argument("--image-tokenizer", type=Path, required=True, help="output folder of train_image.py")
    parser.add_argument("--out", type=Path, required=True, help="folder for curves.json and curves.png")
    args = parser.parse_args(argv)
    curves = {
        "language_model": columns(read_train_log(args.run / "train.log")),
        "image_tokenizer": columns([json.loads(line) for line in _lines(args.image_tokenizer / "log.jsonl")]),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "curves.json").write_text(json.dumps(curves) + "\n")
    draw(curves, args.out / "curves.png")
    return curves


def read_train_log(path: Path) -> list[dict[str, float]]:
    """The logged steps. Steps that a run took again after it was stopped count once, as taken last."""
    steps: dict[int, dict[str, float]] = {}
    for line in _lines(path):
        if found := STEP.match(line):
            pairs = (pair.rpartition(":") for pair in found[2].split())
            steps[int(found[1])] = current_names({name: float(value) for name, _, value in pairs}, LOG_NAMES)
    return [{"step": step, **steps[step]} for step in sorted(steps)]


def columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Rows -> columns of those quantities that every row has, to six digits."""
    names = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
    return {name: [float(f"{row[name]:.6g}") for row in rows] for name in names}


def draw(curves: Curves, path: Path) -> None:
    import matplotlib.pyplot as plt  # slow to load

    figure, axes = plt.subplots(2, 3, figsize=(15, 7), layout="constrained")
    for axis, (training, name, title) in zip(axes.flat, PANELS, strict=True):
        known = curves[training]
        if name in known:
            # The loss of reading is 0 where a batch has no picture.
            shown = [place for place, value in enumerate(known[name]) if value or name != "auxiliary_loss"]
            steps, values = ([known[column][place] for place in shown] for column in ("step", name))
            if name.endswith("loss") and len(values) >= SMOOTH:
                axis.plot(steps, values, color="0.8", linewidth=0.7)
                steps, values = steps[SMOOTH - 1 :], np.convolve(values, np.full(SMOOTH, 1 / SMOOTH), mode="valid")
                axis.set_ylim(0.9 * min(values), 1.1 * float(np.quantile(values, 0.9)))
            axis.plot(steps, values, color="C0")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise ConfigError(f"there is no {path}; give the output folder of a training.")
    return path.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    main()

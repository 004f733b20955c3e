"""python eval/cookbook.py --work DIR [--only NAME ...] [--seeds N] [--steps N] [--write FILE.md] [KEY=VALUE ...]

The ablations of Kyvo's paper (https://arxiv.org/abs/2506.08002, sections 3 to 5) at small scale: each run is the recipe
with one thing changed, on ray-traced CLEVR scenes of a few objects, and takes half a minute on two CPU cores.

Budget and recipe are configs/cookbook.yaml, of which KEY=VALUE changes anything: `train.batch_size=8`. DIR keeps the
data, coded once, and a line of `runs.jsonl` for each finished run; started again with the same settings, the program
goes on where it was stopped, and runs that several ablations share are made once. All ablations get their first seed
before any gets its second. `--tables` makes no runs. `--write` puts the tables between the markers of a Markdown file,
and plots into `images/` beside it.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ablations.arms import ABLATIONS, FIGURES, Arm
from ablations.runs import MINI, ROOT, Cookbook
from ablations.tables import plot, table, write_into
from omegaconf import OmegaConf

from kyvo.errors import KyvoError


def main(argv: list[str] | None = None) -> dict[str, str]:
    """Makes the runs that are missing; returns and prints the tables by ablation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and finished runs")
    parser.add_argument("--only", nargs="+", choices=list(ABLATIONS), metavar="NAME", help=", ".join(ABLATIONS))
    parser.add_argument("--seeds", type=int, default=2, help="runs of each arm")
    parser.add_argument("--steps", type=int, help="of each run, in place of the config's train.max_steps")
    parser.add_argument("--image-tokenizer", type=Path, default=MINI, help="a folder with image_tokenizer.safetensors")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "cookbook.yaml")
    parser.add_argument("--tables", action="store_true", help="make no runs; tables of those there are")
    parser.add_argument("--write", type=Path, help="a Markdown file with markers, such as docs/cookbook.md")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the config: train.batch_size=8")
    args = parser.parse_intermixed_args(argv)
    if args.seeds < 1:
        parser.error(f"--seeds is {args.seeds}; at least 1 is needed.")

    steps = [] if args.steps is None else [f"train.max_steps={args.steps}"]
    cfg = OmegaConf.merge(OmegaConf.load(args.config), OmegaConf.from_dotlist([*args.overrides, *steps]))
    cookbook = Cookbook(args.work, args.image_tokenizer, cfg)  # type: ignore[arg-type]
    chosen = {name: ABLATIONS[name] for name in args.only or ABLATIONS}
    arms = list(dict.fromkeys(arm for ablation in chosen.values() for arm in ablation.arms))
    if not args.tables:
        make_runs(cookbook, arms, range(args.seeds))

    found = {arm: [run for seed in range(args.seeds) if (run := cookbook.found(arm, seed))] for arm in arms}
    tables = {name: table(ablation, found) for name, ablation in chosen.items()}
    for name, text in tables.items():
        print(f"## {ABLATIONS[name].title}\n\n{text}\n")
    if args.write:
        for name, ablation in chosen.items():
            plot(ablation, found, args.write.parent / "images" / f"cookbook_{name}.png")
        blocks = {
            name: f"{text}\n\n![{ABLATIONS[name].title}](images/cookbook_{name}.png)" for name, text in tables.items()
        }
        write_into(args.write, blocks)
    return tables


def make_runs(cookbook: Cookbook, arms: Sequence[Arm], seeds: Iterable[int]) -> None:
    """Those that are not there yet."""
    cookbook.work.mkdir(parents=True, exist_ok=True)
    missing = [(arm, seed) for seed in seeds for arm in arms if cookbook.found(arm, seed) is None]
    for number, (arm, seed) in enumerate(missing, 1):
        line = cookbook.run(arm, seed)
        figures = ", ".join(f"{name} {line['figures'][name]:.4g}" for name in FIGURES if name in line["figures"])
        seconds = sum(line["seconds"].values())
        print(f"[{number}/{len(missing)}] {arm}, seed {seed}: {figures}; {seconds:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KyvoError as error:
        sys.exit(f"cookbook: {error}")

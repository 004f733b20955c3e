"""python eval/scenes.py --data data/scenes_test --method scenegen --method independent --model my_scenes --out OUT

Scenes of shapes from one picture with masks, by several methods on the same held-out set of `kyvo data scenes`: CD-S,
F-S, CD-O, F-O, IoU-B, collisions, re-rendered pictures, seconds and memory, by number of objects and by occlusion. The
protocol is that of kyvo/evaluation/generated_scenes.py. OUT gets `<method>.json` in the form of all our results,
`<method>.png` with some scenes, and `table.md`.

`--objects` is the generator of objects, `--model` the folder of the scene flows, `--language-model` that of the model
which writes tokens, `--library` the set that retrieval takes from. Tokens have two more figures, found without masks
(kyvo/evaluation/recognized_shapes.py). LPIPS, CLIP, DINO and FID need their weights. The baselines have the true
camera; the others do not. A scene without any object is listed, and the program ends with 1.
"""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tqdm import tqdm

from kyvo.api import Kyvo
from kyvo.errors import KyvoError
from kyvo.evaluation.generated_scenes import (
    FIGURES,
    MEMORY,
    PUBLISHED,
    RENDERINGS,
    TAU,
    SceneProtocol,
    scene_figures,
    score_scene,
)
from kyvo.evaluation.memory import PeakMemory
from kyvo.evaluation.perceptual import PerceptualScores, load_networks
from kyvo.evaluation.provenance import checkout_commit, machine
from kyvo.evaluation.results import Figure, Results, program_versions, save_results
from kyvo.evaluation.scene_renderings import COMPARED
from kyvo.files import write_picture, write_text
from kyvo.metrics.images import STANDARD
from kyvo.pipelines.object_source import ObjectSource
from kyvo.pipelines.scene_baselines import IndependentObjects, Retrieval
from kyvo.pipelines.scene_source import MethodName, SceneSource
from kyvo.pipelines.scenes import SceneMethod, generate_scene
from kyvo.shapes.scene_files import scene_sheet
from kyvo.shapes.scene_flow_data import SceneRows

METHODS = tuple(name.value for name in MethodName)
SHEET_ROWS = 4


def main(argv: list[str] | None = None) -> dict[str, Results]:
    """Measures, and returns the results by method."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a set of `kyvo data scenes`")
    parser.add_argument("--method", action="append", choices=METHODS, required=True)
    parser.add_argument("--model", default="mini", help="the folder of the scene flows, or a bundled one's name")
    parser.add_argument("--language-model", help="for tokens: the folder of a Kyvo model whose schema has shapes")
    parser.add_argument("--objects", default="mini", help="the generator of objects: a folder, or a bundled one's name")
    parser.add_argument("--library", type=Path, help="for retrieval: a set of `kyvo data objects`")
    parser.add_argument("--library-count", type=int, help="its first rows alone")
    parser.add_argument("--geometry", type=Path, help="for flows that were trained with it: a local folder of VGGT")
    parser.add_argument("--limit", type=int, help="the first scenes alone")
    parser.add_argument("--alignment", default="icp", choices=("none", "icp", "robust-icp"))
    parser.add_argument("--points", type=int, default=SceneProtocol.num_points, help="on each object's surface")
    parser.add_argument("--seed", type=int, default=0, help="of the methods and of the intervals")
    parser.add_argument("--lpips-trunk", type=Path, help="torchvision's state dict of LPIPS' network")
    parser.add_argument("--lpips-heads", type=Path, help="lpips' linear layers for it")
    parser.add_argument("--lpips-net", default="alex", choices=("alex", "vgg"))
    parser.add_argument("--clip", type=Path, help="CLIP's folder, as transformers writes it")
    parser.add_argument("--dino", type=Path, help="DINO's folder, as transformers writes it")
    parser.add_argument("--inception", type=Path, help="pytorch-fid's weights of Inception, for FID")
    parser.add_argument("--resolution", type=int, default=32, help="of the sets' grids")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)

    scenes = SceneRows.open([args.data], resolution=args.resolution)
    protocol = SceneProtocol(alignment=args.alignment, num_points=args.points)
    networks = load_networks(
        lpips_trunk=args.lpips_trunk,
        lpips_heads=args.lpips_heads,
        lpips_net=args.lpips_net,
        clip=args.clip,
        dino=args.dino,
        inception=args.inception,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Results] = {}
    for name, method in build_methods(args).items():
        perceptual = {ending: PerceptualScores(networks) for ending in COMPARED}
        items, excluded, sheets = measure(method, scenes, protocol, args, perceptual)
        results = Results(
            kind="generated scenes",
            protocol={
                "alignment": protocol.alignment,
                "points": protocol.num_points,
                "tau": TAU,
                "seed": args.seed,
                "renderings": STANDARD,
                **networks.sources,
            },
            figures=scene_figures(items, seed=args.seed, perceptual=perceptual) if items else [],
            versions={
                **program_versions(),
                "torch": torch.__version__,
                "commit": str(checkout_commit(Path(__file__).parent)),
                **{key: str(value) for key, value in machine().items()},
                "threads": str(torch.get_num_threads()),
            },
            inputs={
                "set": args.data.name,
                "method": name,
                "command": shlex.join(["python", "eval/scenes.py", *argv]),
            },
            items=items,
            excluded=excluded,
        )
        save_results(results, args.out / f"{name}.json")
        if sheets:
            write_picture(args.out / f"{name}.png", stacked(sheets))
        found[name] = results
    table = as_table(found)
    write_text(args.out / "table.md", table)
    print(table)
    return found


def build_methods(args: argparse.Namespace) -> dict[str, SceneMethod]:
    """The methods that are asked for, in their order; networks are loaded once."""
    source = SceneSource(
        flows=args.model,
        objects=ObjectSource(args.objects),
        library=args.library,
        resolution=args.resolution,
        library_count=args.library_count,
        geometry=args.geometry,
        recognition=None
        if args.language_model is None
        else lambda: Kyvo.from_pretrained(args.language_model).recognition,
    )
    return {name: source.get(MethodName(name)) for name in args.method}


def measure(
    method: SceneMethod,
    scenes: SceneRows,
    protocol: SceneProtocol,
    args: argparse.Namespace,
    perceptual: Mapping[str, PerceptualScores],
) -> tuple[list[dict[str, Any]], list[dict[str, str]], list[Image.Image]]:
    """Each scene's figures, what could not be made, and the pictures of some."""
    items, excluded, sheets = [], [], []
    for index in tqdm(range(min(len(scenes), args.limit or len(scenes))), desc=method.name, disable=None):
        row = scenes[index]
        chosen = replace(method, camera=row.camera) if isinstance(method, IndependentObjects | Retrieval) else method
        try:
            peak = PeakMemory()
            made = generate_scene(chosen, row.picture, seed=args.seed + index)
            memory = {MEMORY: peak.mebibytes}
            scores = memory | score_scene(made, row, protocol, resolution=args.resolution, perceptual=perceptual)
        except KyvoError as error:
            excluded.append({"key": f"scene {index}", "reason": str(error)})
            continue
        items.append({"key": f"scene {index}", "score": scores["F-S"], **scores, "warnings": list(made.warnings)})
        if len(sheets) < SHEET_ROWS:
            sheets.append(scene_sheet(made, row.picture))
    return items, excluded, sheets


def stacked(sheets: Sequence[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (sheets[0].width, sum(sheet.height for sheet in sheets)))
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height
    return whole


def as_table(found: Mapping[str, Results]) -> str:
    """Markdown: a line a method, then the papers' own figures, which are of other test sets."""
    lines: list[str] = []
    for columns in (FIGURES, (*RENDERINGS, MEMORY)):
        lines += [f"| method | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        for name, results in found.items():
            figures = {figure.name: figure for figure in results.figures}
            lines.append(f"| {name} | {' | '.join(_cell(figures.get(column)) for column in columns)} |")
        for name, values in PUBLISHED.items():
            cells = [f"{values[column]:.4f}" if column in values else "" for column in columns]
            if any(cells):
                lines.append(f"| {name} (another test set) | {' | '.join(cells)} |")
        lines.append("")
    parts = {*FIGURES, *RENDERINGS, MEMORY}
    names = dict.fromkeys(
        figure.name for results in found.values() for figure in results.figures if figure.name not in parts
    )
    lines += [f"| in part | {' | '.join(found)} |", "|---" * (len(found) + 1) + "|"]
    for name in names:
        cells = (next((_cell(item) for item in found[key].figures if item.name == name), "") for key in found)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return ""
    interval = "" if figure.low is None else f" ({figure.low:.3f} to {figure.high:.3f})"
    return f"{figure.value:.4f}{interval}"


if __name__ == "__main__":
    sys.exit(1 if any(results.excluded for results in main().values()) else 0)

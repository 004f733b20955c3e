"""python eval/shape_tokens.py --shape-tokenizer mini [--data MESHES] [--procedural N] --out OUT

How much of a shape its tokens keep: Chamfer distance and F-score at 0.05 in TRELLIS's cube (arXiv 2412.01506), PSNR of
rendered views, codes in use, and seconds; for three stages apart (kyvo/shapes/roundtrip.py): surface features alone,
the network without its codes, and the tokens.

`--data` is a folder of GLB, glTF, OBJ and PLY files. `--procedural N` draws N meshes with `--seed`, which is to be
another one than that of the training (0). OUT gets `meshes.json` and `procedural.json`, in the form of all our results,
and of each a PNG of examples. A mesh that is no good is listed and left out, and the program ends with 1.
"""

import argparse
import shlex
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from kyvo.data.meshes.assets import Asset
from kyvo.errors import ConfigError, KyvoError
from kyvo.evaluation.provenance import checkout_commit, machine
from kyvo.evaluation.results import Figure, Results, bootstrap, program_versions, save_results
from kyvo.export.sheet import contact_sheet
from kyvo.files import write_picture
from kyvo.metrics.geometry import PROTOCOLS
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.mesh import load_shape
from kyvo.shapes.pictures import TURNS, label, side_views
from kyvo.shapes.roundtrip import STAGES, VIEW_PROTOCOL, RoundTrip, StageScores, check_kind
from kyvo.shapes.scores import NUM_POINTS, TAU
from kyvo.shapes.sets import mesh_paths
from kyvo.shapes.surfaces import colored_mesh, write_shape
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.shapes.training_meshes import draw_mesh
from kyvo.tokenizers.codebook import code_use

SHEET_ROWS = 6
SHEET_SIZE = 224  # px of a picture
TITLES = ("mesh", "surface features", "network, without codes", "tokens")
PROTOCOL = {
    "geometry": f"{PROTOCOLS['trellis'].source}; {NUM_POINTS:,} points on each surface, tau {TAU}",
    "views": VIEW_PROTOCOL,
    "means": "over meshes, each as much as another",
}

Make = Callable[[], Asset]


def main(argv: list[str] | None = None) -> dict[str, Results]:
    """Measures, and returns the results by the stem of their file."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape-tokenizer", default="mini", help="a bundled tokenizer's name, or its folder")
    parser.add_argument("--data", type=Path, help="a folder of meshes")
    parser.add_argument("--procedural", type=int, default=0, help="how many meshes to draw")
    parser.add_argument("--seed", type=int, default=1, help="of the procedural meshes")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the results and the pictures")
    args = parser.parse_args(argv)

    sets: dict[str, dict[str, Make]] = {}
    if args.procedural:
        sets["procedural"] = {
            f"seed {args.seed}, {index:06}": partial(draw_mesh, seed=args.seed, index=index)
            for index in range(args.procedural)
        }
    if args.data:
        paths = mesh_paths(args.data)
        if not paths:
            raise ConfigError(f"{args.data} has no mesh (GLB, glTF, OBJ, PLY).")
        sets["meshes"] = {str(path.relative_to(args.data)): partial(load_shape, path) for path in paths}
    if not sets:
        parser.error("say what to measure on: --data MESHES, --procedural N, or both.")
    tokenizer = ShapeTokenizer.from_pretrained(args.shape_tokenizer)
    check_kind(tokenizer)
    args.out.mkdir(parents=True, exist_ok=True)

    inputs = {
        "shape_tokenizer": {"name": args.shape_tokenizer, "sha256": tokenizer.sha256},
        "command": shlex.join(["python", "eval/shape_tokens.py", *argv]),
        "seed": args.seed,
    }
    versions = {
        **program_versions(),
        **{name: version(name) for name in ("torch", "open3d", "trimesh")},
        "commit": checkout_commit(Path(__file__).parent),
        **{name: str(value) for name, value in machine().items()},
        "threads": str(torch.get_num_threads()),
    }
    found = {}
    for name, makers in sets.items():
        results, sheet = measure(makers, tokenizer, inputs={**inputs, "set": name}, versions=versions)
        save_results(results, args.out / f"{name}.json")
        if sheet:
            write_picture(args.out / f"{name}.png", sheet)
        print_results(name, results)
        found[name] = results
    return found


def measure(
    makers: Mapping[str, Make], tokenizer: ShapeTokenizer, *, inputs: dict[str, Any], versions: dict[str, Any]
) -> tuple[Results, Image.Image | None]:
    """The results over some meshes, and a picture of a few, evenly spread over their order."""
    shown = {names for names in list(makers)[:: max(1, len(makers) // SHEET_ROWS)][:SHEET_ROWS]}
    items, excluded, codes, rows = [], [], [], []
    for name, make in tqdm(makers.items(), desc=inputs["set"], disable=not sys.stderr.isatty()):
        try:
            start = time.perf_counter()
            mesh = make()
            loaded = time.perf_counter() - start
            trip = RoundTrip.of(mesh, tokenizer)
        except KyvoError as error:
            excluded.append({"key": name, "reason": str(error)})
            continue
        scores = trip.scores()
        seconds = {
            "mesh to tokens": loaded + trip.seconds["encode"],
            "tokens to GLB": trip.seconds["decode"] + seconds_to_write(trip),
        }
        items.append(
            {
                "key": name,
                "triangles": len(mesh.triangles),
                "different_codes": len(np.unique(trip.codes)),
                "stages": {stage: asdict(values) for stage, values in scores.items()},
                "seconds": {key: round(value, 3) for key, value in seconds.items()},
            }
        )
        codes.append(trip.codes)
        if name in shown:
            rows.append(sheet_row(trip, scores))
    if not items:
        raise ConfigError(f"None of the {len(makers)} meshes could be measured; the first: {excluded[0]['reason']}")

    use = code_use(np.stack(codes), tokenizer.config.n_embed)
    figures = [
        Figure(name="codes used", value=use.share_used, count=len(items)),
        Figure(name="perplexity", value=use.perplexity, count=len(items)),
    ]
    for stage in STAGES:
        for measured in ("chamfer", "distance", "f_score", "psnr", "psnr_object"):
            figures.append(mean_figure(f"{stage}: {measured}", [item["stages"][stage][measured] for item in items]))
    for part in ("mesh to tokens", "tokens to GLB"):
        times = [item["seconds"][part] for item in items]
        figures += [
            Figure(name=f"{part}, median s", value=float(np.median(times)), count=len(items)),
            Figure(name=f"{part}, longest s", value=max(times), count=len(items)),
        ]
    results = Results(
        kind="shapes",
        protocol=PROTOCOL,
        figures=figures,
        inputs=inputs,
        versions=versions,
        tables={"most frequent codes": [code for code, _ in Counter(np.concatenate(codes).tolist()).most_common(10)]},
        items=items,
        excluded=excluded,
    )
    return results, contact_sheet(rows, TITLES)


def mean_figure(name: str, values: Sequence[float]) -> Figure:
    """The mean with its interval; resampled with seed 0."""
    low, high = bootstrap(values, 0)
    return Figure(name=name, value=float(np.mean(values)), low=low, high=high, count=len(values))


def seconds_to_write(trip: RoundTrip) -> float:
    """From a decoded latent to its GLB on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_shape(colored_mesh(extract_mesh(trip.latents["tokens"])), Path(folder) / "shape.glb")
        return time.perf_counter() - start


def sheet_row(trip: RoundTrip, scores: Mapping[str, StageScores]) -> list[Image.Image]:
    """One view of the mesh and of each stage."""
    row = [side_views(trip.mesh, turns=TURNS[:1], size=SHEET_SIZE)[0]]
    label(row[0], trip.mesh.name)
    for stage, mesh in trip.meshes().items():
        (picture,) = side_views(mesh, turns=TURNS[:1], size=SHEET_SIZE)
        label(picture, f"F-score {scores[stage].f_score:.3f}, {scores[stage].psnr:.1f} dB")
        row.append(picture)
    return row


def print_results(name: str, results: Results) -> None:
    print(f"{name}: {len(results.items)} meshes, {len(results.excluded)} left out")
    for figure in results.figures:
        interval = "" if figure.low is None else f"  ({figure.low:.4g} to {figure.high:.4g})"
        print(f"  {figure.name:<28} {figure.value:.4g}{interval}")
    for row in results.excluded:
        print(f"left out: {row['key']}: {row['reason']}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(1 if any(results.excluded for results in main().values()) else 0)

"""python eval/in_domain.py --images DIR --photos DIR DIR --meshes DIR [--model mini] [--out FOLDER]

Fits and measures how a model tells pictures that it knows from others, and writes `in_domain.json` and `exposure.json`
into the model folder (or --out), where `Kyvo.from_pretrained` reads them.

`--images` is a folder of real CLEVR pictures: every second one is fitted on, the others are measured on. `--photos`
are two folders, one to fit on and one to measure on; parts are cut out of each photograph, too. Meshes (.glb) are drawn
on a floor, one half of the files in either part. All else is drawn here: ray-traced scenes, ordinary faults of the real
pictures, pictures turned or inverted, and `kyvo.data.out_of_domain_pictures`, whose kinds differ between the parts.
Pictures with ordinary faults count as known when the weights are fitted; no figure but their own counts them.
Pictures near to CLEVR's (mirrored, red and blue exchanged, a piece of a photograph pasted in) are measured only: but
for its lamps, a mirrored CLEVR picture shows such a scene.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata
from tqdm import tqdm

from kyvo.api import Kyvo
from kyvo.data.clevr.sampling import render_scenes, sample_scenes
from kyvo.data.corruptions import CORRUPTIONS
from kyvo.data.meshes.assets import Asset, load_asset
from kyvo.data.meshes.mesh_parts import AssetError
from kyvo.data.meshes.mesh_renderer import Environment, PlacedAsset, render
from kyvo.data.out_of_domain_pictures import FIT_KINDS, TEST_KINDS
from kyvo.evaluation.provenance import checkout_commit
from kyvo.generation.exposure import Exposure
from kyvo.generation.in_domain import InDomain, gather
from kyvo.pipelines.recognition import Recognition
from kyvo.scene.schema import clevr_camera
from kyvo.tokenizers.image import fit
from kyvo.tokenizers.pictures import read_picture

KNOWN, FAULT, OTHER, NEAR = "known", "fault", "other", "near"
BATCH = 32
SEEDS = {"fit": 7_300_001, "test": 7_400_001}  # of scenes that no training has seen
GRAY = Environment(floor=(0.5, 0.5, 0.5), horizon=(0.5, 0.5, 0.5), zenith=(0.4, 0.4, 0.4))  # a room like CLEVR's
TURNS = {
    "upside down": lambda picture: picture[::-1, ::-1],
    "a quarter turned": lambda picture: picture.swapaxes(0, 1)[::-1],
    "inverted": lambda picture: 255 - picture,
}
CHANGES = {
    "mirrored": lambda picture: picture[:, ::-1],
    "red and blue exchanged": lambda picture: picture[..., ::-1],
}
REAL = "real CLEVR pictures"
PHOTOS = ("photographs", "parts of photographs")


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """A picture, and what it is."""

    kind: str
    label: str  # KNOWN, FAULT or OTHER
    picture: np.ndarray  # uint8, at the model's size


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Fits, measures and writes; returns what in_domain.json says besides weights and threshold."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="a bundled model's name, or a model folder")
    parser.add_argument("--images", type=Path, required=True, help="a folder of real CLEVR pictures")
    parser.add_argument("--photos", type=Path, nargs=2, required=True, help="photographs to fit on, and to measure on")
    parser.add_argument("--meshes", type=Path, required=True, help="a folder of .glb files")
    parser.add_argument("--count", type=int, default=8, help="pictures of each kind that is drawn")
    parser.add_argument("--scenes", type=int, default=80, help="ray-traced scenes of each part")
    parser.add_argument("--renderings", type=int, default=12, help="of the model itself, measured only")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, help="another folder for the two files than the model's")
    args = parser.parse_args(argv)

    model = Kyvo.from_pretrained(args.model, device=args.device)
    config = model.processor.image.config
    parts = {
        part: [
            Sample(kind=kind, label=label, picture=fit(np.ascontiguousarray(picture), config.width, config.height))
            for kind, label, picture in draw_part(args, part)
        ]
        for part in SEEDS
    }
    scenes = sample_scenes(range(args.renderings), seed=SEEDS["test"] + 1, width=config.width, height=config.height)
    for picture in model.render(scenes, closed_loop=False):
        parts["test"].append(Sample(kind="the model's own renderings", label=KNOWN, picture=picture))

    plain = [sample.picture for sample in parts["fit"] if sample.label == KNOWN]
    exposure = Exposure.fit(plain)
    recognition = Recognition(model.language_model, exposure=exposure)
    evidence = {part: gather_all(recognition, model, samples) for part, samples in parts.items()}
    in_domain = InDomain.fit(evidence["fit"], [sample.label != OTHER for sample in parts["fit"]])
    about = {
        "fitted_on": count(parts["fit"]),
        "test": judge(in_domain, parts["test"], evidence["test"]),
        "command": shlex.join(["python", "eval/in_domain.py", *argv]),
        "commit": checkout_commit(Path(__file__).parent),
    }
    folder = args.out or Path(model.model.name_or_path)
    folder.mkdir(parents=True, exist_ok=True)
    in_domain.save(folder, about)
    exposure.save(
        folder, {"fitted_on": f"{len(plain)} pictures: {REAL} and ray-traced scenes", "command": about["command"]}
    )
    print(json.dumps(about, indent=1))
    return about


def draw_part(args: argparse.Namespace, part: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """Kinds, labels and pictures of "fit" or "test"."""
    second = part == "test"
    chance = np.random.default_rng(SEEDS[part])
    real = [read_picture(path) for path in sorted(args.images.glob("*.png"))[int(second) :: 2]]
    scenes = sample_scenes(range(args.scenes), seed=SEEDS[part], width=120, height=80)
    traced = list(render_scenes(scenes, width=120, height=80))
    yield from ((REAL, KNOWN, picture) for picture in real)
    yield from (("ray-traced scenes", KNOWN, picture) for picture in traced)
    pictures = cycle(real)
    for name, spoil in CORRUPTIONS.items():
        yield from ((name, FAULT, spoil(next(pictures))) for _ in range(args.count))
    for name, turn in TURNS.items():
        yield from ((f"CLEVR pictures, {name}", OTHER, turn(next(pictures))) for _ in range(args.count))
    for name, draw in (TEST_KINDS if second else FIT_KINDS).items():
        yield from ((name, OTHER, draw(chance)) for _ in range(args.count))
    photos = [read_picture(path) for path in sorted(args.photos[int(second)].rglob("*")) if path.is_file()]
    if second:
        yield from draw_near(pictures, cycle(photos), args.count)
    for photo in photos:
        yield PHOTOS[0], OTHER, photo
        yield from ((PHOTOS[1], OTHER, picture) for picture in cut_out(photo, 4, chance))
    yield from (("meshes on a floor", OTHER, picture) for picture in draw_meshes(args, second, chance))


def draw_near(
    pictures: Iterator[np.ndarray], photos: Iterator[np.ndarray], number: int
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Pictures near to CLEVR's; a pasted piece is round and a quarter of the picture wide."""
    for name, change in CHANGES.items():
        yield from ((f"CLEVR pictures, {name}", NEAR, change(next(pictures))) for _ in range(number))
    for _ in range(number):
        picture = next(pictures).copy()
        height, width = picture.shape[:2]
        size = min(width // 4, height)
        inside = np.hypot(*(np.mgrid[:size, :size] * 2 / size - 1)) < 1
        top, left = (height - size) // 2, width // 3
        picture[top : top + size, left : left + size][inside] = fit(next(photos), size, size)[inside]
        yield "CLEVR pictures, a piece of a photograph in them", NEAR, picture


def cut_out(photo: np.ndarray, number: int, chance: np.random.Generator) -> Iterator[np.ndarray]:
    """Parts of a photograph in the shape of CLEVR's pictures."""
    height, width = photo.shape[:2]
    for _ in range(number):
        columns = int(width * chance.uniform(0.35, 0.9))
        rows = min(columns * 2 // 3, height)
        top, left = chance.integers(0, height - rows + 1), chance.integers(0, width - columns + 1)
        yield photo[top : top + rows, left : left + columns]


def draw_meshes(args: argparse.Namespace, second: bool, chance: np.random.Generator) -> Iterator[np.ndarray]:
    """One to four meshes on a floor, seen by CLEVR's camera; half of the pictures in a room like CLEVR's."""
    files = chance.permutation(sorted(map(str, args.meshes.glob("*.glb")))[int(second) :: 2]).tolist()
    camera = clevr_camera(240, 160)
    for number in range(args.count):
        placed = []
        for _ in range(chance.integers(1, 5)):
            asset = _sized(Path(files.pop()), chance.uniform(1.0, 2.2))
            if asset is not None:
                x, y = chance.uniform(-2, 2, 2).tolist()
                turn = float(chance.uniform(0, 6.28))
                placed.append(PlacedAsset(asset=asset, location=(x, y, asset.extent[2] / 2), pose=(0.0, 0.0, turn)))
        yield render(placed, camera=camera, setting=GRAY if number % 2 else Environment())


def _sized(path: Path, longest: float) -> Asset | None:
    """A mesh with this longest side; None where it is no mesh to draw."""
    try:
        extent = max(load_asset(path, category="mesh").extent)
        return load_asset(path, category="mesh", scale=longest / extent)
    except AssetError:
        return None


def gather_all(recognition: Recognition, model: Kyvo, samples: Sequence[Sample]) -> np.ndarray:
    """The evidence on each picture [samples, evidence], as the pipeline's stages find it."""
    rows = []
    for start in tqdm(range(0, len(samples), BATCH), unit="batch", disable=None):
        run = model.run()
        fitted = recognition.expose(recognition.read([one.picture for one in samples[start : start + BATCH]]))
        pictures = [one.pixels for one in fitted]
        codes, code_errors = recognition.encode(pictures, run)
        found = [one.scene for one in recognition.decode(codes, run, last=True) if one.scene is not None]
        rows.append(gather(pictures, code_errors, recognition.refine(found, pictures, run)))
    return np.concatenate(rows)


def count(samples: Sequence[Sample]) -> dict[str, int]:
    """How many there are of each kind."""
    return {kind: sum(one.kind == kind for one in samples) for kind in dict.fromkeys(one.kind for one in samples)}


def judge(in_domain: InDomain, samples: Sequence[Sample], evidence: np.ndarray) -> dict[str, Any]:
    """How well the score tells the pictures apart: areas under the ROC, and each kind's share that is flagged."""
    scores = np.array(in_domain.scores(evidence))
    kinds, labels = np.array([one.kind for one in samples]), np.array([one.label for one in samples])
    flagged = scores < in_domain.threshold
    photos = np.isin(kinds, PHOTOS)
    return {
        "area_under_roc": {
            "real CLEVR pictures against others": area_under_roc(scores[kinds == REAL], scores[labels == OTHER]),
            "all known against others": area_under_roc(scores[labels == KNOWN], scores[labels == OTHER]),
        },
        "flagged": {
            REAL: round(float(flagged[kinds == REAL].mean()), 4),
            "photographs and their parts": round(float(flagged[photos].mean()), 4),
            "others": round(float(flagged[labels == OTHER].mean()), 4),
            "ordinary faults": round(float(flagged[labels == FAULT].mean()), 4),
        },
        "kinds": {
            kind: {
                "pictures": int((kinds == kind).sum()),
                "flagged": int(flagged[kinds == kind].sum()),
                "scores": [round(float(value), 4) for value in np.percentile(scores[kinds == kind], (0, 50, 100))],
            }
            for kind in count(samples)
        },
    }


def area_under_roc(known: np.ndarray, others: np.ndarray) -> float:
    """The chance that a known picture scores higher than another one; ties count half."""
    ranks = rankdata(np.concatenate([known, others]))[: len(known)]
    return round(float((ranks.sum() - len(known) * (len(known) + 1) / 2) / (len(known) * len(others))), 4)


if __name__ == "__main__":
    main()

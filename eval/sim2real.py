"""python eval/sim2real.py --clevr scenes.json --images DIR [--renderers raytracer blender] [--out FILE] [--sheet PNG]

How like CLEVR's own pictures ours are: CLEVR's scenes are rendered again and compared with the real pictures.

`--clevr` is a file of scenes in CLEVR's format, whose `image_filename`s are looked up in `--images`. Where CLEVR's
jittered camera stood is not in its files, so that is fitted to each scene's `pixel_coords`; nothing else is fitted, and
the lamps, which were jittered too and cannot be read off, stand at their means. Real pictures are reduced by area.
The renderers' constants did come from real pictures, and CONSTANTS says which: figures over those are in-sample.
"""

import argparse
import hashlib
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.optimize import least_squares
from tqdm import tqdm

import kyvo
from kyvo.data.clevr.sampling import RENDERERS, render_scenes
from kyvo.errors import SceneError
from kyvo.export.sheet import contact_sheet
from kyvo.files import write_picture, write_plain_json
from kyvo.metrics.images import psnr, ssim
from kyvo.scene.clevr import load_clevr
from kyvo.scene.scene import Camera, Scene
from kyvo.scene.schema import CLEVR_CAMERA, clevr_camera
from kyvo.tokenizers.pictures import read_picture

PROTOCOL = (
    "camera location fitted to pixel_coords (whole pixels, depth), everything else as in the scene file, lamps at "
    "their means; real pictures reduced by area; PSNR over all pixels and channels, SSIM with a Gaussian window of 11 "
    "and sigma 1.5 on each channel; means over pictures"
)
CONSTANTS = {
    "raytracer": "brightness was fitted to all 60 pictures of clevr_pairs_scenes.json: in-sample on them",
    "blender": "brightness was fitted to seven of the first ten pictures of that file: out of sample on the rest",
}
DEPTH_WEIGHT = 100.0  # px per unit: pixels are whole numbers, depths are exact
WORST_FIT = 1.5  # px
SHEET_SCENES = 6
BATCH = 10  # scenes rendered between two steps of the bar


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """One renderer at one size. Lists are in the order of the scenes."""

    renderer: str
    width: int  # px
    height: int
    psnr: float  # dB, mean over pictures
    ssim: float
    seconds_per_picture: float
    psnr_by_picture: list[float]
    ssim_by_picture: list[float]


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Compares and returns what `--out` holds."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clevr", type=Path, required=True, help="a file of scenes in CLEVR's format")
    parser.add_argument("--images", type=Path, required=True, help="the folder of CLEVR's pictures")
    parser.add_argument("--renderers", nargs="+", choices=RENDERERS, default=["raytracer"])
    parser.add_argument("--widths", nargs="+", type=int, default=[128, 256], help="px; heights follow the pictures'")
    parser.add_argument("--samples", type=int, help="as the renderer counts them; its default unless given")
    parser.add_argument("--limit", type=int, help="take the first N scenes only")
    parser.add_argument("--out", type=Path, help="a JSON file for the results")
    parser.add_argument("--sheet", type=Path, help=f"a PNG of the first {SHEET_SCENES} pictures at the largest width")
    args = parser.parse_args(argv)
    if min(args.widths) < 1 or any(value is not None and value < 1 for value in (args.samples, args.limit)):
        parser.error("--widths, --samples and --limit must be at least 1.")

    scenes, real = read_pairs(args.clevr, args.images, args.limit)
    first: dict[str, list[np.ndarray]] = {}  # what the sheet shows
    similarities = []
    for width in sorted(args.widths):
        targets = [reduced(picture, width) for picture in real]
        first["CLEVR"] = targets[:SHEET_SCENES]
        for renderer in args.renderers:
            similarity, ours = compare(scenes, targets, renderer=renderer, samples=args.samples)
            similarities.append(similarity)
            first[renderer] = ours[:SHEET_SCENES]
            print(_line(similarity), flush=True)
    results = {
        "similarity": [asdict(similarity) for similarity in similarities],
        "constants": {renderer: CONSTANTS[renderer] for renderer in args.renderers},
        "protocol": PROTOCOL,
        "command": shlex.join(["python", "eval/sim2real.py", *argv]),
        "data": {"scenes": args.clevr.name, "sha256": hashlib.sha256(args.clevr.read_bytes()).hexdigest()},
        "images": [scene.image for scene in scenes],
        "versions": {"python": platform.python_version(), "kyvo": kyvo.__version__}
        | _versions("torch", "numpy", "bpy"),
    }
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_plain_json(args.out, results)
    if args.sheet:
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
        rows = [[Image.fromarray(picture) for picture in row] for row in zip(*first.values(), strict=True)]
        write_picture(args.sheet, contact_sheet(rows, list(first)))
    print("\n".join(f"{renderer}: {CONSTANTS[renderer]}" for renderer in args.renderers))
    return results


def read_pairs(scenes: Path, images: Path, limit: int | None) -> tuple[list[Scene], list[np.ndarray]]:
    """CLEVR's scenes with their fitted cameras, and their pictures. Raises SceneError where a picture is missing."""
    found = load_clevr(scenes)[:limit]
    missing = [scene.image for scene in found if scene.image is None or not (images / scene.image).is_file()]
    if missing or not found:
        raise SceneError(
            f"{len(missing)} of the {len(found)} scenes in {scenes} have no picture in {images}"
            + (f", the first is {missing[0]}. " if missing else ". ")
            + "Give the folder of their pictures, or a file of scenes that have one."
        )
    pictures = [read_picture(images / str(scene.image)) for scene in found]
    cameras = [
        fit_camera(scene, width=picture.shape[1], height=picture.shape[0])
        for scene, picture in zip(found, pictures, strict=True)
    ]
    return [replace(scene, camera=camera) for scene, camera in zip(found, cameras, strict=True)], pictures


def fit_camera(scene: Scene, *, width: int, height: int) -> Camera:
    """The camera, looking at the origin, by which the objects' centres fall on their `pixel_coords`.

    Args:
        width, height: of the picture that `pixel_coords` belong to, px.

    Raises:
        SceneError: an object has no `pixel_coords`, or no camera explains them.
    """
    places = np.array([item.location for item in scene.objects], dtype=float)
    coords = [item.extra.get("pixel_coords") for item in scene.objects]
    if not coords or None in coords:
        raise SceneError(f"{scene.image}: the camera is fitted to the objects' pixel_coords, and they are missing.")
    seen = np.array(coords, dtype=float) + np.array([0.5, 0.5, 0])  # CLEVR rounds columns and lines down

    def misses(location: np.ndarray) -> np.ndarray:
        x, y, z = location.tolist()
        return clevr_camera(width, height, (x, y, z)).project(places) - seen

    fitted = least_squares(lambda location: (misses(location) * (1, 1, DEPTH_WEIGHT)).ravel(), CLEVR_CAMERA).x
    worst = float(np.abs(misses(fitted)[:, :2]).max())
    if worst > WORST_FIT:
        raise SceneError(
            f"{scene.image}: no camera that looks at the origin explains its pixel_coords, the best is off by "
            f"{worst:.1f} px. Its picture has {width}x{height} px; are the scenes of a picture of that size?"
        )
    x, y, z = fitted.tolist()
    return clevr_camera(width, height, (x, y, z))


def reduced(picture: np.ndarray, width: int) -> np.ndarray:
    """The picture `width` px wide, by area; of its height what fills whole lines, so that nothing is stretched."""
    full_height, full_width = picture.shape[:2]
    height = full_height * width // full_width
    edge = (full_height - height * full_width / width) / 2
    box = (0, edge, full_width, full_height - edge)
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX, box=box))


def compare(
    scenes: Sequence[Scene], targets: Sequence[np.ndarray], *, renderer: str, samples: int | None = None
) -> tuple[Similarity, list[np.ndarray]]:
    """How like the targets, all of one size, the renderer's pictures are; and those pictures."""
    height, width = targets[0].shape[:2]
    ours: list[np.ndarray] = []
    start = time.perf_counter()
    for begin in tqdm(range(0, len(scenes), BATCH), desc=f"{renderer} {width} px", unit="batch", disable=None):
        part = scenes[begin : begin + BATCH]
        ours += list(render_scenes(part, width=width, height=height, samples=samples, renderer=renderer))
    seconds = time.perf_counter() - start
    noise = [psnr(a, b) for a, b in zip(ours, targets, strict=True)]
    structure = [ssim(a, b) for a, b in zip(ours, targets, strict=True)]
    similarity = Similarity(
        renderer=renderer,
        width=width,
        height=height,
        psnr=float(np.mean(noise)),
        ssim=float(np.mean(structure)),
        seconds_per_picture=seconds / len(scenes),
        psnr_by_picture=noise,
        ssim_by_picture=structure,
    )
    return similarity, ours


def _line(similarity: Similarity) -> str:
    size = f"{similarity.width}x{similarity.height}"
    return (
        f"{similarity.renderer:<10} {size:>8} px   PSNR {similarity.psnr:6.2f} dB   SSIM {similarity.ssim:.4f}   "
        f"{similarity.seconds_per_picture:.2f} s a picture, {len(similarity.psnr_by_picture)} pictures"
    )


def _versions(*names: str) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # Blender, where only the ray tracer is asked for
            continue
    return found


if __name__ == "__main__":
    main()

"""Pictures against pictures: two folders -> `Results`; whole pictures, squares around objects, and re-recognition.

A pair of two sizes, or with a file that cannot be read, is left out and listed. A prediction that is missing is too:
there is no worst L2, so the share of true pictures that were compared stands beside the figures as `coverage`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.errors import ConfigError, ImageError
from kyvo.evaluation.files import FilePairs, pair_files
from kyvo.evaluation.inputs import Items
from kyvo.evaluation.perceptual import Networks, PerceptualScores, Pixels
from kyvo.evaluation.results import Figure, Results, mean_figure
from kyvo.metrics.images import (
    RELEASED,
    STANDARD,
    l2,
    object_crops,
    psnr,
    released_l2,
    released_ssim,
    ssim,
)
from kyvo.metrics.scenes import Criterion, criterion_for, jaccard
from kyvo.scene.scene import Scene
from kyvo.scene.schema import camera_of
from kyvo.tokenizers.pictures import SUFFIXES, read_picture

Recogniser = Callable[[Sequence[Pixels]], Sequence[Scene]]


def evaluate_pictures(
    predictions: Path,
    truth: Path,
    *,
    released: bool = False,
    scenes: Items[Scene] | None = None,
    networks: Networks | None = None,
    recognise: Recogniser | None = None,
    recogniser: str = "",
    schema: str | None = None,
    seed: int = 0,
) -> Results:
    """SSIM, L2 and PSNR of pictures paired by name; with `scenes` also around each object, and re-recognised.

    Args:
        released: SSIM and L2 as the released scripts have them (grey; a true picture of another size is resized).
        scenes: what the pictures show, by name.
        networks: perceptual measures.
        recognise: any recogniser, pictures -> scenes; its Jaccard against `scenes` is the re-recognition score, which
            needs `scenes`. The score of the true pictures stands beside it: a recogniser errs on them as well.
        recogniser: its name, for the protocol.
        schema: whose criterion the scenes are compared by; by default their own.
        seed: of the bootstrap.

    Raises:
        ConfigError: one of the two is no folder, or there are no scenes to re-recognise.
        SceneError: the folders have no name in common.
        ImageError: no pair can be compared; the message gives the first reason.
    """
    if recognise is not None and scenes is None:
        raise ConfigError("the re-recognition score compares with the input scenes; pass --scenes.")
    networks = networks or Networks()
    files = pair_files(predictions, truth, suffixes=SUFFIXES)
    excluded, items, perceptual = list(files.excluded), [], PerceptualScores(networks)
    for key, (our_path, true_path) in files.pairs.items():
        try:
            ours, theirs = read_picture(our_path), read_picture(true_path)
            item = _compared(key, ours, theirs, released)
        except ImageError as error:
            excluded.append({"key": key, "reason": str(error)})
            continue
        excluded += _with_objects(item, ours, theirs, scenes)
        if recognise is not None and scenes is not None and key in scenes.items:
            found = recognise([ours, theirs])
            criterion = criterion_for(schema or scenes.items[key].schema)
            for name, scene in zip(("rerecognition", "rerecognition_truth"), found, strict=True):
                item[name] = rerecognition(scene, scenes.items[key], criterion)
        items.append(item | perceptual.add(ours, theirs))
    if not items:
        raise ImageError(
            f"{predictions} and {truth}: no pair can be compared; the first reason: {excluded[0]['reason']}"
        )
    return Results(
        kind="pictures",
        protocol=_protocol(released, scenes, networks, recogniser if recognise else None, schema),
        figures=_figures(items, files, perceptual, seed),
        inputs={**files.inputs, **({"scenes": scenes.describe()} if scenes else {})},
        tables={"equal pictures": sum(item["psnr"] is None for item in items)},
        items=items,
        excluded=excluded,
    )


def rerecognition(found: Scene, given: Scene, criterion: Criterion) -> float:
    """Jaccard of what a recogniser sees in a rendered picture against the scene it was rendered from, mean over taus.

    The paper's index (arXiv 2506.08002), as `kyvo.metrics.scenes.jaccard` has it.
    """
    return float(np.mean([jaccard(found, given, tau=tau, criterion=criterion) for tau in criterion.taus]))


def _compared(key: str, ours: Pixels, theirs: Pixels, released: bool) -> dict[str, Any]:
    measures = (released_ssim, released_l2) if released else (ssim, l2)
    similarity, error = (measure(ours, theirs) for measure in measures)
    same_size = ours.shape == theirs.shape
    decibels = psnr(ours, theirs) if same_size else None
    return {
        "key": key,
        "score": similarity,
        "ssim": similarity,
        "l2": error,
        "psnr": decibels if decibels is not None and np.isfinite(decibels) else None,
    }


def _with_objects(
    item: dict[str, Any], ours: Pixels, theirs: Pixels, scenes: Items[Scene] | None
) -> list[dict[str, str]]:
    """Adds the squares' scores to `item`; what has none, with its reason."""
    if scenes is None:
        return []
    scene = scenes.items.get(item["key"])
    if scene is None:
        why = scenes.faults.get(item["key"], "there is no scene of this name")
        return [{"key": item["key"], "reason": f"only as a whole picture: {why}"}]
    height, width = ours.shape[:2]
    camera = camera_of(scene, width, height)
    if camera is None or ours.shape != theirs.shape:
        why = "the scene has no camera" if camera is None else "its pictures have two sizes"
        return [{"key": item["key"], "reason": f"only as a whole picture: {why}"}]
    rows = []
    for square in object_crops(scene, camera):
        mine, true = square.cut(ours), square.cut(theirs)
        place = {"left": square.left, "top": square.top, "side": square.side}
        rows.append({"object": square.index, **place, "ssim": ssim(mine, true), "l2": l2(mine, true)})
    item["objects"] = rows
    lost = len(scene) - len(rows)
    return [{"key": item["key"], "reason": f"{lost} of {len(scene)} objects have no square in the picture"}] * (
        lost > 0
    )


def _figures(
    items: Sequence[Mapping[str, Any]], files: FilePairs, perceptual: PerceptualScores, seed: int
) -> list[Figure]:
    measured = ("ssim", "l2", "psnr", "lpips", "clip", "dino", "rerecognition", "rerecognition_truth")
    found = []
    for name in measured:
        values = [item[name] for item in items if item.get(name) is not None]
        if any(name in item for item in items):
            found.append(mean_figure(name.replace("_truth", " of the truth"), values, seed=seed))
    if any("objects" in item for item in items):
        # pictures are resampled, not objects: those of one picture are not independent
        with_objects = [item["objects"] for item in items if item.get("objects")]
        for name in ("ssim", "l2"):
            means = [float(np.mean([row[name] for row in rows])) for rows in with_objects]
            weights = [len(rows) for rows in with_objects]
            found.append(mean_figure(f"{name} around objects", means, seed=seed, weights=weights))
    fid = perceptual.fid()
    num_truths = files.inputs["truth"]["items"]  # type: ignore[index]
    coverage = Figure(name="coverage", value=len(items) / num_truths, count=num_truths)
    return [*found, *([fid] if fid else []), coverage]


def _protocol(
    released: bool, scenes: Items[Scene] | None, networks: Networks, recogniser: str | None, schema: str | None
) -> dict[str, Any]:
    protocol: dict[str, Any] = dict(RELEASED if released else STANDARD)
    if scenes is not None:
        protocol["objects"] = (
            "a square around each projected centre, 1.25 times its bounding sphere's diameter; SSIM and L2 in colour; "
            "a CLEVR scene without a camera takes CLEVR's without jitter"
        )
    if recogniser:
        protocol["rerecognition"] = f"{recogniser}; Jaccard in order, mean over taus" + (
            f", {schema}" if schema else ""
        )
    return protocol | {f"{name} weights": source for name, source in networks.sources.items()}

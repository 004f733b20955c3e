"""Boxes: files of detections and annotations -> `Results` with AP3D and AP2D under Omni3D's protocol.

An item of the results is a picture: its `pairs` (detection, annotation, distance of the centres in m) at an IoU of
0.25, their `ious`, its `misses` and `extras`, and the objects as `predicted` and `true`, in scene JSON; what is ignored
is among neither.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.errors import SceneError
from kyvo.evaluation.detections import read_detections, to_objects
from kyvo.evaluation.inputs import sha256_of
from kyvo.evaluation.omni3d_annotations import IGNORED, Annotations, read_annotations
from kyvo.evaluation.results import LEVEL, Figure, Results
from kyvo.metrics.average_precision import MOST, PROXIMITY, Precision, precision_2d, precision_3d
from kyvo.scene.files import object_to_json

RESAMPLES = 100  # of pictures, for the intervals
SHOWN_IOU = 0.25  # of the pairs in the items
_NOT_EVERYWHERE = ("objectron", "sunrgbd")  # sets that Omni3D evaluates near annotations only


def evaluate_boxes(
    predictions: Path, truth: Path, *, confidence: float = 0.0, proximity: bool | None = None, seed: int = 0
) -> Results:
    """AP3D and AP2D; see `kyvo.metrics.average_precision`.

    Args:
        predictions: of `read_detections`.
        truth: of `read_annotations`.
        confidence: lowest score that counts.
        proximity: only near annotations; None does as Omni3D, which does so for Objectron and SUN RGB-D.
        seed: of the bootstrap over pictures.

    Raises:
        SceneError: a file that is unusable, or `proximity` without rectangles.
    """
    known = read_annotations(truth)
    found, excluded = read_detections(predictions, known, confidence=confidence)
    if not len(known.boxes):
        why = f"; the first reason: {known.excluded[0]['key']}: {known.excluded[0]['reason']}" if known.excluded else ""
        raise SceneError(f"{truth}: no annotation has a box, so there is nothing to find{why}.")
    if known.boxes.ignored.all():
        raise SceneError(f"{truth}: all {len(known.boxes)} annotations are ignored, each for one of: {IGNORED}.")
    flat = known.has_rectangles and bool(len(found)) and bool(np.isfinite(found.rectangles).all())
    if proximity is None:
        proximity = flat and any(name in truth.name.lower() for name in _NOT_EVERYWHERE)
    if proximity and not flat:
        raise SceneError(f"{predictions}: --proximity compares rectangles, and some box has none.")
    silent = sorted(set(range(len(known.keys))) - set(found.image.tolist()))
    excluded += [{"key": known.keys[index], "reason": "counts as without boxes: there is none"} for index in silent]
    solid = precision_3d(found, known.boxes, proximity=proximity)
    plane = precision_2d(found, known.boxes, proximity=proximity) if flat else None
    figures = [_interval("AP3D", solid, len(known.keys), seed)]
    figures += [_figure(f"AP3D at {value:.2f}", solid, threshold=value) for value in (0.15, 0.25, 0.5)]
    figures += [_figure(f"AP3D {name}", solid, range_=name) for name in ("near", "medium", "far")]
    if plane is None:
        figures.append(Figure(name="AP2D", value=None))
    else:
        figures.append(_interval("AP2D", plane, len(known.keys), seed))
        figures += [_figure(f"AP2D at {value:.2f}", plane, threshold=value) for value in (0.5, 0.75, 0.95)]
        figures += [_figure(f"AP2D {name}", plane, range_=name) for name in ("small", "medium", "large")]
    by_category = (solid.by_category(), plane.by_category() if plane else {})
    return Results(
        kind="boxes",
        protocol={
            "name": "omni3d",
            "source": "https://arxiv.org/abs/2207.10660",
            "IoU": "exact volumes of oriented boxes",
            "thresholds": {"AP3D": list(solid.thresholds), "AP2D": list(plane.thresholds) if plane else None},
            "recalls": 101,
            "detections": f"the {MOST} surest a picture and category",
            "confidence": confidence,
            "proximity": f"2D IoU > {PROXIMITY}" if proximity else None,
            "ignored": IGNORED,
            "mean over": "categories with a box that is not ignored",
            "intervals": f"{RESAMPLES} resamplings of pictures",
            "frame": "camera",
            "units": "m",
            "items": f"pairs at an IoU of {SHOWN_IOU} or more; score tp / (tp + fp + fn)",
        },
        inputs={
            role: {"name": path.name, "sha256": sha256_of(path), "items": number}
            for role, path, number in (("predictions", predictions, len(found)), ("truth", truth, len(known.boxes)))
        },
        figures=figures,
        tables={
            "per category": [
                {"category": name, "AP3D": by_category[0].get(index), "AP2D": by_category[1].get(index)}
                for index, name in enumerate(known.names)
                if index in by_category[0] or index in by_category[1]
            ],
        },
        items=_items(solid, known),
        excluded=[*known.excluded, *excluded],
    )


def _interval(name: str, precision: Precision, num_images: int, seed: int) -> Figure:
    value = precision.mean()
    if math.isnan(value):
        return Figure(name=name, value=None, count=num_images)
    generator = np.random.default_rng(seed)
    drawn = [
        precision.mean(weights=np.bincount(generator.integers(num_images, size=num_images), minlength=num_images))
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanpercentile(drawn, LEVEL)
    return Figure(name=name, value=value, low=float(low), high=float(high), count=num_images)


def _figure(name: str, precision: Precision, **choice: Any) -> Figure:
    value = precision.mean(**choice)
    wanted = precision.counted_truth[precision.ranges.index(choice.get("range_", "all"))]
    return Figure(name=name, value=None if math.isnan(value) else value, count=int(wanted.sum()))


def _items(precision: Precision, known: Annotations) -> list[dict[str, Any]]:
    """What was found in each picture. Ignored annotations are none of its objects."""
    found, truth = precision.detections, precision.truth
    column = precision.thresholds.index(SHOWN_IOU)
    counted = ~precision.ignored[0, column]
    partner = precision.matched_truth[column]
    apart = np.linalg.norm(found.cuboids.center - truth.cuboids.center[partner], axis=1)
    ours, theirs = (to_objects(boxes, known.names) for boxes in (found, truth))
    rows: list[tuple[list[int], list[int]]] = [([], []) for _ in known.keys]
    for index in np.flatnonzero(counted):
        rows[found.image[index]][0].append(int(index))
    for index in np.flatnonzero(~truth.ignored):
        rows[truth.image[index]][1].append(int(index))
    items = []
    for key, (mine, true) in zip(known.keys, rows, strict=True):
        place = {index: number for number, index in enumerate(true)}
        taken = [(number, index) for number, index in enumerate(mine) if int(partner[index]) in place]
        pairs = [[number, place[int(partner[index])], float(apart[index])] for number, index in taken]
        union = len(mine) + len(true) - len(pairs)
        items.append(
            {
                "key": key,
                "score": len(pairs) / union if union else 1.0,
                "pairs": pairs,
                "ious": [float(precision.matched_iou[column, index]) for _, index in taken],
                "misses": sorted(set(range(len(true))) - {pair[1] for pair in pairs}),
                "extras": sorted(set(range(len(mine))) - {pair[0] for pair in pairs}),
                "predicted": [object_to_json(ours[index]) for index in mine],
                "true": [object_to_json(theirs[index]) for index in true],
            }
        )
    return items

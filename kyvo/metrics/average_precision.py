"""AP3D and AP2D under Omni3D's protocol (https://arxiv.org/abs/2207.10660, section 5), which is COCO's with other IoUs.

In each picture and category the 100 most confident detections, in that order, each take the true box of highest IoU, at
least the threshold, that is free; true boxes that are to be ignored come last, and what takes one counts neither way.
Precision is made falling, read at 101 recalls, and averaged over recalls, thresholds (3D: 0.05 to 0.5, 2D: 0.5 to 0.95,
by 0.05) and categories that have a true box. Ranges ignore true boxes outside them, and unmatched detections.

With `proximity`, for sets that are not annotated throughout (Objectron, SUN RGB-D), a pair also needs a 2D IoU above
0.3, and detections near no true box of their category are ignored where the picture has one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from kyvo.errors import SceneError
from kyvo.metrics.boxes import Cuboids, iou_2d, iou_3d

THRESHOLDS_3D = tuple(round(0.05 * step, 2) for step in range(1, 11))
THRESHOLDS_2D = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
RANGES_3D = {"all": (0.0, 1e5), "near": (0.0, 10.0), "medium": (10.0, 35.0), "far": (35.0, 1e5)}  # m, depth
RANGES_2D = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}  # px^2
MOST = 100  # detections a picture and category
PROXIMITY = 0.3  # 2D IoU
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """Boxes of many pictures, a row each; of the truth, or detected with a score."""

    image: Int[np.ndarray, " n"]  # index of the picture
    category: Int[np.ndarray, " n"]  # index of the category
    cuboids: Cuboids  # camera frame, m
    rectangles: Float[np.ndarray, " n 4"]  # x, y, width, height, px
    scores: Float[np.ndarray, " n"]  # of detections, higher is surer
    ignored: Bool[np.ndarray, " n"]  # of the truth

    def __len__(self) -> int:
        return len(self.image)

    def take(self, indices: np.ndarray) -> "Boxes":
        """The rows of these indices, or of this mask."""
        return Boxes(
            image=self.image[indices],
            category=self.category[indices],
            cuboids=self.cuboids.take(indices),
            rectangles=self.rectangles[indices],
            scores=self.scores[indices],
            ignored=self.ignored[indices],
        )


@dataclass(frozen=True, kw_only=True)
class Precision:
    """What the detections of one evaluation are, at each threshold and range; the figures follow from it."""

    thresholds: tuple[float, ...]
    ranges: tuple[str, ...]
    detections: Boxes  # those that counted, the surest first
    truth: Boxes
    true_positive: Bool[np.ndarray, "ranges thresholds detections"]
    ignored: Bool[np.ndarray, "ranges thresholds detections"]  # counts neither way
    counted_truth: Bool[np.ndarray, "ranges truth"]  # not ignored
    matched_truth: Int[np.ndarray, "thresholds detections"]  # row of the true box taken in the range "all"; -1: none
    matched_iou: Float[np.ndarray, "thresholds detections"]  # with it; 0: none

    def mean(self, *, range_: str = "all", threshold: float | None = None, weights: np.ndarray | None = None) -> float:
        """AP over the categories that have a true box in the range, in [0, 1]; NaN where none has.

        Args:
            range_: of `ranges`.
            threshold: of `thresholds`; None is their mean.
            weights: how often each picture counts, for the bootstrap.
        """
        values = list(self.by_category(range_=range_, threshold=threshold, weights=weights).values())
        return float(np.mean(values)) if values else float("nan")

    def by_category(
        self, *, range_: str = "all", threshold: float | None = None, weights: np.ndarray | None = None
    ) -> dict[int, float]:
        """AP of each category that has a true box in the range; arguments as in `mean`."""
        place = self.ranges.index(range_)
        columns = range(len(self.thresholds)) if threshold is None else [self.thresholds.index(threshold)]
        num_images = 1 + max(self.truth.image.max(initial=0), self.detections.image.max(initial=0))
        counts = np.ones(num_images) if weights is None else weights
        wanted = np.bincount(
            self.truth.category[self.counted_truth[place]],
            weights=counts[self.truth.image[self.counted_truth[place]]],
            minlength=1 + self.truth.category.max(initial=0),
        )
        found = {}
        for category in np.flatnonzero(wanted):
            rows = np.flatnonzero(self.detections.category == category)
            mass = counts[self.detections.image[rows]]
            curves = [
                _precision(
                    self.true_positive[place, column, rows],
                    self.ignored[place, column, rows],
                    mass,
                    wanted[category],
                )
                for column in columns
            ]
            found[int(category)] = float(np.mean(curves))
        return found


def precision_3d(detections: Boxes, truth: Boxes, *, proximity: bool = False) -> Precision:
    """Compares boxes in space."""
    return _compare(detections, truth, THRESHOLDS_3D, RANGES_3D, proximity=proximity, solid=True)


def precision_2d(detections: Boxes, truth: Boxes, *, proximity: bool = False) -> Precision:
    """Compares rectangles in the picture."""
    return _compare(detections, truth, THRESHOLDS_2D, RANGES_2D, proximity=proximity, solid=False)


def _compare(
    detections: Boxes,
    truth: Boxes,
    thresholds: Sequence[float],
    ranges: dict[str, tuple[float, float]],
    *,
    proximity: bool,
    solid: bool,
) -> Precision:
    if not len(truth):
        raise SceneError("the truth has no box; there is nothing to find.")
    detections = _surest(detections)
    rows, columns = _pairs(detections, truth)
    flat = iou_2d(detections.rectangles[rows], truth.rectangles[columns]) if proximity or not solid else None
    if solid:
        iou = iou_3d(detections.cuboids.take(rows), truth.cuboids.take(columns))
    else:
        assert flat is not None
        iou = flat
    lonely = np.zeros(len(detections), dtype=bool)
    if proximity:
        assert flat is not None
        close = flat > PROXIMITY
        lonely[rows] = True  # where the picture has its category ...
        lonely[rows[close]] = False  # ... and no true box is near
        rows, columns, iou = rows[close], columns[close], iou[close]
    limits = np.array(list(ranges.values()))
    sizes = [boxes.cuboids.center[:, 2] if solid else boxes.rectangles[:, 2:].prod(1) for boxes in (detections, truth)]
    outside, true_outside = ((size < limits[:, :1]) | (size > limits[:, 1:]) for size in sizes)
    ignored = true_outside | truth.ignored
    partner = _match(rows, columns, iou, ignored, np.asarray(thresholds), len(detections))
    taken = partner >= 0
    order = np.lexsort((columns, rows))
    asked = np.arange(len(detections)) * len(truth) + partner[0]
    place = np.searchsorted((rows * len(truth) + columns)[order], asked)
    overlaps = np.append(iou[order], 0.0)[np.minimum(place, len(order))]
    takes_ignored = taken & ignored[np.arange(len(limits))[:, None, None], partner]
    return Precision(
        thresholds=tuple(thresholds),
        ranges=tuple(ranges),
        detections=detections,
        truth=truth,
        true_positive=taken & ~takes_ignored,
        ignored=takes_ignored | (~taken & outside[:, None]) | lonely,
        counted_truth=~ignored,
        matched_truth=partner[0],
        matched_iou=np.where(taken[0], overlaps, 0.0),
    )


def _surest(detections: Boxes) -> Boxes:
    """The 100 surest of each picture and category, all sorted by score; equal scores keep their order by picture."""
    by_image = np.argsort(detections.image, kind="stable")
    detections = detections.take(by_image[np.argsort(-detections.scores[by_image], kind="stable")])
    groups = _groups(detections)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return detections.take(rank < MOST)


def _groups(boxes: Boxes) -> np.ndarray:
    """A number for each picture and category."""
    return boxes.image.astype(np.int64) << 32 | boxes.category


def _pairs(detections: Boxes, truth: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """Rows of detections and of true boxes of the same picture and category; detections in order."""
    ours, theirs = _groups(detections), _groups(truth)
    order = np.argsort(theirs, kind="stable")
    first, last = (np.searchsorted(theirs[order], ours, side=side) for side in ("left", "right"))
    count = last - first
    rows = np.repeat(np.arange(len(ours)), count)
    step = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    return rows, order[np.repeat(first, count) + step]


def _match(
    rows: np.ndarray,
    columns: np.ndarray,
    iou: np.ndarray,
    ignored: np.ndarray,
    thresholds: np.ndarray,
    num_detections: int,
) -> np.ndarray:
    """[ranges, thresholds, detections]: the row of the true box that each detection takes, or -1."""
    partner = np.full((len(ignored), len(thresholds), num_detections), -1)
    free = np.ones((*partner.shape[:2], ignored.shape[1]), dtype=bool)
    # a threshold of 1 is reached by boxes that are equal up to rounding
    reached = np.minimum(thresholds, 1 - 1e-10)[:, None]
    kept = np.flatnonzero(iou >= reached[0])
    starts = np.flatnonzero(np.diff(rows[kept], prepend=-1))
    for start, end in zip(starts, np.append(starts, len(kept))[1:], strict=True):
        members = kept[start:end]
        truth, overlap = columns[members], iou[members]
        may = free[:, :, truth] & (overlap >= reached)  # ranges thresholds candidates
        # wanted ones before ignored ones, then the highest IoU; among equals the last, as COCO's code does
        value = np.where(may, overlap + 2.0 * ~ignored[:, None, truth], -1.0)[..., ::-1]
        choice = len(members) - 1 - value.argmax(-1)
        found = may.any(-1)
        taken = truth[choice]
        partner[:, :, rows[members[0]]] = np.where(found, taken, -1)
        i, j = np.nonzero(found)
        free[i, j, taken[i, j]] = False
    return partner


def _precision(hit: np.ndarray, void: np.ndarray, mass: np.ndarray, wanted: float) -> float:
    """The mean over recalls of the precision made falling. Detections stand by falling score."""
    right = np.cumsum(mass * (hit & ~void))
    wrong = np.cumsum(mass * (~hit & ~void))
    precision = right / np.maximum(right + wrong, np.spacing(1))
    precision = np.r_[np.maximum.accumulate(precision[::-1])[::-1], 0.0]
    reached = np.searchsorted(right / wanted, _RECALLS, side="left")
    return float(precision[reached].mean())

"""Shape metrics: Chamfer distance and F-score of point clouds, IoU of boxes, and collisions.

Clouds are float [points, 3] of one frame and unit; `kyvo.metrics.alignment` puts one onto the other. Figures of two
protocols do not compare: the frame gives tau and the Chamfer distance their meaning, and papers differ in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from kyvo.errors import SceneError

GRID = 64  # voxels along the scene's longest side (SceneGen, the collision term of its training loss)
SCENEGEN_EDGE = 0.95  # its script maps each axis of an object to [-0.95, 0.95]

Points = Float[np.ndarray, "_ 3"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What a paper fixes before it compares; `source` says where it says so, and what it does not say."""

    name: str
    source: str
    num_points: int  # drawn on each object's surface
    tau: float  # F-score's distance, exclusive, in the frame's unit
    alignment: str  # of the scene, and of each object
    scene_frame: str | None  # see `to_frame`; None: the protocol measures objects only
    object_frame: str


PROTOCOLS: Mapping[str, Protocol] = {
    "scenegen": Protocol(
        name="scenegen",
        source="SceneGen, arXiv 2508.15769, experiments, and its released `evalscene`: scenes as they are (in "
        "[-1, 1]^3, set on the query asset), objects stretched to a cube, FilterReg for both (its variance is fixed in "
        "the script, and shrinks here)",
        num_points=20480,
        tau=0.1,
        alignment="filterreg",
        scene_frame="given",
        object_frame="stretched",
    ),
    "i-scene": Protocol(
        name="i-scene",
        source="I-Scene, arXiv 2512.13683, supplement on robust ICP, tau 0.1; the number of points and the objects' "
        "frame are SceneGen's and ours",
        num_points=20480,
        tau=0.1,
        alignment="robust-icp",
        scene_frame="truth",
        object_frame="own",
    ),
    "trellis": Protocol(
        name="trellis",
        source="TRELLIS, arXiv 2412.01506: single assets in its cube of side 1, not aligned; the number of points and "
        "tau are ours",
        num_points=100_000,
        tau=0.05,
        alignment="none",
        scene_frame=None,
        object_frame="unit",
    ),
}


@dataclass(frozen=True, kw_only=True)
class CloudScores:
    """Two clouds compared; distances are Euclidean, to the nearest point of the other cloud."""

    chamfer: float  # mean squared distance predicted -> truth, plus the same truth -> predicted (SceneGen's CD)
    distance: float  # mean distance, averaged over the two directions
    precision: float  # share of predicted points nearer than tau
    recall: float  # share of true points nearer than tau
    f_score: float  # harmonic mean of the two, in [0, 1] (Knapitsch et al., 2017, equations 2 to 4)


def compare_clouds(predicted: Points, truth: Points, *, tau: float) -> CloudScores:
    """Chamfer distance and F-score of two clouds; symmetric but for precision and recall.

    Args:
        tau: distance below which (strictly) a point counts as found.

    Raises:
        SceneError: a cloud is empty or not finite.
    """
    for cloud, name in ((predicted, "predicted"), (truth, "true")):
        check_cloud(cloud, name)
    there, back = nearest_distances(predicted, truth), nearest_distances(truth, predicted)
    precision, recall = float((there < tau).mean()), float((back < tau).mean())
    return CloudScores(
        chamfer=float((there**2).mean() + (back**2).mean()),
        distance=float(there.mean() + back.mean()) / 2,
        precision=precision,
        recall=recall,
        f_score=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    )


def nearest_distances(points: Points, others: Points) -> Float[np.ndarray, " _"]:
    """Of each of `points`, the distance to the nearest of `others`."""
    distances, _ = KDTree(others).query(points, workers=-1)
    return distances


def box_iou(predicted: Points, truth: Points) -> float:
    """Volume IoU of the two clouds' axis-aligned boxes, in [0, 1] (SceneGen's IoU-B, for one object).

    Two flat boxes, which have no volume, score 1 where they are equal and else 0.
    """
    low, high = (np.stack([getattr(cloud, name)(0) for cloud in (predicted, truth)]) for name in ("min", "max"))
    shared = float(np.prod(np.maximum(high.min(0) - low.max(0), 0)))
    union = float(np.prod(high - low, axis=1).sum()) - shared
    if union:
        return shared / union
    return float(np.array_equal(low[0], low[1]) and np.array_equal(high[0], high[1]))


def collision_ratio(objects: Sequence[Points], *, grid: int = GRID) -> float:
    """Share of the scene's occupied surface voxels that more than one object occupies, in [0, 1].

    As in SceneGen's collision loss (arXiv 2508.15769, section on training): the scene's box is cut into cubes, `grid`
    of them along its longest side, and the points of each object occupy those that they lie in.
    """
    everything = np.concatenate(objects)
    check_cloud(everything, "scene's")
    low, side = everything.min(0), float(np.ptp(everything, axis=0).max()) or 1.0
    occupied = [
        np.unique(np.minimum((cloud - low) / side * grid, grid - 1).astype(np.int64) @ [grid * grid, grid, 1])
        for cloud in objects
    ]
    _, owners = np.unique(np.concatenate(occupied), return_counts=True)
    return float((owners > 1).mean())


def to_frame(predicted: Points, truth: Points, frame: str) -> tuple[Points, Points]:
    """Both clouds in a protocol's frame.

    Args:
        frame: "given" leaves them; "truth" maps the true cloud's box to [-1, 1] (its centre to 0, its longest side to
            2) and the predicted one by the same map; "own" does so with each cloud's own box; "unit" is "own" with a
            longest side of 1; "stretched" maps each axis of each cloud to [-0.95, 0.95] by itself.

    Raises:
        SceneError: a cloud is empty or not finite, or its box is a point.
    """
    for cloud, name in ((predicted, "predicted"), (truth, "true")):
        check_cloud(cloud, name)
    if frame == "given":
        return predicted, truth
    if frame == "truth":
        center, longest = _box(truth)
        return (predicted - center) * 2 / longest, (truth - center) * 2 / longest
    if frame in ("own", "unit"):
        side = 2.0 if frame == "own" else 1.0
        moved = [(cloud - center) * side / longest for cloud in (predicted, truth) for center, longest in [_box(cloud)]]
        return moved[0], moved[1]
    assert frame == "stretched", frame
    return _stretched(predicted), _stretched(truth)


def check_cloud(cloud: Points, name: str) -> None:
    """Raises SceneError where a cloud has no point or one that is not finite."""
    if not len(cloud):
        raise SceneError(f"the {name} cloud has no point; at least one is needed.")
    if not np.isfinite(cloud).all():
        broken = int((~np.isfinite(cloud)).any(1).sum())
        raise SceneError(f"the {name} cloud has {broken} of {len(cloud)} points with a NaN or an infinity.")


def _box(cloud: Points) -> tuple[Float[np.ndarray, "3"], float]:
    low, high = cloud.min(0), cloud.max(0)
    longest = float((high - low).max())
    if not longest:
        raise SceneError(f"all {len(cloud)} points of a cloud are one; a cloud of that kind has no size to scale by.")
    return (low + high) / 2, longest


def _stretched(cloud: Points) -> Points:
    low, sides = cloud.min(0), np.ptp(cloud, axis=0)
    return 2 * SCENEGEN_EDGE * (cloud - low) / np.where(sides == 0, 1, sides) - SCENEGEN_EDGE

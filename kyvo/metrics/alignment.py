"""Registration of a predicted point cloud to the true one: none, ICP, robust ICP, FilterReg.

The method moves figures more than most models do (SceneGen's F-score falls from 90.6 to 83.7 with plain ICP instead of
FilterReg), so an `Alignment` always names it. Open3D does the ICP, the optional package probreg FilterReg.

Robust ICP is that of I-Scene (arXiv 2512.13683, supplement). In a shared normalisation, where the joint box is centred
and 1 long: the predicted cloud is turned about the up axis by 8 angles, which a trimmed symmetric Chamfer distance
ranks; the best three seed a short ICP; the one with the least rmse + v (1 - fitness) goes through a coarse
point-to-point and a fine point-to-plane ICP with Tukey's loss. Its rotation is projected onto SO(3) and checked; where
the fine one fails, the coarse one or no motion at all stands. All of it is done twice, once with the clouds as they
are and once with both boxes brought to [-1, 1] first, and the better of the two counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from kyvo.errors import ConfigError
from kyvo.extras import MissingDependency, import_open3d
from kyvo.metrics.geometry import Points, check_cloud, nearest_distances

METHODS = ("none", "icp", "robust-icp", "filterreg")
UP_AXES = ("x", "y", "z")
MIN_NORMALS = 10  # points; with fewer no normals are estimated, and the fine stage is point to point
NORMAL_NEIGHBORS = 30

Matrix = Float[np.ndarray, "4 4"]


@dataclass(frozen=True, kw_only=True)
class RobustIcp:
    """I-Scene's settings; lengths are shares of the joint box's longest side."""

    num_yaws: int = 8
    trim: float = 0.2  # share of the largest distances that the pre-score leaves out, in each direction
    prescore_points: int = 2000  # at most, of each cloud
    num_seeds: int = 3
    seed_iterations: int = 10
    voxel: float = 0.03  # v
    coarse_reach: float = 2.5  # in v: pairs farther apart do not count
    fine_reach: float = 1.0  # in v
    tukey: float = 1.5  # in v
    planeless_reach: float = 1.5  # in v: point to point, where there are no normals
    iterations: int = 50  # of both stages together
    with_scale: bool = True  # of the coarse stage, after the boxes set the size: a turned box misjudges it

    @property
    def coarse_iterations(self) -> int:
        return max(10, self.iterations // 2)

    @property
    def fine_iterations(self) -> int:
        return max(10, self.iterations - self.coarse_iterations)


ROBUST_ICP = RobustIcp()


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """A similarity that moves the predicted cloud: x -> scale * rotation @ x + translation."""

    method: str
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]
    scale: float = 1.0
    stage: str = ""  # of robust ICP: "boxes, fine": the normalisation and the stage whose result stands

    def apply(self, points: Points) -> Points:
        return self.scale * points @ self.rotation.T + self.translation


def align(
    predicted: Points, truth: Points, *, method: str, up: str = "z", seed: int = 0, settings: RobustIcp = ROBUST_ICP
) -> Alignment:
    """The motion that puts `predicted` onto `truth`.

    Args:
        method: "none"; "icp": point to point from where the clouds are, every point paired (Besl and McKay, 1992), 50
            iterations; "robust-icp": see the module; "filterreg": rigid, point to point, 50 iterations, tolerance 1e-4.
        up: axis of robust ICP's turns: "x", "y" or "z".
        seed: of the points that robust ICP's pre-score draws.
        settings: of robust ICP.

    Raises:
        ConfigError: the method or the axis is not known.
        SceneError: a cloud is empty or not finite.
        MissingDependency: the package that does it is missing.
    """
    for cloud, name in ((predicted, "predicted"), (truth, "true")):
        check_cloud(cloud, name)
    if method not in METHODS:
        raise ConfigError(f"alignment {method!r} is not known; known are {', '.join(METHODS)}.")
    if up not in UP_AXES:
        raise ConfigError(f"up axis {up!r} is not known; known are {', '.join(UP_AXES)}.")
    if method == "icp":
        longest = float(np.ptp(np.concatenate([predicted, truth]), axis=0).max())
        return _alignment("icp", _icp(predicted, truth, np.eye(4), reach=2 * longest or 1.0, iterations=50))
    if method == "robust-icp":
        return _robust_icp(predicted, truth, UP_AXES.index(up), np.random.default_rng(seed), settings)
    if method == "filterreg":
        return _filterreg(predicted, truth)
    return _alignment("none", np.eye(4))


def _filterreg(predicted: Points, truth: Points) -> Alignment:
    """FilterReg (Gao and Tedrake, CVPR 2019), its variance shrinking with the fit.

    SceneGen's script leaves the variance at its start, with which even small motions do not come back.
    """
    try:
        from probreg import filterreg  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingDependency(
            f"FilterReg needs the package probreg, which does not import ({error}). Run: "
            "pip install 'kyvo[filterreg]'; it has no wheels and is compiled, for which a C++ compiler and CMake are "
            "needed. Or align with robust-icp."
        ) from error
    found = filterreg.registration_filterreg(
        predicted, truth, objective_type="pt2pt", maxiter=50, tol=1e-4, update_sigma2=True
    )
    motion = found.transformation
    return Alignment(method="filterreg", rotation=np.asarray(motion.rot), translation=np.asarray(motion.t))


def _robust_icp(predicted: Points, truth: Points, up: int, rng: np.random.Generator, settings: RobustIcp) -> Alignment:
    found = []
    rigid = replace(settings, with_scale=False)
    ways = (("as given", np.eye(4), rigid), ("boxes", _box_to_box(predicted, truth), settings))
    for name, before, chosen in ways:
        motion, stage, score = _in_shared_frame(_moved(predicted, before), truth, up, rng, chosen)
        found.append((score, f"{name}, {stage}", motion @ before))
    _, stage, matrix = min(found, key=lambda row: row[0])
    return _alignment("robust-icp", matrix, stage)


def _in_shared_frame(
    predicted: Points, truth: Points, up: int, rng: np.random.Generator, settings: RobustIcp
) -> tuple[Matrix, str, float]:
    """The motion in the truth's frame, its stage, and its score as a share of the truth's longest side."""
    joint = np.concatenate([predicted, truth])
    longest = float(np.ptp(joint, axis=0).max()) or 1.0
    into = np.diag([1 / longest] * 3 + [1.0])
    into[:3, 3] = -(joint.min(0) + joint.max(0)) / 2 / longest
    ours, theirs = (_thinned(_moved(cloud, into), settings.voxel) for cloud in (predicted, truth))
    motion, stage, score = _coarse_to_fine(ours, theirs, up, rng, settings)
    # Shares of the joint box do not compare between the normalisations, since each has its own.
    truth_side = float(np.ptp(theirs, axis=0).max()) or 1.0
    return np.linalg.inv(into) @ motion @ into, stage, score / truth_side


def _coarse_to_fine(
    ours: Points, theirs: Points, up: int, rng: np.random.Generator, settings: RobustIcp
) -> tuple[Matrix, str, float]:
    v = settings.voxel
    coarse_reach = settings.coarse_reach * v

    def score(motion: Matrix) -> float:
        distances = nearest_distances(_moved(ours, motion), theirs)
        inliers = distances[distances < coarse_reach]
        rmse = float(np.sqrt((inliers**2).mean())) if len(inliers) else coarse_reach
        return rmse + v * (1 - len(inliers) / len(ours))

    few = [_drawn(cloud, settings.prescore_points, rng) for cloud in (ours, theirs)]
    center = (ours.min(0) + ours.max(0)) / 2
    turns = [_turn(2 * np.pi * index / settings.num_yaws, up, center) for index in range(settings.num_yaws)]
    turns.sort(key=lambda turn: _trimmed_chamfer(_moved(few[0], turn), few[1], settings.trim))
    seeds = [
        _icp(ours, theirs, turn, reach=coarse_reach, iterations=settings.seed_iterations)
        for turn in turns[: settings.num_seeds]
    ]
    start = min(seeds, key=score)
    coarse = _icp(
        ours, theirs, start, reach=coarse_reach, iterations=settings.coarse_iterations, with_scale=settings.with_scale
    )
    fine = _fine(ours, theirs, coarse, settings)
    candidates = [("fine", _projected(fine)), ("coarse", _projected(coarse)), ("identity", np.eye(4))]
    rows = [(score(motion), stage, motion) for stage, motion in candidates if motion is not None]
    value, stage, motion = min(rows, key=lambda row: row[0])
    return motion, stage, value


def _fine(ours: Points, theirs: Points, start: Matrix, settings: RobustIcp) -> Matrix:
    """Point to plane with Tukey's loss; point to point where the truth has too few points for normals."""
    v, iterations = settings.voxel, settings.fine_iterations
    if len(theirs) < MIN_NORMALS:
        return _icp(ours, theirs, start, reach=settings.planeless_reach * v, iterations=iterations)
    open3d = import_open3d()
    registration = open3d.pipelines.registration
    target = _cloud(theirs)
    target.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(NORMAL_NEIGHBORS))
    return np.array(
        registration.registration_icp(
            _cloud(ours),
            target,
            settings.fine_reach * v,
            start,
            registration.TransformationEstimationPointToPlane(registration.TukeyLoss(settings.tukey * v)),
            registration.ICPConvergenceCriteria(max_iteration=iterations),
        ).transformation
    )


def _icp(
    ours: Points, theirs: Points, start: Matrix, *, reach: float, iterations: int, with_scale: bool = False
) -> Matrix:
    registration = import_open3d().pipelines.registration
    return np.array(
        registration.registration_icp(
            _cloud(ours),
            _cloud(theirs),
            reach,
            start,
            registration.TransformationEstimationPointToPoint(with_scale),
            registration.ICPConvergenceCriteria(max_iteration=iterations),
        ).transformation
    )


def _cloud(points: Points) -> Any:
    open3d = import_open3d()
    return open3d.geometry.PointCloud(open3d.utility.Vector3dVector(np.ascontiguousarray(points, dtype=float)))


def _thinned(points: Points, voxel: float) -> Points:
    return np.asarray(_cloud(points).voxel_down_sample(voxel).points)


def _drawn(points: Points, count: int, rng: np.random.Generator) -> Points:
    return points if len(points) <= count else points[rng.choice(len(points), count, replace=False)]


def _trimmed_chamfer(ours: Points, theirs: Points, trim: float) -> float:
    """Mean distance both ways, the largest share `trim` of each left out."""
    total = 0.0
    for distances in (nearest_distances(ours, theirs), nearest_distances(theirs, ours)):
        kept = max(1, round(len(distances) * (1 - trim)))
        total += float(np.partition(distances, kept - 1)[:kept].mean())
    return total


def _box_to_box(predicted: Points, truth: Points) -> Matrix:
    """Moves and scales the predicted cloud so that centre and longest side of its box are the truth's."""
    (low, high), (true_low, true_high) = ((cloud.min(0), cloud.max(0)) for cloud in (predicted, truth))
    longest, true_longest = float((high - low).max()), float((true_high - true_low).max())
    scale = true_longest / longest if longest and true_longest else 1.0
    matrix = np.diag([scale] * 3 + [1.0])
    matrix[:3, 3] = (true_low + true_high) / 2 - scale * (low + high) / 2
    return matrix


def _turn(angle: float, up: int, center: Sequence[float] | np.ndarray) -> Matrix:
    """A rotation by `angle` (rad) about an axis through `center`."""
    first, second = (up + 1) % 3, (up + 2) % 3
    matrix = np.eye(4)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[second, first], matrix[first, second] = np.sin(angle), -np.sin(angle)
    matrix[:3, 3] = center - matrix[:3, :3] @ center
    return matrix


def _projected(matrix: Matrix) -> Matrix | None:
    """The nearest similarity with a proper rotation; None where there is none (not finite, collapsed, mirrored)."""
    if not np.isfinite(matrix).all():
        return None
    left, sizes, right = np.linalg.svd(matrix[:3, :3])
    scale = float(sizes.mean())
    if np.linalg.det(left @ right) < 0 or np.ptp(sizes) > 0.1 * scale or not scale:
        return None
    projected = matrix.copy()
    projected[:3, :3] = scale * left @ right
    return projected


def _alignment(method: str, matrix: Matrix, stage: str = "") -> Alignment:
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    return Alignment(
        method=method, rotation=matrix[:3, :3] / scale, translation=matrix[:3, 3], scale=scale, stage=stage
    )


def _moved(points: Points, matrix: Matrix) -> Points:
    return points @ matrix[:3, :3].T + matrix[:3, 3]

"""Scene metrics: the Jaccard index of Kyvo's paper, and figures that explain it.

The protocol is that of https://arxiv.org/abs/2506.08002: predicted objects, in their order, each take the first
unmatched true object, in its order, whose attributes agree and which is nearer than tau (strictly; see `TIE`); a scene
scores tp / (tp + fp + fn), and the figure is the mean over scenes, then over taus. It depends on the objects' order, so
the same index under the best possible matching stands beside it; that one is never lower.

Two deviations from the released scripts (`kyvo.metrics.release` has them as they are): where prediction and truth are
both empty, nothing is wrong and the score is 1; angles are compared around the circle.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from kyvo.errors import ConfigError, SceneError
from kyvo.scene.scene import Scene, SceneObject

CLEVR_TAUS = (0.05, 0.10, 0.15, 0.20, 0.25)  # clevr units
TURN = 2 * math.pi
TURNED_APART = 0.75  # clevr units: as far as a camera that is off by some degrees puts an object
# Differences this close to a limit equal it: on a grid of 0.05, a bin's width would else pass "< 0.05" by its rounding.
TIE = 1e-9


def below(apart: np.ndarray, limit: float) -> np.ndarray:
    """Whether differences are smaller than a limit; a tie is not."""
    return np.asarray(apart) < limit - TIE


def angle_difference(ours: np.ndarray | float, theirs: np.ndarray | float) -> np.ndarray:
    """How far two angles (rad) are apart around the circle: 0 to pi."""
    return np.asarray(np.abs((np.asarray(ours, dtype=float) - theirs + math.pi) % TURN - math.pi))


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """A field of numbers that must be near as well, whatever tau is: all of its numbers, or their mean."""

    field: str  # of SceneObject, with three numbers
    limit: float
    axes: tuple[int, ...] = (0, 1, 2)
    mean: bool = False  # of the absolute differences; else the largest counts
    strict: bool = True  # nearer than the limit, else at most the limit
    is_angle: bool = False

    def holds(self, apart: np.ndarray) -> np.ndarray:
        """Whether differences of `differences` are small enough."""
        return below(apart, self.limit) if self.strict else np.asarray(apart) <= self.limit + TIE

    def differences(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """[predicted, 3] and [true, 3] -> [predicted, true]; NaN, which is near nothing, where a field is missing."""
        ours, theirs = ours[:, None, list(self.axes)], theirs[None][..., list(self.axes)]
        apart = angle_difference(ours, theirs) if self.is_angle else np.abs(ours - theirs)
        return apart.mean(-1) if self.mean else apart.max(-1)

    def describe(self) -> str:
        """As a protocol states it."""
        what = "mean absolute difference" if self.mean else "each difference"
        around = " around the circle" if self.is_angle else ""
        names = ",".join("xyz"[axis] for axis in self.axes)
        return f"{self.field} ({names}): {what}{around} {'<' if self.strict else '<='} {self.limit:g}"


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """When a predicted object may stand for a true one."""

    attributes: tuple[str, ...]  # must be equal
    axes: tuple[int, ...] = (0, 1, 2)  # of `location`, that the distance is taken over
    near: tuple[Tolerance, ...] = ()  # what else must be close
    taus: tuple[float, ...] = CLEVR_TAUS  # of the paper, in the scenes' units

    @property
    def fields(self) -> tuple[str, ...]:
        """What a true object must have."""
        return tuple(dict.fromkeys((*self.attributes, "location", *(entry.field for entry in self.near))))

    def agrees(self, predicted: SceneObject, truth: SceneObject) -> bool:
        """Whether all attributes are equal."""
        return all(predicted.get(name) == truth.get(name) for name in self.attributes)

    def distances(self, predicted: Scene, truth: Scene) -> np.ndarray:
        """Euclidean distances [predicted, true] along `axes`."""
        ours, theirs = (_numbers(scene, "location")[:, list(self.axes)] for scene in (predicted, truth))
        return np.sqrt(((ours[:, None] - theirs[None]) ** 2).sum(-1))

    def may_match(self, predicted: Scene, truth: Scene) -> np.ndarray:
        """Which pairs may match where they are near enough: bool [predicted, true]."""
        agree = [[self.agrees(item, true) for true in truth.objects] for item in predicted.objects]
        allowed = np.asarray(agree, dtype=bool).reshape(len(predicted), len(truth))
        for entry in self.near:
            apart = entry.differences(_numbers(predicted, entry.field), _numbers(truth, entry.field))
            allowed &= entry.holds(apart)
        return allowed

    def matches(self, predicted: Scene, truth: Scene, tau: float) -> np.ndarray:
        """Which pairs may match: bool [predicted, true]."""
        return self.may_match(predicted, truth) & below(self.distances(predicted, truth), tau)

    def describe(self) -> dict[str, object]:
        """As a protocol states it."""
        return {
            "equal": list(self.attributes),
            "near": [entry.describe() for entry in self.near],
            "distance": f"Euclidean over {','.join('xyz'[axis] for axis in self.axes)}, < tau",
        }


# The released script compares positions on the floor and heights apart; the paper's text leaves that open.
_LEVEL = Tolerance(field="location", axes=(2,), limit=0.05)
_TURNED = Tolerance(field="pose", limit=0.15, is_angle=True)
CLEVR = Criterion(attributes=("shape", "size", "color", "material"), axes=(0, 1))
OBJAWORLD = Criterion(attributes=("shape",), axes=(0, 1), near=(_LEVEL, _TURNED))
# Which shape it is shows in the pose and the place alone: codes of one shape are never equal throughout.
OBJAWORLD_SHAPES = Criterion(attributes=(), near=(_TURNED,), taus=(0.5, 0.75, 1.0, 1.25, 1.5))
SCENE_SHAPES = Criterion(attributes=("category",), taus=OBJAWORLD_SHAPES.taus)
OBJECTRON = Criterion(
    attributes=("category",), near=(Tolerance(field="dimensions", limit=0.05, mean=True, strict=False),)
)
ARKITSCENES = Criterion(
    attributes=("category",),
    near=(Tolerance(field="dimensions", limit=1.0, mean=True, strict=False),),
    taus=(1.25, 1.5, 1.75, 2.0, 2.25),
)
CRITERIA = {
    "clevr": CLEVR,
    "objaworld": OBJAWORLD,
    "objaworld-shapes": OBJAWORLD_SHAPES,
    "objaworld-shapes-sized": OBJAWORLD_SHAPES,
    "scene-shapes": SCENE_SHAPES,  # ours
    "objectron": OBJECTRON,
    "arkitscenes": ARKITSCENES,
}


def criterion_for(schema: str) -> Criterion:
    """The paper's criterion of a data set. Raises ConfigError for one it does not have."""
    if schema not in CRITERIA:
        raise ConfigError(
            f"the paper has no criterion for {schema!r}; known are {', '.join(CRITERIA)}. "
            "Pass --schema with the one that the objects are to be compared by."
        )
    return CRITERIA[schema]


@dataclass(frozen=True, kw_only=True)
class SceneMatch:
    """One scene compared: its indices a tau, and which objects stood for which."""

    jaccard: tuple[float, ...]  # a tau, in the order of the taus
    optimal: tuple[float, ...]
    num_predicted: int
    num_true: int
    pairs: tuple[tuple[int, int, float], ...]  # predicted, true, distance: the paper's matching at the last tau
    nearest: tuple[tuple[int, int, float], ...]  # the matching of least total distance, whatever the attributes

    @property
    def misses(self) -> list[int]:
        """True objects that no prediction took at the last tau."""
        return sorted(set(range(self.num_true)) - {pair[1] for pair in self.pairs})

    @property
    def extras(self) -> list[int]:
        """Predicted objects that found no true one at the last tau."""
        return sorted(set(range(self.num_predicted)) - {pair[0] for pair in self.pairs})


@dataclass(frozen=True, kw_only=True)
class SceneScores:
    """Scores over a set of scenes. Those that no pair informs are None."""

    num_scenes: int
    jaccard: float  # mean over scenes and taus
    jaccard_by_tau: dict[float, float]
    optimal_jaccard: float  # the same under the best matching
    attribute_accuracy: dict[str, float] | None  # over nearest pairs closer than the largest tau
    position_error: float | None  # mean distance over nearest pairs, however far
    count_accuracy: float  # share of scenes with the true number of objects


def match_scene(predicted: Scene, truth: Scene, *, taus: Sequence[float], criterion: Criterion = CLEVR) -> SceneMatch:
    """Compares one scene at all `taus` (the scenes' units), rising.

    A predicted object without a location is near nothing. Raises SceneError where a true object has none.
    """
    for index, item in enumerate(truth.objects):
        if item.location is None:
            raise SceneError(f"objects[{index}].location is missing; the distance needs it.")
    distances = criterion.distances(predicted, truth)
    allowed = criterion.may_match(predicted, truth)
    greedy: list[tuple[int, int]] = []
    jaccards, optimals = [], []
    total = len(predicted) + len(truth)
    for tau in taus:
        may = allowed & below(distances, tau)
        greedy = _first_free(may)
        best = len(greedy)
        # more pairs than rows or columns with a candidate there cannot be: the greedy matching is then the best
        if best < min(int(may.any(1).sum()), int(may.any(0).sum())):
            best = int(may[linear_sum_assignment(may, maximize=True)].sum())
        jaccards.append(_index(len(greedy), total))
        optimals.append(_index(best, total))
    placed = np.flatnonzero(np.isfinite(distances).all(1))
    rows, columns = linear_sum_assignment(distances[placed])
    return SceneMatch(
        jaccard=tuple(jaccards),
        optimal=tuple(optimals),
        num_predicted=len(predicted),
        num_true=len(truth),
        pairs=tuple((i, j, float(distances[i, j])) for i, j in greedy),
        nearest=tuple((int(i), int(j), float(distances[i, j])) for i, j in zip(placed[rows], columns, strict=True)),
    )


def after_best_turn(predicted: Scene, truth: Scene, *, criterion: Criterion = CLEVR) -> Scene:
    """The predicted scene turned about the vertical through the origin, so that it lies on the true one best.

    No picture of a plain floor tells this turn. The angle is that of least squares over the nearest pairs whose
    attributes agree, those farther than TURNED_APART left out. The up axis is z. `rotation` of objects turns along.
    """
    pairs = [
        (np.array(predicted.objects[i].location), np.array(truth.objects[j].location))
        for i, j, distance in match_scene(predicted, truth, taus=(TURNED_APART,), criterion=criterion).nearest
        if distance < TURNED_APART and criterion.agrees(predicted.objects[i], truth.objects[j])
    ]
    across = sum(ours[0] * true[1] - ours[1] * true[0] for ours, true in pairs)
    along = sum(ours[0] * true[0] + ours[1] * true[1] for ours, true in pairs)
    angle = math.atan2(across, along)
    return replace(predicted, objects=tuple(_turned(item, angle) for item in predicted.objects))


def _turned(item: SceneObject, angle: float) -> SceneObject:
    if item.location is None:
        return item
    (x, y, z), cosine, sine = item.location, math.cos(angle), math.sin(angle)
    turned = item if item.turn is None else item.with_values(rotation=item.turn + angle)
    return replace(turned, location=(cosine * x - sine * y, sine * x + cosine * y, z))


def jaccard(predicted: Scene, truth: Scene, *, tau: float, criterion: Criterion = CLEVR) -> float:
    """The paper's index of one scene, in [0, 1].

    Args:
        tau: the distance, in the scenes' units, below which a pair may match.
    """
    return match_scene(_placed(predicted), truth, taus=(tau,), criterion=criterion).jaccard[0]


def optimal_jaccard(predicted: Scene, truth: Scene, *, tau: float, criterion: Criterion = CLEVR) -> float:
    """The index of one scene under the matching with most pairs; it does not depend on the objects' order."""
    return match_scene(_placed(predicted), truth, taus=(tau,), criterion=criterion).optimal[0]


def mean_jaccard(
    predictions: Sequence[Scene],
    truths: Sequence[Scene],
    *,
    taus: Sequence[float] = CLEVR_TAUS,
    criterion: Criterion = CLEVR,
) -> SceneScores:
    """The paper's figure over a set, with what explains it. Scenes are paired by position.

    Raises:
        SceneError: the two lists differ in length or are empty, or an object has no location.
    """
    if len(predictions) != len(truths) or not predictions:
        raise SceneError(
            f"{len(predictions)} predictions and {len(truths)} truths; as many of both are needed, at least 1."
        )
    scenes = list(zip(predictions, truths, strict=True))
    found = [match_scene(_placed(ours), true, taus=taus, criterion=criterion) for ours, true in scenes]
    by_tau = np.mean([match.jaccard for match in found], axis=0)
    near = [
        (ours.objects[i], true.objects[j])
        for (ours, true), match in zip(scenes, found, strict=True)
        for i, j, _ in pairs_within(match, max(taus))
    ]
    errors = [distance for match in found for _, _, distance in match.nearest]
    accuracy = {
        name: float(np.mean([a.get(name) == b.get(name) for a, b in near] or 0)) for name in criterion.attributes
    }
    return SceneScores(
        num_scenes=len(scenes),
        jaccard=float(by_tau.mean()),
        jaccard_by_tau=dict(zip(taus, by_tau.tolist(), strict=True)),
        optimal_jaccard=float(np.mean([match.optimal for match in found])),
        attribute_accuracy=accuracy if near else None,
        position_error=float(np.mean(errors)) if errors else None,
        count_accuracy=float(np.mean([len(ours) == len(true) for ours, true in scenes])),
    )


def pairs_within(match: SceneMatch, tau: float) -> Iterator[tuple[int, int, float]]:
    """The nearest pairs closer than `tau`: those over which attributes are compared."""
    return (pair for pair in match.nearest if pair[2] < tau - TIE)


def _first_free(may: np.ndarray) -> list[tuple[int, int]]:
    """The paper's matching: each row in turn takes its first column that is free."""
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for i, row in enumerate(may.tolist()):
        for j, fits in enumerate(row):
            if fits and j not in taken:
                taken.add(j)
                pairs.append((i, j))
                break
    return pairs


def _index(num_matched: int, total: int) -> float:
    return num_matched / (total - num_matched) if total else 1.0


def _numbers(scene: Scene, name: str) -> np.ndarray:
    """A field of three numbers of all objects, [objects, 3]; NaN where it is missing."""
    missing = (math.nan, math.nan, math.nan)
    return np.asarray([item.get(name) or missing for item in scene.objects], dtype=float).reshape(-1, 3)


def _placed(scene: Scene) -> Scene:
    for index, item in enumerate(scene.objects):
        if item.location is None:
            raise SceneError(f"objects[{index}].location is missing; the distance needs it.")
    return scene

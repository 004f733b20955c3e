"""Scenes: pairs of predictions and truths -> `Results`, under the paper's protocol or that of the released scripts.

An item of the results holds its `key`, `score` (the mean over taus), `optimal`, `by_tau`, the `pairs` of the paper's
matching at the largest tau (predicted, true, distance), the `misses` (true) and `extras` (predicted), the `nearest`
pairs whatever their attributes, and the objects themselves as `predicted` and `true`, in scene JSON; indices count
within these lists. `image` and `camera` are the truth's, or None.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.errors import ConfigError, SceneError
from kyvo.evaluation.inputs import RULE, Items, Pairs, pair, read_items
from kyvo.evaluation.released import Row, released_rows
from kyvo.evaluation.results import Figure, Results, mean_figure
from kyvo.metrics import release
from kyvo.metrics.scenes import Criterion, SceneMatch, angle_difference, criterion_for, match_scene, pairs_within
from kyvo.scene.files import camera_to_json, object_to_json
from kyvo.scene.scene import Scene, SceneObject, turn_error


def evaluate_scenes(
    predictions: Items[Scene],
    truth: Items[Scene],
    *,
    schema: str | None = None,
    taus: Sequence[float] | None = None,
    confidence: float = 0.0,
    seed: int = 0,
) -> Results:
    """The paper's figures of a set, and what explains them.

    Args:
        predictions: of `kyvo.evaluation.inputs.read_scenes`.
        truth: of the same.
        schema: whose criterion is used; by default that of the truth's scenes.
        taus: distances in the scenes' units; by default the paper's for the schema.
        confidence: what `filter_by_confidence` was asked for; goes into the protocol.
        seed: of the bootstrap.

    Raises:
        ConfigError: the schema has no criterion, or a tau is not above 0.
        SceneError: as `pair`.
    """
    if not truth.items:
        raise SceneError(
            f"{truth.path}: no scene can be read; the first fault: {next(iter(truth.faults.values()), '')}"
        )
    name = schema or next(iter(truth.items.values())).schema
    criterion = criterion_for(name)
    taus = tuple(sorted(taus or criterion.taus))
    wrong = next((tau for tau in taus if not 0 < tau < math.inf), None)
    if wrong is not None:
        raise ConfigError(f"tau is {wrong:g}; distances above 0 are needed.")
    pairs = pair(predictions, truth, fields=criterion.fields, schema=schema)
    found = [
        match_scene(ours, true, taus=taus, criterion=criterion)
        for ours, true in zip(pairs.predictions, pairs.truths, strict=True)
    ]
    first = pairs.truths[0]
    return Results(
        kind="scenes",
        protocol={
            "name": "paper",
            "source": "https://arxiv.org/abs/2506.08002",
            "schema": name,
            "taus": list(taus),
            "criterion": criterion.describe(),
            "matching": "each prediction in order takes the first free true object; optimal: the most pairs",
            "score": "tp / (tp + fp + fn) a scene, 1 where both are empty; mean over scenes, then taus",
            "explained by": "nearest pairs (least total distance); attributes over those nearer than the last tau",
            "confidence": confidence,
            "units": first.units,
            "frame": first.frame,
            "left out": RULE,
        },
        inputs={"predictions": predictions.describe(), "truth": truth.describe()},
        figures=_figures(pairs, found, criterion, taus, seed),
        tables={
            "by tau": [
                {"tau": tau, "jaccard": float(np.mean([match.jaccard[index] for match in found])),
                 "optimal jaccard": float(np.mean([match.optimal[index] for match in found]))}
                for index, tau in enumerate(taus)
            ],
            "confusion": {name: _confusion(pairs, found, name, taus[-1]) for name in criterion.attributes},
        },
        items=[
            {
                "key": key,
                "image": true.image,
                "camera": None if true.camera is None else camera_to_json(true.camera),
                "score": float(np.mean(match.jaccard)),
                "optimal": float(np.mean(match.optimal)),
                "by_tau": list(match.jaccard),
                "pairs": [list(found_pair) for found_pair in match.pairs],
                "misses": match.misses,
                "extras": match.extras,
                "nearest": [list(found_pair) for found_pair in match.nearest],
                "predicted": [object_to_json(item) for item in ours.objects],
                "true": [object_to_json(item) for item in true.objects],
            }
            for key, ours, true, match in zip(pairs.keys, pairs.predictions, pairs.truths, found, strict=True)
        ],
        excluded=pairs.excluded,
    )  # fmt: skip


def evaluate_released(
    predictions: Path, truth: Path, *, schema: str = "clevr", taus: Sequence[float] = (0.25,), seed: int = 0
) -> Results:
    """The figures of the released scripts, one for each tau: see `kyvo.metrics.release`.

    Scenes are paired by key; where the scripts run through, that gives their order. What has no prediction is left out,
    as there, and listed.

    Raises:
        ConfigError: a schema that no released script compares.
        SceneError: files that cannot be read, or without a scene in common.
    """
    if schema not in release.INDICES:
        raise ConfigError(f"no released script compares {schema!r}; they do {', '.join(release.INDICES)}.")
    ours, theirs = (_released_items(path, schema) for path in (predictions, truth))
    keys = [key for key in ours.items if key in theirs.items]
    reasons: dict[str, str] = {}
    for source, name in ((ours, "prediction"), (theirs, "truth")):
        reasons |= {key: f"left out: the {name} cannot be read: {fault}" for key, fault in source.faults.items()}
    reasons |= {
        key: "left out: there is no prediction" for key in theirs.items if key not in {*ours.items, *ours.faults}
    }
    reasons |= {key: "the truth has no such key" for key in ours.items if key not in {*theirs.items, *theirs.faults}}
    if not keys:
        raise SceneError(f"{predictions} and {truth} have no readable item in common.")
    index = release.INDICES[schema]
    scores = np.array([[index(ours.items[key], theirs.items[key], tau=tau) for tau in taus] for key in keys])
    figures = []
    for column, tau in enumerate(taus):
        figure = mean_figure(f"jaccard at {tau:g}", scores[:, column], seed=seed)
        total = 0.0
        for score in scores[:, column].tolist():
            total += score  # in order, as the scripts do
        figures.append(
            Figure(name=figure.name, value=total / len(keys), low=figure.low, high=figure.high, count=len(keys))
        )
    return Results(
        kind="scenes",
        protocol={
            "name": "release",
            "source": "compute_jaccard_index.py and compute_jaccard_index_objectron.py of the released code",
            "schema": schema,
            "taus": list(taus),
            "score": "tp / (tp + fp + fn), -1 where both are empty; mean over the scenes that have a prediction",
        },
        inputs={"predictions": ours.describe(), "truth": theirs.describe()},
        figures=figures,
        items=[
            {"key": key, "score": float(row.mean()), "by_tau": row.tolist()}
            for key, row in zip(keys, scores, strict=True)
        ],
        excluded=[{"key": key, "reason": reason} for key, reason in reasons.items()],
    )


def filter_by_confidence(source: Items[Scene], confidence: float) -> Items[Scene]:
    """The scenes without objects whose confidence is below this one; objects without a confidence stay."""
    scenes = {
        key: replace(
            scene,
            objects=tuple(item for item in scene.objects if item.confidence is None or item.confidence >= confidence),
        )
        for key, scene in source.items.items()
    }
    return replace(source, items=scenes)


def _figures(
    pairs: Pairs, found: Sequence[SceneMatch], criterion: Criterion, taus: Sequence[float], seed: int
) -> list[Figure]:
    greedy, optimal = (np.array([getattr(match, name) for match in found]) for name in ("jaccard", "optimal"))
    figures = [
        mean_figure("jaccard", greedy.mean(1), seed=seed),
        mean_figure("optimal jaccard", optimal.mean(1), seed=seed),
    ]
    for index, tau in enumerate(taus):
        figures.append(mean_figure(f"jaccard at {tau:g}", greedy[:, index], seed=seed))
        figures.append(mean_figure(f"optimal jaccard at {tau:g}", optimal[:, index], seed=seed))
    for name in criterion.attributes:
        same = _over_pairs(pairs, found, lambda a, b, name=name: a.get(name) == b.get(name), taus[-1])
        figures.append(_share(f"{name} accuracy", same, seed))
    errors = [[distance for *_, distance in match.nearest] for match in found]
    figures.append(_share("position error", errors, seed))
    for name, measure in (("pose", _turned_apart), ("dimensions", _sized_apart)):
        if any(entry.field == name for entry in criterion.near):
            figures.append(_share(f"{name} error", _over_pairs(pairs, found, measure, taus[-1]), seed))
    turns = _over_pairs(pairs, found, turn_error, taus[-1])
    if any(turns):
        degrees = [[math.degrees(turn) for turn in row] for row in turns]
        figures.append(_share("turn error", degrees, seed))
        figures.append(_share("turn within 5 degrees", [[turn <= 5.0 for turn in row] for row in degrees], seed))
    numbers = np.array([[match.num_predicted, match.num_true] for match in found])
    figures.append(mean_figure("count error", np.abs(numbers[:, 0] - numbers[:, 1]), seed=seed))
    figures.append(mean_figure("count accuracy", numbers[:, 0] == numbers[:, 1], seed=seed))
    return figures


def _over_pairs(
    pairs: Pairs,
    found: Sequence[SceneMatch],
    measure: Callable[[SceneObject, SceneObject], float | None],
    tau: float,
) -> list[list[float]]:
    """The measure of each nearest pair within `tau`, a list a scene; pairs that it has nothing to say of left out."""
    rows = []
    for ours, true, match in zip(pairs.predictions, pairs.truths, found, strict=True):
        values = [measure(ours.objects[i], true.objects[j]) for i, j, _ in pairs_within(match, tau)]
        rows.append([float(value) for value in values if value is not None])
    return rows


def _share(name: str, rows: Sequence[Sequence[float]], seed: int) -> Figure:
    """The mean over all pairs of all scenes; scenes are what is drawn anew."""
    means = [float(np.mean(row)) if row else 0.0 for row in rows]
    return mean_figure(name, means, seed=seed, weights=[len(row) for row in rows])


def _turned_apart(ours: SceneObject, true: SceneObject) -> float | None:
    """The largest of the three angles, rad."""
    if ours.pose is None or true.pose is None:
        return None
    return float(angle_difference(np.asarray(ours.pose), np.asarray(true.pose)).max())


def _sized_apart(ours: SceneObject, true: SceneObject) -> float | None:
    if ours.dimensions is None or true.dimensions is None:
        return None
    return float(np.abs(np.subtract(ours.dimensions, true.dimensions)).mean())


def _confusion(pairs: Pairs, found: Sequence[SceneMatch], name: str, tau: float) -> dict[str, Any]:
    """Rows are true words, columns predicted ones, over nearest pairs within `tau`."""
    seen = [
        (str(true.objects[j].get(name)), str(ours.objects[i].get(name)))
        for ours, true, match in zip(pairs.predictions, pairs.truths, found, strict=True)
        for i, j, _ in pairs_within(match, tau)
    ]
    words = sorted({word for both in seen for word in both})
    counts = np.zeros((len(words), len(words)), dtype=int)
    place = {word: index for index, word in enumerate(words)}
    for true_word, our_word in seen:
        counts[place[true_word], place[our_word]] += 1
    return {"words": words, "counts": counts.tolist()}


def _released_items(path: Path, schema: str) -> Items[Sequence[Row]]:
    if schema == "objectron":
        from kyvo.evaluation.detections import released_objectron

        found = released_objectron(path)
        if found is not None:
            return found
    return read_items(path, lambda data, where: released_rows(data, where, schema))

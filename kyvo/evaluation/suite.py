"""What the suite of the four tasks (`eval/suite.py`) draws from its sets, and how it scores an item."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from kyvo.data.language.edits import Edit, sample_edits
from kyvo.data.language.questions import Question
from kyvo.data.language.referents import ATTRIBUTES
from kyvo.evaluation.inputs import clean_key
from kyvo.evaluation.results import Figure, mean_figure
from kyvo.metrics.images import l2, ssim
from kyvo.metrics.scenes import CLEVR_TAUS, after_best_turn, match_scene
from kyvo.scene.files import object_to_json, scene_from_json
from kyvo.scene.scene import Scene, turn_error
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.image import fit

SEED = 0  # of the bootstrap, and of the swaps
SWAP_TRIES = 8  # edits drawn of a scene, of which the attribute that is still rarest is taken
Row = Mapping[str, Any]  # of a set
Item = dict[str, Any]  # of a result: a key, scores, what the model said


def scene_of(row: Row, column: str = "scene") -> Scene:
    """The scene of a row. Raises SceneError with the row's name."""
    return scene_from_json(json.loads(row[column]), f"{row['name']}: {column}")


def picture_of(row: Row, column: str = "image") -> np.ndarray:
    """The picture of a row, uint8 [H, W, 3]."""
    return np.asarray(row[column].convert("RGB"))


def draw_swaps(rows: Any, count: int) -> list[tuple[str, Edit]]:
    """Changes of one attribute of one object, one a scene, `count` of each attribute, or as many as the set gives.

    They keep CLEVR's rules: objects stay apart and in view.
    """
    found: list[tuple[str, Edit]] = []
    counts = Counter(dict.fromkeys(ATTRIBUTES, 0))
    for index in range(len(rows)):
        if min(counts.values()) == count:
            break
        scene = scene_of(rows[index])
        chances = [np.random.default_rng([SEED, index, attempt]) for attempt in range(SWAP_TRIES)]
        drawn = [edit for edit in sample_edits([scene] * SWAP_TRIES, chances, kind="change") if edit is not None]
        rarest = min(drawn, key=lambda edit: counts[edit.program["attribute"]], default=None)
        if rarest is not None and counts[rarest.program["attribute"]] < count:
            counts[rarest.program["attribute"]] += 1
            found.append((clean_key(rows[index]["name"]), rarest))
    return found


def draw_questions(rows: Any, limit: int) -> list[tuple[str, int, Question]]:
    """Up to `limit` questions with their keys and rows: the first of each scene, then the second, and so on."""
    drawn = [
        (number, index, question)
        for index, questions in enumerate(rows["questions"])
        for number, question in enumerate(questions)
    ]
    names = rows["name"]
    return [
        (
            f"{clean_key(names[index])}/{number}",
            index,
            Question(
                family=row["family"], text=row["question"], program=json.loads(row["program"]), answer=row["answer"]
            ),
        )
        for number, index, row in sorted(drawn, key=lambda entry: entry[:2])[:limit]
    ]


def scene_scores(name: str, predicted: Scene, true: Scene) -> Item:
    """What every item of a scene has: the paper's index, its mean and at each tau."""
    by_tau = match_scene(predicted, true, taus=CLEVR_TAUS).jaccard
    objects = [object_to_json(item) for item in predicted.objects]
    return {"key": clean_key(name), "jaccard": float(np.mean(by_tau)), "by_tau": list(by_tau), "predicted": objects}


def turn_scores(predicted: Scene, true: Scene) -> Item:
    """The index after the best turn about the vertical; and how far each cube's turn is off, degrees, among pairs of
    the index's matching at its last tau. Turns are those of the scene as it is."""
    turned = match_scene(after_best_turn(predicted, true), true, taus=CLEVR_TAUS).jaccard
    pairs = match_scene(predicted, true, taus=CLEVR_TAUS).pairs
    apart = [turn_error(predicted.objects[i], true.objects[j]) for i, j, _ in pairs]
    degrees = [math.degrees(error) for error in apart if error is not None]
    return {"jaccard after the best turn": float(np.mean(turned)), "turn errors": degrees}


def picture_scores(ours: np.ndarray, true: np.ndarray) -> Item:
    """SSIM and L2 at the size of the smaller picture."""
    height, width = min(ours.shape[:2], true.shape[:2])
    ours, true = fit(ours, width, height), fit(true, width, height)
    return {"ssim": ssim(ours, true), "l2": l2(ours, true)}


def edit_scores(row: Row, scene: Scene, picture: np.ndarray | None, schema: SceneSchema) -> Item:
    """The item of an edit; its picture is compared where there is one."""
    source, target = scene_of(row), scene_of(row, "target_scene")
    untouched = quantized_objects(source, schema) & quantized_objects(target, schema)
    return {
        **scene_scores(row["name"], scene, target),
        "edit": row["edit"],
        "nothing done: jaccard": scene_scores(row["name"], source, target)["jaccard"],
        "instruction": row["instruction"],
        "untouched objects preserved": float(untouched <= quantized_objects(scene, schema)),
        **({} if picture is None else picture_scores(picture, picture_of(row, "target_image"))),
    }


def quantized_objects(scene: Scene, schema: SceneSchema) -> Counter[tuple[Any, ...]]:
    """The objects as the model's tokens can say them, whatever their order."""
    objects = schema.snap(scene, clamp=True).objects
    return Counter(tuple(item.get(field.name) for field in schema.fields) for item in objects)


def is_change_recognized(scene: Scene, swap: Edit) -> float:
    """Whether the object that was changed is found in its place with its new value: 1 or 0."""
    pairs = enumerate(zip(swap.source.objects, swap.target.objects, strict=True))
    changed = next(index for index, (before, after) in pairs if before != after)
    name, value = swap.program["attribute"], swap.program["value"]
    near = match_scene(scene, swap.target, taus=CLEVR_TAUS).nearest
    return float(
        any(
            index == changed and distance < CLEVR_TAUS[-1] and scene.objects[found].get(name) == value
            for found, index, distance in near
        )
    )


def mean(name: str, items: Sequence[Item], score: str | None = None) -> Figure:
    """The figure called `name`: the mean of a score, by default of this name, over the items that have it."""
    score = score or name
    return mean_figure(name, [item[score] for item in items if score in item], seed=SEED)


def first(rows: Any, limit: int) -> Any:
    """The first rows of a set."""
    return rows.select(range(min(limit, len(rows))))


def in_batches(entries: Any, size: int, what: str) -> Iterator[list[Any]]:
    """The entries of a list or a set in parts of `size`, with a progress bar on a terminal."""
    for start in tqdm(range(0, len(entries), size), desc=what, unit="batch", disable=None):
        yield [entries[index] for index in range(start, min(start + size, len(entries)))]

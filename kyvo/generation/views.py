"""A picture recognised more than once, shifted by a few pixels to each side, and the objects' places averaged.

A code says of a place in its cell only so much, and each shift moves all objects to other places in their cells. To
the model a shift looks like another place of the objects, or another camera; to opposite sides it cancels out.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8
from scipy.optimize import linear_sum_assignment

from kyvo.errors import ConfigError
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import Field, SceneSchema

SHIFT = 2  # px: a quarter of the bundled model's cells
SHIFTS = {1: (), 3: ((SHIFT, 0), (-SHIFT, 0)), 5: ((SHIFT, 0), (-SHIFT, 0), (0, SHIFT), (0, -SHIFT))}  # views -> x, y


def shifts(views: int) -> tuple[tuple[int, int], ...]:
    """Of the views besides the picture itself. Raises ConfigError for a number that is none of `SHIFTS`."""
    if views not in SHIFTS:
        raise ConfigError(f"{views} views: a picture is seen from {', '.join(map(str, SHIFTS))}, to opposite sides.")
    return SHIFTS[views]


def shifted(picture: UInt8[np.ndarray, "height width 3"], x: int, y: int) -> UInt8[np.ndarray, "height width 3"]:
    """The picture moved to the right and down, in px; its edge is repeated where it left."""
    rows = np.clip(np.arange(picture.shape[0]) - y, 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(picture.shape[1]) - x, 0, picture.shape[1] - 1)
    return picture[rows][:, columns]


def averaged(scene: Scene, others: Sequence[Scene], schema: SceneSchema) -> Scene:
    """The scene with the numbers of each object averaged over the views that have as many objects of its words.

    Objects of the same words are told apart by the assignment that moves them least. Angles stay as they are.
    """
    words = schema.word_fields
    numbers = [field for field in schema.fields if field.axes and all(axis.period is None for axis in field.axes)]
    found: list[list[SceneObject]] = [[item] for item in scene.objects]
    for other in others:
        for kind in {_values(item, words) for item in scene.objects}:
            here = [index for index, item in enumerate(scene.objects) if _values(item, words) == kind]
            there = [item for item in other.objects if _values(item, words) == kind]
            if len(here) != len(there):
                continue
            ours, theirs = (
                np.array([np.concatenate(_values(item, numbers)) for item in items])
                for items in ([scene.objects[index] for index in here], there)
            )
            distances = np.linalg.norm(ours[:, None] - theirs, axis=-1)
            for place, match in zip(*linear_sum_assignment(distances), strict=True):
                found[here[place]].append(there[match])
    return replace(scene, objects=tuple(_mean(items, numbers) for items in found))


def _values(item: SceneObject, fields: Sequence[Field]) -> tuple:
    return tuple(item.get(field.name) for field in fields)


def _mean(items: Sequence[SceneObject], fields: Sequence[Field]) -> SceneObject:
    means = {field.name: np.mean([item.get(field.name) for item in items], axis=0) for field in fields}
    return items[0].with_values(**{name: tuple(map(float, mean)) for name, mean in means.items()})

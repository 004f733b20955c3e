"""The closed loop of rendering: compare a rendering with its scene, and correct the objects that are off.

Codes round places in what comes out as they do in what goes in: an object is drawn a tenth of a unit beside its place,
and the same scene is drawn in the same way again. The refiner, which reads places from pixels, sees where each object
came to stand. So the scene is asked for again with every object moved the other way, from where it was asked for last,
and again, as a controller does; and the picture is taken in which the objects are read nearest to where, and what, they
should be.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema

ROUNDS = 6
GAIN = 0.7  # of what an object is read off, by which it is moved the other way
LONGEST = 0.4  # units that it is moved at once along an axis: a reading that is farther off is of another object
MISSED = 0.25  # units: an object read with another word, or farther off, counts as so far off


def run_closed_loop(
    scenes: Sequence[Scene],
    pictures: Sequence[np.ndarray],
    schema: SceneSchema,
    *,
    draw: Callable[[list[Scene]], Sequence[np.ndarray]],
    read: Callable[[list[Scene], Sequence[np.ndarray]], Sequence[Scene]],
    late: Callable[[], bool] = lambda: False,
) -> list[np.ndarray]:
    """Of each scene the best of its picture and those of its moved scenes.

    Args:
        pictures: of the scenes, uint8 [height, width, 3].
        draw: gives the pictures of all scenes with their objects moved, to places on bins or between.
        read: gives the scenes as their pictures show them: where each object is seen, and with which words.
        late: asked before each round; no further one begins when it says so.
    """
    wanted = [replace(schema.snap(scene, clamp=True), camera=scene.camera) for scene in scenes]
    best, asked = list(pictures), wanted
    seen = read(wanted, pictures)
    errors = [position_error(scene, found, schema) for scene, found in zip(wanted, seen, strict=True)]
    for _ in range(ROUNDS):
        if late() or not any(errors):
            break
        asked = [corrected(*each, schema) for each in zip(asked, wanted, seen, strict=True)]
        drawn = draw(asked)
        seen = read(wanted, drawn)
        for index, picture in enumerate(drawn):
            error = position_error(wanted[index], seen[index], schema)
            if error < errors[index]:
                best[index], errors[index] = picture, error
    return best


def corrected(asked: Scene, wanted: Scene, read: Scene, schema: SceneSchema) -> Scene:
    """What to ask for next: each object moved against what it is read off, inside the schema's numbers."""
    axes = schema.field("location").axes[:2]
    step = GAIN * (_floor(read) - _floor(wanted)).clip(-LONGEST, LONGEST)
    lowest, highest = zip(*((axis.values[0], axis.values[-1]) for axis in axes), strict=True)
    corrected_xy = (_floor(asked) - step).clip(lowest, highest)
    objects = (
        item.with_values(location=(x, y, item.location[2]))  # type: ignore[index]
        for item, (x, y) in zip(asked.objects, corrected_xy.tolist(), strict=True)
    )
    return replace(asked, objects=tuple(objects))


def position_error(scene: Scene, read: Scene, schema: SceneSchema) -> float:
    """How far the objects are read from their places, in units and on average; 0 for a scene without any."""
    distances = np.linalg.norm(_floor(read) - _floor(scene), axis=1).clip(max=MISSED)
    names = [field.name for field in schema.word_fields]
    pairs = zip(scene.objects, read.objects, strict=True)
    wrong = [any(found.get(name) != item.get(name) for name in names) for item, found in pairs]
    return float(np.where(wrong, MISSED, distances).mean()) if len(scene) else 0.0


def _floor(scene: Scene) -> Float[np.ndarray, "objects 2"]:
    """Where the objects stand."""
    return np.array([item.location[:2] for item in scene.objects]).reshape(-1, 2)  # type: ignore[index]

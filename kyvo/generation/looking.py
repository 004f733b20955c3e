"""A rendering that is looked at: where an object came out beside its place, it is asked for elsewhere.

Codes round places in what comes out as they do in what goes in: an object is drawn a tenth of a unit beside its place,
and the same scene is drawn in the same way again. The refiner, which reads places from pixels, sees where each object
came to stand. So scenes go in once more with every object moved the other way, by several shares of what it was off at
once, and the picture is taken in which the objects are read nearest to where, and what, they should be.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from kyvo.models.refined_scenes import mean_camera, refine_scenes
from kyvo.models.refiner import Refiner
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema

SHARES = (0.5, 0.75, 1.05)  # of what an object was off, by which it is moved the other way
MISSED = 0.25  # units: an object read with another word, or farther off, counts as so far off


def look_again(
    refiner: Refiner,
    scenes: Sequence[Scene],
    pictures: Sequence[np.ndarray],
    schema: SceneSchema,
    render: Callable[[list[Scene]], Sequence[np.ndarray | None]],
) -> list[np.ndarray]:
    """Of each scene the best of its picture and those of its moved scenes.

    Args:
        pictures: of the scenes, uint8 [height, width, 3].
        render: gives the pictures of moved scenes, or None for one that it did not come to.
    """
    wanted = [replace(schema.snap(scene, clamp=True), camera=scene.camera) for scene in scenes]
    camera = mean_camera(refiner.config)  # that the model draws for
    read = refine_scenes(refiner, wanted, pictures, schema, cameras=[camera] * len(wanted))
    pairs = list(zip(wanted, read, strict=True))
    again = render([moved(scene, found, share, schema) for scene, found in pairs for share in SHARES])
    owners = [index for index in range(len(wanted)) for _ in SHARES]
    drawn = [(index, picture) for index, picture in zip(owners, again, strict=True) if picture is not None]
    asked = [wanted[index] for index, _ in drawn]
    read_again = refine_scenes(refiner, asked, [picture for _, picture in drawn], schema, cameras=[camera] * len(asked))
    best, errors = list(pictures), [off(scene, found, schema) for scene, found in pairs]
    for (index, picture), found in zip(drawn, read_again, strict=True):
        error = off(wanted[index], found, schema)
        if error < errors[index]:
            best[index], errors[index] = picture, error
    return best


def moved(scene: Scene, read: Scene, share: float, schema: SceneSchema) -> Scene:
    """The scene with each object moved against `share` of what it is read off, inside the schema's numbers."""
    axes = schema.field("location").axes
    places = _floor(scene) - share * (_floor(read) - _floor(scene))
    objects = []
    for item, place in zip(scene.objects, places.tolist(), strict=True):
        x, y = (axis.snap(value, clamp=True) for axis, value in zip(axes, place, strict=False))
        objects.append(item.with_values(location=(x, y, item.location[2])))  # type: ignore[index]
    return replace(scene, objects=tuple(objects))


def off(scene: Scene, read: Scene, schema: SceneSchema) -> float:
    """How far the objects are read from their places, in units and on average; 0 for a scene without any."""
    distances = np.linalg.norm(_floor(read) - _floor(scene), axis=1).clip(max=MISSED)
    names = [field.name for field in schema.word_fields]
    pairs = zip(scene.objects, read.objects, strict=True)
    wrong = [any(found.get(name) != item.get(name) for name in names) for item, found in pairs]
    return float(np.where(wrong, MISSED, distances).mean()) if len(scene) else 0.0


def _floor(scene: Scene) -> Float[np.ndarray, "objects 2"]:
    """Where the objects stand."""
    return np.array([item.location[:2] for item in scene.objects]).reshape(-1, 2)  # type: ignore[index]

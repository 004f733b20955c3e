"""Scenes of shapes from one picture with a mask of each object: what a method gives, and what is done for all of them.

A method makes objects with poses (`kyvo.pipelines.scene_flows`, `scene_tokens`, `scene_baselines`). An object that it
cannot make is left out with a warning; the others are kept. The scene's axes are the method's: z is up, and the lowest
point is brought to z = 0, unless the method knows where the floor is.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from kyvo.data.scene_pictures import ScenePicture
from kyvo.errors import ConfigError, SceneError
from kyvo.generation.flow_sampler import Progress
from kyvo.pipelines.objects import Condition, GeneratedObject, ObjectError, ObjectGenerator, Samples
from kyvo.scene.pose import Pose
from kyvo.shapes.placed import GeneratedScene, PlacedObject
from kyvo.shapes.scene_texts import SceneText

TRIES = 4  # of the objects of a picture, where the likest of several are kept
MAX_ASSETS = 16  # that are made together, all tries counted, where one try is not more


@dataclass(frozen=True, kw_only=True, eq=False)
class MadeObjects:
    """What a method gives: objects in the order of the picture's masks, and what went wrong with the others."""

    objects: Sequence[PlacedObject]
    query: str | None = None
    warnings: Sequence[str] = ()


class SceneMethod(ABC):
    """A way from a picture, with masks where it needs them, to objects that stand somewhere."""

    name: ClassVar[str]
    axes: ClassVar[str]  # as in `GeneratedScene`
    schema: ClassVar[str] = "objaworld-shapes"  # of the scene JSON
    takes_views: ClassVar[bool] = False  # whether it sees more than one picture of the objects
    needs_masks: ClassVar[bool] = True
    has_floor: ClassVar[bool] = False  # whether z = 0 is the floor as it is
    takes_text: ClassVar[bool] = False  # in place of a picture

    @abstractmethod
    def make(self, picture: ScenePicture, samples: Samples) -> MadeObjects:
        """The objects; `samples` has as many as the picture, or one of a picture without masks."""


def generate_scene(
    method: SceneMethod,
    picture: ScenePicture | SceneText,
    *,
    seed: int = 0,
    progress: Callable[[Progress], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> GeneratedScene:
    """A scene of the objects of a picture, or of a text; the same seed gives the same scene.

    Raises:
        ConfigError: there are several views, no masks, or a text, and the method does not take them.
        ObjectError: not one object could be made.
        Cancelled: `cancelled` said so.
    """
    if isinstance(picture, SceneText) != method.takes_text:
        raise ConfigError("a text goes with ISceneFromText, and with no other method; those take pictures.")
    if isinstance(picture, ScenePicture) and picture.others and not method.takes_views:
        raise ConfigError(f"{method.name} takes one picture; SceneGen alone takes several views.")
    if method.needs_masks and not len(picture):
        raise ConfigError(f"{method.name} needs a mask of each object; tokens alone does without.")
    started = time.perf_counter()
    samples = Samples(seed=seed, count=max(len(picture), 1), progress=progress, cancelled=cancelled)
    given: Any = picture  # of the kind that the method takes
    made = method.make(given, samples)
    if not made.objects:
        raise ObjectError(f"No object could be made: {'; '.join(made.warnings)}. Take another seed.")
    lowest = 0.0 if method.has_floor else min(float(item.triangles[..., 2].min()) for item in made.objects)
    up = Pose(translation=(0.0, 0.0, -lowest))
    return GeneratedScene(
        objects=tuple(replace(item, pose=up @ item.pose) for item in made.objects),
        method=method.name,
        axes=method.axes,
        schema=method.schema,
        seed=seed,
        seconds=time.perf_counter() - started,
        query=made.query,
        warnings=(*picture.warnings, *made.warnings),
    )


def crop_tokens(objects: ObjectGenerator, picture: ScenePicture) -> Condition:
    """Each object's own picture as the generator of objects takes it."""
    conditions = [objects.condition(image=picture.crop(index)) for index in range(len(picture))]
    tokens, negative = (torch.cat([getattr(item, name) for item in conditions]) for name in ("tokens", "negative"))
    return Condition(tokens=tokens, negative=negative)


@torch.inference_mode()
def decode_cells(objects: ObjectGenerator, latents: Float[Tensor, "items channels x y z"]) -> list[Tensor]:
    """The active cells, int64 [cells, 3], of each item; some may have none."""
    coords = objects.structure_decoder.decode(latents).coords
    return [coords[coords[:, 0] == index, 1:] for index in range(len(latents))]


def add_details(
    objects: ObjectGenerator, condition: Condition, structures: Sequence[Tensor], samples: Samples
) -> tuple[dict[int, GeneratedObject], dict[int, str]]:
    """An object of each structure that has a face, by its number, and what the others lack."""
    kept = [index for index, cells in enumerate(structures) if len(cells)]
    faults = {index: "it has no cell" for index, cells in enumerate(structures) if not len(cells)}
    if not kept:
        return {}, faults
    chosen = Condition(tokens=condition.tokens[kept], negative=condition.negative[kept])
    made = objects.sample_details(chosen, [structures[index] for index in kept], samples)
    found: dict[int, GeneratedObject] = {}
    for index, item in zip(kept, made, strict=True):
        try:
            faces = len(item.mesh.faces)
        except SceneError as error:
            faults[index] = str(error)
            continue
        if faces:
            found[index] = item
        else:
            faults[index] = "its surface has no face"
    return found, faults


def num_tries(count: int) -> int:
    """How often `count` objects are made."""
    return min(TRIES, max(MAX_ASSETS // count, 1))


def add_details_to_tries(
    objects: ObjectGenerator,
    condition: Condition,
    latents: Float[Tensor, "tries_and_assets channels x y z"],
    samples: Samples,
) -> tuple[dict[int, list[GeneratedObject]], dict[int, str]]:
    """What was made of each object that came out at least once, by its number, and what the others lack.

    Args:
        condition: of each object.
        latents: of all objects, once and again.
    """
    found: dict[int, list[GeneratedObject]] = {}
    faults: dict[int, str] = {}
    for part in latents.split(len(condition.tokens)):
        made, missing = add_details(objects, condition, decode_cells(objects, part), samples)
        faults |= missing
        for index, item in made.items():
            found.setdefault(index, []).append(item)
    return dict(sorted(found.items())), {index: fault for index, fault in faults.items() if index not in found}


def left_out(faults: Mapping[int, str], names: Sequence[str]) -> list[str]:
    """Warnings of objects that could not be made."""
    return [f"{names[index]} is left out: {fault}" for index, fault in faults.items()]

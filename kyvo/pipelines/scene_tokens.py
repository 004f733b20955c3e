"""Scenes of shapes by tokens, Kyvo's own way: a language model writes each object's place, turn and shape codes.

The model sees the picture alone; masks, where there are any, name the objects. The frame is that of
`kyvo.shapes.scene_tokens`. It writes what is likeliest, so the seed of `generate_scene` changes nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from kyvo.data.scene_pictures import MAX_OBJECTS, ScenePicture
from kyvo.errors import CheckpointError, ConfigError
from kyvo.generation.flow_sampler import Progress
from kyvo.generation.language_model import Completion
from kyvo.generation.prompts import length_error
from kyvo.pipelines.objects import ObjectError, Samples
from kyvo.pipelines.recognition import Recognition
from kyvo.pipelines.run import Cancelled, Run
from kyvo.pipelines.scenes import MadeObjects, SceneMethod
from kyvo.scene.pose import Pose
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.source import source_of
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.placed import PlacedObject
from kyvo.shapes.scene_layouts import usual_view
from kyvo.shapes.scene_tokens import FIELDS, SCHEMA
from kyvo.tokenizers.tasks import Segments


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneTokens(SceneMethod):
    """The recognition of a model whose schema has shapes (`Kyvo.recognition`), and its shape tokenizer.

    Raises:
        CheckpointError: the model has no such schema, or its shapes are not of surface features.
    """

    recognition: Recognition

    name: ClassVar[str] = "tokens"
    axes: ClassVar[str] = "view"
    schema: ClassVar[str] = SCHEMA
    needs_masks: ClassVar[bool] = False
    has_floor: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if (reason := lacks_shapes(self.recognition)) is not None:
            raise CheckpointError(reason)

    def make(self, picture: ScenePicture, samples: Samples) -> MadeObjects:
        model = self.recognition.model
        run, shape = Run(model), model.processor.shape
        assert shape is not None  # checked above
        scene, warnings = self._recognized(picture, samples, run)
        if not scene.objects:
            raise ObjectError("; ".join(["The model sees no object in the picture", *warnings]) + ".")
        codes = [item.shape_codes for item in scene.objects]
        latents = run.call(lambda: shape.decode(np.array(codes)))
        names, said = object_names(scene.objects, picture)
        objects, warnings = [], [*warnings, *said]
        for name, item, latent in zip(names, scene.objects, latents, strict=True):
            surface = extract_mesh(latent)
            if not len(surface.faces):
                warnings.append(f"{name} is left out: its surface has no face")
                continue
            objects.append(
                PlacedObject(
                    name=name,
                    surface=surface,
                    pose=pose_of(item),
                    latent=latent,
                    category=item.category,
                    shape_codes=item.shape_codes,
                )
            )
        return MadeObjects(objects=objects, warnings=warnings)

    def _recognized(self, picture: ScenePicture, samples: Samples, run: Run) -> tuple[Scene, list[str]]:
        """The scene as the language model writes it, and what is said of it."""
        recognition = self.recognition
        (fitted,) = recognition.expose(recognition.read([picture.rgb]))
        codes, errors = recognition.encode([fitted.pixels], run)
        found = self._written(codes[0], samples)
        if found.scene is None:
            raise ConfigError(length_error("scene", found.reason))
        (scene,) = recognition.check([found.scene], [fitted.pixels], errors, run)
        cut = ["the model's scene was cut short; objects may be missing"] if found.truncated else []
        return scene, [*fitted.notes, *source_of(scene).warnings, *cut]

    def _written(self, codes: np.ndarray, samples: Samples) -> Completion:
        """Raises Cancelled as `samples` says, which is asked after each object."""
        model, began = self.recognition.model, time.perf_counter()
        pending = model.submit("recognition", Segments(image=codes), max_objects=MAX_OBJECTS)
        ended = model.builder.vocabulary.marker_id("[OBJECT-END]")
        done = 0
        try:
            for token in pending.stream():
                if token != ended:
                    continue
                done += 1
                if samples.progress is not None:
                    seconds = time.perf_counter() - began
                    left = seconds / done * (MAX_OBJECTS - done)  # at most
                    samples.progress(
                        Progress(stage="objects", step=done, num_steps=MAX_OBJECTS, seconds=seconds, seconds_left=left)
                    )
                if samples.cancelled is not None and samples.cancelled():
                    raise Cancelled("nobody waits for this any more.")
        finally:
            pending.cancel()  # of one that has ended it does nothing
        return pending.result()


def lacks_shapes(recognition: Recognition) -> str | None:
    """Why a model makes no scenes of shapes; None where it does."""
    model = recognition.model
    processor, name = model.processor, Path(model.model.name_or_path or "").name or "this model"
    known = {field.name for field in processor.schema.fields}
    lacking = [field for field in FIELDS if field not in known]
    train = "docs/scenes.md says how one is trained, with configs/schemas/scene_shapes.yaml."
    if lacking or processor.shape is None:
        return (
            f"{name} writes no scenes of shapes: its schema {processor.schema.name!r} has no {', '.join(lacking)}. "
            f"Give the folder of a model whose schema has {', '.join(FIELDS)}; {train}"
        )
    if processor.shape.config.kind != "surface":
        return (
            f"{name} has shape codes of latents of kind {processor.shape.config.kind!r}, whose surfaces come from a "
            f"decoder of their own. Give a model with codes of surface features; {train}"
        )
    return None


def pose_of(item: SceneObject) -> Pose:
    """Of an object that a model has written; turned about the up axis alone."""
    assert item.location is not None and item.pose is not None  # the schema has them
    return Pose.of_turn(item.pose[2], translation=item.location, scale=float(item.extra["scale"]))


def object_names(objects: Sequence[SceneObject], picture: ScenePicture) -> tuple[list[str], list[str]]:
    """A name of each object, and what is said of masks and objects that found no partner.

    Without masks it is the object's number and category. With masks, each object has that of the mask where it is seen:
    masks and objects are assigned by the distance of their centres in the picture, as a usual camera sees the scene.
    """
    if not len(picture):
        return [f"{number} {item.category}" for number, item in enumerate(objects)], []
    apart = np.linalg.norm(_seen_centers(objects)[:, None] - _mask_centers(picture)[None], axis=-1)
    partner = dict(zip(*(indices.tolist() for indices in linear_sum_assignment(apart)), strict=True))
    names, said = [], []
    for number, item in enumerate(objects):
        if number in partner:
            names.append(picture.names[partner[number]])
        else:
            names.append(f"{item.category}, object {number} of the model")
            said.append(f"{names[-1]} has no mask")
    taken = set(partner.values())
    left = (name for number, name in enumerate(picture.names) if number not in taken)
    said += [f"{name} is left out: the model sees no object there" for name in left]
    return names, said


def _seen_centers(objects: Sequence[SceneObject]) -> Float[np.ndarray, "objects 2"]:
    """In shares of the picture's sides."""
    corners = np.array(np.meshgrid(*[[-0.5, 0.5]] * 3)).reshape(3, -1).T
    points = np.concatenate([pose_of(item).apply(corners) for item in objects])
    return usual_view(points).project(np.array([item.location for item in objects]))[:, :2]


def _mask_centers(picture: ScenePicture) -> Float[np.ndarray, "objects 2"]:
    height, width = picture.masks.shape[1:]
    centers = [np.argwhere(mask).mean(0)[::-1] / (width, height) for mask in picture.masks]
    return np.array(centers)

"""Scenes that were recognised, read once more from the pixels of their pictures (`kyvo.models.heads.refiner`).

The language model says which objects there are; this says of each of them, more exactly, where it stands, and corrects
words that the pixels speak against. Objects are never added or left out.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from kyvo.errors import CheckpointError
from kyvo.models.heads.refiner import Refiner, RefinerConfig
from kyvo.scene.scene import Camera, Scene, Vector
from kyvo.scene.schema import SceneSchema

CHUNK = 32  # pictures at a time
DIGITS = 4  # of a refined number
# An estimate this near the mean camera is taken for it: nine of ten where it is that camera, and one of 25 where it was
# moved by up to half a unit along each axis, on development pictures. Units; rad; a factor's logarithm.
SAME_DISTANCE, SAME_HEIGHT = 0.06, 0.12
SAME_ROLL, SAME_ZOOM = 0.01, 0.025


def as_tensors(
    scenes: Sequence[Scene], schema: SceneSchema
) -> tuple[Int[Tensor, "batch objects fields"], Float[Tensor, "batch objects 3"], Bool[Tensor, "batch objects"]]:
    """Words by their places among their fields', locations, and which rows are objects; at least one row a scene."""
    fields, most = schema.word_fields, max([1, *map(len, scenes)])
    words = torch.zeros(len(scenes), most, len(fields), dtype=torch.long)
    locations = torch.zeros(len(scenes), most, 3)
    valid = torch.zeros(len(scenes), most, dtype=torch.bool)
    for number, scene in enumerate(scenes):
        for index, item in enumerate(scene.objects):
            words[number, index] = torch.tensor([field.words.index(item.get(field.name)) for field in fields])
            locations[number, index] = torch.tensor(item.location)
            valid[number, index] = True
    return words, locations, valid


def check_fits(refiner: Refiner, schema: SceneSchema, *, width: int, height: int) -> None:
    """Raises CheckpointError for a refiner of other words, another picture size (px), or another frame."""
    config, words = refiner.config, schema.word_counts
    if not schema.has_locations:
        raise CheckpointError(f"the schema {schema.name!r} has no locations in a world frame, which a refiner reads.")
    if config.words != words or (config.width, config.height) != (width, height):
        raise CheckpointError(
            f"the refiner reads {config.width}x{config.height} px and fields of {config.words} words; the model has "
            f"{width}x{height} px and {words} words. The folder mixes two models."
        )


def to_unit(pictures: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 height width"]:
    """Pictures as the refiner takes them: in [0, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 255


def mean_camera(config: RefinerConfig) -> Camera:
    """The camera that the pictures of a refiner, and of its model, have on average."""
    return _camera(config, config.camera)


@torch.inference_mode()
def refine_scenes(
    refiner: Refiner,
    scenes: Sequence[Scene],
    pictures: Sequence[UInt8[np.ndarray, "h w 3"]],
    schema: SceneSchema,
    *,
    cameras: Sequence[Camera | None] | None = None,
) -> list[Scene]:
    """The scenes with refined locations and words, and the camera that sees them so; locations are inside the schema's
    numbers, heights among them.

    Args:
        pictures: that each was recognised in, at the refiner's size.
        cameras: that took them, as far as they are known; others are read from the pictures.
    """
    config, known = refiner.config, cameras or [None] * len(scenes)
    known = [camera and camera.resized(config.width, config.height) for camera in known]
    done = [replace(scene, camera=camera or scene.camera) for scene, camera in zip(scenes, known, strict=True)]
    shown = [index for index, scene in enumerate(scenes) if scene.objects]
    for start in range(0, len(shown), CHUNK):
        chunk = shown[start : start + CHUNK]
        refined = _refine(
            refiner,
            [scenes[index] for index in chunk],
            [pictures[index] for index in chunk],
            schema,
            [known[index] for index in chunk],
        )
        for index, scene in zip(chunk, refined, strict=True):
            done[index] = scene
    return done


def _refine(
    refiner: Refiner,
    scenes: Sequence[Scene],
    pictures: Sequence[np.ndarray],
    schema: SceneSchema,
    known: Sequence[Camera | None],
) -> list[Scene]:
    device = refiner.camera.weight.device
    words, locations, valid = as_tensors(scenes, schema)
    pixels = to_unit(torch.from_numpy(np.stack(pictures)).to(device))
    found = refiner(pixels, words.to(device), locations.to(device), valid.to(device))
    config, read, mean = refiner.config, found.locations.cpu().numpy(), mean_camera(refiner.config)
    centers = found.centers.cpu().numpy()
    own_cameras = found.cameras.cpu().numpy().astype(float).round(DIGITS)
    frames = found.frames.cpu().numpy().astype(float).round(DIGITS)
    cameras = []
    for number, camera in enumerate(known):
        if camera is None and _is_like(mean, own_cameras[number], frames[number]):
            camera = mean
        if camera is None:
            roll, zoom = frames[number].tolist()
            camera = _camera(config, tuple(own_cameras[number].tolist()))  # type: ignore[arg-type]
            if roll or zoom:
                camera = camera.turned(roll=roll, zoom=math.exp(zoom))
        else:
            read[number] = camera.at_heights(centers[number], read[number, :, 2])
        cameras.append(camera)
    chosen = torch.stack([logits.argmax(-1) for logits in found.words], dim=-1).tolist()
    fields = schema.word_fields
    axes = schema.field("location").axes
    lowest, highest = zip(*((axis.values[0], axis.values[-1]) for axis in axes), strict=True)
    read = np.clip(read, lowest, highest).round(DIGITS)
    read[..., 2] = np.vectorize(axes[2].snap)(read[..., 2])  # things stand at few heights, which bins tell exactly
    refined = []
    for number, scene in enumerate(scenes):
        objects = []
        for index, item in enumerate(scene.objects):
            named = {field.name: field.words[word] for field, word in zip(fields, chosen[number][index], strict=True)}
            objects.append(item.with_values(**named, location=tuple(map(float, read[number, index]))))
        refined.append(replace(scene, objects=tuple(objects), camera=cameras[number]))
    return refined


def _is_like(mean: Camera, location: np.ndarray, frame: np.ndarray) -> bool:
    """Whether a camera that was read is the mean one, as far as a picture tells.

    A plain floor tells a camera's height and distance, and hardly by how much it is turned about the vertical. Where
    the first two agree, the camera has most likely not been moved, and so the turn is known, too.
    """
    distance = math.hypot(*location[:2]) - math.hypot(*mean.location[:2])
    height, (roll, zoom) = location[2] - mean.location[2], frame
    limits = (SAME_DISTANCE, SAME_HEIGHT, SAME_ROLL, SAME_ZOOM)
    return all(abs(apart) <= limit for apart, limit in zip((distance, height, roll, zoom), limits, strict=True))


def _camera(config: RefinerConfig, location: Vector) -> Camera:
    return Camera.look_at(
        location=location, focal=config.focal * config.width, width=config.width, height=config.height
    )

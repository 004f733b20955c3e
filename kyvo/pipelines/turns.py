"""How a made object is turned about the up axis: so that it looks most like its crop.

The generator's turn head says how likely each turn is from the crop alone. The object itself, seen from all sides, is
compared with the crop by color and outline. The head's config says how much each counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kyvo.data.object_pictures import ObjectPicture
from kyvo.models.heads.turn_head import equal_turns
from kyvo.models.slat.flexicubes import Surface
from kyvo.pipelines.likeness import VIEW, thumbnail, thumbnails
from kyvo.pipelines.objects import GeneratedObject, ObjectGenerator
from kyvo.shapes.pictures import side_camera
from kyvo.shapes.scene_layouts import PITCHES
from kyvo.shapes.views import DISTANCE

PITCH = sum(PITCHES) / 2  # degrees that a usual camera looks down


@dataclass(frozen=True, kw_only=True)
class TurnMatch:
    """The likeliest turn of an object."""

    turn: float  # rad, in axes that follow the camera
    distance: float  # from the crop; of several objects made of one crop, the one with the least looks most like it


@torch.inference_mode()
def find_turn(
    generator: ObjectGenerator, surface: Surface, crop: ObjectPicture, tokens: Float[Tensor, "places channels"]
) -> TurnMatch:
    """The likeliest turn of a made object.

    Args:
        surface: of the object that the generator made, in its cube.
        crop: the object's picture, cut out.
        tokens: of the crop, by the generator's picture encoder.
    """
    head = generator.turn_head
    turns = (equal_turns() if head is None else head.turns).tolist()
    seen = object_views(surface, turns, pitches=(PITCHES[0], PITCH, PITCHES[1]))
    distances = ((seen - thumbnail(crop.rgba)) ** 2).sum((2, 3, 4)).min(0)  # of each turn, under the likest pitch
    if head is not None:
        distances = distances / head.config.thumbnail_noise - head(tokens[None])[0].double().cpu().numpy()
    best = int(distances.argmin())
    return TurnMatch(turn=turns[best], distance=float(distances[best]))


def find_likest(
    generator: ObjectGenerator,
    made: Sequence[GeneratedObject],
    crop: ObjectPicture,
    tokens: Float[Tensor, "places channels"],
) -> tuple[GeneratedObject, float]:
    """Of several objects made of one crop the one that looks most like it, and its turn, rad. As `find_turn`."""
    matches = [find_turn(generator, item.mesh, crop, tokens) for item in made]
    best = min(range(len(made)), key=lambda number: matches[number].distance)
    return made[best], matches[best].turn


def object_views(
    surface: Surface, turns: Sequence[float], *, pitches: Sequence[float] = (PITCH,)
) -> Float[np.ndarray, "pitches turns side side 4"]:
    """Thumbnails of an object that is turned about the up axis, and seen from in front and above.

    Args:
        turns: rad.
        pitches: degrees that the camera looks down.
    """
    # To turn the object is to go around it the other way; in front is -y.
    around = [
        side_camera(-90 - math.degrees(turn), elevation=pitch, distance=DISTANCE, size=VIEW)
        for pitch in pitches
        for turn in turns
    ]
    seen = thumbnails(surface, around)
    return seen.reshape(len(pitches), len(turns), *seen.shape[1:])

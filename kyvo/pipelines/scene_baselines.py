"""Two baselines of scene generation: independent objects, and objects of a library. Both are placed by the camera.

An object stands on the floor where its mask ends below, as large as its mask is. What stands on another object is so
put on the floor behind it. The camera is the one that is given, else the picture's; without any, one of the kind that
random scenes have is taken.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from kyvo.data.scene_pictures import ScenePicture
from kyvo.errors import ConfigError, ImageError
from kyvo.models.heads.turn_head import equal_turns
from kyvo.models.slat.flexicubes import Surface
from kyvo.models.slat.latent import StructuredLatent
from kyvo.pipelines.likeness import thumbnail
from kyvo.pipelines.objects import Condition, ObjectGenerator, Samples
from kyvo.pipelines.placement import mask_boxes
from kyvo.pipelines.scenes import (
    MadeObjects,
    SceneMethod,
    add_details_to_tries,
    crop_tokens,
    left_out,
    num_tries,
)
from kyvo.pipelines.turns import find_likest, object_views
from kyvo.scene.pose import Pose
from kyvo.scene.scene import Camera
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.placed import PlacedObject
from kyvo.shapes.scene_layouts import USUAL_FIELD_OF_VIEW, USUAL_PITCH, near_side_camera

CAMERA_DISTANCE = 4.0  # of the usual camera, in scene units
ROUNDS = 8  # of fitting an object to its mask
TURNS = 8  # about the up axis, that each object of a library is seen from


def usual_camera(width: int, height: int) -> Camera:
    """In the middle of the cameras that random scenes are seen from; it looks at the origin."""
    return near_side_camera(
        np.zeros(3),
        distance=CAMERA_DISTANCE,
        pitch=USUAL_PITCH,
        field=USUAL_FIELD_OF_VIEW,
        width=width,
        height=height,
    )


def stand_on_floor(
    points: Float[np.ndarray, "points 3"], mask: Bool[np.ndarray, "height width"], camera: Camera, *, turn: float = 0.0
) -> Pose:
    """Where an object of its cube stands on the floor, z = 0, so that its picture's box is the mask's.

    Args:
        points: of its surface, in the cube.
        camera: of the mask's picture.
        turn: about the up axis, rad.
    """
    (wanted,) = mask_boxes(mask[None])
    below = -float(points[:, 2].min())
    foot = camera.at_heights(_bottom(wanted)[None], np.zeros(1))[0]
    scale = 1.0
    for _ in range(ROUNDS):
        pose = Pose.of_turn(turn, translation=(float(foot[0]), float(foot[1]), scale * below), scale=scale)
        seen = camera.project(pose.apply(points))
        found = np.concatenate([seen[:, :2].min(0), seen[:, :2].max(0)])
        ratio = math.prod(wanted[2:] - wanted[:2]) / max(math.prod(found[2:] - found[:2]), 1e-6)
        scale *= float(np.clip(math.sqrt(ratio), 0.5, 2.0))
        ends = camera.at_heights(np.stack([_bottom(wanted), _bottom(found)]), np.zeros(2))
        foot = foot + np.clip(ends[0] - ends[1], -1, 1)
    return Pose.of_turn(turn, translation=(float(foot[0]), float(foot[1]), scale * below), scale=scale)


def _bottom(box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "2"]:
    return np.array([(box[0] + box[2]) / 2, box[3]])


def _placed(
    name: str, surface: Surface, latent: StructuredLatent, mask: np.ndarray, camera: Camera, turn: float
) -> PlacedObject:
    points = surface.vertices.detach().cpu().double().numpy()
    pose = stand_on_floor(points, mask, camera, turn=turn)
    return PlacedObject(name=name, surface=surface, pose=pose, latent=latent)


@dataclass(frozen=True, kw_only=True, eq=False)
class IndependentObjects(SceneMethod):
    """Each object by the generator of objects from its own crop: the likest of several, turned as in the crop."""

    objects: ObjectGenerator
    camera: Camera | None = None

    name: ClassVar[str] = "independent"
    axes: ClassVar[str] = "view"

    def make(self, picture: ScenePicture, samples: Samples) -> MadeObjects:
        crops = crop_tokens(self.objects, picture)
        tries = num_tries(len(picture))
        every = Condition(tokens=crops.tokens.repeat(tries, 1, 1), negative=crops.negative.repeat(tries, 1, 1))
        latents = self.objects.sample_structure_latents(every, replace(samples, count=tries * len(picture)))
        found, faults = add_details_to_tries(self.objects, crops, latents, samples)
        camera = _camera_of(picture, self.camera)
        objects = []
        for index, made in found.items():
            item, turn = find_likest(self.objects, made, picture.crop(index), crops.tokens[index])
            objects.append(_placed(picture.names[index], item.mesh, item.slat, picture.masks[index], camera, turn))
        return MadeObjects(objects=objects, warnings=left_out(faults, picture.names))


@dataclass(frozen=True, kw_only=True, eq=False)
class LibraryView:
    """One object of a library as it looks from one side."""

    latent: StructuredLatent
    turn: float  # rad
    thumbnail: Float[np.ndarray, "side side 4"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Retrieval(SceneMethod):
    """The object and turn of a library whose picture is nearest to the crop, by color and outline."""

    views: Sequence[LibraryView]
    camera: Camera | None = None

    name: ClassVar[str] = "retrieval"
    axes: ClassVar[str] = "view"

    @classmethod
    def from_set(
        cls,
        folder: Path,
        *,
        resolution: int,
        count: int | None = None,
        camera: Camera | None = None,
        watch: Callable[[int], object] = lambda done: None,
    ) -> "Retrieval":
        """Of a set of `kyvo data objects`, all of it or its first rows.

        Args:
            watch: called with the number of each object when it has been looked at.

        Raises:
            ConfigError: the folder is no such set, or is on another grid.
        """
        from kyvo.shapes.flow_data import ObjectRows  # needs the extra that reads sets

        rows = ObjectRows.open([folder], resolution=resolution)
        views: list[LibraryView] = []
        for index in range(min(len(rows), count or len(rows))):
            cells, feats = rows.cells(index)
            views += library_views(StructuredLatent(coords=cells, feats=feats, resolution=resolution))
            watch(index)
        if not views:
            raise ConfigError(f"{folder} holds no object to retrieve.")
        return cls(views=views, camera=camera)

    def make(self, picture: ScenePicture, samples: Samples) -> MadeObjects:
        library = np.stack([view.thumbnail for view in self.views])
        camera = _camera_of(picture, self.camera)
        objects, warnings = [], []
        for index, name in enumerate(picture.names):
            try:
                wanted = thumbnail(picture.crop(index).rgba)
            except ImageError as error:
                warnings.append(f"{name} is left out: {error}")
                continue
            best = self.views[int(((library - wanted) ** 2).sum((1, 2, 3)).argmin())]
            surface = extract_mesh(best.latent)
            objects.append(_placed(name, surface, best.latent, picture.masks[index], camera, best.turn))
        return MadeObjects(objects=objects, warnings=warnings)


def library_views(latent: StructuredLatent) -> list[LibraryView]:
    """An object of surface features as it looks from all sides."""
    turns = equal_turns(TURNS).tolist()
    (seen,) = object_views(extract_mesh(latent), turns)
    return [LibraryView(latent=latent, turn=turn, thumbnail=view) for turn, view in zip(turns, seen, strict=True)]


def _camera_of(picture: ScenePicture, camera: Camera | None) -> Camera:
    height, width = picture.rgb.shape[:2]
    known = camera or picture.camera
    return usual_camera(width, height) if known is None else _facing_away(known.resized(width, height))


def _facing_away(camera: Camera) -> Camera:
    """The camera turned about the up axis through the origin, so that it looks along y: axes are then view-centric."""
    x, y, _ = camera.rotation[2]
    turn = Pose.of_turn(math.atan2(x, y))
    location, *axes = turn.apply(np.array([camera.location, *camera.rotation])).tolist()
    return replace(camera, location=tuple(location), rotation=tuple(map(tuple, axes)))

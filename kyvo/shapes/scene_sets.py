"""Sets of scenes of several objects to train and judge scene generators on, as Arrow files.

A row is one picture of 2 to 12 objects in a random layout (`kyvo.shapes.scene_layouts`), with masks, poses, and each
object's cells: in its own cube with surface features, and in the cube around the scene. Objects are drawn from the
procedural library, or half of them from a folder of meshes; or they stand as in rooms of 3D-FRONT.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image as Picture

from kyvo.data.dataset import SetSettings, SkippedItem, picture_cell, scene_cell
from kyvo.data.meshes.assets import Asset
from kyvo.data.meshes.mesh_files import AssetError
from kyvo.data.meshes.mesh_renderer import Environment, render
from kyvo.data.object_pictures import SMALLEST_SHARE
from kyvo.errors import ConfigError, SceneError
from kyvo.extras import extra
from kyvo.models.slat.latent import LatentError
from kyvo.scene.pose import Pose
from kyvo.scene.scene import Camera, Scene, SceneObject, Vector
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.front_rooms import FrontFolder, nearest, stand, turned
from kyvo.shapes.mesh import load_shape
from kyvo.shapes.object_sets import draw_object, read_manifest
from kyvo.shapes.scene_layouts import MIN_SHOWN, PosedAsset, lay_out, look_at, object_masks, scene_cube
from kyvo.shapes.sets import mesh_paths
from kyvo.shapes.voxelize import voxelize

with extra("data"):
    from datasets import Dataset, Features, Image, List, Value

SOURCE_SHARE = 0.5  # of objects that come from the folder, where there is one
MAX_SCENES = 50  # that are begun until all objects of one are seen
SCHEMA = "objaworld-shapes"
ROOMS = "rooms"


@dataclass(frozen=True, kw_only=True)
class SceneSet(SetSettings):
    """Scenes of posed objects with a picture, masks and cells."""

    seed: int
    block: int = 100  # a scene takes a second or more
    source: str = ""  # a folder of meshes, or of rooms
    files: tuple[str, ...] = field(default=())  # of that folder
    layout: str | None = None  # ROOMS: as in a room of 3D-FRONT; else at random
    min_objects: int = 2
    max_objects: int = 12
    resolution: int = 32  # cells along a side of every grid
    size: int = 192  # px of the picture's side

    kind: ClassVar[str] = "scenes"
    what: ClassVar[str] = "Scenes of several objects with pictures, masks, poses and cells"
    columns: ClassVar[dict[str, str]] = {
        "image": "the picture",
        "scene": "scene JSON: the camera, and each object's category, place, pose, scale and what it stands on",
        "num_objects": "number of objects",
        "visible": "a mask of each object: where it shows",
        "full": "a mask of each object: where it would show if it stood there alone",
        "cells": "uint8 [cells, 3] of each object: its active cells in its own cube",
        "feats": "float16 [cells, 12] of each object: features of `kyvo.shapes.contour`",
        "scene_cells": "uint8 [cells, 3] of each object: its active cells in the scene's cube",
        "cube": "float32 [4]: centre and side of the scene's cube",
    }
    features: ClassVar[Features] = Features(
        {
            "image": Image(),
            "scene": Value("string"),
            "num_objects": Value("int32"),
            "visible": List(Image()),
            "full": List(Image()),
            "cells": List(Value("binary")),
            "feats": List(Value("binary")),
            "scene_cells": List(Value("binary")),
            "cube": List(Value("float32")),
        }
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.min_objects <= self.max_objects <= 12:
            raise ConfigError(
                f"min_objects is {self.min_objects} and max_objects {self.max_objects}; a scene has 2 to 12."
            )

    @classmethod
    def of(cls, source: Path, **settings: Any) -> "SceneSet":
        """With meshes of a folder. Raises ConfigError for a folder without a mesh."""
        files = tuple(str(path.relative_to(source)) for path in mesh_paths(source))
        if not files:
            raise ConfigError(f"{source} has no mesh file; give a folder of GLB, glTF, OBJ or PLY files.")
        return cls(source=str(source), files=files, **settings)

    @classmethod
    def of_rooms(cls, folder: Path, **settings: Any) -> "SceneSet":
        """Of the furniture of rooms (`kyvo.shapes.front_rooms`). Raises ConfigError for a folder without them."""
        files = tuple(str(path.relative_to(folder)) for path in FrontFolder(folder).houses)
        return cls(source=str(folder), files=files, layout=ROOMS, **settings)

    def rows(self, indices: Sequence[int]) -> Iterator[dict[str, Any] | SkippedItem]:
        for index in indices:
            try:
                yield self.row(index)
            except (AssetError, LatentError, SceneError) as error:
                if not (self.source or isinstance(error, SceneError)):
                    raise  # the library's own meshes are good
                yield SkippedItem(name=f"scene {index}", reason=str(error))

    def figures(self, rows: Dataset, missing: Sequence[SkippedItem]) -> dict[str, Any]:
        """How many objects there are, and how many stand on another."""
        objects = [item for text in rows["scene"] for item in json.loads(text)["objects"]]
        return {"objects": len(objects), "on_others": sum("on" in item for item in objects)}

    def row(self, index: int) -> dict[str, Any]:
        """Raises AssetError for a mesh that cannot be read, and SceneError where an object is always hidden."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, index]))
        posed, camera, shown, full = _seen(self._arrangement(rng), rng, size=self.size)
        cube = scene_cube([item.triangles for item in posed])
        into = cube.inverse()
        latents = [surface_latent(item.asset, resolution=self.resolution) for item in posed]
        inside = [voxelize(into.apply(item.triangles), resolution=self.resolution) for item in posed]
        picture = render([item.placed for item in posed], camera=camera, setting=_setting(rng))
        return {
            "image": picture_cell(picture, f"{index:06}.png"),
            "scene": scene_cell(as_scene(posed, camera)),
            "num_objects": len(posed),
            "visible": [_mask_cell(mask) for mask in shown],
            "full": [_mask_cell(mask) for mask in full],
            "cells": [latent.coords.numpy().astype(np.uint8).tobytes() for latent in latents],
            "feats": [latent.feats.numpy().astype(np.float16).tobytes() for latent in latents],
            "scene_cells": [cells.astype(np.uint8).tobytes() for cells in inside],
            "cube": [*cube.translation, cube.scale],
        }

    def _arrangement(self, rng: np.random.Generator) -> Callable[[], list[PosedAsset]]:
        """Each call gives one way to stand. Raises as `row` does."""
        count = int(rng.integers(self.min_objects, self.max_objects + 1))
        if self.layout == ROOMS:
            posed = self._room(rng, count)
            return lambda: turned(posed, float(rng.uniform(-math.pi, math.pi)))
        assets = [self._asset(rng, number) for number in range(count)]
        return lambda: lay_out(assets, rng)

    def _room(self, rng: np.random.Generator, count: int) -> list[PosedAsset]:
        folder = FrontFolder(Path(self.source))
        for _ in range(MAX_SCENES):
            house = Path(self.source) / self.files[int(rng.integers(len(self.files)))]
            rooms = [room for room in folder.rooms(house) if len(room) >= self.min_objects]
            if rooms:
                chosen = nearest(rooms[int(rng.integers(len(rooms)))], rng, count=count)
                return [stand(item) for item in chosen]
        raise SceneError(f"none of {MAX_SCENES} houses has a room with {self.min_objects} pieces of furniture.")

    def _asset(self, rng: np.random.Generator, number: int) -> Asset:
        if self.source and rng.random() < SOURCE_SHARE:
            folder, file = Path(self.source), self.files[int(rng.integers(len(self.files)))]
            mesh = load_shape(folder / file)
            return replace(mesh, category=read_manifest(folder).get(file, {}).get("category") or mesh.category)
        return draw_object(rng, index=number)[0]

    def about(self) -> str:
        if self.layout == ROOMS:
            return (
                f"Scenes of {self.min_objects} to {self.max_objects} pieces of furniture of 3D-FUTURE as they stand\n"
                f"in rooms of 3D-FRONT, without walls, seen in pictures of {self.size} px, with grids of\n"
                f"{self.resolution}. Axes are view-centric. The licences of both sets hold for this one."
            )
        meshes = f" and of meshes of {Path(self.source).name}" if self.source else ""
        return (
            f"Scenes of {self.min_objects} to {self.max_objects} objects of the procedural library{meshes}, seen in\n"
            f"pictures of {self.size} px, with grids of {self.resolution}. Axes are view-centric: x to the camera's\n"
            f"right, y away from it, z up. Each row is set by the seed, {self.seed}, and its number alone."
        )


def _seen(
    arrange: Callable[[], list[PosedAsset]], rng: np.random.Generator, *, size: int
) -> tuple[list[PosedAsset], Camera, np.ndarray, np.ndarray]:
    """A layout and a camera that sees each object, and the masks; after MAX_SCENES the one that shows most of them."""
    best: tuple[list[PosedAsset], Camera, np.ndarray, np.ndarray] | None = None
    for _ in range(MAX_SCENES):
        try:
            posed = arrange()
        except SceneError:  # no room in this one
            continue
        camera = look_at(posed, rng, size=size)
        masks = object_masks(posed, camera)
        found = (posed, camera, *masks)
        if (masks[0].mean((1, 2)) >= MIN_SHOWN).all():
            return found
        if best is None or _least(masks[0]) > _least(best[2]):
            best = found
    if best is None or _least(best[2]) < SMALLEST_SHARE:
        raise SceneError(f"in each of {MAX_SCENES} layouts an object was hidden or found no room.")
    return best


def _least(masks: np.ndarray) -> float:
    return float(masks.mean((1, 2)).min())


def _setting(rng: np.random.Generator) -> Environment:
    """A floor, a sky and a sun at random, light enough for any object to show."""
    floor, horizon = rng.uniform(0.45, 0.85, 3), rng.uniform(0.7, 0.95, 3)
    sun: Vector = (float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-1.0, -0.2)), 1.0)
    return Environment(sun=sun, floor=_vector(floor), horizon=_vector(horizon))


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (round(float(value), 4) for value in values)
    return x, y, z


def as_scene(posed: Sequence[PosedAsset], camera: Camera) -> Scene:
    """Scene JSON's view of them: `location` is the cube's centre, `scale` its side, `on` what they stand on."""
    objects = []
    for item in posed:
        more = {"name": item.asset.name, "scale": round(item.pose.scale, 6)} | (
            {} if item.on is None else {"on": item.on}
        )
        objects.append(
            SceneObject(category=item.asset.category, location=item.pose.translation, pose=item.pose.euler, extra=more)
        )
    return Scene(objects=tuple(objects), schema=SCHEMA, camera=camera, extra={"axes": "view"})


def poses_of(scene: Scene) -> list[Pose]:
    """The poses of a row's objects."""
    found = []
    for item in scene.objects:
        assert item.location is not None and item.pose is not None  # the axes keep turns about z alone
        found.append(Pose.of_turn(item.pose[2], translation=item.location, scale=float(item.extra["scale"])))
    return found


def _mask_cell(mask: np.ndarray) -> dict[str, Any]:
    return picture_cell(np.asarray(Picture.fromarray(np.where(mask, 255, 0).astype(np.uint8))), "mask.png")

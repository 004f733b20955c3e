"""Random scenes of objects: discs on a floor, something on a table, and the camera that sees all of it.

Layouts have no meaning, as those that I-Scene is trained on (https://arxiv.org/abs/2512.13683): objects of any kinds
beside each other. The axes are view-centric: x goes to the camera's right, y away from it, z up.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from kyvo.data.meshes.assets import Asset
from kyvo.data.meshes.layout import random_layout, table_top
from kyvo.data.meshes.mesh_renderer import PlacedAsset, visible
from kyvo.errors import SceneError
from kyvo.scene.pose import Pose
from kyvo.scene.scene import Camera

SIZES = (0.6, 1.4)  # longest side of an object, in scene units
TABLE_SIZES = (1.2, 1.8)  # of one that carries another
TABLE_SHARE = 0.5  # of scenes, where an object has a top to stand on
LEAST_ON_TABLE = 0.15  # longest side of what stands on a table
FLOOR = 12.0  # half side of the square in which a layout must find room
PITCHES = (20.0, 45.0)  # degrees that a camera looks down
FIELDS_OF_VIEW = (35.0, 50.0)  # degrees
USUAL_PITCH, USUAL_FIELD_OF_VIEW = (math.radians(sum(bounds) / 2) for bounds in (PITCHES, FIELDS_OF_VIEW))
MARGIN = 0.04  # of a picture's side, around the objects
LOOSER = 1.15  # largest factor of the distance at which they fill the picture
MIN_SHOWN = 0.0025  # of the picture that each object covers


@dataclass(frozen=True, kw_only=True, eq=False)
class PosedAsset:
    """A mesh in the cube, and where it stands."""

    asset: Asset
    pose: Pose
    on: int | None = None  # index of the object that it stands on; None: the floor

    @property
    def triangles(self) -> Float[np.ndarray, "faces 3 3"]:
        """In the scene's frame."""
        return self.pose.apply(self.asset.triangles)

    @property
    def placed(self) -> PlacedAsset:
        """As the ray caster takes it."""
        return PlacedAsset(
            asset=self.asset, location=self.pose.translation, pose=self.pose.euler, scale=self.pose.scale
        )


def lay_out(assets: Sequence[Asset], rng: np.random.Generator) -> list[PosedAsset]:
    """The assets on a floor at z = 0 without collisions; in some scenes the last one on top of another.

    Raises:
        SceneError: they find no room.
    """
    sizes = rng.uniform(*SIZES, len(assets))
    turns = rng.uniform(-math.pi, math.pi, len(assets))
    table = _table(assets[:-1]) if rng.random() < TABLE_SHARE else None
    on_floor = len(assets) if table is None else len(assets) - 1
    if table is not None:
        sizes[table] = rng.uniform(*TABLE_SIZES)
    radii = np.array([asset.radius for asset in assets[:on_floor]]) * sizes[:on_floor]
    layout = random_layout(radii, rng=rng, half_side=FLOOR, first=table)
    posed = [
        _standing(asset, (x, y), 0.0, turn, size)
        for asset, (x, y), turn, size in zip(
            assets[:on_floor], layout.centers.tolist(), turns.tolist(), sizes.tolist(), strict=False
        )
    ]
    if table is not None:
        base, small = posed[table], assets[-1]
        top = table_top(base.asset.triangles, name=base.asset.name)
        x, y, z = base.pose.apply(np.array([top.x, top.y, top.height])).tolist()
        size = min(float(sizes[-1]), top.free * base.pose.scale / small.radius)
        posed.append(_standing(small, (x, y), z, float(turns[-1]), size, on=table))
    return posed


def _table(assets: Sequence[Asset]) -> int | None:
    """The first of them that something can stand on."""
    for index, asset in enumerate(assets):
        try:
            top = table_top(asset.triangles, name=asset.name)
        except SceneError:
            continue
        if top.free * TABLE_SIZES[0] > LEAST_ON_TABLE:
            return index
    return None


def _standing(
    asset: Asset, place: tuple[float, float], bottom: float, turn: float, size: float, *, on: int | None = None
) -> PosedAsset:
    center = (*place, bottom - size * float(asset.triangles[..., 2].min()))
    return PosedAsset(asset=asset, pose=Pose.of_turn(turn, translation=center, scale=size), on=on)


def look_at(posed: Sequence[PosedAsset], rng: np.random.Generator, *, size: int) -> Camera:
    """A camera on the scene's near side from which a square picture holds all objects."""
    points = np.concatenate([item.triangles.reshape(-1, 3) for item in posed])
    pitch, field = (math.radians(rng.uniform(*bounds)) for bounds in (PITCHES, FIELDS_OF_VIEW))
    camera = _cameras(points, pitch=pitch, field=field, size=size)
    return camera(_nearest(camera, points) * rng.uniform(1.0, LOOSER))


def usual_view(points: Float[np.ndarray, "points 3"]) -> Camera:
    """In the middle of the cameras that `look_at` draws, the nearest that holds the points; its picture has side 1."""
    camera = _cameras(points, pitch=USUAL_PITCH, field=USUAL_FIELD_OF_VIEW, size=1)
    return camera(_nearest(camera, points))


def _cameras(
    points: Float[np.ndarray, "points 3"], *, pitch: float, field: float, size: int
) -> Callable[[float], Camera]:
    """Those that look at the middle of the points' box, by their distance from it; angles in rad."""
    middle = (points.min(0) + points.max(0)) / 2
    return lambda distance: near_side_camera(
        middle, distance=distance, pitch=pitch, field=field, width=size, height=size
    )


def near_side_camera(
    target: Float[np.ndarray, "3"], *, distance: float, pitch: float, field: float, width: int, height: int
) -> Camera:
    """A camera on the scene's near side that looks along y and down at the target.

    Args:
        pitch: that it looks down, rad.
        field: of view along the picture's longer side, rad.
        width: px, as is the height.
    """
    away = np.array([0.0, -math.cos(pitch), math.sin(pitch)])
    x, y, z = (target + distance * away).tolist()
    focal = max(width, height) / 2 / math.tan(field / 2)
    at = tuple(target.tolist())
    return Camera.look_at(location=(x, y, z), target=at, focal=focal, width=width, height=height)


def _nearest(camera: Callable[[float], Camera], points: Float[np.ndarray, "points 3"]) -> float:
    """The distance from which the picture holds the points."""
    distance = float(np.linalg.norm(np.ptp(points, axis=0))) * 0.7  # outside of the box
    while not _holds(camera(distance), points):
        distance *= 1.05
    return distance


def _holds(camera: Camera, points: Float[np.ndarray, "points 3"]) -> bool:
    seen = camera.project(points)
    edge = MARGIN * camera.width
    return bool((seen[:, 2] > 0).all() and (seen[:, :2] > edge).all() and (seen[:, :2] < camera.width - edge).all())


def object_masks(
    posed: Sequence[PosedAsset], camera: Camera
) -> tuple[Bool[np.ndarray, "objects height width"], Bool[np.ndarray, "objects height width"]]:
    """Where each object shows, and where it would show if it stood there alone."""
    placed = [item.placed for item in posed]
    index = visible(placed, camera=camera)
    shown = np.stack([index == number for number in range(len(placed))])
    return shown, np.stack([visible([item], camera=camera) == 0 for item in placed])


def scene_cube(triangles: Sequence[Float[np.ndarray, "_ 3 3"]]) -> Pose:
    """The cube around all objects: centre of their box, and its longest side."""
    points = np.concatenate([part.reshape(-1, 3) for part in triangles])
    low, high = points.min(0), points.max(0)
    x, y, z = ((low + high) / 2).tolist()
    return Pose(translation=(x, y, z), scale=float((high - low).max()))

"""Rooms of 3D-FRONT with furniture of 3D-FUTURE, from a user's folder: what stands in a room, and where.

    FOLDER/3D-FRONT/<house>.json                         furniture with uid and jid, rooms with their children
    FOLDER/3D-FUTURE-model*/<jid>/raw_model.obj          a piece of furniture
    FOLDER/3D-FUTURE-model*/model_info.json              its category

https://arxiv.org/abs/2011.09127 and https://arxiv.org/abs/2009.09633. y is up in the files, lengths are metres, and a
child's `rot` is a quaternion x, y, z, w. Walls, floors, doors and lights are not read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.errors import ConfigError, SceneError
from kyvo.scene.pose import Pose
from kyvo.shapes.mesh import box_of, load_placed, normalized
from kyvo.shapes.scene_layouts import PosedAsset

HOUSES, MODELS, MESH, INFO = "3D-FRONT", "3D-FUTURE-model", "raw_model.obj", "model_info.json"
TO_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # of the files' y
TILT = 1e-3  # of a quaternion's x and z: furniture that leans more is turned before it is put into its cube


@dataclass(frozen=True, kw_only=True)
class Furniture:
    """A piece where it stands, in the file's axes."""

    mesh: Path
    category: str
    position: tuple[float, float, float]
    rotation_xyzw: tuple[float, float, float, float]
    scale: tuple[float, float, float]


@dataclass(frozen=True)
class FrontFolder:
    """The user's folder."""

    path: Path

    @property
    def houses(self) -> list[Path]:
        """Raises ConfigError where there is none, or no furniture."""
        houses = sorted((self.path / HOUSES).glob("*.json"))
        if not houses or not self._models:
            lacks = f"{HOUSES}/*.json" if not houses else f"{MODELS}*/"
            raise ConfigError(
                f"{self.path} has no {lacks}; give the folder in which {HOUSES} and {MODELS} were unpacked."
            )
        return houses

    @cached_property
    def _models(self) -> list[Path]:
        return sorted(path for path in self.path.glob(f"{MODELS}*") if path.is_dir())

    @cached_property
    def _categories(self) -> Mapping[str, str]:
        """By jid."""
        found: dict[str, str] = {}
        for folder in self._models:
            if (folder / INFO).is_file():
                rows = _read(folder / INFO)
                try:
                    found |= {row["model_id"]: row["category"] or row["super-category"] for row in rows}
                except (TypeError, KeyError) as error:
                    raise ConfigError(
                        f"{folder / INFO} is no list of models with model_id and category ({error}). Unpack it anew."
                    ) from error
        return found

    def rooms(self, house: Path) -> list[list[Furniture]]:
        """The furniture of each room whose mesh is there.

        Raises:
            SceneError: the file is no house of this form.
        """
        data = _read(house)
        try:
            jids = {item["uid"]: item["jid"] for item in data["furniture"] if item.get("valid")}
            return [
                [
                    Furniture(
                        mesh=mesh,
                        category=self._categories.get(jids[child["ref"]]) or "furniture",
                        position=_numbers(child, "pos", 3),
                        rotation_xyzw=_numbers(child, "rot", 4),
                        scale=_numbers(child, "scale", 3),
                    )
                    for child in room["children"]
                    if child["ref"] in jids and (mesh := self._mesh(jids[child["ref"]])) is not None
                ]
                for room in data["scene"]["room"]
            ]
        except (TypeError, KeyError, AttributeError) as error:
            raise SceneError(
                f"{house} is no house of 3D-FRONT: {type(error).__name__} {error}. It has furniture with uid and jid, "
                "and scene.room with children of ref, pos, rot and scale."
            ) from error

    def _mesh(self, jid: str) -> Path | None:
        return next((path for folder in self._models if (path := folder / jid / MESH).is_file()), None)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SceneError(f"{path} is no readable JSON ({error}).") from error


def _numbers(child: Mapping[str, Any], name: str, count: int) -> Any:
    values = tuple(float(value) for value in child[name])
    if len(values) != count or not np.isfinite(values).all():
        raise TypeError(f"{name} {values} is not {count} finite numbers")
    return values


def nearest(room: Sequence[Furniture], rng: np.random.Generator, *, count: int) -> list[Furniture]:
    """A piece at random and those around it."""
    places = np.array([item.position for item in room])
    around = np.linalg.norm(places - places[int(rng.integers(len(room)))], axis=1)
    return [room[index] for index in np.argsort(around, kind="stable")[:count].tolist()]


def stand(item: Furniture) -> PosedAsset:
    """The piece in a cube of its own, z up.

    Raises:
        AssetError: its mesh cannot be read.
        SceneError: it is mirrored, or its rotation is none.
    """
    if min(item.scale) <= 0:
        raise SceneError(f"{item.mesh}: its scale is {item.scale}; a mirrored or flat piece is not read.")
    shape, place = load_placed(item.mesh)
    x, y, z, w = item.rotation_xyzw
    rotation = Pose(quaternion_wxyz=(w, x, y, z)).rotation
    upright = abs(x) < TILT and abs(z) < TILT
    corners = place.to_world(shape.triangles) @ TO_Z_UP  # z up -> the file's axes
    corners = corners * np.array(item.scale)
    if not upright:
        corners = corners @ rotation.T
    standing = replace(shape, triangles=corners @ TO_Z_UP.T, category=item.category)
    center, side = box_of(standing)
    turn = 2 * float(np.arctan2(y, w)) if upright else 0.0
    about = Pose.of_turn(turn)  # the file's origin of the piece stands at its position
    spot = about.apply(center) + TO_Z_UP @ np.array(item.position)
    return PosedAsset(asset=normalized(standing), pose=Pose.of_turn(turn, translation=tuple(spot.tolist()), scale=side))


def turned(posed: Sequence[PosedAsset], turn: float) -> list[PosedAsset]:
    """The room turned about the up axis, rad: so it is seen from another side."""
    around = Pose.of_turn(turn)
    return [replace(item, pose=around @ item.pose) for item in posed]

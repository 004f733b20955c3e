"""CLEVR's own files <-> `Scene`, without loss: one scene, or the collected `{"info": ..., "scenes": [...]}`.

What CLEVR has and a `Scene` does not (`rotation` in degrees, `pixel_coords`, `directions`, `relationships`, ...) stays
in `extra` under its own name; what a `Scene` has and CLEVR does not (`camera`, `confidence`, ...) goes under ours.
CLEVR's files do not say where their jittered camera stood, so `Scene.camera` is None for them.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.errors import SceneError
from kyvo.scene.files import (
    camera_from_json,
    camera_to_json,
    non_finite,
    object_from_json,
    object_to_json,
    read_json,
    write_json,
)
from kyvo.scene.scene import Camera, Scene, SceneObject, Vector

_NAMED = ("image_filename", "camera", "objects")


def from_clevr(data: Any, where: str = "scene") -> Scene:
    """A scene of CLEVR's files. Raises SceneError with the place of a value that does not fit."""
    if not isinstance(data, dict) or not isinstance(data.get("objects"), list):
        raise SceneError(f"{where}: one scene of CLEVR is a JSON object with a list `objects`; this is not.")
    for place in non_finite(data):
        raise SceneError(f"{where}: {place} is not finite; a finite number is needed.")
    image = data.get("image_filename")
    if "image_filename" in data and not isinstance(image, str):
        raise SceneError(f"{where}: image_filename is {image!r}; a text is needed.")
    return Scene(
        objects=tuple(_object(row, f"{where}: objects[{i}]") for i, row in enumerate(data["objects"])),
        image=image,
        camera=camera_from_json(data["camera"], f"{where}: camera") if "camera" in data else None,
        extra={key: value for key, value in data.items() if key not in _NAMED},
    )


def to_clevr(scene: Scene) -> dict[str, Any]:
    """Inverse of `from_clevr`; numbers are not rounded. Raises SceneError for a scene in another frame or unit."""
    conventions = (scene.frame, scene.up_axis, scene.units)
    if conventions != ("world", "+z", "clevr"):
        raise SceneError(
            f"frame, up axis and units are {', '.join(conventions)}; CLEVR's files hold world, +z, clevr only."
        )
    for key in scene.extra:
        if key in _NAMED:
            raise SceneError(f"extra has the key {key!r}, which CLEVR's format itself uses; give it another name.")
    data: dict[str, Any] = {} if scene.image is None else {"image_filename": scene.image}
    if scene.camera is not None:
        data["camera"] = camera_to_json(scene.camera, decimals=None)
    data["objects"] = [_row(item, f"objects[{i}]") for i, item in enumerate(scene.objects)]
    return data | dict(scene.extra)


def pixel_coords(camera: Camera, location: Vector) -> list[float]:
    """CLEVR's `pixel_coords` of a centre: whole column and line (px), and depth along the camera's axis."""
    column, line, depth = camera.project(np.array([location]))[0]
    return [math.floor(column), math.floor(line), round(float(depth), 5)]


def is_clevr(data: Any) -> bool:
    """Whether the content of a JSON file is CLEVR's, one scene or collected, rather than Kyvo's."""
    return isinstance(data, dict) and "format" not in data and ("scenes" in data or "objects" in data)


def load_clevr(path: str | Path) -> list[Scene]:
    """The scenes of a CLEVR file; one for a file of a single scene."""
    data = read_json(path)
    if not isinstance(data, dict) or "scenes" not in data:
        return [from_clevr(data, str(path))]
    if not isinstance(data["scenes"], list) or set(data) - {"info", "scenes"}:
        raise SceneError(f"{path}: has {', '.join(data)}; a collected file holds `info` and a list `scenes`.")
    return [from_clevr(row, f"{path}: scenes[{i}]") for i, row in enumerate(data["scenes"])]


def load_clevr_info(path: str | Path) -> dict[str, Any] | None:
    """The `info` of a collected file: split, licence, version, date. None where there is none."""
    data = read_json(path)
    return data.get("info") if isinstance(data, dict) else None


def save_clevr(scenes: Sequence[Scene], path: str | Path, info: Mapping[str, Any] | None = None) -> None:
    """Writes a collected file. `write_json(to_clevr(scene), path)` writes a single scene."""
    head = {} if info is None else {"info": dict(info)}
    write_json({**head, "scenes": [to_clevr(scene) for scene in scenes]}, path)


def _object(row: Any, where: str) -> SceneObject:
    if isinstance(row, dict) and "location" in row:
        raise SceneError(f"{where}.location: CLEVR calls it 3d_coords.")
    if isinstance(row, dict) and "3d_coords" in row:
        row = {("location" if key == "3d_coords" else key): value for key, value in row.items()}
    return object_from_json(row, where)


def _row(item: SceneObject, where: str) -> dict[str, Any]:
    data = object_to_json(item, where, decimals=None)
    if item.location is not None:
        data["3d_coords"] = list(item.location)
        del data["location"]
    return data

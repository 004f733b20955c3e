"""Checks a user's own data, a folder of pictures and scene JSONs of the same stem, and reads the pairs that are good.

All faults are found in one pass, each with its file, the object and the field. Scenes may be in our format or CLEVR's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.errors import ConfigError, ImageError, SceneError
from kyvo.scene.clevr import from_clevr, is_clevr
from kyvo.scene.files import read_json, scene_from_json, scene_to_json
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema
from kyvo.scene.validate import validate
from kyvo.tokenizers.pictures import SUFFIXES, read_picture

_PLACE = re.compile(r"([A-Za-z_][\w.\[\]]*)(?:: | (?=is ))")  # at the head of a message: "units is 'm'; ..."


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong where."""

    file: Path
    place: str  # in a scene file, as "objects[3].location"; "" for the file as a whole
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: {self.message}" if self.place else f"{self.file}: {self.message}"


def check_folder(path: Path, schema: SceneSchema) -> list[Fault]:
    """The faults of all pictures and scenes in a folder, by file name; empty when every pair is good.

    A number outside the schema's bins is a fault, as are a file without its partner and two pictures of one stem.
    Raises ConfigError where the folder does not exist or holds neither pictures nor scenes.
    """
    return [fault for files in stems(path).values() for fault in check_pair(files, schema).faults]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A picture and its scene, each None where it cannot be used, and why."""

    faults: list[Fault]
    picture: np.ndarray | None
    scene: Scene | None
    name: str


def stems(path: Path) -> dict[str, list[Path]]:
    """Stem -> its picture and scene files; other files and hidden ones are none of ours."""
    if not path.is_dir():
        raise ConfigError(f"{path} is no folder; give the folder with the pictures and their scene JSONs.")
    found: dict[str, list[Path]] = {}
    for file in sorted(path.iterdir()):
        if file.suffix.lower() in (*SUFFIXES, ".json") and not file.name.startswith("."):
            found.setdefault(file.stem, []).append(file)
    if not found:
        raise ConfigError(
            f"{path} holds no pictures and no scenes; put name.png and name.json there. Read are {', '.join(SUFFIXES)}."
        )
    return found


def check_pair(files: list[Path], schema: SceneSchema) -> Pair:
    """The files of one stem."""
    scenes = [file for file in files if file.suffix.lower() == ".json"]
    pictures = [file for file in files if file not in scenes]
    faults = []
    for found, partner in ((scenes, "picture"), (pictures, "scene")):
        if len(found) > 1:
            names = ", ".join(file.name for file in found[1:])
            faults.append(Fault(file=found[0], place="", message=f"{names} has the same stem; rename one of them."))
        if len(found) == len(files):
            wanted = f"{found[0].stem}.json" if partner == "scene" else f"{found[0].stem}.png"
            faults.append(Fault(file=found[0], place="", message=f"has no {partner}; {wanted} is needed beside it."))
    picture = scene = None
    for file in pictures:
        try:
            picture = read_picture(file)
        except ImageError as error:
            faults.append(Fault(file=file, place="", message=_without(error, file)))
    for file in scenes:
        scene, found = _read_scene(file, schema)
        faults += found
    if picture is not None and scene is not None and not faults:
        faults += _disagreements(scenes[0], scene, pictures[0], picture)
    return Pair(faults=faults, picture=picture, scene=scene, name=pictures[0].name if pictures else "")


def _read_scene(file: Path, schema: SceneSchema) -> tuple[Scene | None, list[Fault]]:
    try:
        data: Any = read_json(file)
        if is_clevr(data):
            data = scene_to_json(from_clevr(data))
    except SceneError as error:
        return None, [_fault(file, _without(error, file).removeprefix("scene: "))]
    faults = [_fault(file, text) for text in validate(data, schema)]
    return (None, faults) if faults else (scene_from_json(data, str(file)), [])


def _disagreements(file: Path, scene: Scene, picture_file: Path, picture: np.ndarray) -> Iterator[Fault]:
    """Where a scene names another picture than the one beside it, or a camera of another size."""
    if scene.image is not None and Path(scene.image).name != picture_file.name:
        message = f"is {scene.image!r}, but the picture beside it is {picture_file.name}."
        yield Fault(file=file, place="image", message=message)
    height, width = picture.shape[:2]
    if scene.camera is not None and (scene.camera.width, scene.camera.height) != (width, height):
        message = f"is for {scene.camera.width}x{scene.camera.height} px; {picture_file.name} has {width}x{height}."
        yield Fault(file=file, place="camera", message=message)


def _fault(file: Path, text: str) -> Fault:
    """The reader's and the validator's "objects[3].size: size is missing." in its parts."""
    found = _PLACE.match(text)
    return Fault(file=file, place=found[1] if found else "", message=text[found.end() :] if found else text)


def _without(error: ImageError | SceneError, file: Path) -> str:
    """The message without the file's name, which the fault itself carries."""
    return str(error).removeprefix(str(file)).lstrip(": ")

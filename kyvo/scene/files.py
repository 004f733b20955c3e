"""Scene JSON, version 1: `Scene` <-> plain data <-> file. docs/scene-format.md is the contract.

Keys that the format does not name are kept as they are: of the file in `Scene.extra`, of an object in
`SceneObject.extra`. The format's own numbers are written with six places; unknown keys are never rounded.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kyvo.errors import SceneError
from kyvo.files import write_text
from kyvo.scene.scene import STANDARD_ATTRIBUTES, Camera, Scene, SceneObject

FORMAT = "kyvo-scene"
VERSION = 1
FRAMES = ("world", "camera")
UP_AXES = ("+x", "-x", "+y", "-y", "+z", "-z")
UNITS = ("clevr", "m")
DECIMALS = 6  # decimals written: a micrometre where the unit is a metre
LIMIT = 1e9  # no number of the format is larger: metres to twenty times around the Earth, pixels, radians
MIN_FOCAL, MAX_PIXELS = 1e-3, 1_000_000  # px
MAX_OBJECTS = 10_000  # in a scene
_SKEW = 1e-3  # of a rotation's products from those of unit axes at right angles

_CHOICES = {"frame": FRAMES, "up_axis": UP_AXES, "units": UNITS}
_HEAD = ("format", "version", "schema", "frame", "up_axis", "units")
_TOP_KEYS = (*_HEAD, "image", "camera", "objects")
_WORDS = ("category", "shape", "size", "color", "material")
_VECTORS = ("location", "dimensions", "pose")


def scene_to_json(scene: Scene) -> dict[str, Any]:
    """The file's content as plain data. Raises SceneError for values that a scene file cannot hold."""
    data: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    data |= {name: getattr(scene, name) for name in _HEAD[2:]}
    if scene.image is not None:
        data["image"] = scene.image
    if scene.camera is not None:
        data["camera"] = camera_to_json(scene.camera)
    if len(scene) > MAX_OBJECTS:
        raise SceneError(too_many(len(scene)))
    data["objects"] = [object_to_json(item, f"objects[{i}]") for i, item in enumerate(scene.objects)]
    return data | _extra_to_json(scene.extra, _TOP_KEYS, "scene")


def scene_from_json(data: Any, where: str = "scene") -> Scene:
    """Inverse of `scene_to_json`.

    Args:
        data: what `json.load` gave.
        where: the name that messages begin with, as a file's.

    Raises:
        SceneError: the first fault found, with its place; `kyvo.scene.validate` lists all of them.
    """
    if not isinstance(data, dict):
        raise SceneError(f"{where}: a scene file holds one JSON object, but this is {_shown(data)}.")
    if data.get("format") != FORMAT:
        raise SceneError(
            f'{where}: format is {_shown(data.get("format"))}; "{FORMAT}" is needed. '
            "CLEVR's own files are read by `kyvo scene convert`."
        )
    version = data.get("version")
    if isinstance(version, int) and version > VERSION:
        raise SceneError(f"{where}: version is {version}; this Kyvo reads up to {VERSION}. Upgrade Kyvo.")
    if version != VERSION or isinstance(version, bool):
        raise SceneError(f"{where}: version is {_shown(version)}; {VERSION} is needed.")
    rows = data.get("objects")
    if not isinstance(rows, list):
        raise SceneError(f"{where}: objects is {_shown(rows)}; a list is needed.")
    if len(rows) > MAX_OBJECTS:
        raise SceneError(f"{where}: {too_many(len(rows))}")
    for place in non_finite(data):
        raise SceneError(f"{where}: {place} is not finite; a finite number is needed.")
    head = {name: _word(data.get(name), f"{where}: {name}", _CHOICES.get(name, ())) for name in _HEAD[2:]}
    return Scene(
        objects=tuple(object_from_json(row, f"{where}: objects[{i}]") for i, row in enumerate(rows)),
        image=_word(data["image"], f"{where}: image") if "image" in data else None,
        camera=camera_from_json(data["camera"], f"{where}: camera") if "camera" in data else None,
        extra={key: value for key, value in data.items() if key not in _TOP_KEYS},
        **head,
    )


def load_scene(path: str | Path) -> Scene:
    """Reads a scene file. Raises SceneError naming the file, the place and what fits there."""
    return scene_from_json(read_json(path), where=str(path))


def save_scene(scene: Scene, path: str | Path) -> None:
    """Writes a scene file; an interrupted write leaves the file that was there."""
    write_json(scene_to_json(scene), path)


def read_json(path: str | Path) -> Any:
    """The JSON of a file (UTF-8). Raises SceneError where it is unreadable, no JSON, or has a key twice."""
    fault = "not a JSON file"
    return parse_json(_text_of(path, fault), str(path), fault)


def json_files(folder: Path) -> list[Path]:
    """The files of a folder that end in .json, or .JSON, in order; hidden ones, as macOS's ._a.json, are left out."""
    names = (path for path in folder.glob("*") if path.suffix.lower() == ".json" and not path.name.startswith("."))
    return sorted(names)


def read_lines(path: str | Path) -> list[str]:
    """The lines of a file (UTF-8), for JSON of one line each. Raises SceneError where it is unreadable.

    Not `str.splitlines`, which also ends a line at characters that may stand in a text of JSON.
    """
    return _text_of(path, "no text in UTF-8").split("\n")


def parse_json(text: str, where: str, fault: str = "not JSON") -> Any:
    """JSON of a text. Raises SceneError with the place where it is none, or has a key twice."""
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except RecursionError as error:
        raise SceneError(f"{where}: no scene is nested this deep.") from error
    except ValueError as error:  # JSONDecodeError, a number of too many digits, a key that stands twice
        raise SceneError(f"{where}: {fault} ({error}).") from error


def _text_of(path: str | Path, fault: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SceneError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise SceneError(f"{path}: {fault} ({error}).") from error


def write_json(data: Any, path: str | Path) -> None:
    """Writes JSON with an indent of two, lists of numbers on one line. Raises FileError where it cannot be written."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, _NUMBER_LIST.sub(_on_one_line, text) + "\n")


def non_finite(data: Any, where: str = "") -> Iterator[str]:
    """The places of numbers that no double holds in plain data, as in `objects[3].location[0]`."""
    if isinstance(data, int | float):
        if not abs(data) <= sys.float_info.max:  # NaN is not either
            yield where
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from non_finite(value, f"{where}.{key}" if where else str(key))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from non_finite(value, f"{where}[{index}]")


# A line break right after "[" stands outside every string: inside one it is escaped.
_NUMBER_LIST = re.compile(r'\[\n[^\[\]{}"]*\]')


def _on_one_line(match: re.Match[str]) -> str:
    return "[" + " ".join(match.group()[1:-1].split()) + "]"


def too_many(count: int) -> str:
    """What is said of a scene with so many objects."""
    return f"objects has {count:,} entries; a scene has at most {MAX_OBJECTS:,}. Split it."


def rotation_fault(rows: Any) -> str | None:
    """What is wrong with three rows of three numbers that should be the axes of a rotation; None where nothing is."""
    rows = [[float(number) for number in row] for row in rows]
    products = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in rows] for one in rows]
    skew = max(abs(products[i][j] - (i == j)) for i in range(3) for j in range(3))
    (a, b, c), (d, e, f), (g, h, i) = rows
    turn = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if skew <= _SKEW and turn > 0:  # NaN is not
        return None
    what = "mirrors" if skew <= _SKEW else "has rows that are no unit axes at right angles"
    return f"{what}; the rows of a rotation are needed."


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json`'s object_pairs_hook: programs differ in which of two values of one key counts. Raises ValueError."""
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise ValueError(f"the key {key!r} stands twice in one object")
        data[key] = value
    return data


def object_to_json(item: SceneObject, where: str = "object", *, decimals: int | None = DECIMALS) -> dict[str, Any]:
    """One entry of `objects`, with the attributes that the object has; `places` None leaves its numbers unrounded.

    Raises SceneError for what the reader would refuse.
    """
    data: dict[str, Any] = {name: getattr(item, name) for name in _WORDS if getattr(item, name) is not None}
    for name in _VECTORS:
        if getattr(item, name) is not None:
            data[name] = _rounded(getattr(item, name), f"{where}.{name}", decimals)
    if item.shape_codes is not None:
        data["shape_codes"] = [int(code) for code in item.shape_codes]
    if item.confidence is not None:
        data["confidence"] = _rounded([item.confidence], f"{where}.confidence", decimals)[0]
    data |= _extra_to_json(item.extra, STANDARD_ATTRIBUTES, where)
    object_from_json(data, where)
    return data


def camera_to_json(camera: Camera, *, decimals: int | None = DECIMALS) -> dict[str, Any]:
    """The entry `camera`; `places` None leaves its numbers unrounded. Raises SceneError as `camera_from_json` does."""
    data = {
        "width": camera.width,
        "height": camera.height,
        "focal": _rounded([camera.focal], "camera.focal", decimals)[0],
        "center": _rounded(camera.center, "camera.center", decimals),
        "location": _rounded(camera.location, "camera.location", decimals),
        "rotation": [_rounded(row, f"camera.rotation[{i}]", decimals) for i, row in enumerate(camera.rotation)],
    }
    camera_from_json(data)
    return data


def _extra_to_json(extra: Mapping[str, Any], taken: tuple[str, ...], where: str) -> dict[str, Any]:
    for key in extra:
        if key in taken:
            raise SceneError(f"{where}: extra has the key {key!r}, which the format itself uses; give it another name.")
    for place in non_finite(extra):
        raise SceneError(f"{where}.{place} is not finite; a finite number is needed.")
    try:
        return json.loads(json.dumps(dict(extra)))
    except TypeError as error:
        raise SceneError(f"{where}: extra holds a value that JSON cannot ({error}).") from error


def _rounded(numbers: Any, where: str, decimals: int | None) -> list[float]:
    for place in non_finite([float(number) for number in numbers], where):
        raise SceneError(f"{place} is not finite; a finite number is needed.")
    if decimals is None:
        return [float(number) for number in numbers]
    return [round(float(number), decimals) + 0.0 for number in numbers]  # + 0.0 turns -0.0 into 0.0


def object_from_json(row: Any, where: str = "object") -> SceneObject:
    """Inverse of `object_to_json`. Raises SceneError with `where` and the field."""
    if not isinstance(row, dict):
        raise SceneError(f"{where} is {_shown(row)}; an object with named fields is needed.")
    values: dict[str, Any] = {name: _word(row[name], f"{where}.{name}") for name in _WORDS if name in row}
    values |= {name: _numbers(row[name], 3, f"{where}.{name}") for name in _VECTORS if name in row}
    if any(extent < 0 for extent in values.get("dimensions", ())):
        raise SceneError(f"{where}.dimensions is {_shown(row['dimensions'])}; numbers from 0 on are needed.")
    if "shape_codes" in row:
        codes = row["shape_codes"]
        if not isinstance(codes, list):
            raise SceneError(f"{where}.shape_codes is {_shown(codes)}; a list of whole numbers is needed.")
        values["shape_codes"] = tuple(_whole(code, 0, f"{where}.shape_codes[{i}]") for i, code in enumerate(codes))
    if "confidence" in row:
        values["confidence"] = _number(row["confidence"], f"{where}.confidence")
        if not 0 <= values["confidence"] <= 1:
            raise SceneError(f"{where}.confidence is {_shown(row['confidence'])}; a number from 0 to 1 is needed.")
    if "R_cam" in row:  # Omni3D's rotation
        turn = row["R_cam"]
        if not isinstance(turn, list) or len(turn) != 3:
            raise SceneError(f"{where}.R_cam is {_shown(turn)}; three rows of three numbers are needed.")
        if fault := rotation_fault(_numbers(axis, 3, f"{where}.R_cam[{i}]") for i, axis in enumerate(turn)):
            raise SceneError(f"{where}.R_cam {fault}")
    return SceneObject(**values, extra={key: value for key, value in row.items() if key not in STANDARD_ATTRIBUTES})


def camera_from_json(row: Any, where: str = "camera") -> Camera:
    """Inverse of `camera_to_json`. A key it does not know may change what the others mean, so it is refused."""
    names = tuple(Camera.__dataclass_fields__)
    if not isinstance(row, dict) or set(row) != set(names):
        found = ", ".join(sorted(row)) if isinstance(row, dict) else _shown(row)
        raise SceneError(f"{where} has {found or 'no keys'}; exactly {', '.join(names)} are needed.")
    focal = _number(row["focal"], f"{where}.focal")
    if focal < MIN_FOCAL:
        raise SceneError(f"{where}.focal is {_shown(row['focal'])}; a number of px from {MIN_FOCAL} on is needed.")
    rows = row["rotation"]
    if not isinstance(rows, list) or len(rows) != 3:
        raise SceneError(f"{where}.rotation is {_shown(rows)}; three rows of three numbers are needed.")
    axes = tuple(_numbers(axis, 3, f"{where}.rotation[{i}]") for i, axis in enumerate(rows))
    if fault := rotation_fault(axes):
        raise SceneError(f"{where}.rotation {fault}")
    return Camera(
        width=_whole(row["width"], 1, f"{where}.width", MAX_PIXELS),
        height=_whole(row["height"], 1, f"{where}.height", MAX_PIXELS),
        focal=focal,
        center=_numbers(row["center"], 2, f"{where}.center"),  # type: ignore[arg-type]
        location=_numbers(row["location"], 3, f"{where}.location"),  # type: ignore[arg-type]
        rotation=axes,  # type: ignore[arg-type]
    )


def _word(value: Any, where: str, known: tuple[str, ...] = ()) -> str:
    if not isinstance(value, str) or (known and value not in known):
        fits = f"one of {', '.join(known)}" if known else "a text"
        raise SceneError(f"{where} is {_shown(value)}; {fits} is needed.")
    if fault := text_fault(value):
        raise SceneError(f"{where} {fault}")
    return value


def text_fault(text: str) -> str | None:
    """What is wrong with a text that no font shows and no other format holds; None where nothing is."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return "has half a surrogate pair, which is no character; whole characters are needed."
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        return "has a control character, such as a line end; one line of text is needed."
    return None


def _numbers(value: Any, count: int, where: str) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != count:
        raise SceneError(f"{where} is {_shown(value)}; {count} numbers are needed.")
    return tuple(_number(number, f"{where}[{i}]") for i, number in enumerate(value))


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SceneError(f"{where} is {_shown(value)}; a number is needed.")
    if not abs(value) <= LIMIT:  # NaN is not
        raise SceneError(f"{where} is {_shown(value)}; a number from -{LIMIT:g} to {LIMIT:g} is needed.")
    return float(value)


def _whole(value: Any, low: int, where: str, high: float = LIMIT) -> int:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high and value % 1 == 0
    if not fits:
        raise SceneError(f"{where} is {_shown(value)}; a whole number from {low} to {high:,.0f} is needed.")
    return int(value)


def _shown(value: Any) -> str:
    """The value as JSON would show it, cut where it is long."""
    if value is None:
        return "missing or null"
    text = json.dumps(value, ensure_ascii=False, default=repr).encode(errors="backslashreplace").decode()
    return text if len(text) <= 60 else f"{text[:57]}..."

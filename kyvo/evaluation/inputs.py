"""Predictions and truths from plain files, paired by key; nothing is left out without being listed.

What is read: a folder of scene files (key: the file's name), JSONL (a scene a line, with its `key`), CLEVR's collected
file and the released code's (key: `key`, else the picture's name), a set of this project (Arrow or Parquet), and
Omni3D's annotations (key: `file_path`). Keys are compared without the suffix of a picture or of JSON; where no key of
the predictions is one of the truth's, the last parts of the paths are compared.

The rule: a prediction that is missing or cannot be read counts as an empty scene; a true scene that cannot be read, or
in which an object lacks a field that is compared, is left out; so is a prediction without a truth. Each is listed with
its reason. A predicted object that lacks a field stays, and matches nothing. Two items of one key, and scenes in
another frame, unit or schema than the truth's, are errors: no figure would mean anything.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

from kyvo.errors import SceneError
from kyvo.evaluation.released import released_scene
from kyvo.scene.builtin_schemas import SCHEMAS, load_schema
from kyvo.scene.clevr import is_clevr
from kyvo.scene.files import json_files, parse_json, read_json, read_lines, scene_from_json
from kyvo.scene.scene import Scene
from kyvo.tokenizers.pictures import SUFFIXES

RULE = (
    "a prediction that is missing or unreadable counts as an empty scene; true scenes that are unreadable or lack a "
    "compared field, and predictions without a truth, are left out"
)
_SUFFIXES = (*SUFFIXES, ".json")
_HEAD = ("schema", "frame", "up_axis", "units")

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Items(Generic[Item]):
    """What a file or folder holds, by key, and the reason for each item that cannot be used."""

    path: Path
    items: Mapping[str, Item]
    faults: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what of the file was left out that has no key

    def describe(self) -> dict[str, Any]:
        """As `Results.inputs` holds it."""
        number = len(self.items) + len(self.faults)
        return {"name": self.path.name, "sha256": sha256_of(self.path), "items": number}


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Predictions beside their truths, in the truth's order; what was left out or counts as empty, and why."""

    keys: tuple[str, ...]
    predictions: tuple[Scene, ...]
    truths: tuple[Scene, ...]
    excluded: tuple[dict[str, str], ...]


def sha256_of(path: Path, *, without: Collection[str] = ()) -> str:
    """Of a file; of a folder, the hash of the list that `sha256sum` makes of the files in it, by their names, leaving
    out those that a pattern of `without` matches."""
    if path.is_dir():
        parts = [part for part in sorted(path.rglob("*")) if part.is_file()]
        kept = [part for part in parts if not any(part.match(pattern) for pattern in without)]
        lines = [f"{sha256_of(part)}  {part.relative_to(path)}\n" for part in kept]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_items(path: Path, convert: Callable[[Any, str], Item]) -> Items[Item]:
    """The items of a folder, a JSONL or a JSON file; an item that `convert` refuses is a fault, by its key.

    Args:
        path: see the module.
        convert: plain data, and its place for messages -> an item. Raises SceneError.

    Raises:
        SceneError: two items have one key, or nothing is there, or the file as a whole is unreadable.
    """
    items: dict[str, Item] = {}
    faults: dict[str, str] = {}
    seen_at: dict[str, str] = {}
    for key, where, read in _rows(path):
        if key in seen_at:
            raise SceneError(f"{path}: the key {key!r} stands twice ({seen_at[key]}, {where}); remove one of the two.")
        seen_at[key] = where
        try:
            items[key] = convert(read(), where)
        except SceneError as error:
            faults[key] = str(error)
    if not seen_at:
        raise SceneError(f"{path}: holds no item. Give a folder of .json files, .jsonl, or a .json file.")
    return Items(path=path, items=items, faults=faults)


def read_scenes(path: Path, schema: str | None = None) -> Items[Scene]:
    """The scenes of a folder or file, by key.

    Args:
        path: see the module.
        schema: what they are compared by; says how files of the released code and Omni3D's categories are read.

    Raises:
        SceneError: as `read_items`.
    """
    if path.suffix == ".json" and path.is_file():
        data = read_json(path)
        if isinstance(data, dict) and "annotations" in data:
            return _read_omni3d(path, schema)
        if isinstance(data, list):
            raise SceneError(
                f"{path}: is a list; a file of scenes has `objects` or `scenes`. Detections in Omni3D's form need "
                "Omni3D's annotations as the truth."
            )
    return read_items(path, lambda data, where: to_scene(data, where, schema))


def to_scene(data: Any, where: str, schema: str | None = None) -> Scene:
    """A scene of any of the known forms. Raises SceneError with the place of a value that does not fit."""
    if is_clevr(data):
        return released_scene(data, where, schema)
    return scene_from_json(data, where)


def pair(predictions: Items[Scene], truth: Items[Scene], *, fields: Sequence[str], schema: str | None = None) -> Pairs:
    """Pairs scenes by key; see the module for what happens to the others.

    Args:
        fields: what a true object must have.
        schema: where given, the scenes' own `schema` is not compared.

    Raises:
        SceneError: scenes of different conventions, or no pair is left.
    """
    _check_conventions(predictions, truth, names=_HEAD[1:] if schema else _HEAD)
    match = _matching_keys(predictions, truth)
    excluded = [{"key": source.path.name, "reason": note} for source in (truth, predictions) for note in source.notes]
    keys, ours, theirs = [], [], []
    for key in (*truth.items, *truth.faults):
        if key in truth.faults:
            excluded.append({"key": key, "reason": f"the truth cannot be read: {truth.faults[key]}"})
            continue
        true, lack = truth.items[key], None
        for index, item in enumerate(true.objects):
            lack = lack or next((f"objects[{index}].{name}" for name in fields if item.get(name) is None), None)
        if lack:
            excluded.append({"key": key, "reason": f"the truth lacks {lack}"})
            continue
        found = match.get(key)
        if found is not None and found in predictions.items:
            ours.append(predictions.items[found])
        else:
            why = "there is no prediction" if found is None else predictions.faults[found]
            excluded.append({"key": key, "reason": f"counts as an empty scene: {why}"})
            ours.append(replace(true, objects=()))
        keys.append(key)
        theirs.append(true)
    known = set(match.values())
    unknown = [key for key in (*predictions.items, *predictions.faults) if key not in known]
    excluded += [{"key": key, "reason": predictions.faults.get(key, "the truth has no such key")} for key in unknown]
    if not set(match.values()) & predictions.items.keys():
        raise SceneError(
            f"{predictions.path} and {truth.path} have no readable item in common; their first keys are "
            f"{_first_key(predictions)!r} and {_first_key(truth)!r}."
        )
    if not keys:
        raise SceneError(f"{truth.path}: no scene is left; the first reason: {excluded[0]['reason']}.")
    return Pairs(keys=tuple(keys), predictions=tuple(ours), truths=tuple(theirs), excluded=tuple(excluded))


def clean_key(name: str) -> str:
    """A key without the suffix of a picture or of JSON; the released `<name>.png_<setup>` becomes `<name>_<setup>`."""
    name = name.replace(".png_", "_")
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.lower().endswith(suffix)), name)


def _rows(path: Path) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Key, place, and how the content is read, of each item."""
    if path.is_dir():
        is_set = any(path.glob("data-*.arrow")) or any(path.glob("*.parquet"))
        yield from _arrow_rows(path) if is_set else _folder_rows(path)
    elif path.suffix == ".jsonl":
        yield from _line_rows(path)
    else:
        data = read_json(path)
        if isinstance(data, dict) and isinstance(data.get("scenes"), list):
            for index, row in enumerate(data["scenes"]):
                where = f"{path}: scenes[{index}]"
                yield _key_of(row, f"scenes[{index}]"), where, lambda row=row: row
        else:
            yield clean_key(path.name), str(path), lambda: data


def _folder_rows(path: Path) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    for file in json_files(path):
        yield clean_key(file.name), str(file), lambda file=file: _one(file)
    for file in sorted(path.glob("output-*/scenes/*.json")):  # as the released ObjaWorld truth lies
        setup = file.parts[-3].split("-")[1]
        yield f"{clean_key(file.name)}_{setup}", str(file), lambda file=file: _one(file)


def _one(file: Path) -> Any:
    data = read_json(file)
    if isinstance(data, dict) and ("scenes" in data or "annotations" in data):
        raise SceneError(f"{file}: holds many scenes; give the file itself instead of its folder.")
    return data


def _line_rows(path: Path) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            data = parse_json(line, where)
        except SceneError as fault:
            yield f"line {number}", where, lambda fault=fault: _raise(fault)
            continue
        content = data
        if isinstance(data, dict):
            content = data["scene"] if isinstance(data.get("scene"), dict) else data
        yield _key_of(data, f"line {number}"), where, lambda content=content: content


def _arrow_rows(path: Path) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    from kyvo.data.dataset import open_set

    rows = open_set(path)
    if "scene" not in rows.column_names:
        raise SceneError(f"{path}: the set has no column `scene`, but {', '.join(rows.column_names)}.")
    names = rows["name"] if "name" in rows.column_names else [f"{index:06d}" for index in range(len(rows))]
    for index, (name, cell) in enumerate(zip(names, rows["scene"], strict=True)):
        yield clean_key(str(name)), f"{path}: row {index}", lambda cell=cell: json.loads(cell)


def _raise(error: SceneError) -> Any:
    raise error


def _key_of(data: Any, otherwise: str) -> str:
    names = [data.get(name) for name in ("key", "image_filename", "image")] if isinstance(data, dict) else []
    return clean_key(next((name for name in names if isinstance(name, str) and name), otherwise))


def _read_omni3d(path: Path, schema: str | None) -> Items[Scene]:
    from kyvo.data.omni3d import load_omni3d, schema_word

    found = load_omni3d(path)
    known = ()
    if schema in SCHEMAS:
        known = next((entry.words for entry in load_schema(schema).fields if entry.name == "category"), ())
    items: dict[str, Scene] = {}
    for scene in found.scenes:
        key = clean_key(str(scene.image))
        if key in items:
            raise SceneError(f"{path}: the picture {scene.image!r} stands twice; remove one of the two.")
        objects = [replace(item, category=schema_word(str(item.category), known)) for item in scene.objects]
        items[key] = replace(scene, objects=tuple(objects), schema=schema or scene.schema)
    notes = tuple(line for line in found.tally.lines() if " left out: " in line)  # the others cost no object
    if not items:
        raise SceneError(f"{path}: no picture has an object that can be used: {'; '.join(notes) or 'it has none'}.")
    return Items(path=path, items=items, notes=notes)


def _matching_keys(predictions: Items[Scene], truth: Items[Scene]) -> dict[str, str]:
    """Key of the truth -> key of the predictions."""
    ours = (*predictions.items, *predictions.faults)
    theirs = (*truth.items, *truth.faults)
    if set(ours) & set(theirs):
        return {key: key for key in theirs if key in set(ours)}
    short = [Counter(PurePosixPath(key).name for key in keys) for keys in (ours, theirs)]
    if max(short[0].values()) > 1 or max(short[1].values()) > 1:
        return {}
    by_name = {PurePosixPath(key).name: key for key in ours}
    return {key: by_name[PurePosixPath(key).name] for key in theirs if PurePosixPath(key).name in by_name}


def _first_key(source: Items[Scene]) -> str:
    return next(iter((*source.items, *source.faults)))


def _check_conventions(predictions: Items[Scene], truth: Items[Scene], *, names: Sequence[str]) -> None:
    if not truth.items:
        return
    first = next(iter(truth.items.values()))
    wanted = {name: getattr(first, name) for name in names}
    for source in (truth, predictions):
        others = [
            key for key, scene in source.items.items() if {name: getattr(scene, name) for name in names} != wanted
        ]
        if others:
            scene = source.items[others[0]]
            apart = ", ".join(
                f"{name} {getattr(scene, name)} and not {value}"
                for name, value in wanted.items()
                if getattr(scene, name) != value
            )
            raise SceneError(
                f"{source.path}: {len(others)} scenes differ in their conventions from the truth's first, as "
                f"{others[0]!r}: {apart}. Convert them"
                + ("; where only the schema's name differs, pass --schema." if "schema" in names else ".")
            )

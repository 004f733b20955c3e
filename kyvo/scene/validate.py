"""All faults of a scene file in one pass, where the reader stops at the first one.

The JSON Schema (scene.schema.json) says what a file looks like; a `SceneSchema` says which values its objects may have.
"""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeGuard

from jsonschema import Draft202012Validator

from kyvo.errors import SceneError
from kyvo.scene.fields import Field
from kyvo.scene.files import MAX_OBJECTS, VERSION, non_finite, read_json, scene_from_json, too_many
from kyvo.scene.schema import SceneSchema


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of scene files."""
    return json.loads(files("kyvo.scene").joinpath("scene.schema.json").read_text(encoding="utf-8"))


def validate(data: Any, schema: SceneSchema | None = None) -> list[str]:
    """What is wrong with the content of a scene file, each fault with its place; empty when nothing is.

    Args:
        data: what `json.load` gave.
        schema: also checks the conventions, and that each object has each field with a value that has a bin or a word.
    """
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > VERSION:
        return [f"version is {version}; this Kyvo reads up to {VERSION}. Upgrade Kyvo."]
    rows = data.get("objects") if isinstance(data, dict) else None
    if isinstance(rows, list) and len(rows) > MAX_OBJECTS:
        return [too_many(len(rows))]
    faults = [f"{place} is not finite; a finite number is needed." for place in non_finite(data)]
    bad_objects = set()
    for error in sorted(_validator().iter_errors(data), key=lambda error: [str(part) for part in error.absolute_path]):
        path = list(error.absolute_path)
        bad_objects.add(tuple(path[:2]))
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        message = error.message if len(error.message) <= 200 else f"{error.message[:197]}..."
        faults.append(f"{place}: {message}." if place else f"{message}.")
    if not faults:  # what the JSON Schema cannot say, as whether three rows are a rotation
        try:
            scene_from_json(data)
        except SceneError as error:
            faults.append(str(error).removeprefix("scene: "))
    if schema is not None and isinstance(data, dict):
        faults += _convention_faults(data, schema)
        for index, row in enumerate(rows if isinstance(rows, list) else []):
            if ("objects", index) not in bad_objects:
                faults += [
                    fault
                    for field in _fields_of(row, schema)
                    for fault in _field_faults(row, field, f"objects[{index}]")
                ]
    return faults


def validate_file(path: str | Path, schema: SceneSchema | None = None) -> list[str]:
    """The faults of a file, an unreadable one included; each begins with the file's name."""
    try:
        data = read_json(path)
    except SceneError as error:
        return [str(error)]
    return [f"{path}: {fault}" for fault in validate(data, schema)]


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json_schema())


def _convention_faults(data: dict[str, Any], schema: SceneSchema) -> Iterator[str]:
    wanted = {"schema": schema.name, "frame": schema.frame, "up_axis": schema.up_axis, "units": schema.units}
    for name, value in wanted.items():
        if isinstance(data.get(name), str) and data[name] != value:
            yield f"{name} is {data[name]!r}; the schema {schema.name} needs {value!r}."


def _fields_of(row: Any, schema: SceneSchema) -> Iterator[Field]:
    """Those that an object has to have, and optional ones that it has (`Field.of`)."""
    word = None
    for field in schema.fields:
        if not field.of or (word in field.of and row.get(field.name) is not None):
            yield field
        word = row.get(field.name)


def _field_faults(row: dict[str, Any], field: Field, where: str) -> Iterator[str]:
    value = row.get(field.name)
    try:
        if field.axes and not field.is_scalar and _all_numbers(value) and len(value) == len(field.axes):
            for axis, number in zip(field.axes, value, strict=True):
                try:
                    axis.snap(float(number))
                except SceneError as error:
                    yield f"{where}.{field.name}: {error}"
        else:
            field.snap(value)
    except SceneError as error:
        yield f"{where}.{field.name}: {error}"


def _all_numbers(value: Any) -> TypeGuard[list[float]]:
    return isinstance(value, list) and all(isinstance(number, int | float) for number in value)

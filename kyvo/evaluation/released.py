"""Objects as the released code's files write them <-> `Scene`: `3d_coords` of four numbers, `rotation`, `center_cam`.

ObjaWorld's predictions carry the azimuth as fourth coordinate, its truth as `rotation`, and its truth's shape a variant
after a hyphen ("bench-3"); Objectron's have `center_cam` and `dimensions`. CLEVR's are CLEVR's own.
"""

from dataclasses import replace
from typing import Any

from kyvo.scene.builtin_schemas import SCHEMAS
from kyvo.scene.clevr import from_clevr
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Scene, SceneObject

Row = dict[str, Any]


def released_scene(data: Any, where: str, schema: str | None = None) -> Scene:
    """A scene of CLEVR's or the released form. Raises SceneError with the place of a value that does not fit.

    Args:
        data: plain data with `objects`.
        where: for messages.
        schema: what it is to be compared by: "clevr", "objaworld", "objectron", ...; None is CLEVR.
    """
    if schema is None or schema == "clevr" or not isinstance(data, dict) or not isinstance(data.get("objects"), list):
        return from_clevr(data, where)
    rows = [_standard(row, schema, f"{where}: objects[{i}]") for i, row in enumerate(data["objects"])]
    scene = from_clevr({**data, "objects": rows}, where)
    if schema not in SCHEMAS:
        return replace(scene, schema=schema)
    known = SCHEMAS[schema]()
    return replace(scene, schema=schema, frame=known.frame, up_axis=known.up_axis, units=known.units)


def released_rows(data: Any, where: str, schema: str) -> list[Row]:
    """The objects of a scene in the released form, as they are where they have it; a missing field stays missing.

    Raises:
        SceneError: it is no scene.
    """
    if isinstance(data, dict) and "format" not in data and isinstance(data.get("objects"), list):
        return data["objects"]
    return [_released(item, schema) for item in scene_from_json(data, where).objects]


def _standard(row: Any, schema: str, where: str) -> Any:
    if not isinstance(row, dict):
        return row  # the reader says what is wrong
    row = dict(row)
    if "center_cam" in row:
        row["3d_coords"] = row.pop("center_cam")
    if schema.startswith("objaworld"):
        coordinates = row.get("3d_coords")
        if isinstance(coordinates, list) and len(coordinates) == 4:
            *row["3d_coords"], turn = coordinates
            row["pose"] = [0.0, 0.0, turn]
        elif "rotation" in row and "pose" not in row:
            row["pose"] = [0.0, 0.0, row.pop("rotation")]
            if isinstance(row.get("shape"), str):
                row["shape"] = row["shape"].split("-")[0]
    return row


def _released(item: SceneObject, schema: str) -> Row:
    row: Row = {name: item.get(name) for name in ("size", "color", "material", "shape", "category", "dimensions")}
    if item.location is not None:
        row["center_cam" if item.category is not None else "3d_coords"] = list(item.location)
        if schema.startswith("objaworld") and item.pose is not None:
            row["3d_coords"].append(item.pose[2])
            row["rotation"] = item.pose[2]
    return {name: value for name, value in row.items() if value is not None}

"""Detections in Omni3D's form (Cube R-CNN's files as they are), as boxes or scenes.

Detections are a list of rows with image_id, category_id, score, bbox (x, y, width, height) and bbox3D or center_cam,
dimensions and pose: `omni_instances_results.json`, or `instances_predictions.pth`, whose categories are the model's own
and need `category_meta.json` in a folder above. Scenes in the camera's frame are read as well; they have no rectangles
(so no AP2D), and an object without `R_cam` is taken to stand along the camera's axes.

A detection of a picture or category that the annotations lack, or with a number that is missing or not finite, is left
out and listed; where none is left, the file is refused with the first reason.
"""

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.data.omni3d import identity, schema_word
from kyvo.errors import ConfigError, SceneError
from kyvo.evaluation.inputs import Items, clean_key, read_scenes
from kyvo.evaluation.omni3d_annotations import (
    Annotations,
    BoxRows,
    known_number,
    omni3d_cuboid,
    read_annotations,
    row_corners,
    row_id,
    row_name,
    row_numbers,
    row_word,
)
from kyvo.evaluation.released import Row
from kyvo.metrics.average_precision import Boxes
from kyvo.scene.builtin_schemas import SCHEMAS, load_schema
from kyvo.scene.files import read_json
from kyvo.scene.scene import Scene, SceneObject


def is_detections(path: Path) -> bool:
    """Whether a file holds detections in Omni3D's form rather than scenes."""
    if path.suffix == ".pth":
        return True
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(64).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")


def read_detections(path: Path, truth: Annotations, *, confidence: float = 0.0) -> tuple[Boxes, list[dict[str, str]]]:
    """The detections of a file, and those left out with their reasons; see the module.

    Args:
        path: a file of detections, or scenes in the camera's frame.
        truth: names the pictures and categories.
        confidence: leaves out detections of a lower score, as a choice and not listed.

    Raises:
        SceneError: the file as a whole is unusable.
    """
    if not is_detections(path):
        return _scene_boxes(path, truth, confidence)
    kept, excluded = BoxRows(), []
    rows = _detection_rows(path)
    for index, row in enumerate(rows):
        key = f"detections[{index}]"
        if not isinstance(row, dict):
            raise SceneError(f"{path}: {key} is no object with named fields; give Omni3D's form.")
        score = known_number(row.get("score"))
        image = truth.images.get(identity(row.get("image_id")))
        category = truth.categories.get(identity(row.get("category_id")))
        corners = row_corners(row, "bbox3D", "pose")
        if score is None:
            excluded.append({"key": key, "reason": f"score is {row.get('score')!r}"})
        elif image is None:
            excluded.append({"key": key, "reason": f"the truth has no picture {row.get('image_id')!r}"})
        elif category is None:
            excluded.append({"key": key, "reason": f"the truth has no category {row.get('category_id')!r}"})
        elif isinstance(corners, str):
            excluded.append({"key": key, "reason": corners})
        elif score >= confidence:
            kept.add(key, image, category, corners, row_numbers(row.get("bbox"), (4,)), score, False)
    boxes, bad = kept.boxes()
    excluded += bad
    _check_usable(path, len(rows), excluded)
    return boxes, excluded


def read_detected_scenes(path: Path, truth: Path, *, schema: str | None = None) -> Items[Scene]:
    """Detections as scenes, keyed and named as `read_scenes` does the truth, with their scores as confidence.

    Raises SceneError where the truth is not Omni3D's, or a file is unusable.
    """
    known = read_annotations(truth)
    found, excluded = read_detections(path, known)
    words = ()
    if schema in SCHEMAS:
        words = next((entry.words for entry in load_schema(schema).fields if entry.name == "category"), ())
    objects: list[list[SceneObject]] = [[] for _ in known.keys]
    for image, item in zip(
        found.image, to_objects(found, [schema_word(name, words) for name in known.names]), strict=True
    ):
        objects[image].append(item)
    scenes = {
        key: Scene(
            objects=tuple(objects[index]),
            schema=schema or "omni3d",
            frame="camera",
            up_axis="-y",
            units="m",
            image=key,
        )
        for index, key in enumerate(known.keys)
        if objects[index]
    }
    return Items(path=path, items=scenes, notes=tuple(f"{row['key']}: {row['reason']}" for row in excluded))


def to_objects(boxes: Boxes, names: Sequence[str]) -> list[SceneObject]:
    """Boxes as objects of scenes; `names` are those of the categories."""
    return [
        SceneObject(
            category=names[int(category)],
            location=tuple(center.tolist()),
            dimensions=tuple(extent[::-1].tolist()),
            confidence=float(min(max(score, 0.0), 1.0)),
            extra={"R_cam": rotation.round(6).tolist()},
        )
        for category, center, extent, rotation, score in zip(
            boxes.category,
            boxes.cuboids.center,
            boxes.cuboids.extent,
            boxes.cuboids.rotation,
            boxes.scores,
            strict=True,
        )
    ]


def released_objectron(path: Path) -> Items[Sequence[Row]] | None:
    """The rows that the released Objectron script takes of an Omni3D file: all annotations. None for other files.

    Detections by themselves have no names of pictures and categories, so they are refused.
    """
    if path.suffix != ".json" or not path.is_file():
        return None
    data = read_json(path)
    if isinstance(data, list):
        raise SceneError(f"{path}: `--protocol release` reads scenes; convert detections to scenes first.")
    if not isinstance(data, dict) or "annotations" not in data:
        return None
    keys, names = {}, {}
    for name in ("images", "categories", "annotations"):
        if not isinstance(data.get(name, [] if name == "categories" else None), list):
            raise SceneError(f"{path}: no list `{name}`; Omni3D's annotations have categories, images and annotations.")
    for index, row in enumerate(data["images"]):
        where = f"{path}: images[{index}]"
        keys[row_id(row, where)] = clean_key(row_word(row, "file_path", where))
    for index, row in enumerate(data.get("categories", ())):
        where = f"{path}: categories[{index}]"
        names[row_id(row, where)] = row_name(row, where)
    rows: dict[str, list[Row]] = {}
    for index, row in enumerate(data["annotations"]):
        where = f"{path}: annotations[{index}]"
        if not isinstance(row, dict):
            raise SceneError(f"{where} is no object with named fields.")
        key = keys.get(identity(row.get("image_id")))
        category = row.get("category_name") or names.get(identity(row.get("category_id")))
        center, dimensions = (row_numbers(row.get(name), (3,)) for name in ("center_cam", "dimensions"))
        for name, value in {"category_name": category, "center_cam": center, "dimensions": dimensions}.items():
            if value is None:
                raise SceneError(f"{where}: {name} is {row.get(name)!r}; the released script needs it of each.")
        if key is None:
            raise SceneError(f"{where}: image_id is {row.get('image_id')!r}, which is none of the images.")
        fields = {"category": category, "center_cam": row["center_cam"], "dimensions": row["dimensions"]}
        rows.setdefault(key, []).append(fields)
    return Items(path=path, items=rows)


def _check_usable(path: Path, count: int, excluded: Sequence[dict[str, str]]) -> None:
    """Raises SceneError where there are detections and none can be used: a figure of 0 would hide the reason."""
    if count and len(excluded) >= count:
        first = excluded[0]
        raise SceneError(
            f"{path}: none of its {count} detections can be used; the first reason: {first['key']}: {first['reason']}."
        )


def _detection_rows(path: Path) -> list[Any]:
    if path.suffix == ".pth":
        import pickle

        import torch

        try:
            data = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise SceneError(
                f"{path}: holds more than plain data and is not loaded ({error}). "
                "Give omni_instances_results.json, which Cube R-CNN writes beside it."
            ) from error
        rows = _flat(data, path)
        ids = _model_categories(path)
        return [
            {**row, "category_id": ids.get(row.get("category_id"))} if isinstance(row, dict) else row for row in rows
        ]
    return _flat(read_json(path), path)


def _flat(data: Any, path: Path) -> list[Any]:
    """The detections of a list of them, or of a list of pictures with `instances` each."""
    if not isinstance(data, list):
        raise SceneError(f"{path}: a file of detections is a list; this is not.")
    if not data or not isinstance(data[0], dict) or "instances" not in data[0]:
        return data
    seen = set()
    for index, row in enumerate(data):
        image_id = identity(row.get("image_id")) if isinstance(row, dict) else None
        if image_id is None or not isinstance(row.get("instances"), list):
            raise SceneError(f"{path}: pictures[{index}] has no image_id or no list `instances`; give Omni3D's form.")
        if image_id in seen:
            raise SceneError(f"{path}: the picture {image_id!r} stands twice; remove one of the two.")
        seen.add(image_id)
    return [
        {"image_id": row["image_id"], **item} if isinstance(item, dict) else item
        for row in data
        for item in row["instances"]
    ]


def _model_categories(path: Path) -> dict[Any, int]:
    """The model's own number of a category -> Omni3D's id."""
    for folder in list(path.absolute().parents)[:4]:
        file = folder / "category_meta.json"
        if file.is_file():
            table = read_json(file)["thing_dataset_id_to_contiguous_id"]
            return {number: int(identity) for identity, number in table.items()}
    raise ConfigError(
        f"{path}: its categories are the model's own; put the model's category_meta.json beside it, "
        "or give omni_instances_results.json."
    )


def _scene_boxes(path: Path, truth: Annotations, confidence: float) -> tuple[Boxes, list[dict[str, str]]]:
    source = read_scenes(path)
    excluded = [{"key": key, "reason": fault} for key, fault in source.faults.items()]
    words = {schema_word(name): index for index, name in enumerate(truth.names)}
    words |= {schema_word(name, (name.rstrip("s"),)): index for index, name in enumerate(truth.names)}
    index_of = {key: index for index, key in enumerate(truth.keys)}
    kept, straight, count = BoxRows(), 0, len(source.faults)
    for key, scene in source.items.items():
        count += max(len(scene.objects), 1)
        if (scene.frame, scene.units) != ("camera", "m"):
            raise SceneError(f"{path}: {key!r} is in the frame {scene.frame}, {scene.units}; boxes need camera, m.")
        if key not in index_of:
            excluded.append({"key": key, "reason": "the truth has no such picture"})
            continue
        for index, item in enumerate(scene.objects):
            where = f"objects[{index}]"
            if item.location is None or item.dimensions is None or item.category not in words:
                excluded.append({"key": key, "reason": f"{where} lacks a place, dimensions or a known category"})
                continue
            score = 1.0 if item.confidence is None else item.confidence
            rotation = row_numbers(item.get("R_cam"), (3, 3))
            straight += rotation is None
            turn = np.eye(3) if rotation is None else rotation
            if score >= confidence:
                corners = omni3d_cuboid(np.asarray(item.location), np.asarray(item.dimensions), turn).corners()[0]
                kept.add(f"{key}: {where}", index_of[key], words[item.category], corners, None, score, False)
    boxes, bad = kept.boxes()
    excluded += bad
    _check_usable(path, count, excluded)
    if straight:
        excluded.append({"key": path.name, "reason": f"{straight} objects without R_cam stand along the camera's axes"})
    return boxes, excluded

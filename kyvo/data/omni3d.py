"""Omni3D's JSON (Objectron, ARKitScenes and any set of that form) -> scenes in the camera's frame.

A file holds `categories`, `images` and `annotations`; a value that its makers did not know is -1, null or missing. What
cannot be used is left out and counted by reason in a `Tally`, and never takes its neighbours along. The way back,
`save_omni3d`, is in `kyvo.export.omni3d`. Boxes are in metres and the camera's axes: x right, y down, z forward.
`dimensions` are width, height and length, along the box's z, y and x axes (https://arxiv.org/abs/2207.10660).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from kyvo.errors import ImageError, SceneError
from kyvo.export.omni3d import box_corners as box_corners
from kyvo.export.omni3d import save_omni3d as save_omni3d
from kyvo.scene.builtin_schemas import arkitscenes_schema, objectron_schema
from kyvo.scene.files import LIMIT, read_json, rotation_fault
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.pictures import read_picture

SCHEMAS = {"Objectron": objectron_schema, "ARKitScenes": arkitscenes_schema}  # by the name in Omni3D's file names

_SPELLINGS = {"books": "book", "shoes": "shoe"}  # Omni3D's plurals of Objectron's own names
_SQUARE = 1e-3  # focal lengths that differ by less make one; real phones stay below


@dataclass(kw_only=True)
class Tally:
    """What a file held, and what of it could not be used and why. `examples` has the first place of each reason."""

    num_images: int = 0
    num_annotations: int = 0
    images: Counter[str] = field(default_factory=Counter)  # reason -> number left out
    annotations: Counter[str] = field(default_factory=Counter)  # reason -> number left out
    fields: Counter[str] = field(default_factory=Counter)  # optional field -> number of objects without it
    examples: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """One line a reason, the most frequent first."""
        counts = {"images left out": self.images, "annotations left out": self.annotations, "kept": self.fields}
        return [
            f"{number} {what}: {reason}, as in {self.examples[reason]}"
            for what, counter in counts.items()
            for reason, number in counter.most_common()
        ]

    def _add(self, counter: Counter[str], reason: str, where: str) -> None:
        counter[reason] += 1
        self.examples.setdefault(reason, where)


@dataclass(frozen=True, kw_only=True)
class Omni3DSet:
    """One file: a scene for each image that has an object, in the file's order."""

    info: dict[str, Any]
    categories: tuple[str, ...]  # as words of a schema: "cereal_box"
    scenes: tuple[Scene, ...]
    tally: Tally


class _Unfit(SceneError):
    """Why one image or annotation is left out; the message is the reason that is counted."""


def identity(value: Any) -> int | str | None:
    """An id as it is compared: 1, 1.0 (as pandas writes it) and "1" are the number 1; None for what is no id."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() else value or None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def known_flag(value: Any) -> bool | None:
    """A boolean of JSON, also written as 0, 1 or a text; None for null, -1 and what is none."""
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return bool(value) if isinstance(value, bool | int | float) and value in (0, 1) else None


def schema_word(name: str, known: Sequence[str] = ()) -> str:
    """A category's name as a word of a schema: without blanks, in the singular where only that is `known`."""
    word = name.strip().replace(" ", "_")
    singular = _SPELLINGS.get(word, word)
    return singular if word not in known and singular in known else word


def load_omni3d(path: Path, schema: SceneSchema | None = None, *, clamp: bool = False) -> Omni3DSet:
    """Reads a file; numbers stay as they are, the tokenizer snaps them.

    Objects keep `R_cam`, `visibility` and `truncation` in `extra` where they are known, and scenes `image_id`,
    `image_size` (width, height) and `K`. `Scene.camera` is set where `K` has one focal length for both axes.

    Args:
        path: `Objectron_train.json` and the like.
        schema: leaves out objects whose category it lacks or whose numbers have no bin.
        clamp: keeps objects outside the bins, and counts them.

    Raises:
        SceneError: the file as a whole is unusable: no JSON, or without categories, images or annotations.
    """
    data = read_json(path)
    for name in ("categories", "images", "annotations"):
        if not isinstance(data, dict) or not isinstance(data.get(name), list):
            raise SceneError(
                f"{path}: no list `{name}`; a file in Omni3D's form has categories, images and annotations. "
                "Give the whole file, as Objectron_train.json."
            )
    words = _categories(data["categories"], schema, str(path))
    tally = Tally(num_images=len(data["images"]), num_annotations=len(data["annotations"]))
    scenes: dict[Any, Scene] = {}
    for index, row in enumerate(data["images"]):
        where = f"images[{index}]"
        try:
            scene = _image(row, tally, where)
            if scene.extra["image_id"] in scenes:
                raise _Unfit("its id stands twice")
            scenes[scene.extra["image_id"]] = scene
        except _Unfit as error:
            tally._add(tally.images, str(error), where)
    objects: dict[Any, list[SceneObject]] = {image_id: [] for image_id in scenes}
    for index, row in enumerate(data["annotations"]):
        where = f"annotations[{index}]"
        try:
            image_id = _key(row, "image_id")
            if image_id not in objects:
                raise _Unfit("its image is unknown or left out")
            item = _object(row, words, tally, where)
            if schema is not None:
                _check_bins(item, schema, clamp, tally, where)
            objects[image_id].append(item)
        except _Unfit as error:
            tally._add(tally.annotations, str(error), where)
    name = schema.name if schema else "omni3d"
    for image_id, scene in list(scenes.items()):
        if objects[image_id]:
            scenes[image_id] = replace(scene, objects=tuple(objects[image_id]), schema=name)
        else:
            tally._add(tally.images, "no object is left", str(scene.image))
            del scenes[image_id]
    info = data.get("info")
    return Omni3DSet(
        info=info if isinstance(info, dict) else {},
        categories=tuple(dict.fromkeys(words.values())),
        scenes=tuple(scenes.values()),
        tally=tally,
    )


def read_pair(scene: Scene, pictures: Path, *, flipped: bool = False) -> tuple[UInt8[np.ndarray, "h w 3"], Scene, str]:
    """Picture, scene and name of one sample. Raises ImageError for a picture that is unreadable or of another size.

    Args:
        scene: of `load_omni3d`.
        pictures: the folder that `file_path` starts from: Omni3D's `datasets`.
        flipped: gives the mirror image of both.
    """
    assert scene.image is not None
    if PurePosixPath(scene.image).is_absolute() or ".." in PurePosixPath(scene.image).parts:
        raise ImageError(f"{scene.image} leads out of {pictures}, where the pictures of the annotations are.")
    picture = read_picture(pictures / scene.image)
    if [picture.shape[1], picture.shape[0]] != scene.extra["image_size"]:
        width, height = scene.extra["image_size"]
        raise ImageError(
            f"{pictures / scene.image} has {picture.shape[1]}x{picture.shape[0]} px, its annotations are for "
            f"{width}x{height}. Take the pictures that come with Omni3D's files."
        )
    return _flip_pair(picture, scene, scene.image) if flipped else (picture, scene, scene.image)


def flip(scene: Scene, picture: UInt8[np.ndarray, "h w 3"]) -> tuple[Scene, UInt8[np.ndarray, "h w 3"]]:
    """The mirror image, left to right, of a scene and its picture; doing it twice gives both back exactly."""
    return flip_scene(scene), np.ascontiguousarray(picture[:, ::-1])


def flip_scene(scene: Scene) -> Scene:
    """The mirror image of a scene in a camera's frame. Raises SceneError for another frame."""
    if scene.frame != "camera":
        raise SceneError(f"the scene's frame is {scene.frame!r}; left and right are the picture's in 'camera' only.")
    extra, camera = dict(scene.extra), scene.camera
    if "K" in extra:
        (focal_x, skew, center), *rows = extra["K"]
        extra["K"] = [[focal_x, -skew, extra["image_size"][0] - center], *rows]
    if camera is not None:
        camera = replace(camera, center=(camera.width - camera.center[0], camera.center[1]))
    return replace(scene, camera=camera, extra=extra, objects=tuple(_flip_object(item) for item in scene.objects))


def _categories(rows: list[Any], schema: SceneSchema | None, where: str) -> dict[int | str, str]:
    """Category id -> word."""
    known = next((entry.words for entry in schema.fields if entry.name == "category"), ()) if schema else ()
    words = {}
    for index, row in enumerate(rows):
        key = identity(row.get("id")) if isinstance(row, dict) else None
        if key is None or not isinstance(row.get("name"), str) or not row["name"].strip():
            raise SceneError(f"{where}: categories[{index}] is {row!r}; an object with `id` and `name` is needed.")
        word = schema_word(row["name"], known)
        if words.setdefault(key, word) != word:
            raise SceneError(f"{where}: categories[{index}] has the id {key!r} of another name; give each its own.")
    return words


def _image(row: Any, tally: Tally, where: str) -> Scene:
    image_id = _key(row, "id")
    width, height = (_whole(row.get(name)) for name in ("width", "height"))
    file_path = row.get("file_path")
    if not isinstance(file_path, str) or not file_path:
        raise _Unfit("file_path is no text")
    if width is None or height is None or width <= 0 or height <= 0:
        raise _Unfit("width and height are no positive whole numbers")
    extra: dict[str, Any] = {"image_id": image_id, "image_size": [width, height]}
    camera = None
    matrix = _optional(row, "K", (3, 3), tally, where)
    if matrix is not None and np.abs(matrix).max() > LIMIT:
        tally._add(tally.fields, f"K has numbers beyond {LIMIT:g}", where)
    elif matrix is not None:
        # On a grid of a millionth pixel, so that width - x is exact and a mirror image mirrors back.
        matrix[0, 2] = round(matrix[0, 2] * 2**20) / 2**20
        extra["K"] = matrix.tolist()
        focal_x, focal_y = float(matrix[0, 0]), float(matrix[1, 1])
        if focal_x <= 0 or abs(focal_x - focal_y) > _SQUARE * focal_x:
            tally._add(tally.fields, "K has no single focal length", where)
        else:
            camera = Camera(
                width=width,
                height=height,
                focal=(focal_x + focal_y) / 2,
                center=(float(matrix[0, 2]), float(matrix[1, 2])),
                location=(0.0, 0.0, 0.0),
                rotation=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
            )
    image = file_path.replace("\\", "/")
    return Scene(objects=(), frame="camera", up_axis="-y", units="m", camera=camera, image=image, extra=extra)


def _object(row: Any, words: dict[int | str, str], tally: Tally, where: str) -> SceneObject:
    """Raises _Unfit where there is no category or no box that can be trusted."""
    category = words.get(_key(row, "category_id"))
    if category is None:
        raise _Unfit("category_id is not in categories")
    if known_flag(row.get("valid3D")) is False:
        raise _Unfit("valid3D is false")
    if known_flag(row.get("behind_camera")):
        raise _Unfit("a corner is behind the camera")
    if row.get("lidar_pts") == 0 or row.get("segmentation_pts") == 0:
        raise _Unfit("no point of it is visible")
    center, dimensions = _known(row, "center_cam", (3,)), _known(row, "dimensions", (3,))
    for name, value in (("center_cam", center), ("dimensions", dimensions)):
        if value is None:
            raise _Unfit(f"{name} is unknown")
        if np.abs(value).max() > LIMIT:
            raise _Unfit(f"{name} has numbers beyond {LIMIT:g}")
    assert center is not None and dimensions is not None
    if (dimensions <= 0).any():
        raise _Unfit("dimensions are not positive")
    optional = {"R_cam": (3, 3), "bbox3D_cam": (8, 3), "visibility": (), "truncation": ()}
    values = {name: _optional(row, name, shape, tally, where) for name, shape in optional.items()}
    if values["R_cam"] is not None and (fault := rotation_fault(values["R_cam"].tolist())) is not None:
        tally._add(tally.fields, f"R_cam {fault.rstrip('.')}", where)
        values["R_cam"] = None
    rotation, corners = values["R_cam"], values.pop("bbox3D_cam")  # the corners follow from the others
    extra = {name: value.tolist() for name, value in values.items() if value is not None}
    if rotation is not None and corners is not None:
        apart = np.abs(box_corners(center.tolist(), dimensions.tolist(), rotation.tolist()) - corners).max()
        if apart > 1e-3 + 0.02 * dimensions.max():
            tally._add(tally.fields, "bbox3D_cam is not the box of center_cam, dimensions and R_cam", where)
    return SceneObject(
        category=category, location=tuple(center.tolist()), dimensions=tuple(dimensions.tolist()), extra=extra
    )


def _check_bins(item: SceneObject, schema: SceneSchema, clamp: bool, tally: Tally, where: str) -> None:
    for entry in schema.fields:
        try:
            entry.snap(item.get(entry.name))
        except SceneError as error:
            if entry.words:
                raise _Unfit(f"the schema {schema.name} has no {entry.name} {item.get(entry.name)!r}") from error
            reason = f"{entry.name} is outside the bins of {schema.name}"
            if not clamp or not entry.axes:
                raise _Unfit(reason) from error
            tally._add(tally.fields, reason, f"{where}: {error}")


def _key(row: Any, name: str) -> Any:
    if not isinstance(row, dict):
        raise _Unfit("it is no JSON object")
    value = identity(row.get(name))
    if value is None:
        raise _Unfit(f"{name} is no number")
    return value


def _whole(value: Any) -> int | None:
    """A whole number, also written as 64.0."""
    found = identity(value)
    return found if isinstance(found, int) and not isinstance(value, str) else None


def _known(row: dict[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """The numbers of a field, float64 of this shape; None where the file says, by null or -1, that nobody knows."""
    value = row.get(name)
    if value is None or value == -1:
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise _Unfit(f"{name} is not of the shape {shape}") from None
    if array.size and array.dtype.kind in "if" and (array == -1).all():
        return None
    if array.shape != shape or array.dtype.kind not in "if":
        raise _Unfit(f"{name} is not of the shape {shape}")
    if not np.isfinite(array).all():
        raise _Unfit(f"{name} is not finite")
    return array.astype(np.float64)


def _optional(row: dict[str, Any], name: str, shape: tuple[int, ...], tally: Tally, where: str) -> np.ndarray | None:
    """As `_known`; a field that is missing or faulty is counted and does not cost the object."""
    try:
        value = _known(row, name, shape)
    except _Unfit as error:
        tally._add(tally.fields, str(error), where)
        return None
    if value is None:
        tally._add(tally.fields, f"{name} is unknown", where)
    return value


def _flip_pair(
    picture: UInt8[np.ndarray, "h w 3"], scene: Scene, name: str
) -> tuple[UInt8[np.ndarray, "h w 3"], Scene, str]:
    scene, picture = flip(scene, picture)
    path = PurePosixPath(name)
    return picture, scene, str(path.with_stem(f"{path.stem}_flipped"))


def _flip_object(item: SceneObject) -> SceneObject:
    values: dict[str, Any] = {}
    if item.location is not None:
        values["location"] = (-item.location[0], *item.location[1:])
    if item.pose is not None:
        values["pose"] = (item.pose[0], -item.pose[1], -item.pose[2])
    if "R_cam" in item.extra:
        # M R M with M = diag(-1, 1, 1): a rotation again, of the same box
        (a, b, c), (d, e, f), (g, h, i) = item.extra["R_cam"]
        values["R_cam"] = [[a, -b, -c], [-d, e, f], [-g, h, i]]
    return item.with_values(**values)

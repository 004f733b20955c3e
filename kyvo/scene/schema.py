"""`SceneSchema`: the fields an object has, their order, markers, words and number bins.

A schema is all that a tokenizer, a grammar and a metric need to know of a data set. `kyvo.scene.builtin_schemas` has
those that Kyvo brings; a user's own is a YAML file read by `SceneSchema.from_yaml`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kyvo.errors import SceneError
from kyvo.scene.fields import Axis, Field, axis_from_dict, axis_to_dict, field_from_dict, short_axis
from kyvo.scene.scene import Camera, Scene, SceneObject, Vector

CLEVR_FOCAL = 35 / 32  # focal length over picture width: Blender's 35 mm lens on a 32 mm sensor
CLEVR_RADIUS = {"large": 0.7, "small": 0.35}  # of a sphere, or half the side of a cube
CLEVR_COLORS = {  # bytes that CLEVR's renderer reads as linear light
    "gray": (87, 87, 87), "red": (173, 35, 35), "blue": (42, 75, 215), "green": (29, 105, 20),
    "brown": (129, 74, 25), "purple": (129, 38, 192), "cyan": (41, 208, 208), "yellow": (255, 238, 51),
}  # fmt: skip
CLEVR_CAMERA: Vector = (7.48113, -6.50764, 5.34367)  # before its jitter of +-0.5 an axis; it looks at the origin
CAMERA = "[CAMERA]"  # the marker before a camera's numbers in a scene's header
HEADER_SIZE = (480, 320)  # px, of a camera read from a header: CLEVR's pictures
SAME_VIEW = 0.02  # largest difference of a camera's axes, and of its focal length over width, from those of a header


def clevr_camera(width: int, height: int, location: Vector = CLEVR_CAMERA) -> Camera:
    """CLEVR's camera on a picture of this size (px), by default without jitter."""
    return Camera.look_at(location=location, focal=CLEVR_FOCAL * width, width=width, height=height)


def camera_of(scene: Scene, width: int, height: int) -> Camera | None:
    """The camera that sees a scene on a picture of this size (px): its own, or CLEVR's unmoved one for a scene in
    CLEVR's units that has none; None where nothing says it."""
    if scene.camera is None and scene.units == "clevr" and scene.frame == "world":
        return clevr_camera(width, height)
    return None if scene.camera is None else scene.camera.resized(width, height)


ORDERS = (
    "given",  # as the scene has them
    "sorted",  # by their values, field by field
    "seen",  # as one reads the picture: by tenths of its height from the top, in each from left to right
)


@dataclass(frozen=True, kw_only=True)
class SceneSchema:
    """The fields of a data set's objects, in token order, and the conventions of its numbers."""

    name: str
    fields: tuple[Field, ...]
    frame: str = "world"
    up_axis: str = "+z"
    units: str = "clevr"
    order: str = "given"  # of objects in the tokens, one of ORDERS
    camera: tuple[Axis, ...] = ()  # how far it stands from CLEVR's along x, y, z; without, scenes have no header

    def __post_init__(self) -> None:
        for what, names in (("name", [f.name for f in self.fields]), ("marker", [f.marker for f in self.fields])):
            if len(set(names)) != len(names):
                raise SceneError(f"schema {self.name}: a field {what} stands twice in {names}.")
        for what, value, known in (
            ("frame", self.frame, ("world", "camera")),
            ("order", self.order, ORDERS),
        ):
            if value not in known:
                raise SceneError(f"schema {self.name}: {what} is {value!r}; known are {', '.join(known)}.")
        for before, field in zip((None, *self.fields), self.fields, strict=False):
            if set(field.of) - set(before.words if before else ()):
                raise SceneError(
                    f"schema {self.name}: field {field.name} is of {', '.join(field.of)}, which are no words of the "
                    "field before it."
                )
        if self.order == "seen" and not self.has_locations:
            raise SceneError(
                f"schema {self.name}: order is 'seen', which needs a field `location` in the world's frame; "
                "take 'given' or 'sorted'."
            )

    @property
    def markers(self) -> tuple[str, ...]:
        return (*((CAMERA,) if self.camera else ()), *(field.marker for field in self.fields))

    @property
    def word_fields(self) -> "tuple[Field, ...]":
        """Those whose values are words."""
        return tuple(field for field in self.fields if field.words)

    @property
    def word_counts(self) -> tuple[int, ...]:
        """How many words each of these has."""
        return tuple(len(field.words) for field in self.word_fields)

    def field(self, name: str) -> "Field":
        """The one of this name, which the schema has."""
        return next(field for field in self.fields if field.name == name)

    @property
    def has_locations(self) -> bool:
        """Whether its objects stand at locations of a world, and not of a camera."""
        return self.frame == "world" and "location" in {field.name for field in self.fields}

    @property
    def numbers(self) -> tuple[float, ...]:
        """All number values of all axes, ascending: what a vocabulary must hold."""
        axes = [*self.camera, *(axis for field in self.fields for axis in field.axes)]
        return tuple(sorted({value for axis in axes for value in axis.values}))

    def camera_offset(self, camera: Camera | None) -> Vector | None:
        """The header's numbers for a camera: how far it stands from CLEVR's unmoved one, on its bins.

        None for no camera, and for one that no header can hold: outside of the bins, with another lens, or looking
        elsewhere than to the origin.
        """
        if camera is None or not self.camera:
            return None
        try:
            offset = [
                axis.snap(float(there) - here)
                for axis, there, here in zip(self.camera, camera.location, CLEVR_CAMERA, strict=True)
            ]
        except SceneError:
            return None
        there = clevr_camera(camera.width, camera.height, camera.location)
        turned = np.abs(np.subtract(camera.rotation, there.rotation)).max()
        zoomed = abs(camera.focal - there.focal) / camera.width
        return (offset[0], offset[1], offset[2]) if max(turned, zoomed) <= SAME_VIEW else None

    def camera_at(self, offset: Sequence[float]) -> Camera:
        """Inverse of `camera_offset`, on a picture of CLEVR's size."""
        x, y, z = (round(here + by, 6) for here, by in zip(CLEVR_CAMERA, offset, strict=True))
        return clevr_camera(*HEADER_SIZE, (x, y, z))

    def snap_camera(self, camera: Camera | None) -> Camera | None:
        """The nearest camera that a header can hold; None where there is none (`camera_offset`)."""
        offset = self.camera_offset(camera)
        return None if offset is None else self.camera_at(offset)

    def snap(self, scene: Scene, *, clamp: bool = False) -> Scene:
        """The nearest scene that has tokens: snapped values, schema fields only, objects in token order, and the camera
        where the schema has one (`snap_camera`).

        The order "seen" is that of this camera, else of the scene's own, or of CLEVR's unmoved one where it has none.

        Raises SceneError with the place, as in `objects[3].location: x is 3.4 clevr; ...`.
        """
        objects = [self._snap_object(item, f"objects[{i}]", clamp) for i, item in enumerate(scene.objects)]
        camera = self.snap_camera(scene.camera)
        if self.order == "sorted":
            objects.sort(key=self._rank)
        elif self.order == "seen":
            objects = in_reading_order(objects, camera or scene.camera or clevr_camera(*HEADER_SIZE))
        return self.scene(objects, camera=camera)

    def scene(self, objects: Iterable[SceneObject] = (), *, camera: Camera | None = None) -> Scene:
        """A scene in this schema's frame and units."""
        return Scene(
            objects=tuple(objects),
            schema=self.name,
            frame=self.frame,
            up_axis=self.up_axis,
            units=self.units,
            camera=camera,
        )

    def token_order(self, scene: Scene, *, clamp: bool = False) -> list[int]:
        """Indices of the objects in the order of `snap(scene)`, which is that of the tokens."""
        alone = [self.snap(replace(scene, objects=(item,)), clamp=clamp).objects[0] for item in scene.objects]
        left = list(range(len(alone)))
        order = []
        for item in self.snap(scene, clamp=clamp).objects:
            order.append(next(index for index in left if alone[index] == item))
            left.remove(order[-1])
        return order

    def _snap_object(self, item: SceneObject, where: str, clamp: bool) -> SceneObject:
        values, word = {}, None
        for field in self.fields:
            if not field.of or (word in field.of and item.get(field.name) is not None):
                try:
                    values[field.name] = field.snap(item.get(field.name), clamp=clamp)
                except SceneError as error:
                    raise SceneError(f"{where}.{field.name}: {error}") from error
            word = values.get(field.name)
        return SceneObject().with_values(**values)

    def _rank(self, item: SceneObject) -> tuple[Any, ...]:
        """Words by their place in the schema, then numbers: the order in which a vocabulary lists them."""
        values = ((field, item.get(field.name)) for field in self.fields)
        missing = (-math.inf,)
        return tuple(
            field.words.index(value) if field.words else missing if value is None else field.numbers(value)
            for field, value in values
        )

    def count_clamped(self, scene: Scene) -> int:
        """How many numbers of `scene` lie outside their bins and would move under `clamp`."""
        count = 0
        for item in scene.objects:
            for field in self.fields:
                given = item.get(field.name)
                for axis, value in zip(field.axes, () if given is None else field.numbers(given), strict=False):
                    try:
                        axis.snap(float(value))
                    except SceneError:
                        count += 1
        return count

    def to_dict(self) -> dict[str, Any]:
        """Plain data, read back by `from_dict`; what model folders and YAML files hold."""
        fields = []
        for field in self.fields:
            row: dict[str, Any] = {"name": field.name, "marker": field.marker}
            if field.words:
                row["words"] = list(field.words)
            if field.num_codes:
                row["num_codes"] = field.num_codes
            if field.axes:
                row["axes"] = [axis_to_dict(axis) for axis in field.axes]
            if field.of:
                row["of"] = list(field.of)
            if field.is_scalar:
                row["is_scalar"] = True
            fields.append(row)
        head = {name: getattr(self, name) for name in ("name", "frame", "up_axis", "units", "order")}
        header = {"camera": [axis_to_dict(axis) for axis in self.camera]} if self.camera else {}
        return {**head, **header, "fields": fields}

    def with_words(self, field: str, words: Sequence[str], *, name: str) -> "SceneSchema":
        """The schema with further words at the end of a field, under another name.

        The words before keep their places, which is what a network that was trained on them knows them by.
        Raises SceneError for a field that has no words, and for a word that stands there already.
        """
        known = [item.name for item in self.word_fields]
        if field not in known:
            raise SceneError(f"schema {self.name}: no field of words is called {field!r}; it has {', '.join(known)}.")
        for word in words:
            if not word.strip() or word in self.field(field).words:
                raise SceneError(
                    f"schema {self.name}: {word!r} cannot be added to {field}, which has "
                    f"{', '.join(self.field(field).words)}."
                )
        fields = tuple(
            replace(item, words=(*item.words, *words)) if item.name == field else item for item in self.fields
        )
        return replace(self, name=name, fields=fields)

    def with_num_codes(self, count: int) -> "SceneSchema":
        """The schema with so many codes a shape, where it has shapes."""
        fields = (replace(item, num_codes=count) if item.num_codes else item for item in self.fields)
        return replace(self, fields=tuple(fields))

    def to_yaml(self) -> str:
        """A schema file, as `from_yaml` reads it; axes of equal steps have their ends and step."""
        data = self.to_dict()
        for field in data["fields"]:
            field["axes"] = [short_axis(axis) for axis in field.get("axes", ())]
            if not field["axes"]:
                del field["axes"]
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SceneSchema":
        """Inverse of `to_dict`. An axis may give `low`, `high`, `step` instead of `values`."""
        try:
            fields = tuple(field_from_dict(row) for row in data["fields"])
            camera = tuple(axis_from_dict(row) for row in data.get("camera", ()))
            head = {key: value for key, value in data.items() if key not in ("fields", "camera")}
            return cls(fields=fields, camera=camera, **head)
        except KeyError as error:
            raise SceneError(f"schema {data.get('name', '?')}: the key {error} is missing.") from error
        except TypeError as error:
            raise SceneError(f"schema {data.get('name', '?')}: {error}.") from error

    @classmethod
    def from_yaml(cls, path: str | Path) -> "SceneSchema":
        """A user's schema file; docs/scene-format.md shows one."""
        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SceneError(f"{path}: not a readable YAML file ({error}).") from error
        if not isinstance(data, dict):
            raise SceneError(
                f"{path}: a schema is a mapping with name and fields, but this is a {type(data).__name__}."
            )
        try:
            return cls.from_dict(data)
        except SceneError as error:
            raise SceneError(f"{path}: {error}") from error


def in_reading_order(objects: list[SceneObject], camera: Camera) -> list[SceneObject]:
    """The objects, which have locations, in the order "seen" of ORDERS."""
    points = np.array([item.location for item in objects], dtype=float).reshape(-1, 3)
    seen = camera.project(points)
    cells = [(math.floor(10 * line / camera.height), column) for column, line, _ in seen.tolist()]
    return [objects[index] for index in sorted(range(len(objects)), key=cells.__getitem__)]

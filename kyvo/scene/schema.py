"""`SceneSchema`: the fields an object has, their order, markers, words and number bins.

A schema is all that a tokenizer, a grammar and a metric need to know of a data set. The paper's four are here
(https://arxiv.org/abs/2506.08002, appendix A.2); a user's own is a YAML file read by `SceneSchema.from_yaml`.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kyvo.errors import ConfigError, SceneError
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
class Axis:
    """One number of a field, on a list of allowed values: real value <-> bin.

    A value comes back as the nearest allowed one, so within half a bin. With a `period` (angles) the
    distance is taken around the circle, and every value is in range.
    """

    name: str  # for messages: "x"
    unit: str  # "clevr", "m" or "rad"
    values: tuple[float, ...]  # ascending
    period: float | None = None

    def __post_init__(self) -> None:
        if not self.values or any(a >= b for a, b in zip(self.values, self.values[1:], strict=False)):
            raise SceneError(f"axis {self.name}: its values must be a rising list with at least one entry.")

    def snap(self, value: float, *, clamp: bool = False) -> float:
        """The nearest allowed value. Raises SceneError more than half a bin outside, unless `clamp`."""
        if not math.isfinite(value):
            raise SceneError(f"{self.name} is {value}; a finite number is needed.")
        if self.period is not None:
            turns = np.abs((np.asarray(self.values) - value + self.period / 2) % self.period - self.period / 2)
            return self.values[int(turns.argmin())]
        after = bisect_left(self.values, value)
        near = self.values[max(after - 1, 0) : after + 1]
        nearest = min(near, key=lambda allowed: abs(allowed - value))
        if not clamp and abs(nearest - value) > self._half_bin(nearest) + 1e-9:
            raise SceneError(
                f"{self.name} is {value:g} {self.unit}; its bins cover {self.values[0]:g} to {self.values[-1]:g} "
                f"{self.unit}. Rescale the scene, widen the schema's range and retrain, or pass --clamp."
            )
        return nearest

    def _half_bin(self, value: float) -> float:
        """Half the step at the edge nearest to `value`; values inside the range are always within it."""
        if len(self.values) == 1:
            return 0.0
        first = abs(value - self.values[0]) <= abs(value - self.values[-1])
        edge = (self.values[1] - self.values[0]) if first else (self.values[-1] - self.values[-2])
        inside = self.values[0] < value < self.values[-1]
        return math.inf if inside else edge / 2


def grid(low: float, high: float, step: float) -> tuple[float, ...]:
    """`low` to `high` inclusive, equally spaced. Raises SceneError when `step` does not divide the range."""
    if step <= 0 or high < low:
        raise SceneError(f"a grid needs low <= high and step > 0, but has {low:g} to {high:g} by {step:g}.")
    num_steps = round((high - low) / step)
    if abs(low + num_steps * step - high) > 1e-6 * max(1.0, abs(high)):
        raise SceneError(f"a step of {step:g} does not divide {low:g} to {high:g}; {num_steps} steps end elsewhere.")
    return tuple(round(low + index * step, 6) + 0.0 for index in range(num_steps + 1))


@dataclass(frozen=True, kw_only=True)
class Field:
    """One attribute in an object's token stream: a marker, then a word, some numbers, or shape codes.

    A field with `of` belongs to the objects that have one of these words in the field before it, and may be missing
    there: a cube has a turn, where somebody knows it.
    """

    name: str  # an attribute of SceneObject, or a key of its `extra`
    marker: str  # "[SIZE]"
    words: tuple[str, ...] = ()
    axes: tuple[Axis, ...] = ()
    num_codes: int = 0
    of: tuple[str, ...] = ()  # words of the field before
    is_scalar: bool = False  # a number, and no list of one

    def __post_init__(self) -> None:
        if sum([bool(self.words), bool(self.axes), bool(self.num_codes)]) != 1:
            raise SceneError(f"field {self.name}: give exactly one of words, axes and num_codes.")
        if (self.is_scalar or self.of) and not (self.axes and (len(self.axes) == 1 or not self.is_scalar)):
            raise SceneError(f"field {self.name}: `of` is for fields with axes, `is_scalar` for those with one axis.")

    def numbers(self, value: Any) -> tuple[Any, ...]:
        """A value of numbers or codes as a tuple."""
        return (value,) if self.is_scalar else tuple(value)

    def snap(self, value: Any, *, clamp: bool = False) -> Any:
        """The nearest value that has tokens. Raises SceneError for a missing or unknown value."""
        if value is None:
            if self.of:
                return None
            raise SceneError(f"{self.name} is missing.")
        if self.words:
            if value not in self.words:
                raise SceneError(f"{self.name} is {value!r}; known are {', '.join(self.words)}.")
            return value
        count = self.num_codes or len(self.axes)
        try:
            numbers = tuple(float(number) for number in self.numbers(value))
        except (TypeError, ValueError) as error:
            needed = "a number" if self.is_scalar else f"a list of {count} numbers"
            raise SceneError(f"{self.name} is {value!r}; {needed} is needed.") from error
        if len(numbers) != count:
            raise SceneError(f"{self.name} has {len(numbers)} numbers; {count} are needed.")
        if self.num_codes:
            return tuple(int(code) for code in numbers)
        snapped = tuple(axis.snap(number, clamp=clamp) for axis, number in zip(self.axes, numbers, strict=True))
        return snapped[0] if self.is_scalar else snapped


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
            objects = _as_seen(objects, camera or scene.camera or clevr_camera(*HEADER_SIZE))
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
                row["axes"] = [_axis_to_dict(axis) for axis in field.axes]
            if field.of:
                row["of"] = list(field.of)
            if field.is_scalar:
                row["is_scalar"] = True
            fields.append(row)
        head = {name: getattr(self, name) for name in ("name", "frame", "up_axis", "units", "order")}
        header = {"camera": [_axis_to_dict(axis) for axis in self.camera]} if self.camera else {}
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

    def to_yaml(self) -> str:
        """A schema file, as `from_yaml` reads it; axes of equal steps have their ends and step."""
        data = self.to_dict()
        for field in data["fields"]:
            field["axes"] = [_short_axis(axis) for axis in field.get("axes", ())]
            if not field["axes"]:
                del field["axes"]
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SceneSchema":
        """Inverse of `to_dict`. An axis may give `low`, `high`, `step` instead of `values`."""
        try:
            fields = tuple(_field_from_dict(row) for row in data["fields"])
            camera = tuple(_axis_from_dict(row) for row in data.get("camera", ()))
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


def _short_axis(axis: Mapping[str, Any]) -> dict[str, Any]:
    """The axis with `low`, `high` and `step` in place of values that are a grid."""
    values = axis["values"]
    if len(values) < 2:
        return dict(axis)
    low, high, step = values[0], values[-1], round(values[1] - values[0], 6)
    if abs(low + (len(values) - 1) * step - high) > 1e-6 or grid(low, high, step) != tuple(values):
        return dict(axis)
    others = {key: value for key, value in axis.items() if key != "values"}
    return {**others, "low": low, "high": high, "step": step}


def _field_from_dict(row: Mapping[str, Any]) -> Field:
    return Field(
        name=row["name"],
        marker=row["marker"],
        words=tuple(row.get("words", ())),
        axes=tuple(_axis_from_dict(axis) for axis in row.get("axes", ())),
        num_codes=row.get("num_codes", 0),
        of=tuple(row.get("of", ())),
        is_scalar=row.get("is_scalar", False),
    )


def _axis_to_dict(axis: Axis) -> dict[str, Any]:
    period = {} if axis.period is None else {"period": axis.period}
    return {"name": axis.name, "unit": axis.unit, "values": list(axis.values)} | period


def _axis_from_dict(axis: Mapping[str, Any]) -> Axis:
    values = axis["values"] if "values" in axis else grid(axis["low"], axis["high"], axis["step"])
    return Axis(
        name=axis["name"],
        unit=axis.get("unit", "m"),
        values=tuple(float(value) for value in values),
        period=axis.get("period"),
    )


def _as_seen(objects: list[SceneObject], camera: Camera) -> list[SceneObject]:
    points = np.array([item.location for item in objects], dtype=float).reshape(-1, 3)
    seen = camera.project(points)
    places = [(math.floor(10 * line / camera.height), column) for column, line, _ in seen.tolist()]
    return [objects[index] for index in sorted(range(len(objects)), key=places.__getitem__)]


def _axes(unit: str, **values: tuple[float, ...]) -> tuple[Axis, ...]:
    return tuple(Axis(name=name, unit=unit, values=allowed) for name, allowed in values.items())


def clevr_schema(granularity: float = 0.05) -> SceneSchema:
    """CLEVR: size, colour, material, shape, and x, y, z on one grid over [-3, 3]."""
    floor = grid(-3, 3, granularity)
    return SceneSchema(
        name="clevr",
        order="seen",
        fields=(
            Field(name="size", marker="[SIZE]", words=("large", "small")),
            Field(
                name="color",
                marker="[COLOR]",
                words=tuple(CLEVR_COLORS),
            ),
            Field(name="material", marker="[MATERIAL]", words=("rubber", "metal")),
            Field(name="shape", marker="[SHAPE]", words=("cube", "sphere", "cylinder")),
            Field(name="location", marker="[LOCATION]", axes=_axes("clevr", x=floor, y=floor, z=floor)),
        ),
    )


def clevr_view_schema(granularity: float = 0.05) -> SceneSchema:
    """CLEVR with a header that may tell the camera, and with the turns of cubes.

    The camera is told by how far it stands from CLEVR's unmoved one, so that this one is 0, 0, 0; a turn is CLEVR's
    `rotation` about z modulo a quarter. All their numbers are among those of locations.
    """
    plain, moved = clevr_schema(granularity), grid(-0.5, 0.5, granularity)
    quarter = Axis(name="about_z", unit="rad", values=grid(-0.75, 0.75, granularity), period=math.pi / 2)
    turn = Field(name="rotation", marker="[TURN]", axes=(quarter,), of=("cube",), is_scalar=True)
    *before, shape, location = plain.fields
    return replace(plain, camera=_axes("clevr", x=moved, y=moved, z=moved), fields=(*before, shape, turn, location))


def objaworld_schema(granularity: float = 0.05) -> SceneSchema:
    """ObjaWorld: shape, location and pose. Angles wrap: those beyond +-3 rad take the nearer end, within 0.15 rad."""
    floor = grid(-3, 3, granularity)
    turn = tuple(
        Axis(name=name, unit="rad", values=floor, period=2 * math.pi) for name in ("about_x", "about_y", "about_z")
    )
    return SceneSchema(
        name="objaworld",
        order="seen",
        fields=(
            Field(name="shape", marker="[SHAPE]", words=("person", "bench", "lamppost", "bird", "sofa", "table")),
            Field(name="location", marker="[LOCATION]", axes=_axes("clevr", x=floor, y=floor, z=floor)),
            Field(name="pose", marker="[POSE]", axes=turn),
        ),
    )


def objaworld_shapes_schema(granularity: float = 0.05) -> SceneSchema:
    """ObjaWorld with explicit shapes: 512 codes of the 3D VQ-VAE in place of the shape's name."""
    named = objaworld_schema(granularity)
    codes = Field(name="shape_codes", marker="[SHAPE]", num_codes=512)
    return replace(named, name="objaworld-shapes", fields=(codes, *named.fields[1:]))


def objaworld_shapes_sized_schema(granularity: float = 0.05) -> SceneSchema:
    """Ours: explicit shapes with their size. Codes are of an object in a cube of side 1 and do not tell it."""
    shapes, length = objaworld_shapes_schema(granularity), grid(0, 3, granularity)
    size = Field(
        name="dimensions", marker="[DIMENSIONS]", axes=_axes("clevr", width=length, height=length, length=length)
    )
    return replace(shapes, name="objaworld-shapes-sized", fields=(*shapes.fields, size))


def objectron_schema() -> SceneSchema:
    """Objectron on the released bins: fine near the optical axis, coarse far away. Camera frame, m."""
    near = grid(-0.2, 0.2, 0.01)
    far = (*grid(0, 3, 0.05), 5.0, 7.5, 10.0, 12.5, 15.0, 17.5)
    unit = grid(0, 1, 0.05)
    categories = ("bicycle", "book", "bottle", "camera", "cereal_box", "chair", "cup", "laptop", "shoe")
    return SceneSchema(
        name="objectron",
        frame="camera",
        up_axis="-y",
        units="m",
        fields=(
            Field(name="category", marker="[CATEGORY]", words=categories),
            Field(name="location", marker="[CENTER_CAM]", axes=_axes("m", x=near, y=grid(-0.2, 0.1, 0.01), z=far)),
            Field(
                name="dimensions",
                marker="[DIMENSIONS]",
                axes=_axes("m", width=unit, height=grid(0, 1.2, 0.05), length=unit),
            ),
        ),
    )


def arkitscenes_schema() -> SceneSchema:
    """ARKitScenes: our bins (none were published), 0.05 m over a room. Camera frame, m."""
    side, depth, extent = grid(-3, 3, 0.05), grid(0, 6, 0.05), grid(0, 4, 0.05)
    categories = (
        "bathtub", "bed", "cabinet", "chair", "fireplace", "machine", "oven", "refrigerator",
        "shelves", "sink", "sofa", "stove", "table", "television", "toilet",
    )  # fmt: skip
    return SceneSchema(
        name="arkitscenes",
        frame="camera",
        up_axis="-y",
        units="m",
        fields=(
            Field(name="category", marker="[CATEGORY]", words=categories),
            Field(name="location", marker="[CENTER_CAM]", axes=_axes("m", x=side, y=side, z=depth)),
            Field(
                name="dimensions", marker="[DIMENSIONS]", axes=_axes("m", width=extent, height=extent, length=extent)
            ),
        ),
    )


SCHEMAS = {
    "clevr": clevr_schema,
    "clevr-view": clevr_view_schema,
    "objaworld": objaworld_schema,
    "objaworld-shapes": objaworld_shapes_schema,
    "objaworld-shapes-sized": objaworld_shapes_sized_schema,
    "objectron": objectron_schema,
    "arkitscenes": arkitscenes_schema,
}


def load_schema(name: str) -> SceneSchema:
    """One of SCHEMAS by its name, or a user's YAML file. Raises ConfigError for what is neither."""
    if name in SCHEMAS:
        return SCHEMAS[name]()
    if not name.endswith((".yaml", ".yml")):
        raise ConfigError(f"no schema is called {name!r}; known are {', '.join(SCHEMAS)}, or a .yaml file.")
    return SceneSchema.from_yaml(name)

"""The schemas that Kyvo brings: the paper's four (arXiv 2506.08002, appendix A.2) and variants of them."""

import math
from dataclasses import replace

from kyvo.errors import ConfigError
from kyvo.scene.fields import Axis, Field, grid
from kyvo.scene.schema import CLEVR_COLORS, SceneSchema


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
    """CLEVR with the camera in a header, where it is known, and with the turns of cubes.

    The header has the camera's offset from CLEVR's unmoved one, which is 0, 0, 0; a turn is CLEVR's
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

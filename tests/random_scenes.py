"""Scenes for hypothesis, of any schema."""

from functools import partial
from typing import Any

from hypothesis import strategies as st

from kyvo.scene.fields import Axis, Field
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import SceneSchema


def scenes(schema: SceneSchema, *, max_objects: int = 6) -> st.SearchStrategy[Scene]:
    """Scenes that the schema can hold, values between its bins included."""
    item = st.fixed_dictionaries({field.name: _values(field) for field in schema.fields})
    offset = st.tuples(*(_number(axis) for axis in schema.camera)).map(schema.camera_at)
    camera = st.none() | offset if schema.camera else st.none()
    return st.builds(partial(_scene, schema), st.lists(item, max_size=max_objects), camera, st.booleans())


def _scene(schema: SceneSchema, rows: list[dict[str, Any]], camera: Camera | None, whole: bool) -> Scene:
    """A scene of objects with all values of the schema; without the optional ones where it is not to be `whole`."""
    having: dict[str, tuple[str, tuple[str, ...]]] = {
        field.name: (before.name, field.of)
        for before, field in zip(schema.fields, schema.fields[1:], strict=False)
        if field.of
    }
    objects = tuple(
        SceneObject().with_values(
            **{
                name: value
                for name, value in row.items()
                if name not in having or (whole and row[having[name][0]] in having[name][1])
            }
        )
        for row in rows
    )
    return schema.scene(objects, camera=camera)


def _values(field: Field) -> st.SearchStrategy:
    if field.words:
        return st.sampled_from(field.words)
    if field.num_codes:
        return st.lists(st.integers(0, 31), min_size=field.num_codes, max_size=field.num_codes).map(tuple)
    numbers = st.tuples(*(_number(axis) for axis in field.axes))
    return numbers.map(lambda values: values[0]) if field.is_scalar else numbers


def _number(axis: Axis) -> st.SearchStrategy[float]:
    return st.floats(axis.values[0], axis.values[-1], allow_nan=False)

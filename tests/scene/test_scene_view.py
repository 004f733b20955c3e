"""The schema `clevr-view`: a camera in the header, and turns of cubes, each where it is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_scenes import scenes

from kyvo.data.clevr.sampling import sample_scenes
from kyvo.errors import SceneError
from kyvo.generation.constraint import Constraint
from kyvo.scene.builtin_schemas import clevr_schema, clevr_view_schema
from kyvo.scene.diff import diff
from kyvo.scene.scene import Scene, SceneObject, turn_error
from kyvo.scene.schema import CLEVR_CAMERA, SceneSchema, clevr_camera
from kyvo.scene.validate import validate
from kyvo.testing import tiny_builder, tiny_kyvo
from kyvo.tokenizers.scene import OptionalParts
from kyvo.tokenizers.tasks import TASKS, Segments

SCHEMA = clevr_view_schema()
CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
jitter = st.floats(-0.5, 0.5)


@given(moved=st.tuples(jitter, jitter, jitter))
def test_a_camera_comes_back_within_half_a_bin(moved):
    camera = clevr_camera(120, 80, tuple(np.add(CLEVR_CAMERA, moved)))
    offset = SCHEMA.camera_offset(camera)
    assert np.abs(np.subtract(offset, moved)).max() <= 0.025 + 1e-6
    assert SCHEMA.camera_offset(SCHEMA.camera_at(offset)) == offset


def test_the_unmoved_camera_is_one_value_and_others_have_none():
    camera = clevr_camera(480, 320)
    assert SCHEMA.camera_offset(camera) == (0.0, 0.0, 0.0)
    far = clevr_camera(480, 320, (9.0, -6.5, 5.3))
    zoomed = replace(camera, focal=2 * camera.focal)
    aside = replace(camera, rotation=far.rotation)
    assert [SCHEMA.camera_offset(one) for one in (far, zoomed, aside, None)] == [None] * 4
    assert clevr_schema().snap_camera(camera) is None


def test_schema_files_with_and_without_a_header_come_back():
    assert SceneSchema.from_dict(SCHEMA.to_dict()) == SCHEMA
    plain = clevr_schema().to_dict()
    assert "camera" not in plain and not any("of" in field for field in plain["fields"])
    assert SceneSchema.from_dict(plain) == clevr_schema()
    with pytest.raises(SceneError, match="rotation is of pyramid, which are no words of the field before"):
        data = SCHEMA.to_dict()
        data["fields"][4]["of"] = ["pyramid"]
        SceneSchema.from_dict(data)


def test_a_turn_is_told_of_cubes_alone_and_modulo_a_quarter():
    cube, ball = CUBE.with_values(rotation=0.3 + math.pi), CUBE.with_values(shape="sphere", rotation=0.3)
    snapped = SCHEMA.snap(Scene(objects=(cube, ball)))
    assert sorted(str(item.extra) for item in snapped.objects) == ["{'rotation': 0.3}", "{}"]
    data = {
        "format": "kyvo-scene",
        "version": 1,
        "schema": "clevr",
        "frame": "world",
        "up_axis": "+z",
        "units": "clevr",
    }
    row = {**{name: getattr(CUBE, name) for name in ("size", "color", "material", "shape")}, "location": [0, 0, 0.7]}
    assert validate({**data, "objects": [row, {**row, "rotation": 7.0}]}, SCHEMA) == []
    (fault,) = validate({**data, "objects": [{**row, "rotation": "left"}]}, SCHEMA)
    assert "rotation" in fault and "a number is needed" in fault


@given(turn=st.floats(-50, 50), quarters=st.integers(-8, 8), apart=st.floats(0.001, 0.7))
def test_turns_are_compared_modulo_a_quarter(turn, quarters, apart):
    cube, other = CUBE.with_values(rotation=turn), CUBE.with_values(rotation=turn + quarters * math.pi / 2)
    turned = CUBE.with_values(rotation=turn + apart)
    assert turn_error(cube, other) < 1e-9 and turn_error(cube, turned) == pytest.approx(apart)
    assert not diff(Scene(objects=(cube,)), Scene(objects=(other,)))
    (change,) = diff(Scene(objects=(cube,)), Scene(objects=(turned,))).changed
    assert (change.attribute, change.old) == ("rotation", turn)
    assert (
        turn_error(cube, CUBE) is None
        and turn_error(*[item.with_values(shape="sphere") for item in (cube, turned)]) is None
    )


@given(scene=scenes(SCHEMA, max_objects=4), seed=st.integers(0, 2**32 - 1))
def test_every_form_of_a_scene_is_written_as_its_constraint_says(scene, seed):
    builder, random = tiny_builder(SCHEMA), np.random.default_rng(seed)
    for camera in (False, scene.camera or clevr_camera(480, 320)):
        for turns in (False, True):
            optional = OptionalParts(camera=camera, turns=turns)
            constraint = Constraint.for_task(TASKS["recognition"], builder, max_objects=3, optional=optional)
            state, ids = Constraint.START, []
            while state != constraint.end:
                ids.append(int(random.choice(constraint.allowed(state))))
                state = constraint.step(state, ids[-1])
            found = builder.parse_output(TASKS["recognition"], ids).scene
            assert found.camera == SCHEMA.snap_camera(camera or None)
            assert all(("rotation" in item.extra) == (turns and item.shape == "cube") for item in found.objects)


def test_a_model_is_told_a_camera_or_asked_for_it():
    kyvo = tiny_kyvo(schema=SCHEMA)
    picture = np.zeros((16, 24, 3), dtype=np.uint8)
    camera = clevr_camera(24, 16, tuple(np.add(CLEVR_CAMERA, (0.2, -0.1, 0.0))))
    told, asked = (kyvo.recognize([picture], refine=False, cameras=cameras)[0].camera for cameras in ([camera], [None]))
    assert told == SCHEMA.snap_camera(camera) and asked is not None
    (scene,) = sample_scenes([0], seed=1, width=24, height=16)
    assert kyvo.rendering_camera(scene) == SCHEMA.snap_camera(scene.camera).resized(24, 16)
    with_camera, without = (
        kyvo.complete("scene_editing", [Segments(scene=one, text="Remove it.")], max_objects=1)[0].scene
        for one in (scene, replace(scene, camera=None))
    )
    assert with_camera.camera == SCHEMA.snap_camera(scene.camera) and without.camera is None

"""Objects that an edit adds to a scene whose schema has shapes: made by a generator, placed, drawn and exported."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from tiny_generators import tiny_generator
from tiny_shapes import tiny_tokenizer

from kyvo.data.meshes.captions import COLORS, MATERIALS
from kyvo.data.meshes.categories import CATEGORIES
from kyvo.errors import CheckpointError
from kyvo.export.formats import export_scene
from kyvo.models.flow.small_encoders import SmallTextEncoder, SmallTextEncoderConfig
from kyvo.programs.errors import ProgramError
from kyvo.programs.execute import apply
from kyvo.scene.builtin_schemas import load_schema, objaworld_shapes_schema
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_kyvo

OBJECTS = Path(__file__).resolve().parents[2] / "configs" / "schemas" / "objects.yaml"
TEXT = "Add a red wooden chair left of the table."


def schema_of(tokenizer):
    schema = load_schema(str(OBJECTS))
    coded = (
        replace(field, num_codes=tokenizer.config.num_codes) if field.num_codes else field for field in schema.fields
    )
    return replace(schema, fields=tuple(coded))


@pytest.fixture(scope="module")
def model():
    tokenizer, words = tiny_tokenizer(), ("a", "red", "chair")
    generator = tiny_generator()
    text = SmallTextEncoder(SmallTextEncoderConfig(channels=8, num_blocks=1, words=words)).eval().requires_grad_(False)
    generator = replace(generator, encoders={**generator.encoders, "text": text})
    return tiny_kyvo(schema=schema_of(tokenizer), shape=tokenizer, objects=generator)


@pytest.fixture
def scene(model):
    table = SceneObject(
        category="table", location=(0.0, 0.0, 0.5), dimensions=(2.0, 1.0, 1.0), pose=(0.0, 0.0, 0.0),
        shape_codes=(1,) * model.processor.shape.config.num_codes,
    ).with_values(color="brown", material="wooden")  # fmt: skip
    return Scene(objects=(table,), schema=model.processor.schema.name)


@pytest.mark.slow
def test_a_generated_object_is_placed_and_exported(model, scene, tmp_path):
    edited = model.edit(scene, TEXT, render=False)
    table, chair = edited.scene.objects
    assert table is scene.objects[0]
    assert (chair.category, chair.color, chair.material) == ("chair", "red", "wooden")
    assert chair.location[0] < table.location[0] - 1
    assert chair.location[2] == pytest.approx(chair.dimensions[1] / 2)  # it stands on the floor
    assert max(chair.dimensions) == 2.0  # as long as the objects that are there
    assert edited.understood.notes == ("words that the model has never seen: wooden",)

    (made,) = model.objects.get().generate(text="a red wooden chair")
    corners = made.mesh.vertices.numpy()[made.mesh.faces.numpy().ravel()]
    width, length, height = np.ptp(corners, axis=0) * 2.0 / np.ptp(corners, axis=0).max()
    assert chair.dimensions == pytest.approx((width, height, length), rel=1e-4)
    again = model.edit(scene, TEXT, render=False)
    assert again.scene.objects[1] == chair

    export_scene(
        edited.scene, tmp_path / "scene.glb", meshes={1: model.meshes(edited.scene)[1]} | {0: trimesh.creation.box()}
    )
    names = trimesh.load(tmp_path / "scene.glb").geometry
    assert len(names) == 2


def test_without_a_generator_the_scene_stays_and_the_error_says_what_to_do(model, scene):
    schema = model.processor.schema
    program = model.understand(TEXT).program
    with pytest.raises(ProgramError, match="no generator of objects to make them; copy an object"):
        apply(program, scene, schema)
    lacking = tiny_kyvo(schema=schema, shape=model.processor.shape, objects="none_of_this_name")
    with pytest.raises(CheckpointError, match=r"none_of_this_name: neither a folder.*docs/objects.md"):
        lacking.edit(scene, TEXT, render=False)


def test_a_schema_without_words_says_so():
    with pytest.raises(ProgramError, match="this schema has none; copy an object"):
        from kyvo.programs.program import Add, Edit

        apply(Edit(steps=(Add(words=(), place=None, count=1),)), Scene(objects=()), objaworld_shapes_schema())


def test_the_schema_has_the_words_of_the_captions():
    words = {field.name: field.words for field in load_schema(str(OBJECTS)).fields}
    assert set(words["category"]) == set(CATEGORIES)
    assert set(words["color"]) == set(COLORS)
    assert set(words["material"]) == set(MATERIALS.values())

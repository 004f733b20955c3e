from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_scenes import scenes

from kyvo.errors import SceneError, TokenError
from kyvo.scene.builtin_schemas import SCHEMAS, clevr_schema
from kyvo.scene.fields import Axis, Field
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import SceneSchema
from kyvo.testing import tiny_text
from kyvo.tokenizers.scene import SceneTokenizer
from kyvo.tokenizers.vocabulary import Vocabulary

CUBE = SceneObject(size="large", color="cyan", material="metal", shape="cube", location=(-0.55, 0.05, 0.7))


def make(schema: SceneSchema) -> SceneTokenizer:
    text = tiny_text()
    vocabulary = Vocabulary.for_schema(schema, num_text=text.size, num_image_codes=16, num_shape_codes=32)
    return SceneTokenizer(schema=schema, vocabulary=vocabulary, text=text)


@pytest.mark.parametrize("name", ["clevr", "clevr-view", "objaworld", "objectron", "arkitscenes"])
def test_a_scene_comes_back_as_its_nearest_representable_scene(name):
    tokenizer = make(SCHEMAS[name]())

    @given(scene=scenes(tokenizer.schema))
    def round_trip(scene):
        ids = tokenizer.encode(scene)
        assert tokenizer.decode(ids) == tokenizer.snap(scene)
        assert tokenizer.encode(tokenizer.decode(ids)) == ids

    round_trip()


@given(codes=st.lists(st.integers(0, 31), min_size=512, max_size=512))
def test_explicit_shapes_come_back(codes):
    tokenizer = make(SCHEMAS["objaworld-shapes"]())
    item = SceneObject(shape_codes=tuple(codes), location=(0.0, 1.0, 0.2), pose=(0.0, 0.0, -0.1))
    assert tokenizer.decode(tokenizer.encode(Scene(objects=(item,)))).objects == (item,)


def test_a_users_schema_keeps_its_own_fields():
    bins = Axis(name="value", unit="kg", values=(1.0, 2.0, 5.0))
    schema = SceneSchema(
        name="warehouse",
        fields=(
            Field(name="kind", marker="[KIND]", words=("cereal_box", "box")),
            Field(name="weight", marker="[WEIGHT]", axes=(bins,)),
        ),
    )
    tokenizer = make(schema)
    scene = Scene(objects=(SceneObject(extra={"kind": "box", "weight": (2.2,)}),))
    assert tokenizer.decode(tokenizer.encode(scene)).objects[0].extra == {"kind": "box", "weight": (2.0,)}


def test_objects_are_written_in_the_order_of_their_values():
    tokenizer = make(replace(clevr_schema(), order="sorted"))
    near, far = CUBE.with_values(location=(-2.0, 2.0, 0.7)), CUBE.with_values(location=(2.0, -2.0, 0.7))
    small, red = CUBE.with_values(size="small", color="gray"), CUBE.with_values(color="red")
    assert tokenizer.snap(Scene(objects=(small, far, near, red))).objects == (red, near, far, small)


def test_objects_seen_are_written_row_by_row():
    tokenizer = make(clevr_schema())
    far, near = CUBE.with_values(location=(-2.5, 2.5, 0.7)), CUBE.with_values(location=(2.5, -2.5, 0.7))
    left, right = CUBE.with_values(location=(-1.5, -1.5, 0.7)), CUBE.with_values(location=(1.5, 1.5, 0.7))
    scene = Scene(objects=(near, right, far, left))
    assert tokenizer.snap(scene).objects == (far, left, right, near)
    opposite = Camera.look_at(location=(-7.5, 6.5, 5.3), focal=525, width=480, height=320)
    assert tokenizer.snap(replace(scene, camera=opposite)).objects == (near, right, left, far)


def test_an_order_as_seen_needs_locations_in_the_world():
    with pytest.raises(SceneError, match="needs a field `location` in the world's frame"):
        replace(clevr_schema(), frame="camera")


def test_a_bad_object_is_named_with_its_place():
    tokenizer = make(clevr_schema())
    cases = {
        r"objects\[1\]\.color: color is 'pink'; known are gray": CUBE.with_values(color="pink"),
        r"objects\[1\]\.size: size is missing": CUBE.with_values(size=None),
        r"objects\[1\]\.location: y is 4 clevr": CUBE.with_values(location=(0.0, 4.0, 0.7)),
    }
    for message, item in cases.items():
        with pytest.raises(SceneError, match=message):
            tokenizer.encode(Scene(objects=(CUBE, item)))


def test_clamping_is_counted():
    schema = clevr_schema()
    scene = Scene(objects=(CUBE, CUBE.with_values(location=(9.0, -4.0, 0.7))))
    assert schema.count_clamped(scene) == 2
    assert make(schema).encode(scene, clamp=True)


def test_broken_ids_are_refused_with_the_place():
    tokenizer = make(clevr_schema())
    ids = tokenizer.encode(Scene(objects=(CUBE, CUBE)))
    marker = tokenizer.vocabulary.marker_id
    with pytest.raises(TokenError, match=r"objects\[1\]: \[OBJECT-END\] is needed at position 28, but \[SCENE-END\]"):
        tokenizer.decode([*ids[:28], marker("[SCENE-END]")])
    with pytest.raises(TokenError, match=r"objects\[1\]: \[SIZE\] is needed at position 16, but the end"):
        tokenizer.decode(ids[:16])
    with pytest.raises(TokenError, match=r"objects\[0\]: size is spelt by the text ids \[\]; known are large, small"):
        tokenizer.decode([token for place, token in enumerate(ids) if place != 3])
    with pytest.raises(TokenError, match="1 ids follow"):
        tokenizer.decode([*ids, 5])

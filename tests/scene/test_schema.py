"""`SceneSchema` as a file: what is written is read back; words are added at the end."""

import pytest
import yaml

from kyvo.errors import SceneError
from kyvo.scene.schema import SCHEMAS, Axis, Field, SceneSchema, clevr_schema, grid, load_schema


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_comes_back_from_its_file(name, tmp_path):
    (tmp_path / "mine.yaml").write_text(load_schema(name).to_yaml())
    assert load_schema(str(tmp_path / "mine.yaml")) == load_schema(name)


def test_axes_of_equal_steps_are_written_short_and_others_in_full():
    axes = (
        Axis(name="x", unit="m", values=grid(-1, 2, 0.5)),
        Axis(name="y", unit="m", values=(0.0, 1.0, 3.0)),
        Axis(name="z", unit="m", values=(0.5,)),
    )
    schema = SceneSchema(name="mine", fields=(Field(name="location", marker="[L]", axes=axes),))
    written = yaml.safe_load(schema.to_yaml())["fields"][0]["axes"]
    assert written == [
        {"name": "x", "unit": "m", "low": -1.0, "high": 2.0, "step": 0.5},
        {"name": "y", "unit": "m", "values": [0.0, 1.0, 3.0]},
        {"name": "z", "unit": "m", "values": [0.5]},
    ]


def test_words_are_added_at_the_end_of_their_field():
    schema = clevr_schema().with_words("color", ["orange", "pink"], name="mine")
    assert schema.field("color").words == (*clevr_schema().field("color").words, "orange", "pink")
    assert schema.name == "mine" and schema.field("shape") == clevr_schema().field("shape")


@pytest.mark.parametrize(
    ("field", "word", "message"),
    [
        ("colour", "red", "no field of words is called 'colour'; it has size, color, material, shape"),
        ("location", "red", "no field of words is called 'location'"),
        ("color", "red", "'red' cannot be added to color, which has gray, red"),
        ("color", " ", "' ' cannot be added to color"),
    ],
)
def test_words_that_cannot_be_added_are_refused(field, word, message):
    with pytest.raises(SceneError, match=message):
        clevr_schema().with_words(field, [word], name="mine")

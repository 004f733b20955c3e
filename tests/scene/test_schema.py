"""`SceneSchema`: which values have tokens and which are refused, the order of objects, and schemas as files."""

import math
from dataclasses import replace

import pytest
import yaml

from kyvo.errors import ConfigError, SceneError
from kyvo.scene.builtin_schemas import SCHEMAS, clevr_schema, load_schema, objaworld_schema
from kyvo.scene.fields import Axis, Field, grid
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import CLEVR_CAMERA, CLEVR_COLORS, CLEVR_RADIUS, SceneSchema, camera_of, clevr_camera

HALVES = Axis(name="x", unit="m", values=grid(0, 1, 0.5))
UNEVEN = Axis(name="y", unit="m", values=(0.0, 1.0, 3.0))
ONE = Axis(name="z", unit="m", values=(0.5,))
ANGLE = Axis(name="turn", unit="rad", values=grid(-3, 3, 0.05), period=2 * math.pi)
CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))


def boxes(**settings):
    """A schema of a kind and a place."""
    kind = Field(name="category", marker="[KIND]", words=("box", "drum"))
    place = Field(name="location", marker="[PLACE]", axes=(HALVES,) * 3)
    return SceneSchema(name="boxes", fields=(kind, place), units="m", **settings)


@pytest.mark.parametrize(
    ("axis", "value", "nearest"),
    [
        (HALVES, 0.0, 0.0), (HALVES, 0.24, 0.0), (HALVES, 0.26, 0.5), (HALVES, 0.25, 0.0), (HALVES, 0.75, 0.5),
        (HALVES, 1.0, 1.0), (HALVES, 1.25, 1.0), (HALVES, -0.25, 0.0),
        (UNEVEN, 2.1, 3.0), (UNEVEN, 1.9, 1.0), (UNEVEN, -0.5, 0.0), (UNEVEN, 4.0, 3.0), (ONE, 0.5, 0.5),
        (ANGLE, 3.08, 3.0), (ANGLE, 3.2, -3.0), (ANGLE, -3.2, 3.0), (ANGLE, 1.0 + 4 * math.pi, 1.0),
        (ANGLE, -7.0, -0.7),
    ],
)  # fmt: skip
def test_a_value_becomes_the_nearest_allowed_one(axis, value, nearest):
    assert axis.snap(value) == nearest


@pytest.mark.parametrize(
    ("axis", "value"),
    [(HALVES, 1.26), (HALVES, -0.26), (UNEVEN, -0.51), (UNEVEN, 4.01), (ONE, 0.51), (ONE, 0.49), (HALVES, 1e300)],
)
def test_a_value_more_than_half_a_bin_outside_is_refused_and_clamped_on_demand(axis, value):
    ends = f"its bins cover {axis.values[0]:g} to {axis.values[-1]:g} m"
    with pytest.raises(SceneError, match=rf"{axis.name} is {value:g} m; {ends}".replace("+", r"\+")):
        axis.snap(value)
    assert axis.snap(value, clamp=True) == (axis.values[0] if value < 0.5 else axis.values[-1])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("axis", [HALVES, ANGLE])
def test_only_finite_numbers_have_tokens(axis, value):
    with pytest.raises(SceneError, match=f"{axis.name} is {value}; a finite number is needed"):
        axis.snap(value, clamp=True)


@pytest.mark.parametrize("values", [(), (1.0, 1.0), (2.0, 1.0), (0.0, 2.0, 1.0)])
def test_the_values_of_an_axis_rise(values):
    with pytest.raises(SceneError, match="axis x: its values must be a rising list"):
        Axis(name="x", unit="m", values=values)


def test_a_grid_has_both_ends_and_equal_steps():
    assert grid(-0.1, 0.2, 0.1) == (-0.1, 0.0, 0.1, 0.2)
    assert math.copysign(1, grid(-0.1, 0.2, 0.1)[1]) == 1, "no zero has a sign"
    assert grid(2, 2, 1) == (2.0,) and len(grid(-3, 3, 0.005)) == 1201
    for low, high, step in ((0, 1, 0), (0, 1, -0.5), (1, 0, 0.5)):
        with pytest.raises(SceneError, match="a grid needs low <= high and step > 0"):
            grid(low, high, step)
    with pytest.raises(SceneError, match=r"a step of 0.3 does not divide 0 to 1; 3 steps end elsewhere"):
        grid(0, 1, 0.3)


def test_a_field_has_words_or_numbers_or_codes():
    for several in ({}, {"words": ("a",), "axes": (ONE,)}, {"words": ("a",), "num_codes": 2}):
        with pytest.raises(SceneError, match="field it: give exactly one of words, axes and num_codes"):
            Field(name="it", marker="[IT]", **several)


def test_only_numbers_are_of_other_words_or_scalars():
    for odd in (
        {"words": ("a",), "of": ("b",)},
        {"num_codes": 2, "is_scalar": True},
        {"axes": (ONE, ONE), "is_scalar": True},
    ):
        with pytest.raises(SceneError, match="`of` is for fields with axes, `is_scalar` for those with one axis"):
            Field(name="it", marker="[IT]", **odd)


def test_a_field_takes_what_it_has_tokens_for():
    words = Field(name="color", marker="[C]", words=("red", "blue"))
    place = Field(name="location", marker="[L]", axes=(HALVES, UNEVEN))
    codes = Field(name="shape_codes", marker="[S]", num_codes=2)
    assert words.snap("blue") == "blue" and place.snap([0.3, "2.9"]) == (0.5, 3.0)
    assert codes.snap((1.0, 7)) == (1, 7) and all(type(code) is int for code in codes.snap((1.0, 7)))
    for field, value, message in (
        (words, None, "color is missing"), (words, "green", "color is 'green'; known are red, blue"),
        (place, "up", "location is 'up'; a list of 2 numbers is needed"), (place, 3, "a list of 2 numbers is needed"),
        (place, (1,), "location has 1 numbers; 2 are needed"), (codes, (1, 2, 3), "has 3 numbers; 2 are needed"),
        (place, (9, 0), "x is 9 m"),
    ):  # fmt: skip
        with pytest.raises(SceneError, match=message):
            field.snap(value)
    assert place.snap((9, 0), clamp=True) == (1.0, 0.0)


def test_a_schema_names_its_fields_once_and_its_conventions_right():
    kind, place = boxes().fields
    for fields, message in (
        ((kind, replace(kind, marker="[OTHER]")), "schema boxes: a field name stands twice"),
        ((kind, replace(place, marker="[KIND]")), "schema boxes: a field marker stands twice"),
    ):
        with pytest.raises(SceneError, match=message):
            SceneSchema(name="boxes", fields=fields)
    with pytest.raises(SceneError, match="frame is 'room'; known are world, camera"):
        boxes(frame="room")
    with pytest.raises(SceneError, match="order is 'any'; known are given, sorted, seen"):
        boxes(order="any")
    for bad in ({"frame": "camera"}, {"fields": (kind,)}):
        with pytest.raises(SceneError, match="order is 'seen', which needs a field `location`"):
            replace(boxes(), order="seen", **bad)


def test_a_schema_says_what_it_holds():
    schema = clevr_schema()
    assert schema.word_counts == (2, 8, 2, 3) and [field.name for field in schema.word_fields][-1] == "shape"
    assert schema.markers == ("[SIZE]", "[COLOR]", "[MATERIAL]", "[SHAPE]", "[LOCATION]")
    assert schema.numbers == grid(-3, 3, 0.05)
    assert schema.has_locations and not load_schema("objectron").has_locations
    assert not replace(boxes(), fields=boxes().fields[:1]).has_locations
    assert load_schema("objaworld-shapes").numbers == objaworld_schema().numbers


def test_a_fault_is_told_with_its_place():
    scene = Scene(objects=(CUBE, CUBE.with_values(color="pink")))
    with pytest.raises(SceneError, match=r"objects\[1\]\.color: color is 'pink'; known are gray"):
        clevr_schema().snap(scene)
    far = Scene(objects=(CUBE.with_values(location=(9.0, 0.0, -9.0)), CUBE))
    assert clevr_schema().count_clamped(far) == 2 and clevr_schema().count_clamped(Scene(objects=(CUBE,))) == 0
    assert clevr_schema().snap(far, clamp=True).objects[0].location in ((3.0, 0.0, -3.0), (0.0, 0.0, 0.7))


def test_objects_are_sorted_by_words_as_listed_and_then_by_numbers():
    things = [("drum", 0.0), ("box", 1.0), ("box", 0.5)]
    scene = Scene(objects=tuple(SceneObject(category=kind, location=(x, 0.0, 0.0)) for kind, x in things), units="m")
    schema = boxes(order="sorted")
    assert [(item.category, item.location) for item in schema.snap(scene).objects] == [
        ("box", (0.5, 0.0, 0.0)), ("box", (1.0, 0.0, 0.0)), ("drum", (0.0, 0.0, 0.0)),
    ]  # fmt: skip
    assert schema.token_order(scene) == [2, 1, 0]
    assert [item.category for item in boxes().snap(scene).objects] == ["drum", "box", "box"], "as given"


def test_objects_are_seen_from_the_top_of_the_picture_and_from_the_left():
    behind, left, right = (-2.0, 2.0, 0.7), (-1.5, -1.7, 0.7), (1.5, 1.7, 0.7)
    scene = Scene(objects=tuple(CUBE.with_values(location=place) for place in (right, left, behind)))
    assert clevr_schema().token_order(scene) == [2, 1, 0]
    assert [item.location for item in clevr_schema().snap(scene).objects] == [behind, left, right]
    x, y, z = CLEVR_CAMERA
    turned = replace(scene, camera=clevr_camera(480, 320, (-x, -y, z)))  # from the other side
    assert clevr_schema().token_order(turned) == [0, 1, 2]


def test_equal_objects_have_places_of_their_own_in_the_tokens():
    assert sorted(clevr_schema().token_order(Scene(objects=(CUBE, CUBE, CUBE)))) == [0, 1, 2]


def test_the_camera_of_a_scene_is_its_own_or_clevrs():
    own = clevr_camera(480, 320, (1.0, -8.0, 5.0))
    assert camera_of(Scene(objects=(), camera=own), 120, 80) == own.resized(120, 80)
    assert camera_of(Scene(objects=()), 120, 80) == clevr_camera(120, 80)
    assert camera_of(Scene(objects=(), units="m"), 120, 80) is None
    assert camera_of(Scene(objects=(), frame="camera"), 120, 80) is None


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_comes_back_from_its_file(name, tmp_path):
    (tmp_path / "mine.yaml").write_text(load_schema(name).to_yaml())
    assert load_schema(str(tmp_path / "mine.yaml")) == load_schema(name)


def test_axes_of_equal_steps_are_written_short_and_others_in_full():
    axes = (Axis(name="x", unit="m", values=grid(-1, 2, 0.5)), UNEVEN, ONE)
    schema = SceneSchema(name="mine", fields=(Field(name="location", marker="[L]", axes=axes),))
    assert yaml.safe_load(schema.to_yaml())["fields"][0]["axes"] == [
        {"name": "x", "unit": "m", "low": -1.0, "high": 2.0, "step": 0.5},
        {"name": "y", "unit": "m", "values": [0.0, 1.0, 3.0]},
        {"name": "z", "unit": "m", "values": [0.5]},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1", "not a readable YAML file"),
        ("- 1", "a schema is a mapping with name and fields, but this is a list"),
        ("name: mine", "schema mine: the key 'fields' is missing"),
        ("name: mine\nfields: [{name: a}]", "schema mine: the key 'marker' is missing"),
        ("fields: []\nname: mine\ncolour: red", "schema mine: .*colour"),
        ("name: mine\nfields: [{name: a, marker: '[A]'}]", "field a: give exactly one of"),
    ],
)
def test_a_file_that_is_no_schema_is_refused_by_its_name(text, message, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SceneError, match=rf"mine\.yaml: .*{message}"):
        load_schema(str(tmp_path / "mine.yaml"))
    with pytest.raises(SceneError, match=r"none\.yaml: not a readable YAML file"):
        load_schema(str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match=r"no schema is called 'mine'; known are clevr, .*, or a .yaml file"):
        load_schema("mine")


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


def test_colors_and_sizes_are_those_of_clevrs_generator():
    """Its image_generation/data/properties.json."""
    assert CLEVR_RADIUS == {"large": 0.7, "small": 0.35}
    assert {word: bytes(color).hex() for word, color in CLEVR_COLORS.items()} == {
        "gray": "575757", "red": "ad2323", "blue": "2a4bd7", "green": "1d6914",
        "brown": "814a19", "purple": "8126c0", "cyan": "29d0d0", "yellow": "ffee33",
    }  # fmt: skip

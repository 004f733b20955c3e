import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import SceneError, TokenError
from kyvo.scene.builtin_schemas import SCHEMAS, clevr_schema
from kyvo.scene.fields import Axis, grid
from kyvo.testing import tiny_text
from kyvo.tokenizers.vocabulary import VOCABULARIES, Vocabulary


def test_the_papers_vocabulary_has_137607_ids():
    assert len(VOCABULARIES["kyvo"]()) == 128_256 + 121 + 14 + 1024 + 8192 == 137_607


def test_the_released_clevr_ids_are_kept():
    vocabulary = VOCABULARIES["release-clevr"]()
    assert len(vocabulary) == 130_495
    ids = {-3.0: 128_256, -0.005: 128_855, 0.0: 128_856, 0.005: 128_857, 3.0: 129_456}
    assert {value: vocabulary.number_id(value) for value in ids} == ids
    assert vocabulary.marker_id("[SCENE-START]") == 129_457
    assert vocabulary.marker_id("[LOCATION]") == 129_465
    assert vocabulary.marker_id("[OUTPUT-START]") == 129_470
    assert (vocabulary.image_id(0), vocabulary.image_id(1023)) == (129_471, 130_494)


def test_the_released_objectron_ids_keep_their_hole():
    vocabulary = VOCABULARIES["release-objectron"]()
    assert len(vocabulary.numbers) == 103
    assert (vocabulary.number_id(-0.2), vocabulary.number_id(0.25), vocabulary.number_id(17.5)) == (
        128_256,
        128_297,
        128_358,
    )
    assert vocabulary.marker_id("[SCENE-START]") == 128_359
    assert vocabulary.kind(128_371) == "reserved"
    assert vocabulary.image_id(0) == 128_372
    assert vocabulary.num_number_rows == 104


@pytest.mark.parametrize("name", VOCABULARIES)
def test_ranges_are_contiguous_and_cover_the_vocabulary(name):
    vocabulary = VOCABULARIES[name]()
    assert [token for ids in vocabulary.ranges.values() for token in ids] == list(range(len(vocabulary)))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_layout_made_for_a_schema_holds_it_and_survives_json(name):
    schema = SCHEMAS[name]()
    vocabulary = Vocabulary.for_schema(schema, num_text=500, num_image_codes=16, num_shape_codes=32)
    vocabulary.check_schema(schema)
    assert Vocabulary.from_dict(vocabulary.to_dict()) == vocabulary


def test_values_without_an_id_are_named():
    vocabulary = VOCABULARIES["kyvo"]()
    with pytest.raises(TokenError, match=r"no number 0\.07; its 121 numbers go from -3 to 3"):
        vocabulary.number_id(0.07)
    with pytest.raises(TokenError, match=r"no marker \[POSE\]"):
        vocabulary.marker_id("[POSE]")
    with pytest.raises(TokenError, match="image code 1024 is outside the 1024"):
        vocabulary.image_id(1024)
    with pytest.raises(TokenError, match="id 137607 is outside"):
        vocabulary.kind(137_607)
    with pytest.raises(TokenError, match=r"lacks 1 entries of the schema 'objaworld': \[POSE\]"):
        vocabulary.check_schema(SCHEMAS["objaworld"]())


@given(value=st.floats(-3, 3), step=st.sampled_from([0.005, 0.05, 0.5]))
def test_a_number_comes_back_within_half_a_bin(value, step):
    axis = clevr_schema(step).fields[-1].axes[0]
    assert abs(axis.snap(value) - value) <= step / 2 + 1e-9


@given(value=st.floats(-3, 3))
def test_explicit_bins_give_the_nearest_value(value):
    bins = (-3.0, -1.0, -0.5, 0.0, 2.5, 3.0)
    assert (
        Axis(name="x", unit="m", values=bins).snap(value) in sorted(bins, key=lambda allowed: abs(allowed - value))[:1]
    )


@given(angle=st.floats(-20, 20))
def test_an_angle_wraps_around(angle):
    axis = SCHEMAS["objaworld"]().fields[-1].axes[-1]
    turned = (axis.snap(angle) - angle + 3.141592653589793) % 6.283185307179586 - 3.141592653589793
    assert abs(turned) < 0.15


@pytest.mark.parametrize("value", [3.1, -3.026, float("nan"), float("inf")])
def test_a_number_outside_its_bins_is_refused(value):
    axis = clevr_schema().fields[-1].axes[0]
    with pytest.raises(SceneError, match=r"x is .*(bins cover -3 to 3|finite number)"):
        axis.snap(value)


@pytest.mark.parametrize("value", [5, "north", [1.0, 2.0], [1.0, "x", 0.0]])
def test_a_value_that_is_no_list_of_numbers_is_refused(value):
    with pytest.raises(SceneError, match=r"location (is .*a list of 3 numbers|has 2 numbers; 3) "):
        clevr_schema().fields[-1].snap(value)


@pytest.mark.parametrize("name", ["frame", "order"])
def test_a_schema_of_unknown_conventions_is_refused(name):
    with pytest.raises(SceneError, match=f"schema clevr: {name} is 'upside-down'; known are"):
        SCHEMAS["clevr"]().from_dict({**clevr_schema().to_dict(), name: "upside-down"})


def test_clamping_takes_the_nearest_edge():
    assert clevr_schema().fields[-1].axes[0].snap(7.0, clamp=True) == 3.0


def test_a_step_must_divide_its_range():
    with pytest.raises(SceneError, match=r"0\.07 does not divide"):
        grid(-3, 3, 0.07)


def test_the_mini_vocabulary_fits_the_bundled_tokenizer_and_clevr():
    vocabulary = VOCABULARIES["mini"]()
    assert vocabulary.num_text == tiny_text().size
    vocabulary.check_schema(clevr_schema())


def test_layouts_of_objaworld_and_objectron_have_their_sizes():
    assert len(VOCABULARIES["kyvo-objaworld"]()) == len(VOCABULARIES["kyvo"]())
    assert len(VOCABULARIES["release-objectron"]().ranges["image"]) == 1024

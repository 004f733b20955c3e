"""The validator lists every fault, and the JSON Schema agrees with the reader."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from random_scenes import scenes

from kyvo.errors import SceneError
from kyvo.scene.builtin_schemas import SCHEMAS, clevr_schema
from kyvo.scene.fields import Axis, Field
from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.schema import SceneSchema
from kyvo.scene.validate import json_schema, validate, validate_file

FULL = {
    "format": "kyvo-scene",
    "version": 1,
    "schema": "clevr",
    "frame": "world",
    "up_axis": "+z",
    "units": "clevr",
    "image": "a.png",
    "camera": {
        "width": 120,
        "height": 80,
        "focal": 131.25,
        "center": [60.0, 40.0],
        "location": [7.0, -6.0, 5.0],
        "rotation": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    },
    "objects": [
        {
            "category": "thing",
            "shape": "cube",
            "size": "large",
            "color": "red",
            "material": "metal",
            "location": [0.0, 1.0, 0.7],
            "dimensions": [1.0, 1.0, 1.0],
            "pose": [0.0, 0.0, 0.5],
            "shape_codes": [1, 2],
            "confidence": 0.5,
            "own": None,
        }
    ],
    "own": {"a": 1},
}
VALUES = [None, True, 0, -1, 1, 2, 1.5, 120.0, float("nan"), 10**400, "", "world", "m", [], {}, [1, 2, 3], [1, "2", 3]]
VALUES += [[-1, 0, 1], [True, 0, 0], [[1, 0, 0]] * 3, [[1, 0]] * 3, [1, 2], {"shape": "cube"}, [{}], [None]]


def _places(data, path=()):
    yield path
    rows = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in rows:
        yield from _places(value, (*path, key))


def _changed(path, value, drop):
    data = copy.deepcopy(FULL)
    if not path:
        return value
    at = data
    for key in path[:-1]:
        at = at[key]
    if drop:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return data


def test_the_json_schema_is_itself_valid():
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.slow
def test_the_reader_and_the_validator_agree_on_every_single_change():
    num_valid = 0
    for path in _places(FULL):
        for value in [*VALUES, "drop"]:
            data = _changed(path, value, value == "drop")
            faults = validate(data)
            try:
                scene_from_json(data)
            except SceneError as error:
                assert faults, f"{path} = {value!r}: the validator passes what the reader refuses: {error}"
            else:
                num_valid += 1
                assert not faults, f"{path} = {value!r}: the reader passes what the validator refuses: {faults}"
    assert num_valid > 100


@given(data=st.data(), name=st.sampled_from(["clevr", "objaworld", "objectron", "arkitscenes"]))
def test_what_the_writer_writes_is_valid_under_its_schema(data, name):
    schema = SCHEMAS[name]()
    assert validate(scene_to_json(data.draw(scenes(schema))), schema) == []


def test_all_faults_are_listed_in_one_pass():
    data = {**FULL, "units": "ft", "objects": [{"location": [1]}, {"color": 3, "size": None}]}
    faults = validate(data)
    places = [fault.split(":")[0] for fault in faults]
    assert places == ["objects[0].location", "objects[1].color", "objects[1].size", "units"]


def test_a_newer_version_says_what_to_do():
    assert validate({**FULL, "version": 9}) == ["version is 9; this Kyvo reads up to 1. Upgrade Kyvo."]


def test_a_scene_schema_finds_words_ranges_and_missing_fields():
    good = {"size": "large", "color": "red", "material": "metal", "shape": "cube", "location": [0.0, 0.0, 0.7]}
    bad = {**good, "color": "pink", "location": [3.5, 0.0, -9.0]}
    del bad["size"]
    data = {**FULL, "frame": "camera", "objects": [good, bad]}
    faults = "\n".join(validate(data, clevr_schema()))
    assert validate({**FULL, "objects": [good]}, clevr_schema()) == []
    assert "frame is 'camera'; the schema clevr needs 'world'." in faults
    assert "objects[1].size: size is missing." in faults
    assert "objects[1].color: color is 'pink'; known are gray" in faults
    assert "objects[1].location: x is 3.5 clevr; its bins cover -3 to 3" in faults
    assert "objects[1].location: z is -9 clevr" in faults
    assert "objects[0]" not in faults


@pytest.mark.parametrize("value", [7, "high", [1.0], ["a"], None, [[1.0], 2.0], [None, 1.0]])
def test_a_users_own_field_of_another_type_is_a_fault_and_no_crash(value):
    pair = tuple(Axis(name=name, unit="m", values=(0.0, 1.0)) for name in ("low", "high"))
    schema = SceneSchema(name="clevr", fields=(Field(name="span", marker="[SPAN]", axes=pair),))
    assert validate({**FULL, "objects": [{"span": [0.0, 1.0]}]}, schema) == []
    (fault,) = validate({**FULL, "objects": [{"span": value}]}, schema)
    assert fault.startswith("objects[0].span")


def test_a_file_is_validated_under_its_name(tmp_path):
    (tmp_path / "good.json").write_text(json.dumps(FULL))
    (tmp_path / "bad.json").write_text('{"format": NaN}')
    assert validate_file(tmp_path / "good.json") == []
    faults = validate_file(tmp_path / "bad.json")
    assert all(fault.startswith(f"{tmp_path / 'bad.json'}: ") for fault in faults)
    assert any("format is not finite" in fault for fault in faults)
    assert "cannot be read" in validate_file(tmp_path / "none.json")[0]

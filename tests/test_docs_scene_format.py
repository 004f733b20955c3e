"""The examples of docs/scene-format.md hold."""

import json
import re
from pathlib import Path

import numpy as np

from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.schema import SceneSchema
from kyvo.scene.validate import validate

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "scene-format.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_first_example_is_valid_and_comes_back_as_it_is():
    data = json.loads(_blocks("json")[0])
    assert validate(data, clevr_schema()) == []
    assert scene_to_json(scene_from_json(data)) == data


def test_the_projection_formula_is_what_the_camera_does():
    camera = scene_from_json(json.loads(_blocks("json")[0])).camera
    point = np.asarray([1.2, -0.8, 0.35])
    right, down, forward = np.asarray(camera.rotation) @ (point - camera.location)
    expected = np.asarray(camera.center) + camera.focal * np.asarray([right, down]) / forward
    np.testing.assert_allclose(camera.project(point)[0, :2], expected)


def test_the_users_schema_reads_and_its_example_fits(tmp_path):
    (block,) = _blocks("yaml")
    (tmp_path / "warehouse.yaml").write_text(block)
    schema = SceneSchema.from_yaml(tmp_path / "warehouse.yaml")
    data = json.loads(_blocks("json")[1])
    assert validate(data, schema) == []
    snapped = schema.snap(scene_from_json(data))
    assert snapped.objects[0].extra["heading"] == (1.55,)
    assert validate({**data, "objects": [{"category": "crate"}]}, schema) == [
        "objects[0].category: category is 'crate'; known are box, pallet, drum.",
        "objects[0].location: location is missing.",
        "objects[0].heading: heading is missing.",
    ]


def test_the_tables_name_every_key_of_the_json_schema():
    from kyvo.scene.validate import json_schema

    schema = json_schema()
    for part in (schema, *(schema["$defs"][name] for name in ("object", "camera"))):
        for key in part["properties"]:
            assert re.search(rf"^\|.*`{key}`", PAGE, flags=re.MULTILINE), f"no table row names {key}"

"""One validation: the reader refuses what `validate` finds, nothing such is written, and the rest goes everywhere."""

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from kyvo.errors import SceneError
from kyvo.export.formats import export_scene
from kyvo.export.view import draw_view
from kyvo.scene.files import MAX_OBJECTS, camera_to_json, load_scene, save_scene, scene_from_json, scene_to_json
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import clevr_camera
from kyvo.scene.validate import validate, validate_file

CAMERA = clevr_camera(480, 320)
CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
GOOD = scene_to_json(Scene(objects=(CUBE,), camera=CAMERA))
HOSTILE = [
    *((("camera", "focal"), value) for value in (0, -1, 1e-300, 1e-7, 1e10, 1e308, 10**400, True, "1", None)),
    *((("camera", "width"), value) for value in (0, 1.5, 1e7, 1e308, "480")),
    *((("camera", "center"), [value, 0]) for value in (1e308, -1e10, "0")),
    (("camera", "rotation"), [[0, 0, 0]] * 3),
    (("camera", "rotation"), [[1, 0, 0], [0, 1, 0], [0, 0, 0]]),
    (("camera", "rotation"), [[1, 0, 0], [0, 1, 0], [0, 0, -1]]),
    (("camera", "rotation"), [[2, 0, 0], [0, 2, 0], [0, 0, 2]]),
    (("camera", "rotation"), [[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]),
    (("camera", "rotation"), [[1e308, 0, 0], [0, 1e308, 0], [0, 0, 1e308]]),
    (("camera", "rotation"), [[math.nan] * 3] * 3),
    (("camera", "rotation"), []),
    (("camera", "location"), [0, 0, 1e308]),
    (("objects", 0, "location"), [1e308, 0, 0]),
    (("objects", 0, "location"), [1e10, 0, 0]),
    (("objects", 0, "location"), [math.inf, 0, 0]),
    (("objects", 0, "dimensions"), [1, 1, 1e308]),
    (("objects", 0, "dimensions"), [1, 1, -1]),
    (("objects", 0, "pose"), [1e308, 0, 0]),
    (("objects", 0, "shape_codes"), [1e308]),
    *((("objects", 0, name), value) for name in ("category", "color") for value in ("a\ud800", "\udfff", "a\nb")),
    (("image",), "a\udc00.png"),
    (("image",), "\0"),
    (("schema",), "\ud800"),
    (("objects",), [{}] * (MAX_OBJECTS + 1)),
]  # fmt: skip


def changed(where, value):
    data = copy.deepcopy(GOOD)
    place = data
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    return data


@pytest.mark.parametrize(("where", "value"), HOSTILE)
def test_what_validate_finds_the_reader_refuses(where, value):
    data = changed(where, value)
    assert validate(data)
    with pytest.raises(SceneError, match=str(where[-1])):
        scene_from_json(data)


def test_the_good_scene_is_good_and_so_is_what_it_is_written_as(tmp_path):
    assert validate(GOOD) == []
    save_scene(scene_from_json(GOOD), tmp_path / "a.json")
    assert validate_file(tmp_path / "a.json") == []


@pytest.mark.parametrize(
    "scene",
    [
        Scene(objects=(CUBE,), camera=replace(CAMERA, focal=1e-300)),
        Scene(objects=(CUBE,), camera=replace(CAMERA, rotation=((0.0, 0.0, 0.0),) * 3)),
        Scene(objects=(CUBE,), camera=replace(CAMERA, width=0)),
        Scene(objects=(replace(CUBE, location=(1e300, 0.0, 0.0)),)),
        Scene(objects=(replace(CUBE, dimensions=(-1.0, 0.0, 0.0)),)),
        Scene(objects=(replace(CUBE, confidence=2.0),)),
        Scene(objects=(replace(CUBE, color="\ud800"),)),
        Scene(objects=(CUBE,) * (MAX_OBJECTS + 1)),
    ],
)
def test_a_scene_that_the_reader_refuses_is_not_written(scene, tmp_path):
    with pytest.raises(SceneError):
        save_scene(scene, tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


EXTREME = [
    Scene(objects=(replace(CUBE, location=(1e9, -1e9, 1e9)), CUBE), camera=CAMERA),
    Scene(objects=(replace(CUBE, dimensions=(1e9, 1e-9, 0.0)),)),
    Scene(objects=(CUBE,), camera=replace(CAMERA, focal=1e9)),
    Scene(objects=(CUBE,), camera=replace(CAMERA, focal=1e-3)),
    Scene(objects=(CUBE,), camera=replace(CAMERA, location=(1e9, 1e9, 1e9))),
    Scene(objects=(replace(CUBE, category="x" * 10_000, extra={"note": "\ud800\n\0", "\udfff": [1e308, 1e-300]}),)),
    Scene(objects=(CUBE,), extra={"note": "\ud800"}),
    Scene(objects=()),
]


@pytest.mark.parametrize("scene", EXTREME)
def test_whatever_is_valid_is_drawn_and_exported(scene, tmp_path):
    save_scene(scene, tmp_path / "a.json")
    read = load_scene(tmp_path / "a.json")
    draw_view(read)
    draw_view(read, picture=np.zeros((32, 48, 3), np.uint8))
    for suffix in (".glb", ".usda", ".usdc", ".html", ".py"):
        export_scene(read, tmp_path / f"a{suffix}")


def test_a_camera_comes_back_and_a_tilted_one_is_no_fault():
    tilted = Camera.look_at(location=(3.0, -4.0, 5.0), target=(0.1, 0.2, 0.3), focal=500.0, width=640, height=480)
    assert validate({**GOOD, "camera": camera_to_json(tilted)}) == []


def test_the_json_schema_has_the_reader_s_limits():
    text = json.dumps(__import__("kyvo.scene.validate", fromlist=["json_schema"]).json_schema())
    assert "1000000000.0" in text and f'"maxItems": {MAX_OBJECTS}' in text

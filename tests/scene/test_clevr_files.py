"""CLEVR's own files come back as they were."""

import json

import pytest
from hypothesis import given, settings
from random_scenes import scenes

from kyvo.errors import SceneError
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.clevr import from_clevr, is_clevr, load_clevr, load_clevr_info, save_clevr, to_clevr
from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera

ONE = {
    "image_index": 3,
    "image_filename": "CLEVR_val_000003.png",
    "split": "val",
    "objects": [
        {
            "color": "cyan",
            "size": "small",
            "rotation": 3.7831973161672083,
            "shape": "sphere",
            "3d_coords": [-0.6477555632591248, -0.6219784617424011, 0.3499999940395355],
            "material": "rubber",
            "pixel_coords": [199, 144, 11.44388198852539],
        }
    ],
    "relationships": {"left": [[]], "right": [[]]},
    "directions": {"right": [0.6563112735748291, 0.7544902563095093, -0.0]},
}


@pytest.mark.parametrize(
    "name", ["clevr_pairs_scenes.json", "clevr_val_scenes_100-149.json", "fork_320x240/scenes.json"]
)
def test_real_files_come_back_equal(shared_data, tmp_path, name):
    path = shared_data / "clevr" / name
    scenes_read = load_clevr(path)
    save_clevr(scenes_read, tmp_path / "back.json", load_clevr_info(path))
    assert json.loads((tmp_path / "back.json").read_text()) == json.loads(path.read_text())
    assert all(scene.camera is None and scene.image for scene in scenes_read)
    assert all(item.location is not None and "pixel_coords" in item.extra for s in scenes_read for item in s.objects)


def test_one_scene_comes_back_equal_and_its_values_have_our_names(tmp_path):
    scene = from_clevr(ONE)
    assert to_clevr(scene) == ONE
    assert scene.image == "CLEVR_val_000003.png"
    assert scene.objects[0].location == (-0.6477555632591248, -0.6219784617424011, 0.3499999940395355)
    assert scene.objects[0].extra["rotation"] == 3.7831973161672083
    (tmp_path / "one.json").write_text(json.dumps(ONE))
    assert load_clevr(tmp_path / "one.json") == [scene]
    assert load_clevr_info(tmp_path / "one.json") is None


def test_clevr_through_scene_json_changes_a_coordinate_by_less_than_a_millionth():
    back = to_clevr(scene_from_json(scene_to_json(from_clevr(ONE))))
    coordinates = back["objects"][0].pop("3d_coords")
    assert coordinates == pytest.approx(ONE["objects"][0]["3d_coords"], abs=1e-6)
    without = {key: value for key, value in ONE["objects"][0].items() if key != "3d_coords"}
    assert back == {**ONE, "objects": [without]}


@settings(max_examples=25)
@given(scene=scenes(clevr_schema()))
def test_a_scene_survives_clevrs_format_exactly(scene):
    assert from_clevr(json.loads(json.dumps(to_clevr(scene)))) == scene


def test_what_clevr_does_not_have_survives_too():
    item = SceneObject(shape="cube", location=(0.1, 0.2, 0.3), confidence=1 / 3, pose=(0.0, 0.0, 1 / 7))
    scene = Scene(objects=(item,), camera=clevr_camera(120, 80))
    assert from_clevr(json.loads(json.dumps(to_clevr(scene)))) == scene


def test_only_clevrs_files_are_taken_for_them():
    assert is_clevr(ONE)
    assert is_clevr({"scenes": []})
    assert not is_clevr({"format": "kyvo-scene", "objects": []})
    assert not is_clevr([ONE])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "one scene of CLEVR is a JSON object with a list `objects`"),
        ({"objects": 3}, "one scene of CLEVR is a JSON object"),
        ({**ONE, "image_filename": 4}, "image_filename is 4; a text is needed"),
        ({"objects": [{"3d_coords": [1, 2]}]}, r"objects\[0\].location is \[1, 2\]; 3 numbers are needed"),
        ({"objects": [{"location": [1, 2, 3]}]}, r"objects\[0\].location: CLEVR calls it 3d_coords"),
        ({"objects": [{"rotation": float("nan")}]}, r"objects\[0\].rotation is not finite"),
    ],
)
def test_a_broken_scene_is_refused_with_its_place(data, message):
    with pytest.raises(SceneError, match=message):
        from_clevr(data)


def test_a_collected_file_with_other_keys_is_refused(tmp_path):
    (tmp_path / "q.json").write_text('{"scenes": [], "questions": []}')
    with pytest.raises(SceneError, match="has scenes, questions; a collected file holds `info` and a list `scenes`"):
        load_clevr(tmp_path / "q.json")


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (Scene(objects=(), units="m"), "frame, up axis and units are world, \\+z, m; CLEVR's files hold"),
        (Scene(objects=(), extra={"objects": 1}), "extra has the key 'objects', which CLEVR's format itself uses"),
    ],
)
def test_a_scene_that_clevr_cannot_hold_is_refused(scene, message):
    with pytest.raises(SceneError, match=message):
        to_clevr(scene)

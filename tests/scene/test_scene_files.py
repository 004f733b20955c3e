"""Scene JSON: round trips, what is refused and how."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_scenes import scenes

from kyvo.errors import FileError, SceneError
from kyvo.scene.builtin_schemas import SCHEMAS
from kyvo.scene.files import load_scene, read_json, save_scene, scene_from_json, scene_to_json, write_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera

HEAD = {"format": "kyvo-scene", "version": 1, "schema": "clevr", "frame": "world", "up_axis": "+z", "units": "clevr"}
CAMERA = {
    "width": 120,
    "height": 80,
    "focal": 131.25,
    "center": [60.0, 40.0],
    "location": [7.0, -6.0, 5.0],
    "rotation": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
}
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
unknown_keys = st.dictionaries(st.text().map(lambda key: f"my_{key}"), anything, max_size=3)


@pytest.mark.parametrize("name", ["clevr", "objaworld", "objectron", "arkitscenes"])
@given(data=st.data())
def test_a_scene_comes_back_within_a_millionth(name, data):
    scene = data.draw(scenes(SCHEMAS[name]()))
    written = scene_to_json(scene)
    read = scene_from_json(json.loads(json.dumps(written)))
    assert scene_to_json(read) == written
    assert (read.schema, read.frame, read.up_axis, read.units) == (name, scene.frame, scene.up_axis, scene.units)
    for before, after in zip(scene.objects, read.objects, strict=True):
        assert (after.shape, after.color, after.category) == (before.shape, before.color, before.category)
        assert after.location == pytest.approx(before.location, abs=1e-6)


@given(top=unknown_keys, inner=unknown_keys)
def test_unknown_keys_survive_a_file_exactly(tmp_path_factory, top, inner):
    path = tmp_path_factory.mktemp("scene") / "scene.json"
    data = {**HEAD, "objects": [{"shape": "cube", **inner}], **top}
    write_json(data, path)
    assert read_json(path) == data
    save_scene(load_scene(path), path)
    assert read_json(path) == data


def test_half_a_surrogate_pair_survives(tmp_path):
    scene = Scene(objects=(), extra={"note": "a\ud800b"})
    save_scene(scene, tmp_path / "s.json")
    assert load_scene(tmp_path / "s.json") == scene


def test_a_full_scene_comes_back_with_all_its_fields(tmp_path):
    item = SceneObject(
        category="chair",
        location=(1.0, 2.0, 3.0),
        dimensions=(0.5, 1.0, 0.0),
        pose=(0.0, 0.0, 0.5),
        shape_codes=(1, 2, 3),
        confidence=0.25,
        extra={"mood": ["calm", 1.5]},
    )
    camera = scene_from_json({**HEAD, "camera": CAMERA, "objects": []}).camera
    scene = Scene(objects=(item,), units="m", frame="camera", up_axis="-y", camera=camera, image="a b.png")
    save_scene(scene, tmp_path / "scene.json")
    assert load_scene(tmp_path / "scene.json") == scene


def test_the_written_text_is_stable_and_keeps_vectors_on_one_line(tmp_path):
    item = SceneObject(shape="cube", location=(0.1 + 0.2, -0.0, 1.0), extra={"text": "[ 1,  2]"})
    path = tmp_path / "scene.json"
    save_scene(Scene(objects=(item,), camera=clevr_camera(120, 80)), path)
    text = path.read_text()
    assert '"location": [0.3, 0.0, 1.0]' in text
    assert '"text": "[ 1,  2]"' in text
    assert text.endswith("}\n")
    save_scene(load_scene(path), path)
    assert path.read_text() == text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "scene.json"
    save_scene(Scene(objects=()), path)
    before = path.read_text()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(FileError, match=r"scene.json: cannot be written \(No space left on device\)"):
        save_scene(Scene(objects=(SceneObject(),)), path)
    assert path.read_text() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["scene.json"]


BROKEN = [
    ({"format": "other"}, r'scene: format is "other"; "kyvo-scene" is needed'),
    ({"version": 2}, "version is 2; this Kyvo reads up to 1. Upgrade Kyvo"),
    ({"version": True}, "version is true; 1 is needed"),
    ({"version": 0}, "version is 0; 1 is needed"),
    ({"frame": "room"}, 'frame is "room"; one of world, camera is needed'),
    ({"up_axis": None}, "up_axis is missing or null; one of"),
    ({"units": "ft"}, 'units is "ft"; one of clevr, m is needed'),
    ({"schema": 3}, "schema is 3; a text is needed"),
    ({"image": None}, "image is missing or null; a text is needed"),
    ({"objects": {}}, "objects is {}; a list is needed"),
    ({"objects": [{}, 7]}, r"objects\[1\] is 7; an object with named fields is needed"),
    ({"objects": [{"shape": None}]}, r"objects\[0\].shape is missing or null; a text is needed"),
    ({"objects": [{"color": 1}]}, r"objects\[0\].color is 1; a text is needed"),
    ({"objects": [{"location": [1, 2]}]}, r"objects\[0\].location is \[1, 2\]; 3 numbers are needed"),
    ({"objects": [{"location": [1, 2, "3"]}]}, r'objects\[0\].location\[2\] is "3"; a number is needed'),
    ({"objects": [{"location": [1, 2, True]}]}, r"objects\[0\].location\[2\] is true; a number is needed"),
    ({"objects": [{"location": [1, 2, float("nan")]}]}, r"objects\[0\].location\[2\] is not finite"),
    ({"objects": [{"pose": [0, 0, 10**400]}]}, r"objects\[0\].pose\[2\] is not finite"),
    ({"objects": [{"dimensions": [1, -1, 1]}]}, r"objects\[0\].dimensions is \[1, -1, 1\]; numbers from 0 on"),
    ({"objects": [{"shape_codes": "12"}]}, r"objects\[0\].shape_codes is \"12\"; a list of whole numbers"),
    ({"objects": [{"shape_codes": [1, -2]}]}, r"objects\[0\].shape_codes\[1\] is -2; a whole number from 0 to"),
    ({"objects": [{"confidence": 1.5}]}, r"objects\[0\].confidence is 1.5; a number from 0 to 1 is needed"),
    ({"camera": 3}, "camera has 3; exactly width, height, focal"),
    ({"camera": {**CAMERA, "distortion": 1}}, "camera has .*distortion.*; exactly width"),
    ({"camera": {**CAMERA, "width": 1.5}}, "camera.width is 1.5; a whole number from 1 to"),
    ({"camera": {**CAMERA, "focal": 0}}, "camera.focal is 0; a number of px from 0.001 on"),
    ({"camera": {**CAMERA, "center": [1]}}, r"camera.center is \[1\]; 2 numbers are needed"),
    ({"camera": {**CAMERA, "rotation": [[1, 0, 0]]}}, "camera.rotation is .*; three rows of three numbers"),
    ({"camera": {**CAMERA, "rotation": [[1], [1], [1]]}}, r"camera.rotation\[0\] is \[1\]; 3 numbers"),
    ({"mine": {"deep": [float("inf")]}}, r"mine.deep\[0\] is not finite"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_a_broken_scene_is_refused_with_its_place(change, message):
    with pytest.raises(SceneError, match=message):
        scene_from_json({**HEAD, "objects": [], **change})


def test_what_is_no_object_at_all_is_refused():
    with pytest.raises(SceneError, match=r"a.json: a scene file holds one JSON object, but this is \[1\]"):
        scene_from_json([1], where="a.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a JSON file"),
        (b"{", "not a JSON file"),
        (b"\xff\xfe\x00", "not a JSON file"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b"[" * 200_000, "nested this deep"),
    ],
)
def test_an_unreadable_file_is_refused_with_its_name(tmp_path, content, message):
    path = tmp_path / "bad file.json"
    path.write_bytes(content)
    with pytest.raises(SceneError, match=f"bad file.json: .*{message}"):
        load_scene(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(SceneError, match=r"cannot be read \(No such file"):
        load_scene(tmp_path / "none.json")
    with pytest.raises(SceneError, match="cannot be read"):
        load_scene(tmp_path)


def test_a_file_that_begins_with_a_byte_order_mark_reads(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps({**HEAD, "objects": []}), encoding="utf-8-sig")
    assert load_scene(tmp_path / "s.json") == Scene(objects=())


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (Scene(objects=(SceneObject(location=(0.0, float("nan"), 0.0)),)), r"objects\[0\].location\[1\] is not finite"),
        (Scene(objects=(SceneObject(extra={"color": "red"}),)), r"objects\[0\]: extra has the key 'color'"),
        (Scene(objects=(), extra={"version": 3}), "scene: extra has the key 'version'"),
        (Scene(objects=(), extra={"mine": Path("x")}), "scene: extra holds a value that JSON cannot"),
        (Scene(objects=(), extra={"mine": [float("inf")]}), r"scene.mine\[0\] is not finite"),
    ],
)
def test_a_scene_that_json_cannot_hold_is_not_written(tmp_path, scene, message):
    with pytest.raises(SceneError, match=message):
        save_scene(scene, tmp_path / "s.json")
    assert not list(tmp_path.iterdir())


def test_writing_into_a_folder_that_is_not_there_names_the_file(tmp_path):
    with pytest.raises(FileError, match=r"no/s.json: cannot be written \(No such file"):
        save_scene(Scene(objects=()), tmp_path / "no" / "s.json")

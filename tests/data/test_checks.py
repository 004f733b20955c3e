"""A folder of one's own data: every fault in one pass, and the good pairs as they are."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from kyvo.data.checks import Fault, check_folder, check_pair, stems
from kyvo.errors import ConfigError
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.clevr import to_clevr
from kyvo.scene.files import save_scene, scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera

CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 1.0, 0.7))
SCENE = Scene(objects=(CUBE, CUBE))
PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)


def put(folder, stem, scene=SCENE, picture=PICTURE, suffix=".png"):
    Image.fromarray(picture).save(folder / f"{stem}{suffix}")
    save_scene(scene, folder / f"{stem}.json")


def told(folder):
    """(file name, place, message) of each fault."""
    return [(fault.file.name, fault.place, fault.message) for fault in check_folder(folder, clevr_schema())]


def good_pairs(folder):
    pairs = [check_pair(files, clevr_schema()) for files in stems(folder).values()]
    return [pair for pair in pairs if not pair.faults]


def test_a_good_folder_has_no_fault_and_its_pairs_come_as_they_are(tmp_path):
    put(tmp_path, "b")
    put(tmp_path, "a", Scene(objects=(CUBE,), image="a.png", camera=clevr_camera(8, 6)))
    (tmp_path / "notes.txt").write_text("not ours")
    (tmp_path / ".hidden.json").write_text("not ours")
    (tmp_path / "clevr.json").write_text(json.dumps(to_clevr(SCENE)))
    Image.fromarray(PICTURE).save(tmp_path / "clevr.WEBP", lossless=True)
    assert told(tmp_path) == []
    pairs = good_pairs(tmp_path)
    assert [(len(pair.scene), pair.name) for pair in pairs] == [(1, "a.png"), (2, "b.png"), (2, "clevr.WEBP")]
    assert all(np.array_equal(pair.picture, PICTURE) for pair in pairs)
    assert pairs[1].scene == SCENE


def test_all_faults_of_all_files_are_found_in_one_pass(tmp_path):
    put(tmp_path, "good")
    put(tmp_path, "words", Scene(objects=(CUBE, CUBE.with_values(color="pink", size=None))))
    put(tmp_path, "numbers", Scene(objects=(CUBE.with_values(location=(3.5, 0.0, -9.0)),)))
    put(tmp_path, "units", Scene(objects=(CUBE,), units="m"))
    put(tmp_path, "cut")
    (tmp_path / "cut.json").write_text('{"format": "kyvo-scene", "objects": [')
    put(tmp_path, "damaged")
    os.truncate(tmp_path / "damaged.png", 90)
    save_scene(SCENE, tmp_path / "lonely.json")
    Image.fromarray(PICTURE).save(tmp_path / "bare.jpg")
    put(tmp_path, "twice")
    Image.fromarray(PICTURE).save(tmp_path / "twice.jpg")
    put(tmp_path, "other", Scene(objects=(CUBE,), image="good.png", camera=clevr_camera(480, 320)))
    (tmp_path / "row.json").write_text(json.dumps({"objects": [{"3d_coords": [1, 2]}]}))
    Image.fromarray(PICTURE).save(tmp_path / "row.png")
    faults = told(tmp_path)
    expected = [
        ("bare.jpg", "", "has no scene; bare.json is needed beside it"),
        ("cut.json", "", "not a JSON file"),
        ("damaged.png", "", "is truncated or damaged"),
        ("lonely.json", "", "has no picture; lonely.png is needed beside it"),
        ("numbers.json", "objects[0].location", "x is 3.5 clevr; its bins cover -3 to 3"),
        ("numbers.json", "objects[0].location", "z is -9 clevr"),
        ("other.json", "image", "is 'good.png', but the picture beside it is other.png"),
        ("other.json", "camera", "is for 480x320 px; other.png has 8x6"),
        ("row.json", "objects[0].location", "is [1, 2]; 3 numbers are needed"),
        ("twice.jpg", "", "twice.png has the same stem; rename one of them"),
        ("units.json", "units", "is 'm'; the schema clevr needs 'clevr'"),
        ("words.json", "objects[1].size", "size is missing"),
        ("words.json", "objects[1].color", "color is 'pink'; known are gray, red"),
    ]
    assert [fault[:2] for fault in faults] == [fault[:2] for fault in expected]
    for (_, _, message), (name, _, start) in zip(faults, expected, strict=True):
        assert message.startswith(start), f"{name}: {message}"
    assert [pair.name for pair in good_pairs(tmp_path)] == ["good.png"]


def test_a_file_of_another_kind_is_a_fault(tmp_path):
    put(tmp_path, "a")
    for data in ([], 3, {"format": "x"}, {**scene_to_json(SCENE), "version": 9}, {"objects": 3}):
        (tmp_path / "a.json").write_text(json.dumps(data))
        assert {name for name, _, _ in told(tmp_path)} == {"a.json"}


def test_a_fault_reads_as_file_place_and_message(tmp_path):
    put(tmp_path, "a", Scene(objects=(CUBE.with_values(size="huge"),)))
    (fault,) = check_folder(tmp_path, clevr_schema())
    assert isinstance(fault, Fault)
    assert str(fault) == f"{tmp_path / 'a.json'}: objects[0].size: size is 'huge'; known are large, small."


def test_no_folder_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no folder; give the folder with the pictures"):
        check_folder(tmp_path / "none", clevr_schema())
    with pytest.raises(ConfigError, match=r"holds no pictures and no scenes; put name\.png and name\.json there"):
        stems(tmp_path)


def test_a_link_that_leads_out_of_the_folder_is_a_fault_and_one_within_is_not(tmp_path):
    folder, elsewhere = tmp_path / "set", tmp_path / "private"
    folder.mkdir()
    elsewhere.mkdir()
    put(folder, "a")
    put(elsewhere, "secret")
    for suffix in (".png", ".json"):
        (folder / f"b{suffix}").symlink_to(folder / f"a{suffix}")
        (folder / f"c{suffix}").symlink_to(elsewhere / f"secret{suffix}")
    ((name, _, message),) = told(folder)
    assert name == "c.json" and "is a link to" in message and "outside the folder" in message
    assert [pair.name for pair in good_pairs(folder)] == ["a.png", "b.png"]

"""`kyvo scene` as a user calls it: files, messages and exit codes."""

import json

import pytest

from kyvo.cli.main import run
from kyvo.scene.files import load_scene, save_scene
from kyvo.scene.scene import Scene, SceneObject

CUBE = SceneObject(shape="cube", size="large", color="red", material="metal", location=(0.0, 0.0, 0.7))
BALL = SceneObject(shape="sphere", size="small", color="blue", material="rubber", location=(1.0, 1.0, 0.35))
COLLECTED = {
    "info": {"split": "val"},
    "scenes": [
        {
            "image_filename": f"CLEVR_val_00000{index}.png",
            "objects": [{"shape": "cube", "3d_coords": [0.5, index, 0.7]}],
        }
        for index in range(3)
    ],
}


@pytest.fixture
def kyvo(capsys):
    """`kyvo("scene", "validate", path)` -> (exit code, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return call


@pytest.fixture
def collected(tmp_path):
    path = tmp_path / "CLEVR_val_scenes.json"
    path.write_text(json.dumps(COLLECTED))
    return path


def _scene(path, *objects, **values):
    save_scene(Scene(objects=objects, **values), path)
    return path


def test_validate_passes_good_files(kyvo, tmp_path):
    path = _scene(tmp_path / "a b.json", CUBE)
    code, out, _ = kyvo("scene", "validate", path, "--schema", "clevr")
    assert (code, out) == (0, f"{path}: ok\n")


def test_validate_lists_every_fault_of_every_file_and_exits_1(kyvo, tmp_path):
    good = _scene(tmp_path / "good.json", CUBE)
    far = _scene(tmp_path / "far.json", SceneObject(shape="cone", location=(9.0, 0.0, 0.7)), CUBE)
    (tmp_path / "empty.json").write_text("")
    code, out, err = kyvo("scene", "validate", good, far, tmp_path / "empty.json", tmp_path, "--schema", "clevr")
    assert code == 1
    assert f"{good}: ok" in out
    assert f"{far}: objects[0].shape: shape is 'cone'; known are" in out
    assert f"{far}: objects[0].size: size is missing." in out
    assert f"{far}: objects[0].location: x is 9 clevr" in out
    assert "empty.json: not a JSON file" in out
    assert f"{tmp_path}: cannot be read" in out
    assert err == "3 of 4 files have faults\n"


def test_an_unknown_schema_is_wrong_usage_and_a_broken_schema_file_one_line(kyvo, tmp_path):
    path = _scene(tmp_path / "good.json", CUBE)
    code, _, err = kyvo("scene", "validate", path, "--schema", "klevr")
    assert code == 2
    assert "klevr" in err
    (tmp_path / "bad.yaml").write_text("- 1")
    code, out, err = kyvo("scene", "validate", path, "--schema", tmp_path / "bad.yaml")
    assert (code, out) == (1, "")
    assert err.startswith("kyvo: ")
    assert "a schema is a mapping" in err
    assert err.count("\n") == 1


def test_a_collected_file_becomes_a_folder_and_comes_back(kyvo, collected, tmp_path):
    code, _, err = kyvo("scene", "convert", collected, tmp_path / "out")
    assert code == 0
    assert "info" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"CLEVR_val_00000{i}.json" for i in range(3)]
    assert load_scene(tmp_path / "out" / "CLEVR_val_000002.json").objects[0].location == (0.5, 2.0, 0.7)
    assert kyvo("scene", "convert", tmp_path / "out", tmp_path / "back.json", "--to", "clevr")[0] == 0
    assert json.loads((tmp_path / "back.json").read_text()) == {"scenes": COLLECTED["scenes"]}


def test_a_collected_file_written_as_clevr_again_is_equal(kyvo, collected, tmp_path):
    assert kyvo("scene", "convert", collected, tmp_path / "copy.json", "--to", "clevr")[0] == 0
    assert json.loads((tmp_path / "copy.json").read_text()) == COLLECTED


def test_one_scene_goes_to_clevr_and_back(kyvo, tmp_path):
    path = _scene(tmp_path / "a.json", CUBE, BALL, image="a.png")
    assert kyvo("scene", "convert", path, tmp_path / "clevr.json", "--to", "clevr")[0] == 0
    assert json.loads((tmp_path / "clevr.json").read_text())["objects"][1]["3d_coords"] == [1.0, 1.0, 0.35]
    assert kyvo("scene", "convert", tmp_path / "clevr.json", tmp_path / "back.json", "--from", "clevr")[0] == 0
    assert load_scene(tmp_path / "back.json") == load_scene(path)


def test_nothing_is_overwritten_without_force(kyvo, collected, tmp_path):
    standing = tmp_path / "out" / "CLEVR_val_000001.json"
    standing.parent.mkdir()
    standing.write_text("mine")
    code, _, err = kyvo("scene", "convert", collected, tmp_path / "out")
    assert code == 1
    assert "CLEVR_val_000001.json exists (1 of 3); pass --force to overwrite." in err
    assert standing.read_text() == "mine"
    assert len(list(standing.parent.iterdir())) == 1
    assert kyvo("scene", "convert", collected, tmp_path / "out", "--force")[0] == 0
    assert load_scene(standing).image == "CLEVR_val_000001.png"


@pytest.mark.parametrize("target", ["one.json", "taken"])
def test_a_target_that_cannot_hold_the_scenes_is_wrong_usage(kyvo, collected, tmp_path, target):
    (tmp_path / "taken").write_text("a file")
    assert kyvo("scene", "convert", collected, tmp_path / target)[0] == 2


def test_two_scenes_of_one_name_are_refused(kyvo, tmp_path):
    twins = {"scenes": [{"image_filename": "a.png", "objects": []}, {"image_filename": "a.jpg", "objects": []}]}
    (tmp_path / "twins.json").write_text(json.dumps(twins))
    code, _, err = kyvo("scene", "convert", tmp_path / "twins.json", tmp_path / "out")
    assert code == 1
    assert "two scenes are called 'a'" in err


def test_a_broken_file_of_a_folder_costs_no_other(kyvo, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.json", "B.JSON"):
        save_scene(Scene(objects=(CUBE,)), tmp_path / "in" / name)
    (tmp_path / "in" / "c.json").write_bytes(b"\xff")
    (tmp_path / "in" / "._a.json").write_bytes(b"\xff")  # macOS's
    code, _, err = kyvo("scene", "convert", tmp_path / "in", tmp_path / "out")
    assert code == 1 and "c.json: not a JSON file" in err and "._a" not in err and "2 scenes" in err
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["B.json", "a.json"]


def test_converting_what_is_no_scene_says_so(kyvo, tmp_path):
    (tmp_path / "x.json").write_text("[1]")
    code, _, err = kyvo("scene", "convert", tmp_path / "x.json", tmp_path / "y.json")
    assert code == 1
    assert "x.json: a scene file holds one JSON object" in err
    (tmp_path / "empty").mkdir()
    assert "empty: has no .json file." in kyvo("scene", "convert", tmp_path / "empty", tmp_path / "y.json")[2]


def test_diff_shows_what_happened_and_exits_0(kyvo, tmp_path):
    moved = SceneObject(shape="cube", size="large", color="green", material="metal", location=(0.0, 0.5, 0.7))
    a, b = _scene(tmp_path / "a.json", CUBE, BALL), _scene(tmp_path / "b.json", moved)
    code, out, _ = kyvo("scene", "diff", a, b)
    assert code == 0
    assert "removed" in out
    assert "moved by 0.5" in out
    assert "changed color" in out
    code, out, _ = kyvo("scene", "diff", a, b, "--json")
    found = json.loads(out)
    assert (code, found["removed"], found["added"]) == (0, [1], [])
    assert found["changed"] == [{"before": 0, "after": 0, "attribute": "color", "old": "red", "new": "green"}]
    assert kyvo("scene", "diff", a, a)[:2] == (0, "no difference\n")


def test_diff_takes_one_scene_a_side(kyvo, collected, tmp_path):
    code, _, err = kyvo("scene", "diff", collected, _scene(tmp_path / "a.json", CUBE))
    assert code == 1
    assert "holds 3 scenes; one is needed" in err

"""`kyvo export` and `kyvo scene view` as a user calls them: files, messages and exit codes."""

import json

import pytest
from PIL import Image

from kyvo.cli.main import run
from kyvo.scene.files import save_scene
from kyvo.scene.scene import Scene, SceneObject

CUBE = SceneObject(shape="cube", size="large", color="red", material="metal", location=(0.0, 0.0, 0.7))


@pytest.fixture
def kyvo(capsys):
    """`kyvo("export", path)` -> (exit code, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stopped.value.code or 0, out, err

    return call


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "room.json"
    save_scene(Scene(objects=(CUBE,), image="room.png"), path)
    return path


@pytest.mark.parametrize(
    ("format", "name", "begins"),
    [
        ("glb", "room.glb", b"glTF"),
        ("html", "room.html", b"<!doctype html>"),
        ("blender", "room.py", b'"""'),
        ("clevr", "room.clevr.json", b"{"),
    ],
)
def test_a_format_gives_the_name_and_a_name_the_format(kyvo, scene, format, name, begins):
    assert kyvo("export", scene, "--format", format) == (0, "", f"{scene.with_name(name)}: 1 object\n")
    first = scene.with_name(name).read_bytes()
    assert first.startswith(begins)
    assert kyvo("export", scene, "--out", scene.with_name(f"again.{name}"))[0] == 0
    assert scene.with_name(f"again.{name}").read_bytes() == first


def test_objaworld_scenes_are_exported_with_the_meshes_of_the_package(kyvo, tmp_path):
    save_scene(
        Scene(objects=(SceneObject(shape="bench", location=(0.0, 0.0, 0.5)),), schema="objaworld"), tmp_path / "a.json"
    )
    assert kyvo("export", tmp_path / "a.json", "--format", "glb")[0] == 0
    assert b"bench_0" in (tmp_path / "a.glb").read_bytes()


def test_a_file_that_is_there_stays_unless_forced_and_the_scene_itself_always(kyvo, scene):
    target = scene.with_name("room.glb")
    target.write_text("mine")
    code, _, err = kyvo("export", scene, "--format", "glb")
    assert (code, target.read_text()) == (1, "mine") and "exists; pass --force" in err
    assert kyvo("export", scene, "--format", "glb", "--force")[0] == 0
    before = scene.read_bytes()
    code, _, err = kyvo("export", scene, "--format", "clevr", "--out", scene, "--force")
    assert code == 1 and "is the scene itself" in err and scene.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "say what to write: --format glb, usd, html, blender, clevr, omni3d, or --out"),
        (["--format", "gib"], 2, "no format is called 'gib'; did you mean glb?"),
        (["--out", "x.obj"], 2, "x.obj has no ending of a format"),
        (["--format", "omni3d"], 1, "room.json: frame, up axis and units are world, +z, clevr; Omni3D's"),
        (["--out", "no/such/folder.glb"], 1, "no/such/folder.glb: cannot be written (No such file or directory)"),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(kyvo, scene, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    found, _, err = kyvo("export", scene, *arguments)
    assert (found, err.count("\n")) == (code, 1)
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["room.json"]


def test_an_object_without_location_is_named_with_its_file(kyvo, scene):
    data = json.loads(scene.read_text())
    del data["objects"][0]["location"]
    scene.write_text(json.dumps(data))
    code, _, err = kyvo("export", scene, "--format", "glb")
    assert code == 1 and f"{scene}: objects[0].location is missing" in err


def test_a_view_is_drawn_with_truth_and_picture(kyvo, scene, tmp_path):
    Image.new("RGB", (48, 32)).save(tmp_path / "room.png")
    code, _, err = kyvo("scene", "view", scene, "--out", tmp_path / "a.png")
    assert (code, err) == (0, f"{tmp_path / 'a.png'}: 640x640 px\n")
    arguments = ("--truth", scene, "--image", tmp_path / "room.png", "--out", tmp_path / "b.png")
    assert kyvo("scene", "view", scene, *arguments)[0] == 0
    with Image.open(tmp_path / "b.png") as drawn:
        assert drawn.width == 960 + 8 + 640 and drawn.height > 640


def test_a_view_is_a_png(kyvo, scene, tmp_path):
    code, _, err = kyvo("scene", "view", scene, "--out", tmp_path / "a.jpg")
    assert code == 2 and "a.jpg does not end in .png" in err
    code, _, err = kyvo("scene", "view", scene, "--out", tmp_path / "no" / "a.png")
    assert code == 1 and "cannot be written" in err

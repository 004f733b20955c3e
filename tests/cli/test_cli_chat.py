import pytest
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.scene.files import load_scene, save_scene
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_kyvo

RED = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
SCENE = Scene(objects=(RED, SceneObject(**{**vars(RED), "color": "blue", "location": (1.5, 2.0, 0.7)})))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    model = tiny_kyvo()
    model.model.save_pretrained(path)
    model.processor.save(path)
    return path


@pytest.fixture
def chat(folder, tmp_path, monkeypatch):
    """Runs lines through `kyvo chat` in a folder with a scene and its picture."""
    monkeypatch.chdir(tmp_path)
    save_scene(SCENE, tmp_path / "scene.json")
    Image.new("RGB", (24, 16), "gray").save(tmp_path / "picture.png")

    def run(*lines, options=("scene.json", "--image", "picture.png")):
        command = ["chat", *options, "--model", str(folder), "--device", "cpu"]
        return CliRunner().invoke(app, command, input="\n".join(lines) + "\n")

    return run


def test_lines_of_a_pipe_are_turns_and_each_change_leaves_a_scene_and_a_picture(chat, tmp_path):
    change = "Change the color of the red cube to purple."
    lines = ("How many cubes?", "", change, "/diff", "/undo", "/diff", "/redo", "/save talk.json")
    done = chat(*lines, options=("scene.json", "--image", "picture.png", "--keep-others", "--out", "turns"))
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "turns").iterdir()) == ["turn_001.json", "turn_001.png"]
    with Image.open(tmp_path / "turns" / "turn_001.png") as picture:
        assert picture.size == (24, 16)
    after = load_scene(tmp_path / "turns" / "turn_001.json")
    assert SCENE.objects[1] in after.objects, "what the change does not concern is kept"
    assert "no difference" in done.stdout and f"brought back: {change}" in done.stdout
    again = chat("/undo", "/scene", options=("talk.json",))
    assert again.exit_code == 0 and "large red metal cube at 0 0 0.7" in again.stdout
    prompts = [line for line in done.stdout.splitlines() if line.startswith("> ")]
    assert not prompts and not done.stderr, "a pipe is quiet"


def test_a_line_that_fails_is_told_and_the_others_go_on(chat, tmp_path):
    done = chat("/dance", "/pin maybe", "/export room.xyz", "/export", "/pin", "/export room.glb", "/quit", "/undo")
    assert done.exit_code == 1
    for message in ("/dance is no command", "on or off is needed", "room.xyz has no ending", "/export needs a file"):
        assert message in done.stderr
    assert "objects that a change does not concern stay" in done.stdout and "nothing to undo" not in done.stdout
    assert (tmp_path / "room.glb").read_bytes()[:4] == b"glTF"


def test_a_saved_conversation_has_its_own_picture(chat):
    chat("/save talk.json")
    done = chat("/quit", options=("talk.json", "--keep-others"))
    assert done.exit_code != 0 and "leave out the options" in str(done.exception)

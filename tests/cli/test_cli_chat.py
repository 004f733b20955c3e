import os
import signal
import threading
import time

import pytest
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.chat import _take
from kyvo.cli.console import PlainConsole
from kyvo.cli.main import app
from kyvo.conversation import Conversation
from kyvo.pipelines.run import Cancelled
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
    change = "change the color of the red cube to purple"
    lines = ("How many cubes?", "", change, "/why", "/diff", "/undo", "diff", "/redo", "/save talk.json")
    done = chat(*lines, options=("scene.json", "--image", "picture.png", "--out", "turns"))
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "turns").iterdir()) == ["turn_001.json", "turn_001.png"]
    with Image.open(tmp_path / "turns" / "turn_001.png") as picture:
        assert picture.size == (24, 16)
    after = load_scene(tmp_path / "turns" / "turn_001.json")
    assert [item.color for item in after.objects] == ["purple", "blue"]
    assert done.stdout.splitlines()[0] == "2"
    assert "changed: color of large red metal cube, red to purple" in done.stdout
    assert "about: large red metal cube" in done.stdout
    assert "no difference" in done.stdout and f"brought back: {change}" in done.stdout
    again = chat("undo", "/scene", options=("talk.json",))
    assert again.exit_code == 0 and "large red metal cube at 0 0 0.7" in again.stdout
    prompts = [line for line in done.stdout.splitlines() if line.startswith("> ")]
    notes = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert not prompts and not notes, "a pipe is quiet, but for what the model's folder lacks"


def test_a_turn_after_undo_overwrites_no_earlier_one(chat, tmp_path):
    lines = ("paint the red cube green", "undo", "paint the red cube yellow")
    done = chat(*lines, options=("scene.json", "--out", "turns"))
    assert done.exit_code == 0, done.output
    colors = [load_scene(tmp_path / "turns" / f"turn_00{number}.json").objects[0].color for number in (1, 2)]
    assert colors == ["green", "yellow"]


def test_a_scene_is_exported_as_its_json_and_replaced_only_when_told(chat, tmp_path):
    lines = ("remove the red cube", "export after.json", "/export after.json", "Export after.json --force")
    done = chat(*lines)
    assert load_scene(tmp_path / "after.json").objects == SCENE.objects[1:]
    assert done.stdout.count("written: after.json") == 2
    assert done.stderr.count("after.json exists; /export after.json --force replaces it.") == 1


def test_what_is_ambiguous_is_asked_back_and_the_answer_taken(chat):
    done = chat("remove the cube", "the left one", "scene")
    assert "1." in done.stderr and "2." in done.stderr and done.exit_code == 1
    assert "removed: large red metal cube" in done.stdout or "removed: large blue metal cube" in done.stdout
    assert "both" not in chat("remove the cube", "both", "scene").stdout
    assert chat("remove the cube", "both", "scene").stdout.count("removed:") == 2


def test_a_line_that_fails_is_told_and_the_others_go_on(chat, tmp_path):
    (tmp_path / "there.glb").write_text("mine")
    lines = ("/dance", "remove the dog", "/export room.xyz", "/export", "/export there.glb", "/export room.glb", "exit")
    done = chat(*lines, "/undo")
    assert done.exit_code == 1
    for message in ("/dance is no command", "dog", "room.xyz has no ending", "/export needs a file", "--force"):
        assert message in done.stderr
    assert "nothing to undo" not in done.stdout
    assert (tmp_path / "room.glb").read_bytes()[:4] == b"glTF" and (tmp_path / "there.glb").read_text() == "mine"
    assert chat("/export there.glb --force").exit_code == 0 and (tmp_path / "there.glb").read_bytes()[:4] == b"glTF"


def test_a_picture_is_recognised_and_what_is_wrong_is_told_before_the_model_loads(chat, tmp_path):
    done = chat("how many things are there", options=("picture.png",))
    assert done.exit_code == 0 and done.stdout.splitlines()[0].isdecimal()
    (tmp_path / "bad.png").write_text("no picture")
    assert chat("scene", options=("bad.png", "--model", "nothing")).exception is not None


def test_a_saved_conversation_has_its_own_picture(chat):
    chat("/save talk.json")
    done = chat("/quit", options=("talk.json", "--image", "picture.png"))
    assert done.exit_code != 0 and "leave out --image" in str(done.exception)


@pytest.fixture
def interruptible():
    """SIGINT interrupts, also where the tests run in a shell's background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_a_turn_and_keeps_the_talk(capsys, monkeypatch):
    talk = Conversation(tiny_kyvo(), SCENE)
    console, errors = PlainConsole(), PlainConsole(stderr=True)
    _take("how many cubes are there?", talk, console, errors, None)
    engine, run = talk.model.language_model.engine, talk.model.run()

    def press() -> None:
        """Ctrl-C as soon as the turn waits for the engine, which goes on when the turn is cancelled."""
        while not engine._calls and not engine.num_waiting:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Cancelled):
            while not run.stops():
                time.sleep(0.01)

    with monkeypatch.context() as patched, engine.running():
        patched.setattr(talk.model, "run", lambda: run)
        threading.Thread(target=engine.call, args=(press,)).start()
        _take("paint the red cube green", talk, console, errors, None)
    assert "stopped; the scene is as it was" in capsys.readouterr().err
    assert [turn.text for turn in talk.turns] == ["how many cubes are there?"] and talk.scene == SCENE
    _take("paint the red cube green", talk, console, errors, None)
    assert len(talk.turns) == 2

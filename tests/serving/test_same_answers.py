"""Python, HTTP, chat completions, a conversation and the command line do each task alike, on the same inputs."""

import base64
import io
import json

import httpx
import numpy as np
import pytest
from alike import assert_alike
from PIL import Image
from typer.testing import CliRunner

from kyvo.api import Kyvo
from kyvo.cli.main import app as command_line
from kyvo.conversation import Conversation
from kyvo.models.heads.refiner import save_refiner
from kyvo.scene.files import load_scene, object_to_json, save_scene, scene_from_json, scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.serving.app import create_app
from kyvo.serving.inputs import data_uri
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo, tiny_refiner

RED = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
BALL = SceneObject(size="small", color="blue", material="rubber", shape="sphere", location=(1.5, 2.0, 0.35))
SCENE = Scene(objects=(RED, BALL))
PICTURE = np.random.default_rng(4).integers(256, size=(16, 24, 3), dtype=np.uint8)
EDIT, QUESTION = "Paint the cube green and remove the sphere.", "What color is the small sphere?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model folder with a refiner, and the scene and picture beside it."""
    path = tmp_path_factory.mktemp("same")
    model = tiny_kyvo()
    model.model.save_pretrained(path / "model")
    model.processor.save(path / "model")
    save_refiner(path / "model", tiny_refiner())
    save_scene(SCENE, path / "scene.json")
    Image.fromarray(PICTURE).save(path / "picture.png")
    return path


@pytest.fixture(scope="module")
def model(folder):
    return Kyvo.from_pretrained(folder / "model", device="cpu")


@pytest.fixture(scope="module")
def post(folder):
    """`post(path, body)`: the JSON that a server over the folder answers."""
    served = create_app(Kyvo.from_pretrained(folder / "model", device="cpu"), name="tiny")
    with serving(served) as url, httpx.Client(base_url=url, timeout=60) as client:

        def send(path, body):
            answer = client.post(path, json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        yield send


@pytest.fixture
def kyvo(folder, tmp_path, monkeypatch):
    """`kyvo(words, lines)`: what the command prints, run in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words, lines=()):
        command = [*map(str, words), "--model", str(folder / "model"), "--device", "cpu"]
        done = CliRunner().invoke(command_line, command, input="".join(f"{line}\n" for line in lines))
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def completion(post, *parts):
    """What chat completions say to these parts."""
    content = [part if isinstance(part, dict) and "type" in part else {"type": "text", "text": part} for part in parts]
    answer = post("/v1/chat/completions", {"model": "tiny", "messages": [{"role": "user", "content": content}]})
    return answer["choices"][0]["message"]["content"]


def objects(scene):
    """Scene JSON's objects; files have six decimals."""
    return [object_to_json(item, "") for item in scene.objects]


def picture_in(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))).convert("RGB"))


def test_recognition(model, post, kyvo, folder, tmp_path):
    expected = objects(model.recognize([PICTURE])[0])
    assert expected, "a model that sees nothing would be alike everywhere"
    uri = data_uri(PICTURE)
    assert objects(scene_from_json(post("/v1/scenes/recognize", {"image": uri})["scene"])) == expected
    said = completion(post, {"type": "image_url", "image_url": {"url": uri}})
    assert objects(scene_from_json(json.loads(said))) == expected
    kyvo("recognize", folder / "picture.png", "--out", "found")
    assert objects(load_scene(tmp_path / "found" / "picture.json")) == expected
    kyvo("chat", folder / "picture.png", lines=["/save talk.json"])
    assert objects(Conversation.load(model, tmp_path / "talk.json").scene) == expected


def test_rendering(model, post, kyvo, folder, tmp_path):
    (expected,) = model.render([SCENE])
    assert_alike(picture_in(post("/v1/scenes/render", {"scene": scene_to_json(SCENE)})["image"]), expected)
    assert_alike(Conversation(model, SCENE).image, expected)
    kyvo("chat", folder / "scene.json", lines=["/export drawn.png"])
    assert_alike(np.asarray(Image.open(tmp_path / "drawn.png").convert("RGB")), expected)


def test_ray_tracing(model, post, kyvo, folder, tmp_path):
    (expected,) = model.render([SCENE], renderer="raytracer")
    assert expected.shape == (320, 480, 3)
    asked = {"scene": scene_to_json(SCENE), "renderer": "raytracer"}
    assert_alike(picture_in(post("/v1/scenes/render", asked)["image"]), expected)
    kyvo("render", folder / "scene.json", "--renderer", "raytracer", "--out", "traced")
    assert_alike(np.asarray(Image.open(tmp_path / "traced" / "scene.png").convert("RGB")), expected)
    kyvo("chat", folder / "scene.json", "--renderer", "raytracer", lines=["/export drawn.png"])
    assert_alike(np.asarray(Image.open(tmp_path / "drawn.png").convert("RGB")), expected)


def test_editing(model, post, kyvo, folder, tmp_path):
    edited = model.edit(SCENE, EDIT)
    expected = objects(edited.scene)
    assert len(expected) == 1 and expected[0]["color"] == "green"
    answer = post("/v1/scenes/edit", {"scene": scene_to_json(SCENE), "instruction": EDIT})
    assert objects(scene_from_json(answer["scene"])) == expected
    assert answer["reading"] == edited.understood.reading
    assert_alike(picture_in(answer["image"]), edited.image)
    talk = Conversation(model, SCENE)
    assert objects(talk.say(EDIT).scene) == expected
    assert_alike(talk.image, edited.image)
    kyvo("chat", folder / "scene.json", "--out", "turns", lines=[EDIT])
    assert objects(load_scene(tmp_path / "turns" / "turn_001.json")) == expected
    assert_alike(np.asarray(Image.open(tmp_path / "turns" / "turn_001.png").convert("RGB")), edited.image)


def test_answering(model, post, kyvo, folder):
    expected = model.ask(SCENE, QUESTION).text
    assert expected == "blue"
    part = {"type": "scene", "scene": scene_to_json(SCENE)}
    assert post("/v1/scenes/ask", {"scene": part["scene"], "question": QUESTION})["answer"] == expected
    assert completion(post, part, QUESTION) == expected
    assert Conversation(model, SCENE).say(QUESTION).answer == expected
    assert kyvo("chat", folder / "scene.json", lines=[QUESTION]).splitlines()[0] == expected


@pytest.mark.parametrize(("text", "code"), [("Remove the yellow cube.", "no_such_object"), ("hello", "not_understood")])
def test_what_cannot_be_done_is_refused_alike(model, post, folder, text, code, monkeypatch, tmp_path):
    with pytest.raises(Exception) as caught:
        model.edit(SCENE, text)
    reason = str(caught.value)
    with pytest.raises(type(caught.value)) as in_talk:
        Conversation(model, SCENE).say(text)
    assert str(in_talk.value) == reason
    with pytest.raises(AssertionError, match=code) as refused:
        post("/v1/scenes/edit", {"scene": scene_to_json(SCENE), "instruction": text})
    assert json.loads(str(refused.value).partition("\n")[0])["error"]["message"].endswith(reason)
    monkeypatch.chdir(tmp_path)
    command = ["chat", str(folder / "scene.json"), "--model", str(folder / "model"), "--device", "cpu"]
    done = CliRunner().invoke(command_line, command, input=f"{text}\n")
    assert done.exit_code == 1 and reason.split(";")[0] in done.stderr

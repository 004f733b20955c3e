"""Scenes of shapes over HTTP: the same files as the command writes, the sources of masks, and what is refused."""

import time

import httpx
import numpy as np
import pytest
from long_jobs import ended
from PIL import Image
from tiny_generators import random, tiny_generator, write_tiny_pipeline
from tiny_scene_tokens import tiny_scene_model
from tiny_scenes import ENCODER, tiny_flow
from tiny_segmenters import write_tiny_sam

import kyvo.serving.scene_jobs as scene_jobs
from kyvo.cli.main import run
from kyvo.models.slat.load import save_network
from kyvo.pipelines import scenes
from kyvo.pipelines.object_source import ObjectSource
from kyvo.pipelines.scene_source import SceneSource
from kyvo.scene.files import save_scene, scene_to_json
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.serving.app import create_app
from kyvo.serving.inputs import data_uri
from kyvo.serving.limits import Limits
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

pytest.importorskip("open3d")

PICTURE = np.random.default_rng(0).integers(100, 255, (60, 80, 3)).astype(np.uint8)
BOXES = ((5, 20, 35, 50), (45, 20, 75, 50))
TEXT = "a red chair on a blue table"
FORMATS = ["json", "glb", "usda", "html", "png"]


def mask(box) -> np.ndarray:
    x0, y0, x1, y1 = box
    found = np.zeros_like(PICTURE)
    found[y0:y1, x0:x1] = 255
    return found


def a_scene() -> Scene:
    objects = tuple(SceneObject(shape="cube", size="large", location=(x, 0.0, 0.7)) for x in (-1.5, 1.5))
    camera = Camera.look_at(location=(0.0, -8.0, 3.0), focal=80.0, width=80, height=60)
    return Scene(objects=objects, schema="clevr", camera=camera)


@pytest.fixture(autouse=True)
def made_once(monkeypatch):
    """Of each object one sample: which is kept of several is tested elsewhere."""
    monkeypatch.setattr(scenes, "TRIES", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A generator of objects, the flows of one method, SAM, the picture, and its masks."""
    found = tmp_path_factory.mktemp("scenes")
    write_tiny_pipeline(found / "objects")
    (found / "flows" / "scenegen").mkdir(parents=True)
    save_network(tiny_flow("scenegen"), found / "flows" / "scenegen" / "flow")
    save_network(random(ENCODER), found / "flows" / "scenegen" / "scene_encoder")
    write_tiny_sam(found / "sam")
    (found / "masks").mkdir()
    for number, box in enumerate(BOXES):
        Image.fromarray(mask(box)).save(found / "masks" / f"{number}.png")
    Image.fromarray(PICTURE).save(found / "room.png")
    save_scene(a_scene(), found / "scene.json")
    return found


@pytest.fixture(scope="module")
def http(folder):
    model = tiny_kyvo(objects=tiny_generator())
    source = SceneSource(flows=folder / "flows", objects=ObjectSource(folder / "objects"), segmenter=folder / "sam")
    app = create_app(model, name="tiny", limits=Limits(mask_megapixels=0.1), scenes=source)
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def ask(http, **body):
    return http.post("/v1/scenes/generate", json={"image": data_uri(PICTURE), **body})


def same_as_command(http, folder, tmp_path, status, *words):
    assert status["error"] is None and status["seconds"] > 0
    names = [file["name"] for file in status["files"]]
    outs = [part for name in names for part in ("--out", str(tmp_path / name))]
    given = ["--objects", str(folder / "objects"), "--model", str(folder / "flows"), "--seed", "3"]
    with pytest.raises(SystemExit) as stopped:
        run(["generate", "scene", str(folder / "room.png"), *words, *given, *outs])
    assert not stopped.value.code
    for file in status["files"]:
        assert http.get(file["path"]).content == (tmp_path / file["name"]).read_bytes(), file["name"]


@pytest.mark.slow
def test_masks_give_the_files_that_the_command_writes(http, folder, tmp_path):
    objects = [{"mask": data_uri(mask(box))} for box in BOXES]
    status = ended(http, ask(http, objects=objects, seed=3, formats=FORMATS))
    same_as_command(http, folder, tmp_path, status, "--masks", str(folder / "masks"))
    assert [file["name"] for file in status["files"]] == [f"scene.{format}" for format in FORMATS]
    assert [item["name"] for item in status["objects"]] == ["0", "1"]
    assert status["query"] == "0" and status["axes"] == "query"
    assert status["objects"][0]["scale"] == 1 and len(status["objects"][1]["translation"]) == 3


@pytest.mark.slow
def test_other_sources_of_masks_give_the_files_that_the_command_writes(http, folder, tmp_path):
    prompts = [{"box": BOXES[0]}, {"points": [[50, 30], [60, 40]]}]
    words = ["--box", "5,20,35,50", "--point", "50,30:60,40", "--segmenter", str(folder / "sam")]
    for number, (body, command) in enumerate(
        (({"objects": prompts}, words), ({"scene": scene_to_json(a_scene())}, ["--masks", str(folder / "scene.json")]))
    ):
        status = ended(http, ask(http, **body, method="independent", seed=3))
        (tmp_path / str(number)).mkdir()
        same_as_command(http, folder, tmp_path / str(number), status, *command, "--method", "independent")


def test_colors_are_objects_and_a_recognised_scene_is_taken(http):
    labels = mask(BOXES[0]) // 255 * [255, 0, 0] + mask(BOXES[1]) // 255 * [0, 0, 255]
    status = ended(http, ask(http, labels=data_uri(labels.astype(np.uint8)), method="independent"))
    assert [item["name"] for item in status["objects"]] == ["#0000ff", "#ff0000"]
    # The tiny model is not trained: what it recognises may be no object that is seen.
    status = ended(http, ask(http, recognize=True, method="independent"))
    assert status["objects"] or "no object is left" in status["error"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "give one of objects, labels, scene, recognize"),
        ({"recognize": True, "labels": "AAAA"}, "give one of objects"),
        ({"objects": []}, "objects"),
        ({"objects": [{"box": BOXES[0]}] * 17}, "objects"),
        ({"objects": [{}]}, "give a mask, or a box or points"),
        ({"objects": [{"mask": "AAAA", "box": BOXES[0]}]}, "give a mask, or a box or points"),
        ({"objects": [{"mask": "AAAA"}, {"box": BOXES[0]}]}, "give each object a mask, or none"),
        ({"objects": [{"box": BOXES[0], "name": "1"}, {"box": BOXES[1]}]}, "two objects have one name"),
        ({"objects": [{"mask": "AAAA"}]}, "the mask of 0"),
        ({"objects": [{"mask": data_uri(0 * PICTURE)}]}, "no object is left"),
        ({"objects": [{"box": [90, 0, 95, 9]}]}, "holds nothing of the picture"),
        ({"labels": data_uri(PICTURE)}, "a label picture has one an object on black"),
        ({"scene": scene_to_json(Scene(objects=(), schema="clevr"))}, "no object is left"),
        ({"recognize": True, "camera": {}}, "a camera goes with the baselines"),
        ({"recognize": True, "method": "midi"}, "method"),
        ({"recognize": True, "formats": ["obj"]}, "formats"),
        ({"recognize": True, "image": data_uri(0 * PICTURE)}, "all its pixels have one color"),
        ({"image": data_uri(np.tile(PICTURE, (30, 1, 1))), "objects": [{"box": BOXES[0]}]}, "the limit is 0.1"),
    ],
)
def test_what_no_job_can_be_made_of_is_refused_at_once(http, body, reason):
    answer = ask(http, **body)
    assert answer.status_code == 422, answer.text
    assert reason in answer.json()["error"]["message"]


def test_jobs_have_progress_and_are_cancelled(http, monkeypatch):
    begin = {"objects": [{"box": box} for box in BOXES], "method": "independent"}

    def wait(method, picture, *, seed, progress, cancelled):
        while not cancelled():
            time.sleep(0.01)

    monkeypatch.setattr(scene_jobs, "generate_scene", wait)
    path = ask(http, **begin).json()["path"]
    assert path.startswith("/v1/scenes/jobs/")
    for _ in range(500):
        if http.get(path).json()["status"] == "running":
            break
        time.sleep(0.02)
    assert http.get(path).json()["status"] == "running"
    assert http.get(path.replace("/scenes/jobs/", "/objects/")).status_code == 404  # another kind of job
    assert http.delete(path).status_code == 204
    assert http.get(path).status_code == 404
    monkeypatch.undo()
    assert ended(http, ask(http, **begin))["status"] == "done"


def test_a_method_that_the_server_lacks_is_said(http):
    lacking = {"iscene": "has no flow of iscene", "retrieval": "there is no library", "tokens": "Tokens need a model"}
    for method, reason in lacking.items():
        answer = ask(http, objects=[{"box": BOXES[0]}], method=method)
        assert answer.status_code == 501
        assert reason in answer.json()["error"]["message"]
    cards = http.get("/v1/scenes/methods").json()
    assert cards["segmenter"] is True
    lacks = {card["name"]: card["lacks"] for card in cards["methods"]}
    assert lacks["scenegen"] is None and lacks["independent"] is None
    assert "has no flow of iscene" in lacks["iscene"]
    assert [card["name"] for card in cards["methods"] if not card["needs_masks"]] == ["tokens"]
    answer = http.post("/v1/scenes/generate", json={"text": TEXT, "method": "iscene"})
    assert answer.status_code == 501 and "has no flow of iscene" in answer.json()["error"]["message"]
    assert "has no flow of iscene" in cards["lacks_text"]


@pytest.mark.slow
def test_a_text_gives_the_files_that_the_command_writes(folder, tmp_path):
    flows = folder / "texts"
    (flows / "iscene").mkdir(parents=True)
    save_network(tiny_flow("iscene"), flows / "iscene" / "flow")
    save_network(tiny_generator().encoders["text"], flows / "iscene" / "text_encoder")
    source = SceneSource(flows=flows, objects=ObjectSource(folder / "objects"))
    with serving(create_app(tiny_kyvo(), name="tiny", scenes=source)) as url, httpx.Client(base_url=url) as client:
        assert client.get("/v1/scenes/methods").json()["lacks_text"] is None
        asked = {"text": TEXT, "method": "iscene", "seed": 3, "formats": ["json", "png"]}
        status = ended(client, client.post("/v1/scenes/generate", json=asked))
        sent = {file["name"]: client.get(file["path"]).content for file in status["files"]}
    outs = [part for name in sent for part in ("--out", str(tmp_path / name))]
    given = ["--objects", str(folder / "objects"), "--model", str(flows), "--seed", "3", "--method", "iscene"]
    with pytest.raises(SystemExit) as stopped:
        run(["generate", "scene", "--text", TEXT, *given, *outs])
    assert not stopped.value.code
    assert sent == {name: (tmp_path / name).read_bytes() for name in ("scene.json", "scene.png")}


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ({}, "give an image or a text"),
        ({"text": TEXT, "image": "data"}, "give an image or a text"),
        ({"text": TEXT}, "a text goes with the method iscene"),
        ({"text": TEXT, "method": "iscene", "recognize": True}, "nothing that is about a picture"),
        ({"text": " beside ".join(["a chair"] * 13), "method": "iscene"}, "the text names 13 objects"),
        ({"text": "a chair " * 400, "method": "iscene"}, "the limit is 2,000"),
    ],
)
def test_a_text_stands_alone(http, body, match):
    answer = http.post("/v1/scenes/generate", json=body)
    assert answer.status_code == 422 and match in answer.json()["error"]["message"]


@pytest.mark.slow
def test_a_server_of_a_model_with_shapes_makes_scenes_by_tokens_with_and_without_masks():
    with serving(create_app(tiny_scene_model(seed=6), name="tiny")) as url, httpx.Client(base_url=url) as client:
        alone = ended(client, ask(client, method="tokens", formats=["json"]))
        masks = [
            {"mask": data_uri(mask(box)), "name": name} for box, name in zip(BOXES, ("chair", "desk"), strict=True)
        ]
        named = ended(client, ask(client, method="tokens", objects=masks))
        scene = client.get(alone["files"][0]["path"]).json()
    assert [item["name"] for item in alone["objects"]] == [item["name"] for item in scene["objects"]]
    assert len(scene["objects"][0]["shape_codes"]) == 64 and alone["axes"] == "view"
    assert {"chair", "desk"} < {item["name"] for item in named["objects"]}
    assert [item["translation"] for item in named["objects"]] == [item["translation"] for item in alone["objects"]]
    assert any("has no mask" in words for words in named["warnings"])

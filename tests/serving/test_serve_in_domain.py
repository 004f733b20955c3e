"""A picture that is like none that the model knows is warned of by every way of asking; so is one that was cropped."""

import json

import httpx
import numpy as np
import pytest
from PIL import Image

from kyvo.serving.app import create_app
from kyvo.serving.inputs import data_uri
from kyvo.serving.server import serving
from kyvo.serving.studio_session import Session
from kyvo.testing import same_score, tiny_kyvo

PIXELS = np.random.default_rng(0).integers(256, size=(48, 48, 3), dtype=np.uint8)
UNLIKE, CUT = "unlike those that the model knows", "33% of its rows"


@pytest.fixture(scope="module")
def app():
    return create_app(tiny_kyvo(seed=5, in_domain=same_score(0.125)), name="tiny")


@pytest.fixture(scope="module")
def http(app):
    with serving(app) as url, httpx.Client(base_url=url, timeout=120) as client:
        yield client


def test_recognize_answers_with_score_note_and_warning(http):
    answer = http.post("/v1/scenes/recognize", json={"image": data_uri(PIXELS)}).json()
    assert answer["in_domain"] == 0.125 and UNLIKE in answer["warnings"][0] and CUT in answer["notes"][0]
    assert answer["scene"]["source"] == {key: answer[key] for key in ("in_domain", "notes", "warnings")}


def test_an_answer_about_a_picture_carries_them_as_notes(http):
    body = {"question": "How many cubes are there?", "image": data_uri(PIXELS)}
    notes = http.post("/v1/scenes/ask", json=body).json()["notes"]
    assert any(UNLIKE in note for note in notes) and any(CUT in note for note in notes)


@pytest.mark.parametrize("text", ["Describe the scene.", "How many cubes are there?"])
def test_a_chat_tells_them_beside_its_message(http, text):
    content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": data_uri(PIXELS)}}]
    body = {"model": "tiny", "messages": [{"role": "user", "content": content}]}
    told = json.dumps(http.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["kyvo"])
    assert UNLIKE in told and CUT in told


def test_the_studio_shows_a_banner(http, app, tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "square.png")
    shown = Session(app.state.worker, uploads=tmp_path).recognise(str(tmp_path / "square.png"))
    assert UNLIKE in shown.banner and CUT in shown.banner and not shown.fault


def test_a_scene_file_without_a_source_shows_none_and_an_empty_one_says_so(http, app, tmp_path):
    (tmp_path / "empty.json").write_text(
        json.dumps(
            {
                "format": "kyvo-scene", "version": 1, "schema": "clevr", "frame": "world", "up_axis": "+z",
                "units": "clevr", "objects": [],
            }
        )
    )  # fmt: skip
    shown = Session(app.state.worker, uploads=tmp_path).open(str(tmp_path / "empty.json"), None)
    assert shown.banner == "" and shown.status == "**The scene has no objects.** Say what to add."

"""What a request may cost in memory: lengths in ids before any network runs, a budget for all that are in flight."""

import base64
import io
import json
import threading
import time

import httpx
import numpy as np
import pytest
from PIL import Image

from kyvo.errors import TokenError
from kyvo.scene.files import scene_from_json
from kyvo.serving.app import create_app
from kyvo.serving.budget import COPIES
from kyvo.serving.inputs import png_bytes
from kyvo.serving.limits import Limits
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

LONG = "\N{CUCUMBER}" * 600  # characters, of four ids each
TOLD = r"the text has 600 characters, which are 2,\d\d\d ids: the prompt has 2,\d\d\d ids and the model sees 2,048"


@pytest.fixture(scope="module")
def watched():
    """A model, and the networks that ran in it."""
    model, ran = tiny_kyvo(), []
    for network in (model.model.model, model.processor.image.model.encoder, model.processor.image.model.decoder):
        network.register_forward_pre_hook(lambda module, _: ran.append(type(module).__name__))
    return model, ran


@pytest.fixture(scope="module")
def served(watched):
    app = create_app(watched[0], name="tiny", limits=Limits(body=2**20, memory=3 * COPIES * 2**20, body_seconds=3))
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client, app


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/scenes/ask", {"question": LONG}),
        ("/v1/scenes/ask", {"question": LONG, "image": "PICTURE"}),
        ("/v1/scenes/edit", {"instruction": LONG}),
        ("/v1/chat/completions", {}),
        ("/v1/chat/completions", {"kyvo": {"task": "question_answering"}}),
        ("/v1/chat/completions", {"stream": True}),
    ],
)
def test_a_text_of_no_sense_is_refused_before_any_network_runs(served, watched, scene, picture, path, body):
    client, ran = served[0], watched[1]
    if "chat" in path:
        parts = [{"type": "image", "image": picture}, {"type": "text", "text": LONG}]
        body = body | {"model": "tiny", "messages": [{"role": "user", "content": parts}]}
    else:
        body = {"scene": scene} | {key: picture if value == "PICTURE" else value for key, value in body.items()}
    ran.clear()
    answer = client.post(path, json=body)
    assert ran == []
    assert "not_understood" in answer.text if body.get("stream") else answer.status_code == 422


@pytest.mark.parametrize(
    "act",
    [
        lambda model, scene: model.ask(scene, LONG, mode="language_model"),
        lambda model, scene: model.ask(scene, LONG, mode="language_model", image=np.zeros((8, 8, 3), np.uint8)),
        lambda model, scene: model.edit(scene, LONG, mode="language_model"),
        lambda model, scene: model.edit(scene, LONG, mode="end_to_end"),
    ],
)
def test_a_text_too_long_for_the_language_model_is_refused_before_any_network_runs(watched, scene, act):
    model, ran = watched
    ran.clear()
    with pytest.raises(TokenError, match=TOLD):
        act(model, scene_from_json(scene))
    assert ran == []


@pytest.mark.slow
def test_bodies_in_flight_hold_no_more_than_the_budget(served, scene):
    client, app = served
    url = str(client.base_url)
    half = json.dumps({"image": "A" * (2**20 - 100)}).encode()
    go, seen = threading.Event(), []

    def slowly():
        yield half[:-10]
        go.wait(10)
        yield half[-10:]

    def send():
        answer = httpx.post(
            f"{url}/v1/scenes/recognize", content=slowly(), headers={"content-type": "application/json"}, timeout=30
        )
        seen.append((answer.status_code, answer.headers.get("retry-after")))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    end, most = time.monotonic() + 2, 0
    while time.monotonic() < end:
        most = max(most, app.state.budget.held)
        time.sleep(0.01)
    go.set()
    for thread in threads:
        thread.join()
    assert 2 * COPIES * 2**20 <= most <= app.state.budget.most
    assert set(seen) == {(422, None), (503, "1")}
    assert app.state.budget.held == 0
    assert (
        client.post("/v1/scenes/ask", json={"scene": scene, "question": "How many objects are there?"}).status_code
        == 200
    )


def costly_jpeg():
    """A progressive JPEG of as many pixels and scans as are let in."""
    file = io.BytesIO()
    Image.new("RGB", (4400, 4400), "red").save(file, "JPEG", progressive=True)
    data = file.getvalue()
    start = data.rindex(b"\xff\xda")
    return data[:-2] + data[start:-2] * 85 + data[-2:]


@pytest.mark.slow
def test_costly_pictures_hold_up_no_other_client(served, scene):
    client, _ = served
    url, picture = str(client.base_url), base64.b64encode(costly_jpeg()).decode()
    small = base64.b64encode(png_bytes(np.zeros((8, 8, 3), np.uint8))).decode()
    seen = []

    def send():
        seen.append(httpx.post(f"{url}/v1/scenes/recognize", json={"image": picture}, timeout=60).status_code)

    threads = [threading.Thread(target=send) for _ in range(12)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    start = time.perf_counter()
    assert client.post("/v1/scenes/recognize", json={"image": small}).status_code == 200
    assert time.perf_counter() - start < 15  # one after another they take 30
    for thread in threads:
        thread.join()
    assert set(seen) <= {200, 422, 503}

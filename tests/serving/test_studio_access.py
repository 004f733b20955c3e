"""The studio over HTTP, as a hostile client sees it: only a visitor's uploads are read, and only its page may ask."""

import json
from pathlib import Path

import httpx
import numpy as np
import pytest

from kyvo.serving.app import create_app
from kyvo.serving.inputs import png_bytes
from kyvo.serving.limits import Limits
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

pytest.importorskip("gradio")
RECOGNISE, OPEN, SAY = "handle", "handle_1", "handle_2"
PICTURE = png_bytes(np.random.default_rng(0).integers(256, size=(32, 48, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def address():
    from kyvo.serving.studio import mount_studio

    limits = Limits(body=2**20, body_seconds=1.0, uploads=4 * 2**20)
    app = create_app(tiny_kyvo(), name="tiny", limits=limits)
    mount_studio(app)
    with serving(app, patience=1) as url:
        yield url


@pytest.fixture
def visitor(address):
    with httpx.Client(base_url=address, timeout=60) as client:
        client.get("/").raise_for_status()
        yield client


@pytest.fixture
def other(address):
    with httpx.Client(base_url=address, timeout=60) as client:
        client.get("/").raise_for_status()
        yield client


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """A picture in the server's working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "private.png"
    path.write_bytes(PICTURE)
    return path


def file_data(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def upload(client, content=None, name="a.png"):
    answer = client.post("/gradio_api/upload", files={"files": (name, content or PICTURE)})
    return answer.raise_for_status().json()[0]


def join(client, event, data, **headers):
    numbers = {row["api_name"]: row["id"] for row in client.get("/config").json()["dependencies"]}
    body = {"data": data, "fn_index": numbers[event], "session_hash": "abc"}
    return client.post("/gradio_api/queue/join", json=body, headers=headers)


def status_after(client, event, data):
    """What the page shows in words."""
    assert join(client, event, data).status_code == 200
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "abc"}) as events:
        done = next(line for line in events.iter_lines() if "process_completed" in line)
    return json.loads(done.removeprefix("data:"))["output"]["data"][1]["value"]


def test_an_uploaded_picture_and_a_sample_are_recognised(visitor):
    assert "object" in status_after(visitor, RECOGNISE, [None, file_data(upload(visitor))])
    parts = visitor.get("/config").json()["components"]
    samples = next(part["props"]["samples"] for part in parts if part["type"] == "dataset")
    assert "object" in status_after(visitor, RECOGNISE, [None, samples[0][0]])


def test_an_uploaded_scene_is_opened(visitor, scene):
    path = upload(visitor, json.dumps(scene).encode(), "scene.json")
    assert "objects" in status_after(visitor, OPEN, [None, file_data(path), None])


@pytest.mark.parametrize("meta", [{"_type": "gradio.FileData"}, None])
@pytest.mark.parametrize("event", [RECOGNISE, OPEN])
def test_a_file_of_the_working_directory_is_refused(visitor, own_file, event, meta):
    named = {"path": str(own_file), "meta": meta}
    answer = join(visitor, event, [None, named, None][: 2 if event == RECOGNISE else 3])
    assert answer.status_code == 403 and "has not uploaded" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["private.png", "/etc/passwd", "http://127.0.0.1:1/a.png", "", None, 7, ["a"]])
def test_no_other_path_and_no_url_is_opened(visitor, own_file, path):
    assert join(visitor, RECOGNISE, [None, {"path": path, "meta": {"_type": "gradio.FileData"}}]).status_code == 403
    assert join(visitor, RECOGNISE, [None, [{"deep": {"path": path}}]]).status_code == 403


def test_a_path_beside_an_upload_is_refused(visitor, own_file):
    path = upload(visitor)
    for step in (f"{path}/../../../../..{own_file}", f"{path}/../", f"{path}/."):
        assert join(visitor, RECOGNISE, [None, file_data(step)]).status_code == 403


def test_a_file_that_another_visitor_uploaded_is_refused(visitor, other):
    path = upload(visitor)
    assert join(other, RECOGNISE, [None, file_data(path)]).status_code == 403
    assert upload(other) == path  # the same content
    assert join(other, RECOGNISE, [None, file_data(path)]).status_code == 200


def test_a_key_given_twice_does_not_hide_a_path(visitor, own_file):
    good, bad = json.dumps(upload(visitor)), json.dumps(str(own_file))
    body = f'{{"data": [null, {{"path": {good}, "path": {bad}}}], "fn_index": 1, "session_hash": "abc"}}'
    headers = {"content-type": "application/json"}
    assert visitor.post("/gradio_api/queue/join", content=body, headers=headers).status_code == 400


@pytest.mark.parametrize("origin", ["https://example.org", "http://127.0.0.1:1", "null"])
def test_a_page_of_another_site_is_refused(visitor, origin):
    headers = {"origin": origin}
    assert join(visitor, RECOGNISE, [None, None], **headers).status_code == 403
    assert visitor.post("/gradio_api/upload", files={"files": ("a", b"")}, headers=headers).status_code == 403
    assert visitor.get("/config", headers=headers).status_code == 403
    assert visitor.post("/v1/scenes/ask", json={}, headers=headers).status_code == 403


def test_the_page_itself_is_let_in(visitor, address):
    assert join(visitor, RECOGNISE, [None, None], origin=address).status_code == 200


def test_files_outside_the_folder_are_not_served(visitor, own_file):
    path = upload(visitor)
    assert visitor.get(f"/gradio_api/file={path}").content.startswith(b"\x89PNG")
    for wrong in (own_file, "private.png", "/etc/passwd", f"{path}/../../../etc/passwd", "http://127.0.0.1:1/a"):
        assert visitor.get(f"/gradio_api/file={wrong}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://127.0.0.1:1/a",
        "/gradio_api/dev/reload",
        "/monitoring",
        "/gradio_api/vibe-code",
        "/login",
    ],
)
def test_gradios_other_pages_are_not_there(visitor, path):
    assert visitor.get(path).status_code in (404, 405)
    assert visitor.post(path, json={}).status_code in (404, 405)


@pytest.mark.parametrize("path", ["/gradio_api/run/handle", "/gradio_api/call/handle", "/gradio_api/api/predict"])
def test_events_come_by_the_pages_own_ways_alone(visitor, own_file, path):
    assert visitor.post(path, json={"data": [None, file_data(own_file)]}).status_code == 404


def test_an_event_beside_the_queue_is_checked_too(visitor, own_file):
    body = {"data": [None, file_data(own_file)], "fn_index": 1, "session_hash": "abc"}
    assert visitor.post("/gradio_api/run/predict", json=body).status_code == 403


GOOD = {"data": [None, None], "session_hash": "abc"}


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/run/predict"])
@pytest.mark.parametrize(
    "change",
    [
        {"fn_index": -1}, {"fn_index": 9999}, {"fn_index": "x"}, {"fn_index": None}, {"fn_index": True},
        {"session_hash": None}, {"session_hash": "a" * 100_000}, {"session_hash": ["abc"]},
        {"data": []}, {"data": {"a": 1}}, {"data": [None] * 9}, {"data": [None, 7]}, {"data": [None, {"a": 1}]},
        {"data": None},
    ],
)  # fmt: skip
def test_an_event_that_the_page_does_not_send_is_refused(visitor, caplog, path, change):
    numbers = {row["api_name"]: row["id"] for row in visitor.get("/config").json()["dependencies"]}
    answer = visitor.post(path, json=GOOD | {"fn_index": numbers[RECOGNISE]} | change)
    assert answer.status_code == 400 and "sends no such event" in answer.json()["error"]["message"]
    assert caplog.records == []


def test_every_event_of_the_page_with_a_number_for_each_input_is_no_fault(visitor):
    for row in visitor.get("/config").json()["dependencies"]:
        body = {"data": [10**200] * len(row["inputs"]), "fn_index": row["id"], "session_hash": "abc"}
        assert visitor.post("/gradio_api/run/predict", json=body).status_code < 500


def test_what_gradio_reads_beside_the_values_does_not_reach_it(visitor):
    numbers = {row["api_name"]: row["id"] for row in visitor.get("/config").json()["dependencies"]}
    extra = {"event_data": {"a": [[]]}, "trigger_id": 10**200, "batched": True, "oauth_token": "x", "simple_format": 7}
    file = file_data(upload(visitor)) | {"size": "x", "orig_name": [], "is_stream": True, "url": 7}
    body = GOOD | extra | {"fn_index": numbers[RECOGNISE], "data": [{"a": 1}, file]}
    assert visitor.post("/gradio_api/queue/join", json=body).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=%00",
        f"/gradio_api/file={'a' * 5000}",
        f"/svelte/{'a' * 5000}",
        f"/svelte/{'a' * 300}",
        "/assets/%00",
    ],
)
def test_an_address_that_is_no_file_is_refused(visitor, path):
    assert 400 <= visitor.get(path).status_code < 500


def test_what_gradio_fails_on_is_the_requests_fault(visitor):
    path = upload(visitor)
    many = {"range": "bytes=" + "0-1," * 5000}
    assert visitor.get(f"/gradio_api/file={path}", headers=many).status_code == 400
    assert visitor.post("/gradio_api/upload", files={"files": ("", b"x", "image/png")}).status_code == 400


def test_uploads_take_a_share_of_the_disk_and_no_more(address, visitor):
    answers = [
        visitor.post("/gradio_api/upload", files={"files": (f"{number}.png", bytes([number]) * 900_000)})
        for number in range(6)
    ]
    statuses = [answer.status_code for answer in answers]
    assert statuses == sorted(statuses) and set(statuses) == {200, 503}
    assert answers[-1].headers["retry-after"] and "no more may be" in answers[-1].json()["error"]["message"]
    for answer in answers:
        if answer.status_code == 200:
            Path(answer.json()[0]).unlink()  # as Gradio does after an hour
    assert upload(visitor)


@pytest.mark.parametrize("path", ["queue/join", "run/predict", "upload", "cancel", "reset"])
def test_a_body_beyond_the_limit_is_refused(visitor, path):
    headers = {"content-type": "multipart/form-data; boundary=a"}
    answer = visitor.post(f"/gradio_api/{path}", content=b"x" * 2_000_000, headers=headers)
    assert answer.status_code == 413


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 5000, b'"\\ud800"', b'{"data": [{"path": "x"}]}'])
def test_what_is_no_event_is_refused(visitor, content):
    answer = visitor.post("/gradio_api/queue/join", content=content, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500


def test_a_talk_has_an_end(visitor, scene, monkeypatch):
    monkeypatch.setattr("kyvo.serving.studio_session.MAX_SAID", 1)
    path = upload(visitor, json.dumps(scene).encode(), "scene.json")
    assert "objects" in status_after(visitor, OPEN, [None, file_data(path), None])
    assert "Answered" in status_after(visitor, SAY, [None, "How many objects are there?"])
    assert "no more may be" in status_after(visitor, SAY, [None, "How many objects are there?"])


def test_sessions_are_few():
    from kyvo.serving.studio import MAX_SESSIONS, mount_studio

    app = create_app(tiny_kyvo(), name="tiny")
    mount_studio(app)
    assert app.routes[-1].app.app.state_holder.capacity == MAX_SESSIONS

"""The endpoints, on a real server: what they answer, what they refuse and why, and that nobody's leaving hurts."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import jsonschema
import pytest
from alike import assert_alike
from starlette.testclient import TestClient

from kyvo.errors import ConfigError
from kyvo.scene.files import camera_to_json, scene_from_json
from kyvo.scene.schema import clevr_camera
from kyvo.scene.validate import json_schema
from kyvo.serving.app import create_app
from kyvo.serving.inputs import picture_of
from kyvo.serving.limits import Limits
from kyvo.serving.server import open_socket, serving
from kyvo.serving.worker import Job
from kyvo.testing import tiny_kyvo
from kyvo.tokenizers.tasks import TASKS, Segments

LIMITS = Limits()


def refused(answer, status):
    """The reason of a refusal, which has one form."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    return answer.json()["error"]["message"]


def samples(http, name, **labels):
    """The sum of a metric over the lines that have these labels."""
    lines = [line for line in http.get("/metrics").text.splitlines() if line.startswith(name)]
    return sum(float(line.split()[-1]) for line in lines if all(f'{k}="{v}"' in line for k, v in labels.items()))


def test_recognition_gives_what_the_model_gives(http, model, picture):
    answer = http.post("/v1/scenes/recognize", json={"image": picture}).json()
    scene = scene_from_json(answer["scene"])
    expected = model.recognize([picture_of(picture, LIMITS)])[0]
    assert [item.location for item in scene.objects] == [item.location for item in expected.objects]
    jsonschema.validate(answer["scene"], json_schema())


def test_a_camera_is_for_a_model_with_a_refiner(http, picture):
    camera = camera_to_json(clevr_camera(48, 32))
    answer = http.post("/v1/scenes/recognize", json={"image": picture, "camera": camera})
    assert "no refiner" in refused(answer, 422)


def test_usage_counts_the_tokens_of_the_prompt_and_the_output(http, model, scene):
    usage = http.post("/v1/scenes/render", json={"scene": scene}).json()["usage"]
    builder = model.processor.builder
    assert usage["prompt_tokens"] == len(builder.prompt(TASKS["rendering"], Segments(scene=scene_from_json(scene))))
    rows, columns = builder.image_grid
    assert usage["completion_tokens"] == rows * columns + 3  # two markers and the end
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_rendering_gives_a_picture_of_the_models_size(http, model, scene):
    answer = http.post("/v1/scenes/render", json={"scene": scene}).json()
    assert_alike(picture_of(answer["image"], LIMITS), model.render([scene_from_json(scene)])[0])


def test_rendering_draws_otherwise_with_another_seed(http, scene):
    def draw(seed):
        body = {"scene": scene, "temperature": 2.0, "seed": seed}
        return http.post("/v1/scenes/render", json=body).json()["image"]

    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(4)}) > 1


def test_editing_gives_the_scene_the_picture_and_the_difference(http, scene):
    named = " ".join(scene["objects"][0][name] for name in ("size", "color", "material", "shape"))
    body = {"scene": scene, "instruction": f"remove the {named}"}
    answer = http.post("/v1/scenes/edit", json=body).json()
    assert set(answer) == {
        "scene", "image", "diff", "changed", "removed", "added", "program", "reading", "probability", "alternatives",
        "notes", "objects", "truncated", "reason", "usage",
    }  # fmt: skip
    assert set(answer["diff"]) == {"added", "removed", "moved", "changed"}
    assert answer["removed"] == answer["objects"] == [0] and answer["program"]["op"] == "edit" and answer["reading"]
    jsonschema.validate(answer["scene"], json_schema())
    assert answer["scene"]["objects"] == scene["objects"][1:]
    assert http.post("/v1/scenes/edit", json={**body, "render": False}).json()["image"] is None


def test_an_ambiguous_or_unknown_text_is_refused_with_what_would_fit(http, scene):
    scene["objects"] = [scene["objects"][0], {**scene["objects"][0], "location": [-2.0, -2.0, 0.7]}]
    shape = scene["objects"][0]["shape"]
    answer = http.post("/v1/scenes/edit", json={"scene": scene, "instruction": f"remove the {shape}"})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["candidates"]) == ("ambiguous_reference", [0, 1])
    error = http.post("/v1/scenes/ask", json={"scene": scene, "question": "how many dogs are there"}).json()["error"]
    assert (error["code"], error["param"]) == ("unknown_word", "dogs")
    error = http.post("/v1/scenes/edit", json={"scene": scene, "instruction": "hello"}).json()["error"]
    assert error["code"] == "not_understood"


def test_a_scene_beyond_the_models_numbers_can_be_edited_and_asked_about(http, scene):
    scene["objects"][1]["location"][0] = 30.0
    named = " ".join(scene["objects"][0][name] for name in ("size", "color", "material", "shape"))
    answer = http.post("/v1/scenes/edit", json={"scene": scene, "instruction": f"remove the {named}"}).json()
    assert answer["scene"]["objects"] == scene["objects"][1:] and answer["image"] is None
    assert any("no picture was rendered" in note for note in answer["notes"])
    assert http.post("/v1/scenes/ask", json={"scene": scene, "question": "how many things"}).json()["answer"] == "2"


def test_asking_gives_what_the_model_gives(http, model, scene, picture):
    body = {"scene": scene, "question": "How many things are there?", "image": picture}
    answer = http.post("/v1/scenes/ask", json=body).json()
    assert answer["answer"] == "2" and answer["objects"] == [0, 1]
    assert answer["notes"][-1].startswith("answered from the scene; the picture")
    del body["scene"]
    found = model.ask(None, body["question"], image=picture_of(picture, LIMITS))
    assert http.post("/v1/scenes/ask", json=body).json()["answer"] == found.text


def test_the_server_says_what_runs(http):
    assert [row["id"] for row in http.get("/v1/models").json()["data"]] == ["tiny"]
    assert http.get("/health").json()["status"] == "ok"
    assert http.get("/v1/scenes/schema").json() == json_schema()


def test_metrics_count_requests_jobs_and_tokens(http, scene):
    before = samples(http, "kyvo_jobs_total", task="rendering", outcome="done")
    tokens = samples(http, "kyvo_tokens_total", kind="completion")
    usage = http.post("/v1/scenes/render", json={"scene": scene}).json()["usage"]
    assert samples(http, "kyvo_jobs_total", task="rendering", outcome="done") == before + 1
    assert samples(http, "kyvo_tokens_total", kind="completion") == tokens + usage["completion_tokens"]
    http.get("/no/such/place")
    assert samples(http, "kyvo_requests_total", path="other", status="404") >= 1


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("recognize", {}, "image: Field required"),
        ("recognize", {"image": 3}, "image: Input should be a valid string"),
        ("recognize", {"image": "AAAA", "sharpen": 1}, "sharpen: Extra inputs are not permitted"),
        ("recognize", {"image": "/etc/passwd"}, "not base64"),
        ("recognize", {"image": "http://127.0.0.1/a.png"}, "opens no URL"),
        ("recognize", {"image": "AAAA", "camera": {"focal": 1}}, "camera has focal; exactly width, height, focal"),
        ("recognize", [1], "the body: Input should be a valid dictionary"),
        ("render", {"scene": {}}, "'format' is a required property"),
        ("render", {"scene": "x"}, "scene: Input should be a valid dictionary"),
        ("ask", {"scene": {}, "question": " "}, "question: String should match"),
        ("ask", {"scene": {"format": 1}, "question": "Why?"}, "'version' is a required property"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_its_place(http, path, body, reason):
    assert reason in refused(http.post(f"/v1/scenes/{path}", json=body), 422)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "version is 2; this Kyvo reads up to 1"),
        ({"frame": "camera", "units": "m", "up_axis": "-y"}, "the schema clevr needs"),
        ({"objects": [{"color": "red"}]}, r"objects[0]"),
        ({"objects": [{}] * 10_000}, "objects has 10,000 entries; the limit is 64"),
    ],
)
def test_a_scene_that_does_not_fit_is_refused_with_its_place(http, scene, change, reason):
    assert reason in refused(http.post("/v1/scenes/render", json={"scene": scene | change}), 422)


def test_a_coordinate_that_is_no_number_is_refused(http, scene):
    scene["objects"][0]["location"][1] = float("nan")
    body = json.dumps({"scene": scene})  # Python's own JSON writes NaN
    headers = {"content-type": "application/json"}
    answer = http.post("/v1/scenes/render", content=body, headers=headers)
    assert "NaN is not a number that JSON has" in refused(answer, 400)


def test_a_coordinate_beyond_the_grid_is_refused(http, scene):
    scene["objects"][0]["location"][0] = 1e9
    assert "objects[0].location" in refused(http.post("/v1/scenes/render", json={"scene": scene}), 422)


@pytest.mark.parametrize("kind", [None, "text/plain", "multipart/form-data; boundary=x", "application/x-json", "é"])
def test_another_content_type_is_refused(http, kind):
    headers = {} if kind is None else {"content-type": kind.encode("latin-1")}
    answer = http.post("/v1/scenes/render", content=b"{}", headers=headers)
    assert "application/json is needed" in refused(answer, 415)


def test_a_compressed_body_is_refused_as_such(http):
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert "the content encoding is 'gzip'" in refused(
        http.post("/v1/scenes/render", content=b"{}", headers=headers), 415
    )


def test_a_body_beyond_the_limit_is_refused_announced_or_not(http):
    body = b'{"image": "' + b"A" * 2**20 + b'"}'
    headers = {"content-type": "application/json"}
    assert "larger than 1,048,576 bytes" in refused(
        http.post("/v1/scenes/recognize", content=body, headers=headers), 413
    )
    pieces = (body[start : start + 2**16] for start in range(0, len(body), 2**16))
    assert "larger than" in refused(http.post("/v1/scenes/recognize", content=pieces, headers=headers), 413)


def test_a_body_that_does_not_come_is_given_up(raw):
    head = b"POST /v1/scenes/render HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 99\r\n"
    assert b" 408 " in raw(head + b"\r\n{").recv(1000)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/scenes/render"), ("DELETE", "/v1/models"), ("GET", "/nothing")]
)
def test_other_methods_and_paths_are_refused_in_the_same_form(http, method, path):
    refused(http.request(method, path), 404 if path == "/nothing" else 405)


def test_a_name_that_is_not_the_servers_own_is_refused(http):
    answer = http.get("/v1/models", headers={"host": "kyvo.example.org"})
    assert "this server is called 127.0.0.1" in refused(answer, 403)


def test_with_a_key_nobody_comes_in_without_it():
    with TestClient(create_app(tiny_kyvo(), name="tiny", api_key="sesame"), base_url="http://127.0.0.1") as client:
        assert client.get("/health").status_code == 200
        assert "an API key is needed" in refused(client.get("/v1/models"), 401)
        for wrong in ("Bearer open", "Basic sesame", "Bearer s\u00e9same", "Bearer"):
            refused(client.get("/metrics", headers={"authorization": wrong.encode("latin-1")}), 401)
        refused(client.post("/v1/scenes/render", content=b"x" * 100), 401)
        assert client.get("/v1/models", headers={"authorization": "Bearer sesame"}).status_code == 200


def test_a_port_that_is_taken_is_told(url):
    with pytest.raises(ConfigError, match=r"port \d+ of 127.0.0.1 cannot be had .*0 for any"):
        open_socket("127.0.0.1", int(url.rpartition(":")[2]))


class Held:
    """A job that has the worker until it is let go."""

    def __init__(self, app):
        begun, self.release = threading.Event(), threading.Event()

        def work(run):
            begun.set()
            self.release.wait(60)

        self.ticket = app.state.worker.submit(Job(task="question_answering", work=work))
        assert begun.wait(60)


def test_a_full_queue_answers_429_and_says_when_to_come_again(scene):
    app = create_app(tiny_kyvo(), name="tiny", limits=Limits(jobs=1))
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        held = Held(app)
        answer = http.post("/v1/scenes/render", json={"scene": scene})
        assert "jobs are waiting" in refused(answer, 429)
        assert int(answer.headers["retry-after"]) >= 1
        held.release.set()
        held.ticket.future.result()
        assert http.post("/v1/scenes/render", json={"scene": scene}).status_code == 200


def test_a_job_beyond_its_time_answers_503(scene):
    app = create_app(tiny_kyvo(), name="tiny", limits=Limits(parallel=1, seconds=0.5))
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        held = Held(app)
        threading.Timer(1.0, held.release.set).start()
        assert "no answer in time" in refused(http.post("/v1/scenes/render", json={"scene": scene}), 503)


def test_a_client_that_leaves_ends_its_job(scene):
    app = create_app(tiny_kyvo(), name="tiny", limits=Limits(parallel=1))
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        held = Held(app)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/scenes/render", json={"scene": scene}, timeout=1.0)
        while not samples(http, "kyvo_requests_total", path="/v1/scenes/render", status="499"):
            time.sleep(0.05)
        held.release.set()
        held.ticket.future.result()
        while not samples(http, "kyvo_jobs_total", task="rendering", outcome="cancelled"):
            time.sleep(0.05)
        assert samples(http, "kyvo_jobs_total", task="rendering", outcome="done") == 0


def test_a_server_that_is_stopped_finishes_what_it_has(scene):
    app = create_app(tiny_kyvo(), name="tiny", limits=Limits(parallel=1))
    with ThreadPoolExecutor(1) as pool:
        with serving(app) as url:
            held = Held(app)
            asked = pool.submit(httpx.post, f"{url}/v1/scenes/render", json={"scene": scene}, timeout=60)
            while not app.state.worker.num_waiting:
                time.sleep(0.01)
            threading.Timer(0.5, held.release.set).start()
        assert asked.result().status_code == 200
    assert not app.state.worker.accepts

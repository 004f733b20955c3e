"""Objects over HTTP: jobs with progress, the same files as the command writes, and what is refused."""

import base64
import io
import time

import httpx
import numpy as np
import pytest
from long_jobs import ended
from PIL import Image
from tiny_generators import tiny_generator, write_tiny_pipeline
from tiny_shapes import write_box

from kyvo.cli.main import run
from kyvo.models.slat.latent import StructuredLatent
from kyvo.serving.app import create_app
from kyvo.serving.inputs import data_uri
from kyvo.serving.limits import Limits
from kyvo.serving.object_jobs import ObjectRequest
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

FORMATS = ["glb", "ply", "html", "gaussians", "latent", "video-sheet"]
FILES = ["object-0.glb", "object-0.ply", "object-0.html", "object-0.gaussians.ply", "object-0.npz", "object.png"]


@pytest.fixture(scope="module")
def app():
    limits = Limits(megapixels=1.0, object_count=2, object_jobs=2, mesh_seconds=30)
    return create_app(tiny_kyvo(objects=tiny_generator()), name="tiny", limits=limits)


@pytest.fixture(scope="module")
def http(app):
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return write_tiny_pipeline(tmp_path_factory.mktemp("objects") / "tiny")


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    path = tmp_path_factory.mktemp("box") / "box.glb"
    write_box(path)
    return path


def encoded(path, **about):
    return {
        "format": path.suffix[1:].replace("npz", "latent"),
        "data": base64.b64encode(path.read_bytes()).decode(),
    } | about


def failed(http, task, **body):
    status = ended(http, http.post(f"/v1/objects/{task}", json={"text": "a red chair", **body}))
    assert status["status"] == "failed" and status["files"] == []
    return status["error"]


def refused(http, task, **body):
    answer = http.post(f"/v1/objects/{task}", json=body)
    assert answer.status_code == 422, answer.text
    return answer.json()["error"]["message"]


def same_as_command(http, status, command, tmp_path):
    """Whether a job's files are those that a command writes, byte for byte."""
    for format, name, file in zip(FORMATS, FILES, status["files"], strict=True):
        assert file["name"] == name
        with pytest.raises(SystemExit) as stopped:
            run([*command, "--format", format, "--out", str(tmp_path / name)])
        assert not stopped.value.code
        assert http.get(file["path"]).content == (tmp_path / name).read_bytes()


@pytest.mark.slow
def test_a_text_gives_the_files_that_the_command_writes(http, pipeline, tmp_path):
    body = {"text": "a red chair of gold", "seed": 3, "formats": FORMATS}
    status = ended(http, http.post("/v1/objects/generate", json=body))
    assert status["error"] is None and status["seconds"] > 0
    assert status["objects"][0]["warnings"] == ["words that the model has never seen: of, gold"]
    command = ["generate", "object", body["text"], "--seed", "3", "--model", str(pipeline)]
    same_as_command(http, status, command, tmp_path)


@pytest.mark.slow  # each mesh is read by a process of its own
def test_a_variant_and_a_region_of_a_mesh_are_those_of_the_command(http, pipeline, box, tmp_path):
    body = {"object": encoded(box), "text": "a blue chair", "seed": 1, "formats": ["glb"]}
    command = ["--text", "a blue chair", "--seed", "1", "--model", str(pipeline)]
    half = tmp_path / "half.glb"
    write_box(half, center=(1, 0, 0))
    for task, more, options in (
        ("variant", {"count": 2}, ["--count", "2"]),
        ("region", {"mask": encoded(half)}, ["--mask", str(half)]),
    ):
        status = ended(http, http.post(f"/v1/objects/{task}", json=body | more))
        assert status["error"] is None
        with pytest.raises(SystemExit):
            run(["generate", task, str(box), *command, *options, "--out", str(tmp_path / f"{task}.glb")])
        for number, file in enumerate(status["files"]):
            name = f"{task}-{number}.glb" if task == "variant" else f"{task}.glb"
            assert http.get(file["path"]).content == (tmp_path / name).read_bytes()


@pytest.mark.slow
def test_a_latent_that_a_job_gave_is_changed_by_the_next(http, tmp_path):
    status = ended(http, http.post("/v1/objects/generate", json={"text": "a chair", "formats": ["latent"]}))
    path = tmp_path / "made.npz"
    path.write_bytes(http.get(status["files"][0]["path"]).content)
    body = {"object": encoded(path), "text": "a red chair", "formats": ["latent"]}
    status = ended(http, http.post("/v1/objects/variant", json=body))
    (tmp_path / "varied.npz").write_bytes(http.get(status["files"][0]["path"]).content)
    before, after = (StructuredLatent.load(tmp_path / name, resolution=16) for name in ("made.npz", "varied.npz"))
    assert (before.coords == after.coords).all() and not (before.feats == after.feats).all()


@pytest.mark.slow
def test_a_picture_with_a_mask(http):
    pixels = np.random.default_rng(0).integers(256, size=(40, 60, 3), dtype=np.uint8)
    mask = np.zeros_like(pixels)
    mask[10:30, 20:40] = 255
    assert "its background is not plain" in refused(http, "generate", image=data_uri(pixels))
    body = {"image": data_uri(pixels), "image_mask": data_uri(mask)}
    assert ended(http, http.post("/v1/objects/generate", json=body))["status"] == "done"
    assert "a mask has its picture's size" in refused(
        http, "generate", image=data_uri(pixels), image_mask=data_uri(mask[:20])
    )
    assert "shows no object" in refused(http, "generate", image=data_uri(pixels), image_mask=data_uri(0 * mask))
    large = io.BytesIO()
    Image.new("RGB", (8000, 8000)).save(large, "PNG")
    assert "64 megapixels" in refused(http, "generate", image=base64.b64encode(large.getvalue()).decode())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "give a text or an image"),
        ({"text": "a chair", "image": "AAAA"}, "give a text or an image"),
        ({"text": " "}, "text"),
        ({"text": "a chair", "image_mask": "AAAA"}, "no image is given"),
        ({"text": "a chair", "count": 3}, "the limit is 2"),
        ({"text": "a chair", "formats": []}, "formats"),
        ({"text": "a chair", "formats": ["obj"]}, "formats"),
        ({"text": "a chair", "out": "/tmp/x.glb"}, "out"),
        ({"image": "https://example.org/chair.png"}, "opens no URL"),
        ({"text": "a" * 3000}, "the limit is 2,000"),
    ],
)
def test_what_no_job_can_be_made_of_is_refused_at_once(http, body, reason):
    assert reason in refused(http, "generate", **body)


def test_texts_that_the_encoder_cannot_take_fail(http):
    assert "encoder" in failed(http, "generate", text="chair " * 78)
    assert "never seen" in failed(http, "generate", text="qwertz")


@pytest.mark.slow
def test_what_a_mesh_or_a_region_lacks_is_said(http, box, tmp_path):
    (tmp_path / "cut.glb").write_bytes(box.read_bytes()[:200])
    assert "the object.glb is not a readable" in failed(http, "variant", object=encoded(tmp_path / "cut.glb"))
    sent = {"object": encoded(box)}
    assert "neither empty nor all" in failed(http, "region", **sent, box=[-1, -1, -1, 1, 1, 1])
    assert "a box or a mask" in refused(http, "region", **sent, text="a chair")
    assert "not base64" in refused(http, "variant", text="a chair", object={"format": "glb", "data": "%"})


def test_jobs_take_turns_are_limited_cancelled_and_forgotten(http, app, monkeypatch):
    import kyvo.serving.object_jobs as object_jobs

    def wait(request, found, generator, run, job):
        while True:
            run.check()
            time.sleep(0.01)

    monkeypatch.setattr(object_jobs, "make_objects", wait)
    first, second = (http.post("/v1/objects/generate", json={"text": "a chair"}).json() for _ in range(2))
    full = http.post("/v1/objects/generate", json={"text": "a chair"})
    assert full.status_code == 429 and int(full.headers["retry-after"]) >= 1
    time.sleep(0.2)
    assert http.get(first["path"]).json()["status"] == "running"
    assert http.get(second["path"]).json()["status"] == "waiting"
    assert http.delete(second["path"]).status_code == 204
    third = http.post("/v1/objects/generate", json={"text": "a chair"})  # there is room at once
    assert third.status_code == 202
    for path in (first["path"], third.json()["path"]):
        assert http.delete(path).status_code == 204
        assert http.get(path).status_code == 404
    monkeypatch.undo()
    assert ended(http, http.post("/v1/objects/generate", json={"text": "a chair"}))["status"] == "done"


def test_results_go_where_they_take_more_than_they_may(app, http, monkeypatch):
    jobs = app.state.long_jobs
    monkeypatch.setattr(jobs.worker, "limits", Limits(object_results=1, object_jobs=2))
    status = ended_or_gone(http, http.post("/v1/objects/generate", json={"text": "a chair"}))
    assert status == 404
    assert ObjectRequest(text="a chair").task == "object"


def ended_or_gone(http, answer):
    for _ in range(3000):
        found = http.get(answer.json()["path"])
        if found.status_code == 404 or found.json()["status"] == "done":
            return found.status_code
        time.sleep(0.05)
    return None


def test_a_server_without_a_generator_says_so():
    with serving(create_app(tiny_kyvo(objects="none_of_this_name"), name="tiny")) as url:
        answer = httpx.post(f"{url}/v1/objects/generate", json={"text": "a chair"})
        assert answer.status_code == 501
        assert "start it with --objects FOLDER" in answer.json()["error"]["message"]

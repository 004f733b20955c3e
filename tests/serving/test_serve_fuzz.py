"""Requests that nobody meant: each is answered below 500, in the one form, and the server is there afterwards.

The default run makes some dozens; `-m slow` the ten thousand.
"""

import json
import subprocess
import sys

import httpx
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

PATHS = ("/v1/chat/completions", *(f"/v1/scenes/{name}" for name in ("recognize", "render", "edit", "ask")))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
RELAXED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
FEW, MANY = 6, 300  # examples of an operation
GROWTH = 64 * 2**20  # bytes that memory may grow by over the many

numbers = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(10**400), 10**400)
leaves = st.none() | st.booleans() | numbers | st.text(max_size=30)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = ("application/json", "application/json; charset=utf-16", "text/plain")


def answered(http, path, content, kind="application/json"):
    answer = http.post(path, content=content, headers={"content-type": kind})
    assert answer.status_code < 500, (answer.status_code, answer.text, content)
    if answer.status_code >= 400:
        assert answer.json()["error"]["message"], content
    return answer.status_code


@st.composite
def spoilt(draw, body):
    """A body that fits, with one of its values replaced, taken out, doubled or joined by another."""
    body = json.loads(json.dumps(body))
    node, places = body, []
    while isinstance(node, dict | list) and node:
        key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        places.append((node, key))
        if draw(st.booleans()):
            break
        node = node[key]
    node, key = draw(st.sampled_from(places))
    match draw(st.integers(0, 3)):
        case 0:
            node[key] = draw(trees)
        case 1:
            del node[key]
        case 2 if isinstance(node, list):
            node.insert(key, draw(trees))
        case 2:
            node[draw(st.text(max_size=8))] = draw(trees)
        case _:
            node[key] = [node[key]] * draw(st.integers(0, 200))
    return body


def bodies(scene, picture):
    parts = [{"type": "scene", "scene": scene}, {"type": "text", "text": "How many?"}]
    return {
        "/v1/chat/completions": {"model": "tiny", "messages": [{"role": "user", "content": parts}], "max_tokens": 40},
        "/v1/scenes/recognize": {"image": picture},
        "/v1/scenes/render": {"scene": scene, "temperature": 1.0, "seed": 3},
        "/v1/scenes/edit": {"scene": scene, "instruction": "Remove it.", "image": picture},
        "/v1/scenes/ask": {"scene": scene, "question": "How many?", "image": picture},
    }


def spoil(http, path, scene, picture, count):
    """Sends `count` spoilt bodies; how each was answered."""
    seen = []

    @settings(max_examples=count, deadline=None, suppress_health_check=RELAXED, database=None)
    @given(spoilt(bodies(scene, picture)[path]))
    def run(body):
        seen.append(answered(http, path, json.dumps(body).encode()))

    run()
    return seen


def send_bytes(http, path, count):
    @settings(max_examples=count, deadline=None, suppress_health_check=RELAXED, database=None)
    @given(
        st.binary(max_size=300), st.sampled_from(["application/json", "application/json; charset=utf-16", "text/plain"])
    )
    def run(content, kind):
        assert answered(http, path, content, kind) in (400, 413, 415, 422)

    run()


@pytest.mark.parametrize("path", PATHS)
def test_a_spoilt_request_is_refused_or_answered(http, scene, picture, path):
    seen = spoil(http, path, scene, picture, 3 * FEW)
    assert any(400 <= status < 500 for status in seen)
    assert http.get("/health").json()["running"] == 0


@pytest.mark.parametrize("path", PATHS)
def test_bytes_that_are_no_request_are_refused(http, path):
    send_bytes(http, path, FEW)


def call_as_described(url, path, count):
    """Sends what the OpenAPI description allows, and what it forbids, in equal parts."""
    operation = schemathesis.openapi.from_url(f"{url}/openapi.json")[path]["POST"]
    allowed, forbidden = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(allowed | forbidden)
    def run(case):
        case.call_and_validate(checks=CHECKS)

    run()


@pytest.mark.parametrize("path", PATHS)
def test_the_api_keeps_to_its_description(url, path):
    call_as_described(url, path, FEW)


SERVER = """
import sys
from kyvo.serving.app import create_app
from kyvo.serving.limits import Limits
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

app = create_app(tiny_kyvo(), name="tiny", limits=Limits(body=2**20, body_seconds=1.0, megapixels=1.0, text=200))
with serving(app) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def apart():
    """The address of a server in a process of its own, and that process: what tests remember is not the server's."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        yield run.stdout.readline().strip(), psutil.Process(run.pid)
        run.stdin.close()
        run.wait(60)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("path", PATHS)
def test_many_malformed_requests_leave_the_server_as_it_was(apart, scene, picture, path):
    url, server = apart
    with httpx.Client(base_url=url, timeout=60) as http:
        spoil(http, path, scene, picture, MANY // 5)  # warms up
        call_as_described(url, path, MANY // 20)
        before = server.memory_info().rss
        spoil(http, path, scene, picture, MANY)
        send_bytes(http, path, MANY // 5)
        call_as_described(url, path, MANY)
        assert server.memory_info().rss - before < GROWTH
        assert http.get("/health").json()["running"] == http.get("/health").json()["waiting"] == 0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_clients_that_leave_in_the_middle_leave_nothing_behind(http, raw, scene, share):
    body = json.dumps({"scene": scene}).encode()
    head = b"POST /v1/scenes/render HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: "
    request = head + str(len(body)).encode() + b"\r\n\r\n" + body
    for _ in range(5):
        raw(request[: round(len(request) * share)]).close()
    assert http.post("/v1/scenes/render", json={"scene": scene}).status_code == 200


@pytest.mark.parametrize(
    "content",
    [b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"\0" * 99],
)
def test_what_is_no_http_hurts_nobody(http, raw, content):
    raw(content)
    assert http.get("/health").status_code == 200

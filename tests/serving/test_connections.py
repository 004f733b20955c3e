"""Connections that never say anything, or too slowly, or take no answer: they end, and others are served meanwhile."""

import contextlib
import logging
import socket
import subprocess
import sys
import time

import httpx
import pytest

from kyvo.serving.app import create_app
from kyvo.serving.connections import RateLimitFilter, num_connections
from kyvo.serving.limits import Limits
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

LIMITS = Limits(head_seconds=0.5, body_seconds=0.5, connections=20)
GET = b"GET /health HTTP/1.1\r\nHost: HOST\r\n\r\n"


@pytest.fixture(scope="module")
def url():
    with serving(create_app(tiny_kyvo(), name="tiny", limits=LIMITS)) as address:
        yield address


def ends_within(connection, seconds, every=None):
    """Whether the server closes it in time; meanwhile `every` is sent again and again."""
    end = time.monotonic() + seconds
    connection.settimeout(0.05)
    while time.monotonic() < end:
        try:
            if every is not None:
                connection.sendall(every)
            if connection.recv(2**16) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_a_silent_connection_is_closed(raw):
    assert ends_within(raw(), 3)


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(raw):
    assert ends_within(raw(b"GET / HTTP/1.1\r\nHost: HOST\r\nX: "), 3, every=b"x")


def test_neither_is_the_head_of_a_second_request(raw):
    connection = raw(GET)
    assert connection.recv(2**16).startswith(b"HTTP/1.1 200")
    assert ends_within(connection, 3, every=b"G")


def test_nor_the_rest_of_a_body_that_was_refused(raw):
    head = b"POST /v1/scenes/ask HTTP/1.1\r\nHost: HOST\r\nContent-Type: text/plain\r\nContent-Length: 9999\r\n\r\n"
    assert ends_within(raw(head), 3, every=b"x")


def test_a_client_that_takes_no_answer_is_left(raw):
    connection = raw()
    connection.setblocking(False)
    port, end = connection.getpeername()[1], time.monotonic() + 20
    while time.monotonic() < end:
        try:
            connection.send(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port)
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            return
    pytest.fail("the server still waits for it")


def test_a_connection_that_is_kept_serves_one_request_after_another(raw):
    connection = raw()
    for _ in range(3):
        connection.sendall(GET.replace(b"HOST", b"127.0.0.1:%d" % connection.getpeername()[1]))
        said = b""
        while not said.endswith(b"}"):
            said += connection.recv(2**16)
        assert said.startswith(b"HTTP/1.1 200")
        time.sleep(0.2)


def test_requests_sent_together_are_all_answered(raw):
    connection = raw(GET * 5)
    said = b""
    while said.count(b"HTTP/1.1 200") < 5:
        said += connection.recv(2**16)


def test_beyond_the_limit_the_one_that_waited_longest_makes_room(raw, url):
    first, *others = [raw() for _ in range(30)]
    assert ends_within(first, 0.4)
    start = time.perf_counter()
    assert httpx.get(f"{url}/health", timeout=10).status_code == 200
    assert time.perf_counter() - start < 1
    assert not ends_within(others[-1], 0.05)


def test_slow_bodies_make_room_as_silent_connections_do():
    limits = Limits(connections=20, body_seconds=60, head_seconds=60)
    head = b"POST /v1/scenes/ask HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"
    with (
        serving(create_app(tiny_kyvo(), name="tiny", limits=limits), patience=1) as url,
        contextlib.ExitStack() as stack,
    ):
        place = url.removeprefix("http://")
        host, _, port = place.partition(":")
        for _ in range(30):
            slow = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            slow.sendall(head % place.encode())
        for _ in range(5):
            assert httpx.get(f"{url}/health", timeout=10).status_code == 200


SERVER = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from kyvo.serving.app import create_app
from kyvo.serving.limits import Limits
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo
with serving(create_app(tiny_kyvo(), name="tiny", limits=Limits(head_seconds=1.0))) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_three_hundred_silent_connections_do_not_end_the_service(tmp_path):
    log = tmp_path / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as run,
    ):
        url = run.stdout.readline().strip()
        host, _, port = url.removeprefix("http://").partition(":")
        silent = [socket.create_connection((host, int(port)), timeout=10) for _ in range(300)]
        waits = []
        for _ in range(5):
            start = time.perf_counter()
            assert httpx.get(f"{url}/health", timeout=10).status_code == 200
            waits.append(time.perf_counter() - start)
        for connection in silent:
            connection.close()
        run.stdin.close()
        run.wait(60)
    assert max(waits) < 2
    assert log.stat().st_size < 100_000


def test_the_limit_of_connections_fits_the_files_that_may_be_open(monkeypatch):
    import resource

    assert num_connections(LIMITS) == 20
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    assert num_connections(Limits()) == 128


def test_a_log_of_many_records_is_thinned():
    sparse = RateLimitFilter(most=3, period=0.2)
    record = logging.LogRecord("a", logging.WARNING, "", 1, "Invalid %s.", ("request",), None)
    assert [sparse.filter(record) for _ in range(10)] == [True] * 3 + [False] * 7
    time.sleep(0.25)
    assert sparse.filter(record) and record.getMessage() == "Invalid request. (7 records before were not written)"


def test_garbage_is_logged_sparsely(raw, caplog):
    logging.getLogger("uvicorn.error").propagate = True
    for _ in range(60):
        raw(b"GARBAGE\r\n\r\n").close()
    time.sleep(0.3)
    assert sum("Invalid HTTP request" in record.message for record in caplog.records) <= 20

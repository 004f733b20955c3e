"""One tiny real model for all tests of the server, and one server over it, with limits that tests can reach."""

import json
import socket
from pathlib import Path

import httpx
import numpy as np
import pytest

from kyvo.serving.app import create_app
from kyvo.serving.inputs import data_uri
from kyvo.serving.limits import Limits
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

SAMPLES = Path(__file__).resolve().parents[2] / "kyvo" / "assets" / "samples"


@pytest.fixture(scope="session")
def model():
    return tiny_kyvo()


@pytest.fixture(scope="session")
def app(model):
    return create_app(model, name="tiny", limits=Limits(body=2**20, body_seconds=1.0, megapixels=1.0, text=200))


@pytest.fixture(scope="session")
def url(app):
    with serving(app) as address:
        yield address


@pytest.fixture(scope="session")
def http(url):
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def picture():
    """A data URI of noise."""
    return data_uri(np.random.default_rng(0).integers(256, size=(32, 48, 3), dtype=np.uint8))


@pytest.fixture
def scene():
    """Scene JSON of a few objects."""
    data = json.loads((SAMPLES / "clevr_0.json").read_text())
    data["objects"] = data["objects"][:2]
    return data


@pytest.fixture
def raw(url):
    """`raw(bytes)`: a connection on which these were sent; `HOST` in them becomes the server's own."""
    host, _, port = url.removeprefix("http://").partition(":")
    opened = []

    def send(content: bytes = b"") -> socket.socket:
        connection = socket.create_connection((host, int(port)), timeout=10)
        opened.append(connection)
        connection.sendall(content.replace(b"HOST", f"{host}:{port}".encode()))
        return connection

    yield send
    for connection in opened:
        connection.close()

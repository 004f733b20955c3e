"""`kyvo serve` and `kyvo studio`: what they refuse before a model is loaded, and a server from start to SIGTERM."""

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from kyvo.cli.main import run
from kyvo.cli.serve import model_name


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        run(arguments)
    return left.value.code, " ".join(capsys.readouterr().err.split())


def test_another_address_needs_a_key(capsys, monkeypatch):
    monkeypatch.delenv("KYVO_API_KEY", raising=False)
    code, said = refused(["serve", "--host", "0.0.0.0"], capsys)
    assert code == 2 and "at 0.0.0.0 others can reach the server; set a key by --api-key or KYVO_API_KEY" in said


@pytest.mark.parametrize("command", ["serve", "studio"])
def test_a_port_that_is_taken_is_told(command, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = refused([command, "--port", str(taken.getsockname()[1])], capsys)
    assert code == 2 and "cannot be had" in said and "0 for any" in said


def test_without_gradio_the_studio_says_how_to_install_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, said = refused(["studio"], capsys)
    assert code == 1 and 'pip install "kyvo[studio]"' in said


def test_a_model_is_called_by_its_name_or_its_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_name("mini") == "mini"
    assert model_name(str(tmp_path / "mine")) == model_name("mine/") == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_server_answers_and_stops_when_told(kind):
    code = "from kyvo.cli.main import run; run()"
    command = [sys.executable, "-c", code, "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as server:
        url = server.stdout.readline().strip()
        while True:
            try:
                assert httpx.get(f"{url}/models", timeout=120).json()["data"][0]["id"] == "mini"
                break
            except httpx.ConnectError:
                assert server.poll() is None
        server.send_signal(kind)
        _, said = server.communicate(timeout=60)
    assert "Traceback" not in said
    assert server.returncode in (0, -kind)

"""docs/exports.md: its commands and its Python run, its formats are those there are, its links lead somewhere."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.export.formats import FORMATS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8")


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder as the page has it: a scene, its picture, and a prediction of it."""
    samples = ROOT / "kyvo" / "assets" / "samples"
    for name in ("clevr_0.json", "clevr_0.png"):
        shutil.copy(samples / name, tmp_path)
    shutil.copy(samples / "clevr_1.json", tmp_path / "predicted.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_runs_and_writes_its_file(folder):
    for line in block("bash").splitlines():
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output)
    for name in ("clevr_0.glb", "clevr_0.html", "clevr_0.py", "above.png", "compared.png"):
        assert (folder / name).stat().st_size > 1000


def test_its_python_runs(folder):
    exec(compile(block("python"), "docs/exports.md", "exec"), {})
    assert (folder / "room.glb").read_bytes()[:4] == b"glTF"


def test_the_table_has_every_format_and_ending():
    rows = dict.fromkeys(FORMATS, "")
    for line in re.findall(r"^\| `\w+` \| `\..*$", PAGE, re.MULTILINE):
        rows[re.match(r"\| `(\w+)`", line)[1]] += line
    for name, row in FORMATS.items():
        for suffix in row.suffixes:
            assert f"`{suffix}`" in rows[name] or suffix == ".htm", (name, suffix)


def test_every_local_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target

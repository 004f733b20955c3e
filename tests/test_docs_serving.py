"""docs/serving.md: its commands are commands, its Python runs against a server, its tables are those of the code."""

import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.serving.app import create_app
from kyvo.serving.chat import task_of
from kyvo.serving.limits import Limits
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo
from kyvo.tokenizers.picture_headers import MAX_SCANS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_command_and_option_is_there():
    commands = [shlex.split(line)[1:] for block in blocks("bash") for line in block.splitlines() if "kyvo " in line]
    for arguments in (words for words in commands if words[0] != "install"):
        result = CliRunner().invoke(app, [*arguments, "--help"])
        assert result.exit_code == 0, result.output
    said = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    for option in re.findall(r"^\| `(--[\w-]+)`", PAGE, re.MULTILINE):
        assert option in said


def test_its_python_runs_against_a_server(tmp_path, monkeypatch):
    shutil.copy(ROOT / "kyvo" / "assets" / "samples" / "clevr_0.png", tmp_path)
    monkeypatch.chdir(tmp_path)
    names = {}
    with serving(create_app(tiny_kyvo(), name="mini")) as url:
        for block in blocks("python"):
            exec(compile(block.replace("http://127.0.0.1:8000", url), "docs/serving.md", "exec"), names)
    assert names["after"]["format"] == "kyvo-scene" and names["drawn"].startswith("data:image/png;base64,")
    assert names["answer"]["image"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("has_picture", "has_scene", "text", "task"),
    [
        (True, False, "", "recognition"),
        *(
            (True, False, word, "recognition")
            for word in ("describe", "scene", "recognise", "detect", "extract", "JSON")
        ),
        (False, True, "", "rendering"),
        *((False, True, f"{word} it", "rendering") for word in ("render", "draw", "show")),
        (False, True, "How many cubes are there?", "dialogue"),
        (True, True, "Remove the large cube.", "dialogue"),
    ],
)
def test_the_table_of_tasks_is_the_rule(has_picture, has_scene, text, task):
    assert task_of(text, has_picture=has_picture, has_scene=has_scene) == task


def test_the_limits_are_those_of_the_code():
    limits = Limits()
    for shown in (
        f"{limits.body // 2**20} MiB a request, which must arrive within {limits.body_seconds:g} s",
        f"{limits.megapixels:g}, read from a picture's header",
        f"{limits.objects} in a scene",
        f"{limits.text:,} characters",
        f"{limits.jobs} jobs taken",
        f"{limits.seconds:g} s for an answer",
        f"at most {limits.values:,} values in {limits.depth} levels",
        f"{limits.memory // 2**20} MiB for the bodies",
        f"{limits.connections} connections open",
        f"head must arrive within {limits.head_seconds:g} s",
        f"of its answer for {limits.body_seconds:g} s",
        f"which has {limits.picture_seconds:g} s",
        f"may have {MAX_SCANS} scans",
        f"at most {limits.uploads // 2**30} GiB of the disk",
        f"At most {limits.object_jobs} wait or run",
        f"may take {limits.object_seconds:g} s, with waiting, and make {limits.object_count} objects",
        f"with {limits.mesh_seconds:g} s of the processor and {limits.mesh_memory // 2**30} GiB",
        f"at most {limits.object_results // 2**20} MiB of them",
        f"All masks of a picture have at most {limits.mask_megapixels:g} megapixels",
    ):
        assert shown in " ".join(PAGE.split())
    assert {entry.name for entry in fields(Limits)} == {
        "body", "memory", "body_seconds", "values", "depth", "megapixels", "picture_seconds", "objects", "text", "jobs",
        "parallel", "seconds", "connections", "head_seconds", "uploads",
        "object_jobs", "object_count", "object_seconds", "object_results", "mesh_seconds", "mesh_memory",
        "mask_megapixels",
    }  # fmt: skip


def test_every_local_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target

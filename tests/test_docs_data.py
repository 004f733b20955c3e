"""docs/data.md: its commands exist, its columns and files are those that there are, its line makes its sets."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.data.configs import KINDS
from kyvo.data.dataset import open_set
from kyvo.shapes.object_sets import ObjectSet

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def test_every_command_has_help_and_every_kind_is_named():
    commands = set(re.findall(r"kyvo data ([a-z0-9]+)", PAGE))
    assert set(KINDS) <= commands
    for command in commands:
        assert CliRunner().invoke(app, ["data", command, "--help"]).exit_code == 0, command


def test_the_columns_are_those_of_the_sets():
    table = PAGE[PAGE.index("| kind | further columns |") :].split("\n\n")[0]
    kinds_of_sets = {**KINDS, ObjectSet.kind: ObjectSet}
    for line in table.splitlines()[2:]:
        kinds, columns = line.strip("|").split("|")
        for kind in re.findall(r"`(\w+)`", kinds):
            further = set(kinds_of_sets[kind].features) - (set() if kind == "release" else {"image", "scene", "name"})
            named = set(re.findall(r"`(\w+)`", columns))
            assert further <= named, kind
            if not further:
                assert not named, kind


def test_the_configs_are_those_there_are():
    assert set(re.findall(r"`(\w+\.yaml)`", PAGE)) == {path.name for path in (ROOT / "configs" / "data").glob("*.yaml")}


@pytest.mark.slow
def test_the_line_that_makes_edits_and_questions_makes_them(tmp_path):
    line = re.search(r"^for kind in .*$", PAGE, re.MULTILINE)[0]
    assert line.count("--count 1000") == line.count("--size 128") == 1
    line = line.replace("--count 1000", "--count 2").replace("--size 128", "--size 32")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-euc", line], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True, timeout=280)
    for kind in ("clevr", "edits", "questions"):
        assert len(open_set(tmp_path / "data" / kind)) == 2


def test_every_local_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target

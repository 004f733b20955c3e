"""docs/evaluation.md: its Python runs, its commands and options exist, its criteria are those of the code."""

import re
from pathlib import Path

import pytest
import typer.main

from kyvo.cli.main import app
from kyvo.metrics.scenes import CRITERIA

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "evaluation.md").read_text()


def test_the_python_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile(code, "docs/evaluation.md", "exec"), {})
    assert (tmp_path / "results.json").is_file()


def test_every_command_of_the_page_parses():
    group = typer.main.get_command(app).commands["evaluate"]
    lines = re.findall(r"^kyvo evaluate (\w+) (.*)$", PAGE, re.MULTILINE)
    assert len(lines) >= 6
    for name, arguments in lines:
        known = {option for parameter in group.commands[name].params for option in parameter.opts}
        assert set(re.findall(r"(--[\w-]+)", arguments)) <= known, name


@pytest.mark.parametrize("name", list(CRITERIA))
def test_the_table_of_criteria_is_that_of_the_code(name):
    row = re.search(rf"^\| `{name}` \| (.*?) ?\| (.*?) ?\| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    equal, near, axes, taus = row.groups()
    criterion = CRITERIA[name]
    assert equal == ", ".join(criterion.attributes)
    assert axes == ", ".join("xyz"[axis] for axis in criterion.axes)
    assert taus == ", ".join(f"{tau:g}" for tau in criterion.taus)
    assert sorted(float(limit) for limit in re.findall(r"(?:within|most) ([\d.]+)", near)) == sorted(
        entry.limit for entry in criterion.near
    )

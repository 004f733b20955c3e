"""docs/programs.md: its Python runs and prints what it says, its tables name every node."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from kyvo.programs.program import Edit, Query
from kyvo.programs.structure import node_types

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "programs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_its_python_prints_what_it_says():
    code, said = "\n".join(BLOCKS), StringIO()
    with redirect_stdout(said):
        exec(compile(code, "docs/programs.md", "exec"), {})
    expected = re.findall(r"^ *print\(.*?\)  # (.*)$", code, re.MULTILINE)
    got = said.getvalue().splitlines()
    assert got == expected


def test_its_table_names_every_node():
    table = PAGE.split("## The language")[1].split("##")[0]
    named = set(re.findall(r"`(\w+)`", table))
    assert {node.__name__ for node in node_types().values()} <= named | {"Case"}
    assert {Query.__name__, Edit.__name__} <= named

"""eval/mutation.py: what it changes, and that it tells tests that notice from tests that do not."""

import ast
import json
import sys

import loading
import pytest

CODE = '''"""A module."""


def larger(a: int, b: int = 2) -> int:
    """Of two."""
    if a > b and not a == 7:
        return a
    return b if b else -1
'''
WEAK = "from mod import larger\n\n\ndef test_it():\n    assert larger(9, 3) == 9\n"
STRONG = (
    WEAK + "\n\ndef test_more():\n    assert [larger(3, 3), larger(1), larger(7, 3), larger(-2, 0)] == [3, 2, 3, -1]\n"
)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """The program over a tree of one module."""
    (tmp_path / "mod.py").write_text(CODE)
    (tmp_path / "test_mod.py").write_text(WEAK)
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)  # which `prepare` changes
    with loading.program("eval/mutation.py") as module:
        monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setattr(module, "CORE", {"mod.py": ["test_mod.py"]})
        monkeypatch.setattr(module, "COPIED", ("mod.py", "test_mod.py"))
        yield module


def test_each_mutant_is_one_change_that_compiles(program):
    found = program.mutants("mod.py")
    assert {(mutant.before, mutant.after) for mutant in found} == {
        ("2", "(3)"), ("a > b and not a == 7", "(a > b or not a == 7)"), ("a > b", "(a >= b)"),
        ("not a == 7", "(a == 7)"), ("a == 7", "(a != 7)"), ("7", "(8)"), ("return a", "return None"),
        ("return b if b else -1", "return None"), ("b if b else -1", "(-1 if b else b)"), ("-1", "(1)"), ("1", "(2)"),
    }  # fmt: skip
    for mutant in found:
        ast.parse(mutant.source())


@pytest.mark.slow
def test_every_file_of_the_core_and_its_tests_are_there_and_every_mutant_compiles():
    with loading.program("eval/mutation.py") as program:
        for file, tests in program.CORE.items():
            assert all((program.ROOT / path).is_file() for path in (file, *tests))
            for mutant in program.mutants(file)[::10]:
                compile(mutant.source(), file, "exec")
        assert program.drawn(40, 3, "") == program.drawn(40, 3, "") != program.drawn(40, 4, "")
        assert {mutant.file for mutant in program.drawn(len(program.CORE), 0, "")} == set(program.CORE)


@pytest.mark.slow
def test_survivors_are_those_that_no_test_notices(program, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    weak = program.main(["--out", str(out)])
    assert weak > 4 and len(out.read_text().splitlines()) == 11
    (tmp_path / "test_mod.py").write_text(STRONG)
    assert program.main(["--out", str(out)]) == weak, "what was measured is not measured again"
    assert program.main(["--out", str(out), "--again"]) < weak
    killed = {row["name"]: row["killed"] for row in map(json.loads, out.read_text().splitlines())}
    assert killed["mod.py:6: not a == 7 -> (a == 7)"] and "mutants were noticed" in capsys.readouterr().out

"""The checks of tests/program_checks.py, a part of them by default."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "program_checks.py"


def run(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_random_programs_give_what_a_naive_executor_gives():
    counts = run("naive", 0, 2000)
    assert sum(counts.values()) == 2000
    assert counts["value"] > 700 and counts["borderline"] < 40


@pytest.mark.parametrize("count", [20, pytest.param(4000, marks=pytest.mark.slow)])
def test_converted_questions_of_clevrs_kinds_have_the_answers_they_came_with(count):
    assert sum(run("clevr", count).values()) == count


@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_list_that_the_grammar_allows_ends_and_is_a_well_formed_program(count):
    assert sum(run("tokens", 0, count).values()) == count


def test_broken_programs_raise_errors_with_names_and_soon():
    assert sum(run("fuzz", 0, 500).values()) == 500


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 20_000, 2000))
def test_thousands_of_broken_programs_raise_errors_with_names_and_soon(start):
    assert sum(run("fuzz", start, start + 2000).values()) == 2000

"""The checks of tests/text_checks.py, a part of them by default."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "text_checks.py"


def run(first: int, end: int) -> int:
    """How many texts were read."""
    command = [sys.executable, str(SCRIPT), str(first), str(end)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return sum(json.loads(done.stdout).values())


def test_random_texts_give_a_program_or_a_named_error_and_soon():
    assert run(0, 60) == 60


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 20_000, 4_000))
def test_many_random_texts_give_a_program_or_a_named_error_and_soon(first):
    assert run(first, first + 4_000) == 4_000

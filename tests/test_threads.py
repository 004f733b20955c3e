"""Importing kyvo has OpenMP's threads wait asleep, unless the user says otherwise or torch is there already."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("code", "given", "expected"),
    [
        ("import kyvo", None, "PASSIVE"),
        ("import kyvo", "ACTIVE", "ACTIVE"),
        ("import sys; sys.modules['torch'] = sys; import kyvo", None, ""),
    ],
)
def test_threads_wait_asleep_unless_told_otherwise(code, given, expected):
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    env |= {} if given is None else {"OMP_WAIT_POLICY": given}
    shown = f"{code}; import os; print(os.environ.get('OMP_WAIT_POLICY', ''))"
    done = subprocess.run([sys.executable, "-c", shown], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected

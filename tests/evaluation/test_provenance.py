import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kyvo.evaluation.provenance import checkout_commit, machine


def test_a_commit_is_told_of_a_checkout_and_of_nothing_else(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("no git")
    assert checkout_commit(tmp_path) is None
    (tmp_path / "a").write_text("a")
    for words in ("init -q", "add a", "-c user.name=a -c user.email=a@b commit -q -m a"):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True)
    assert re.fullmatch("[0-9a-f]{40}", checkout_commit(tmp_path))
    (tmp_path / "a").write_text("b")
    assert checkout_commit(tmp_path).endswith("+")


def test_a_machine_has_a_processor_and_cores() -> None:
    found = machine()
    assert found["cpu"] and found["cores"] >= 1 and found["load_average"] >= 0

"""docs/configs.md names every shipped config, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "configs.md").read_text(encoding="utf-8")


def test_the_table_names_every_config():
    patterns = re.findall(r"`(configs/[^`]+)`", PAGE)
    found = [path for pattern in patterns for path in ROOT.glob(pattern)]
    assert all(any(ROOT.glob(pattern)) for pattern in patterns)
    assert sorted(found) == sorted((ROOT / "configs").rglob("*.yaml"))


def test_the_programs_of_the_table_are_there():
    for program in re.findall(r"`python ([\w/.]+)", PAGE):
        assert (ROOT / program).is_file(), program

"""CHANGELOG.md: its topmost version is the package's, and it names every deprecated name with its successor."""

import re
from pathlib import Path

import kyvo
from kyvo import deprecated

CHANGELOG = (Path(__file__).resolve().parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_topmost_version_is_the_packages():
    assert re.search(r"^## (\S+)", CHANGELOG, re.MULTILINE)[1] == kyvo.__version__


def test_sections_are_of_the_kinds_of_keep_a_changelog():
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= KINDS


def test_every_deprecated_name_stands_with_its_successor():
    rows = set(re.findall(r"^\| [^|]+ \| `(?:kyvo )?([^`]+)` \| `(?:kyvo )?([^`]+)` \|$", CHANGELOG, re.MULTILINE))
    tables = [table for name, table in vars(deprecated).items() if name.isupper()]
    known = {pair for table in tables for pair in table.items()}
    assert rows == known

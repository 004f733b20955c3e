"""What every test shares: no network, the sample data beside the repository, and golden files."""

import json
import os
from collections.abc import Callable
from pathlib import Path

# Before anything imports Hugging Face's libraries, which read them once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
from hypothesis import settings

# Machines are shared: a slow moment is no failure. Thirty examples keep the default run within minutes.
settings.register_profile("kyvo", deadline=None, max_examples=30)
settings.load_profile("kyvo")

TESTS = Path(__file__).resolve().parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden; review the diff")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The sample data kept beside the repository; a test that asks for it is skipped without it."""
    folder = TESTS.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    return folder


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """`golden("name.json", value)`: `value` equals what tests/golden/name.json pins (text for any other suffix)."""

    def check(name: str, value: object) -> None:
        path = TESTS / "golden" / name
        text = json.dumps(value, indent=1, ensure_ascii=False) + "\n" if path.suffix == ".json" else str(value)
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"tests/golden/{name} does not exist; pytest --update-golden writes it"
        assert text == path.read_text(encoding="utf-8"), f"tests/golden/{name} differs; see --update-golden"

    return check

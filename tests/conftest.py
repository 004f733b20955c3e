"""What every test shares: no network, the sample data beside the repository, and golden files."""

import base64
import gc
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before anything imports Hugging Face's libraries, which read them once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
import typecheck  # in jaxtyping's place before anything of the package is imported
from hypothesis import settings

# Millions of objects come with the imports of all tests and stay: the collector need not look through them.
gc.disable()

# Machines are shared: a slow moment is no failure. Ten examples keep the default run within minutes; `make test-slow`
# tries every property again under the profile `thorough`.
settings.register_profile("kyvo", deadline=None, max_examples=10)
settings.register_profile("thorough", deadline=None, max_examples=50)
settings.load_profile("kyvo")

TESTS = Path(__file__).resolve().parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden; review the diff")


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_runtest_setup() -> None:
    typecheck.check_again()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The sample data kept beside the repository; a test that asks for it is skipped without it."""
    folder = TESTS.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    return folder


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer of Llama-3's form and size, in which words of the released schemas are one id from 256 on."""
    from kyvo.data.release_codecs import release_schema
    from kyvo.tokenizers.text import LlamaText

    schemas = [release_schema(name) for name in ("clevr", "objectron", "objaworld")]
    words = [word for schema in schemas for entry in schema.fields for word in entry.words]
    pieces = dict.fromkeys([*(f" {word}" for word in (*words, "shoes")), "Is", " there", " a", "yes"])
    tokens = [bytes([byte]) for byte in range(256)] + [piece.encode() for piece in pieces]
    tokens += [f"filler {index}".encode() for index in range(128_000 - len(tokens))]
    path = tmp_path_factory.mktemp("llama") / "tokenizer.model"
    path.write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens)))
    return LlamaText(path)


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

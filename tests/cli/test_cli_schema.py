"""`kyvo schema`: what it shows, what it writes, and what it refuses."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.errors import ConfigError
from kyvo.scene.builtin_schemas import clevr_schema, load_schema

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "schemas" / "clevr.yaml"


def kyvo_schema(*words):
    result = CliRunner().invoke(app, ["schema", *map(str, words)])
    if isinstance(result.exception, ConfigError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_the_shipped_file_is_what_the_command_shows():
    about, _, shipped = SHIPPED.read_text(encoding="utf-8").partition("\n")
    assert kyvo_schema().stdout == shipped == clevr_schema().to_yaml() and about.startswith("# ")
    assert load_schema(str(SHIPPED)) == clevr_schema()


def test_a_models_schema_is_shown_by_the_models_name():
    assert kyvo_schema("mini").stdout == clevr_schema().to_yaml()


def test_words_are_added_and_the_schema_has_the_files_name(tmp_path):
    out = tmp_path / "fruit.yaml"
    kyvo_schema("--add", "color=orange", "--add", "shape=cone", "--out", out)
    schema = load_schema(str(out))
    assert schema.name == "fruit"
    assert schema.field("color").words[-1] == "orange" and schema.field("shape").words[-1] == "cone"
    kyvo_schema(out, "--add", "size=tiny", "--name", "other", "--out", tmp_path / "more.yaml")
    more = load_schema(str(tmp_path / "more.yaml"))
    assert more.name == "other" and more.field("size").words == ("large", "small", "tiny")
    assert more.field("color") == schema.field("color")


def test_without_a_file_it_is_printed():
    assert (
        "[gray, red, blue, green, brown, purple, cyan, yellow, orange]" in kyvo_schema("--add", "color=orange").stdout
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], r"'nothing' is no schema; known are clevr, .* a bundled model \(mini\), or a model folder"),
        (["--add", "orange"], "--add is 'orange'; give a field and its new word, as color=orange"),
        (["--out", "words.txt"], "--out is words.txt; a schema is a .yaml file"),
    ],
)
def test_wrong_words_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        kyvo_schema(*words)


def test_a_file_that_stands_there_is_kept(tmp_path):
    (tmp_path / "mine.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        kyvo_schema("--out", tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == "mine"

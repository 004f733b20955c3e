"""What commands print: words of scenes and names of files neither style a line, nor end it, nor steer the terminal."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from kyvo.cli.console import PlainConsole, printable
from kyvo.cli.main import run

SAMPLE = Path(str(files("kyvo"))) / "assets" / "samples" / "clevr_0.json"


@pytest.mark.parametrize("word", ["[/red]", "[bold]x", "[link=http://127.0.0.1]x[/link]", ":red_circle:"])
def test_words_of_a_scene_are_no_markup(word, tmp_path, capsys):
    scene = json.loads(SAMPLE.read_text())
    scene["objects"][0]["color"] = word
    (tmp_path / "a.json").write_text(json.dumps(scene))
    with pytest.raises(SystemExit) as done:
        run(["scene", "diff", str(SAMPLE), str(tmp_path / "a.json")])
    assert not done.value.code
    assert word[:12] in capsys.readouterr().out


def test_a_name_in_an_error_does_not_steer_the_terminal(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(["scene", "view", str(tmp_path / "\x1b]0;title\x07[/red].json"), "--out", str(tmp_path / "a.png")])
    told = capsys.readouterr().err
    assert "\\x1b]0;title\\x07[/red].json" in told and "\x1b" not in told


def test_lines_stay_lines(capsys):
    PlainConsole().print("a\nb\tc\r")
    assert capsys.readouterr().out.splitlines()[0] == "a" and printable("\r\x9b") == "\\x0d\\x9b"

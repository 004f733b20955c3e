"""What all commands have in common: panels, examples, suggestions, errors, quiet pipes, a quick start."""

import json
import os
import re
import resource
import shlex
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from kyvo.cli.main import app, run
from kyvo.scene.files import save_scene
from kyvo.scene.scene import Scene, SceneObject

RED = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))


def commands(group=None, path=("kyvo",)):
    """Every listed command that is not a group, by the words that call it; old names are hidden."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("KYVO_DEBUG", raising=False)


@pytest.fixture
def failing(tmp_path):
    """A command that a user's mistake ends."""
    (tmp_path / "broken.json").write_text("{")
    return ["scene", "diff", str(tmp_path / "broken.json"), str(tmp_path / "broken.json")]


@pytest.mark.parametrize("path", list(COMMANDS), ids=" ".join)
def test_every_command_has_an_example_whose_options_it_has(path):
    command = COMMANDS[path]
    said = " ".join(f"{command.help} {command.epilog or ''}".split())
    found = re.search(r"Example: (kyvo .*)$", said)
    assert found, f"{' '.join(path)} has no example at the end of its help"
    words = shlex.split(found[1])
    assert tuple(words[: len(path)]) == path
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        assert not word.startswith("--") or word.split("=")[0] in known, (word, found[1])
    required = {parameter.opts[0] for parameter in command.params if parameter.required and parameter.opts[0][0] == "-"}
    assert required <= {word.split("=")[0] for word in words}, "the example would be refused"


@pytest.mark.parametrize("path", list(COMMANDS), ids=" ".join)
def test_every_option_says_what_it_is(path):
    silent = [parameter.name for parameter in COMMANDS[path].params if not parameter.help]
    assert not silent


def test_help_groups_the_commands_in_panels():
    said = CliRunner().invoke(app, ["--help"]).output
    for panel in ("Use a model", "Scenes and shapes", "Data", "Figures"):
        assert f"─ {panel} ─" in said, said
    assert "─ Commands ─" not in said, "every command is in a panel"
    assert "--install-completion" in said and "--debug" in said


@pytest.mark.parametrize(
    "words, hint",
    [
        (["recogniz", "a.png"], "recognize"),
        (["scene", "vaildate", "a.json"], "validate"),
        (["recognize", "a.png", "--out", "x", "--modle", "mini"], "--model"),
        (["export", "a.json", "--fromat", "glb"], "--format"),
    ],
)
def test_what_is_misspelt_is_answered_with_what_was_meant(words, hint, capsys):
    with pytest.raises(SystemExit) as left:
        run(words)
    said = capsys.readouterr().err
    assert left.value.code == 2 and hint in said and ("Did you mean" in said or "Possible options" in said), said


def test_a_users_error_is_one_line_and_debug_shows_where_it_comes_from(failing, capsys, monkeypatch):
    with pytest.raises(SystemExit) as left:
        run(failing)
    said = capsys.readouterr().err
    assert left.value.code == 1 and said.startswith("kyvo: ") and len(said.splitlines()) == 1
    for words in (["--debug", *failing], [*failing, "--debug"]):
        monkeypatch.setenv("KYVO_DEBUG", "0")
        with pytest.raises(ValueError, match="not a JSON file"):
            run(words)


def test_a_folder_that_cannot_be_written_is_a_users_error(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    save_scene(Scene(objects=(RED,)), tmp_path / "a.json")
    with pytest.raises(SystemExit) as left:
        run(["scene", "convert", str(tmp_path / "a.json"), str(tmp_path / "file" / "b")])
    said = capsys.readouterr().err
    assert left.value.code == 1 and "Not a directory" in said and len(said.splitlines()) == 1


def test_completion_offers_commands_and_options():
    for words, offered in (("kyvo reco", "recognize"), ("kyvo recognize --resu", "--resume")):
        done = CliRunner().invoke(
            app,
            [],
            env={
                "_KYVO_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
            },
            prog_name="kyvo",
        )
        assert offered in done.output.split(), done.output


def test_machines_get_json_and_pipes_no_colour(tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    save_scene(Scene(objects=(RED,)), good)
    bad.write_text(good.read_text().replace("0.7", '"high"'))
    done = CliRunner().invoke(app, ["scene", "validate", str(good), str(bad), "--json"])
    faults = json.loads(done.stdout)
    assert done.exit_code == 1 and faults[str(good)] == [] and "location" in faults[str(bad)][0]
    done = CliRunner().invoke(app, ["data", "validate", str(tmp_path), "--json"])
    assert done.exit_code == 1 and json.loads(done.stdout)
    told = CliRunner().invoke(app, ["scene", "diff", str(good), str(good)])
    assert "\x1b" not in told.output


COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-8]|4[0-8]|9[0-7])[;m]")


def test_no_color_is_obeyed_where_a_terminal_would_have_colours():
    program = [sys.executable, "-c", "from kyvo.cli.main import run; run()", "scene", "--help"]
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLORTERM")}
    environment |= {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    coloured = subprocess.run(program, env=environment, capture_output=True, text=True).stdout
    plain = subprocess.run(program, env={**environment, "NO_COLOR": "1"}, capture_output=True, text=True).stdout
    assert COLOUR.search(coloured) and not COLOUR.search(plain) and "validate" in plain


def test_help_comes_within_a_second_of_one_core_and_imports_nothing_heavy():
    script = "import sys; from kyvo.cli.main import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"torch", "open3d", "numpy", "scipy", "PIL", "transformers", "trimesh", "yaml", "jsonschema"}
    seconds = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
    assert seconds <= 1.0, f"{seconds:.2f} s of one core"

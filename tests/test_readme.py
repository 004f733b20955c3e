"""The README's claims: its Python runs, its tree is the tree, its commands exist, and it is short."""

import re
import shlex
import shutil
from pathlib import Path

import loading
import pytest
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.files import load_scene

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


COMMAND = re.compile(r"(?:^|`|bin/)kyvo ([a-z-]+)(?: ([a-z0-9-]+(?:\\\|[a-z0-9-]+)*))?", re.MULTILINE)  # and its \|
GROUPS = {group.name for group in app.registered_groups}


def table(title):
    """The rows of the only table of a section, without its head."""
    section = re.search(rf"^## {title}\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)[1]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[0], rows[2:]


def programs(text):
    """The programs that a text tells its reader to run, with their options."""
    for line in re.findall(r"`python ((?:eval|tokenizers|recipes)/[^`]+)`", text):
        words = shlex.split(line)
        yield words[0], {word for word in words if word.startswith("--")}


def test_the_ten_lines_of_python_run(tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "kyvo" / "assets" / "samples", tmp_path / "kyvo" / "assets" / "samples")
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len(code.strip().splitlines()) <= 10
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    *objects, last = capsys.readouterr().out.splitlines()
    assert len(load_scene("edited.json")) == len(objects) - 1 > 0
    assert [item.color for item in load_scene("edited.json").objects].count("yellow") == 0
    assert last.endswith("3 spheres") and len(names["answer"].objects) == 3
    Image.fromarray(names["edited"].image)


def test_a_reader_learns_at_once_what_the_model_understands():
    top = README[: README.index("## Start")]
    for word in ("CLEVR", "photographs", "240x160"):
        assert word in top
    for field in clevr_schema().fields:
        assert all(re.search(rf"\b{word}\b", top) for word in field.words), field.name


def test_it_has_at_most_900_words_and_short_sentences():
    assert len(README.split()) <= 900
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    prose = " ".join(line for line in prose.splitlines() if line and line[0] not in "#|!")
    for sentence in re.split(r"(?<=[.:?])\s", prose):
        assert len(sentence.split()) < 25, sentence


def test_every_path_in_the_tree_exists():
    tree = re.search(r"## The tree\n\n```\n(.*?)```", README, re.DOTALL)[1]
    parent = Path()
    for line in tree.splitlines():
        name = line.split()[0]
        parent = Path(name) if not line.startswith(" ") else parent
        path = ROOT / name if not line.startswith(" ") else ROOT / parent / name
        assert path.exists(), line


@pytest.mark.parametrize("page", ["README.md", "docs/cli.md"])
def test_every_kyvo_command_has_help(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    found = set()
    for group, names in COMMAND.findall(text):
        found |= {f"{group} {name}".strip() for name in names.split("\\|")} if group in GROUPS else {group}
    assert found
    for command in sorted(found):
        assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0, command


def test_every_local_link_leads_somewhere():
    for text, folder in ((README, ROOT), (COMMANDS, ROOT / "docs")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (folder / target).exists(), target


def test_results_have_the_four_columns_and_a_command_each():
    head, rows = table("Results")
    assert head[2:6] == ["language model alone", "whole system", "known camera", "paper"]
    letters = dict(re.findall(r"^\| ([A-Z]) \| (`.+`) \|$", COMMANDS, re.MULTILINE))
    assert len(rows) >= 8
    assert "TODO" not in README  # a figure that was never filled in
    for row in rows:
        assert re.search(r"\d", " ".join(row[2:5])), row
        assert row[-1] in letters, row


def test_speeds_have_figures_and_commands():
    _, rows = table("Speed")
    assert len(rows) >= 5
    for _, figure, command in rows:
        assert re.search(r"\d", figure) and re.search(r"`python |the same", command)


@pytest.mark.parametrize(("path", "options"), [*programs(README), *programs(COMMANDS)])
def test_every_program_exists_and_takes_its_options(path, options, capsys):
    with loading.program(path) as program, pytest.raises(SystemExit) as ended:
        program.main(["--help"])
    assert ended.value.code == 0
    assert options <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))

"""The README's claims: its Python runs, its tree is the tree, its commands exist."""

import re
import shutil
from pathlib import Path

from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.scene.files import load_scene

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_of_python_run(tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "kyvo" / "assets" / "samples", tmp_path / "kyvo" / "assets" / "samples")
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len(code.strip().splitlines()) <= 10
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert len(load_scene("clevr_0.json")) == len(capsys.readouterr().out.splitlines()) > 0
    Image.fromarray(names["picture"])


def test_every_path_in_the_tree_exists():
    tree = re.search(r"## The tree\n\n```\n(.*?)```", README, re.DOTALL)[1]
    parent = Path()
    for line in tree.splitlines():
        name = line.split()[0]
        parent = Path(name) if not line.startswith(" ") else parent
        path = ROOT / name if not line.startswith(" ") else ROOT / parent / name
        assert path.exists(), line


def test_every_kyvo_command_of_the_readme_has_help():
    for command in sorted(set(re.findall(r"(?:^|`)kyvo ((?:scene |data )?[a-z]+)", README, re.MULTILINE))):
        assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0, command


def test_every_local_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_the_status_table_holds_figures_and_the_commands_that_give_them():
    table = re.search(r"\| what \| figure \| aim \| by \|\n(.*?)\n\n", README, re.DOTALL)[1].splitlines()[1:]
    assert len(table) >= 8
    for line in table:
        figure, command = line.split(" | ")[1], line.split(" | ")[-1]
        assert re.search(r"\d", figure), line
        for path in re.findall(r"(?:python |\()((?:eval|tokenizers|docs)/[\w.]+)", command):
            assert (ROOT / path).is_file(), line
    assert not re.search(r"^[A-Z_@]{4,}$", README, re.MULTILINE)  # a figure that was never filled in

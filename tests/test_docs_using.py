"""docs/using.md: its commands and its Python run on the bundled model, its tables name what there is."""

import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from kyvo.batch.outputs import FORMAT_NAMES, ManifestLine
from kyvo.cli.chat import HELP
from kyvo.cli.main import app
from kyvo.scene.files import save_scene
from kyvo.scene.scene import Scene
from kyvo.scene.schema import clevr_camera

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "using.md").read_text(encoding="utf-8")


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


def block(title, language):
    return re.search(rf"^```{language}\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder as the page has it: pictures of two days, a list of them, a scene with its picture, lines to say."""
    samples = ROOT / "kyvo" / "assets" / "samples"
    for index, place in enumerate(("photos/day1/a.png", "photos/day2/a.png", "picture.png")):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(samples / f"clevr_{index}.png", tmp_path / place)
    shutil.copy(samples / "clevr_2.json", tmp_path / "scene.json")
    save_scene(Scene(objects=(), camera=clevr_camera(480, 320)), tmp_path / "camera.json")
    (tmp_path / "list.txt").write_text("photos/day1\npicture.png\n")
    (tmp_path / "lines.txt").write_text("Paint everything red.\n/undo\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line):
    words, _, source = line.partition(" < ")
    given = Path(source).read_text() if source else None
    return CliRunner().invoke(app, shlex.split(words)[1:], input=given)


@pytest.mark.slow
def test_the_commands_on_folders_run_and_write_what_the_page_says(folder):
    blocks = re.findall(r"^```bash\n(.*?)^```$", section("Folders"), re.MULTILINE | re.DOTALL)
    for line in "".join(blocks).splitlines():
        result = run(line)
        assert result.exit_code == 0, (line, result.output)
        if "--resume" in line:
            assert "0 of 2 pictures recognised, 2 done before" in result.stdout
    for name in (
        "placed/day1/a.json",
        "scenes/day1/a.json",
        "scenes/day2/a.json",
        "lines/scenes.jsonl",
        "listed/photos/day1/a.json",
    ):
        assert (folder / name).stat().st_size > 100


@pytest.mark.slow
def test_the_commands_and_python_on_pictures_of_scenes_run(folder):
    (folder / "scenes").mkdir()
    shutil.copy(folder / "scene.json", folder / "scenes" / "a.json")
    (folder / "kyvo").symlink_to(ROOT / "kyvo")
    for line in block("Pictures of scenes", "bash").splitlines():
        assert run(line).exit_code == 0, line
    assert Image.open(folder / "pictures" / "a.png").size == (240, 160)
    assert Image.open(folder / "traced" / "scene.png").size == (480, 320)
    names: dict = {}
    exec(compile(block("Pictures of scenes", "python"), "docs/using.md", "exec"), names)
    assert names["exact"].shape == (320, 480, 3)


@pytest.mark.slow
def test_the_conversation_in_the_terminal_runs(folder):
    result = run(block("Chat", "bash").strip())
    assert result.exit_code == 0, result.output
    assert (folder / "turns" / "turn_001.png").is_file() and "taken back" in result.stdout


@pytest.mark.parametrize("title", ["Folders", pytest.param("Chat", marks=pytest.mark.slow)])
def test_its_python_runs(folder, title):
    exec(compile(block(title, "python"), "docs/using.md", "exec"), {})
    assert (folder / {"Folders": "again/manifest.jsonl", "Chat": "room.glb"}[title]).is_file()


def test_the_tables_name_every_format_manifest_field_and_command_there_is():
    assert set(FORMAT_NAMES) <= set(re.findall(r"^\| `(\w+)` \| ", section("Folders"), re.MULTILINE))
    told = set(re.findall(r"`(\w+)`", section("Folders")))
    assert {entry.name for entry in fields(ManifestLine)} - {"input"} <= told
    assert set(re.findall(r"/[a-z]+\b", HELP)) <= set(re.findall(r"/[a-z]+\b", section("Chat")))


def test_every_local_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target

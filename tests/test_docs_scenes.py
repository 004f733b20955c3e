"""docs/scenes.md: its Python runs with tiny networks, its commands parse, and what it names is there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_generators import random, write_tiny_pipeline
from tiny_scenes import ENCODER, tiny_flow
from typer.main import get_command

from kyvo.cli.main import app
from kyvo.models.slat.load import save_network

pytest.importorskip("open3d")

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "scenes.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    write_tiny_pipeline(tmp_path / "my_generator")
    (tmp_path / "my_scenes").mkdir()
    save_network(tiny_flow("scenegen"), tmp_path / "my_scenes" / "flow")
    save_network(random(ENCODER), tmp_path / "my_scenes" / "scene_encoder")
    rgb = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(rgb).save(tmp_path / "room.png")
    (tmp_path / "masks").mkdir()
    for number in range(2):
        mask = np.zeros((40, 60), np.uint8)
        mask[10:30, 5 + 25 * number : 25 + 25 * number] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    exec("\n".join(blocks("python")), {})
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert (tmp_path / "scene.glb").stat().st_size > 100 and (tmp_path / "sheet.png").exists()


def test_the_commands_of_the_page_have_the_options_that_it_names():
    for line in "".join(blocks("bash")).splitlines():
        words = shlex.split(line, comments=True)
        if words[0] == "python":
            text = (ROOT / words[1]).read_text()
            if "options_of(" in text:
                text += (ROOT / "kyvo" / "training" / "head_trainer.py").read_text()
            known = {word for word in words if word.startswith("--") and f'"{word}"' not in text}
            assert known == set(), line
            continue
        if words[0] == "tune":
            continue
        command = get_command(app)
        context = command.make_context("kyvo", words[1:], resilient_parsing=True)
        leaf = command.get_command(context, words[1])
        if words[1] != "render":
            leaf = leaf.get_command(context, words[2])
        names = {name for parameter in leaf.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= names, line


def test_what_the_page_names_is_there():
    for name in re.findall(r"(?:configs|tests|recipes|eval)/[\w/]+\.\w+", PAGE):
        assert (ROOT / name).exists(), name
    for link in re.findall(r"\]\((\w[\w-]*\.md)", PAGE):
        assert (ROOT / "docs" / link).exists(), link

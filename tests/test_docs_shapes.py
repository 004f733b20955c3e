"""docs/shapes.md: its commands and its Python run, its figures are those of the card, its links lead somewhere."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from tiny_shapes import write_box
from typer.testing import CliRunner

from kyvo.cli.main import app

pytest.importorskip("open3d")

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "shapes.md").read_text(encoding="utf-8")
CARD = (ROOT / "kyvo" / "assets" / "shape_mini" / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder as the page has it, with two meshes."""
    shutil.copy(ROOT / "kyvo" / "assets" / "samples" / "chair.glb", tmp_path)
    write_box(tmp_path / "cup.obj")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_every_command_runs_and_writes_its_file(folder):
    for line in blocks("bash")[0].splitlines():
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output)
    names = ("pictures/chair.png", "shapes.json", "meshes/chair.glb", "meshes/cup.glb", "shapes.png")
    for name in (*names, "meshes/chair.gaussians.ply"):
        assert (folder / name).stat().st_size > 1000, name


def test_its_python_runs(folder):
    exec(compile(blocks("python")[0], "docs/shapes.md", "exec"), {})
    assert (folder / "chair_again.glb").read_bytes()[:4] == b"glTF"


@pytest.mark.slow
def test_the_python_for_trellis_runs_with_small_networks_of_the_same_kinds(folder):
    import torch
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    from kyvo.models.slat.load import build_network, save_network
    from kyvo.models.slat.published import PUBLISHED

    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_ratio": 2}
    config = Dinov2WithRegistersConfig(**small, image_size=28, patch_size=14)
    Dinov2WithRegistersModel(config).save_pretrained(folder / "dinov2-with-registers-large")
    (folder / "ckpts").mkdir()
    code = blocks("python")[1]
    for name in re.findall(r"ckpts/(\w+)", code):
        about = PUBLISHED[name]
        args = {**about["args"], "model_channels": 256, "num_blocks": 1, "num_heads": 2, "use_fp16": False}
        if "in_channels" in args:
            args["in_channels"] = 16
        save_network(build_network({**about, "args": args}, device="cpu"), folder / "ckpts" / name)
    exec(compile(code.replace("num_views=24", "num_views=1"), "docs/shapes.md", "exec"), {})
    for name in ("chair.npz", "chair.gaussians.ply", "chair_again.glb"):
        assert (folder / name).stat().st_size > 1000, name


def test_the_programs_it_names_are_there():
    for line in blocks("bash")[1].splitlines():
        words = shlex.split(line)
        assert (ROOT / words[1]).is_file()
        assert "--config" not in words or (ROOT / words[words.index("--config") + 1]).is_file()


def test_its_figures_are_those_of_the_model_card():
    rows = re.findall(r"^\| (?:surface features|network|tokens).* meshes \|.*$", PAGE, re.MULTILINE)
    assert len(rows) == 6  # three stages on two sets
    for row in rows:
        assert row in CARD, row


def test_every_local_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target

from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.demo import ASKED
from kyvo.cli.main import app
from kyvo.data.language.edit_phrases import parse
from kyvo.data.language.edits import execute
from kyvo.data.language.question_programs import ANSWERS
from kyvo.scene.files import load_scene

SAMPLES = Path(str(files("kyvo"))) / "assets" / "samples"


@pytest.mark.slow
def test_the_demo_writes_a_scene_for_each_sample_and_one_sheet(tmp_path):
    done = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    scenes = [load_scene(path) for path in sorted(tmp_path.glob("clevr_*.json"))]
    assert len(scenes) == 6 and all(len(scene) for scene in scenes)
    assert "mean Jaccard against their true scenes" in done.output and "after the edits" in done.output
    for instruction, question, _ in ASKED.values():
        assert instruction in done.output and question in done.output
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 4 * 360 and sheet.height > 6 * 240
    assert "chair.glb -> 512 shape tokens -> mesh: F-score at 0.05" in done.output
    with Image.open(tmp_path / "mesh.png") as picture:
        assert picture.width > 4 * 256 and picture.height > 3 * 256


def test_every_sample_is_asked_something():
    assert sorted(ASKED) == sorted(path.stem for path in SAMPLES.glob("*.png"))


@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_fits_the_true_scene(name):
    instruction, _, answer = ASKED[name]
    truth = load_scene(SAMPLES / f"{name}.json")
    assert execute(parse(instruction), truth).objects != truth.objects
    assert any(answer in words for words in ANSWERS.values())

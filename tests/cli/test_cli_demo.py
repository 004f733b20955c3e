from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.scene.files import load_scene


def test_the_demo_writes_a_scene_for_each_sample_and_one_sheet(tmp_path):
    done = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    scenes = [load_scene(path) for path in sorted(tmp_path.glob("clevr_*.json"))]
    assert len(scenes) == 6 and all(len(scene) for scene in scenes)
    assert "mean Jaccard against their true scenes" in done.output
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 3 * 360 and sheet.height > 6 * 240
    assert "chair.glb -> 512 shape tokens -> mesh: F-score at 0.05" in done.output
    with Image.open(tmp_path / "mesh.png") as picture:
        assert picture.width > 4 * 256 and picture.height > 3 * 256

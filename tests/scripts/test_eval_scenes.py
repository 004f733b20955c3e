"""eval/scenes.py on one scene, all methods in one run, with networks that are not trained."""

import loading
import pytest
from PIL import Image
from tiny_generators import SIDE, random, write_tiny_pipeline
from tiny_scenes import ENCODER, tiny_flow, write_scenes

from kyvo.data.dataset import write_set
from kyvo.errors import ConfigError
from kyvo.evaluation.results import load_results
from kyvo.models.slat.load import save_network
from kyvo.shapes.object_sets import ObjectSet

pytest.importorskip("open3d")


@pytest.mark.parametrize("names", [("retrieval",), pytest.param(None, marks=pytest.mark.slow)])
def test_methods_are_measured_in_one_run(names, tmp_path, capsys):
    """Without names, all that need no language model; of that one is test_scene_tokens_training.py."""
    write_tiny_pipeline(tmp_path / "objects")
    for name in ("scenegen", "iscene"):
        (tmp_path / "scenes" / name).mkdir(parents=True)
        save_network(tiny_flow(name), tmp_path / "scenes" / name / "flow")
        save_network(random(ENCODER), tmp_path / "scenes" / name / "scene_encoder")
    write_scenes(tmp_path / "test", count=1)
    write_set(tmp_path / "library", ObjectSet(count=2, seed=1, resolution=SIDE, pictures=1, size=32))
    common = ["--data", tmp_path / "test", "--objects", tmp_path / "objects", "--model", tmp_path / "scenes"]
    common += ["--resolution", SIDE, "--points", 300, "--out", tmp_path / "out"]
    with loading.program("eval/scenes.py") as program:
        names = names or tuple(name for name in program.METHODS if name != "tokens")
        methods = [part for name in names for part in ("--method", name)]
        found = program.main([str(word) for word in (*common, *methods, "--library", tmp_path / "library")])
        with pytest.raises(ConfigError, match="retrieval needs a library"):
            program.main([str(word) for word in (*common, "--method", "retrieval")])
    assert tuple(found) == names
    for name, results in found.items():
        assert list(load_results(tmp_path / "out" / f"{name}.json").figures) == list(results.figures)
        assert len(results.items) == 1 and not results.excluded
        assert 0 <= results.figure("F-S").value <= 1
        assert results.figure("PSNR").value > 0 and -1 <= results.figure("SSIM of shapes").value <= 1
        assert results.figure("peak memory, MiB").value > 50
        assert Image.open(tmp_path / "out" / f"{name}.png").width > 1000
    table = (tmp_path / "out" / "table.md").read_text()
    assert table in capsys.readouterr().out
    assert "| PSNR | SSIM |" in table and "LPIPS of shapes" in table
    assert "F-S, " in table and "% shown" in table
    assert "| retrieval |" in table and "SceneGen, 3D-FUTURE (another test set)" in table

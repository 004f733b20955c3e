"""eval/shape_tokens.py on one good mesh, one bad and one drawn, with a tokenizer that is not trained."""

import json

import loading
import pytest
from PIL import Image
from tiny_shapes import tiny_tokenizer, write_box

from kyvo.errors import ConfigError
from kyvo.evaluation.results import load_results

pytest.importorskip("open3d")


@pytest.fixture(scope="module")
def program():
    with loading.program("eval/shape_tokens.py") as module:
        yield module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("shapes")
    tiny_tokenizer().save(path / "tokenizer")
    (path / "meshes" / "deep").mkdir(parents=True)
    write_box(path / "meshes" / "deep" / "box.glb")
    (path / "meshes" / "points.obj").write_text("v 0 0 0\n")
    return path


@pytest.mark.slow
def test_both_sets_are_measured_stage_by_stage(program, folder):
    out = folder / "out"
    arguments = [
        "--shape-tokenizer",
        folder / "tokenizer",
        "--data",
        folder / "meshes",
        "--procedural",
        1,
        "--out",
        out,
    ]
    found = program.main([str(argument) for argument in arguments])
    assert set(found) == {"meshes", "procedural"}
    results = load_results(out / "meshes.json")
    assert [item["key"] for item in results.items] == ["deep/box.glb"]
    assert [row["key"] for row in results.excluded] == ["points.obj"]
    assert results.figure("features: f_score").value > 0.99
    assert results.figure("tokens: f_score").value < results.figure("features: f_score").value
    assert 1 / 64 <= results.figure("codes used").value <= 1
    assert results.figure("mesh to tokens, longest s").value > 0 < results.figure("tokens to GLB, median s").value
    assert results.inputs["shape_tokenizer"]["sha256"] == tiny_tokenizer().sha256
    assert results.inputs["command"].startswith("python eval/shape_tokens.py --shape-tokenizer")
    assert {"commit", "cpu", "torch", "load_average"} <= set(results.versions)
    assert json.loads((out / "procedural.json").read_text())["inputs"]["seed"] == 1
    for name in ("meshes", "procedural"):
        with Image.open(out / f"{name}.png") as sheet:
            assert sheet.width > 4 * 224


def test_a_folder_without_a_good_mesh_is_refused(program, folder, tmp_path):
    (tmp_path / "points.obj").write_text("v 0 0 0\n")
    arguments = ["--shape-tokenizer", str(folder / "tokenizer"), "--out", str(tmp_path / "out"), "--data"]
    with pytest.raises(ConfigError, match=r"None of the 1 meshes could be measured; the first: .*there are none"):
        program.main([*arguments, str(tmp_path)])
    with pytest.raises(ConfigError, match=r"has no mesh \(GLB, glTF, OBJ, PLY\)"):
        program.main([*arguments, str(tmp_path / "out")])

"""`kyvo evaluate generation`: copies, colors and categories are told, and folders of both kinds are read."""

import json

import numpy as np
import pytest
from PIL import Image

from kyvo.cli.main import run
from kyvo.data.dataset import write_set
from kyvo.errors import SceneError
from kyvo.evaluation.generation import evaluate_generation, first_color
from kyvo.shapes.object_sets import ObjectSet, draw_object
from kyvo.shapes.surfaces import write_shape

pytest.importorskip("open3d")

import trimesh
from trimesh.visual import ColorVisuals

COUNT = 4


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """A set on a grid of 32."""
    folder = tmp_path_factory.mktemp("truth") / "set"
    write_set(folder, ObjectSet(count=COUNT, seed=5, pictures=1, size=32))
    return folder


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """The meshes of the same objects, as files."""
    folder = tmp_path_factory.mktemp("copies")
    lines = []
    for index in range(COUNT):
        rng = np.random.default_rng(np.random.SeedSequence([5, index]))
        asset, said = draw_object(rng, index=index)
        corners = asset.triangles.reshape(-1, 3)
        mesh = trimesh.Trimesh(corners, np.arange(len(corners)).reshape(-1, 3), process=False)
        colors = np.round(255 * asset.colors.reshape(-1, 3)).astype(np.uint8)
        mesh.visual = ColorVisuals(mesh, vertex_colors=colors)
        write_shape(mesh, folder / f"{asset.name}.glb", name=asset.name)
        lines.append({"file": f"{asset.name}.glb", "caption": said[0], "category": asset.category})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_copies_score_as_copies_and_are_found_in_the_training_set(copies, truth):
    results = evaluate_generation(copies, truth, training=truth)
    assert results.figure("F-score").value > 0.99
    assert results.figure("IoU").value > 0.9
    assert results.figure("coverage").value == 1
    assert results.figure("minimum matching distance").value < 5e-3
    assert results.figure("category read back").value == 1
    assert results.figure("color named").value >= 0.75
    assert results.figure("F-score with the nearest of the training").value > 0.99
    assert {item["key"]: item["nearest_in_training"] for item in results.items} == {
        item["key"]: item["key"] for item in results.items
    }


def test_the_command_writes_figures_and_a_sheet(copies, truth, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        report = str(tmp_path / "report")
        run(["evaluate", "generation", str(copies), str(truth), "--training", str(truth), "--report", report, "--json"])
    assert not stopped.value.code
    assert json.loads(capsys.readouterr().out)["kind"] == "generation"
    assert (tmp_path / "report" / "report.html").is_file()
    assert Image.open(tmp_path / "report" / "sheet.png").width > 6 * 128


def test_an_empty_folder_is_refused_and_a_bad_file_is_listed(copies, truth, tmp_path):
    with pytest.raises(SceneError, match="holds no object"):
        evaluate_generation(tmp_path, truth)
    (tmp_path / "bad.glb").write_bytes(b"glTF")
    for path in copies.glob("*.glb"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    results = evaluate_generation(tmp_path, truth)
    assert [row["key"] for row in results.excluded] == ["bad"]
    assert len(results.items) == COUNT


@pytest.mark.parametrize(
    ("text", "color"), [("A red, wooden chair", "red"), ("lamp: green shade", "green"), ("a chair", None)]
)
def test_the_first_color_of_a_text(text, color):
    assert first_color(text) == color

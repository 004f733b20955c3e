"""`kyvo evaluate generation`: copies, colors and categories are told, and folders of both kinds are read."""

import json

import numpy as np
import pytest
from PIL import Image
from tiny_conditions import write_tiny_clip_model
from tiny_generators import tiny_generator

from kyvo.cli.main import run
from kyvo.data.dataset import write_set
from kyvo.errors import SceneError
from kyvo.evaluation.generation import evaluate_generation, first_color
from kyvo.evaluation.generation_features import load_encoders
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


@pytest.mark.slow
def test_copies_score_as_copies_and_are_found_in_the_training_set(copies, truth):
    results = evaluate_generation(copies, truth, training=truth)
    assert results.figure("F-score").value > 0.99
    assert results.figure("IoU").value > 0.9
    assert results.figure("PSNR of views").value > results.figure("PSNR of views over the object").value > 18
    assert results.figure("coverage").value == 1
    assert results.figure("minimum matching distance").value < 5e-3
    assert results.figure("category accuracy").value == 1
    assert results.figure("color accuracy").value >= 0.75
    assert results.figure("F-score with the nearest of the training").value > 0.99
    assert {item["key"]: item["nearest_in_training"] for item in results.items} == {
        item["key"]: item["key"] for item in results.items
    }


@pytest.mark.slow
def test_the_command_writes_figures_and_a_sheet(copies, truth, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        report = str(tmp_path / "report")
        run(["evaluate", "generation", str(copies), str(truth), "--training", str(truth), "--report", report, "--json"])
    assert not stopped.value.code
    assert json.loads(capsys.readouterr().out)["kind"] == "generation"
    assert (tmp_path / "report" / "report.html").is_file()
    assert Image.open(tmp_path / "report" / "sheet.png").width > 6 * 128


@pytest.mark.slow
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


@pytest.mark.slow
def test_copies_look_alike_to_every_encoder(copies, tmp_path):
    clip = write_tiny_clip_model(tmp_path / "clip")
    encoders = load_encoders(own=tiny_generator().encoder("picture"), name="tiny", clip=clip)
    results = evaluate_generation(copies, copies, encoders=encoders)
    for name in ("own", "CLIP"):
        assert results.figure(f"view similarity, {name}").value == pytest.approx(1)
        assert results.figure(f"FD, {name}").value == pytest.approx(0, abs=1e-6)
        assert results.figure(f"KD, {name}").value < 0  # of the same pictures: less than chance
    assert results.protocol["encoders"] == {"own": "tiny", "CLIP": "clip"}
    score = results.figure("CLIP score")
    assert score.count == COUNT and -100 <= score.value <= 100
    # By hand: the mean over the four views of the first object, with its caption.
    first = results.items[0]
    from kyvo.evaluation.generation import read_objects
    from kyvo.evaluation.generation_features import encode_views, text_score

    item = next(one for one in read_objects(copies, []) if one.name == first["key"])
    views = encode_views(encoders, [(item.name, item.mesh)])["CLIP"][item.name]
    text = encoders.texts([item.caption])[0]
    by_hand = [100 * view @ text / np.linalg.norm(view) / np.linalg.norm(text) for view in views]
    assert len(by_hand) == 4
    assert first["clip_score"] == pytest.approx(np.mean(by_hand)) == pytest.approx(text_score(views, text[None]))


def test_what_an_edit_kept_is_told_by_its_region(tmp_path):
    """A red box, and on it another one that the edit moved and made blue; its file has another box around it."""
    before, after = tmp_path / "before", tmp_path / "after"

    def write(folder, x, color):
        folder.mkdir()
        parts = [trimesh.creation.box((1, 1, 1)), trimesh.creation.box((0.4, 0.4, 1))]
        parts[1].apply_translation((x, 0, 1))
        for part, own in zip(parts, ((200, 0, 0), color), strict=True):
            part.visual = ColorVisuals(part, face_colors=[(*own, 255)] * 12)
        mesh = trimesh.util.concatenate(parts)
        mesh.export(folder / "a.ply")  # z up
        return mesh

    write(before, 0.0, (200, 0, 0))
    write(after, 0.6, (0, 0, 200))
    line = {"file": "a.ply", "region": [-0.5, -0.5, 0.0, 0.5, 0.5, 0.5]}  # above z = 0.5 of the file
    (after / "manifest.jsonl").write_text(json.dumps(line) + "\n")
    results = evaluate_generation(after, before)
    assert results.figure("F-score outside of the region").value > 0.99
    assert results.figure("color difference outside of the region").value < 0.01
    assert results.figure("F-score inside of the region").value < 0.9

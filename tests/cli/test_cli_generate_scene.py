"""`kyvo generate scene` as a user calls it, with tiny networks that are not trained: files, messages, exit codes."""

import json

import numpy as np
import pytest
import trimesh
from PIL import Image
from tiny_generators import random, write_tiny_pipeline
from tiny_scenes import ENCODER, tiny_flow

from kyvo.cli.main import run
from kyvo.models.slat.load import save_network
from kyvo.scene.files import load_scene

pytest.importorskip("open3d")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A generator of objects, and the flows of both methods."""
    objects, scenes = tmp_path_factory.mktemp("objects"), tmp_path_factory.mktemp("scenes")
    write_tiny_pipeline(objects)
    for name in ("scenegen", "iscene"):
        (scenes / name).mkdir()
        save_network(tiny_flow(name), scenes / name / "flow")
        save_network(random(ENCODER), scenes / name / "scene_encoder")
    return {"--objects": str(objects), "--model": str(scenes)}


@pytest.fixture
def kyvo(capsys, folders, tmp_path, monkeypatch):
    """`kyvo(...)` -> (exit code, stdout, stderr) of `kyvo generate scene room.png`, beside masks of two objects."""
    monkeypatch.chdir(tmp_path)
    rgb = np.random.default_rng(0).integers(100, 255, (60, 80, 3)).astype(np.uint8)
    Image.fromarray(rgb).save("room.png")
    (tmp_path / "masks").mkdir()
    for number, name in enumerate(("chair", "table")):
        mask = np.zeros((60, 80), np.uint8)
        mask[20:50, 5 + 40 * number : 35 + 40 * number] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")

    def call(*words):
        given = [part for pair in folders.items() for part in pair]
        with pytest.raises(SystemExit) as stopped:
            run(["generate", "scene", "room.png", *map(str, words), *given])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stopped.value.code or 0, out, err

    return call


@pytest.mark.parametrize("method", ["scenegen", "iscene", "alone"])
def test_a_picture_becomes_files_of_each_kind(kyvo, tmp_path, method):
    names = ["scene.json", "scene.glb", "sheet.png"] if method != "alone" else ["scene.glb"]
    outs = [part for name in names for part in ("--out", name)]
    code, out, err = kyvo("--masks", "masks", "--method", method, *outs, "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["files"] == names and said["method"] == method
    assert said["objects"] == ["chair", "table"]
    glb = trimesh.load(tmp_path / "scene.glb")
    assert len(glb.geometry) == 2
    if method == "alone":
        return
    scene = load_scene(tmp_path / "scene.json")
    assert [item.category for item in scene.objects] == ["chair", "table"]
    assert all(len(item.shape_codes) == 512 and item.extra["scale"] > 0 for item in scene.objects)
    assert scene.extra["generated"]["axes"] == ("query" if method == "scenegen" else "view")
    assert Image.open("sheet.png").width > 1000
    # The GLB, y up, stands where the scene says.
    low, high = glb.bounds
    assert low[1] == pytest.approx(0, abs=1e-4)
    centers = np.array([item.location for item in scene.objects])
    assert (centers[:, 2] > low[1] - 1e-4).all() and (centers[:, 2] < high[1] + 1e-4).all()
    code, _, err = kyvo("--masks", "masks", "--out", "scene.glb")
    assert code == 1 and "pass --force to overwrite" in err


@pytest.mark.parametrize(
    ("words", "code", "match"),
    [
        (["--masks", "nothing.png"], 1, "does not exist"),
        (["--masks", "masks", "--method", "retrieval"], 2, "give --library"),
        (["--masks", "masks", "--camera", "room.json"], 2, "--camera goes with the baselines"),
        (["--masks", "masks", "--method", "midi"], 2, "midi"),
    ],
)
def test_what_does_not_fit_is_refused(kyvo, words, code, match):
    found, _, err = kyvo(*words, "--out", "scene.glb")
    assert (found, match in err) == (code, True), (found, err)


def test_a_file_that_holds_no_shapes_is_refused(kyvo):
    code, _, err = kyvo("--masks", "masks", "--out", "scene.clevr.json")
    assert code == 2 and "would hold no shapes" in err

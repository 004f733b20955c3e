"""`kyvo generate scene` as a user calls it, with tiny networks that are not trained: files, messages, exit codes."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from tiny_generators import random, write_tiny_pipeline
from tiny_scenes import ENCODER, tiny_flow
from tiny_segmenters import write_tiny_sam

from kyvo.api import Kyvo
from kyvo.cli.generate_scene import _masked
from kyvo.cli.main import run
from kyvo.models.slat.load import save_network
from kyvo.pipelines import scenes as pipeline
from kyvo.scene.files import load_scene, save_scene
from kyvo.scene.scene import Scene, SceneObject

pytest.importorskip("open3d")


@pytest.fixture(autouse=True)
def made_once(monkeypatch):
    """Of each object one sample: which is kept of several is tested elsewhere."""
    monkeypatch.setattr(pipeline, "TRIES", 1)


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
    spheres = [SceneObject(shape="sphere", size="large", location=(2.0 * x, 0.0, 0.7)) for x in (-1, 1)]
    save_scene(Scene(objects=tuple(spheres), schema="clevr"), tmp_path / "spheres.json")

    def call(*words):
        given = [part for pair in folders.items() for part in pair]
        with pytest.raises(SystemExit) as stopped:
            run(["generate", "scene", "room.png", *map(str, words), *given])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stopped.value.code or 0, out, err

    return call


@pytest.mark.parametrize("method", ["scenegen", pytest.param("iscene", marks=pytest.mark.slow), "independent"])
def test_a_picture_becomes_files_of_each_kind(kyvo, tmp_path, method):
    names = ["scene.json", "scene.glb", "sheet.png"] if method != "independent" else ["scene.glb"]
    outs = [part for name in names for part in ("--out", name)]
    code, out, err = kyvo("--masks", "masks", "--method", method, *outs, "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["files"] == names and said["method"] == method
    assert said["objects"] == ["chair", "table"]
    glb = trimesh.load(tmp_path / "scene.glb")
    assert len(glb.geometry) == 2
    if method == "independent":
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
    ("words", "names"),
    [
        (["--masks", "spheres.json"], ["0 large sphere", "1 large sphere"]),
        pytest.param(["--box", "5,20,35,50", "--box", "45,20,75,50"], ["0", "1"], marks=pytest.mark.slow),
        pytest.param(
            ["--box", "5,20,35,50", "--point", "50,30:60,40", "--segmenter", "sam"], ["0", "1"], marks=pytest.mark.slow
        ),
    ],
)
def test_objects_are_told_by_a_scene_boxes_or_points(kyvo, tmp_path, words, names):
    """Of each the objects that were taken, as the JSON names them."""
    write_tiny_sam(tmp_path / "sam")
    code, out, err = kyvo(*words, "--method", "independent", "--out", "scene.glb", "--json", "--force")
    assert code == 0, err
    said = json.loads(out)
    assert said["objects"] == [name for name in names if not any(f"{name} is" in note for note in said["warnings"])]
    assert ("boxes are taken as masks" in err) == ("--segmenter" not in words and "--box" in words)


@pytest.mark.slow
def test_the_outlines_of_what_a_model_recognises_are_masks(tmp_path):
    sample = Path(str(files("kyvo"))) / "assets" / "samples" / "clevr_0.png"
    seen = _masked(sample, None, "mini")
    save_scene(Kyvo.from_pretrained("mini").recognize([sample])[0], tmp_path / "scene.json")
    again = _masked(sample, tmp_path / "scene.json", None)
    assert len(seen) > 2 and seen.names == again.names
    assert np.array_equal(seen.masks, again.masks)


@pytest.mark.parametrize(
    ("words", "code", "match"),
    [
        ([], 2, "give --masks, --recognizer, or --box and --point"),
        (["--masks", "masks", "--point", "3,4"], 2, "one of the three"),
        (["--masks", "masks", "--segmenter", "sam"], 2, "--segmenter goes with --box and --point"),
        (["--point", "3,4"], 2, "need a segmentation model"),
        (["--point", "3;4"], 2, "--point is '3;4'; it is two finite numbers, as 60,100"),
        (["--box", "3,4,5,inf"], 2, "--box is '3,4,5,inf'; it is four finite numbers"),
        (["--point", "3,4", "--segmenter", "masks"], 1, "has no readable config.json"),
        (["--masks", "nothing.png"], 1, "does not exist"),
        (["--masks", "masks", "--method", "retrieval"], 2, "give --library"),
        (["--masks", "masks", "--camera", "spheres.json"], 2, "a camera goes with the baselines"),
        (["--masks", "masks", "--method", "midi"], 2, "midi"),
    ],
)
def test_what_does_not_fit_is_refused(kyvo, words, code, match):
    found, _, err = kyvo(*words, "--out", "scene.glb")
    assert (found, match in err) == (code, True), (found, err)


def test_a_file_that_holds_no_shapes_is_refused(kyvo):
    code, _, err = kyvo("--masks", "masks", "--out", "scene.clevr.json")
    assert code == 2 and "would hold no shapes" in err

"""`export_scene`: formats by name and suffix, files whole or not at all, and the JSON formats' way back."""

from dataclasses import replace
from pathlib import Path

import pytest

from kyvo.data.omni3d import load_omni3d
from kyvo.errors import ConfigError, FileError, SceneError
from kyvo.export.formats import FORMATS, export_scene, format_of
from kyvo.scene.clevr import load_clevr
from kyvo.scene.scene import Camera, Scene, SceneObject

CUBE = SceneObject(shape="cube", size="large", color="red", material="metal", location=(1.0, 2.0, 0.7))
CUP = SceneObject(
    category="cup",
    location=(0.1, -0.05, 0.8),
    dimensions=(0.1, 0.12, 0.1),
    confidence=0.75,
    extra={"R_cam": [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]},
)
PHONE = Camera(
    width=640,
    height=480,
    focal=500.0,
    center=(320.0, 240.0),
    location=(0.0, 0.0, 0.0),
    rotation=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
)
CUPS = Scene(objects=(CUP,), schema="objectron", frame="camera", up_axis="-y", units="m", camera=PHONE, image="cup.jpg")


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.glb", "glb"),
        ("a.USDA", "usd"),
        ("a.b.html", "html"),
        ("a.py", "blender"),
        ("a.blend", "blender"),
        ("a.clevr.json", "clevr"),
        ("a.omni3d.json", "omni3d"),
    ],
)
def test_the_suffix_says_the_format(name, format):
    assert format_of(Path(name)) == format_of(Path(name), format) == format


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("a.glb", "gltf", "no format is called 'gltf'; known are glb"),
        ("a.glb", "gbl", r"'gbl'; did you mean glb\?"),
        ("a.obj", None, "a.obj has no ending of a format; known are .glb"),
        ("a.json", None, ".json is the ending of clevr and omni3d; tell the format"),
        ("a.usd", "glb", "a.usd does not end as glb does: .glb. Rename it"),
    ],
)
def test_an_unclear_format_is_refused(name, format, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        export_scene(Scene(objects=()), tmp_path / name, format=format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["glb", "html", "blender"])
def test_a_scene_that_does_not_fit_leaves_the_old_file_and_nothing_else(format, tmp_path):
    path = tmp_path / f"scene{FORMATS[format].suffixes[0]}"
    export_scene(Scene(objects=(CUBE,)), path)
    before = path.read_bytes()
    with pytest.raises(SceneError, match=r"objects\[1\].location is missing"):
        export_scene(Scene(objects=(CUBE, SceneObject(shape="cube", size="small"))), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileError, match=r"no/scene.glb: cannot be written \(No such file"):
        export_scene(Scene(objects=(CUBE,)), tmp_path / "no" / "scene.glb")


def test_clevrs_json_comes_back(tmp_path):
    scene = Scene(objects=(CUBE,), image="a.png")
    export_scene(scene, tmp_path / "a.clevr.json")
    assert load_clevr(tmp_path / "a.clevr.json") == [scene]


def test_omni3ds_json_comes_back(tmp_path):
    export_scene(CUPS, tmp_path / "cups.json", format="omni3d")
    (read,) = load_omni3d(tmp_path / "cups.json").scenes
    (cup,) = read.objects
    assert (cup.category, cup.location, cup.dimensions) == (CUP.category, CUP.location, CUP.dimensions)
    assert cup.extra["R_cam"] == CUP.extra["R_cam"]
    assert (read.camera, read.image, read.frame) == (PHONE, "cup.jpg", "camera")
    assert '"score": 0.75' in (tmp_path / "cups.json").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": "world", "up_axis": "+z"}, "world, .z, m; Omni3D's files hold camera, -y, m only"),
        ({"image": None}, "image is missing"),
        ({"camera": None}, "camera is missing, and image_size"),
        ({"objects": (CUP.with_values(dimensions=None),)}, "needs category, location and dimensions"),
    ],
)
def test_omni3d_refuses_what_it_cannot_hold(changes, message, tmp_path):
    with pytest.raises(SceneError, match=message):
        export_scene(replace(CUPS, **changes), tmp_path / "cups.omni3d.json")
    assert list(tmp_path.iterdir()) == []


def test_clevr_refuses_another_frame(tmp_path):
    with pytest.raises(SceneError, match="CLEVR's files hold world"):
        export_scene(CUPS, tmp_path / "cups.clevr.json")

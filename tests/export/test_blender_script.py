"""Scripts for Blender: what they hold, and, where `bpy` is installed, what Blender makes of them."""

import ast
import importlib.util

import numpy as np
import pytest

from kyvo.errors import SceneError
from kyvo.export.blender import blender_script
from kyvo.export.formats import export_scene
from kyvo.export.primitives import stage
from kyvo.extras import MissingDependency
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera

TWO = Scene(
    objects=(
        SceneObject(shape="cube", size="large", color="red", material="metal", location=(1.0, 2.0, 0.7)),
        SceneObject(shape="cube", size="small", color="cyan", material="rubber", location=(-1.0, 0.0, 0.35)),
    ),
    camera=clevr_camera(480, 320),
    extra={"note": '"""quoted""" \\ {}'},
)


def content(script):
    """The scene in a script, and its statements."""
    statements = ast.parse(script).body
    (found,) = [node for node in statements if isinstance(node, ast.Assign) and node.targets[0].id == "SCENE"]
    return ast.literal_eval(found.value)


def test_a_script_holds_each_object_with_its_transform_and_a_shared_mesh_once():
    scene = content(blender_script(TWO))
    primitives = stage(TWO, up="z").primitives
    assert [row["name"] for row in scene["objects"]] == [item.name for item in primitives]
    for row, item in zip(scene["objects"], primitives, strict=True):
        np.testing.assert_allclose(row["matrix"], item.matrix, atol=1e-6)
    assert len(scene["meshes"]) == 1
    assert np.array(scene["meshes"][0]["vertices"]).shape == (24, 3)


def test_a_scripts_camera_has_clevrs_lens():
    camera = content(blender_script(TWO))["camera"]
    assert camera["lens"] == pytest.approx(35) and camera["film"] == 32.0
    assert camera["shift"] == (0, 0) and camera["size"] == (480, 320)


def test_words_of_a_scene_stay_words():
    item = SceneObject(category='a"); import os #', location=(0.0, 0.0, 0.0), dimensions=(1.0, 1.0, 1.0))
    script = blender_script(Scene(objects=(item,), units="m"))
    names = {alias.name for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Import) for alias in node.names}
    assert "os" not in names
    assert content(script)["objects"][0]["attributes"]["category"] == item.category


def test_a_blend_file_without_blender_says_how_to_get_it(tmp_path):
    if importlib.util.find_spec("bpy") is not None:
        pytest.skip("bpy is installed")
    with pytest.raises(MissingDependency, match=r"pip install .*Or write a \.py"):
        export_scene(TWO, tmp_path / "two.blend")
    assert list(tmp_path.iterdir()) == []


def test_blender_builds_and_saves_the_scene(tmp_path):
    bpy = pytest.importorskip("bpy")
    export_scene(TWO, tmp_path / "two.blend")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "two.blend"))
    for item in stage(TWO, up="z").primitives:
        made = bpy.data.objects[item.name]
        np.testing.assert_allclose(made.matrix_world, item.matrix, atol=1e-5)
        surface = made.material_slots[0].material.node_tree.nodes["Principled BSDF"]
        np.testing.assert_allclose(surface.inputs["Base Color"].default_value[:3], item.color, atol=1e-6)
    assert bpy.context.scene.camera.data.lens == pytest.approx(35)


def test_a_scene_that_blender_cannot_build_is_an_error_with_its_last_words(tmp_path):
    pytest.importorskip("bpy")
    (tmp_path / "two.blend").mkdir()
    with pytest.raises(SceneError, match="cannot be written"):
        export_scene(TWO, tmp_path / "two.blend")

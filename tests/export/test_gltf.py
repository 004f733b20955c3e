"""GLB files, read back by trimesh and by their JSON."""

import io
import json
import struct

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenes import scenes

from kyvo.data.meshes.object_meshes import object_meshes
from kyvo.export.gltf import glb_bytes
from kyvo.export.primitives import stage
from kyvo.scene.builtin_schemas import arkitscenes_schema, clevr_schema, objaworld_schema, objectron_schema
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera

TWO = Scene(
    objects=(
        SceneObject(
            shape="cube", size="large", color="red", material="metal", location=(1.0, 2.0, 0.7), extra={"rotation": 0.5}
        ),
        SceneObject(shape="sphere", size="small", color="cyan", material="rubber", location=(-1.0, 0.0, 0.35)),
    ),
    camera=clevr_camera(480, 320),
)


def tree(data):
    assert data[:4] == b"glTF" and struct.unpack_from("<II", data, 4) == (2, len(data))
    (size,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + size])


def load(data):
    return trimesh.load_scene(io.BytesIO(data), file_type="glb")


def test_nodes_come_back_with_name_place_turn_and_size():
    read = load(glb_bytes(TWO))
    assert set(read.graph.nodes_geometry) == {"large_red_metal_cube_0", "small_cyan_rubber_sphere_1"}
    cube, _ = read.graph["large_red_metal_cube_0"]
    cos, sin = np.cos(0.5), np.sin(0.5)
    turn = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]  # about y, which is up
    np.testing.assert_allclose(cube[:3, 3], (1.0, 0.7, -2.0))
    np.testing.assert_allclose(cube[:3, :3] / 0.7, turn, atol=1e-6)
    sphere, _ = read.graph["small_cyan_rubber_sphere_1"]
    np.testing.assert_allclose(sphere[:3, :3], np.eye(3) * 0.35)
    np.testing.assert_allclose(read.bounds[0], (-1.35, 0.0, -2 - 0.7 * (cos + sin)), atol=1e-5)


def test_materials_are_those_of_the_words():
    data = tree(glb_bytes(TWO))
    by_node = {node["name"]: node["mesh"] for node in data["nodes"] if "mesh" in node}
    materials = {
        name: data["materials"][data["meshes"][mesh]["primitives"][0]["material"]] for name, mesh in by_node.items()
    }
    red = materials["large_red_metal_cube_0"]["pbrMetallicRoughness"]
    assert red["baseColorFactor"] == pytest.approx([173 / 255, 35 / 255, 35 / 255, 1])
    assert (red["metallicFactor"], red["roughnessFactor"]) == (1.0, 0.25)
    cyan = materials["small_cyan_rubber_sphere_1"]["pbrMetallicRoughness"]
    assert (cyan["metallicFactor"], cyan["roughnessFactor"]) == (0.0, 0.7)


def test_a_node_has_its_objects_json_and_the_scene_what_its_numbers_mean():
    data = tree(glb_bytes(TWO))
    extras = {node["name"]: node.get("extras") for node in data["nodes"]}
    assert extras["large_red_metal_cube_0"]["location"] == [1.0, 2.0, 0.7]
    assert extras["large_red_metal_cube_0"]["rotation"] == 0.5
    assert data["scenes"][0]["extras"] == {"schema": "clevr", "frame": "world", "up_axis": "+z", "units": "clevr"}


def test_the_camera_sees_what_the_scenes_camera_sees():
    data = tree(glb_bytes(TWO))
    (node,) = [node for node in data["nodes"] if "camera" in node]
    view = np.linalg.inv(np.array(node["matrix"]).reshape(4, 4).T)
    perspective = data["cameras"][0]["perspective"]
    x, y, z, _ = view @ (1.0, 0.7, -2.0, 1)  # the cube, y up
    top = np.tan(perspective["yfov"] / 2)
    pixel = ((x / -z / top / perspective["aspectRatio"] + 1) * 240, (1 - y / -z / top) * 160)
    np.testing.assert_allclose(pixel, TWO.camera.project(np.array([(1.0, 2.0, 0.7)]))[0, :2], atol=1e-3)


def test_a_scene_without_camera_has_none_and_an_empty_one_is_a_file():
    data = tree(glb_bytes(Scene(objects=())))
    assert "cameras" not in data and "meshes" not in data


def test_edges_of_a_cube_are_sharp_and_a_sphere_is_round():
    read = load(glb_bytes(TWO))
    cube, sphere = (read.geometry[name] for name in ("large_red_metal_cube_0", "small_cyan_rubber_sphere_1"))
    assert np.isclose(np.abs(cube.vertex_normals).max(1), 1).all()  # along an axis, at every corner
    np.testing.assert_allclose(sphere.vertex_normals, sphere.vertices, atol=0.01)


def test_colors_of_a_mesh_and_its_material_come_back_together():
    scene = Scene(objects=(SceneObject(shape="bench", location=(0.0, 0.0, 0.5)),), schema="objaworld")
    meshes = object_meshes(scene)
    data = glb_bytes(scene, meshes)
    attributes = tree(data)["meshes"][0]["primitives"][0]["attributes"]
    assert {"POSITION", "NORMAL", "COLOR_0"} <= set(attributes)
    assert tree(data)["materials"][0]["pbrMetallicRoughness"]["metallicFactor"] == 0.0  # glTF's default is 1
    (mesh,) = load(data).geometry.values()
    np.testing.assert_array_equal(
        np.unique(mesh.visual.vertex_attributes["color"], axis=0), np.unique(meshes[0].visual.vertex_colors, axis=0)
    )


@pytest.mark.parametrize("schema", [clevr_schema(), objaworld_schema(), objectron_schema(), arkitscenes_schema()])
def test_scenes_of_every_schema_stand_where_they_should(schema):
    @settings(max_examples=5)
    @given(st.data())
    def check(data):
        scene = data.draw(scenes(schema, max_objects=3))
        meshes = object_meshes(scene)
        read = load(glb_bytes(scene, meshes))
        for item in stage(scene, up="y", meshes=meshes).primitives:
            np.testing.assert_allclose(read.graph[item.name][0], item.matrix, atol=1e-6)

    check()

"""Decoded surfaces become files that read back the same, and stand in scenes where their objects do."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from kyvo.data.meshes.mesh_files import to_linear
from kyvo.errors import ConfigError, SceneError
from kyvo.export.formats import export_scene
from kyvo.models.slat.flexicubes import Surface
from kyvo.scene.scene import Scene, SceneObject
from kyvo.shapes.mesh import load_placed, load_shape
from kyvo.shapes.surfaces import colored_mesh, place_shapes, surface_asset, write_shape


def surface(num_attributes: int = 6) -> Surface:
    """A box that differs along every axis, each corner in its own color."""
    box = trimesh.creation.box((0.5, 0.8, 1.0))
    vertices = torch.from_numpy(np.array(box.vertices)).float()
    colors = torch.cat([vertices + 0.5, torch.rand(8, 3, generator=torch.Generator().manual_seed(0))], 1)
    return Surface(
        vertices=vertices, faces=torch.from_numpy(np.array(box.faces)), attributes=colors[:, :num_attributes]
    )


def rows(points: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Corners with their colors, in an order of their own."""
    table = np.concatenate([points.reshape(-1, 3), colors.reshape(-1, 3)], axis=1)
    return table[np.lexsort(np.round(table[:, :3], 3).T)]


@pytest.mark.parametrize("name", ["box.glb", "box.ply"])
def test_a_written_shape_comes_back_with_its_place_and_colors(tmp_path: Path, name: str) -> None:
    write_shape(colored_mesh(surface()), tmp_path / name)
    read = load_shape(tmp_path / name)
    given = surface()
    corners = given.vertices[given.faces].double().numpy()
    colors = to_linear(given.attributes[:, :3][given.faces].double().numpy())
    assert rows(read.triangles, read.colors) == pytest.approx(rows(corners, colors), abs=0.01)
    assert read.triangles.max((0, 1)) == pytest.approx([0.25, 0.4, 0.5], abs=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["box.glb", "box.ply"])
@pytest.mark.parametrize("up_axis", [None, "+z", "-x"])
def test_a_shape_is_written_where_its_file_had_it(tmp_path: Path, name: str, up_axis: str | None) -> None:
    box = trimesh.creation.box((1, 2, 4))
    box.apply_translation((1e4, 0, -3))
    box.export(tmp_path / name)
    mesh, place = load_placed(tmp_path / name, up_axis=up_axis)
    corners = torch.from_numpy(mesh.triangles.reshape(-1, 3))
    again = Surface(
        vertices=corners, faces=torch.arange(len(corners)).reshape(-1, 3), attributes=torch.zeros(len(corners), 0)
    )
    write_shape(colored_mesh(again), tmp_path / f"again.{name}", place=place)
    found = trimesh.load(tmp_path / f"again.{name}", force="mesh", process=False)
    assert found.bounds == pytest.approx(box.bounds, abs=2e-3)  # float32 in a PLY at 1e4
    assert found.volume == pytest.approx(8, rel=1e-2)


def test_an_asset_of_a_surface_has_its_triangles_and_linear_colors() -> None:
    asset, given = surface_asset(surface(), name="box"), surface()
    assert asset.triangles == pytest.approx(given.vertices[given.faces].double().numpy())
    assert asset.colors == pytest.approx(to_linear(given.attributes[:, :3][given.faces].double().numpy()))
    assert (surface_asset(surface(0)).colors == surface_asset(surface(0)).colors[0, 0]).all()


def test_faces_still_look_outwards_in_the_file(tmp_path: Path) -> None:
    for name in ("box.glb", "box.ply"):
        write_shape(colored_mesh(surface()), tmp_path / name)
        triangles = load_shape(tmp_path / name).triangles
        volume = (triangles[:, 0] * np.cross(triangles[:, 1], triangles[:, 2])).sum() / 6
        assert volume == pytest.approx(0.4, abs=1e-5)


def test_other_endings_and_empty_surfaces_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"box\.stl: a mesh is written as \.glb or \.ply"):
        write_shape(colored_mesh(surface()), tmp_path / "box.stl")
    for name in ("box.glb", "box.ply"):
        with pytest.raises(SceneError, match=rf"none.{name}: cannot be written"):
            write_shape(colored_mesh(surface()), tmp_path / "none" / name)
    empty = Surface(vertices=torch.zeros(0, 3), faces=torch.zeros(0, 3, dtype=torch.long), attributes=torch.zeros(0, 3))
    with pytest.raises(SceneError, match=r"the decoded surface has no face"):
        colored_mesh(empty)
    assert not list(tmp_path.iterdir())


def test_a_surface_without_color_has_none() -> None:
    assert not colored_mesh(surface(0)).visual.defined


def test_a_scene_of_shapes_is_one_glb_with_each_object_in_its_place(tmp_path: Path) -> None:
    codes = tuple(range(512))
    scene = Scene(
        objects=(
            SceneObject(shape_codes=codes, location=(1.0, 2.0, 0.5), pose=(0.0, 0.0, np.pi / 2)),
            SceneObject(shape_codes=codes, location=(-1.0, 0.0, 1.0), pose=(0.3, -0.2, 1.0), extra={"scale": 2.0}),
        ),
        schema="objaworld-shapes",
    )
    shape = colored_mesh(surface())
    meshes = place_shapes(scene, {0: shape, 1: shape}, longest_side=1.5)
    export_scene(scene, tmp_path / "scene.glb", meshes=meshes)
    read = trimesh.load_scene(str(tmp_path / "scene.glb"), process=False)
    assert len(read.graph.nodes_geometry) == 2
    for index, (item, size) in enumerate(zip(scene.objects, (1.5, 3.0), strict=True)):
        (node,) = [name for name in read.graph.nodes_geometry if name.endswith(f"_{index}")]
        transform, geometry = read.graph[node]
        stands = trimesh.transform_points(read.geometry[geometry].vertices, transform)
        about_x, about_y, about_z = (
            trimesh.transformations.rotation_matrix(angle, axis)[:3, :3]
            for angle, axis in zip(item.pose, np.eye(3), strict=True)
        )
        turn = about_z @ about_y @ about_x
        expected = np.asarray(shape.vertices) * size @ turn.T + item.location
        y_up = np.stack([expected[:, 0], expected[:, 2], -expected[:, 1]], axis=1)
        assert stands[np.lexsort(np.round(stands, 3).T)] == pytest.approx(
            y_up[np.lexsort(np.round(y_up, 3).T)], abs=1e-5
        )
    assert read.bounds[1][1] > 2  # y is up: the second object's top


def test_dimensions_fix_the_size_and_the_scenes_axes_the_turn() -> None:
    item = SceneObject(category="cup", location=(0.0, 0.0, 2.0), dimensions=(0.1, 0.3, 0.2))
    camera_frame = Scene(objects=(item,), schema="objectron", frame="camera", up_axis="-y", units="m")
    (placed,) = place_shapes(camera_frame, {0: colored_mesh(surface())}).values()
    # Up is -y there: the long side, z of the cube, lies along y.
    assert placed.extents == pytest.approx([0.5 * 0.3, 1.0 * 0.3, 0.8 * 0.3])
    top = np.asarray(surface().vertices)[:, 2].argmax()
    assert placed.vertices[top, 1] == pytest.approx(-0.15)
    flat = Scene(objects=(SceneObject(category="cup", location=(0.0, 0.0, 2.0), dimensions=(0.0, 0.0, 0.0)),))
    with pytest.raises(SceneError, match=r"objects\[0\] would be 0 long"):
        place_shapes(flat, {0: colored_mesh(surface())})

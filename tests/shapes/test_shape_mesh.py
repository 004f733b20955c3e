"""A mesh file becomes a mesh in the cube, z up, or an error that says what is wrong with it."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from trimesh.exchange.gltf import export_glb

from kyvo.data.meshes.mesh_files import AssetError
from kyvo.shapes.mesh import CubeTransform, areas, load_placed, load_shape, surface_points
from kyvo.shapes.voxelize import voxelize

SIDES = (1.0, 2.0, 4.0)


def tower(path: Path) -> Path:
    """A box far from the origin whose longest side is the z axis of the file."""
    mesh = trimesh.creation.box(SIDES)
    mesh.apply_translation((50, 0, -3))
    path.write_bytes(export_glb(trimesh.Scene(mesh))) if path.suffix == ".glb" else mesh.export(path)
    return path


@pytest.mark.parametrize(
    ("name", "extents"), [("a.ply", (0.25, 0.5, 1)), ("a.glb", (0.25, 1, 0.5)), ("a.obj", (0.25, 1, 0.5))]
)
def test_the_cube_holds_the_mesh_with_z_up(tmp_path: Path, name: str, extents: tuple[float, ...]) -> None:
    corners = load_shape(tower(tmp_path / name)).triangles.reshape(-1, 3)
    assert corners.max(0) == pytest.approx(np.array(extents) / 2, abs=1e-6)
    assert corners.min(0) == pytest.approx(-np.array(extents) / 2, abs=1e-6)


def test_the_files_up_axis_can_be_told(tmp_path: Path) -> None:
    upright = load_shape(tower(tmp_path / "a.glb"), up_axis="+z")
    assert upright.extent == pytest.approx((0.25, 0.5, 1))
    with pytest.raises(AssetError, match=r"up_axis: 'z' is no axis; known are \+x"):
        load_shape(tmp_path / "a.glb", up_axis="z")


@pytest.mark.parametrize("name", ["a.glb", "a.ply"])
@pytest.mark.parametrize("up_axis", [None, "-x", "+z"])
def test_a_place_leads_from_the_cube_to_where_the_mesh_stood(tmp_path: Path, name: str, up_axis: str | None) -> None:
    mesh, place = load_placed(tower(tmp_path / name), up_axis=up_axis)
    assert isinstance(place, CubeTransform) and place.size == 4
    stood = np.array(place.center) + place.size * mesh.triangles.reshape(-1, 3) @ np.array(place.turn).T
    # The file's corners, with z up: a GLB's y is up, so its (x, y, z) is (x, -z, y).
    low, high = ((49.5, -1, -5), (50.5, 1, -1)) if name == "a.ply" else ((49.5, 1, -1), (50.5, 5, 1))
    assert stood.min(0) == pytest.approx(low, abs=1e-5) and stood.max(0) == pytest.approx(high, abs=1e-5)


def test_a_mesh_that_is_not_manifold_is_taken_as_it_is(tmp_path: Path) -> None:
    three = trimesh.Trimesh(
        vertices=[(0, 0, 0), (0, 0, 1), (1, 0, 0), (-1, 1, 0), (-1, -1, 0)],
        faces=[(0, 1, 2), (0, 1, 3), (0, 1, 4)],  # on one edge
        process=False,
    )
    three.export(tmp_path / "three.ply")
    mesh = load_shape(tmp_path / "three.ply")
    assert len(mesh.triangles) == 3
    assert len(voxelize(mesh.triangles, resolution=16)) > 16


@pytest.mark.parametrize(
    ("corners", "what"), [(((1, 1, 1),) * 3, "one point"), (((0, 0, 0), (1, 1, 1), (2, 2, 2)), "lines")]
)
def test_a_mesh_without_area_is_refused(tmp_path: Path, corners: tuple, what: str) -> None:
    trimesh.Trimesh(vertices=corners, faces=[(0, 1, 2)], process=False).export(tmp_path / "thin.ply")
    with pytest.raises(AssetError, match=rf"thin\.ply: the mesh has 1 triangles and no area: .*{what}"):
        load_shape(tmp_path / "thin.ply")


def test_points_on_the_surface_are_as_dense_everywhere() -> None:
    box = trimesh.creation.box(SIDES).triangles
    faces, weights = surface_points(box, 20_000)
    assert weights.min() >= 0
    assert weights.sum(1) == pytest.approx(1)
    share = np.bincount(faces, minlength=12) / 20_000
    assert share == pytest.approx(areas(box) / 28, abs=1e-4)  # 2 (1 * 2 + 2 * 4 + 4 * 1) = 28
    # Within a triangle: the mean of evenly spread points is its middle.
    means = np.stack([weights[faces == face].mean(0) for face in range(12)])
    assert means == pytest.approx(1 / 3, abs=0.01)

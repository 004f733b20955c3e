"""Each active cell knows where the surface is in it, where it faces, and its color."""

import numpy as np
import pytest
import trimesh

from kyvo.data.meshes.assets import Asset
from kyvo.data.meshes.mesh_files import to_linear
from kyvo.data.meshes.procedural import procedural_library
from kyvo.metrics.geometry import compare_clouds
from kyvo.shapes.features import surface_features
from kyvo.shapes.mesh import normalized, surface_points
from kyvo.shapes.voxelize import voxelize

pytest.importorskip("open3d")


def asset(triangles: np.ndarray, *, color: tuple[float, float, float] = (0.5, 0.5, 0.5), **more) -> Asset:
    fields = {"uv": np.zeros((len(triangles), 3, 2)), "texture": np.full(len(triangles), -1), **more}
    colors = np.broadcast_to(color, triangles.shape)
    return Asset(name="shape", category="shape", triangles=np.asarray(triangles, float), colors=colors, **fields)


def places(coords: np.ndarray, feats: np.ndarray, resolution: int) -> np.ndarray:
    return (coords + 0.5 + feats[:, :3]) / resolution - 0.5


def test_a_balls_cells_lie_on_it_and_face_outwards() -> None:
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.5).triangles
    srgb = np.array([0.2, 0.6, 0.9])
    coords, feats = surface_features(asset(ball, color=tuple(to_linear(srgb))), resolution=32)
    np.testing.assert_array_equal(coords, voxelize(ball, resolution=32))
    points = places(coords, feats, 32)
    assert np.linalg.norm(points, axis=1) == pytest.approx(0.5, abs=0.15 / 32)  # cells
    outward = (feats[:, 3:6] * points).sum(1) / np.linalg.norm(points, axis=1)
    assert outward.min() > 0.98
    assert feats[:, 6:] == pytest.approx(np.tile(2 * srgb - 1, (len(feats), 1)), abs=1e-5)
    assert np.abs(feats[:, :3]).max() <= 0.5


def test_a_texture_colors_the_cells_that_it_covers() -> None:
    square = np.array([[-0.5, -0.5, 0.01], [0.5, -0.5, 0.01], [0.5, 0.5, 0.01], [-0.5, 0.5, 0.01]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :32], picture[:, 32:] = (255, 0, 0), (0, 0, 255)  # left and right
    plate = asset(
        square[faces],
        color=(1.0, 1.0, 1.0),
        uv=(square[faces] + 0.5)[..., :2],
        texture=np.zeros(2, int),
        textures=(picture,),
    )
    coords, feats = surface_features(plate, resolution=16)
    assert len(coords) == 16 * 16
    inner = (coords[:, 0] % 8 > 0) & (coords[:, 0] % 8 < 7)  # textures blend across their edges
    left = coords[:, 0] < 8
    assert feats[inner & left, 6:] == pytest.approx(np.tile([1, -1, -1], ((inner & left).sum(), 1)), abs=1e-5)
    assert feats[inner & ~left, 6:] == pytest.approx(np.tile([-1, -1, 1], ((inner & ~left).sum(), 1)), abs=1e-5)
    assert feats[:, 3:6] == pytest.approx(np.tile([0, 0, 1], (256, 1)))
    assert feats[:, 2] == pytest.approx(0.01 * 16 - 0.5, abs=1e-5)  # above the plane between two cells


def test_a_wall_thinner_than_a_cell_has_a_normal_all_the_same() -> None:
    wall = trimesh.creation.box((1, 1, 0.002)).triangles + np.array((0, 0, 0.01))
    _, feats = surface_features(asset(wall), resolution=16)
    assert np.linalg.norm(feats[:, 3:6], axis=1) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", ["chair-0", "bird-0"])
def test_cells_of_a_procedural_mesh_say_where_its_surface_is(name: str) -> None:
    mesh = normalized(procedural_library(variants=1).assets[name])
    coords, feats = surface_features(mesh, resolution=64)
    faces, weights = surface_points(mesh.triangles, 20_000)
    truth = (mesh.triangles[faces] * weights[..., None]).sum(1)
    scores = compare_clouds(places(coords, feats, 64).astype(float), truth, tau=1.5 / 64)
    assert scores.f_score > 0.999

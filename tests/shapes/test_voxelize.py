"""Active cells are those that the surface crosses, whatever its triangles are like."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from kyvo.shapes.voxelize import voxelize


def open3d_cells(triangles: np.ndarray, resolution: int) -> np.ndarray:
    """The slow twin: the voxel grid that TRELLIS's data were made with."""
    open3d = pytest.importorskip("open3d")
    corners = np.clip(triangles.reshape(-1, 3), 1e-6 - 0.5, 0.5 - 1e-6)
    faces = np.arange(len(corners)).reshape(-1, 3)
    mesh = open3d.geometry.TriangleMesh(open3d.utility.Vector3dVector(corners), open3d.utility.Vector3iVector(faces))
    grid = open3d.geometry.VoxelGrid.create_from_triangle_mesh_within_bounds(
        mesh, voxel_size=1 / resolution, min_bound=(-0.5,) * 3, max_bound=(0.5,) * 3
    )
    return np.array(sorted(tuple(cell.grid_index) for cell in grid.get_voxels()))


@settings(max_examples=10)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([0.01, 0.1, 1.0]),
    flat=st.booleans(),
    resolution=st.sampled_from([32, 64]),
)
def test_cells_are_those_of_open3ds_voxel_grid(seed: int, size: float, flat: bool, resolution: int) -> None:
    rng = np.random.default_rng(seed)
    triangles = rng.uniform(-0.5, 0.5, (12, 1, 3)) + size * rng.uniform(-0.5, 0.5, (12, 3, 3))
    if flat:  # seen edge on along one axis
        triangles[..., rng.integers(3)] = triangles[:, :1, :1].mean(-1)
    triangles *= min(1, 0.5 / np.abs(triangles).max())
    np.testing.assert_array_equal(voxelize(triangles, resolution=resolution), open3d_cells(triangles, resolution))


@pytest.mark.parametrize("resolution", [8, 64])
def test_a_cube_that_fills_the_grid_has_its_hull(resolution: int) -> None:
    cells = voxelize(trimesh.creation.box().triangles, resolution=resolution)
    assert len(cells) == resolution**3 - (resolution - 2) ** 3
    assert (cells.min(), cells.max()) == (0, resolution - 1)
    assert (((cells == 0) | (cells == resolution - 1)).any(1)).all()


def test_a_triangle_in_one_cell_is_that_cell() -> None:
    corner = np.array([3, 5, 7]) / 8 - 0.5
    assert voxelize(corner + np.eye(3)[None] / 16 + 0.01, resolution=8).tolist() == [[3, 5, 7]]


def test_order_and_cuts_of_the_triangles_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    triangles = rng.uniform(-0.5, 0.5, (40, 3, 3))
    cells = voxelize(triangles, resolution=32)
    middle = triangles.mean(1, keepdims=True)
    parts = [np.concatenate([triangles[:, [i, (i + 1) % 3]], middle], axis=1) for i in range(3)]
    shuffled = rng.permutation(np.concatenate(parts))[:, [2, 0, 1]]
    np.testing.assert_array_equal(voxelize(shuffled, resolution=32), cells)


def test_triangles_without_area_cross_nothing() -> None:
    point = np.full((1, 3, 3), 0.1)
    line = np.array([[[0, 0, 0], [0.1, 0.1, 0.1], [0.2, 0.2, 0.2]]])
    assert len(voxelize(line, resolution=16)) == 0
    assert voxelize(point, resolution=16).tolist() == [[9, 9, 9]]  # within one cell there is nothing to decide

"""Files drawn at random mean the same to the reader as by plain rules, or are refused by what they have."""

from pathlib import Path

import numpy as np
import pytest
from drawn_meshes import draw_gltf
from drawn_polygons import draw_obj, draw_ply

from kyvo.data.meshes.mesh_files import LooseMesh, read_mesh
from kyvo.data.meshes.meshcaster import surface_color
from kyvo.shapes.mesh import areas

COUNT = 60  # files of each kind


def middle_colors(mesh: LooseMesh) -> np.ndarray:
    count = len(mesh.triangles)
    return surface_color(mesh, np.arange(count), np.full((count, 3, 1), 1 / 3))


@pytest.mark.parametrize("seed", range(COUNT))
def test_a_gltf_file_has_its_triangles_and_colors(tmp_path: Path, seed: int) -> None:
    drawn = draw_gltf(np.random.default_rng(seed), tmp_path)
    read = read_mesh(drawn.path)
    size = np.abs(drawn.triangles).max()
    assert read.triangles.shape == drawn.triangles.shape, drawn.words
    assert np.abs(read.triangles - drawn.triangles).max() < 1e-5 * size, drawn.words
    assert np.abs(middle_colors(read) - drawn.colors).max() < 0.02, drawn.words


@pytest.mark.parametrize("seed", range(COUNT))
@pytest.mark.parametrize("draw", [draw_obj, draw_ply])
def test_polygons_keep_their_areas_and_colors(tmp_path: Path, draw, seed: int) -> None:
    drawn = draw(np.random.default_rng(seed), tmp_path)
    read = read_mesh(drawn.path)
    polygon = np.round(read.triangles[:, 0, 2]).astype(int)
    area, color = areas(read.triangles), middle_colors(read)
    for number in range(len(drawn.areas)):
        here = polygon == number
        assert area[here].sum() == pytest.approx(drawn.areas[number], rel=1e-5), (number, drawn.words)
        assert np.abs(color[here] - drawn.colors[number]).max() < 0.02, (number, drawn.words)
    assert set(polygon) == set(range(len(drawn.areas)))

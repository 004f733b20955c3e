"""Files drawn at random mean the same to the reader as by plain rules, or are refused by what they have."""

import logging
from pathlib import Path

import numpy as np
import pytest
from drawn_meshes import draw_gltf

from kyvo.data.meshes.mesh_files import AssetError, LooseMesh, read_mesh
from kyvo.data.meshes.meshcaster import surface_color

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

"""Files drawn at random mean the same to the reader as by plain rules, or are refused by what they have."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from drawn_meshes import GltfWriter, draw_gltf
from drawn_polygons import draw_obj, draw_ply

from kyvo.data.meshes.gltf_extensions import DRACO
from kyvo.data.meshes.mesh_files import LooseMesh, read_mesh
from kyvo.data.meshes.mesh_renderer import surface_color
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


def test_a_plain_gltf_is_the_same_to_trimesh(tmp_path: Path) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=2)
    mesh.visual.vertex_colors = np.random.default_rng(0).integers(0, 256, (len(mesh.vertices), 4))  # type: ignore[union-attr]
    mesh.export(tmp_path / "a.glb")
    read, theirs = read_mesh(tmp_path / "a.glb"), trimesh.load_scene(str(tmp_path / "a.glb"), process=False)
    (geometry,) = theirs.geometry.values()
    assert read.triangles == pytest.approx(geometry.triangles, abs=1e-6)
    assert read.colors == pytest.approx(geometry.visual.vertex_colors[geometry.faces][..., :3] / 255)


def test_draco_is_read_where_its_package_is_installed(tmp_path: Path) -> None:
    draco = pytest.importorskip("DracoPy")
    ball = trimesh.creation.icosphere(subdivisions=2)
    colors = np.random.default_rng(0).integers(0, 256, (len(ball.vertices), 4), dtype=np.uint8)
    packed = draco.encode(ball.vertices.astype("f4"), ball.faces.astype("u4"), colors=colors, quantization_bits=20)
    kinds = {row["attribute_type"]: row["unique_id"] for row in draco.decode(packed).attributes}
    writer = GltfWriter(rng=np.random.default_rng(0))
    count = len(ball.vertices)
    extension = {"bufferView": writer.view(packed), "attributes": {"POSITION": kinds[0], "COLOR_0": kinds[2]}}
    writer.tree |= {
        "extensionsUsed": [DRACO],
        "extensionsRequired": [DRACO],
        "accessors": [
            {"componentType": 5126, "type": "VEC3", "count": count},
            {"componentType": 5121, "type": "VEC4", "count": count, "normalized": True},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "COLOR_0": 1}, "extensions": {DRACO: extension}}]}],
        "nodes": [{"mesh": 0}],
    }
    read = read_mesh(writer.save(tmp_path))
    assert areas(read.triangles).sum() == pytest.approx(ball.area, rel=1e-4)
    assert read.colors.mean() == pytest.approx((colors[ball.faces][..., :3] / 255).mean(), abs=1e-6)


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

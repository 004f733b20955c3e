"""Files drawn at random mean the same to the reader as by plain rules, or are refused by what they have."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from drawn_meshes import GltfWriter, draw_gltf
from drawn_polygons import draw_obj, draw_ply
from PIL import Image

from kyvo.data.meshes.gltf_extensions import DRACO
from kyvo.data.meshes.mesh_files import UNTEXTURED, LooseMesh, read_mesh
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


SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
FACES = "f 1/1 2/2 3/3 4/4\n"
RED = "newmtl m\nKd 1 0 0\n"


@pytest.mark.parametrize(
    ("obj", "mtl", "color"),
    [
        ("usemtl m # body\n", "newmtl m # body, painted\nKd 1 0 0 # red\n", (1, 0, 0)),
        ("usemtl m\n", "newmtl m\nmap_Kd red.png # from the shop\n", (1, 0, 0)),
        ("usemtl m\n", "newmtl m\nmap_Kd red#2.png\n", (1, 0, 0)),
        ("usemtl m\n", "newmtl m\nmap_Kd C:\\jobs\\maps\\red.png\n", (1, 0, 0)),
        ("usemtl m\n", "newmtl m\nmap_Kd file:///jobs/maps/red.png\n", (1, 0, 0)),
        ("usemtl m\n# C:\\jobs\\\n", "# C:\\jobs\\\n" + RED, (1, 0, 0)),
        ("usemtl m\nv 0 \\\n0 0\nvt 0 \\ \n 0\n", RED, (1, 0, 0)),
        ("usemtl (null)\n", RED, None),
        ("usemtl\n", RED, None),
        ("usemtl\n", "newmtl\nKd 1 0 0\n", (1, 0, 0)),
        ("#MRGB ffff0000ffff0000\n#MRGB ffff0000ffff0000\n", "", (1, 0, 0)),
    ],
)
def test_an_obj_is_read_as_exporters_write_it(tmp_path: Path, obj: str, mtl: str, color) -> None:
    (tmp_path / "maps").mkdir()
    for name in ("red.png", "red#2.png", "maps/red.png"):
        Image.new("RGB", (2, 2), (255, 0, 0)).save(tmp_path / name)
    (tmp_path / "a.mtl").write_text(mtl)
    (tmp_path / "a.obj").write_text(("mtllib a.mtl\n" if mtl else "") + SQUARE + obj + FACES)
    read = read_mesh(tmp_path / "a.obj")
    assert areas(read.triangles).sum() == pytest.approx(1)
    assert middle_colors(read) == pytest.approx(np.tile(color or (UNTEXTURED,) * 3, (2, 1)))


def test_names_in_shift_jis_and_texts_in_utf_16_are_read(tmp_path: Path) -> None:
    # The second byte of this letter is a back slash, which would continue the line.
    (tmp_path / "a.mtl").write_bytes("newmtl \u8868\nKd 1 0 0\n".encode("shift_jis"))
    (tmp_path / "a.obj").write_bytes(f"mtllib a.mtl\n{SQUARE}usemtl \u8868\n{FACES}".encode("shift_jis"))
    assert middle_colors(read_mesh(tmp_path / "a.obj")) == pytest.approx(np.tile((1, 0, 0), (2, 1)))
    for encoding in ("utf-16-le", "utf-16-be"):
        (tmp_path / "b.obj").write_bytes((SQUARE + FACES).encode(encoding))
        assert len(read_mesh(tmp_path / "b.obj").triangles) == 2


def test_names_in_a_ply_may_be_in_capitals(tmp_path: Path) -> None:
    head = "ply\nformat ascii 1.0\nelement vertex 3\n" + "".join(f"property float {axis}\n" for axis in "XYZ")
    colors = "".join(f"property uchar {name}\n" for name in ("Red", "Green", "Blue"))
    body = "0 0 0 255 0 0\n1 0 0 255 0 0\n0 1 0 255 0 0\n3 0 1 2\n"
    text = head + colors + "element face 1\nproperty list uchar int vertex_indices\nend_header\n" + body
    (tmp_path / "a.ply").write_text(text)
    assert middle_colors(read_mesh(tmp_path / "a.ply")) == pytest.approx(np.array([(1, 0, 0)]))

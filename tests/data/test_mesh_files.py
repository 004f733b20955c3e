"""Mesh files of every kind become loose triangles; one that cannot be read says so before it takes memory."""

import json
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from trimesh.exchange.gltf import export_glb, export_gltf

from kyvo.data.meshes.mesh_files import MAX_BYTES, MAX_TRIANGLES, AssetError, read_mesh, to_linear, to_srgb

BOX = trimesh.creation.box((0.2, 0.4, 1.0))


def write_glb(path: Path, *, change=lambda tree: None, mesh: trimesh.Trimesh = BOX) -> Path:
    """The mesh as a GLB whose JSON was changed."""
    data = export_glb(trimesh.Scene(mesh))
    (size,) = struct.unpack_from("<I", data, 12)
    tree = json.loads(data[20 : 20 + size])
    change(tree)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + data[20 + size :]
    path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body)
    return path


def instances(tree: dict) -> None:
    """The box, 8^6 times: each node has the next one eight times below it."""
    nodes: list[dict] = [{"mesh": 0}]
    for _ in range(6):
        below = len(nodes) - 1
        nodes.append({"children": [below] * 8})
    tree["nodes"], tree["scenes"] = nodes, [{"nodes": [len(nodes) - 1]}]


def test_a_glb_that_claims_4_gb_is_refused(tmp_path: Path) -> None:
    path = write_glb(tmp_path / "box.glb")
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 8, 0xFFFFFFFF)
    path.write_bytes(data)
    with pytest.raises(
        AssetError, match=rf"box\.glb is not a readable .*claims 4,294,967,295 bytes.*has {len(data):,}"
    ):
        read_mesh(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree["accessors"][0].update(count=1 << 30), r"accessors\[0\] claims 1,073,741,824 values"),
        (lambda tree: tree["accessors"][0].pop("bufferView"), r"accessors\[0\] claims 36 values of 4 bytes in 0 bytes"),
        (
            lambda tree: tree["bufferViews"][0].update(byteLength=1 << 32),
            r"bufferViews\[0\] ends at byte 4,294,967,296",
        ),
        (lambda tree: tree["buffers"][0].update(byteLength=1 << 32), r"buffers\[0\] claims 4,294,967,296 bytes"),
        (lambda tree: tree["nodes"][0].update(children=[0]), r"nodes\[0\] is below itself"),
        (lambda tree: tree.update(extensionsRequired=["EXT_meshopt_compression"]), r"compressed \(EXT_meshopt"),
        (instances, r"faces: there are more than 2,000,000.* Reduce the mesh"),
        (
            lambda tree: tree["buffers"][0].update(uri="box.bin"),
            r"buffers\[0\] names box\.bin, which is missing\. Restore it",
        ),
    ],
)
def test_a_claim_that_does_not_hold_is_named(tmp_path: Path, change, message: str) -> None:
    with pytest.raises(AssetError, match=rf"box\.glb.*{message}"):
        read_mesh(write_glb(tmp_path / "box.glb", change=change))


def test_draco_without_a_decoder_says_how_to_get_one(tmp_path: Path) -> None:
    if find_spec("DracoPy"):
        pytest.skip("DracoPy is installed")
    path = write_glb(
        tmp_path / "box.glb", change=lambda tree: tree.update(extensionsRequired=["KHR_draco_mesh_compression"])
    )
    with pytest.raises(AssetError, match=r"box\.glb: it is compressed .*draco.* Export .*pip install DracoPy"):
        read_mesh(path)


def test_a_gltf_with_its_files_beside_it_is_read(tmp_path: Path) -> None:
    for name, data in export_gltf(trimesh.Scene(BOX)).items():
        (tmp_path / name).write_bytes(data)
    assert len(read_mesh(tmp_path / "model.gltf").triangles) == 12
    for part in tmp_path.glob("*.bin"):
        part.unlink()
    with pytest.raises(AssetError, match=r"model\.gltf: buffers\[0\] names .*\.bin, which is missing"):
        read_mesh(tmp_path / "model.gltf")


@pytest.mark.parametrize("kind", ["ply", "obj", "glb"])
def test_a_mesh_with_nan_says_how_many_vertices_have_it(tmp_path: Path, kind: str) -> None:
    broken = BOX.copy()
    broken.vertices[2, 1] = np.nan
    path = tmp_path / f"box.{kind}"
    path.write_bytes(export_glb(trimesh.Scene(broken))) if kind == "glb" else broken.export(path)
    with pytest.raises(AssetError, match=rf"box\.{kind}: vertices: 1 of 8 have a coordinate that is NaN"):
        read_mesh(path)


def test_a_face_of_a_vertex_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "box.ply"
    path.write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n"
    )
    with pytest.raises(AssetError, match=r"box\.ply: faces: one names vertex 7 of 3"):
        read_mesh(path)


def test_one_vertex_is_no_mesh(tmp_path: Path) -> None:
    (tmp_path / "one.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
        "end_header\n0 0 0\n"
    )
    (tmp_path / "one.obj").write_text("v 0 0 0\n")
    for path in (tmp_path / "one.ply", tmp_path / "one.obj"):
        with pytest.raises(AssetError, match=rf"{path.name}: faces: there are none"):
            read_mesh(path)


def test_a_ply_of_five_million_triangles_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "fine.ply"
    path.write_text(
        "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
        "property float z\nelement face 5000000\nproperty list uchar int vertex_indices\nend_header\n"
    )
    with pytest.raises(AssetError, match=r"fine\.ply: faces: there are more than 2,000,000.* Reduce the mesh"):
        read_mesh(path)


def test_a_ply_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.ply"
    path.write_text("ply\nformat binary_little_endian 1.0\nelement vertex 900000000\nproperty float x\nend_header\n")
    with pytest.raises(
        AssetError, match=r"cut\.ply is not a readable .*claims 900,000,000 elements, and 0 bytes follow"
    ):
        read_mesh(path)


@pytest.mark.slow
def test_an_obj_of_too_many_triangles_is_refused_while_it_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "fine.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n" + "f 1 2 3\n" * (MAX_TRIANGLES + 1))
    with pytest.raises(AssetError, match=r"fine\.obj: faces: there are more than"):
        read_mesh(path)


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "vast.glb"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse: it takes no room
    with pytest.raises(AssetError, match=r"vast\.glb is 1\.1 GB large; up to 1\.1 GB"):
        read_mesh(path)


def test_a_ply_brings_its_colors_as_srgb(tmp_path: Path) -> None:
    box = BOX.copy()
    box.visual.vertex_colors = np.tile([255, 128, 0, 255], (len(box.vertices), 1)).astype(np.uint8)
    box.export(tmp_path / "box.ply")
    read = read_mesh(tmp_path / "box.ply")
    assert read.colors.reshape(-1, 3) == pytest.approx(np.tile([1, to_linear(np.array(128 / 255)), 0], (36, 1)))
    assert np.ptp(read.triangles.reshape(-1, 3), axis=0) == pytest.approx([0.2, 0.4, 1.0])


@pytest.mark.parametrize("name", ["gray", "grey"])
def test_a_ply_of_one_channel_is_gray(tmp_path: Path, name: str) -> None:
    path = tmp_path / "tile.ply"
    path.write_text(
        f"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        f"property uchar {name}\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
        "0 0 0 128\n1 0 0 128\n0 1 0 128\n3 0 1 2\n"
    )
    assert read_mesh(path).colors.reshape(-1, 3) == pytest.approx(np.full((3, 3), to_linear(np.array(128 / 255))))


def test_a_ply_that_lost_its_picture_says_which(tmp_path: Path) -> None:
    path = tmp_path / "tile.ply"
    path.write_text(
        "ply\nformat ascii 1.0\ncomment TextureFile tile.png\nelement vertex 3\nproperty float x\nproperty float y\n"
        "property float z\nproperty float s\nproperty float t\nelement face 1\n"
        "property list uchar int vertex_indices\nend_header\n0 0 0 0 0\n1 0 0 1 0\n0 1 0 0 1\n3 0 1 2\n"
    )
    with pytest.raises(AssetError, match=r"tile\.ply: texture: its header names tile\.png, which is missing"):
        read_mesh(path)
    Image.new("RGB", (4, 4), (9, 9, 200)).save(tmp_path / "tile.png")
    assert (read_mesh(path).textures[0] == (9, 9, 200)).all()


def test_vertex_colors_of_a_glb_multiply_its_material(tmp_path: Path) -> None:
    mesh = BOX.copy()
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[0.5, 1.0, 1.0, 1.0])
    mesh.visual = trimesh.visual.TextureVisuals(material=material)
    mesh.visual.vertex_attributes["color"] = np.tile([255, 0, 51, 255], (len(mesh.vertices), 1)).astype(np.uint8)
    read = read_mesh(write_glb(tmp_path / "box.glb", mesh=mesh))
    assert read.colors.reshape(-1, 3) == pytest.approx(np.tile([0.5, 0, 0.2], (36, 1)), abs=0.005)


def test_srgb_goes_there_and_back() -> None:
    values = np.linspace(0, 1, 101)
    assert to_srgb(to_linear(values)) == pytest.approx(values, abs=1e-6)
    assert to_linear(np.array([0.5])) == pytest.approx([0.2140], abs=1e-4)

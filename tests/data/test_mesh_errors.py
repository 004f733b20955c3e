"""What the reader does not read is refused by its name; what is damaged is an AssetError, whatever the damage."""

import json
import logging
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from drawn_meshes import draw_gltf, picture
from drawn_polygons import draw_obj, draw_ply

from kyvo.data.meshes.mesh_files import AssetError, read_mesh
from kyvo.evaluation.geometry import read_objects

SQUARE = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 0, 0), (1, 1, 0), (0, 1, 0)], dtype="<f4")
UV = np.ascontiguousarray(SQUARE[:, :2])
KTX2 = b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(64)


def gltf(folder: Path, **changes) -> Path:
    """A textured square as a .gltf with its files beside it; `changes` replace parts of its JSON."""
    data = SQUARE.tobytes() + UV.tobytes()
    (folder / "a.bin").write_bytes(data)
    picture().save(folder / "quarters.png")
    tree = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(data), "uri": "a.bin"}],
        "bufferViews": [
            {"buffer": 0, "byteLength": SQUARE.nbytes},
            {"buffer": 0, "byteOffset": SQUARE.nbytes, "byteLength": UV.nbytes},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": 6},
            {"bufferView": 1, "componentType": 5126, "type": "VEC2", "count": 6},
        ],
        "images": [{"uri": "quarters.png"}],
        "textures": [{"source": 0}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "material": 0}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }
    path = folder / "a.gltf"
    path.write_text(json.dumps(tree | changes))
    return path


def primitive(**changes) -> dict:
    return {"meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "material": 0, **changes}]}]}


def base_color(**changes) -> dict:
    return {"materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, **changes}}}]}


def test_the_square_is_read(tmp_path: Path) -> None:
    assert len(read_mesh(gltf(tmp_path)).textures) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"extensionsRequired": ["ACME_curved_faces"]},
            "it requires the extension ACME_curved_faces, which is not read",
        ),
        ({"asset": {"version": "1.0"}}, r"it is glTF 1\.0; glTF 2\.0 is read"),
        ({"asset": {"version": "2.1", "minVersion": "2.1"}}, r"it is glTF 2\.1 at least"),
        (
            {"images": [{"uri": "lost.png"}]},
            r"texture: materials\[0\]\.baseColorTexture names lost\.png, which is missing",
        ),
        (
            {"images": [{"uri": "https://a.org/a.png"}]},
            r"texture: .*https://a\.org/a\.png; only files beside it are read",
        ),
        ({"images": [{"uri": "bark.ktx2"}]}, r"texture: .*names bark\.ktx2, which is in the format KTX2"),
        ({"images": [{"uri": "cut.png"}]}, r"texture: .*names cut\.png, which is no readable picture"),
        (
            {"textures": [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]},
            r"texture: .*has only a picture of KHR_texture_basisu",
        ),
        ({"textures": [{}]}, r"texture: materials\[0\]\.baseColorTexture has no picture"),
        (base_color(texCoord=3), r"materials\[0\] takes TEXCOORD_3, which meshes\[0\]\.primitives\[0\] has not"),
        (primitive(mode=9), "has the mode 9, which glTF 2.0 has not"),
        (primitive(attributes={"TEXCOORD_0": 1}), r"has no POSITION"),
        (primitive(attributes={"POSITION": 0, "TEXCOORD_0": 0}), r"has 3 numbers in a value of TEXCOORD_0"),
        (primitive(indices=1), "has indices that are no unsigned integers"),
        ({"scenes": [{}]}, r"scenes\[0\], the one that is shown, has no nodes"),
        ({"nodes": [{"mesh": 0, "skin": 0}], "skins": [{"joints": [0]}]}, "has no JOINTS_0 and WEIGHTS_0"),
        ({"nodes": [{"mesh": 0}, {"mesh": 0, "children": [0]}], "scenes": [{"nodes": [0, 1]}]}, "stands twice"),
        ({"nodes": [{"mesh": 0, "matrix": [1.0] * 16}]}, "has a matrix that is no affine one"),
        ({"nodes": [{"mesh": 0, "rotation": [0, 0, 0, 0]}]}, "a quaternion of length 0"),
        ({"nodes": [{"mesh": 0, "weights": [1]}]}, "has 0 morph targets, and 1 weights"),
        ({"nodes": [{"mesh": -1}]}, r"it names meshes\[-1\], and it has 1 of them"),
        ({"scenes": [{"nodes": [-1]}]}, r"it names nodes\[-1\]"),
        (primitive(material=-1), r"it names materials\[-1\]"),
        ({"nodes": [{"mesh": 0, "scale": [2]}]}, r"nodes\[0\] has the scale \[2\], and 3 numbers are needed"),
        ({"nodes": [{"mesh": 0, "translation": [2]}]}, r"the translation \[2\], and 3 numbers"),
        (
            {"materials": [{"pbrMetallicRoughness": {"baseColorFactor": [255, 128, 0, 1]}}]},
            r"colors: baseColorFactor of materials\[0\] goes from 0 to 255",
        ),
        (
            {"materials": [{"pbrMetallicRoughness": {"baseColorFactor": [1, 0]}}]},
            r"materials\[0\] has the baseColorFactor \[1, 0\], and 4 numbers",
        ),
        (
            {
                "bufferViews": [
                    {"buffer": 0, "byteLength": SQUARE.nbytes, "byteStride": 4},
                    {"buffer": 0, "byteOffset": SQUARE.nbytes, "byteLength": UV.nbytes},
                ]
            },
            r"accessors\[0\] has values of 12 bytes, and a byteStride of 4",
        ),
    ],
)
def test_a_gltf_is_refused_by_what_it_has(tmp_path: Path, changes: dict, message: str) -> None:
    path = gltf(tmp_path, **changes)
    (tmp_path / "bark.ktx2").write_bytes(KTX2)
    (tmp_path / "cut.png").write_bytes((tmp_path / "quarters.png").read_bytes()[:70])
    with pytest.raises(AssetError, match=rf"a\.gltf.*{message}"):
        read_mesh(path)


def test_compressed_data_without_a_plain_copy_are_refused_by_the_extension(tmp_path: Path) -> None:
    path = gltf(tmp_path)
    tree = json.loads(path.read_text())
    tree["buffers"].append({"byteLength": 999, "extensions": {"EXT_meshopt_compression": {"fallback": True}}})
    tree["bufferViews"][0] = {"buffer": 1, "byteLength": 72, "extensions": {"EXT_meshopt_compression": {"buffer": 0}}}
    path.write_text(json.dumps(tree))
    with pytest.raises(AssetError, match=r"bufferViews\[0\] is compressed \(EXT_meshopt_compression\)"):
        read_mesh(path)


def test_extensions_without_effect_are_no_reason(tmp_path: Path) -> None:
    path = gltf(tmp_path, extensionsRequired=["KHR_materials_unlit", "KHR_mesh_quantization"])
    assert len(read_mesh(path).triangles) == 2
    path = gltf(tmp_path, extensionsUsed=["ACME_curved_faces"])
    assert len(read_mesh(path).triangles) == 2


def test_a_node_that_is_not_visible_is_left_out(tmp_path: Path) -> None:
    nodes = [{"mesh": 0}, {"mesh": 0, "extensions": {"KHR_node_visibility": {"visible": False}}}]
    assert len(read_mesh(gltf(tmp_path, nodes=nodes, scenes=[{"nodes": [0, 1]}])).triangles) == 2


@pytest.mark.parametrize(("mode", "word"), [(0, "points"), (1, "lines"), (2, "lines"), (3, "lines")])
def test_points_and_lines_beside_triangles_are_told_of(tmp_path: Path, caplog, mode: int, word: str) -> None:
    parts = primitive()["meshes"][0]["primitives"] + primitive(mode=mode)["meshes"][0]["primitives"]
    with caplog.at_level(logging.WARNING):
        assert len(read_mesh(gltf(tmp_path, meshes=[{"primitives": parts}])).triangles) == 2
    assert f"it has {word} beside its triangles; they have no surface and are left out" in caplog.text
    with pytest.raises(AssetError, match="faces: there are none"):
        read_mesh(gltf(tmp_path, meshes=[{"primitives": parts[1:]}]))
    if word == "points":
        assert read_objects(tmp_path / "a.gltf", 100, [0])["nodes[0]"].shape == (6, 3)


def test_a_cut_out_is_told_of(tmp_path: Path, caplog) -> None:
    materials = base_color()["materials"]
    hidden = {"alphaMode": "BLEND", "pbrMetallicRoughness": {"baseColorFactor": [1, 1, 1, 0]}}
    for material in (materials[0] | {"alphaMode": "MASK"}, hidden):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            read_mesh(gltf(tmp_path, materials=[material]))
        assert "materials[0] is cut out or hidden by its alpha; its triangles are read whole" in caplog.text


def test_colors_of_a_gltf_beyond_one_are_refused(tmp_path: Path) -> None:
    attributes = {"POSITION": 0, "COLOR_0": 0}
    with pytest.raises(AssetError, match=r"colors: COLOR_0 of meshes\[0\]\.primitives\[0\] goes from 0 to 255"):
        (tmp_path / "big").mkdir()
        path = gltf(tmp_path / "big", **primitive(attributes=attributes))
        (path.parent / "a.bin").write_bytes((SQUARE * 255).tobytes() + UV.tobytes())
        read_mesh(path)
    assert len(read_mesh(gltf(tmp_path, **primitive(attributes=attributes | {"TEXCOORD_0": 1}))).triangles) == 2


def test_colors_that_morph_beyond_one_are_clamped(tmp_path: Path) -> None:
    colored = {"POSITION": 0, "COLOR_0": 0, "TEXCOORD_0": 1}
    path = gltf(tmp_path, **primitive(attributes=colored, targets=[{"COLOR_0": 0}]))
    tree = json.loads(path.read_text())
    tree["meshes"][0]["weights"] = [0.5]
    path.write_text(json.dumps(tree))
    assert read_mesh(path).colors == pytest.approx(SQUARE.reshape(2, 3, 3))


def test_a_morph_target_of_zeros_needs_no_data(tmp_path: Path) -> None:
    path = gltf(tmp_path, **primitive(targets=[{"POSITION": 2}]))
    tree = json.loads(path.read_text())
    tree["accessors"].append({"componentType": 5126, "type": "VEC3", "count": 6})
    tree["meshes"][0]["weights"] = [1.0]
    path.write_text(json.dumps(tree))
    assert read_mesh(path).triangles == pytest.approx(SQUARE.reshape(2, 3, 3))


TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\n"


@pytest.mark.parametrize(
    ("obj", "mtl", "message"),
    [
        ("f 1 2 4\n", "", "faces: one names vertex 4 of 3"),
        ("f 1 2 0\n", "", "faces: one names vertex 0 of 3"),
        ("f 1 2 -4\n", "", "faces: one names vertex 0 of 3"),
        ("f 1 2 x\n", "", r"is not a readable \.obj"),
        ("f 1/1/1/1 2 3\n", "", "a corner that is no index"),
        ("v 1 2\nf 1 2 3\n", "", r"a vertex has 2 numbers; x y z \[w\] and"),
        ("v 1 2 3 0.5\nf 1 2 3\n", "", "vertices: 1 of 4 have a weight w other than 1"),
        ("v 0 0 0 2.5 0 0\nf 1 2 3\n", "", "colors: those of vertices go from 0 to 2.5"),
        ("surf 0 1 0 1 1 2 3\n", "", "surf: a free-form curve or surface, which is not read"),
        ("call other.obj\n", "", "call: a command that brings in another file"),
        ("usemap wood\nf 1 2 3\n", "", "usemap: a texture map beside the material"),
        ("mtllib lost.mtl\nf 1 2 3\n", "", r"texture: mtllib names lost\.mtl, which is missing"),
        ("mtllib a.mtl\nusemtl other\nf 1 2 3\n", "newmtl m", "usemtl names the material other, which no library has"),
        ("mtllib a.mtl\nusemtl other\nf 1 2 3\n", "", "usemtl names the material other, which no library has"),
        ("mtllib a.mtl\nusemtl m\nf 1 2 3\n", "newmtl m\nKd spectral a.rfl", "`Kd spectral a.rfl`"),
        ("mtllib a.mtl\nusemtl m\nf 1 2 3\n", "newmtl m\nKd 2.5 0 0", "colors: Kd of a.mtl go from 0 to 2.5"),
        ("mtllib a.mtl\nusemtl m\nf 1 2 3\n", "newmtl m\ndecal a.png", "`decal a.png`, which is not read"),
        ("mtllib a.mtl\nusemtl m\nf 1 2 3\n", "newmtl m\nmap_Kd -mm 0.1 1 a.png", "the option -mm 0.1 1"),
        ("mtllib a.mtl\nusemtl m\nf 1 2 3\n", "newmtl m\nmap_Kd -imfchan r a.png", "the option -imfchan r"),
        ("mtllib a.mtl\nusemtl m\nf 1/1 2/1 3/1\n", "newmtl m\nmap_Kd lost.png", r"map_Kd of a\.mtl names lost\.png"),
        ("mtllib a.mtl\nusemtl m\nf 1/1 2/1 3/2\n", "newmtl m\nmap_Kd a.png", "names texture coordinate 2 of 1"),
        ("v 0 0 1.#IND\nf 1 2 3\n", "", "a vertex has '1.#IND' in the place of a number"),
        ("v 0 1,5 0\nf 1 2 3\n", "", "a vertex has '1,5' in the place of a number"),
        ("f 1.0 2 3\n", "", "a face has '1.0' in the place of a number"),
        ("#MRGB ffff0000\nf 1 2 3\n", "", "the comments #MRGB have 1 of them for 3 vertices"),
    ],
)
def test_an_obj_is_refused_by_what_it_has(tmp_path: Path, obj: str, mtl: str, message: str) -> None:
    path = tmp_path / "a.obj"
    path.write_text(TRIANGLE + obj)
    (tmp_path / "a.mtl").write_text(mtl)
    picture().save(tmp_path / "a.png")
    with pytest.raises(AssetError, match=rf"a\.obj.*{message}"):
        read_mesh(path)


def test_a_fault_of_a_material_that_no_face_has_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd lost.png\nnewmtl n\nKd xyz 1\n")
    (tmp_path / "a.obj").write_text(f"mtllib a.mtl\n{TRIANGLE}f 1 2 3\n")
    assert len(read_mesh(tmp_path / "a.obj").triangles) == 1


def test_a_face_of_two_corners_is_a_line(tmp_path: Path, caplog) -> None:
    (tmp_path / "a.obj").write_text(f"{TRIANGLE}f 1 2 3\nf 1 2\n")
    (tmp_path / "a.ply").write_text(
        HEAD.format("", "") + FACE.format("").replace("face 1", "face 2") + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n2 0 1\n"
    )
    for name in ("a.obj", "a.ply"):
        with caplog.at_level(logging.WARNING):
            assert len(read_mesh(tmp_path / name).triangles) == 1
        assert f"{name}: it has lines beside its triangles" in caplog.text


def test_words_that_are_no_statements_of_an_obj_are_told_of(tmp_path: Path, caplog) -> None:
    (tmp_path / "a.obj").write_text(f"{TRIANGLE}f 1 2 3\nl 1 2\nacme 5\n")
    with caplog.at_level(logging.WARNING):
        read_mesh(tmp_path / "a.obj")
    assert "lines that begin with acme are no known statements" in caplog.text
    assert "it has lines beside its triangles" in caplog.text


HEAD = "ply\nformat ascii 1.0\n{}element vertex 3\nproperty float x\nproperty float y\nproperty float z\n{}"
FACE = "element face 1\nproperty list uchar int vertex_indices\n{}end_header\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.format("", "property float red\nproperty float green\nproperty float blue\n") + FACE.format("")
         + "0 0 0 0.5 0 0\n1 0 0 3.5 0 0\n0 1 0 0 0 0\n3 0 1 2\n", "colors: those of element vertex go from 0 to 3.5"),
        (HEAD.format("comment TextureFile a.png\n", "") + FACE.format("") + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
         "texture: its header names a picture, and nothing in it has texture coordinates"),
        (HEAD.format("comment TextureFile a.png\ncomment TextureFile b.png\n", "property float s\nproperty float t\n")
         + FACE.format("") + "0 0 0 0 0\n1 0 0 0 0\n0 1 0 0 0\n3 0 1 2\n",
         "texture: its header names 2 pictures, and its faces have no texnumber"),
        (HEAD.format("", "") + FACE.format("property int material_index\nelement material 1\nproperty uchar red\n")
         + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2 0\n9\n", "colors: those of its element material are not read"),
        (HEAD.format("", "") + FACE.format("") + "0 0 0\n1 0 0\n0 x 0\n3 0 1 2\n", r"is not a readable \.ply"),
        (HEAD.format("", "") + FACE.format("") + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n7 7\n", "2 numbers are left after"),
        (HEAD.format("", "") + FACE.format("") + "0 0 0\n1 0 0\n0 1 0\n4 0 1 2\n", "it ends in row 1 of 1 of element"),
        (HEAD.format("", "property quad w\n") + FACE.format(""), r"its header has the line 'property quad w'"),
        (HEAD.format("", "") + FACE.format("") + "0 0 0\n1 0 0\n0 x 0\n3 0 1 2\n", "its body has 'x' in the place"),
        (HEAD.format("", "property float x\n") + FACE.format(""), r"its header has vertex\.x twice"),
        (HEAD.format("", "") + FACE.replace("uchar int", "uchar float").format("")
         + "0 0 0\n1 0 0\n0 1 0\n3 0 1.5 2\n", "a corner that is no whole number"),
        (HEAD.format("", "") + FACE.replace("face", "trifans").format("") + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
         "faces: those of its element trifans are not read"),
        (HEAD.format("", "") + FACE.replace("vertex_indices", "corners").format("")
         + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "faces: they have the list corners; vertex_indices is read"),
        (HEAD.format("", "property uchar red\nproperty uchar green\n") + FACE.format("")
         + "0 0 0 9 9\n1 0 0 9 9\n0 1 0 9 9\n3 0 1 2\n", "colors: those of element vertex have red and green alone"),
        (HEAD.format("", "") + FACE.replace("face", "tristrips").format("property uchar red\nproperty uchar green\n"
         "property uchar blue\n") + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2 9 9 9\n", "colors: those of strips are not read"),
        (HEAD.format("comment TextureFile a.png\n", "property float s\nproperty float t\n")
         + FACE.format("property int texnumber\n") + "0 0 0 0 0\n1 0 0 0 0\n0 1 0 0 0\n3 0 1 2 5\n",
         "a face has the texnumber 5, and its header names 1 pictures"),
    ],
)  # fmt: skip
def test_a_ply_is_refused_by_what_it_has(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.ply").write_text(text)
    with pytest.raises(AssetError, match=rf"a\.ply.*{message}"):
        read_mesh(tmp_path / "a.ply")


@pytest.mark.parametrize("draw", [draw_gltf, draw_obj, draw_ply])
def test_damage_is_an_error_of_the_file(tmp_path: Path, draw) -> None:
    """Bytes of good files are cut, dropped, changed and doubled."""
    rng = np.random.default_rng(0)
    for number in range(12):
        good = tmp_path / f"good{number}"
        good.mkdir()
        name = draw(rng, good).path.name
        for _ in range(8):
            bad = tmp_path / "bad"
            shutil.copytree(good, bad, dirs_exist_ok=True)
            files = [file for file in sorted(bad.rglob("*")) if file.is_file() and file.stat().st_size]
            file = files[rng.integers(len(files))]
            data = bytearray(file.read_bytes())
            at, length = int(rng.integers(len(data))), int(rng.integers(1, 30))
            match rng.integers(4):
                case 0:
                    data = data[:at]
                case 1:
                    del data[at : at + length]
                case 2:
                    data[at] = int(rng.integers(256))
                case _:
                    data[at:at] = data[at : at + length]
            file.write_bytes(data)
            try:
                assert np.isfinite(read_mesh(bad / name).triangles).all()
            except AssetError as error:
                assert name in str(error)
            shutil.rmtree(bad)


def test_a_glb_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    text = gltf(tmp_path).read_bytes()
    (tmp_path / "b.glb").write_bytes(text)  # JSON under the other name
    assert len(read_mesh(tmp_path / "b.glb").triangles) == 2
    text = text + b" " * (-len(text) % 4)
    head = b"glTF" + struct.pack("<IIII", 2, 20 + len(text), len(text), 0x4E4F534A)
    (tmp_path / "c.gltf").write_bytes(head + text)
    assert len(read_mesh(tmp_path / "c.gltf").triangles) == 2
    (tmp_path / "d.glb").write_bytes(b"glTF" + struct.pack("<II", 1, 20) + bytes(8))
    with pytest.raises(AssetError, match=r"d\.glb: it is a GLB of version 1; version 2 is read"):
        read_mesh(tmp_path / "d.glb")

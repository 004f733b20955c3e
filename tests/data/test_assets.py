"""Mesh files become upright assets; a bad one is an error that names its file and field, and the others go on."""

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from trimesh.exchange.gltf import export_glb
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from kyvo.data.meshes.assets import INDEX, UP, AssetError, corner_normals, load_asset, load_library, rotation_matrix
from kyvo.data.meshes.mesh_files import to_linear
from kyvo.data.meshes.procedural import BUILDERS, procedural_library, variants_of

BRICK = (0.2, 0.4, 1.0)  # sides of a box along x, y, z


def brick(path: Path, *, sides: tuple[float, float, float] = BRICK) -> Path:
    mesh = trimesh.creation.box(sides)
    path.write_bytes(trimesh.exchange.gltf.export_glb(trimesh.Scene(mesh)))
    return path


def textured_obj(folder: Path, *, picture: bool = True) -> Path:
    (folder / "tile.obj").write_text(
        "mtllib tile.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl tile\nf 1/1 2/2 3/3\n"
    )
    (folder / "tile.mtl").write_text("newmtl tile\nKd 1 1 1\nmap_Kd tile.png\n")
    if picture:
        Image.new("RGB", (4, 4), (200, 10, 10)).save(folder / "tile.png")
    return folder / "tile.obj"


def glb_tree(path: Path, change) -> Path:
    """The GLB with its JSON changed."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<I", data, 12)
    tree = json.loads(data[20 : 20 + size])
    change(tree)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + data[20 + size :]
    path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body)
    return path


@pytest.mark.parametrize("up_axis", sorted(UP))
def test_the_up_axis_of_the_file_becomes_z(tmp_path: Path, up_axis: str) -> None:
    sides = [0.2, 0.2, 0.2]
    sides["xyz".index(up_axis[1])] = 1.0
    path = brick(tmp_path / "brick.glb", sides=(sides[0], sides[1], sides[2]))
    asset = load_asset(path, category="brick", up_axis=up_axis)
    assert asset.extent == pytest.approx((0.2, 0.2, 1.0), abs=1e-6)
    assert np.linalg.det(np.array(UP[up_axis])) == pytest.approx(1)
    assert np.array(UP[up_axis])[2] @ np.eye(3)["xyz".index(up_axis[1])] == (1 if up_axis[0] == "+" else -1)


def test_an_asset_is_scaled_turned_to_rest_and_centred(tmp_path: Path) -> None:
    path = brick(tmp_path / "brick.glb")
    asset = load_asset(path, category="brick", up_axis="+z", scale=2.0, resting_pose=(math.pi / 2, 0.0, 0.0))
    assert asset.extent == pytest.approx((0.4, 2.0, 0.8), abs=1e-5)
    corners = asset.triangles.reshape(-1, 3)
    assert corners.min(0) + corners.max(0) == pytest.approx([0, 0, 0], abs=1e-9)
    assert asset.radius == pytest.approx(math.hypot(0.2, 1.0), abs=1e-5)


@given(st.tuples(*[st.floats(-4, 4)] * 3))
def test_a_pose_turns_about_x_then_y_then_z(pose: tuple[float, float, float]) -> None:
    single = [rotation_matrix(tuple(a if i == j else 0.0 for j, a in enumerate(pose))) for i in range(3)]  # type: ignore[arg-type]
    assert rotation_matrix(pose) == pytest.approx(single[2] @ single[1] @ single[0])
    assert rotation_matrix((0.0, 0.0, math.pi / 2)) @ [1, 0, 0] == pytest.approx([0, 1, 0])


def test_normals_are_smooth_on_a_ball_and_sharp_on_a_box() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3).triangles
    assert (corner_normals(ball) * ball).sum(-1) == pytest.approx(1, abs=1e-2)
    box = trimesh.creation.box().triangles
    flat = np.cross(box[:, 1] - box[:, 0], box[:, 2] - box[:, 0])
    assert corner_normals(box) == pytest.approx(np.repeat(flat[:, None], 3, axis=1), abs=1e-9)


def test_an_obj_brings_its_texture(tmp_path: Path) -> None:
    asset = load_asset(textured_obj(tmp_path), category="tile")
    assert (asset.texture == 0).all()
    assert (asset.textures[0] == (200, 10, 10)).all()
    assert sorted(asset.uv.reshape(-1, 2).tolist()) == [[0, 0], [0, 1], [1, 0]]


def test_a_bad_asset_names_its_row_file_and_field_and_the_others_go_on(tmp_path: Path) -> None:
    brick(tmp_path / "good.glb")
    broken = trimesh.creation.box(BRICK)
    broken.vertices[3, 1] = np.nan
    (tmp_path / "nan.glb").write_bytes(trimesh.exchange.gltf.export_glb(trimesh.Scene(broken)))
    glb_tree(brick(tmp_path / "empty.glb"), lambda tree: tree.update(meshes=[], nodes=[], scenes=[{}]))
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\n")
    lost = tmp_path / "lost"
    lost.mkdir()
    textured_obj(lost, picture=False)
    brick(tmp_path / "large.glb", sides=(900.0, 1.0, 1.0))
    (tmp_path / "cut.glb").write_bytes((tmp_path / "good.glb").read_bytes()[:100])
    (tmp_path / "text.glb").write_text("no mesh at all")
    rows = [
        ({"file": "good.glb", "category": "brick"}, None),
        ({"file": "nan.glb", "category": "brick"}, r"nan\.glb: vertices: 1 of 8 have a coordinate that is NaN"),
        ({"file": "empty.glb", "category": "brick"}, r"empty\.glb: faces: there are none"),
        ({"file": "points.obj", "category": "brick"}, r"points\.obj: faces: there are none"),
        ({"file": "lost/tile.obj", "category": "tile"}, r"tile\.obj: texture: map_Kd of tile\.mtl names tile\.png"),
        (
            {"file": "large.glb", "category": "brick"},
            r"scale: 1 makes .*large\.glb 900 .*scale 0\.00111 makes it 1 long",
        ),
        ({"file": "cut.glb", "category": "brick"}, r"file: .*cut\.glb is not a readable \.glb"),
        ({"file": "text.glb", "category": "brick"}, r"file: .*text\.glb is not a readable \.glb .*begin with glTF"),
        ({"file": "none.glb", "category": "brick"}, r"file: .*none\.glb does not exist"),
        ({"file": "good.glb", "category": "brick", "up_axis": "up"}, r"up_axis: 'up' is no axis; known are \+x"),
        ({"file": "good.glb", "category": "brick", "scale": -1}, r"scale: -1 is no positive number"),
        ({"file": "good.glb", "category": "brick", "resting_pose": [1]}, r"resting_pose: \[1\] is no list of three"),
        ({"file": "good.glb", "category": "brick", "colour": "red"}, r"colour: not a field of an asset"),
        ({"file": "good.glb"}, r"category: None is no name"),
        ({"file": "good.glb", "category": "brick"}, r"name: 'good' stands twice"),
        ({"file": "good.glb", "category": "brick", "name": "second"}, None),
    ]
    (tmp_path / INDEX).write_text(yaml.safe_dump({"assets": [row for row, _ in rows]}))
    library = load_library(tmp_path)
    assert list(library.assets) == ["good", "second"]
    expected = [(number, message) for number, (_, message) in enumerate(rows) if message]
    assert len(library.faults) == len(expected)
    for fault, (number, message) in zip(library.faults, expected, strict=True):
        with pytest.raises(AssetError, match=rf"assets\.yaml: assets\[{number}\]\."):
            raise fault
        with pytest.raises(AssetError, match=message):
            raise fault
    with pytest.raises(AssetError, match=r"no asset of category 'sofa'; it has brick\. 14 assets were left out"):
        library.of("sofa")


def test_a_glb_that_lost_its_picture_says_which(tmp_path: Path) -> None:
    textured = trimesh.Trimesh(
        vertices=np.eye(3),
        faces=[[0, 1, 2]],
        visual=trimesh.visual.TextureVisuals(
            uv=np.eye(3)[:, :2],
            material=trimesh.visual.material.PBRMaterial(baseColorTexture=Image.new("RGB", (4, 4), (9, 9, 200))),
        ),
    )
    path = tmp_path / "tile.glb"
    path.write_bytes(trimesh.exchange.gltf.export_glb(trimesh.Scene(textured)))
    assert (load_asset(path, category="tile").textures[0] == (9, 9, 200)).all()
    glb_tree(path, lambda tree: tree.update(images=[{"uri": "gone.png"}]))
    with pytest.raises(
        AssetError, match=r"tile\.glb: texture: materials\[0\]\.baseColorTexture names gone\.png.*missing"
    ):
        load_asset(path, category="tile")


@pytest.mark.parametrize("text", ["assets: []", "assets: [", "- 1", "{}"])
def test_a_yaml_that_lists_no_assets_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(AssetError, match=r"assets\.yaml: "):
        load_library(tmp_path)


def test_a_library_without_one_good_asset_is_refused(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text("assets: [{file: a.glb, category: a}]")
    with pytest.raises(AssetError, match=r"none of its 1 assets can be used. The first: .*a\.glb does not exist"):
        load_library(tmp_path)


def write_library(folder: Path, *, seed: int, variants: int) -> None:
    """The procedural library as GLB files with materials, and its `assets.yaml`."""
    rows = []
    for name, category, parts in variants_of(seed, variants):
        scene = trimesh.Scene()
        for number, part in enumerate(parts):
            linear = (*to_linear(np.array(part.color) / 255).tolist(), 1.0)
            material = PBRMaterial(
                name=f"{name}-{number}", baseColorFactor=linear, metallicFactor=0.0, roughnessFactor=0.8
            )
            y_up = part.triangles.reshape(-1, 3)[:, [0, 2, 1]] * (1, 1, -1)
            scene.add_geometry(
                trimesh.Trimesh(
                    vertices=y_up,
                    faces=np.arange(len(y_up)).reshape(-1, 3),
                    visual=TextureVisuals(material=material),
                    process=False,
                ),
                geom_name=f"{name}-{number}",
            )
        (folder / f"{name}.glb").write_bytes(export_glb(scene))
        rows.append({"file": f"{name}.glb", "category": category, "up_axis": "+y", "scale": 1.0})
    (folder / INDEX).write_text(yaml.safe_dump({"assets": rows}, sort_keys=False))


def test_the_procedural_library_is_the_same_as_its_files(tmp_path: Path) -> None:
    made = procedural_library(seed=3, variants=1)
    write_library(tmp_path, seed=3, variants=1)
    read = load_library(tmp_path)
    assert not read.faults
    assert read.categories == made.categories == tuple(BUILDERS)
    for name, asset in made.assets.items():
        assert read.assets[name].extent == pytest.approx(asset.extent, abs=1e-5)
        # glTF readers may order the parts as they like; 8 bits of color.
        ours = np.sort(np.concatenate([asset.triangles, asset.colors], -1).reshape(-1, 6).sum(1))
        theirs = read.assets[name]
        assert np.sort(np.concatenate([theirs.triangles, theirs.colors], -1).reshape(-1, 6).sum(1)) == pytest.approx(
            ours, abs=0.01
        )


def test_procedural_parts_are_wound_outwards_and_set_by_their_seed() -> None:
    for build in BUILDERS.values():
        parts = build(np.random.default_rng(0))
        again = build(np.random.default_rng(0))
        assert len({part.name for part in parts}) == len(parts)
        for part, same in zip(parts, again, strict=True):
            mesh = part.triangles
            volume = (mesh[:, 0] * np.cross(mesh[:, 1], mesh[:, 2])).sum() / 6
            assert volume > 0, build.__name__
            assert (part.color, part.name) == (same.color, same.name)
            assert (mesh == same.triangles).all()


def test_real_scans_load_upright_with_their_textures(shared_data: Path) -> None:
    paths = sorted((shared_data / "meshes" / "glb").glob("*.glb"))
    assert len(paths) == 29
    for path in paths[::3]:
        plain = load_asset(path, category="thing", scale=1.0 if path.name.startswith(("kay", "ken")) else 2.0)
        assert plain.textures, path.name
        assert np.isfinite(plain.triangles).all()
        assert (plain.texture >= 0).any()

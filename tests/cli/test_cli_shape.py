"""`kyvo shape` as a user calls it: files, messages and exit codes, with a tiny tokenizer that is not trained."""

import json
import struct

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from tiny_shapes import tiny_tokenizer, write_box

from kyvo.cli.main import run
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.code_files import CodeFile
from kyvo.shapes.gaussian_files import read_gaussians
from kyvo.shapes.mesh import load_shape

pytest.importorskip("open3d")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer().save(path)
    return path


@pytest.fixture
def kyvo(capsys, folder, tmp_path, monkeypatch):
    """`kyvo("encode", path)` -> (exit code, stdout, stderr) of `kyvo shape encode`, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(command, *arguments):
        with pytest.raises(SystemExit) as stopped:
            run(["shape", command, *map(str, arguments), "--shape-tokenizer", str(folder)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stopped.value.code or 0, out, err

    return call


def write_bad_files(place):
    """One of each kind; name -> what is said of it."""
    (place / "points.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    (place / "one.obj").write_text("v 0 0 0\nf 1 1 1\n")
    (place / "nan.obj").write_text("v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (place / "untextured.obj").write_text("mtllib lost.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (place / "huge.glb").write_bytes(b"glTF" + struct.pack("<II", 2, 4_000_000_000))
    (place / "many.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nelement face 5000000\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    (place / "what.stl").write_text("solid")
    return {
        "points.obj": "faces: there are none",
        "one.obj": "no area",
        "nan.obj": "NaN or infinite",
        "untextured.obj": "mtllib names lost.mtl, which is missing",
        "huge.glb": "claims 4,000,000,000 bytes",
        "many.ply": "more than 2,000,000",
        "what.stl": "of no known kind",
        "gone.glb": "does not exist",
    }


def test_a_mesh_comes_back_to_its_own_place_and_size(kyvo, tmp_path):
    vertices = write_box(tmp_path / "box.glb", center=(100, -20, 7))
    assert kyvo("encode", "box.glb", "--out", "codes.json") == (0, "1 of 1 meshes encoded: codes.json\n", "")
    (item,) = CodeFile.load("codes.json").objects
    assert (item.name, item.source, item.codes.shape) == ("box", "box.glb", (64,))
    assert item.place.size == 4 and item.place.center == (100, -7, -20)  # y up in the file, z up here
    assert kyvo("decode", "codes.json", "--out", "meshes")[0] == 0
    found = trimesh.load(tmp_path / "meshes" / "box.glb", force="mesh").bounds
    middle, longest = (vertices.min(0) + vertices.max(0)) / 2, 4
    # Not trained, it fills the cube that the mesh was moved into; lonely cells stand out by a quarter of a cell.
    assert np.abs(found - middle).max() <= longest / 2 + longest / 16 / 4 + 1e-4
    assert (found[1] - found[0] > longest / 2).all()


def test_each_format_of_a_decoded_object_is_its_own_file(kyvo, tmp_path):
    write_box(tmp_path / "box.obj")
    kyvo("encode", "box.obj", "--out", "codes.npz")
    for format, name in (("glb", "box.glb"), ("ply", "box.ply"), ("gaussians", "box.gaussians.ply")):
        assert kyvo("decode", "codes.npz", "--out", "out", "--format", format)[0] == 0
        assert (tmp_path / "out" / name).stat().st_size > 500
    glb, ply = (load_shape(tmp_path / "out" / name) for name in ("box.glb", "box.ply"))
    assert glb.extent == pytest.approx(ply.extent, abs=1e-3)
    (item,) = CodeFile.load("codes.npz").objects
    latent = tiny_tokenizer().decode(item.codes[None])[0]
    assert len(read_gaussians(tmp_path / "out" / "box.gaussians.ply")) == len(latent.coords)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["box.gaussians.ply", "box.glb", "box.ply"]


def test_bad_files_are_named_with_their_reason_and_the_good_one_is_done(kyvo, tmp_path):
    write_box(tmp_path / "box.glb")
    faults = write_bad_files(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    code, out, err = kyvo("encode", *faults, "box.glb", "--out", "codes.json", "--json")
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == len(faults)
    for line, (name, reason) in zip(lines, faults.items(), strict=True):
        assert line.startswith("failed: ") and name in line and reason in line
    told = json.loads(out)
    assert [row["file"] for row in told["done"]] == ["box.glb"]
    assert [row["file"] for row in told["failed"]] == list(faults)
    assert {path.name for path in tmp_path.iterdir()} == before | {"codes.json"}


def test_where_all_files_are_bad_nothing_is_written(kyvo, tmp_path):
    (tmp_path / "points.obj").write_text("v 0 0 0\n")
    (tmp_path / "codes.json").write_text('{"format": "other"}')
    before = {path.name for path in tmp_path.iterdir()}
    assert kyvo("encode", "points.obj", "--out", "more.json")[0] == 1
    assert kyvo("show", "points.obj", "--out", "all.png")[0] == 1
    code, _, err = kyvo("decode", "codes.json", "--out", ".")
    assert code == 1 and "codes.json: it is no file of codes" in err
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.slow
def test_a_round_trip_prints_the_stages_and_draws_the_mesh_from_four_sides(kyvo, tmp_path):
    write_box(tmp_path / "box.glb")
    (tmp_path / "points.obj").write_text("v 0 0 0\n")
    code, out, err = kyvo("roundtrip", "box.glb", "points.obj")
    assert code == 1 and "failed: file: points.obj" in err
    for word in ("box.glb", "features", "network", "tokens", "1 of 2 meshes", "% of 64 codes used"):
        assert word in out
    with Image.open(tmp_path / "out" / "shapes" / "box.png") as sheet:
        assert sheet.width > 4 * 256 and sheet.height > 3 * 256


@pytest.mark.slow
def test_a_round_trip_is_told_as_json(kyvo, tmp_path):
    write_box(tmp_path / "box.glb")
    code, out, _ = kyvo("roundtrip", "box.glb", "--json")
    told = json.loads(out)
    assert code == 0 and told["done"][0]["stages"]["features"]["f_score"] > 0.99
    assert 1 / 64 <= told["codes_used"] <= 1


@pytest.mark.slow
def test_meshes_codes_and_latents_are_drawn_a_row_each(kyvo, tmp_path):
    write_box(tmp_path / "box.glb")
    kyvo("encode", "box.glb", "--out", "codes.json")
    cells = torch.tensor([[1, 2, 3], [10, 20, 30], [60, 0, 5]])
    StructuredLatent(coords=cells, feats=torch.eye(3, 8)).save(tmp_path / "theirs.npz")
    tiny_tokenizer().decode(CodeFile.load("codes.json").objects[0].codes[None])[0].save(tmp_path / "ours.npz")
    names = ("box.glb", "codes.json", "theirs.npz", "ours.npz")
    code, out, err = kyvo("show", *names, "--out", "pictures/all.png")
    assert (code, out, err) == (0, "4 objects drawn: pictures/all.png\n", "")
    with Image.open(tmp_path / "pictures" / "all.png") as four:
        assert four.height > 4 * 256


def test_files_that_are_there_stay_unless_forced(kyvo, tmp_path):
    write_box(tmp_path / "box.glb")
    (tmp_path / "codes.json").write_text("mine")
    code, _, err = kyvo("encode", "box.glb", "--out", "codes.json")
    assert code == 1 and "codes.json exists; pass --force" in err and (tmp_path / "codes.json").read_text() == "mine"
    assert kyvo("encode", "box.glb", "--out", "codes.json", "--force")[0] == 0
    before = (tmp_path / "box.glb").read_bytes()
    code, _, err = kyvo("decode", "codes.json", "--out", ".")
    assert code == 1 and "box.glb exists; pass --force" in err and (tmp_path / "box.glb").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("encode", "box.glb", "--out", "codes.txt"), "codes are kept in .json or .npz"),
        (("decode", "codes.json", "--out", "out", "--format", "stl"), "no format is called 'stl'"),
        (("show", "box.glb", "--out", "all.jpg"), "all.jpg does not end in .png"),
    ],
)
def test_wrong_usage_is_told_before_any_work(kyvo, tmp_path, arguments, message):
    code, _, err = kyvo(*arguments)
    assert code == 2 and message in " ".join(err.split())
    assert not list(tmp_path.iterdir())


def test_a_tokenizer_that_is_not_there_is_wrong_usage(capsys, tmp_path):
    write_box(tmp_path / "box.glb")
    with pytest.raises(SystemExit) as stopped:
        run(["shape", "roundtrip", str(tmp_path / "box.glb"), "--shape-tokenizer", "giant", "--out", str(tmp_path)])
    assert stopped.value.code == 2 and "neither a folder" in capsys.readouterr().err

"""`kyvo generate` as a user calls it, with a tiny generator that is not trained: files, messages, exit codes."""

import json

import numpy as np
import pytest
from PIL import Image
from tiny_generators import SIDE, write_tiny_pipeline
from tiny_shapes import write_box

from kyvo.cli.main import run
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.gaussian_files import read_gaussians
from kyvo.shapes.mesh import load_placed

pytest.importorskip("open3d")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_pipeline(tmp_path_factory.mktemp("generator"))


@pytest.fixture
def kyvo(capsys, folder, tmp_path, monkeypatch):
    """`kyvo("object", "a chair")` -> (exit code, stdout, stderr) of `kyvo generate object`, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(command, *arguments, model=folder):
        with pytest.raises(SystemExit) as stopped:
            run(["generate", command, *map(str, arguments), "--model", str(model)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stopped.value.code or 0, out, err

    return call


def latent_of(path) -> StructuredLatent:
    return StructuredLatent.load(path, resolution=SIDE)


def picture(path, *, size=64):
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[size // 4 : size // 2, size // 4 : size // 2] = (200, 40, 30, 255)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("format", ["glb", "ply", "gaussians", "latent"])
def test_a_text_becomes_a_file_of_each_object(kyvo, tmp_path, format):
    suffix = {"gaussians": ".gaussians.ply", "latent": ".npz"}.get(format, f".{format}")
    arguments = ["a red chair", "--count", 2, "--format", format, "--out", f"chairs{suffix}", "--json"]
    code, out, err = kyvo("object", *arguments)
    assert code == 0 and err == ""
    said = json.loads(out)
    assert said["files"] == [f"chairs-0{suffix}", f"chairs-1{suffix}"]
    for file, item in zip(said["files"], said["objects"], strict=True):
        path = tmp_path / file
        if format == "latent":
            assert len(latent_of(path).coords) == item["cells"]
        elif format == "gaussians":
            assert len(read_gaussians(path).positions) == item["cells"]
        else:
            assert len(load_placed(path)[0].triangles)


def test_a_sheet_shows_all_objects_from_around(kyvo, tmp_path):
    code, out, _ = kyvo("object", "a red chair", "--count", 2, "--format", "video-sheet", "--out", "chairs.png")
    assert code == 0 and "2 objects in" in out
    sheet = Image.open(tmp_path / "chairs.png")
    assert sheet.width >= 8 * 128 and sheet.height >= 2 * 128


def test_a_picture_becomes_an_object(kyvo, tmp_path):
    code, _, err = kyvo("object", "--image", picture(tmp_path / "a.png"), "--out", "made.npz", "--format", "latent")
    assert code == 0 and err == ""
    assert len(latent_of(tmp_path / "made.npz").coords)


def test_the_same_seed_makes_the_same_object(kyvo, tmp_path):
    for name in ("one", "other"):
        kyvo("object", "a red chair", "--seed", 4, "--format", "latent", "--out", f"{name}.npz")
    one, other = (latent_of(tmp_path / f"{name}.npz") for name in ("one", "other"))
    assert (one.coords == other.coords).all() and (one.feats == other.feats).all()


def test_words_that_were_never_seen_are_said(kyvo):
    code, out, err = kyvo("object", "a red chair of zebrawood", "--out", "a.glb")
    assert code == 0 and "1 object in" in out
    assert "never seen: of, zebrawood" in err


def test_a_variant_of_a_mesh_keeps_its_cells_and_its_place(kyvo, tmp_path):
    box = tmp_path / "box.glb"
    write_box(box)
    code, _, err = kyvo("variant", box, "--text", "a blue table", "--format", "latent", "--out", "made.npz")
    assert code == 0, err
    mesh, place = load_placed(box)
    assert (latent_of(tmp_path / "made.npz").coords == surface_latent(mesh, resolution=SIDE).coords).all()
    code, _, err = kyvo("variant", box, "--text", "a blue table", "--out", "made.glb")
    assert code == 0
    _, found = load_placed(tmp_path / "made.glb")
    assert found.center == pytest.approx(place.center, abs=0.1 * place.size)
    assert found.size == pytest.approx(place.size, rel=0.15)


def test_a_region_of_a_latent_is_made_anew_and_the_rest_stays(kyvo, tmp_path):
    kyvo("object", "a red chair", "--format", "latent", "--out", "a.npz")
    code, *_ = kyvo(
        "region", "a.npz", "--box=-0.5,-0.5,0,0.5,0.5,0.5", "--text", "a table", "--format", "latent", "--out", "b.npz"
    )
    assert code == 0
    before, after = (latent_of(tmp_path / name) for name in ("a.npz", "b.npz"))

    def below(latent):
        kept = latent.coords[:, 2] < SIDE // 2
        cells, rows = latent.coords[kept].tolist(), latent.feats[kept].tolist()
        return {tuple(cell): row for cell, row in zip(cells, rows, strict=True)}

    assert below(before) == below(after)
    assert len(before.coords) != len(after.coords) or not (before.feats == after.feats).all()


def test_a_mesh_tells_the_region_in_the_frame_of_the_objects_file(kyvo, tmp_path):
    box = tmp_path / "box.glb"
    write_box(box, center=(7.0, 0.0, 0.0))
    write_box(tmp_path / "upper.glb", center=(7.0, 2.5, 0.0))  # y is up in GLB
    arguments = ["--text", "a table", "--format", "latent", "--out"]
    code, _, err = kyvo("region", box, "--mask", tmp_path / "upper.glb", *arguments, "made.npz")
    assert code == 0, err
    mesh, _ = load_placed(box)
    before, after = surface_latent(mesh, resolution=SIDE), latent_of(tmp_path / "made.npz")
    lower = [{tuple(cell) for cell in each.coords.tolist() if cell[2] < 9} for each in (before, after)]
    assert lower[0] == lower[1] and lower[0]

    write_box(tmp_path / "far.glb", center=(90.0, 0.0, 0.0))
    code, _, err = kyvo("region", box, "--mask", tmp_path / "far.glb", *arguments, "far.npz")
    assert code == 1 and "lies beside the object" in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["", "--out", "a.glb"], 1, "The text is empty"),
        (["zebra giraffe", "--out", "a.glb"], 1, "never seen a word"),
        ([" ".join(["chair"] * 80), "--out", "a.glb"], 1, "has 80 words and the encoder takes at most 32"),
        (["--out", "a.glb"], 2, "give a text or --image"),
        (["a chair", "--image", "a.png", "--out", "a.glb"], 2, "one of the two"),
        (["a chair", "--mask", "a.png", "--out", "a.glb"], 2, "no --image is given"),
        (["a chair", "--out", "a.stl"], 2, "name it so that it ends in .glb"),
        (["a chair", "--out", "a.glb", "--format", "usd"], 2, "no format is called 'usd'"),
        (["--image", "missing.png", "--out", "a.glb"], 1, "missing.png"),
        (["a chair", "--out", "a.glb", "--count", "0"], 2, "--count"),
    ],
)
def test_what_cannot_be_made_is_said(kyvo, arguments, code, said):
    found, _, err = kyvo("object", *arguments)
    assert found == code
    assert said in " ".join(err.split())


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ("0,0,0,0.1,0.1", "six finite numbers"),
        ("0,0,0,a,1,1", "six finite numbers"),
        ("0,0,nan,0.1,0.1,0.1", "six finite numbers"),
        ("0.2,0,0,0.1,0.1,0.1", "each side goes upwards"),
        ("-1,-1,-1,1,1,1", "neither empty nor all of it"),
        ("2,2,2,3,3,3", "neither empty nor all of it"),
    ],
)
def test_a_region_that_is_none_is_said(kyvo, tmp_path, box, said):
    kyvo("object", "a red chair", "--format", "latent", "--out", "a.npz")
    code, _, err = kyvo("region", "a.npz", f"--box={box}", "--text", "a table", "--out", "b.glb")
    assert code == 2 and said in " ".join(err.split())


def test_pictures_without_an_object_and_without_a_plain_background_are_refused(kyvo, tmp_path):
    Image.fromarray(np.zeros((32, 32, 4), np.uint8)).save(tmp_path / "empty.png")
    code, _, err = kyvo("object", "--image", "empty.png", "--out", "a.glb")
    assert code == 1 and "shows no object" in err
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    code, _, err = kyvo("object", "--image", "noise.png", "--out", "a.glb")
    assert code == 1 and "background is not plain" in err


def test_meshes_without_a_surface_or_with_nan_are_refused(kyvo, tmp_path):
    (tmp_path / "flat.obj").write_text("v 0 0 0\nf 1 1 1\n")
    (tmp_path / "nan.obj").write_text("v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    for name, said in (("flat.obj", "no area"), ("nan.obj", "NaN or infinite")):
        code, _, err = kyvo("variant", name, "--text", "a table", "--out", "b.glb")
        assert code == 1 and said in err


def test_files_that_are_there_are_kept(kyvo, tmp_path):
    (tmp_path / "a.glb").write_text("mine")
    code, _, err = kyvo("object", "a chair", "--out", "a.glb")
    assert code == 1 and "--force" in err and (tmp_path / "a.glb").read_text() == "mine"
    assert kyvo("object", "a chair", "--out", "a.glb", "--force")[0] == 0


def test_a_model_that_is_not_there_is_said_with_what_to_do(kyvo):
    code, _, err = kyvo("object", "a chair", "--out", "a.glb", model="lost")
    assert code == 1 and "neither a folder of an object generator nor a bundled one" in err

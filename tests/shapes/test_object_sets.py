"""Sets of single objects: drawn ones, and a folder of meshes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_shapes import write_box
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.data.dataset import open_set, write_set
from kyvo.errors import ConfigError
from kyvo.shapes.object_sets import ObjectSet

pytest.importorskip("open3d")
SMALL = ("--resolution", 16, "--pictures", 2, "--size", 32)


def run(*words):
    return CliRunner().invoke(app, ["data", *map(str, words)])


def test_drawn_objects_have_cells_pictures_and_captions_set_by_their_seed(tmp_path):
    done = run("objects", "--count", 3, *SMALL, "--seed", 5, "--out", tmp_path / "set")
    assert done.exit_code == 0, done.output
    rows = open_set(tmp_path / "set")
    again = ObjectSet(count=3, seed=5, resolution=16, pictures=2, size=32)
    for index, (row, same) in enumerate(zip(rows, again.rows(range(3)), strict=True)):
        coords = np.frombuffer(row["coords"], np.uint8).reshape(-1, 3)
        feats = np.frombuffer(row["feats"], np.float16).reshape(-1, 12)
        assert len(coords) == len(feats) == row["num_cells"] > 20
        assert coords.max() == 15  # the longest side fills the grid
        assert row["name"] == f"{row['category']}-{index:06}"
        assert row["category"] in row["captions"][0]
        for picture in row["pictures"]:
            alpha = np.asarray(picture)[..., 3]
            assert picture.size == (32, 32)
            assert 0.05 < (alpha > 127).mean() < 0.9
        assert (row["coords"], row["feats"], row["captions"]) == (same["coords"], same["feats"], same["captions"])
    card = json.loads((tmp_path / "set" / "card.json").read_text())
    assert card["left_out"] == [] and card["without_captions"] == 0


@pytest.fixture
def meshes(tmp_path) -> Path:
    """Two boxes, one of them with a caption, and a file that is no mesh."""
    folder = tmp_path / "meshes"
    (folder / "more").mkdir(parents=True)
    write_box(folder / "box.obj")
    write_box(folder / "more" / "crate.obj")
    (folder / "broken.glb").write_bytes(b"glTF nothing")
    line = {"file": "box.obj", "caption": "a red box", "category": "box"}
    (folder / "manifest.jsonl").write_text(json.dumps(line) + "\n\n")
    return folder


def test_a_folder_of_meshes_becomes_a_set_and_faulty_files_are_told(meshes, tmp_path):
    settings = ObjectSet.of(meshes, seed=0, resolution=16, pictures=1, size=32)
    card = write_set(tmp_path / "set", settings)
    assert card["left_out"][0].startswith("broken.glb: ")
    rows = open_set(tmp_path / "set")
    found = {row["name"]: (row["category"], row["captions"]) for row in rows}
    assert found == {"box": ("box", ["a red box"]), "crate": ("shape", [])}
    assert (card["rows"], len(card["left_out"]), card["without_captions"]) == (2, 1, 1)


def test_the_sheet_and_the_counts_know_such_sets(tmp_path):
    run("objects", "--count", 2, *SMALL, "--out", tmp_path / "set")
    assert run("show", tmp_path / "set", "--out", tmp_path / "sheet.png").exit_code == 0
    assert Image.open(tmp_path / "sheet.png").width == 8 + 3 * (32 + 8)
    done = run("stats", tmp_path / "set", "--json")
    counts = json.loads(done.output)
    assert sum(counts["category"].values()) == sum(counts["cells"].values()) == 2
    assert set(counts) == {"category", "cells", "captions"}


def test_what_makes_no_set_is_refused(tmp_path, meshes):
    for words, match in (
        (("objects", "--out", tmp_path / "x"), "say how many with --count"),
        (("objects", "--source", tmp_path / "none", "--out", tmp_path / "x"), "has no mesh file"),
    ):
        done = run(*words)
        assert done.exit_code == 2 and match in " ".join(done.output.split()), done.output
    (meshes / "manifest.jsonl").write_text("[1]\n")
    settings = ObjectSet.of(meshes, seed=0, resolution=16)
    with pytest.raises(ConfigError, match=r'manifest.jsonl, line 1: no JSON object with a "file"'):
        settings.row(0)

"""Sets of scenes: what the masks, poses and cells of a row say agrees."""

import json

import numpy as np
import pytest
import trimesh
from scipy import ndimage
from tiny_shapes import write_box
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.data.dataset import open_set
from kyvo.data.gallery import show_set
from kyvo.data.meshes.layout import table_top
from kyvo.errors import ConfigError
from kyvo.scene.files import scene_from_json
from kyvo.scene.pose import Pose
from kyvo.shapes.scene_layouts import lay_out
from kyvo.shapes.scene_sets import SceneSet, poses_of
from kyvo.shapes.training_meshes import assembled

pytest.importorskip("open3d")
SIDE = 16
SMALL = ("--resolution", SIDE, "--size", 64, "--max-objects", 4)


def run(*words):
    return CliRunner().invoke(app, ["data", "scenes", *map(str, words)])


def cells_of(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int64)


def test_masks_poses_and_cells_of_a_scene_agree_and_are_set_by_the_seed(tmp_path):
    done = run("--count", 2, *SMALL, "--seed", 3, "--out", tmp_path / "set")
    assert done.exit_code == 0, done.output
    rows = open_set(tmp_path / "set")
    again = SceneSet(count=2, seed=3, resolution=SIDE, size=64, max_objects=4)
    for row, same in zip(rows, again.rows(range(2)), strict=True):
        scene = scene_from_json(json.loads(row["scene"]))
        poses = poses_of(scene)
        count = row["num_objects"]
        assert len(poses) == len(row["visible"]) == len(row["full"]) == len(row["cells"]) == count
        assert (row["scene"], row["cells"], row["scene_cells"]) == (
            same["scene"],
            same["cells"],
            same["scene_cells"],
        )
        into = Pose(translation=tuple(row["cube"][:3]), scale=row["cube"][3]).inverse()
        for index, pose in enumerate(poses):
            shown, full = (np.asarray(row[name][index]) > 0 for name in ("visible", "full"))
            assert shown.any() and not (shown & ~full).any()
            column, line, _ = scene.camera.project(np.array([pose.translation]))[0]
            lines, columns = np.nonzero(full)
            assert columns.min() - 2 <= column <= columns.max() + 2 and lines.min() - 2 <= line <= lines.max() + 2
            # An object's cells, placed by its pose, lie in its cells of the scene or beside them.
            centers = (cells_of(row["cells"][index]) + 0.5) / SIDE - 0.5
            placed = np.clip(((into @ pose).apply(centers) + 0.5) * SIDE, 0, SIDE - 1).astype(int)
            near = np.zeros((SIDE,) * 3, dtype=bool)
            near[tuple(cells_of(row["scene_cells"][index]).T)] = True
            near = ndimage.binary_dilation(near, np.ones((3, 3, 3)))
            assert near[tuple(placed.T)].mean() > 0.98
    card = json.loads((tmp_path / "set" / "card.json").read_text())
    assert card["objects"] == sum(rows["num_objects"])
    assert show_set(tmp_path / "set", count=1).width > 64


def test_what_stands_on_a_table_rests_on_its_top_and_the_rest_on_the_floor():
    box = np.asarray(trimesh.creation.box((1, 1, 0.5)).triangles)
    mesh = assembled([(box, np.full(3, 0.5))], name="box", category="box", transform=np.eye(3))
    assert table_top(mesh.triangles, name="box").free > 0.4
    stacked = 0
    for seed in range(8):
        posed = lay_out([mesh, mesh, mesh], np.random.default_rng(seed))
        for item in posed:
            bottom = item.triangles[..., 2].min()
            stacked += item.on is not None
            top = 0.0 if item.on is None else posed[item.on].triangles[..., 2].max()
            assert bottom == pytest.approx(top, abs=1e-6)
    assert stacked


def test_a_folder_gives_half_of_the_objects_and_a_broken_file_costs_its_scene(tmp_path):
    (tmp_path / "meshes").mkdir()
    write_box(tmp_path / "meshes" / "box.obj")
    (tmp_path / "meshes" / "broken.glb").write_bytes(b"glTF nothing")
    (tmp_path / "meshes" / "manifest.jsonl").write_text('{"file": "box.obj", "category": "parcel"}\n')
    settings = SceneSet.of(tmp_path / "meshes", count=1, seed=0, resolution=SIDE, size=64, max_objects=2)
    found = list(settings.rows(range(6)))
    left_out = [row for row in found if not isinstance(row, dict)]
    objects = [item for row in found if isinstance(row, dict) for item in json.loads(row["scene"])["objects"]]
    assert left_out and "broken.glb" in left_out[0].reason
    assert any((item["name"], item["category"]) == ("box", "parcel") for item in objects)
    assert any(item["name"] != "box" for item in objects)
    (tmp_path / "none").mkdir()
    with pytest.raises(ConfigError, match="has no mesh file"):
        SceneSet.of(tmp_path / "none", count=1, seed=0)
    with pytest.raises(ConfigError, match="a scene has 2 to 12"):
        SceneSet(count=1, seed=0, max_objects=13)

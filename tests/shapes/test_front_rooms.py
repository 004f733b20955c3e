"""Rooms of 3D-FRONT's form, written here: pieces stand where the files say, and rows of a set are made of them."""

import json

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.data.dataset import open_set
from kyvo.errors import ConfigError, SceneError
from kyvo.scene.files import scene_from_json
from kyvo.shapes.front_rooms import FrontFolder, nearest, stand, turned

pytest.importorskip("open3d")
SIZES = {"bed": (2.0, 0.6, 1.6), "stand": (0.5, 0.7, 0.4), "lamp": (0.4, 1.5, 0.4)}  # m; y is up
PIECES = {  # position, quaternion x y z w, scale
    "bed": ((1.0, 0.0, 2.0), (0.0, np.sin(0.3), 0.0, np.cos(0.3)), (1.0, 1.0, 1.0)),
    "stand": ((2.6, 0.0, 2.0), (0.0, 0.0, 0.0, 1.0), (1.0, 2.0, 1.0)),
    "lamp": ((-0.9, 0.0, 2.4), (np.sin(0.1), 0.0, 0.0, np.cos(0.1)), (1.0, 1.0, 1.0)),
}


def child(name: str, **changes) -> dict:
    position, rotation, scale = PIECES[name]
    return {"ref": f"uid-{name}", "pos": position, "rot": rotation, "scale": scale, **changes}


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "front"
    for name, size in SIZES.items():
        place = found / "3D-FUTURE-model-part1" / f"jid-{name}"
        place.mkdir(parents=True)
        box = trimesh.creation.box(size)
        box.apply_translation((0, size[1] / 2, 0))  # it stands on its origin
        box.export(place / "raw_model.obj")
    info = [{"model_id": f"jid-{name}", "category": name.title(), "super-category": "Bed"} for name in SIZES]
    (found / "3D-FUTURE-model-part1" / "model_info.json").write_text(json.dumps(info))
    furniture = [{"uid": f"uid-{name}", "jid": f"jid-{name}", "valid": True} for name in SIZES]
    furniture += [{"uid": "uid-gone", "jid": "jid-gone", "valid": True}, {"uid": "uid-bad", "jid": "jid-bed"}]
    bedroom = {"type": "Bedroom", "children": [child(name) for name in SIZES]}
    others = [child("bed", ref="uid-gone"), child("bed", ref="uid-bad"), child("bed", ref="a wall")]
    house = {"furniture": furniture, "mesh": [], "scene": {"room": [{"type": "Hall", "children": others}, bedroom]}}
    (found / "3D-FRONT").mkdir()
    (found / "3D-FRONT" / "house.json").write_text(json.dumps(house))
    return found


def test_pieces_stand_where_the_files_say(folder):
    front = FrontFolder(folder)
    hall, bedroom = front.rooms(front.houses[0])
    assert hall == []  # what has no mesh, is not valid, or is no furniture
    assert [item.category for item in bedroom] == ["Bed", "Stand", "Lamp"]
    for name, item in zip(SIZES, bedroom, strict=True):
        posed = stand(item)
        assert np.abs(posed.asset.triangles).max() == pytest.approx(0.5)
        position, (x, y, z, w), scale = PIECES[name]
        size = np.array(SIZES[name])
        corners = np.add(trimesh.creation.box(size).vertices, (0, size[1] / 2, 0))
        turn = trimesh.transformations.quaternion_matrix([w, x, y, z])[:3, :3]
        there = (corners * scale) @ turn.T + position
        expected = np.stack([there[:, 0], -there[:, 2], there[:, 1]], axis=1)  # z up
        found = np.unique(posed.triangles.reshape(-1, 3).round(6), axis=0)
        np.testing.assert_allclose(found, np.unique(expected.round(6), axis=0), atol=2e-6)


def test_pieces_around_one_are_taken_and_a_room_is_turned(folder):
    (_, bedroom) = FrontFolder(folder).rooms(folder / "3D-FRONT" / "house.json")
    for seed in range(4):
        first, second = nearest(bedroom, np.random.default_rng(seed), count=2)
        gaps = [np.linalg.norm(np.subtract(first.position, item.position)) for item in bedroom if item is not first]
        assert np.linalg.norm(np.subtract(first.position, second.position)) == min(gaps)
    posed = [stand(item) for item in bedroom]
    around = turned(posed, 0.7)
    for before, after in zip(posed, around, strict=True):
        c, s = np.cos(0.7), np.sin(0.7)
        expected = before.triangles @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
        np.testing.assert_allclose(after.triangles, expected, atol=1e-9)


def test_rows_of_a_set_are_rooms(folder, tmp_path):
    words = ["--rooms", folder, "--count", 2, "--resolution", 16, "--size", 64, "--max-objects", 3]
    done = CliRunner().invoke(app, ["data", "scenes", *map(str, words), "--out", str(tmp_path / "set")])
    assert done.exit_code == 0, done.output
    rows = open_set(tmp_path / "set")
    assert len(rows) == 2
    for row in rows:
        scene = scene_from_json(json.loads(row["scene"]))
        names = {item.category for item in scene.objects}
        assert names <= {"Bed", "Stand", "Lamp"} and len(names) == row["num_objects"] >= 2
        if names >= {"Bed", "Stand"}:
            bed, stand_ = (next(item for item in scene.objects if item.category == name) for name in ("Bed", "Stand"))
            gap = np.linalg.norm(np.subtract(bed.location, stand_.location)[:2])
            assert gap == pytest.approx(1.6, abs=1e-4)
    both = CliRunner().invoke(app, ["data", "scenes", *map(str, words), "--source", str(folder), "--out", "x"])
    assert both.exit_code == 2 and "one of the two" in both.output


def test_what_is_of_another_form_is_said(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"has no 3D-FRONT/\*\.json"):
        FrontFolder(tmp_path).houses  # noqa: B018
    house = folder / "3D-FRONT" / "house.json"
    data = json.loads(house.read_text())
    for changes, match in (
        ({"scene": {}}, "is no house of 3D-FRONT: KeyError 'room'"),
        ({"scene": {"room": [{"children": [child("bed", pos=[1, 2])]}]}}, r"pos \(1\.0, 2\.0\) is not 3 finite"),
    ):
        house.write_text(json.dumps(data | changes))
        with pytest.raises(SceneError, match=match):
            FrontFolder(folder).rooms(house)
    house.write_text("{")
    with pytest.raises(SceneError, match="is no readable JSON"):
        FrontFolder(folder).rooms(house)
    house.write_text(json.dumps({"scene": {"room": [{"children": [child("bed", scale=[-1, 1, 1])]}]}} | {
        "furniture": data["furniture"]
    }))  # fmt: skip
    with pytest.raises(SceneError, match="a mirrored or flat piece is not read"):
        stand(FrontFolder(folder).rooms(house)[0][0])

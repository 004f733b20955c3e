"""Folders of meshes to results: identity, known motions, pairing of objects, and what is left out."""

import json

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.errors import ConfigError, SceneError
from kyvo.evaluation.geometry import evaluate_geometry, pair_objects, read_objects
from kyvo.evaluation.results import load_results, save_results


def turn(degrees):
    return trimesh.transformations.rotation_matrix(np.radians(degrees), (0, 1, 0))


def write(folder, name, *parts, matrix=None):
    """A GLB of (name, extents, place) boxes."""
    folder.mkdir(exist_ok=True)
    scene = trimesh.Scene()
    for label, extents, place in parts:
        scene.add_geometry(
            trimesh.creation.box(extents=extents),
            node_name=label,
            geom_name=f"{label} mesh",
            transform=trimesh.transformations.translation_matrix(place),
        )
    if matrix is not None:
        scene.apply_transform(matrix)
    scene.export(folder / f"{name}.glb")
    return folder


TABLE = ("table", (1.0, 0.1, 0.6), (0.0, 0.5, 0.0))
LAMP = ("lamp", (0.2, 0.5, 0.2), (0.3, 0.8, 0.1))
CHAIR = ("chair", (0.3, 0.4, 0.3), (-0.9, 0.2, 0.4))


def evaluate(ours, theirs, **options):
    return evaluate_geometry(ours, theirs, **{"num_points": 2000, "alignment": "none", **options})


def test_a_scene_is_like_itself_under_every_protocol(tmp_path):
    ours = write(tmp_path / "ours", "a", TABLE, LAMP)
    theirs = write(tmp_path / "theirs", "a", TABLE, LAMP)
    for protocol in ("scenegen", "i-scene", "trellis"):
        results = evaluate(ours, theirs, protocol=protocol)
        assert results.figure("chamfer of objects").value == pytest.approx(0, abs=1e-12)
        assert results.figure("f-score of objects").value == 1.0
        if protocol != "trellis":
            assert results.figure("f-score of scenes").value == 1.0
            assert results.figure("box iou of objects").value == pytest.approx(1.0)
        assert results.protocol["name"] == f"{protocol}, changed"
        assert results.protocol["alignment"] == "none"


def test_a_known_shift_by_hand(tmp_path):
    cube = ("cube", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    moved = ("cube", (1.0, 1.0, 1.0), (0.5, 0.0, 0.0))
    results = evaluate(write(tmp_path / "ours", "a", moved), write(tmp_path / "theirs", "a", cube), protocol="scenegen")
    assert results.figure("box iou of objects").value == pytest.approx(0.5 / 1.5, abs=0.01)
    assert results.figure("f-score of objects").value == 1.0  # an object is measured in its own box
    assert results.figure("f-score of scenes").value < 1.0


@pytest.mark.slow
def test_robust_icp_undoes_a_turn_of_the_whole_scene(tmp_path):
    ours = write(tmp_path / "ours", "a", TABLE, LAMP, CHAIR, matrix=turn(140))
    theirs = write(tmp_path / "theirs", "a", TABLE, LAMP, CHAIR)
    plain = evaluate(ours, theirs)
    robust = evaluate(ours, theirs, alignment="robust-icp")
    assert plain.figure("f-score of scenes").value < 0.7
    assert robust.figure("f-score of scenes").value > 0.99
    assert robust.figure("box iou of objects").value > 0.9
    assert robust.items[0]["alignment"]["method"] == "robust-icp"
    assert "open3d" in robust.versions


def test_objects_pair_by_name_and_else_by_order():
    one, two = np.zeros((1, 3)), np.ones((1, 3))
    by_name = pair_objects({"b": two, "a": one}, {"a": one, "b": two})
    assert [(name, mine[0, 0], cloud[0, 0]) for name, mine, cloud in by_name] == [("a", 0, 0), ("b", 1, 1)]
    by_order = pair_objects({"x": one, "y": two}, {"a": one, "b": two})
    assert [(name, mine[0, 0]) for name, mine, _ in by_order] == [("a", 0), ("b", 1)]
    assert pair_objects({"a": one}, {"a": one, "b": two}) is None


def test_a_scene_of_other_counts_has_no_object_figures_and_is_listed(tmp_path):
    ours = write(tmp_path / "ours", "a", TABLE)
    theirs = write(tmp_path / "theirs", "a", TABLE, LAMP)
    results = evaluate(ours, theirs)
    assert results.figure("f-score of objects").value is None
    assert results.figure("f-score of scenes").value > 0
    assert results.excluded == [{"key": "a", "reason": "only as a scene: 1 objects, and 2 in the truth"}]
    with pytest.raises(SceneError, match="no pair can be compared; the first reason: it has 1 objects and the truth 2"):
        evaluate(ours, theirs, protocol="trellis")


def test_what_cannot_be_read_is_listed_and_the_rest_goes_on(tmp_path):
    theirs = write(tmp_path / "theirs", "a", TABLE)
    ours = write(tmp_path / "ours", "a", TABLE)
    for name in ("cut", "missing"):
        write(theirs, name, TABLE)
    (ours / "cut.glb").write_bytes((theirs / "cut.glb").read_bytes()[:200])
    results = evaluate(ours, theirs)
    reasons = {row["key"]: row["reason"] for row in results.excluded}
    assert reasons["missing"] == "there is no prediction"
    assert "cut.glb: not a readable .glb" in reasons["cut"]
    assert results.figure("coverage").value == 1 / 3
    save_results(results, tmp_path / "results.json")
    assert load_results(tmp_path / "results.json").to_json() == results.to_json()


def test_clouds_are_read_and_thinned(tmp_path):
    points = np.random.default_rng(0).normal(size=(500, 3))
    trimesh.PointCloud(points).export(tmp_path / "cloud.ply")
    ((_, few),) = read_objects(tmp_path / "cloud.ply", 100, [0]).items()
    assert few.shape == (100, 3)
    assert np.isin(few.astype(np.float32), points.astype(np.float32)).all()
    ((_, whole),) = read_objects(tmp_path / "cloud.ply", 1000, [0]).items()
    assert whole == pytest.approx(points, abs=1e-6)


def test_the_points_depend_on_the_seed_alone(tmp_path):
    path = write(tmp_path / "ours", "a", TABLE, LAMP) / "a.glb"
    first, again, other = (read_objects(path, 50, [seed]) for seed in (0, 0, 1))
    assert first.keys() == {"table", "lamp"}
    assert np.array_equal(first["lamp"], again["lamp"])
    assert not np.array_equal(first["lamp"], other["lamp"])
    low, high = first["lamp"].min(0), first["lamp"].max(0)
    assert (low >= np.array([0.2, 0.55, 0.0]) - 1e-6).all()  # the node's place is applied
    assert (high <= np.array([0.4, 1.05, 0.2]) + 1e-6).all()


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "broken.obj"
    path.write_text("v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(SceneError, match=r"broken.obj: .* 1 of 3 points with a NaN"):
        read_objects(path, 10, [0])


def test_settings_that_do_not_fit_are_refused(tmp_path):
    ours = write(tmp_path / "ours", "a", TABLE)
    with pytest.raises(ConfigError, match="protocol 'midi' is not known; known are scenegen"):
        evaluate(ours, ours, protocol="midi")
    with pytest.raises(ConfigError, match="alignment 'cpd' is not known"):
        evaluate(ours, ours, alignment="cpd")
    with pytest.raises(ConfigError, match=r"tau is -1.0; a number above 0"):
        evaluate(ours, ours, tau=-1.0)


def test_the_protocol_keeps_its_name_where_nothing_is_changed(tmp_path):
    ours = write(tmp_path / "ours", "a", TABLE)
    results = evaluate_geometry(ours, ours, protocol="trellis", alignment="none", tau=0.05)
    assert results.protocol["name"] == "trellis"


def test_the_command_prints_figures(tmp_path):
    ours, theirs = write(tmp_path / "ours", "a", TABLE), write(tmp_path / "theirs", "a", TABLE)
    words = ["evaluate", "geometry", str(ours), str(theirs), "--points", "500", "--alignment", "none", "--json"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    figures = {row["name"]: row["value"] for row in json.loads(found.stdout)["figures"]}
    assert figures["f-score of scenes"] == 1.0


def test_a_lost_texture_is_no_fault_of_the_geometry(tmp_path):
    path = tmp_path / "a.obj"
    path.write_text("mtllib lost.mtl\nusemtl m\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert read_objects(path, 10, [0])["a"].shape == (10, 3)


@pytest.mark.parametrize("suffix", [".off", ".stl"])
def test_off_and_stl_are_read(tmp_path, suffix):
    trimesh.creation.box((1.0, 2.0, 3.0)).export(tmp_path / f"a{suffix}")
    ((_, points),) = read_objects(tmp_path / f"a{suffix}", 500, [0]).items()
    assert np.ptp(points, axis=0) == pytest.approx((1.0, 2.0, 3.0), abs=0.05)

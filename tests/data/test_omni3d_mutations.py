"""Omni3D's files as other programs leave them: nulls, missing keys, floats, ids as texts, in every place.

A file is read as the good one is, or what it costs is counted by reason, or it is refused by name. Never a traceback,
never an empty set or a figure of 0 without a reason.
"""

import copy
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.data.dataset import open_set
from kyvo.data.imports import Omni3dSet
from kyvo.data.omni3d import box_corners, identity, load_omni3d
from kyvo.errors import KyvoError
from kyvo.evaluation.boxes import evaluate_boxes
from kyvo.evaluation.scenes import evaluate_released

EYE = np.eye(3).tolist()


def annotation(image_id, category_id, x):
    return {
        "id": image_id, "image_id": image_id, "category_id": category_id,
        "category_name": {7: "chair", 8: "cup"}[category_id],
        "center_cam": [x, 0.1, 3.0], "dimensions": [0.5, 0.8, 0.6], "R_cam": EYE,
        "bbox3D_cam": box_corners([x, 0.1, 3.0], [0.5, 0.8, 0.6], EYE).tolist(),
        "bbox2D_proj": [10.0, 10.0, 30.0, 30.0], "bbox2D_trunc": [10.0, 10.0, 30.0, 30.0], "bbox2D_tight": [-1] * 4,
        "valid3D": True, "behind_camera": False, "visibility": 1.0, "truncation": 0.0, "lidar_pts": -1,
        "segmentation_pts": -1, "depth_error": -1,
    }  # fmt: skip


def image(number, name):
    return {
        "id": number,
        "width": 64,
        "height": 48,
        "file_path": name,
        "K": [[50.0, 0, 32.0], [0, 50.0, 24.0], [0, 0, 1]],
    }


TRUTH = {
    "info": {"name": "Mine"},
    "images": [image(1, "a.png"), image(2, "b.png")],
    "categories": [{"id": 7, "name": "chair"}, {"id": 8, "name": "cup"}],
    "annotations": [annotation(1, 7, 0.1), annotation(2, 8, -0.2)],
}
FOUND = [
    {
        "image_id": row["image_id"], "category_id": row["category_id"], "score": 0.9, "bbox": [10.0, 10.0, 20.0, 20.0],
        "bbox3D": row["bbox3D_cam"], "center_cam": row["center_cam"], "dimensions": row["dimensions"], "pose": EYE,
    }
    for row in TRUTH["annotations"]
]  # fmt: skip
STRANGE = [None, -1, 1.0, 2.5, "1", "", "x", [], {}, True, False, float("nan"), [None], 10**30]


def put(path, data):
    path.write_text(json.dumps(data))
    return path


def mutations():
    """(list of the file, row, key, value or "missing"): every field of the first row of each list."""
    for name in ("images", "categories", "annotations"):
        for key in TRUTH[name][0]:
            yield from ((name, key, value) for value in [*STRANGE, "missing"])


def mutated(data, name, key, value):
    data = copy.deepcopy(data)
    if value == "missing":
        del data[name][0][key]
    else:
        data[name][0][key] = value
    return data


def some(rows, count, more):
    """All of them take minutes, and were tried once; each run tries `count`, the slow tests `more`."""
    drawn = random.Random(0).sample(rows, count + more)
    return [*drawn[:count], *(pytest.param(*row, marks=pytest.mark.slow) for row in drawn[count:])]


@pytest.mark.parametrize(("name", "key", "value"), some(list(mutations()), 15, 45))
def test_a_strange_value_costs_its_own_row_at_most_or_is_refused_by_name(tmp_path, name, key, value):
    path = put(tmp_path / "truth.json", mutated(TRUTH, name, key, value))
    found = put(tmp_path / "found.json", FOUND)
    try:
        scenes = load_omni3d(path)
        if not any(scene.image == "b.png" for scene in scenes.scenes):  # the second picture is as it was
            assert (name, key) == ("categories", "id") and scenes.tally.lines()
        if len(scenes.scenes) < 2 or any(not scene.objects for scene in scenes.scenes):
            assert any("left out" in line for line in scenes.tally.lines())
    except KyvoError as error:
        assert str(path) in str(error)
    try:
        results = evaluate_boxes(found, path)
        if results.figure("AP3D").value < 0.999:
            assert results.excluded or key in (
                "dimensions",
                "R_cam",
                "center_cam",
                "bbox3D_cam",
                "category_id",
                "image_id",
            )
    except KyvoError as error:
        assert str(path) in str(error) or str(found) in str(error)
    try:
        evaluate_released(put(tmp_path / "ours.json", TRUTH), path, schema="objectron")
    except KyvoError as error:
        assert str(tmp_path) in str(error)


@pytest.mark.parametrize(("key", "value"), some([(key, v) for key in FOUND[0] for v in [*STRANGE, "missing"]], 10, 20))
def test_a_strange_detection_is_left_out_and_listed(tmp_path, key, value):
    rows = mutated({"rows": FOUND}, "rows", key, value)["rows"]
    results = evaluate_boxes(put(tmp_path / "found.json", rows), put(tmp_path / "truth.json", TRUTH))
    assert results.figure("AP3D").value >= 0.49  # the other one counts
    if key in ("image_id", "category_id", "score") and value not in (1.0, "1", True, 2.5, 10**30, -1):
        assert any(row["key"] == "detections[0]" for row in results.excluded)


@pytest.mark.parametrize("kind", [str, float])
def test_ids_of_another_type_are_the_same_ids(tmp_path, kind):
    other = copy.deepcopy(TRUTH)
    for rows, names in (("images", ["id"]), ("categories", ["id"]), ("annotations", ["id", "image_id", "category_id"])):
        for row in other[rows]:
            row.update({name: kind(row[name]) for name in names})
    ours = [{**row, "image_id": kind(row["image_id"]), "category_id": kind(row["category_id"])} for row in FOUND]
    for truth in (TRUTH, other):
        for found in (FOUND, ours):
            results = evaluate_boxes(put(tmp_path / "found.json", found), put(tmp_path / "truth.json", truth))
            assert results.figure("AP3D").value == pytest.approx(1)
    assert [scene.image for scene in load_omni3d(tmp_path / "truth.json").scenes] == ["a.png", "b.png"]


def test_an_id_is_a_whole_number_or_a_name():
    assert [identity(value) for value in (1, 1.0, "1", "a", "1.5")] == [1, 1, 1, "a", "1.5"]
    assert [identity(value) for value in (None, 1.5, True, "", [], {}, float("nan"), float("inf"))] == [None] * 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image_id": 99},
            r"none of its 2 detections can be used; the first reason: detections\[0\]: the truth has no picture 99",
        ),
        ({"category_id": None}, "the truth has no category None"),
        ({"score": None}, "score is None"),
        ({"bbox3D": None, "pose": None}, "bbox3D is no list of 8 finite corners"),
    ],
)
def test_detections_of_which_none_can_be_used_are_refused(tmp_path, change, message):
    found = put(tmp_path / "found.json", [row | change for row in FOUND])
    with pytest.raises(KyvoError, match=message):
        evaluate_boxes(found, put(tmp_path / "truth.json", TRUTH))
    empty = evaluate_boxes(put(tmp_path / "none.json", []), tmp_path / "truth.json")
    assert empty.figure("AP3D").value == 0  # nothing predicted is a prediction


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valid3D": False}, "annotations are ignored"),
        ({"bbox3D_cam": -1, "R_cam": -1}, "the first reason: annotations"),
    ],
)
def test_a_truth_without_a_box_to_find_says_why(tmp_path, change, message):
    truth = {**TRUTH, "annotations": [row | change for row in TRUTH["annotations"]]}
    with pytest.raises(KyvoError, match=message):
        evaluate_boxes(put(tmp_path / "found.json", FOUND), put(tmp_path / "truth.json", truth))


def make(tmp_path, truth, *, pictures=True):
    """Exit code and output of `kyvo data omni3d`."""
    for name in ("a.png", "b.png") if pictures else ():
        Image.new("RGB", (64, 48)).save(tmp_path / name)
    words = ["data", "omni3d", put(tmp_path / "set.json", truth), "--pictures", tmp_path, "--out", tmp_path / "set"]
    result = CliRunner().invoke(app, list(map(str, words)))
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("images", {"file_path": None}, "file_path is no text"),
        ("images", {"width": 64.5}, "width and height are no positive whole numbers"),
        ("annotations", {"valid3D": False}, "valid3D is false"),
        ("annotations", {"behind_camera": 1}, "a corner is behind the camera"),
        ("annotations", {"center_cam": None}, "center_cam is unknown"),
    ],
)
def test_a_set_of_which_nothing_can_be_used_is_refused_with_the_reasons(tmp_path, name, change, message):
    code, said = make(tmp_path, {**TRUTH, name: [row | change for row in TRUTH[name]]})
    assert code == 2 and message in said and "count 0" not in said
    assert not (tmp_path / "set").exists()


def test_a_set_without_its_pictures_is_refused_and_can_be_made_once_they_are_there(tmp_path):
    code, said = make(tmp_path, TRUTH, pictures=False)
    assert code == 2 and re.search(r"none of 2 samples makes a row\s+a.png: \S+a.png does not exist", said)
    code, said = make(tmp_path, TRUTH)
    assert code == 0 and open_set(tmp_path / "set")["name"][:] == ["a.png", "b.png"]
    assert json.loads((Path(tmp_path) / "set" / "card.json").read_text())["left_out"] == []


@pytest.mark.parametrize(
    ("change", "rows", "said"),
    [
        (lambda d: d["annotations"][0].update(R_cam=[[-1, 0, 0], [0, 1, 0], [0, 0, 1]]), 2, "R_cam mirrors"),
        (lambda d: d["annotations"][0].update(dimensions=[1e30] * 3), 1, "dimensions has numbers beyond 1e+09"),
        (lambda d: d["annotations"][0].update(center_cam=[1e12, 0, 3.0]), 1, "center_cam has numbers beyond 1e+09"),
        (lambda d: d["images"][0].update(K=[[1e308, 0, 9], [0, 1e308, 9], [0, 0, 1]]), 2, "K has numbers beyond"),
        (lambda d: d["images"][0].update(K=[[1e-9, 0, 9], [0, 1e-9, 9], [0, 0, 1]]), 1, "camera.focal"),
        (lambda d: d["annotations"][0].update(valid3D="false"), 1, "valid3D is false"),
        (lambda d: d["annotations"][0].update(behind_camera="true"), 1, "a corner is behind the camera"),
        (lambda d: d["images"][0].update(file_path="sub\\a.png"), 2, ""),
    ],
)
def test_a_row_that_no_scene_can_hold_costs_no_other(tmp_path, change, rows, said):
    data = copy.deepcopy(TRUTH)
    change(data)
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "b.png", "sub/a.png"):
        Image.new("RGB", (64, 48)).save(tmp_path / name)
    arguments = [
        "data",
        "omni3d",
        put(tmp_path / "truth.json", data),
        "--pictures",
        tmp_path,
        "--out",
        tmp_path / "set",
    ]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0 and said in " ".join(result.output.split())
    assert len(open_set(tmp_path / "set")) == rows


def test_a_category_has_one_name(tmp_path):
    data = copy.deepcopy(TRUTH)
    data["categories"].append({"id": 7, "name": "sofa"})
    path = put(tmp_path / "truth.json", data)
    with pytest.raises(KyvoError, match=r"categories\[2\] has the id 7 of another name"):
        load_omni3d(path)
    with pytest.raises(KyvoError, match="an id stands twice in `categories`"):
        evaluate_boxes(put(tmp_path / "found.json", FOUND), path)


def test_a_file_of_detections_in_another_encoding_is_refused_by_its_name(tmp_path):
    (tmp_path / "found.json").write_bytes(json.dumps(FOUND).encode("utf-16"))
    with pytest.raises(KyvoError, match=r"found\.json: not a JSON file .'utf-8' codec"):
        evaluate_boxes(tmp_path / "found.json", put(tmp_path / "truth.json", TRUTH))


def test_a_file_that_was_changed_is_read_again(tmp_path):
    path = put(tmp_path / "truth.json", TRUTH)
    assert Omni3dSet.of(path, tmp_path, schema=None).count == 2
    put(path, {**TRUTH, "annotations": TRUTH["annotations"][:1]})
    assert Omni3dSet.of(path, tmp_path, schema=None).count == 1

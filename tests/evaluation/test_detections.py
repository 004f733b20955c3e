"""Omni3D's files and Cube R-CNN's detections: AP by hand, what is ignored, what is left out."""

import copy
import json

import pytest
import torch

from kyvo.data.omni3d import box_corners
from kyvo.errors import ConfigError, SceneError
from kyvo.evaluation.boxes import evaluate_boxes
from kyvo.evaluation.detections import is_detections, read_detected_scenes
from kyvo.evaluation.inputs import read_scenes
from kyvo.evaluation.omni3d_annotations import read_annotations
from kyvo.evaluation.scenes import evaluate_released, evaluate_scenes
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene, SceneObject

STRAIGHT = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def annotation(image_id, x, *, category_id=7, **other):
    row = {
        "image_id": image_id, "category_id": category_id, "category_name": {7: "shoes", 9: "cup"}[category_id],
        "valid3D": True, "behind_camera": False, "center_cam": [x, 0.0, 2.0], "dimensions": [0.5, 0.5, 0.5],
        "R_cam": STRAIGHT, "bbox3D_cam": box_corners([x, 0, 2], [0.5] * 3, STRAIGHT).tolist(),
        "bbox2D_trunc": [100 * x, 10.0, 100 * x + 50, 60.0], "visibility": -1, "truncation": -1, "lidar_pts": -1,
        "segmentation_pts": -1, "depth_error": -1,
    }  # fmt: skip
    return row | other


def detection(image_id, x, score, *, category_id=7, **other):
    row = {
        "image_id": image_id, "category_id": category_id, "score": score, "bbox": [100 * x, 10.0, 50.0, 50.0],
        "bbox3D": box_corners([x, 0, 2], [0.5] * 3, STRAIGHT).tolist(), "center_cam": [x, 0.0, 2.0],
        "dimensions": [0.5, 0.5, 0.5], "pose": STRAIGHT, "depth": 2.0,
    }  # fmt: skip
    return row | other


TRUTH = {
    "info": {},
    "images": [
        {"id": index, "file_path": f"set/{name}.jpg", "width": 300, "height": 200} for index, name in enumerate("abc")
    ],
    "categories": [{"id": 7, "name": "shoes"}, {"id": 9, "name": "cup"}],
    "annotations": [annotation(0, 0), annotation(0, 2), annotation(1, 0, category_id=9), annotation(2, 0)],
}
FOUND = [detection(0, 0, 0.9), detection(0, 2, 0.9), detection(1, 0, 0.9, category_id=9), detection(2, 0, 0.9)]


@pytest.fixture
def written(tmp_path):
    """`written(found, truth)` -> their files."""

    def write(found=FOUND, truth=TRUTH, name="truth.json"):
        for path, data in ((tmp_path / "found.json", found), (tmp_path / name, truth)):
            path.write_text(json.dumps(data))
        return tmp_path / "found.json", tmp_path / name

    return write


def test_the_truth_as_detections_scores_1(written):
    results = evaluate_boxes(*written())
    for name in ("AP3D", "AP3D at 0.50", "AP3D near", "AP2D", "AP2D at 0.95"):
        assert results.figure(name).value == pytest.approx(1), name
    assert results.figure("AP3D far").value is None
    assert results.excluded == [] and [item["score"] for item in results.items] == [1, 1, 1]
    assert results.items[0]["pairs"] == [[0, 0, pytest.approx(0)], [1, 1, pytest.approx(0)]]
    assert results.tables["per category"][1] == {"category": "cup", "AP3D": pytest.approx(1), "AP2D": pytest.approx(1)}


def test_ap_by_hand_over_two_categories(written):
    found = [detection(0, 0, 0.9), detection(0, 1, 0.8), detection(2, 0, 0.7), detection(1, 5, 0.5, category_id=9)]
    results = evaluate_boxes(*written(found))
    # shoes: right, wrong, right of 3: precision 1 up to recall 1/3 (34 recalls), 2/3 up to 2/3 (33); cup: 0
    assert results.figure("AP3D").value == pytest.approx((34 + 33 * 2 / 3) / 101 / 2)
    assert results.items[0]["extras"] == [1] and results.items[0]["misses"] == [1]


@pytest.mark.slow
def test_what_omni3d_ignores_costs_nothing(written):
    for other in (
        {"behind_camera": True}, {"valid3D": False}, {"lidar_pts": 0}, {"segmentation_pts": 0}, {"depth_error": 0.6},
        {"truncation": 0.5}, {"visibility": 0.2}, {"bbox2D_trunc": [0, 0, 50, 9]}, {"dimensions": [0.5, 0.5, 0]},
    ):  # fmt: skip
        truth = {**TRUTH, "annotations": [*TRUTH["annotations"], annotation(2, 3, **other)]}
        assert read_annotations(written(truth=truth)[1]).boxes.ignored.tolist() == [False] * 4 + [True], other
        assert evaluate_boxes(*written(truth=truth)).figure("AP3D").value == pytest.approx(1), other
    truth = {**TRUTH, "annotations": [*TRUTH["annotations"], annotation(2, 3, truncation=0.3)]}
    assert evaluate_boxes(*written(truth=truth)).figure("AP3D").value < 1


def test_bad_detections_are_left_out_and_listed(written):
    bent = copy.deepcopy(FOUND[0]["bbox3D"])
    bent[0][0] += 1
    bad = [
        detection(8, 0, 0.9), detection(0, 0, 0.9, category_id=1), detection(0, 0, float("nan")),
        detection(0, 0, 0.9, bbox3D=None, pose=None), detection(0, 0, 0.99, bbox3D=bent),
    ]  # fmt: skip
    results = evaluate_boxes(*written([*FOUND, *bad]))
    assert results.figure("AP3D").value == pytest.approx(1)
    assert {row["key"]: row["reason"].split()[0] for row in results.excluded} == {
        "detections[4]": "the", "detections[5]": "the", "detections[6]": "score", "detections[7]": "bbox3D",
        "detections[8]": "its",
    }  # fmt: skip


def test_a_picture_without_detections_is_listed_and_a_threshold_is_a_choice(written):
    results = evaluate_boxes(*written([*FOUND[:3], detection(2, 0, 0.04)]), confidence=0.05)
    assert results.excluded == [{"key": "set/c", "reason": "counts as without boxes: there is none"}]
    assert results.protocol["confidence"] == 0.05
    assert results.figure("AP3D").value == pytest.approx((67 / 101 + 1) / 2)  # two of three shoes, the cup


def test_objectron_is_evaluated_near_its_annotations_by_name(written):
    found = [*FOUND, detection(0, 8, 0.99)]
    assert evaluate_boxes(*written(found)).figure("AP3D").value < 1
    near = evaluate_boxes(*written(found, name="Objectron_test.json"))
    assert near.figure("AP3D").value == pytest.approx(1) and near.protocol["proximity"] == "2D IoU > 0.3"
    assert evaluate_boxes(*written(found, name="Objectron_test.json"), proximity=False).figure("AP3D").value < 1


def test_cube_rcnns_own_file_is_read_with_its_models_categories(written, tmp_path):
    _, truth = written()
    table = {"thing_classes": ["shoes", "cup"], "thing_dataset_id_to_contiguous_id": {"7": 0, "9": 1}}
    rows = [{**row, "category_id": {7: 0, 9: 1}[row["category_id"]]} for row in FOUND]
    pictures = [
        {"image_id": image, "width": 300, "instances": [row for row in rows if row["image_id"] == image]}
        for image in range(3)
    ]
    folder = tmp_path / "inference" / "Set_test"
    folder.mkdir(parents=True)
    torch.save(pictures, folder / "instances_predictions.pth")
    with pytest.raises(ConfigError, match=r"category_meta\.json beside it"):
        evaluate_boxes(folder / "instances_predictions.pth", truth)
    (tmp_path / "category_meta.json").write_text(json.dumps(table))
    assert evaluate_boxes(folder / "instances_predictions.pth", truth).figure("AP2D").value == pytest.approx(1)
    torch.save(pictures + pictures[:1], folder / "instances_predictions.pth")
    with pytest.raises(SceneError, match="the picture 0 stands twice"):
        evaluate_boxes(folder / "instances_predictions.pth", truth)


def test_scenes_are_evaluated_as_boxes_without_rectangles(written, tmp_path):
    _, truth = written()
    shoes = [SceneObject(category="shoe", location=(x, 0.0, 2.0), dimensions=(0.5, 0.5, 0.5)) for x in (0.0, 2.0)]
    scene = Scene(objects=tuple(shoes), schema="objectron", frame="camera", up_axis="-y", units="m")
    (tmp_path / "ours.jsonl").write_text(json.dumps({"key": "set/a.jpg", "scene": scene_to_json(scene)}))
    results = evaluate_boxes(tmp_path / "ours.jsonl", truth)
    assert results.figure("AP3D").value == pytest.approx(67 / 101 / 2) and results.figure("AP2D").value is None
    assert any("2 objects without R_cam" in row["reason"] for row in results.excluded)


def test_detections_are_compared_as_scenes_and_by_the_released_script(written, tmp_path):
    found, truth = written()
    assert is_detections(found) and not is_detections(truth)
    found.write_text(json.dumps([*FOUND, detection(8, 0, 0.9)]))
    scenes = read_detected_scenes(found, truth, schema="objectron")
    results = evaluate_scenes(scenes, read_scenes(truth, "objectron"), schema="objectron")
    assert results.figure("jaccard").value == 1 and results.protocol["units"] == "m"
    assert [row["reason"] for row in results.excluded] == ["detections[4]: the truth has no picture 8"]
    rows = [{"category": "shoes", "center_cam": [0.1, 0, 2], "dimensions": [0.5, 0.5, 0.5]}]
    ours = tmp_path / "predicted.json"
    ours.write_text(json.dumps({"scenes": [{"key": "set/a.jpg", "image_filename": "x", "objects": rows}]}))
    release = evaluate_released(ours, truth, schema="objectron", taus=(0.25,))
    assert release.figures[0].value == 1 / 2 and release.figures[0].count == 1


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ({"images": []}, "no list `categories`"),
        ({**TRUTH, "images": [*TRUTH["images"], TRUTH["images"][0]]}, "a picture stands twice"),
        ({**TRUTH, "images": [{"id": 0}]}, r"images\[0\]: has no height"),
        ({**TRUTH, "annotations": []}, "no annotation has a box"),
    ],
)
def test_an_unusable_truth_is_an_error(written, truth, message):
    with pytest.raises(SceneError, match=message):
        evaluate_boxes(*written(truth=truth))

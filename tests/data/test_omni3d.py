"""Omni3D's files: what is usable comes through, what is not is counted, and mirror images mirror back."""

import copy
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kyvo.data.omni3d import (
    box_corners,
    flip,
    flip_scene,
    load_omni3d,
    read_pair,
    save_omni3d,
)
from kyvo.errors import ImageError, SceneError
from kyvo.scene.builtin_schemas import objectron_schema
from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.scene import Scene

TURN = [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]
CUP = {
    "id": 1,
    "image_id": 7,
    "category_id": 4,
    "category_name": "cereal box",
    "valid3D": True,
    "bbox2D_tight": [-1, -1, -1, -1],
    "center_cam": [0.1, -0.05, 1.2],
    "dimensions": [0.1, 0.3, 0.2],
    "R_cam": TURN,
    "bbox3D_cam": box_corners([0.1, -0.05, 1.2], [0.1, 0.3, 0.2], TURN).tolist(),
    "behind_camera": False,
    "visibility": -1,
    "truncation": 0.25,
    "segmentation_pts": -1,
    "lidar_pts": -1,
    "depth_error": -1,
}
DATA = {
    "info": {"id": "18", "name": "Objectron", "split": "Train"},
    "categories": [{"id": 4, "name": "cereal box", "supercategory": "box"}, {"id": 9, "name": "shoes"}],
    "images": [
        {
            "id": 7,
            "width": 6,
            "height": 8,
            "file_path": "objectron/a.png",
            "K": [[7.5, 0.0, 2.123456789012345], [0.0, 7.5, 4.0], [0.0, 0.0, 1.0]],
        }
    ],
    "annotations": [CUP],
}


def written(folder, data=DATA, **changes):
    path = folder / "Objectron_train.json"
    path.write_text(json.dumps({**data, **changes}))
    return path


def test_a_file_becomes_a_scene_in_the_cameras_frame(tmp_path):
    found = load_omni3d(written(tmp_path), objectron_schema())
    (scene,) = found.scenes
    assert (scene.frame, scene.up_axis, scene.units, scene.schema) == ("camera", "-y", "m", "objectron")
    assert scene.image == "objectron/a.png" and scene.extra["image_id"] == 7
    assert scene.camera is not None and (scene.camera.focal, scene.camera.height) == (7.5, 8)
    (item,) = scene.objects
    assert (item.category, item.location, item.dimensions) == ("cereal_box", (0.1, -0.05, 1.2), (0.1, 0.3, 0.2))
    assert item.extra == {"R_cam": TURN, "truncation": 0.25}
    assert found.categories == ("cereal_box", "shoe")  # Objectron's own word, which the schema has
    assert found.tally.fields == {"visibility is unknown": 1}
    assert not found.tally.images and not found.tally.annotations
    assert scene_from_json(json.loads(json.dumps(scene_to_json(scene)))).objects == scene.objects


def test_without_a_schema_every_category_and_number_stays(tmp_path):
    far = {**CUP, "category_id": 9, "center_cam": [40.0, 1.0, 80.0]}
    found = load_omni3d(written(tmp_path, annotations=[far]))
    assert found.scenes[0].objects[0].location == (40.0, 1.0, 80.0)
    assert found.scenes[0].objects[0].category == "shoes" and found.scenes[0].schema == "omni3d"


FAULTS = {
    "it is no JSON object": "nonsense",
    "image_id is no number": {**CUP, "image_id": None},
    "its image is unknown or left out": {**CUP, "image_id": 8},
    "category_id is not in categories": {**CUP, "category_id": -1},
    "valid3D is false": {**CUP, "valid3D": False},
    "a corner is behind the camera": {**CUP, "behind_camera": True},
    "no point of it is visible": {**CUP, "segmentation_pts": 0},
    "center_cam is unknown": {**CUP, "center_cam": [-1, -1, -1]},
    "dimensions is unknown": {**CUP, "dimensions": -1},
    "dimensions are not positive": {**CUP, "dimensions": [0.1, 0.0, 0.2]},
    "center_cam is not of the shape (3,)": {**CUP, "center_cam": [1, 2]},
    "dimensions is not of the shape (3,)": {**CUP, "dimensions": ["a", "b", "c"]},
    "center_cam is not finite": {**CUP, "center_cam": [math.nan, 0, 1]},
    "location is outside the bins of objectron": {**CUP, "center_cam": [0.5, 0, 1]},
    "dimensions is outside the bins of objectron": {**CUP, "dimensions": [1.5, 0.3, 0.2]},
}


def test_each_faulty_annotation_is_counted_by_reason_and_costs_no_other(tmp_path):
    rows = [CUP, *FAULTS.values(), CUP]
    found = load_omni3d(written(tmp_path, annotations=rows), objectron_schema())
    assert len(found.scenes[0].objects) == 2
    assert found.tally.annotations == dict.fromkeys(FAULTS, 1)
    assert found.tally.examples["valid3D is false"] == "annotations[5]"
    assert "1 annotations left out: valid3D is false, as in annotations[5]" in found.tally.lines()
    assert found.tally.num_annotations == len(rows)


def test_a_category_that_the_schema_lacks_is_counted_by_its_name(tmp_path):
    categories = [*DATA["categories"], {"id": 5, "name": "night stand"}]
    rows = [CUP, {**CUP, "category_id": 5}]
    found = load_omni3d(written(tmp_path, categories=categories, annotations=rows), objectron_schema())
    assert found.tally.annotations == {"the schema objectron has no category 'night_stand'": 1}


def test_clamp_keeps_what_lies_outside_the_bins_and_counts_it(tmp_path):
    rows = [{**CUP, "center_cam": [0.5, 0, 1]}]
    found = load_omni3d(written(tmp_path, annotations=rows), objectron_schema(), clamp=True)
    assert found.scenes[0].objects[0].location == (0.5, 0.0, 1.0)
    assert found.tally.fields["location is outside the bins of objectron"] == 1
    assert "x is 0.5 m; its bins cover -0.2 to 0.2" in found.tally.examples["location is outside the bins of objectron"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"R_cam": -1}, "R_cam is unknown"),
        ({"R_cam": [[-1, -1, -1]] * 3}, "R_cam is unknown"),
        ({"R_cam": [[1, 0], [0, 1]]}, "R_cam is not of the shape (3, 3)"),
        ({"truncation": None}, "truncation is unknown"),
        ({"bbox3D_cam": [[0, 0, 1]] * 8}, "bbox3D_cam is not the box of center_cam, dimensions and R_cam"),
    ],
)
def test_an_unknown_or_faulty_optional_field_costs_the_field_alone(tmp_path, change, reason):
    found = load_omni3d(written(tmp_path, annotations=[{**CUP, **change}]), objectron_schema())
    assert len(found.scenes[0].objects) == 1
    assert found.tally.fields[reason] == 1


def test_a_faulty_image_is_counted_and_costs_no_other(tmp_path):
    good = DATA["images"][0]
    images = [good, good, {**good, "id": 8, "width": 0}, {**good, "id": 9, "file_path": 3}, {**good, "id": 10}, "x"]
    found = load_omni3d(written(tmp_path, images=images))
    assert len(found.scenes) == 1
    assert found.tally.images == {
        "its id stands twice": 1,
        "width and height are no positive whole numbers": 1,
        "file_path is no text": 1,
        "no object is left": 1,
        "it is no JSON object": 1,
    }


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (-1, "K is unknown"),
        ([[7.5, 0, 2], [0, 9.5, 4], [0, 0, 1]], "K has no single focal length"),
        ([1, 2], "K is not of the shape (3, 3)"),
    ],
)
def test_an_image_without_a_usable_k_has_no_camera(tmp_path, matrix, reason):
    images = [{**DATA["images"][0], "K": matrix}]
    found = load_omni3d(written(tmp_path, images=images))
    assert found.scenes[0].camera is None and found.tally.fields[reason] == 1
    assert flip_scene(flip_scene(found.scenes[0])) == found.scenes[0]


@pytest.mark.parametrize("name", ["categories", "images", "annotations"])
def test_a_file_without_one_of_its_lists_is_refused_by_name(tmp_path, name):
    data = {key: value for key, value in DATA.items() if key != name}
    with pytest.raises(SceneError, match=rf"Objectron_train\.json: no list `{name}`; a file in Omni3D's form has"):
        load_omni3d(written(tmp_path, data))


def test_a_broken_category_and_a_broken_file_are_refused(tmp_path):
    with pytest.raises(SceneError, match=r"categories\[1\] is \{'id': 3\}; an object with `id` and `name` is needed"):
        load_omni3d(written(tmp_path, categories=[DATA["categories"][0], {"id": 3}]))
    (tmp_path / "cut.json").write_text(json.dumps(DATA)[:-20])
    with pytest.raises(SceneError, match=r"cut\.json: not a JSON file"):
        load_omni3d(tmp_path / "cut.json")


def test_the_corners_are_in_omni3ds_order():
    corners = box_corners([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], np.eye(3).tolist())
    expected = [(-3, -2, -1), (3, -2, -1), (3, 2, -1), (-3, 2, -1), (-3, -2, 1), (3, -2, 1), (3, 2, 1), (-3, 2, 1)]
    assert corners.tolist() == [[1.0 + x, 2.0 + y, 3.0 + z] for x, y, z in expected]


@given(center=st.floats(0, 6, allow_nan=False), x=st.floats(-9, 9), skew=st.floats(-1, 1))
def test_a_mirror_image_mirrors_back_exactly(tmp_path_factory, center, x, skew):
    data = copy.deepcopy(DATA)
    data["images"][0]["K"] = [[7.5, skew, center], [0.0, 7.5, 4.0], [0.0, 0.0, 1.0]]
    data["annotations"][0]["center_cam"][0] = x
    (scene,) = load_omni3d(written(tmp_path_factory.mktemp("f"), data)).scenes
    picture = np.arange(144, dtype=np.uint8).reshape(8, 6, 3)
    back = flip(*flip(scene, picture))
    assert back[0] == scene and np.array_equal(back[1], picture)


def test_a_mirrored_box_projects_to_the_mirrored_places(tmp_path):
    (scene,) = load_omni3d(written(tmp_path)).scenes
    mirrored = flip_scene(scene)

    def seen(one: Scene) -> np.ndarray:
        item = one.objects[0]
        points = box_corners(item.location, item.dimensions, item.extra["R_cam"])
        pixels = points @ np.array(one.extra["K"]).T
        assert np.allclose(pixels[:, :2] / pixels[:, 2:], one.camera.project(points)[:, :2])
        return pixels[:, :2] / pixels[:, 2:]

    expected = seen(scene) * (-1, 1) + (6, 0)
    assert mirrored != scene
    assert np.allclose(sorted(seen(mirrored).tolist()), sorted(expected.tolist()))
    assert np.linalg.det(mirrored.objects[0].extra["R_cam"]) == pytest.approx(1)


def test_only_scenes_of_a_camera_are_mirrored():
    with pytest.raises(SceneError, match="the scene's frame is 'world'"):
        flip_scene(Scene(objects=()))


def test_a_pair_is_a_picture_with_its_scene_or_the_mirror_image_of_both(tmp_path):
    found = load_omni3d(written(tmp_path))
    (tmp_path / "objectron").mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (8, 6, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "objectron" / "a.png")
    one, scene, name = read_pair(found.scenes[0], tmp_path)
    two, mirrored, other = read_pair(found.scenes[0], tmp_path, flipped=True)
    assert (name, other) == ("objectron/a.png", "objectron/a_flipped.png")
    assert np.array_equal(one, picture) and np.array_equal(two, picture[:, ::-1])
    assert mirrored == flip_scene(scene)
    Image.fromarray(picture[:4]).save(tmp_path / "objectron" / "a.png")
    with pytest.raises(ImageError, match=r"a\.png has 6x4 px, its annotations are for 6x8"):
        read_pair(scene, tmp_path)


def test_what_was_read_is_written_and_read_again(tmp_path):
    first = load_omni3d(written(tmp_path))
    save_omni3d(first.scenes, tmp_path / "back.json", first.info)
    again = load_omni3d(tmp_path / "back.json")
    assert again.scenes == first.scenes and again.info == first.info
    assert not again.tally.annotations
    row = json.loads((tmp_path / "back.json").read_text())["annotations"][0]
    assert row["visibility"] == -1 and row["bbox3D_cam"] == CUP["bbox3D_cam"]
    with pytest.raises(SceneError, match=r"scenes\[0\]\.objects\[0\]: Omni3D needs category, location and dimensions"):
        save_omni3d([Scene(objects=(first.scenes[0].objects[0].with_values(location=None),))], tmp_path / "no.json")

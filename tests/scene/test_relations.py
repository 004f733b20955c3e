"""Directions of a scene, and which object is left, right, in front or behind which, worked out by hand."""

import math

import numpy as np
import pytest

from kyvo.errors import SceneError
from kyvo.scene.relations import CLEVR_DIRECTIONS, DIRECTIONS, RELATIONS, directions, relationships, view_directions
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import clevr_camera

AXES = {  # a file's own directions: right is +x, behind is +y
    "right": [1, 0, 0], "left": [-1, 0, 0], "behind": [0, 1, 0], "front": [0, -1, 0],
}  # fmt: skip
CAMERA_AXES = {
    "right": (1, 0, 0), "left": (-1, 0, 0), "behind": (0, 0, 1), "front": (0, 0, -1), "above": (0, -1, 0),
    "below": (0, 1, 0),
}  # fmt: skip


def look_from(x, y, z):
    return Camera.look_at(location=(x, y, z), focal=400.0, width=480, height=320)


def objects(*places):
    return tuple(SceneObject(location=place) for place in places)


def test_clevrs_camera_gives_clevrs_directions():
    # Of every scene file of CLEVR v1.0, whose numbers have these digits.
    assert CLEVR_DIRECTIONS["right"] == pytest.approx((0.656, 0.754, 0.0), abs=1e-2)
    assert CLEVR_DIRECTIONS["behind"] == pytest.approx((-0.754, 0.656, 0.0), abs=1e-2)
    assert CLEVR_DIRECTIONS["above"] == (0.0, 0.0, 1.0)
    for one, other in (("right", "left"), ("behind", "front"), ("above", "below")):
        assert np.add(CLEVR_DIRECTIONS[one], CLEVR_DIRECTIONS[other]).tolist() == [0, 0, 0]


def test_a_camera_from_the_front_sees_x_to_the_right_and_y_behind():
    seen = view_directions(look_from(0.0, -8.0, 5.0))
    assert set(seen) == set(DIRECTIONS)
    assert seen["right"] == pytest.approx((1, 0, 0)) and seen["behind"] == pytest.approx((0, 1, 0))
    assert [np.linalg.norm(vector) for vector in seen.values()] == pytest.approx([1] * 6)


def test_what_a_camera_from_straight_above_shows_higher_is_behind():
    down = Camera(
        location=(0, 0, 8), rotation=((1, 0, 0), (0, -1, 0), (0, 0, -1)), focal=1.0, center=(1, 1), width=2, height=2
    )
    seen = view_directions(down)
    assert seen["behind"] == pytest.approx((0, 1, 0)) and seen["right"] == pytest.approx((1, 0, 0))


def test_a_scene_has_the_directions_of_its_file_its_frame_its_camera_or_clevr():
    assert directions(Scene(objects=())) == CLEVR_DIRECTIONS
    assert directions(Scene(objects=(), frame="camera", up_axis="-y", units="m")) == CAMERA_AXES
    given = directions(Scene(objects=(), extra={"directions": AXES}))
    assert given == {name: tuple(map(float, vector)) for name, vector in AXES.items()} | {
        "above": (0.0, 0.0, 1.0),
        "below": (0.0, 0.0, -1.0),
    }


@pytest.mark.parametrize(("degrees", "is_clevrs"), [(0, True), (4, True), (11, True), (12, False), (90, False)])
def test_a_camera_near_clevrs_has_clevrs_directions_and_another_its_own(degrees, is_clevrs):
    x, y, z = clevr_camera(480, 320).location
    turn = math.radians(degrees)
    camera = look_from(x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn), z)
    found = directions(Scene(objects=(), camera=camera))
    assert (found == CLEVR_DIRECTIONS) is is_clevrs
    assert is_clevrs or found == view_directions(camera)


def test_another_up_axis_needs_a_camera():
    with pytest.raises(SceneError, match=r"up axis is \+y and there is no camera"):
        directions(Scene(objects=(), up_axis="+y"))
    flat = Camera(
        location=(0, 0, 0), rotation=((1, 0, 0), (0, -1, 0), (0, 0, -1)), focal=1.0, center=(1, 1), width=2, height=2
    )
    seen = directions(Scene(objects=(), up_axis="+y", camera=flat))
    assert seen["above"] == (0.0, 1.0, 0.0) and seen["behind"] == pytest.approx((0, 0, -1))
    assert directions(Scene(objects=(), up_axis="-z", camera=look_from(0, -8, 5)))["above"] == (0.0, 0.0, -1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"right": [2, 0, 0]},  # no unit vector
        {"right": [0, 1, 0]},  # not at right angles to behind
        {"right": [0, 0, 1]},  # nor to above
        {"behind": [0, 0, 1]},
        {"left": [1, 0]},
        {"left": None},
        {"front": "front"},
    ],
)
def test_directions_of_a_file_that_do_not_hold_together_are_refused(change):
    with pytest.raises(SceneError, match="directions do not hold together; left, right, front, behind, above, below"):
        directions(Scene(objects=(), extra={"directions": AXES | change}))
    with pytest.raises(SceneError, match="do not hold together"):
        directions(Scene(objects=(), extra={"directions": {"right": [1, 0, 0]}}))


def test_small_errors_of_a_files_directions_are_let_pass():
    rounded = AXES | {"right": [1.005, 0, 0], "behind": [0.005, 1, 0]}
    assert directions(Scene(objects=(), extra={"directions": rounded}))["right"] == (1.005, 0.0, 0.0)
    for change in ({"right": [1.02, 0, 0]}, {"behind": [0.02, 1, 0]}):
        with pytest.raises(SceneError, match="do not hold together"):
            directions(Scene(objects=(), extra={"directions": AXES | change}))


def test_relations_need_more_than_the_margin():
    scene = Scene(objects=objects((0, 0, 0), (0.25, 1, 0), (-2, 0.125, 0)), extra={"directions": AXES})
    assert relationships(scene) == {  # under each object, those in that direction from it
        "left": [[2], [0, 2], []],
        "right": [[1], [], [0, 1]],
        "front": [[], [0, 2], []],
        "behind": [[1], [], [1]],
    }
    assert relationships(scene, margin=0.25)["right"] == [[], [], [0, 1]]  # 0.25 is no more than it
    assert relationships(Scene(objects=())) == {name: [] for name in RELATIONS}


def test_relations_of_an_object_without_a_place_are_refused():
    with pytest.raises(SceneError, match=r"objects\[1\].location is missing; relations need it"):
        relationships(Scene(objects=(*objects((0, 0, 0)), SceneObject())))

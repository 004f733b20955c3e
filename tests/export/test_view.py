"""Scenes drawn to PNG: objects where they are, and a prediction's differences seen and said."""

from dataclasses import replace

import numpy as np
import pytest

from kyvo.errors import SceneError
from kyvo.export.view import SIDE, difference_lines, draw_view
from kyvo.scene.diff import diff
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera

CUBE = SceneObject(shape="cube", size="large", color="red", material="metal", location=(-1.0, -1.0, 0.7))
BALL = SceneObject(shape="sphere", size="small", color="green", material="rubber", location=(1.5, 1.5, 0.35))
DRUM = SceneObject(shape="cylinder", size="small", color="blue", material="rubber", location=(-1.5, 2.0, 0.35))
TRUTH = Scene(objects=(CUBE, BALL), camera=clevr_camera(480, 320))
CHAIR = SceneObject(category="chair", location=(0.0, 0.3, 2.0), dimensions=(0.5, 0.9, 0.6))


def has_color(image, ink, least=30):
    pixels = np.asarray(image).astype(int)
    return int((np.abs(pixels - ink).max(2) < 40).sum()) >= least


def middle_of(pixels, channel):
    """The middle, column and row, of what is mostly of one channel."""
    others = [pixels[..., other] for other in range(3) if other != channel]
    rows, columns = np.nonzero((pixels[..., channel] > 90) & (pixels[..., channel] > 1.4 * np.maximum(*others)))
    return (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2


def test_from_above_x_goes_right_and_y_up():
    image = np.asarray(draw_view(replace(TRUTH, camera=None))).astype(int)
    assert image.shape[:2] == (SIDE, SIDE)
    red, green = middle_of(image, 0), middle_of(image, 1)
    assert red[0] < SIDE / 2 < green[0] and green[1] < SIDE / 2 < red[1]
    # Both footprints span x and y from -1.7 to 1.85, which is 1 / 1.2 of the plan.
    scale = SIDE / (1.2 * 3.55)
    np.testing.assert_allclose(np.subtract(green, red), (2.5 * scale, -2.5 * scale), atol=6)


def test_in_a_cameras_frame_z_goes_up_the_page():
    scene = Scene(objects=(CHAIR.with_values(color="red"),), frame="camera", up_axis="-y", units="m")
    _, row = middle_of(np.asarray(draw_view(scene)).astype(int), 0)
    assert row < SIDE / 2  # beyond the middle between the camera and it


def test_over_the_picture_an_outline_is_where_the_camera_sees_the_object():
    picture = np.zeros((320, 480, 3), dtype=np.uint8)
    image = np.asarray(draw_view(replace(TRUTH, objects=(BALL,)), picture=picture)).astype(int)[:, : 480 * 2]
    expected = TRUTH.camera.project(np.array([BALL.location]))[0, :2] * SIDE / 320
    np.testing.assert_allclose(middle_of(image, 1), expected, atol=4)


def test_differences_are_said_in_words():
    guess = Scene(objects=(CUBE.with_values(color="blue"), DRUM))
    lines = difference_lines(diff(TRUTH, guess), TRUTH, guess)
    assert lines == [
        "missing: small green rubber sphere",
        "too much: small blue rubber cylinder",
        "color blue, in truth red: large red metal cube",
    ]
    moved = Scene(objects=(CUBE.with_values(location=(-1.0, -0.5, 0.7)), BALL))
    assert difference_lines(diff(TRUTH, moved), TRUTH, moved) == ["off by 0.5 clevr: large red metal cube"]
    assert difference_lines(diff(TRUTH, TRUTH), TRUTH, TRUTH) == ["no difference"]


def test_what_is_missing_or_too_much_is_red_and_what_is_right_is_not():
    fault, gray = (255, 80, 64), CUBE.with_values(color="gray")
    right = Scene(objects=(gray,))
    assert not has_color(draw_view(right, truth=right).crop((0, 0, SIDE, SIDE)), fault)
    for scene, truth in ((Scene(objects=(gray, DRUM)), right), (right, Scene(objects=(gray, DRUM)))):
        assert has_color(draw_view(scene, truth=truth).crop((0, 0, SIDE, SIDE)), fault)


def test_objects_without_place_or_mesh_cost_no_picture():
    scene = Scene(objects=(BALL, SceneObject(shape="gizmo", location=(0.0, 0.0, 0.0)), SceneObject(shape="cube")))
    image = draw_view(scene)
    assert image.height > SIDE  # the third is told of below
    assert draw_view(Scene(objects=())).size == (SIDE, SIDE)


def test_a_picture_needs_a_camera_unless_it_is_clevrs():
    picture = np.zeros((32, 48, 3), dtype=np.uint8)
    assert draw_view(replace(TRUTH, camera=None), picture=picture).width > SIDE
    scene = Scene(objects=(CHAIR,), frame="camera", up_axis="-y", units="m")
    with pytest.raises(SceneError, match=r"no camera, which says where .* Leave out --image"):
        draw_view(scene, picture=picture)


def test_scenes_of_two_frames_are_not_compared():
    with pytest.raises(SceneError, match="frame is 'world' before and 'camera' after"):
        draw_view(Scene(objects=(), frame="camera", up_axis="-y", units="m"), truth=TRUTH)

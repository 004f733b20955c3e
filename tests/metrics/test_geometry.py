"""Chamfer distance, F-score, box IoU and collisions: by hand, against a slow twin, and their symmetries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from kyvo.errors import SceneError
from kyvo.metrics.geometry import PROTOCOLS, box_iou, collision_ratio, compare_clouds, to_frame


def cloud(seed, count=40):
    return np.random.default_rng(seed).normal(size=(count, 3))


def cube(low, high, steps=9):
    """Points of a grid that fills a cube."""
    axis = np.linspace(low, high, steps)
    return np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)


seeds = st.integers(0, 2**32 - 1)


def test_two_clouds_by_hand():
    predicted = np.array([[0.0, 0, 0], [1, 0, 0], [0, 3, 0]])
    truth = np.array([[0.0, 0, 0], [1, 0, 2]])
    scores = compare_clouds(predicted, truth, tau=2.0)
    # predicted -> truth: 0, 1, 3; truth -> predicted: 0, 2
    assert scores.chamfer == pytest.approx((0 + 1 + 9) / 3 + (0 + 4) / 2)
    assert scores.distance == pytest.approx((4 / 3 + 1) / 2)
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.recall == pytest.approx(1 / 2)  # a distance of tau itself does not count
    assert scores.f_score == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))


@given(seeds, seeds)
def test_scores_equal_those_of_all_pairs(first, second):
    ours, theirs = cloud(first, 7), cloud(second, 11)
    pairs = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
    scores = compare_clouds(ours, theirs, tau=0.8)
    assert scores.chamfer == pytest.approx((pairs.min(1) ** 2).mean() + (pairs.min(0) ** 2).mean())
    assert (scores.precision, scores.recall) == ((pairs.min(1) < 0.8).mean(), (pairs.min(0) < 0.8).mean())


@given(seeds)
def test_a_cloud_is_like_itself(seed):
    scores = compare_clouds(cloud(seed), cloud(seed), tau=1e-9)
    assert (scores.chamfer, scores.distance, scores.f_score) == (0.0, 0.0, 1.0)
    assert box_iou(cloud(seed), cloud(seed)) == pytest.approx(1.0)


@given(seeds, seeds)
def test_the_scores_are_symmetric_and_blind_to_the_order_of_points(first, second):
    ours, theirs = cloud(first), cloud(second, 30)
    there, back = compare_clouds(ours, theirs, tau=0.5), compare_clouds(theirs[::-1], ours[::-1], tau=0.5)
    assert there.chamfer == pytest.approx(back.chamfer)
    assert there.f_score == pytest.approx(back.f_score)
    assert (there.precision, there.recall) == (back.recall, back.precision)
    assert box_iou(ours, theirs) == pytest.approx(box_iou(theirs[::-1], ours[::-1]))


@given(seeds)
def test_a_rigid_motion_of_both_changes_no_distance(seed):
    turn, shift = Rotation.random(random_state=seed % 1000).as_matrix(), np.array([1.0, -2.0, 0.5])
    ours, theirs = cloud(seed), cloud(seed + 1)
    still = compare_clouds(ours, theirs, tau=0.5)
    moved = compare_clouds(ours @ turn.T + shift, theirs @ turn.T + shift, tau=0.5)
    assert moved.chamfer == pytest.approx(still.chamfer)
    assert moved.distance == pytest.approx(still.distance)


@given(seeds, st.floats(0.01, 2), st.floats(0.01, 2))
def test_the_f_score_grows_with_tau(seed, first, second):
    low, high = sorted([first, second])
    ours, theirs = cloud(seed), cloud(seed + 1)
    assert compare_clouds(ours, theirs, tau=low).f_score <= compare_clouds(ours, theirs, tau=high).f_score


def test_clouds_apart_have_no_f_score():
    assert compare_clouds(cloud(0), cloud(0) + 100, tau=0.1).f_score == 0.0


@pytest.mark.parametrize(
    ("low", "high", "iou"), [(0, 1, 1.0), (0.5, 1.5, 0.125 / 1.875), (1, 2, 0.0), (5, 6, 0.0), (0, 2, 1 / 8)]
)
def test_the_iou_of_boxes_by_hand(low, high, iou):
    assert box_iou(cube(low, high), cube(0, 1)) == pytest.approx(iou)


def test_flat_boxes_agree_or_not():
    flat = np.array([[0.0, 0, 0], [1, 1, 0]])
    assert box_iou(flat, flat[::-1]) == 1.0
    assert box_iou(flat, flat * 2) == 0.0
    assert box_iou(flat, cube(0, 1)) == 0.0


def test_collisions_by_hand():
    # along x the scene is 4 long: with 4 voxels a side, each point has one of its own
    first = np.array([[0.0, 0, 0], [1.5, 0, 0]])
    second = np.array([[1.6, 0, 0], [4.0, 0, 0]])
    assert collision_ratio([first, second], grid=4) == 1 / 3
    assert collision_ratio([first, second], grid=64) == 0.0
    assert collision_ratio([first, first]) == 1.0
    assert collision_ratio([first]) == 0.0


def test_collisions_do_not_depend_on_order_or_scale():
    parts = [cube(0, 1), cube(0.5, 1.5), cube(3, 4)]
    assert 0 < collision_ratio(parts, grid=8) < 1
    assert collision_ratio(parts, grid=8) == collision_ratio([part * 16 for part in parts[::-1]], grid=8)


def test_frames_by_hand():
    truth, predicted = np.array([[0.0, 0, 0], [4, 2, 0]]), np.array([[4.0, 2, 0], [6, 2, 1]])
    ours, theirs = to_frame(predicted, truth, "truth")
    assert theirs.tolist() == [[-1, -0.5, 0], [1, 0.5, 0]]
    assert ours.tolist() == [[1, 0.5, 0], [2, 0.5, 0.5]]
    ours, theirs = to_frame(predicted, truth, "own")
    assert ours.tolist() == [[-1, 0, -0.5], [1, 0, 0.5]]
    assert to_frame(predicted, truth, "unit")[1].tolist() == [[-0.5, -0.25, 0], [0.5, 0.25, 0]]
    assert to_frame(predicted, truth, "stretched")[0] == pytest.approx(
        np.array([[-0.95, -0.95, -0.95], [0.95, -0.95, 0.95]])
    )
    assert to_frame(predicted, truth, "given")[0] is predicted


def test_every_protocol_names_frames_and_an_alignment_that_exist():
    from kyvo.metrics.alignment import METHODS

    for protocol in PROTOCOLS.values():
        assert protocol.alignment in METHODS
        for frame in filter(None, (protocol.scene_frame, protocol.object_frame)):
            to_frame(cloud(0), cloud(1), frame)


def test_clouds_that_say_nothing_are_refused():
    with pytest.raises(SceneError, match=r"the predicted cloud has no point"):
        compare_clouds(np.zeros((0, 3)), cloud(0), tau=0.1)
    broken = cloud(0)
    broken[3, 1] = np.nan
    with pytest.raises(SceneError, match=r"the true cloud has 1 of 40 points with a NaN"):
        compare_clouds(cloud(0), broken, tau=0.1)
    with pytest.raises(SceneError, match=r"all 3 points of a cloud are one"):
        to_frame(cloud(0), np.ones((3, 3)), "truth")

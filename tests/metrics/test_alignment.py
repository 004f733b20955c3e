"""Known motions come back: plain ICP where it can, robust ICP where plain ICP cannot."""

import importlib.util

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kyvo.errors import ConfigError, SceneError
from kyvo.extras import MissingDependency
from kyvo.metrics.alignment import METHODS, Alignment, RobustIcp, align
from kyvo.metrics.geometry import compare_clouds


def furniture(seed=0, count=3000):
    """Points on a seat, a back and one arm: no turn about z but the whole one brings it onto itself."""
    rng = np.random.default_rng(seed)
    boxes = [
        ((-0.5, -0.5, 0), (0.5, 0.5, 0.4)),
        ((-0.5, 0.3, 0.4), (0.5, 0.5, 1.0)),
        ((0.35, -0.5, 0.4), (0.5, 0.3, 0.6)),
    ]
    parts = []
    for low, high in boxes:
        points = rng.uniform(low, high, (count // 3, 3))
        axis = rng.integers(3, size=len(points))
        side = rng.integers(2, size=len(points))
        points[np.arange(len(points)), axis] = np.array([low, high])[side, axis]
        parts.append(points)
    return np.concatenate(parts)


def turned(points, degrees, shift=(0.0, 0.0, 0.0), axis="z"):
    return points @ Rotation.from_euler(axis, degrees, degrees=True).as_matrix().T + shift


def f_score(alignment: Alignment, predicted, truth):
    return compare_clouds(alignment.apply(predicted), truth, tau=0.03).f_score


def test_each_alignment_names_its_method_and_is_a_proper_similarity():
    truth = furniture()
    for method in METHODS[:3]:
        found = align(turned(truth, 20), truth, method=method)
        assert found.method == method
        assert found.rotation @ found.rotation.T == pytest.approx(np.eye(3), abs=1e-6)
        assert np.linalg.det(found.rotation) == pytest.approx(1.0)


def test_no_alignment_leaves_every_point():
    points = furniture()
    assert np.array_equal(align(turned(points, 90), points, method="none").apply(points), points)


def test_small_motions_come_back_by_both_kinds_of_icp():
    truth = furniture()
    predicted = turned(truth, 8, (0.03, -0.02, 0.01))
    for method in ("icp", "robust-icp"):
        found = align(predicted, truth, method=method)
        assert np.abs(found.apply(predicted) - truth).max() < 0.02, method


@pytest.mark.parametrize("degrees", [100, 180, 250])
def test_a_large_yaw_comes_back_by_robust_icp_alone(degrees):
    truth = furniture()
    predicted = turned(truth, degrees, (0.2, 0.1, 0.0))
    robust = align(predicted, truth, method="robust-icp")
    assert np.abs(robust.apply(predicted) - truth).max() < 0.02
    assert f_score(align(predicted, truth, method="icp"), predicted, truth) < 0.9


def test_the_yaw_is_about_the_axis_that_points_up():
    upright = furniture()[:, [1, 2, 0]]  # z is now y
    predicted = turned(upright, 160, axis="y")
    found = align(predicted, upright, method="robust-icp", up="y")
    assert np.abs(found.apply(predicted) - upright).max() < 0.02


def test_part_of_a_cloud_finds_its_place_in_the_whole():
    truth = furniture()
    part = truth[truth[:, 0] > -0.1]
    predicted = turned(part, 60, (0.05, 0.05, 0.0))
    robust = align(predicted, truth, method="robust-icp")
    assert np.abs(robust.apply(predicted) - part).max() < 0.03
    plain = align(predicted, truth, method="icp").apply(predicted)
    assert np.abs(plain - part).max() > 0.1


def test_outliers_do_not_drag_robust_icp_away():
    truth = furniture()
    noise = np.random.default_rng(3).uniform((-0.5, -0.5, 1.4), (1.5, 1.5, 2.0), (600, 3))
    moved = turned(truth, 12, (0.04, 0.0, 0.0))
    predicted = np.concatenate([moved, noise])
    robust = align(predicted, truth, method="robust-icp").apply(moved)
    plain = align(predicted, truth, method="icp").apply(moved)
    assert np.abs(robust - truth).max() < 0.03
    assert np.abs(plain - truth).max() > 0.1


def test_another_place_and_size_come_back_by_the_boxes():
    truth = furniture()
    predicted = turned(truth, 90) * 2.5 + (7.0, -3.0, 1.0)
    found = align(predicted, truth, method="robust-icp")
    assert found.stage.startswith("boxes")
    assert found.scale == pytest.approx(1 / 2.5, rel=0.01)
    assert np.abs(found.apply(predicted) - truth).max() < 0.03


def test_the_result_does_not_depend_on_the_unit():
    truth = furniture()
    predicted = turned(truth, 130)
    small, large = (align(predicted * unit, truth * unit, method="robust-icp") for unit in (1.0, 1000.0))
    assert large.apply(predicted * 1000) / 1000 == pytest.approx(small.apply(predicted), abs=1e-3)


def test_a_cloud_on_itself_stays():
    truth = furniture()
    assert np.abs(align(truth, truth, method="robust-icp").apply(truth) - truth).max() < 1e-6


def test_few_points_are_aligned_without_normals():
    truth = furniture()[::600]
    predicted = truth + np.array([0.02, 0.0, 0.0])
    assert np.abs(align(predicted, truth, method="robust-icp").apply(predicted) - truth).max() < 0.01


def test_the_stages_share_the_iterations_and_have_ten_at_least():
    assert (RobustIcp(iterations=50).coarse_iterations, RobustIcp(iterations=50).fine_iterations) == (25, 25)
    assert (RobustIcp(iterations=12).coarse_iterations, RobustIcp(iterations=12).fine_iterations) == (10, 10)


@pytest.mark.skipif(importlib.util.find_spec("probreg") is not None, reason="probreg is installed")
def test_filterreg_says_what_it_needs():
    with pytest.raises(MissingDependency, match=r"FilterReg needs the package probreg.*pip install 'kyvo.filterreg"):
        align(furniture(), furniture(), method="filterreg")


@pytest.mark.skipif(importlib.util.find_spec("probreg") is None, reason="needs probreg")
def test_filterreg_finds_a_small_motion():
    truth = furniture(count=900)
    predicted = turned(truth, 8, (0.03, -0.02, 0.01))
    found = align(predicted, truth, method="filterreg")
    assert np.abs(found.apply(predicted) - truth).mean() < np.abs(predicted - truth).mean() / 3


def test_unknown_words_and_empty_clouds_are_refused():
    with pytest.raises(ConfigError, match=r"alignment 'cpd' is not known; known are none, icp"):
        align(furniture(), furniture(), method="cpd")
    with pytest.raises(ConfigError, match=r"up axis 'w' is not known"):
        align(furniture(), furniture(), method="robust-icp", up="w")
    with pytest.raises(SceneError, match=r"the predicted cloud has no point"):
        align(np.zeros((0, 3)), furniture(), method="icp")

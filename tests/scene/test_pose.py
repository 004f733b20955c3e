"""Poses compose, invert, and are what SceneGen's 8-vector says."""

import numpy as np
import pytest

from kyvo.data.meshes.assets import rotation_matrix
from kyvo.errors import SceneError
from kyvo.scene.pose import Pose


def some_poses(count: int) -> list[Pose]:
    rng = np.random.default_rng(0)
    return [Pose.from_vector([*rng.normal(size=7), rng.uniform(0.2, 3)]) for _ in range(count)]


def test_composing_and_inverting_are_what_they_do_to_points():
    points = np.random.default_rng(1).normal(size=(5, 3))
    for one, other in zip(some_poses(6), some_poses(7)[1:], strict=True):
        np.testing.assert_allclose((one @ other).apply(points), one.apply(other.apply(points)), atol=1e-12)
        np.testing.assert_allclose(one.inverse().apply(one.apply(points)), points, atol=1e-12)
        np.testing.assert_allclose((other @ one.relative_to(other)).vector, one.vector, atol=1e-12)
        np.testing.assert_allclose(rotation_matrix(one.euler), one.rotation, atol=1e-12)


def test_the_query_is_the_identity_and_w_stays_positive():
    pose = Pose(translation=(1, 2, 3), quaternion_wxyz=(-1, 0, 0, 2), scale=2)
    np.testing.assert_allclose(pose.relative_to(pose).vector, [0, 0, 0, 1, 0, 0, 0, 1], atol=1e-12)
    assert pose.quaternion_wxyz[0] > 0
    turned = Pose.of_turn(np.pi / 2).apply(np.array([1.0, 0, 0]))
    np.testing.assert_allclose(turned, [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("bad", [{"scale": 0.0}, {"quaternion_wxyz": (0, 0, 0, 0)}, {"translation": (0, 0, np.nan)}])
def test_what_is_no_pose_is_refused(bad):
    with pytest.raises(SceneError, match="it takes finite numbers"):
        Pose(**bad)

"""IoU of boxes by hand and against a slow twin that intersects half-spaces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, HalfspaceIntersection
from scipy.spatial.transform import Rotation

from kyvo.metrics.boxes import Cuboids, cuboids_from_corners, iou_2d, iou_3d, shared_volume


def cuboids(seed, count, yaw_only=False):
    draw = np.random.default_rng(seed)
    angles = draw.uniform(-3, 3, (count, 3)) * ([1, 0, 0] if yaw_only else [1, 1, 1])
    return Cuboids(
        center=draw.normal(0, 0.6, (count, 3)),
        extent=draw.uniform(0.2, 2, (count, 3)),
        rotation=Rotation.from_euler("zyx", angles).as_matrix(),
    )


def upright(*boxes):
    """Boxes along the axes: (centre, extent) each."""
    rows = np.asarray(boxes, dtype=float)
    return Cuboids(center=rows[:, 0], extent=rows[:, 1], rotation=np.tile(np.eye(3), (len(rows), 1, 1)))


def slow_volume(first, second, index):
    """Half-spaces, a point inside by linear programming, the hull of the corners."""
    planes = []
    for box in (first, second):
        for axis in range(3):
            for sign in (1, -1):
                normal = sign * box.rotation[index][:, axis]
                planes.append([*normal, -(normal @ box.center[index] + box.extent[index, axis] / 2)])
    planes = np.array(planes)
    inner = linprog(
        [0, 0, 0, -1], A_ub=np.c_[planes[:, :3], np.ones(12)], b_ub=-planes[:, 3], bounds=[(None, None)] * 3 + [(0, 10)]
    )
    if not inner.success or inner.x[3] < 1e-6:
        return 0.0
    return ConvexHull(HalfspaceIntersection(planes, inner.x[:3]).intersections).volume


@pytest.mark.parametrize("yaw_only", [False, True])
def test_the_shared_volume_equals_that_of_intersected_half_spaces(yaw_only):
    first, second = cuboids(0, 60, yaw_only), cuboids(1, 60, yaw_only)
    slow = [slow_volume(first, second, index) for index in range(60)]
    assert sum(volume > 0 for volume in slow) > 15
    assert shared_volume(first, second) == pytest.approx(slow, abs=1e-7)


def test_ious_by_hand():
    unit = ((0, 0, 0), (1, 1, 1))
    others = [
        ((0.5, 0, 0), (1, 1, 1)),  # half of each: 1/2 over 3/2
        ((1, 0, 0), (1, 1, 1)),  # they touch
        ((0, 0, 0), (0.5, 0.5, 0.5)),  # inside, at the middle
        ((0.25, 0.25, 0.25), (0.5, 0.5, 0.5)),  # inside, sharing three faces
        ((3, 0, 0), (1, 1, 1)),
        ((0, 0, 0), (0, 1, 1)),  # no volume
    ]
    found = iou_3d(upright(*[unit] * len(others)), upright(*others))
    assert found == pytest.approx([1 / 3, 0, 1 / 8, 1 / 8, 0, 0], abs=1e-8)


def test_a_cube_turned_by_an_eighth_shares_the_octagon_prism():
    straight = upright(((1, 2, 3), (1, 1, 1)))
    turned = Cuboids(
        center=straight.center, extent=straight.extent, rotation=Rotation.from_euler("z", [[np.pi / 4]]).as_matrix()
    )
    octagon = 2 * (np.sqrt(2) - 1)  # area of a regular octagon around a circle of diameter 1
    assert iou_3d(straight, turned) == pytest.approx([octagon / (2 - octagon)], abs=1e-8)


@given(seed=st.integers(0, 10**6))
def test_iou_is_symmetric_bounded_and_1_for_equal_boxes(seed):
    first, second = cuboids(seed, 8), cuboids(seed + 1, 8)
    iou = iou_3d(first, second)
    assert ((iou >= 0) & (iou <= 1)).all()
    assert iou == pytest.approx(iou_3d(second, first), abs=1e-7)
    assert iou_3d(first, first) == pytest.approx(np.ones(8))


@given(seed=st.integers(0, 10**6), tiny=st.integers(4, 15))
def test_boxes_that_are_nearly_equal_are_no_special_case(seed, tiny):
    box = cuboids(seed, 5)
    nudge = Rotation.from_euler("xyz", [[1.0, 0.7, -1.3]]).as_rotvec() * 10.0**-tiny
    turned = Cuboids(
        center=box.center, extent=box.extent, rotation=box.rotation @ Rotation.from_rotvec(nudge).as_matrix()
    )
    assert iou_3d(box, turned) == pytest.approx(np.ones(5), abs=100 * 10.0**-tiny + 1e-6)


def test_boxes_come_back_from_their_corners():
    boxes = cuboids(3, 20)
    found, whole = cuboids_from_corners(boxes.corners())
    assert whole.all()
    assert found.corners() == pytest.approx(boxes.corners())
    assert iou_3d(found, boxes) == pytest.approx(np.ones(20))
    bent = boxes.corners()
    bent[0, 0] += 0.3
    assert cuboids_from_corners(bent)[1].tolist() == [False] + [True] * 19


def test_ious_of_rectangles_by_hand():
    one = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 0, 0]], dtype=float)
    two = np.array([[1, 1, 2, 2], [2, 0, 2, 2], [0, 0, 1, 1], [0, 0, 0, 0]], dtype=float)
    assert iou_2d(one, two).tolist() == [1 / 7, 0, 1 / 4, 0]
    assert iou_2d(np.array([[0.0, 0, 2, 1]]), np.array([[1.0, 0, 2, 3]])).tolist() == [1 / 7]

"""AP by hand, and against COCO's procedure written as plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import SceneError
from kyvo.metrics.average_precision import (
    MOST,
    PROXIMITY,
    RANGES_2D,
    RANGES_3D,
    THRESHOLDS_2D,
    THRESHOLDS_3D,
    Boxes,
    precision_2d,
    precision_3d,
)
from kyvo.metrics.boxes import Cuboids, iou_2d, iou_3d


def boxes(rows):
    """(image, category, x, width, score, ignored): boxes of height and depth 1 at depth 5; the same as rectangles."""
    image, category, x, width, score, ignored = np.asarray(rows, dtype=float).reshape(-1, 6).T
    count = len(image)
    return Boxes(
        image=image.astype(int),
        category=category.astype(int),
        cuboids=Cuboids(
            center=np.c_[x, np.zeros(count), np.full(count, 5.0)],
            extent=np.c_[width, np.ones((count, 2))],
            rotation=np.tile(np.eye(3), (count, 1, 1)),
        ),
        rectangles=np.c_[x, np.zeros(count), width, np.ones(count)],
        scores=score,
        ignored=ignored.astype(bool),
    )


def slow_ap(found, truth, thresholds, solid):
    """COCO's loops, without ranges: mean over thresholds and categories."""
    values = []
    i, j = np.indices((len(found), len(truth))).reshape(2, -1)
    one, other = found.take(i), truth.take(j)
    ious = iou_3d(one.cuboids, other.cuboids) if solid else iou_2d(one.rectangles, other.rectangles)
    overlaps = ious.reshape(len(found), len(truth))
    for category in sorted({int(truth.category[i]) for i in range(len(truth)) if not truth.ignored[i]}):
        for threshold in thresholds:
            marks = []
            for image in range(10):
                ours = [i for i in range(len(found)) if (found.image[i], found.category[i]) == (image, category)]
                true = [i for i in range(len(truth)) if (truth.image[i], truth.category[i]) == (image, category)]
                ours.sort(key=lambda i: -found.scores[i])
                true.sort(key=lambda i: truth.ignored[i])
                taken = set()
                for i in ours:
                    best, chosen = threshold, None
                    for j in true:
                        if j in taken or (chosen is not None and not truth.ignored[chosen] and truth.ignored[j]):
                            continue
                        if overlaps[i, j] >= best:
                            best, chosen = overlaps[i, j], j
                    if chosen is not None:
                        taken.add(chosen)
                    if chosen is None or not truth.ignored[chosen]:
                        marks.append((-found.scores[i], image, chosen is not None))
            marks.sort(key=lambda mark: mark[0])
            wanted = sum(truth.category[j] == category and not truth.ignored[j] for j in range(len(truth)))
            right = np.cumsum([mark[2] for mark in marks])
            levels = []
            for recall in np.linspace(0, 1, 101):
                reached = [right[k] / (k + 1) for k in range(len(marks)) if right[k] / wanted >= recall]
                levels.append(max(reached, default=0.0))
            values.append(np.mean(levels))
    return float(np.mean(values))


rows = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 1),
        st.integers(0, 8).map(lambda k: k * 0.3), st.sampled_from([0.7, 1.0, 1.6]),
        st.integers(1, 1000).map(lambda k: k / 1000), st.booleans(),
    ),
    min_size=1, max_size=8, unique_by=lambda row: row[4],
)  # fmt: skip


@given(found=rows, truth=rows)
def test_ap_equals_cocos_loops(found, truth):
    found, truth = boxes([(*row[:5], 0) for row in found]), boxes(truth)
    for solid, measure in ((True, precision_3d), (False, precision_2d)):
        result = measure(found, truth)
        if truth.ignored.all():
            assert np.isnan(result.mean())
        else:
            assert result.mean() == pytest.approx(slow_ap(found, truth, result.thresholds, solid), abs=1e-6)


@given(found=rows, truth=rows, seed=st.integers(0, 100))
def test_ap_does_not_depend_on_the_order_of_rows(found, truth, seed):
    found, truth = boxes([(*row[:5], 0) for row in found]), boxes([(*row[:5], 0) for row in truth])
    shuffled = found.take(np.random.default_rng(seed).permutation(len(found)))
    assert precision_3d(shuffled, truth).mean() == pytest.approx(precision_3d(found, truth).mean())


@given(found=rows, truth=rows)
def test_a_higher_threshold_never_finds_more(found, truth):
    result = precision_3d(boxes([(*row[:5], 0) for row in found]), boxes([(*row[:5], 0) for row in truth]))
    assert (np.diff(result.true_positive[0].sum(1)) <= 0).all()


def test_the_truth_itself_scores_1():
    truth = boxes([(0, 0, 0, 1, 1, 0), (0, 1, 3, 1, 1, 0), (1, 0, 0, 2, 1, 0)])
    assert precision_3d(truth, truth).mean() == pytest.approx(1)
    assert precision_2d(truth, truth).mean() == pytest.approx(1)


def test_ap_by_hand():
    truth = boxes([(0, 0, 0, 1, 1, 0), (1, 0, 0, 1, 1, 0)])
    # right, wrong, right: precisions 1, 1/2, 2/3; recall reaches 1/2 at once, 1 at the last: 51 recalls at 1, 50 at 2/3
    found = boxes([(0, 0, 0, 1, 0.9, 0), (0, 0, 5, 1, 0.8, 0), (1, 0, 0, 1, 0.7, 0)])
    assert precision_3d(found, truth).mean() == pytest.approx((51 + 50 * 2 / 3) / 101)
    # IoU 1/3: found at thresholds up to 0.3, six of ten
    third = boxes([(0, 0, 0.5, 1, 0.9, 0), (1, 0, 0.5, 1, 0.9, 0)])
    result = precision_3d(third, truth)
    assert result.mean() == pytest.approx(0.6)
    assert (result.mean(threshold=0.25), result.mean(threshold=0.5)) == pytest.approx((1, 0))
    assert result.mean(range_="near") == pytest.approx(0.6)
    assert np.isnan(result.mean(range_="far"))
    assert set(result.ranges) == set(RANGES_3D) and result.thresholds == THRESHOLDS_3D


def test_an_ignored_box_costs_nothing_and_a_second_detection_of_a_box_is_wrong():
    truth = boxes([(0, 0, 0, 1, 1, 0), (0, 0, 5, 1, 1, 1)])
    assert precision_3d(boxes([(0, 0, 0, 1, 0.5, 0), (0, 0, 5, 1, 0.9, 0)]), truth).mean() == pytest.approx(1)
    twice = precision_3d(boxes([(0, 0, 0, 1, 0.5, 0), (0, 0, 0.01, 1, 0.9, 0)]), truth)
    assert twice.true_positive[0, 0].tolist() == [True, False] and not twice.ignored[0].any()


def test_proximity_passes_over_detections_far_from_every_true_box_of_the_picture():
    truth = boxes([(0, 0, 0, 1, 1, 0)])
    found = boxes([(0, 0, 5, 1, 0.9, 0), (0, 0, 0, 1, 0.5, 0), (1, 0, 0, 1, 0.1, 0)])
    assert precision_3d(found, truth).mean() == pytest.approx(1 / 2)
    near = precision_3d(found, truth, proximity=True)
    assert near.ignored[0, 0].tolist() == [
        True,
        False,
        False,
    ]  # the other picture has no true box, so all count there
    assert near.mean() == pytest.approx(1)


def test_only_the_100_surest_of_a_picture_and_category_count():
    truth = boxes([(0, 0, 0, 1, 1, 0)])
    found = boxes([(0, 0, 50, 1, 0.5, 0)] * 100 + [(0, 0, 0, 1, 0.1, 0), (0, 1, 0, 1, 0.05, 0)])
    result = precision_3d(found, truth)
    assert len(result.detections) == 101 and result.mean() == 0


def test_no_detection_scores_0_and_no_truth_is_refused():
    truth = boxes([(0, 0, 0, 1, 1, 0)])
    assert precision_3d(boxes([]), truth).mean() == 0
    with pytest.raises(SceneError, match="the truth has no box"):
        precision_3d(truth, boxes([]))


def test_thresholds_and_ranges_are_those_of_omni3d_and_coco():
    assert THRESHOLDS_3D == (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
    assert THRESHOLDS_2D == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    assert RANGES_3D == {"all": (0, 1e5), "near": (0, 10), "medium": (10, 35), "far": (35, 1e5)}
    assert RANGES_2D == {"all": (0, 1e10), "small": (0, 1024), "medium": (1024, 9216), "large": (9216, 1e10)}
    assert (MOST, PROXIMITY) == (100, 0.3)


def test_the_partner_is_that_of_the_range_of_all():
    truth, found = boxes([(0, 0, 0, 1, 1, 0)] * 2), boxes([(0, 0, 0, 1, 0.9, 0)])
    truth.cuboids.center[:, 2] = (9.9, 10.1)  # the second is beyond "near"
    found.cuboids.center[:, 2] = 10.05
    assert precision_3d(found, truth).matched_truth[0].tolist() == [1]

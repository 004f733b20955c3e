"""The numbers behind the plots, by hand, and that every plot is a picture."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.evaluation.plots import (
    Bin,
    bins_by_count,
    calibration_bins,
    calibration_error,
    calibration_plot,
    confusion_plot,
    distance_plot,
    score_plot,
    tau_plot,
)

unit = st.floats(0, 1, allow_nan=False)


def test_calibration_by_hand():
    bins = calibration_bins([0.1, 0.2, 0.9, 1.0], [False, True, True, True], num_bins=2)
    assert [(entry.x, entry.y, entry.count) for entry in bins] == [
        (pytest.approx(0.15), 0.5, 2),
        (pytest.approx(0.95), 1.0, 2),
    ]
    assert calibration_error(bins) == pytest.approx((2 * 0.35 + 2 * 0.05) / 4)


@given(st.lists(st.tuples(unit, st.booleans()), min_size=1, max_size=60), st.integers(1, 12))
def test_calibration_bins_hold_each_object_once_and_the_error_is_a_share(pairs, num_bins):
    confidence, right = zip(*pairs, strict=True)
    bins = calibration_bins(confidence, right, num_bins)
    assert sum(entry.count for entry in bins) == len(pairs)
    assert sum(entry.count * entry.y for entry in bins) == pytest.approx(sum(right))
    assert 0 <= calibration_error(bins) <= 1


def test_certainty_that_is_always_right_has_no_error():
    assert calibration_error(calibration_bins([1.0, 1.0], [True, True])) == 0


def test_error_by_distance_by_hand():
    bins = bins_by_count([4, 1, 2, 3], [0.4, 0.1, 0.2, 0.3], num_bins=2)
    assert [(entry.x, entry.count) for entry in bins] == [(1.5, 2), (3.5, 2)]
    assert [entry.y for entry in bins] == [pytest.approx(0.15), pytest.approx(0.35)]
    assert (bins[0].low, bins[0].high) == (pytest.approx(0.125), pytest.approx(0.175))


@given(st.lists(st.tuples(unit, unit), min_size=1, max_size=40))
def test_bins_of_distance_are_ordered_and_lose_nothing(pairs):
    bins = bins_by_count(*zip(*pairs, strict=True))
    assert sum(entry.count for entry in bins) == len(pairs)
    assert all(ours.x <= theirs.x + 1e-12 for ours, theirs in pairwise(bins))
    assert sum(entry.count * entry.y for entry in bins) == pytest.approx(sum(y for _, y in pairs))


def texts(svg: str) -> str:
    """The words of a plot: matplotlib draws them as outlines, and names them in comments."""
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    return svg


def test_each_plot_is_an_svg_that_says_what_it_shows():
    entry = Bin(x=0.5, y=0.5, low=0.4, high=0.6, count=3)
    assert "Jaccard index" in texts(tau_plot([{"tau": 0.1, "jaccard": 0.2, "optimal jaccard": 0.3}], "m"))
    assert "distance from the camera, m" in texts(distance_plot([entry], unit="m", origin="the camera"))
    assert "expected calibration error 0.000" in texts(calibration_plot([entry]))
    assert "score of an item" in texts(score_plot([0.0, -1.0, 1.0]))
    assert "predicted" in texts(confusion_plot("shape", ["cube"], [[3]]))


def test_plots_do_not_differ_from_run_to_run():
    assert score_plot([0.5]) == score_plot([0.5])


def test_many_words_are_joined_and_no_count_is_lost():
    words = [f"word{index}" for index in range(30)]
    counts = np.diag(np.arange(30))
    text = texts(confusion_plot("category", words, counts.tolist()))
    assert "others" in text and "word29" in text and "<!-- word3 -->" not in text
    assert f"<!-- {sum(range(11))} -->" in text  # words 0 to 10 became one

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import CheckpointError, ConfigError
from kyvo.generation.calibration import Calibration, expected_calibration_error, reliability

CONFIDENCES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def objects(count, true, seed=0):
    """Confidences, and labels that are right as often as `true` says of each confidence."""
    random = np.random.default_rng(seed)
    sure = random.uniform(0.05, 0.95, count)
    return sure.tolist(), (random.random(count) < true(sure)).tolist()


def test_the_error_is_the_weighted_gap_of_the_bins():
    # [0.9, 0.9, 1.0]: mean 0.9333, two of three right; [0.25]: wrong
    found = expected_calibration_error([0.9, 0.9, 1.0, 0.25], [True, True, False, False])
    assert found == pytest.approx(3 / 4 * (2.8 / 3 - 2 / 3) + 1 / 4 * 0.25)
    assert expected_calibration_error([], []) == 0
    assert [row["objects"] for row in reliability([0.9, 0.9, 1.0, 0.25], [True, True, False, False])] == [1, 3]


def test_a_model_that_is_too_sure_is_calibrated_on_objects_it_was_not_fitted_on():
    def too_sure(sure):
        return 1 / (1 + np.exp(-(0.5 * np.log(sure / (1 - sure)) - 1.0)))

    fitted = Calibration.fit(*objects(4000, too_sure))
    assert fitted.scale == pytest.approx(0.5, abs=0.08) and fitted.shift == pytest.approx(-1.0, abs=0.12)
    sure, right = objects(4000, too_sure, seed=1)
    before = expected_calibration_error(sure, right)
    after = expected_calibration_error(fitted.apply(sure), right)
    assert before > 0.15 and after < 0.04


@given(confidences=CONFIDENCES, scale=st.floats(0.01, 10), shift=st.floats(-5, 5))
def test_confidences_stay_in_range_and_in_order(confidences, scale, shift):
    after = Calibration(scale=scale, shift=shift).apply(confidences)
    assert all(0 <= value <= 1 and math.isfinite(value) for value in after)
    order = np.argsort(confidences, kind="stable")
    assert (np.diff(np.array(after)[order]) >= 0).all()


@given(confidences=CONFIDENCES)
def test_without_a_file_confidences_stay_as_they_are(confidences, tmp_path_factory):
    assert Calibration.from_pretrained(tmp_path_factory.getbasetemp()).apply(confidences) == confidences


def test_a_calibration_comes_back_from_its_folder_and_a_bad_one_is_refused(tmp_path):
    Calibration(scale=0.5, shift=-1.25).save(tmp_path, {"tau": 0.25})
    assert Calibration.from_pretrained(tmp_path) == Calibration(scale=0.5, shift=-1.25)
    path = tmp_path / "calibration.json"
    assert json.loads(path.read_text())["tau"] == 0.25
    for text, message in (("{", "cannot be read"), ('{"scale": 1}', "shift"), ('{"scale": -1, "shift": 0}', "above 0")):
        path.write_text(text)
        with pytest.raises(CheckpointError, match=message):
            Calibration.from_pretrained(tmp_path)


def test_objects_that_are_all_right_teach_nothing():
    with pytest.raises(ConfigError, match="2 of 2 objects are right; fitting needs some of both"):
        Calibration.fit([0.5, 0.6], [True, True])

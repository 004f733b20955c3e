"""Pictures with ordinary faults, and pictures that show no scene of CLEVR's kind."""

import numpy as np
import pytest

from kyvo.data.corruptions import CORRUPTIONS, cropped, lit, narrow, tilted
from kyvo.data.out_of_domain_pictures import FIT_KINDS, TEST_KINDS

PICTURE = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_fault_changes_a_picture_always_in_the_same_way(name):
    first, again = CORRUPTIONS[name](PICTURE), CORRUPTIONS[name](PICTURE)
    assert first.dtype == np.uint8 and first.shape[2] == 3 and np.array_equal(first, again)
    assert first.shape != PICTURE.shape or not np.array_equal(first, PICTURE)


def test_faults_do_what_their_names_say():
    assert lit(PICTURE, 0.5).mean() == pytest.approx(PICTURE.mean() / 2, abs=0.6)
    assert cropped(PICTURE, 0.1, 0.25).shape == (64, 60, 3) and narrow(PICTURE, 60).shape == (40, 60, 3)
    assert np.array_equal(tilted(PICTURE, 180), PICTURE[::-1, ::-1])


@pytest.mark.parametrize("draw", [*FIT_KINDS.values(), *TEST_KINDS.values()])
def test_a_kind_follows_from_chance_alone(draw):
    first, again, other = (draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.uint8 and first.shape == (160, 240, 3)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_no_kind_is_fitted_on_and_measured():
    assert not FIT_KINDS.keys() & TEST_KINDS.keys() and not {*FIT_KINDS.values()} & {*TEST_KINDS.values()}

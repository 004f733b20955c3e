import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import ImageError
from kyvo.metrics.images import psnr, ssim


def noise(seed: int, height: int = 13, width: int = 17) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plain_ssim(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Window by window, from the definition."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    values = []
    for row in range(ours.shape[0] - 10):
        for column in range(ours.shape[1] - 10):
            for channel in range(3):
                x, y = (p[row : row + 11, column : column + 11, channel].astype(float) for p in (ours, theirs))
                mean_x, mean_y = (window * x).sum(), (window * y).sum()
                spread = (window * (x - mean_x) ** 2).sum() + (window * (y - mean_y) ** 2).sum()
                together = (window * (x - mean_x) * (y - mean_y)).sum()
                luminance = (2 * mean_x * mean_y + 2.55**2) / (mean_x**2 + mean_y**2 + 2.55**2)
                values.append(luminance * (2 * together + 7.65**2) / (spread + 7.65**2))
    return float(np.mean(values))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_ssim_is_the_mean_over_windows_of_the_definition(first, second):
    ours, theirs = noise(first), noise(second)
    assert ssim(ours, theirs) == pytest.approx(plain_ssim(ours, theirs), abs=1e-9)
    assert ssim(ours, theirs) == pytest.approx(ssim(theirs, ours))


def test_a_picture_is_like_itself():
    assert ssim(noise(0), noise(0)) == pytest.approx(1.0)
    assert psnr(noise(0), noise(0)) == float("inf")


@pytest.mark.parametrize(("step", "decibels"), [(1, 48.1308), (51, 13.9794)])
def test_psnr_of_a_known_difference(step, decibels):
    flat = np.full((4, 5, 3), 100, dtype=np.uint8)
    assert psnr(flat, flat + np.uint8(step)) == pytest.approx(decibels, abs=1e-4)


def test_pictures_of_two_sizes_are_not_compared():
    for compare in (psnr, ssim):
        with pytest.raises(ImageError, match=r"17x13 and 18x13 px; only pictures of one size"):
            compare(noise(0), noise(0, width=18))


def test_a_picture_smaller_than_the_window_has_no_ssim():
    with pytest.raises(ImageError, match=r"window is 11 px and the pictures have 17x10"):
        ssim(noise(0, height=10), noise(1, height=10))

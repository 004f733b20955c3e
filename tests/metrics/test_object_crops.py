"""L2, the released figures and the squares around objects."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import ImageError
from kyvo.metrics.images import GRAY, l2, object_crops, released_l2, released_ssim
from kyvo.scene.scene import Camera, Scene, SceneObject

CAMERA = Camera.look_at(location=(0.0, -10.0, 0.0), focal=100.0, width=120, height=80)


def noise(seed, height=13, width=17):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def thing(location, **values):
    return SceneObject(**{"size": "large", "location": location, **values})


def plain_released_ssim(ours, theirs):
    """Window by window: uniform 7 x 7, sample covariance, the range of the generated picture."""
    x, y = ((picture / 255) @ np.array(GRAY) for picture in (ours, theirs))
    spread = x.max() - x.min()
    values = []
    for row in range(x.shape[0] - 6):
        for column in range(x.shape[1] - 6):
            a, b = (p[row : row + 7, column : column + 7].ravel() for p in (x, y))
            (va, cov), (_, vb) = np.cov(a, b)
            c1, c2 = (0.01 * spread) ** 2, (0.03 * spread) ** 2
            luminance = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
            values.append(luminance * (2 * cov + c2) / (va + vb + c2))
    return float(np.mean(values))


def test_l2_by_hand():
    flat = np.full((4, 5, 3), 100, dtype=np.uint8)
    other = flat.copy()
    other[..., 0] += 51  # a fifth of the range in one of three channels
    assert l2(flat, other) == pytest.approx(0.2**2 / 3)
    assert l2(flat, flat) == 0.0
    assert released_l2(flat, other) == pytest.approx((0.2 * 0.2125) ** 2)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_the_released_ssim_is_that_of_its_definition(first, second):
    ours, theirs = noise(first), noise(second)
    assert released_ssim(ours, theirs) == pytest.approx(plain_released_ssim(ours, theirs), abs=1e-9)


def test_the_released_ssim_of_equal_pictures_is_one_and_it_is_not_symmetric():
    assert released_ssim(noise(0), noise(0)) == pytest.approx(1.0)
    pale = (noise(1) // 4).astype(np.uint8)
    assert released_ssim(noise(0), pale) != pytest.approx(released_ssim(pale, noise(0)), abs=1e-4)


def test_the_released_figures_resize_the_truth_to_square_pictures_alone():
    flat = np.full((16, 16, 3), 90, dtype=np.uint8)
    assert released_l2(flat, np.full((32, 24, 3), 90, dtype=np.uint8)) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ImageError, match="the released script resizes to square pictures only"):
        released_l2(noise(0), flat)
    with pytest.raises(ImageError, match="one grey value"):
        released_ssim(flat, noise(0, 16, 16))
    with pytest.raises(ImageError, match="window is 7 px and the pictures have 17x6"):
        released_ssim(noise(0, 6), noise(1, 6))


def test_squares_by_hand():
    scene = Scene(objects=(thing((0.0, 0.0, 0.0)), thing((1.0, 0.0, 1.0)), thing((5.5, 0.0, 0.0))))
    middle, aside, edge = object_crops(scene, CAMERA)
    # at depth 10 a unit is 10 px; a sphere of 0.7 is 14 px wide, and its square a quarter more
    assert (middle.left, middle.top, middle.side) == (51, 31, 18)
    assert (aside.left - middle.left, aside.top - middle.top) == (10, -10)
    assert edge.left + edge.side == 120  # moved inside


def test_squares_have_the_window_at_least_and_the_picture_at_most():
    far, near = thing((0.0, 200.0, 0.0)), thing((0.0, -9.5, 0.0))
    small, large = object_crops(Scene(objects=(far, near)), CAMERA)
    assert small.side == 11
    assert (large.side, large.top) == (80, 0)
    assert large.cut(np.zeros((80, 120, 3), dtype=np.uint8)).shape == (80, 80, 3)


def test_objects_that_are_not_seen_or_have_no_extent_have_no_square():
    behind, outside = thing((0.0, -20.0, 0.0)), thing((9.0, 0.0, 0.0))
    unknown, unplaced = thing((0.0, 0.0, 0.0), size=None), SceneObject(size="large")
    seen = thing((0.0, 0.0, 0.0), size=None, dimensions=(0.8, 0.8, 0.8))
    (square,) = object_crops(Scene(objects=(behind, outside, unknown, unplaced, seen)), CAMERA)
    assert square.index == 4
    assert square.side == round(2.5 * 10 * 0.8 * 3**0.5 / 2)

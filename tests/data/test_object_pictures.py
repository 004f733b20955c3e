"""A picture of one object loses its background, or says why it cannot."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kyvo.data.object_pictures import MARGIN, cut_out, read_object_picture
from kyvo.errors import ImageError

SKY, RED = (200, 220, 240), (190, 30, 40)


def drawn(width: int = 120, height: int = 90) -> np.ndarray:
    """A red box of 40 x 20 px, with a hole that shows the background, on a plain one."""
    rgb = np.full((height, width, 3), SKY, np.uint8)
    rgb[30:50, 60:100] = RED
    rgb[36:44, 70:80] = SKY
    return rgb


def box_of(alpha: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(alpha > 127)
    return np.array([np.ptp(rows) + 1, np.ptp(columns) + 1])


def save(rgb: np.ndarray, path: Path) -> Path:
    Image.fromarray(rgb).save(path)
    return path


def test_a_plain_background_is_cut_and_what_it_encloses_is_kept(tmp_path):
    found = read_object_picture(save(drawn(), tmp_path / "box.png")).rgba
    side = round(MARGIN * 40)
    assert found.shape == (side, side, 4)
    assert (found[..., 3] > 127).sum() == 40 * 20  # the hole is not reached from the border
    assert box_of(found[..., 3]).tolist() == [20, 40]
    assert abs(np.nonzero(found[..., 3])[1].mean() - (side - 1) / 2) <= 1  # in the middle


def test_noise_and_specks_on_a_plain_background_are_no_object(tmp_path):
    rng = np.random.default_rng(0)
    rgb = np.clip(drawn().astype(int) + rng.integers(-6, 7, (90, 120, 3)), 0, 255).astype(np.uint8)
    rgb[5, 5] = 0
    assert box_of(cut_out(np.dstack([rgb, np.full((90, 120), 255, np.uint8)])).rgba[..., 3]).tolist() == [20, 40]


def test_transparency_says_what_the_object_is(tmp_path):
    rgba = np.dstack([drawn(), np.zeros((90, 120), np.uint8)])
    rgba[10:20, 10:40, 3] = 255
    found = read_object_picture(save(rgba, tmp_path / "box.png"))
    assert box_of(found.rgba[..., 3]).tolist() == [10, 30]
    pixels = found.pixels(64)
    assert pixels.shape == (3, 64, 64)
    assert pixels[:, 0, 0].abs().max() == 0  # black outside
    assert pixels[:, 32, 32].mul(255).round().tolist() == pytest.approx(SKY, abs=3)


def test_a_mask_says_what_the_object_is(tmp_path):
    busy = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    mask = np.zeros((90, 120), np.uint8)
    mask[40:70, 20:50] = 255
    picture, shown = save(busy, tmp_path / "busy.png"), save(mask, tmp_path / "mask.png")
    assert box_of(read_object_picture(picture, mask=shown).rgba[..., 3]).tolist() == [30, 30]
    with pytest.raises(ImageError, match=r"background is not plain: \d+% of the pixels at its border .* Give a mask"):
        read_object_picture(picture)
    with pytest.raises(
        ImageError, match=r"busy.png with the mask .*mask.png: its mask has 10x10 px and the picture 120x90"
    ):
        read_object_picture(picture, mask=save(mask[:10, :10], tmp_path / "mask.png"))


def test_a_picture_without_an_object_is_refused(tmp_path):
    empty = np.full((50, 50, 3), SKY, np.uint8)
    with pytest.raises(ImageError, match=r"empty.png: it shows no object"):
        read_object_picture(save(empty, tmp_path / "empty.png"))
    nothing = np.dstack([empty, np.zeros((50, 50), np.uint8)])
    with pytest.raises(ImageError, match="it shows no object"):
        cut_out(nothing)


def test_a_large_picture_is_scaled_down_first(tmp_path):
    large = Image.fromarray(drawn()).resize((4000, 3000), Image.Resampling.NEAREST)
    large.save(tmp_path / "large.png")
    found = read_object_picture(tmp_path / "large.png").rgba
    assert found.shape[0] == pytest.approx(MARGIN * 40 / 120 * 1024, abs=3)

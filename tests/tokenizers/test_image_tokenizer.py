import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kyvo.errors import CheckpointError, ImageError
from kyvo.tokenizers.image import WEIGHTS_NAME, ImageTokenizer, fit, from_pixels, to_pixels
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig

CONFIG = VQGANConfig(
    width=24,
    height=16,
    ch=32,
    ch_mult=(1, 1, 1),
    num_res_blocks=1,
    attn_resolutions=(),
    z_channels=16,
    embed_dim=8,
    n_embed=64,
)


@pytest.fixture(scope="module")
def tokenizer() -> ImageTokenizer:
    torch.manual_seed(0)
    model = VQGAN(CONFIG)
    torch.nn.init.normal_(model.quantize.embedding.weight)
    return ImageTokenizer(model)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_saved_tokenizer_comes_back_with_equal_codes_and_pictures(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    loaded = ImageTokenizer.from_pretrained(tmp_path)
    pictures = np.stack([noise(16, 24, seed) for seed in range(3)])
    codes = tokenizer.encode(pictures)
    assert loaded.config == CONFIG
    assert codes.shape == (3, 24) and codes.dtype == np.int64
    assert np.array_equal(loaded.encode(pictures), codes)
    assert np.array_equal(loaded.decode(codes), tokenizer.decode(codes))
    assert loaded.sha256 == tokenizer.sha256


def test_weights_that_were_rounded_to_16_bits_take_half_of_the_space(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "whole")
    rounded = copy.deepcopy(tokenizer)
    rounded.model.half().float()
    rounded.save(tmp_path / "rounded")
    whole, half = ((tmp_path / name / WEIGHTS_NAME).stat().st_size for name in ("whole", "rounded"))
    assert half < 0.6 * whole
    again = ImageTokenizer.from_pretrained(tmp_path / "rounded").model.state_dict()
    torch.testing.assert_close(again, rounded.model.state_dict(), rtol=0, atol=0)


def test_arrays_pil_pictures_and_a_batch_of_any_length_encode_alike(tokenizer):
    pictures = [noise(16, 24, seed) for seed in range(35)]  # more than go through the network together
    codes = tokenizer.encode(np.stack(pictures))
    assert np.array_equal(tokenizer.encode(pictures), codes)
    assert np.array_equal(tokenizer.encode([Image.fromarray(picture) for picture in pictures]), codes)
    assert tokenizer.encode([]).shape == (0, 24)
    assert tokenizer.decode(codes).shape == (35, 16, 24, 3)
    assert tokenizer.decode(codes[:0]).shape == (0, 16, 24, 3)


def test_codes_of_another_grid_or_beyond_the_codebook_are_refused(tokenizer):
    with pytest.raises(ImageError, match=r"Codes are \[1, 10\]; this tokenizer takes \[B, 24\] \(4 rows of 6\)"):
        tokenizer.decode(np.zeros((1, 10), np.int64))
    with pytest.raises(ImageError, match="run from 0 to 64; there are 0 to 63"):
        tokenizer.decode(np.array([[0] * 23 + [64]]))


def test_swapped_weights_are_noticed_by_their_hash(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "a")
    ImageTokenizer(VQGAN(CONFIG)).save(tmp_path / "b")
    (tmp_path / "b" / "image_tokenizer.safetensors").rename(tmp_path / "a" / "image_tokenizer.safetensors")
    with pytest.raises(CheckpointError, match="not of one tokenizer"):
        ImageTokenizer.from_pretrained(tmp_path / "a")


def test_a_folder_without_weights_is_refused_by_the_missing_name(tokenizer, tmp_path):
    with pytest.raises(CheckpointError, match=r"has no image_tokenizer\.safetensors"):
        ImageTokenizer.from_pretrained(tmp_path)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 80), st.integers(1, 80))
def test_any_picture_fits_to_the_size_asked_for(height, width):
    assert fit(noise(height, width), 24, 16).shape == (16, 24, 3)


def test_a_picture_of_the_right_size_is_left_as_it_is():
    picture = noise(16, 24)
    assert np.array_equal(fit(picture, 24, 16), picture)


def test_a_tall_picture_is_cut_evenly_at_top_and_bottom():
    picture = noise(20, 24)
    assert np.array_equal(fit(picture, 24, 16), picture[2:18])


@pytest.mark.parametrize(("height", "width"), [(43, 64), (51, 76), (81, 121)])
def test_the_middle_stays_in_the_middle_where_rows_are_cut_in_part(height, width):
    picture = noise(height, width)
    upside_down = fit(picture[::-1], 120, 80)[::-1]
    assert abs(upside_down.astype(int) - fit(picture, 120, 80)).max() <= 2  # of 255, by rounding


def test_a_flat_picture_repeats_its_edge_rows_evenly():
    picture = noise(10, 24)
    fitted = fit(picture, 24, 16)
    assert np.array_equal(fitted[3:13], picture)
    assert (fitted[:3] == picture[0]).all() and (fitted[13:] == picture[-1]).all()


def test_the_width_sets_the_scale_so_a_centred_disc_stays_round_and_centred():
    y, x = np.mgrid[:300, :240]
    disc = ((x - 119.5) ** 2 + (y - 149.5) ** 2 < 60**2).astype(np.uint8) * 255
    fitted = fit(np.repeat(disc[..., None], 3, axis=2), 24, 16)[..., 0] > 127
    rows, columns = fitted.any(1).nonzero()[0], fitted.any(0).nonzero()[0]
    assert (rows[0], rows[-1]) == (2, 13) and (columns[0], columns[-1]) == (6, 17)


def test_shrinking_averages_and_does_not_sample():
    stripes = np.zeros((160, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(fit(stripes, 24, 16).astype(int) - 127).max() <= 12


def test_a_picture_that_is_no_uint8_rgb_is_refused():
    with pytest.raises(ImageError, match=r"uint8 \[H, W, 3\]; found float64 \[4, 4, 3\]"):
        fit(np.zeros((4, 4, 3)), 24, 16)


def test_pixels_and_bytes_convert_both_ways_without_loss():
    pictures = noise(16, 24)[None]
    assert np.array_equal(from_pixels(to_pixels(pictures)), pictures)
    assert to_pixels(np.array([[[[0, 255, 0]]]], np.uint8)).flatten().tolist() == [-1.0, 1.0, -1.0]

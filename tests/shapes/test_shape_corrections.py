"""Codes of spare blocks correct surface blocks."""

import json
from dataclasses import replace

import pytest
import torch
from tiny_shapes import SURFACE, tiny_tokenizer

from kyvo.errors import ConfigError
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.correction_fit import fit_corrections
from kyvo.shapes.corrections import blocks_of, correction_rounds, full_blocks, grid_of, spare_blocks
from kyvo.shapes.losses import features_at
from kyvo.shapes.palette import SIZES, decode_palette, encode_palette, num_palette_codes, palette_of, quantize_colors
from kyvo.shapes.tokenizer import CONFIG_NAME, ShapeTokenizer
from kyvo.shapes.vqvae import to_grid


def sheet(seed: int, *, level: int) -> StructuredLatent:
    """A level sheet of cells with one color, in a grid of 16."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(16)
    coords = torch.cartesian_prod(rows, rows, torch.tensor([level]))
    feats = torch.zeros(len(coords), 12)
    feats[:, 5] = 1
    feats[:, 6:9] = 2 * torch.rand(3, generator=generator) - 1
    feats[:, 9:] = torch.tensor([-1.0, -1.0, 1.0])
    return StructuredLatent(coords=coords, feats=feats, resolution=16)


LATENTS = [sheet(seed, level=2 + 4 * (seed % 4)) for seed in range(24)]


@pytest.fixture(scope="module")
def fitted() -> ShapeTokenizer:
    generator = torch.Generator().manual_seed(0)
    return ShapeTokenizer(fit_corrections(tiny_tokenizer().model, LATENTS, rounds=2, rank=16, generator=generator))


def color_error(tokenizer: ShapeTokenizer) -> float:
    truth = to_grid(LATENTS, tokenizer.config)
    with torch.inference_mode():
        found = tokenizer.model.decode_codes(torch.from_numpy(tokenizer.encode(LATENTS)))
    parts = (features_at(each.features, truth.active, SURFACE)[:, 6:9] for each in (found, truth))
    return float((next(parts) - next(parts)).square().mean())


def test_a_spare_block_neither_holds_surface_nor_shares_a_face_with_a_block_that_does():
    full = torch.zeros(4, 4, 4, dtype=torch.bool)
    full[1, 2, 3] = True
    expected = {
        16 * x + 4 * y + z
        for x in range(4)
        for y in range(4)
        for z in range(4)
        if abs(x - 1) + abs(y - 2) + abs(z - 3) > 1
    }
    assert set(spare_blocks(full).tolist()) == expected


def test_rounds_follow_one_another_and_a_last_one_that_is_short_is_spread_evenly():
    full = torch.zeros(4, 4, 4, dtype=torch.bool)
    full[0] = True  # 16 blocks; 16 beside them; 32 spare
    first, second = correction_rounds(full, rounds=5)
    assert first.targets.tolist() == second.targets.tolist() == list(range(16))
    assert first.sources.tolist() + second.sources.tolist() == list(range(32, 64))
    full[1, :3] = True  # 28 blocks; 4 spare in the layer after them and 16 in the last
    (only,) = correction_rounds(full, rounds=5)
    assert len(only.sources) == 20 and len(set(only.targets.tolist())) == 20
    assert only.targets[0] == 0 and only.targets[-1] >= 26
    assert list(correction_rounds(torch.zeros(4, 4, 4, dtype=torch.bool), rounds=2)) == []
    assert list(correction_rounds(torch.ones(4, 4, 4, dtype=torch.bool), rounds=2)) == []


def test_blocks_come_back_as_the_grid_they_are_of():
    grid = torch.randn(2, 3, 8, 8, 8)
    blocks = blocks_of(grid, 4)
    assert torch.equal(blocks[1, 0b011].reshape(3, 4, 4, 4), grid[1, :, :4, 4:, 4:])
    assert torch.equal(grid_of(blocks, 4), grid)


@pytest.mark.parametrize("size", SIZES)
def test_a_palette_comes_back_from_its_codes_within_half_a_step(size):
    palette = 2 * torch.rand(size, 3, generator=torch.Generator().manual_seed(size)) - 1
    codes = encode_palette(palette, 900)  # 93 levels: 93^3 <= 900^2
    assert len(codes) == num_palette_codes(size) and codes.max() < 900
    assert torch.allclose(decode_palette(codes, 900), palette, atol=1 / 92 + 1e-6)
    assert torch.equal(decode_palette(torch.cat([codes, codes.flip(0)]), 900), decode_palette(codes, 900))


def test_codes_that_are_no_palette_are_an_empty_one():
    for codes in ([], [17], [3, 1, 2], [899] * 40):
        assert len(decode_palette(torch.tensor(codes, dtype=torch.long), 900)) == 0


def test_few_colors_are_their_own_palette():
    colors = torch.tensor([[-1.0, 0.0, 0.5], [1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]])
    found = palette_of(colors[torch.tensor([0, 1, 2, 0, 0, 1])], 4)
    smeared = colors + 0.3 * torch.tensor([[1.0, -1.0, 0.5]])
    torch.testing.assert_close(quantize_colors(smeared, found), colors)
    assert torch.equal(quantize_colors(smeared, found[:0]), smeared)


def test_corrections_bring_back_colors_that_the_network_loses(fitted):
    before = tiny_tokenizer()
    assert color_error(fitted) < 0.3 * color_error(before)
    assert fitted.encode(LATENTS).shape == before.encode(LATENTS).shape == (24, 64)


def test_codes_say_which_blocks_hold_surface(fitted):
    codes = torch.from_numpy(fitted.encode(LATENTS))
    corrections = fitted.model.corrections
    assert corrections is not None
    full = full_blocks(to_grid(LATENTS, fitted.config).active, fitted.config.shrinkage)
    assert torch.equal(corrections.of_surface[codes], full.flatten(1))


def test_any_codes_decode(fitted):
    codes = torch.randint(64, (3, 64), generator=torch.Generator().manual_seed(0)).numpy()
    assert all(torch.isfinite(latent.feats).all() for latent in fitted.decode(codes))


def test_a_saved_one_comes_back_and_a_folder_of_before_loads_without(fitted, tmp_path):
    fitted.save(tmp_path / "new")
    again = ShapeTokenizer.from_pretrained(tmp_path / "new")
    assert (again.encode(LATENTS) == fitted.encode(LATENTS)).all()
    tiny_tokenizer().save(tmp_path / "old")
    path = tmp_path / "old" / CONFIG_NAME
    about = json.loads(path.read_text())
    for name in ("correction_rounds", "correction_rank"):
        del about["config"][name]
    path.write_text(json.dumps(about))
    assert ShapeTokenizer.from_pretrained(tmp_path / "old").model.corrections is None


def test_objects_without_a_spare_block_are_refused():
    walls = [sheet(0, level=level) for level in (2, 6, 10, 14)]
    block = replace(
        walls[0], coords=torch.cat([wall.coords for wall in walls]), feats=torch.cat([wall.feats for wall in walls])
    )
    with pytest.raises(ConfigError, match="None of the 1 objects has a spare block"):
        fit_corrections(tiny_tokenizer().model, [block], generator=torch.Generator())


def test_corrections_of_trellis_latents_are_refused():
    with pytest.raises(ConfigError, match="corrections are of surface features"):
        replace(SURFACE, kind="trellis", correction_rounds=2, correction_rank=4)

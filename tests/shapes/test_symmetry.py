"""Other colors keep what is one color as one color; the rest is checked in test_shape_contour.py."""

import pytest
import torch

from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.contour import COLOR
from kyvo.shapes.symmetry import augment, new_palette, rotate_hue, swap_channels

TWO = torch.tensor([[0.8, -0.2, 0.1], [-0.5, 0.5, 0.0]])


@pytest.mark.parametrize("recolor", [swap_channels, rotate_hue, new_palette])
def test_an_object_of_two_colors_has_two_again(recolor):
    colors = TWO[torch.arange(200) % 2]
    for seed in range(5):
        found = recolor(colors, torch.Generator().manual_seed(seed))
        for part in range(2):
            torch.testing.assert_close(found[part::2], found[part].expand(100, 3), rtol=0, atol=1e-6)
    assert not torch.equal(found, colors)


def test_a_turned_hue_keeps_grey_and_brightness():
    colors = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = rotate_hue(colors, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.mean(1), colors.mean(1), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.norm(dim=1), colors.norm(dim=1))
    grey = torch.full((3, 3), 0.4)
    torch.testing.assert_close(rotate_hue(grey, torch.Generator().manual_seed(1)), grey)


def test_varied_objects_have_colors_in_range():
    generator = torch.Generator().manual_seed(0)
    feats = torch.rand(30, 12, generator=generator) * 2 - 1
    coords = torch.cartesian_prod(torch.arange(4), torch.arange(4), torch.arange(2))[:30]
    latent = StructuredLatent(coords=coords, feats=feats, resolution=8)
    for _ in range(12):
        assert augment(latent, generator=generator).feats[:, COLOR].abs().max() <= 1

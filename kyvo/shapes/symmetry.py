"""Data augmentation of surface features: rotations about the up axis, reflections and new colors.

Only symmetries that keep the up axis: objects stand on the ground.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.contour import COLOR, CROSSED, NORMAL, OFFSET

WAVE_SHARE = 0.5  # of objects whose colors get waves
PALETTE = 6  # colors of an object that are drawn anew
WAVES = 12.0  # radians along the cube's side, standard deviation


def augment(latent: StructuredLatent, *, generator: torch.Generator) -> StructuredLatent:
    """One of the eight symmetries about the up axis, and other colors."""
    flip_x, flip_y, swap, waves = (
        torch.rand(4, generator=generator) < torch.tensor([0.5, 0.5, 0.5, WAVE_SHARE])
    ).tolist()
    if flip_x:
        latent = mirror(latent, axis=0)
    if flip_y:
        latent = mirror(latent, axis=1)
    if swap:
        latent = swap_xy(latent)
    feats = latent.feats.clone()
    recolor = (swap_channels, rotate_hue, new_palette)[int(torch.randint(3, (), generator=generator))]
    colors = recolor(feats[:, COLOR], generator)
    gain = 0.7 + 0.4 * torch.rand((), generator=generator)
    shift = 0.4 * torch.rand(3, generator=generator) - 0.2
    if waves:
        directions = WAVES * torch.randn(3, 3, generator=generator)
        phases = 2 * torch.pi * torch.rand(3, generator=generator)
        shift = shift + 0.4 * (latent.centers @ directions + phases).cos()
    feats[:, COLOR] = (gain * colors + shift).clamp(-1, 1)
    return replace(latent, feats=feats)


def swap_channels(colors: Float[Tensor, "cells 3"], generator: torch.Generator) -> Float[Tensor, "cells 3"]:
    """Red, green and blue in another order."""
    return colors[:, torch.randperm(3, generator=generator)]


def rotate_hue(colors: Float[Tensor, "cells 3"], generator: torch.Generator) -> Float[Tensor, "cells 3"]:
    """All colors turned about the grey axis; what leaves the range is cut by the caller."""
    angle = 2 * torch.pi * torch.rand((), generator=generator)
    grey = torch.full((3,), 3**-0.5)
    across = torch.linalg.cross(grey.expand_as(colors), colors)
    along = (colors @ grey)[:, None] * grey
    return along + angle.cos() * (colors - along) + angle.sin() * across


def new_palette(colors: Float[Tensor, "cells 3"], generator: torch.Generator) -> Float[Tensor, "cells 3"]:
    """Each cell's color moved as the nearest of a few of the object's colors, which become colors drawn at random."""
    old = colors[torch.randint(len(colors), (PALETTE,), generator=generator)]
    nearest = torch.cdist(colors, old).argmin(1)
    new = 2 * torch.rand(PALETTE, 3, generator=generator) - 1
    # Colors that are one in the object stay one.
    same = torch.cdist(old, old).argmin(1)
    return new[same[nearest]] + 0.5 * (colors - old[nearest])


def mirror(latent: StructuredLatent, *, axis: int) -> StructuredLatent:
    """Swaps the ends of x (0), y (1) or z (2)."""
    coords, feats = latent.coords.clone(), latent.feats.clone()
    coords[:, axis] = latent.resolution - 1 - coords[:, axis]
    feats[:, [OFFSET.start + axis, NORMAL.start + axis]] *= -1
    # An edge along another axis started at its cell's low end, which is the high end now: it is the next cell's.
    below = coords.clone()
    below[:, axis] -= 1
    edges = _look_up(coords, latent.feats[:, CROSSED], below, side=latent.resolution + 1)
    for other in {0, 1, 2} - {axis}:
        feats[:, CROSSED.start + other] = edges[:, other]
    return replace(latent, coords=coords, feats=feats)


def _look_up(
    coords: Int[Tensor, "cells 3"], values: Float[Tensor, "cells 3"], wanted: Int[Tensor, "cells 3"], *, side: int
) -> Float[Tensor, "cells 3"]:
    """The values of the wanted cells, which may be one step outside the grid; -1 where no cell is."""
    strides = coords.new_tensor([side * side, side, 1])
    numbers, order = (coords @ strides).sort()
    place = torch.searchsorted(numbers, wanted @ strides).clamp(max=len(numbers) - 1)
    found = (numbers[place] == wanted @ strides) & (wanted >= 0).all(1)
    return torch.where(found[:, None], values[order[place]], -1.0)


def swap_xy(latent: StructuredLatent) -> StructuredLatent:
    """Mirrors at the plane x = y."""
    feats = latent.feats.clone()
    for part in (OFFSET, NORMAL, CROSSED):
        feats[:, part.start : part.start + 2] = latent.feats[:, part.start : part.start + 2].flip(1)
    return replace(latent, coords=latent.coords[:, [1, 0, 2]], feats=feats)

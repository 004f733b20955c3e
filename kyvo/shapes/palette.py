"""Color palettes of shapes, written in shape codes: the colors of an object's cells are quantized to a few.

Most free meshes have few colors, and a network that has never seen them smears them. The palette takes the codes of
the first spare blocks (kyvo/shapes/corrections.py): one says how many colors there are, and two more spell each. Here
a code is its index among the spare codes.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

SIZES = (0, 1, 2, 4, 8, 16)  # colors; with 0 the cells keep theirs
ROUNDS = 6  # of k-means


def num_palette_codes(size: int) -> int:
    """Codes that a palette of so many colors takes."""
    return 1 + 2 * size


def palette_of(colors: Float[Tensor, "cells 3"], size: int) -> Float[Tensor, "size 3"]:
    """k-means from colors that are each the farthest from those before."""
    palette = colors.mean(0, keepdim=True)
    while len(palette) < size:
        palette = torch.cat([palette, colors[torch.cdist(colors, palette).amin(1).argmax()][None]])
    for _ in range(ROUNDS):
        nearest = torch.cdist(colors, palette).argmin(1)
        sums = torch.zeros_like(palette).index_add_(0, nearest, colors)
        counts = torch.bincount(nearest, minlength=size)[:, None]
        palette = torch.where(counts > 0, sums / counts.clamp(min=1), palette)
    return palette


def quantize_colors(colors: Float[Tensor, "cells 3"], palette: Float[Tensor, "size 3"]) -> Float[Tensor, "cells 3"]:
    """Each color as the nearest one of the palette; as it is where that is empty."""
    return palette[torch.cdist(colors, palette).argmin(1)] if len(palette) else colors


def encode_palette(palette: Float[Tensor, "size 3"], num_spare: int) -> Int[Tensor, " codes"]:
    """The codes of a palette of sRGB in [-1, 1], whose size is one of SIZES."""
    levels = _levels(num_spare)
    steps = ((palette.clamp(-1, 1) + 1) / 2 * (levels - 1)).round().long()
    number = (steps[:, 0] * levels + steps[:, 1]) * levels + steps[:, 2]
    pairs = torch.stack([number // num_spare, number % num_spare], 1)
    return torch.cat([torch.tensor([SIZES.index(len(palette))]), pairs.flatten()])


def decode_palette(codes: Int[Tensor, " codes"], num_spare: int) -> Float[Tensor, "size 3"]:
    """The palette at the start of these codes, whatever they are; empty where they say no size, or end before it."""
    size = SIZES[int(codes[0])] if len(codes) and int(codes[0]) < len(SIZES) else 0
    if num_palette_codes(size) > len(codes):
        size = 0
    levels = _levels(num_spare)
    pairs = codes[1 : num_palette_codes(size)].unflatten(0, (size, 2))
    number = (pairs[:, 0] * num_spare + pairs[:, 1]).clamp(max=levels**3 - 1)
    steps = torch.stack([number // levels**2, number // levels % levels, number % levels], 1)
    return 2 * steps / max(levels - 1, 1) - 1


def _levels(num_spare: int) -> int:
    """Of a channel, such that two codes spell a color."""
    levels = 1
    while (levels + 1) ** 3 <= num_spare**2:
        levels += 1
    return levels

"""Residual corrections of the shape tokenizer: codes of empty blocks correct the features of surface blocks.

A block is the cells that one code stands for. Two thirds of an object's blocks hold no surface, and the output away
from the surface is never seen. So the codebook has two parts: codes of surface blocks, and all others. A block is
spare if neither it nor one of its six neighbours holds surface. The code of a spare block, of the second part, picks a
correction: a vector that is added to the network's output for the cells of one surface block. Each correction of a
block is of what the ones before it left, as in residual quantization (https://arxiv.org/abs/2107.03312, section III-C).

The codes of the first spare blocks are the object's palette (kyvo/shapes/palette.py).

Which code corrects which block follows from the codes alone: round by round, the codes of the spare blocks go to the
surface blocks, both x-major. A last round with too few codes goes to surface blocks that are evenly spread. The
network sees the vector `rest` in place of each spare block's code.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kyvo.shapes.contour import COLOR
from kyvo.shapes.palette import SIZES, decode_palette, encode_palette, num_palette_codes, palette_of, quantize_colors

SURE = 2.0  # a cell whose score is this far on the right side of ACTIVE_ABOVE needs no correction


@dataclass(frozen=True, kw_only=True, eq=False)
class CorrectionRound:
    """One round of one object: the code of the block `sources[i]` corrects the block `targets[i]`."""

    index: int
    sources: Int[Tensor, " corrections"]  # rows of spare blocks, x-major
    targets: Int[Tensor, " corrections"]  # rows of surface blocks, x-major


def spare_blocks(full: Bool[Tensor, "x y z"]) -> Int[Tensor, " spare"]:
    """Rows of the blocks that neither hold surface nor share a face with one that does."""
    dilated = full.clone()
    for axis in range(3):
        length = full.shape[axis] - 1
        for there, here in ((0, 1), (1, 0)):
            dilated.narrow(axis, here, length).logical_or_(full.narrow(axis, there, length))
    return (~dilated).flatten().nonzero()[:, 0]


def correction_rounds(full: Bool[Tensor, "x y z"], *, rounds: int, skip: int = 0) -> Iterator[CorrectionRound]:
    """At most `rounds` rounds of an object whose surface blocks are `full`, without its first `skip` spare blocks."""
    spare, surface = spare_blocks(full)[skip:], full.flatten().nonzero()[:, 0]
    for index in range(rounds if len(surface) else 0):
        sources = spare[index * len(surface) :][: len(surface)]
        if not len(sources):
            return
        spread = torch.arange(len(sources), device=sources.device) * len(surface) // len(sources)
        yield CorrectionRound(index=index, sources=sources, targets=surface[spread])


class Corrections(nn.Module):
    """The two parts of the codebook, and the correction that each code of the second makes in each round.

    A correction is a row of `codes` times `basis`, in the network's standardised units: the score of each cell and its
    features. Nothing here is trained by gradients (kyvo/shapes/correction_fit.py).
    """

    surface: nn.Parameter  # [n_embed]; 1: a code of surface blocks
    rest: nn.Parameter  # [embed_dim]
    codes: nn.Parameter  # [rounds, n_embed, rank]
    basis: nn.Parameter  # [rank, channels * cells of a block]
    weights: nn.Parameter  # [channels], of squared errors of the score and of the features, where a code is chosen

    def __init__(
        self, *, rounds: int, rank: int, n_embed: int, embed_dim: int, channels: int, block: int, color_scale: float
    ) -> None:
        super().__init__()
        self.color_scale = color_scale  # sRGB in [-1, 1] of a standardised unit
        self.channels, self.block = channels + 1, block
        parts = {
            "surface": (n_embed,),
            "rest": (embed_dim,),
            "codes": (rounds, n_embed, rank),
            "basis": (rank, self.channels * block**3),
            "weights": (self.channels,),
        }
        for name, shape in parts.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape), requires_grad=False))

    @property
    def rounds(self) -> int:
        return len(self.codes)

    @property
    def of_surface(self) -> Bool[Tensor, " codes"]:
        return self.surface > 0.5

    @property
    def spare_codes(self) -> Int[Tensor, " spare"]:
        """The codes of the second part."""
        return (~self.of_surface).nonzero()[:, 0]

    def nearest(
        self,
        vectors: Float[Tensor, "points dim"],
        full: Bool[Tensor, " points"],
        codebook: Float[Tensor, "codes dim"],
    ) -> Int[Tensor, " points"]:
        """The nearest code of the part that each block needs."""
        distances = torch.addmm(codebook.square().sum(1), vectors, codebook.T, alpha=-2.0)
        return distances.masked_fill(full[:, None] != self.of_surface[None], torch.inf).argmin(1)

    def hide(
        self, values: Float[Tensor, "batch dim x y z"], full: Bool[Tensor, "batch x y z"]
    ) -> Float[Tensor, "batch dim x y z"]:
        """What the network sees: `rest` in every spare block, whether its code is used or not."""
        values = values.clone()
        for one, blocks in zip(values, full, strict=True):
            one.flatten(1)[:, spare_blocks(blocks)] = self.rest[:, None]
        return values

    def choose(
        self,
        codes: Int[Tensor, "batch codes"],
        errors: Float[Tensor, "batch channels x y z"],
        colors: Float[Tensor, "batch 3 x y z"],
        active: Bool[Tensor, "batch x y z"],
        full: Bool[Tensor, "batch x2 y2 z2"],
    ) -> Int[Tensor, "batch codes"]:
        """The codes, those of spare blocks chosen: the palette that leaves the least error, and the best corrections.

        Args:
            errors: of `remaining_errors`.
            colors: the true ones, sRGB in [-1, 1].
        """
        tables = (self.codes[:, self.spare_codes] @ self.basis).unflatten(2, (self.channels, -1))
        errors, cells = blocks_of(errors, self.block), blocks_of(active[:, None], self.block)[:, :, 0]
        colors = blocks_of(colors, self.block).transpose(2, 3)
        rows = []
        for row, blocks in enumerate(full):
            truth, found = colors[row][cells[row]], []
            for size in SIZES:
                skip = num_palette_codes(size)
                if skip > len(spare_blocks(blocks)):
                    break
                spent, left = self._choose_corrections(codes[row], errors[row], cells[row], blocks, tables, skip=skip)
                palette = palette_of(truth, size) if size else truth[:0]
                spent[spare_blocks(blocks)[:skip]] = self.spare_codes[encode_palette(palette, len(self.spare_codes))]
                missing = left[:, 1:][:, COLOR].transpose(1, 2)[cells[row]] * self.color_scale
                found.append((float((quantize_colors(truth - missing, palette) - truth).square().mean()), spent))
            rows.append(min(found, key=lambda pair: pair[0])[1] if found else codes[row])
        return torch.stack(rows)

    def _choose_corrections(
        self,
        codes: Int[Tensor, " codes"],
        errors: Float[Tensor, "blocks channels cells"],
        active: Bool[Tensor, "blocks cells"],
        full: Bool[Tensor, "x y z"],
        tables: Float[Tensor, "rounds spare channels cells"],
        *,
        skip: int,
    ) -> tuple[Int[Tensor, " codes"], Float[Tensor, "blocks channels cells"]]:
        """One object's codes with the best corrections, and the errors that they leave."""
        codes, left = codes.clone(), errors.clone()
        for each in correction_rounds(full, rounds=self.rounds, skip=skip):
            part, cells, table = left[each.targets], active[each.targets], tables[each.index]
            chosen = best(part, cells, table, self.weights)
            left[each.targets] = corrected(part, cells, table[chosen])
            codes[each.sources] = self.spare_codes[chosen]
        return codes, left

    def palettes(
        self, codes: Int[Tensor, "batch codes"], full: Bool[Tensor, "batch x y z"]
    ) -> list[Float[Tensor, "size 3"]]:
        """Of each object, sRGB in [-1, 1]."""
        number = (~self.of_surface).cumsum(0) - 1
        return [
            decode_palette(number[row[spare_blocks(blocks)]], len(self.spare_codes))
            for row, blocks in zip(codes, full, strict=True)
        ]

    def correct(
        self,
        output: Float[Tensor, "batch channels x y z"],
        codes: Int[Tensor, "batch codes"],
        full: Bool[Tensor, "batch x2 y2 z2"],
    ) -> Float[Tensor, "batch channels x y z"]:
        """The decoder's scores and features, corrected, with the colors of the palettes."""
        total = self.basis.new_zeros(*codes.shape, self.basis.shape[1])
        palettes = self.palettes(codes, full)
        for row, blocks in enumerate(full):
            for each in correction_rounds(blocks, rounds=self.rounds, skip=num_palette_codes(len(palettes[row]))):
                total[row, each.targets] += self.codes[each.index, codes[row, each.sources]] @ self.basis
        output = output + grid_of(total.unflatten(2, (self.channels, -1)), self.block)
        for one, palette in zip(output, palettes, strict=True):
            colors = one[1:][COLOR]
            flat = quantize_colors(colors.flatten(1).T * self.color_scale, palette) / self.color_scale
            colors.copy_(flat.T.unflatten(1, colors.shape[1:]))
        return output


def remaining_errors(
    output: Float[Tensor, "batch channels x y z"],
    features: Float[Tensor, "batch features x y z"],
    active: Bool[Tensor, "batch x y z"],
    *,
    active_above: float,
) -> Float[Tensor, "batch channels x y z"]:
    """What is missing from the decoder's scores and features; 0 where a score is right and sure, and beside the surface
    for features."""
    scores = output[:, 0]
    missing = torch.where(
        active, (active_above + SURE - scores).clamp(min=0), (active_above - SURE - scores).clamp(max=0)
    )
    return torch.cat([missing[:, None], (features - output[:, 1:]) * active[:, None]], dim=1)


def best(
    errors: Float[Tensor, "blocks channels cells"],
    active: Bool[Tensor, "blocks cells"],
    table: Float[Tensor, "spare channels cells"],
    weights: Float[Tensor, " channels"],
) -> Int[Tensor, " blocks"]:
    """The row of the table with the least squared error; features count in active cells alone, scores in all."""
    weighted = table * weights[:, None]
    squared = weighted * table
    distances = (
        -2 * errors.flatten(1) @ weighted.flatten(1).T + active.float() @ squared[:, 1:].sum(1).T + squared[:, 0].sum(1)
    )
    return distances.argmin(1)


def corrected(
    errors: Float[Tensor, "blocks channels cells"],
    active: Bool[Tensor, "blocks cells"],
    corrections: Float[Tensor, "blocks channels cells"],
) -> Float[Tensor, "blocks channels cells"]:
    """What is left of the errors; those of features stay 0 where no surface is."""
    left = errors - corrections
    left[:, 1:] *= active[:, None]
    return left


def full_blocks(active: Bool[Tensor, "batch x y z"], block: int) -> Bool[Tensor, "batch x2 y2 z2"]:
    """Whether each block has an active cell."""
    side = active.shape[-1] // block
    return blocks_of(active[:, None], block).any(-1).unflatten(1, (side, side, side))[..., 0]


def blocks_of(grid: Tensor, block: int) -> Tensor:
    """[B, C, X, Y, Z] -> [B, blocks, C, cells of a block], both x-major."""
    batch, channels, *sides = grid.shape
    x, y, z = (side // block for side in sides)
    parts = grid.reshape(batch, channels, x, block, y, block, z, block).permute(0, 2, 4, 6, 1, 3, 5, 7)
    return parts.reshape(batch, x * y * z, channels, block**3)


def grid_of(blocks: Tensor, block: int) -> Tensor:
    """The inverse of `blocks_of`, for a cube."""
    batch, count, channels, _ = blocks.shape
    side = round(count ** (1 / 3))
    parts = blocks.reshape(batch, side, side, side, channels, block, block, block).permute(0, 4, 1, 5, 2, 6, 3, 7)
    return parts.reshape(batch, channels, side * block, side * block, side * block)

"""Fits a shape tokenizer's corrections (kyvo/shapes/corrections.py) to the errors of its network on some objects.

The codebook is split by whether most of the blocks that choose a code hold surface. Each round is k-means of the
errors that the rounds before it left, where a cell without surface does not count; then the tables of all rounds are
written as few vectors, by their singular values. No gradients: minutes on one thread.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kyvo.devices import autocast
from kyvo.errors import ConfigError
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.corrections import Corrections, best, blocks_of, corrected, full_blocks, remaining_errors, spare_blocks
from kyvo.shapes.vqvae import ACTIVE_ABOVE, ShapeVQVAE, to_grid

# Of squared standardised errors: the score, offsets, normals, colors and crossed edges. What a unit of each costs in
# views of free meshes, measured one by one; normals count as they place vertices (kyvo/shapes/contour.py).
SURFACE_WEIGHTS = (0.2,) + (1.0,) * 3 + (0.3,) * 3 + (2.6,) * 3 + (0.1,) * 3
BATCH_SIZE = 8
CHUNK = 4096  # blocks that are compared with a table together
PRIOR = 0.5  # of a mean: as if so many errors of 0 had been seen besides


@torch.inference_mode()
def fit_corrections(
    model: ShapeVQVAE,
    latents: Sequence[StructuredLatent],
    *,
    rounds: int = 4,
    rank: int = 128,
    weights: Sequence[float] = SURFACE_WEIGHTS,
    iterations: int = 6,
    generator: torch.Generator,
) -> ShapeVQVAE:
    """The network with corrections; those it has are replaced.

    Raises ConfigError where no object has a spare block.
    """
    config = replace(model.config, correction_rounds=rounds, correction_rank=rank)
    fitted = ShapeVQVAE(config)
    fitted.load_state_dict(model.state_dict(), strict=False)
    corrections = fitted.corrections
    assert corrections is not None
    corrections.weights[:] = torch.tensor(weights)
    block = config.shrinkage

    grids = [to_grid(latents[start : start + BATCH_SIZE], config) for start in range(0, len(latents), BATCH_SIZE)]
    with autocast("cpu"):
        vectors = [fitted.encoder(grid.features).float() for grid in grids]
    split_codebook(fitted, corrections, vectors, [full_blocks(grid.active, block) for grid in grids])
    errors, cells = [], []
    for grid, found in zip(grids, vectors, strict=True):
        full = full_blocks(grid.active, block)
        values = fitted.seen(fitted.first_codes(found, full), full)
        with autocast("cpu"):
            output = fitted.decoder(values).float()
        missing = remaining_errors(output, grid.features, grid.active, active_above=ACTIVE_ABOVE[config.occupancy])
        errors.append(blocks_of(missing, block)[full.flatten(1)].half())
        cells.append(blocks_of(grid.active[:, None], block)[full.flatten(1)][:, 0])
    left, active = torch.cat(errors), torch.cat(cells)
    tables, counts = [], []
    for _ in range(rounds):
        table = cluster(left, active, corrections, iterations=iterations, generator=generator)
        chosen = assign(left, active, table, corrections.weights)
        left = corrected(left, active, table[chosen].half())
        tables.append(table.flatten(1))
        counts.append(torch.bincount(chosen, minlength=len(table)).float())

    scale = corrections.weights.sqrt().repeat_interleave(block**3)
    stacked = torch.cat(tables) * scale
    _, _, vectors = torch.linalg.svd(torch.cat(counts).sqrt()[:, None] * stacked, full_matrices=False)
    kept = min(rank, len(vectors))
    corrections.basis[:kept] = vectors[:kept] / scale
    corrections.codes[:, corrections.spare_codes, :kept] = (stacked @ vectors[:kept].T).unflatten(0, (rounds, -1))
    return fitted


def split_codebook(
    model: ShapeVQVAE,
    corrections: Corrections,
    vectors: Sequence[Float[Tensor, "_ dim x y z"]],
    full: Sequence[Bool[Tensor, "_ x y z"]],
) -> None:
    """Sets `surface`, and `rest` to the mean of the vectors that spare blocks have without corrections."""
    counts, resting = torch.zeros(2, model.config.n_embed), []
    for found, holds in zip(vectors, full, strict=True):
        codes = model.quantizer.nearest(found.movedim(1, -1))
        for part in (False, True):
            counts[int(part)] += torch.bincount(codes[holds == part], minlength=model.config.n_embed)
        resting += [row.flatten()[spare_blocks(blocks)] for row, blocks in zip(codes, holds, strict=True)]
    corrections.surface[:] = (counts[1] > counts[0]).float()
    spare = torch.cat(resting)
    if not len(spare):
        raise ConfigError(
            f"None of the {sum(map(len, full))} objects has a spare block: each block holds surface or touches one "
            "that does. Give objects that leave more of the grid empty, or a tokenizer of more blocks."
        )
    corrections.rest[:] = model.quantizer.embedding(spare).mean(0)


def cluster(
    errors: Float[Tensor, "blocks channels cells"],
    active: Bool[Tensor, "blocks cells"],
    corrections: Corrections,
    *,
    iterations: int,
    generator: torch.Generator,
) -> Float[Tensor, "spare channels cells"]:
    """k-means from random blocks, one centre for each spare code."""
    count = len(corrections.spare_codes)
    table = errors[torch.randint(len(errors), (count,), generator=generator)].float()
    for _ in range(iterations):
        chosen = assign(errors, active, table, corrections.weights)
        seen = torch.zeros(count, active.shape[1]).index_add_(0, chosen, active.float())
        members = torch.bincount(chosen, minlength=count).float()
        table = torch.zeros_like(table).index_add_(0, chosen, errors.float())
        table[:, 1:] /= (seen + PRIOR)[:, None]
        table[:, 0] /= (members + PRIOR)[:, None]
    return table


def assign(
    errors: Float[Tensor, "blocks channels cells"],
    active: Bool[Tensor, "blocks cells"],
    table: Float[Tensor, "spare channels cells"],
    weights: Float[Tensor, " channels"],
) -> Int[Tensor, " blocks"]:
    parts = zip(errors.split(CHUNK), active.split(CHUNK), strict=True)
    return torch.cat([best(part.float(), cells, table, weights) for part, cells in parts])

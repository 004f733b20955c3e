"""A codebook's start from a network's latents, and how much of a codebook is used.

Latents are maps [B, D, h, w] or rows [N, D], float32.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def even_scales(latents: Float[Tensor, "points dim"]) -> tuple[Float[Tensor, "dim dim"], Float[Tensor, "dim dim"]]:
    """The matrix that takes each principal axis of the latents to the root of its scale, and its inverse.

    Colour varies most, and k-means would spend all codes on it; evened out, shape and material get their share.
    """
    spread, axes = torch.linalg.eigh(torch.cov(latents.T))
    scale = (spread / spread.max()).clamp(min=1e-4) ** -0.25
    return axes * scale @ axes.T, axes / scale @ axes.T


def cluster_centres(
    latents: Float[Tensor, "points dim"], *, count: int, rounds: int, generator: torch.Generator
) -> Float[Tensor, "centres dim"]:
    """k-means centres, at most as many as there are latents.

    Latents far from their mean are likelier first centres: most patches are floor and nearly alike.
    """
    far = (latents - latents.mean(0)).square().sum(1).cpu()
    count = min(count, len(latents))
    centres = latents[torch.multinomial(far, count, generator=generator)]
    for _ in range(rounds):
        nearest = torch.cat([torch.cdist(part, centres).argmin(1) for part in latents.split(4096)])
        sums = torch.zeros_like(centres).index_add_(0, nearest, latents)
        sizes = torch.bincount(nearest, minlength=count)[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return centres


def effective_dimensions(latents: Float[Tensor, "batch dim height width"]) -> float:
    """How many dimensions the latents really use: exp of the entropy of their variances' shares."""
    flat = latents.float().permute(0, 2, 3, 1).flatten(0, 2)
    share = torch.linalg.eigvalsh(torch.cov(flat.T)).clamp(min=0)
    share = share / share.sum()
    return math.exp(-torch.xlogy(share, share).sum().item())


@dataclass(frozen=True, kw_only=True)
class CodeUse:
    """Which codes some pictures took."""

    share_used: float  # of all codes, those chosen at least once
    perplexity: float  # as many codes, chosen equally often, would have the same entropy
    most_frequent: Int[np.ndarray, " positions"]  # the code most often chosen at each position, row-major
    frequency: Float[np.ndarray, " positions"]  # the share of pictures that have it there


def code_use(codes: Int[np.ndarray, "pictures positions"], num_codes: int) -> CodeUse:
    counts = np.bincount(codes.ravel(), minlength=num_codes)
    share = counts[counts > 0] / codes.size
    at_positions = [np.bincount(column) for column in codes.T]
    return CodeUse(
        share_used=len(share) / num_codes,
        perplexity=float(np.exp(-(share * np.log(share)).sum())),
        most_frequent=np.array([counts.argmax() for counts in at_positions]),
        frequency=np.array([counts.max() / len(codes) for counts in at_positions]),
    )

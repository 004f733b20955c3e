"""Editing objects without training anything: new details on a fixed structure, or a region made anew.

Both are samplings of `ObjectGenerator` that begin or stay at a given latent (https://arxiv.org/abs/2412.01506, section
3.4). `strength` is the time that a sampling begins at: 1 forgets the input where it may change, less keeps some of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from scipy import ndimage
from scipy.spatial import KDTree
from torch import Tensor

from kyvo.errors import ConfigError
from kyvo.generation.flow_sampler import Progress
from kyvo.generation.repaint import Repaint
from kyvo.models.flow.path import add_noise
from kyvo.models.slat.latent import StructuredLatent
from kyvo.pipelines.objects import GeneratedObject, ObjectError, ObjectGenerator, Samples

REPEATS = 2  # of each step of a region: once more after a step back, so that the region fits what is around it


def vary_details(
    generator: ObjectGenerator,
    latent: StructuredLatent,
    *,
    strength: float = 1.0,
    count: int = 1,
    seed: int = 0,
    progress: Callable[[Progress], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
    **condition: Any,
) -> list[GeneratedObject]:
    """Objects with the active cells of `latent` and other features.

    Args:
        condition: `text`, or `image` and `mask`, as in `ObjectGenerator.generate`.

    Raises:
        ConfigError: the latent is not of this generator, or `strength` is out of range.
    """
    _check_latent(generator, latent)
    samples = Samples(seed=seed, count=count, progress=progress, cancelled=cancelled)
    structures = [latent.coords] * count
    noise = generator.detail_noise(structures, samples)
    data = generator.from_features(latent.denormalize().feats).repeat(count, 1).to(noise)
    state = add_noise(data, noise, strength)
    return generator.sample_details(generator.condition(**condition), structures, samples, noise=state, start=strength)


def edit_region(
    generator: ObjectGenerator,
    latent: StructuredLatent,
    region: Bool[Tensor, "x y z"],
    *,
    strength: float = 1.0,
    repeats: int = REPEATS,
    seed: int = 0,
    progress: Callable[[Progress], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
    **condition: Any,
) -> GeneratedObject:
    """The object with its cells in `region` made anew; those outside keep their places and features exactly.

    Args:
        region: cells that may change (`box_region`, `mesh_region`).
        condition: `text`, or `image` and `mask`, as in `ObjectGenerator.generate`.

    Raises:
        ConfigError: the latent is not of this generator, the region is empty or everything, or the generator has no
            encoder of structures.
        ObjectError: nothing is left.
    """
    _check_latent(generator, latent)
    if region.shape != (latent.resolution,) * 3 or not region.any() or region.all():
        raise ConfigError(
            f"The region has {int(region.sum())} of {region.numel()} cells; it is a part of the grid of "
            f"{latent.resolution}, neither empty nor all of it."
        )
    samples = Samples(seed=seed, progress=progress, cancelled=cancelled)
    tokens = generator.condition(**condition)
    cells = _new_cells(generator, latent, region, tokens, samples, strength=strength, repeats=repeats)

    # Data of each cell: its own features outside of the region, those of the nearest cell that was there inside.
    _, nearest = KDTree(latent.coords.numpy()).query(cells.numpy())
    feats = latent.denormalize().feats[torch.from_numpy(nearest)]
    unknown = region[tuple(cells.T)][:, None]
    noise = generator.detail_noise([cells], samples)
    data = generator.from_features(feats).to(noise)
    constraint = Repaint(data=data, unknown=unknown.to(noise.device), noise=noise, repeats=repeats, seed=seed + 1)
    state = add_noise(data, noise, strength)
    (made,) = generator.sample_details(tokens, [cells], samples, noise=state, start=strength, constraint=constraint)
    kept = torch.where(unknown, made.slat.feats, feats)  # to the features' scale and back is not exact
    return generator.as_object(cells, kept, seed=seed, warnings=made.warnings)


def _new_cells(
    generator: ObjectGenerator,
    latent: StructuredLatent,
    region: Bool[Tensor, "x y z"],
    condition: Any,
    samples: Samples,
    *,
    strength: float,
    repeats: int,
) -> Int[Tensor, "cells 3"]:
    """The object's cells outside of the region, and a sample's inside."""
    encoder = generator.structure_encoder
    if encoder is None:
        raise ConfigError(
            "This generator has no encoder of structures, which a region needs. TRELLIS's is "
            "ckpts/ss_enc_conv3d_16l8_fp16 of TRELLIS-image-large."
        )
    occupied = torch.zeros_like(region)
    occupied[tuple(latent.coords.T)] = True
    noise = generator.structure_noise(samples)
    with torch.inference_mode():
        data, _ = encoder(occupied[None, None].float().to(noise.device))
    # A cell of the latent may change where any of its cells may.
    factor = latent.resolution // data.shape[-1]
    unknown = F.max_pool3d(region[None, None].float(), factor).bool().to(noise.device)
    constraint = Repaint(data=data, unknown=unknown, noise=noise, repeats=repeats, seed=samples.seed + 2)
    latents = generator.sample_structure_latents(
        condition, samples, noise=add_noise(data, noise, strength), start=strength, constraint=constraint
    )
    with torch.inference_mode():
        made = generator.structure_decoder(latents)[0, 0].cpu() > 0
    cells = torch.where(region, made, occupied).nonzero()
    if not len(cells):
        raise ObjectError("Nothing is left of the object: all of it was in the region, and the sample has no cell.")
    return cells


def box_region(low: Sequence[float], high: Sequence[float], *, resolution: int) -> Bool[Tensor, "x y z"]:
    """Cells whose centre lies in a box of the object's frame, [-1/2, 1/2]^3 with z up.

    Raises:
        ConfigError: a side of the box is not above zero.
    """
    if any(not one < other for one, other in zip(low, high, strict=True)):
        raise ConfigError(f"The box goes from {tuple(low)} to {tuple(high)}; each side goes upwards.")
    centers = (torch.arange(resolution) + 0.5) / resolution - 0.5
    x, y, z = ((one <= centers) & (centers <= other) for one, other in zip(low, high, strict=True))
    return x[:, None, None] & y[:, None] & z


def mesh_region(cells: Int[np.ndarray, "cells 3"], *, resolution: int) -> Bool[Tensor, "x y z"]:
    """The cells that a closed surface crosses (`kyvo.shapes.voxelize`), and those inside."""
    surface = np.zeros((resolution,) * 3, dtype=bool)
    surface[tuple(cells.T)] = True
    return torch.from_numpy(ndimage.binary_fill_holes(surface))


def _check_latent(generator: ObjectGenerator, latent: StructuredLatent) -> None:
    config = generator.slat_flow.config
    if latent.resolution != config.resolution or latent.feats.shape[1] != config.in_channels:
        raise ConfigError(
            f"The latent has {latent.feats.shape[1]} features on a grid of {latent.resolution}; this generator makes "
            f"{config.in_channels} on a grid of {config.resolution}. Encode the mesh for it."
        )

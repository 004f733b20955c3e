"""A real, tiny and untrained tokenizer of surface features, and a mesh file, for the tests of several folders."""

from pathlib import Path

import numpy as np
import torch
import trimesh

from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.shapes.vqvae import ShapeVQVAE, ShapeVQVAEConfig, to_grid

SURFACE = ShapeVQVAEConfig(
    kind="surface",
    resolution=16,
    widths=(8, 16),
    num_res_blocks=1,
    num_res_blocks_middle=0,
    embed_dim=4,
    n_embed=64,
    feature_mean=(0.0,) * 12,
    feature_std=(0.5,) * 12,
    patch=2,
)


def tiny_tokenizer(seed: int = 0) -> ShapeTokenizer:
    """4 x 4 x 4 codes of 64 for grids of 16."""
    torch.manual_seed(seed)
    model = ShapeVQVAE(SURFACE)
    torch.nn.init.normal_(model.quantizer.embedding.weight)
    return ShapeTokenizer(model)


def knowing_tokenizer(latent: StructuredLatent) -> ShapeTokenizer:
    """One whose codes are the very latents of this object, so that coding it loses nothing."""
    tokenizer = tiny_tokenizer()
    with torch.no_grad():
        values = tokenizer.model.latents(to_grid([latent], SURFACE).features)
        tokenizer.codebook[:] = values[0].flatten(1).T
    return tokenizer


def write_box(path: Path, *, center: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """A box of 2 x 4 x 3 in the file's own axes, red; returns its vertices."""
    box = trimesh.creation.box((2, 4, 3))
    box.apply_translation(center)
    box.visual = trimesh.visual.ColorVisuals(box, face_colors=[200, 30, 30, 255])
    box.export(path)
    return np.asarray(box.vertices)

"""Losses of the 3D VQ-VAE: of features, of occupancy, and of renderings by a frozen decoder.

https://arxiv.org/abs/2506.08002, section on shapes: squared error + 0.25 commitment + 1e-6 KL
+ 0.1 (L1 + 0.2 (1 - SSIM) + 0.2 LPIPS) of renderings from random views. Without the pictures its reconstructions were
poor; views that change did better than a fixed one.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kyvo.models.slat.gaussians import Camera, Gaussians
from kyvo.models.slat.rasterizer import rasterize
from kyvo.models.slat.sparse import SparseTensor, Voxels
from kyvo.shapes.contour import COLOR
from kyvo.shapes.vqvae import Reconstruction, ShapeGrid, ShapeVQVAEConfig
from kyvo.tokenizers.reconstruction import Lpips, StructuralLoss

DISTANCE = 2.0  # of the camera from the object's centre, as TRELLIS renders
GaussianDecoder = Callable[[SparseTensor], list[Gaussians]]


def features_at(
    features: Float[Tensor, "batch channels x y z"], active: Bool[Tensor, "batch x y z"], config: ShapeVQVAEConfig
) -> Float[Tensor, "cells channels"]:
    """Features of the active cells of all objects, in their own scale."""
    mean, std = (features.new_tensor(values) for values in (config.feature_mean, config.feature_std))
    return features.movedim(1, -1)[active] * std + mean


def spread_loss(latents: Float[Tensor, "batch dim side cells"]) -> Float[Tensor, ""]:
    """|z|^2 / 2, the part of KL(N(z, 1) || N(0, 1)) that depends on z.

    The paper lists a KL term; its encoder is deterministic, and this is what such a term means for one.
    """
    return 0.5 * latents.float().square().mean()


def occupancy_loss(scores: Float[Tensor, "batch x y z"], active: Bool[Tensor, "batch x y z"]) -> Float[Tensor, ""]:
    """Cross-entropy of each cell, plus 1 - Dice of each object: few cells are active, and Dice looks at those."""
    target = active.float()
    share = scores.sigmoid()
    overlap = 2 * (share * target).sum((1, 2, 3)) + 1
    dice = overlap / (share.sum((1, 2, 3)) + target.sum((1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(scores, target) + (1 - dice).mean()


def reconstruction_loss(
    output: Reconstruction, truth: ShapeGrid, *, occupancy: str, occupancy_weight: float
) -> Float[Tensor, ""]:
    """Mean squared error of the active cells' standardised features, plus what makes the others inactive.

    With "norm", inactive cells' features are driven to 0; in the mean over all cells of the paper's formula they would
    outweigh the object by twenty to one.
    """
    error = (output.features - truth.features).square().mean(1)
    loss = error[truth.active].mean()
    if occupancy == "logit":
        return loss + occupancy_weight * occupancy_loss(output.scores, truth.active)
    return loss + occupancy_weight * error[~truth.active].mean()


def color_loss(output: Reconstruction, truth: ShapeGrid, config: ShapeVQVAEConfig) -> Float[Tensor, ""]:
    """Mean absolute error of the active cells' sRGB, in [0, 1]; of surface features.

    In the squared error of all features, colors are a quarter, and an edge between two of them comes out smeared.
    """
    found, wanted = (features_at(part.features, truth.active, config)[:, COLOR] for part in (output, truth))
    return (found - wanted).abs().mean() / 2


class RenderLoss(nn.Module):
    """L1 + 0.2 (1 - SSIM) + 0.2 LPIPS between pictures of the object and of its reconstruction, at random views.

    Both are decoded to Gaussians at the true active cells, over a background that is black or white by chance.

    Args:
        decoder: cells with features in their own scale -> Gaussians of each object. It stays as it is.
        filter_variance: of the pixel filter that goes with the decoder, px^2.
        lpips: None leaves its term out.
    """

    def __init__(
        self, decoder: GaussianDecoder, *, filter_variance: float, size: int, lpips: Lpips | None = None
    ) -> None:
        super().__init__()
        self.decoder = decoder
        if isinstance(decoder, nn.Module):
            decoder.eval().requires_grad_(False)
        self.filter_variance = filter_variance
        self.size = size
        self.structural = StructuralLoss()
        self.lpips = lpips

    def forward(
        self, output: Reconstruction, truth: ShapeGrid, config: ShapeVQVAEConfig, *, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        device = output.features.device
        voxels = Voxels(coords=truth.active.nonzero(), resolution=config.resolution, batch_size=len(truth.active))
        ours = self.decoder(SparseTensor(voxels=voxels, feats=features_at(output.features, truth.active, config)))
        with torch.no_grad():
            theirs = self.decoder(SparseTensor(voxels=voxels, feats=features_at(truth.features, truth.active, config)))
        pairs = []
        for gaussians in zip(ours, theirs, strict=True):
            camera, background = self.random_view(generator, device)
            pairs.append([self.picture(each, camera, background) for each in gaussians])
        found, wanted = (torch.stack(pictures) for pictures in zip(*pairs, strict=True))
        # Pixels span 2 for SSIM and LPIPS, 1 for the absolute difference.
        loss = (found - wanted).abs().mean() / 2 + 0.2 * (1 - self.structural.ssim(found, wanted))
        return loss if self.lpips is None else loss + 0.2 * self.lpips(found, wanted)

    def random_view(self, generator: torch.Generator, device: torch.device) -> tuple[Camera, Float[Tensor, " 3"]]:
        direction = F.normalize(torch.randn(3, generator=generator), dim=0)
        white = float(torch.rand((), generator=generator) < 0.5)
        camera = Camera.look_at_origin((DISTANCE * direction).to(device), size=self.size)
        return camera, torch.full((3,), white, device=device)

    def picture(
        self, gaussians: Gaussians, camera: Camera, background: Float[Tensor, " 3"]
    ) -> Float[Tensor, "3 height width"]:
        """In [-1, 1]."""
        rendering = rasterize(gaussians, camera, background=background, filter_variance=self.filter_variance)
        return rendering.color.clamp(0, 1).movedim(2, 0) * 2 - 1

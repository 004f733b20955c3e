"""TRELLIS's encoder: features of voxels -> a structured latent (https://arxiv.org/abs/2412.01506, section 3.2)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.models.slat.sparse import SparseTensor
from kyvo.models.slat.transformer import SparseTransformer, TransformerConfig, plain_norm


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(TransformerConfig):
    """`args` of a published SLatEncoder."""

    in_channels: int  # 1,024 features of DINOv2 ViT-L/14


class SLatEncoder(SparseTransformer):
    """The posterior of each cell's latent is a Gaussian with diagonal covariance."""

    def __init__(self, config: EncoderConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__(config, config.in_channels, device=device)
        self.out_layer = nn.Linear(config.model_channels, 2 * config.latent_channels, device=device)

    def forward(self, x: SparseTensor) -> tuple[Float[Tensor, "voxels channels"], Float[Tensor, "voxels channels"]]:
        """Mean and logarithm of the variance."""
        feats = plain_norm(self.trunk(x).feats.float(), 1e-5)
        mean, log_variance = self.out_layer(feats).chunk(2, dim=1)
        return mean, log_variance

    def encode(self, x: SparseTensor) -> SparseTensor:
        """The mean, which is what latent files hold."""
        return x.replace(self(x)[0])

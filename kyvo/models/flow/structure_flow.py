"""TRELLIS's first stage: a flow over the dense latent grid of an object's sparse structure (16^3 x 8).

`SparseStructureDecoder` makes the latent an occupancy grid. Sizes come from the JSON beside published weights.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.models.flow.block import FlowConfig, FlowModel
from kyvo.models.slat.sparse import Voxels
from kyvo.models.slat.transformer import voxel_positions


@dataclass(frozen=True, kw_only=True)
class StructureFlowConfig(FlowConfig):
    """`args` of a published SparseStructureFlowModel."""

    patch_size: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch_size != 1:
            raise ConfigError(f"patch_size is {self.patch_size}; the published structure flows have 1.")


class SparseStructureFlowModel(FlowModel):
    """Velocity of the latent grid at time t, under a condition."""

    config: StructureFlowConfig
    pos_emb: Tensor

    def __init__(self, config: StructureFlowConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__(config, device=device)
        cells = Voxels.full(resolution=config.resolution, batch_size=1)
        positions = voxel_positions(cells.coords[:, 1:], config.model_channels)
        self.register_buffer("pos_emb", positions.to(device))
        self.input_layer = nn.Linear(config.in_channels, config.model_channels, device=device)
        self.out_layer = nn.Linear(config.model_channels, config.out_channels, device=device)

    def forward(
        self,
        x: Float[Tensor, "batch channels x y z"],
        t: Float[Tensor, " batch"],
        context: Float[Tensor, "batch length cond"],
    ) -> Float[Tensor, "batch out x y z"]:
        """`t` is in [0, 1]. Raises ConfigError for inputs of other sizes than the network's."""
        batch, channels, *_, side = x.shape
        self.check_inputs(channels=channels, resolution=side, batch_size=batch, t=t, context=context)
        voxels = Voxels.full(resolution=side, batch_size=batch, device=x.device)
        rows = self.input_layer(x.flatten(2).mT.float()) + self.pos_emb
        time = self.t_embedder(t).to(self.dtype)
        feats = self.transform(rows.flatten(0, 1).to(self.dtype), voxels, time, context.to(self.dtype))
        out = self.out_layer(F.layer_norm(feats.float(), feats.shape[1:]))
        return out.unflatten(0, (batch, -1)).mT.unflatten(2, (side, side, side)).contiguous()

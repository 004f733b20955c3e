"""TRELLIS's first stage: a flow over the dense latent grid of an object's sparse structure (16^3 x 8).

`SparseStructureDecoder` makes the latent an occupancy grid. Sizes come from the JSON beside published weights.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.models.flow.block import FlowConfig, FlowModel
from kyvo.models.slat.attention import Attend
from kyvo.models.slat.sparse import Voxels
from kyvo.models.slat.transformer import voxel_positions


@dataclass(frozen=True, kw_only=True)
class StructureFlowConfig(FlowConfig):
    """`args` of a published SparseStructureFlowModel."""

    patch_size: int = 1  # 1 in the published ones


class SparseStructureFlowModel(FlowModel):
    """Velocity of the latent grid at time t, under a condition."""

    config: StructureFlowConfig
    pos_emb: Tensor

    def __init__(self, config: StructureFlowConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__(config, device=device)
        self.side = config.resolution // config.patch_size  # tokens along a side
        cells = Voxels.full(resolution=self.side, batch_size=1)
        positions = voxel_positions(cells.coords[:, 1:], config.model_channels)
        self.register_buffer("pos_emb", positions.to(device))
        patch = config.patch_size**3  # cells of a token
        self.input_layer = nn.Linear(config.in_channels * patch, config.model_channels, device=device)
        self.out_layer = nn.Linear(config.model_channels, config.out_channels * patch, device=device)

    def forward(
        self,
        x: Float[Tensor, "batch channels x y z"],
        t: Float[Tensor, " batch"],
        context: Float[Tensor, "batch length cond"],
        attend: Attend | None = None,
    ) -> Float[Tensor, "batch out x y z"]:
        """`t` is in [0, 1]; `attend` as in a block. Raises ConfigError for inputs of other sizes than the network's."""
        voxels, feats, time = self.embed(x, t, context)
        feats = self.transform(feats, voxels, time, context.to(self.dtype), attend)
        return self.project(feats, x, t)

    def embed(
        self,
        x: Float[Tensor, "batch channels x y z"],
        t: Float[Tensor, " batch"],
        context: Float[Tensor, "batch length cond"],
    ) -> tuple[Voxels, Float[Tensor, "tokens model"], Float[Tensor, "batch model"]]:
        """The tokens' places, what goes into the first block, and the time. Raises as `forward` does."""
        batch, channels, *_, side = x.shape
        self.check_inputs(channels=channels, resolution=side, batch_size=batch, t=t, context=context)
        voxels = Voxels.full(resolution=self.side, batch_size=batch, device=x.device)
        rows = self.input_layer(to_patches(x.float(), self.config.patch_size)) + self.pos_emb
        return voxels, rows.flatten(0, 1).to(self.dtype), self.t_embedder(t).to(self.dtype)

    def project(
        self, feats: Float[Tensor, "tokens model"], x: Float[Tensor, "batch channels x y z"], t: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch out x y z"]:
        """The velocity that the last block's output says."""
        out = self.out_layer(F.layer_norm(feats.float(), feats.shape[1:]))
        out = from_patches(out.unflatten(0, (len(x), -1)), self.config.patch_size)
        return self.velocity(out, x, t[:, None, None, None, None])


def to_patches(grid: Float[Tensor, "batch channels x y z"], side: int) -> Float[Tensor, "batch patches patch_channels"]:
    """Blocks of side^3 cells, x-major; within a block channels first, then its cells."""
    blocks = grid.unfold(2, side, side).unfold(3, side, side).unfold(4, side, side)  # n c x y z side side side
    return blocks.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(1, 3)


def from_patches(
    patches: Float[Tensor, "batch patches patch_channels"], side: int
) -> Float[Tensor, "batch channels x y z"]:
    """Inverse of `to_patches`, of a cube."""
    count = round(patches.shape[1] ** (1 / 3))
    blocks = patches.unflatten(1, (count,) * 3).unflatten(4, (-1, side, side, side))
    return blocks.permute(0, 4, 1, 5, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(2, 3).contiguous()

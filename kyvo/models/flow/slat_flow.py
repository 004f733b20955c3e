"""TRELLIS's second stage: a flow over the features of an object's active cells (64^3 sparse, 8 channels).

Sparse residual blocks halve the grid, the transformer's blocks run on the coarse cells, and residual blocks with skips
go back (https://arxiv.org/abs/2412.01506, section 3.3). Features are normalised: (feats - mean) / std with the
statistics that the pipeline's JSON holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.models.flow.block import NORM_EPSILON, FlowConfig, FlowModel, of_tokens
from kyvo.models.slat.decoders import SparseConvolution
from kyvo.models.slat.sparse import SparseTensor, Voxels, downsample, upsample
from kyvo.models.slat.transformer import plain_norm, voxel_positions


@dataclass(frozen=True, kw_only=True)
class SLatFlowConfig(FlowConfig):
    """`args` of a published SLatFlowModel."""

    num_io_res_blocks: int = 2  # residual blocks at each resolution, either way
    io_block_channels: Sequence[int]  # of each resolution above the transformer's
    use_skip_connection: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "io_block_channels", tuple(self.io_block_channels))  # JSON hands over a list
        if self.patch_size != 2 ** len(self.io_block_channels):
            raise ConfigError(
                f"patch_size is {self.patch_size} and io_block_channels has {len(self.io_block_channels)} values; each "
                "of them halves the grid once."
            )
        if not self.use_skip_connection:
            raise ConfigError("use_skip_connection is false; the published flows have skips.")


class SparseResBlock3d(nn.Module):
    """Resize, then norm, convolution, norm under time's scale and shift, convolution; a linear way around them."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        time_channels: int,
        resize: Literal["down", "up"] | None = None,
        device: Any,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.resize = resize
        self.norm1 = nn.LayerNorm(in_channels, eps=NORM_EPSILON, device=device)
        self.conv1 = SparseConvolution(in_channels, out_channels, device=device, dtype=dtype)
        self.conv2 = SparseConvolution(out_channels, out_channels, device=device, dtype=dtype)
        nn.init.zeros_(self.conv2.conv.weight)  # starts as the way around alone
        self.emb_layers = nn.Sequential(
            nn.SiLU(), nn.Linear(time_channels, 2 * out_channels, device=device, dtype=dtype)
        )
        self.skip_connection: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.skip_connection = nn.Linear(in_channels, out_channels, device=device, dtype=dtype)

    def forward(self, x: SparseTensor, time: Float[Tensor, "batch channels"], fine: Voxels | None) -> SparseTensor:
        """`fine`: the cells to go back to, of a block that doubles the grid."""
        if self.resize == "down":
            x = downsample(x, 2, include_self=True)
        elif self.resize == "up":
            assert fine is not None
            x = upsample(x, fine, 2)
        scale, shift = (of_tokens(part, x.voxels) for part in self.emb_layers(time).chunk(2, dim=1))
        hidden = self.conv1(x.replace(F.silu(self.norm1(x.feats.float())).to(x.feats.dtype)))
        modulated = plain_norm(hidden.feats, NORM_EPSILON) * (1 + scale) + shift
        hidden = self.conv2(x.replace(F.silu(modulated)))
        return x.replace(hidden.feats + self.skip_connection(x.feats))


class SLatFlowModel(FlowModel):
    """Velocity of the cells' features at time t, under a condition."""

    config: SLatFlowConfig
    half_parts = ("input_blocks", "blocks", "out_blocks")

    def __init__(self, config: SLatFlowConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__(config, device=device)
        widths = [*config.io_block_channels, config.model_channels]  # from the input on

        def res_block(wide: int, out: int, resize: Literal["down", "up"] | None = None) -> SparseResBlock3d:
            return SparseResBlock3d(
                wide, out, time_channels=config.model_channels, resize=resize, device=device, dtype=config.half
            )

        more = config.num_io_res_blocks - 1
        into: list[nn.Module] = []
        back: list[nn.Module] = []
        for width, next_width in pairwise(widths):
            into += [*(res_block(width, width) for _ in range(more)), res_block(width, next_width, "down")]
            # A skip stands beside what each block on the way back takes.
            back = [res_block(2 * next_width, width, "up"), *(res_block(2 * width, width) for _ in range(more)), *back]
        self.input_layer = nn.Linear(config.in_channels, widths[0], device=device)
        self.input_blocks = nn.ModuleList(into)
        self.out_blocks = nn.ModuleList(back)
        self.out_layer = nn.Linear(widths[0], config.out_channels, device=device)

    def forward(
        self, x: SparseTensor, t: Float[Tensor, " batch"], context: Float[Tensor, "batch length cond"]
    ) -> Float[Tensor, "voxels out"]:
        """`t` is in [0, 1]. Raises ConfigError for inputs of other sizes than the network's."""
        voxels = x.voxels
        channels, batch_size = x.feats.shape[1], voxels.batch_size
        self.check_inputs(channels=channels, resolution=voxels.resolution, batch_size=batch_size, t=t, context=context)
        time = self.t_embedder(t).to(self.dtype)
        hidden = x.replace(self.input_layer(x.feats.float()).to(self.dtype))
        skips: list[SparseTensor] = []
        fine: list[Voxels] = []  # the cells before each halving
        for block in self.input_blocks:
            if block.resize == "down":
                fine.append(hidden.voxels)
            hidden = block(hidden, time, None)
            skips.append(hidden)
        positions = voxel_positions(hidden.voxels.coords[:, 1:], self.config.model_channels)
        feats = hidden.feats + positions.to(hidden.feats.dtype)
        hidden = hidden.replace(self.transform(feats, hidden.voxels, time, context.to(self.dtype)))
        for block in self.out_blocks:
            joined = hidden.replace(torch.cat([hidden.feats, skips.pop().feats], dim=1))
            hidden = block(joined, time, fine.pop() if block.resize == "up" else None)
        out = self.out_layer(plain_norm(hidden.feats.float(), 1e-5))
        return self.velocity(out, x.feats, of_tokens(t[:, None], voxels))

"""TRELLIS's sparse-structure VAE: occupancy of a 64^3 grid <-> a dense 16^3 x 8 latent, in dense convolutions.

Grids are indexed [x, y, z]; a cell is active where its logit is positive. Tensor names are those of the published
checkpoints (microsoft/TRELLIS; https://arxiv.org/abs/2412.01506, section 3.3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.models.slat.sparse import Voxels
from kyvo.models.slat.transformer import convert_half_parts


@dataclass(frozen=True, kw_only=True)
class StructureConfig:
    """What encoder and decoder share; names are those of a published JSON's `args`."""

    latent_channels: int
    num_res_blocks: int  # a level
    channels: Sequence[int]  # a level, from the input on; the side halves (doubles) between levels
    num_res_blocks_middle: int = 2
    norm_type: str = "layer"
    use_fp16: bool = False
    patch_size: int = 1  # cells along a side that are one vector outside of the network; 1 in the published ones

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))  # JSON hands over a list
        if self.patch_size not in (1, 2, 4):
            raise ConfigError(f"patch_size is {self.patch_size}; it is 1, 2 or 4 cells.")
        if self.norm_type != "layer":
            raise ConfigError(f"norm_type is {self.norm_type!r}; the published networks have 'layer'.")

    @property
    def half(self) -> torch.dtype:
        return torch.float16 if self.use_fp16 else torch.float32

    @property
    def shrinkage(self) -> int:
        """Cells along a side that one latent stands for."""
        return self.patch_size * 2 ** (len(self.channels) - 1)


@dataclass(frozen=True, kw_only=True)
class StructureEncoderConfig(StructureConfig):
    in_channels: int = 1


@dataclass(frozen=True, kw_only=True)
class StructureDecoderConfig(StructureConfig):
    out_channels: int = 1


class ChannelLayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of a dense grid, in float32."""

    def forward(self, input: Float[Tensor, "batch channels x y z"]) -> Float[Tensor, "batch channels x y z"]:
        return super().forward(input.movedim(1, -1).float()).movedim(-1, 1).to(input.dtype)


class ResBlock(nn.Module):
    def __init__(self, channels: int, *, device: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm1 = ChannelLayerNorm(channels, device=device)
        self.norm2 = ChannelLayerNorm(channels, device=device)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1, device=device, dtype=dtype)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1, device=device, dtype=dtype)

    def forward(self, x: Float[Tensor, "batch channels x y z"]) -> Float[Tensor, "batch channels x y z"]:
        hidden = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(hidden)))


class Downsample(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, *, device: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 2, stride=2, device=device, dtype=dtype)

    def forward(self, x: Float[Tensor, "batch in x y z"]) -> Float[Tensor, "batch out x2 y2 z2"]:
        return self.conv(x)


class Upsample(nn.Module):
    """A convolution to 8 times the channels, then channel 8 c + 4 dx + 2 dy + dz becomes the child (dx, dy, dz)."""

    def __init__(self, in_channels: int, out_channels: int, *, device: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, 8 * out_channels, 3, padding=1, device=device, dtype=dtype)

    def forward(self, x: Float[Tensor, "batch in x y z"]) -> Float[Tensor, "batch out x2 y2 z2"]:
        return shuffle_voxels(self.conv(x))


def shuffle_voxels(x: Float[Tensor, "batch channels8 x y z"]) -> Float[Tensor, "batch channels x2 y2 z2"]:
    """[B, 8 C, X, Y, Z] -> [B, C, 2X, 2Y, 2Z] (https://arxiv.org/abs/1609.05158, in 3D)."""
    batch, _, *side = x.shape
    children = x.reshape(batch, -1, 2, 2, 2, *side).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return children.reshape(batch, -1, *[2 * cells for cells in side])


class _StructureNetwork(nn.Module):
    """What both ways share: where half precision begins and ends."""

    config: StructureConfig
    blocks: nn.ModuleList
    middle_block: nn.Sequential

    @property
    def dtype(self) -> torch.dtype:
        return self.middle_block[0].conv1.weight.dtype  # type: ignore[return-value]

    def set_compute_dtype(self, dtype: torch.dtype) -> None:
        """Converts the half-precision parts."""
        convert_half_parts(self, ("blocks", "middle_block"), dtype)

    def _residual(self, channels: int, count: int, device: Any) -> list[nn.Module]:
        return [ResBlock(channels, device=device, dtype=self.config.half) for _ in range(count)]

    def _output(self, channels: int, out_channels: int, device: Any) -> nn.Sequential:
        conv = nn.Conv3d(channels, out_channels, 3, padding=1, device=device)
        return nn.Sequential(ChannelLayerNorm(channels, device=device), nn.SiLU(), conv)


class SparseStructureEncoder(_StructureNetwork):
    """Occupancy (0 or 1) -> the Gaussian posterior of the latent."""

    def __init__(self, config: StructureEncoderConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        patch = config.patch_size
        # A convolution over each patch, or over the cells around one.
        size, padding = (3, 1) if patch == 1 else (patch, 0)
        self.input_layer = nn.Conv3d(config.in_channels, widths[0], size, stride=patch, padding=padding, device=device)
        blocks: list[nn.Module] = []
        for level, width in enumerate(widths):
            blocks += self._residual(width, config.num_res_blocks, device)
            if level + 1 < len(widths):
                blocks.append(Downsample(width, widths[level + 1], device=device, dtype=config.half))
        self.blocks = nn.ModuleList(blocks)
        self.middle_block = nn.Sequential(*self._residual(widths[-1], config.num_res_blocks_middle, device))
        self.out_layer = self._output(widths[-1], 2 * config.latent_channels, device)

    def forward(
        self, occupancy: Float[Tensor, "batch in x y z"]
    ) -> tuple[Float[Tensor, "batch latent x2 y2 z2"], Float[Tensor, "batch latent x2 y2 z2"]]:
        """Mean, which is the latent that is kept, and logarithm of the variance."""
        x = self.input_layer(occupancy.float()).to(self.dtype)
        for block in self.blocks:
            x = block(x)
        mean, log_variance = self.out_layer(self.middle_block(x).float()).chunk(2, dim=1)
        return mean, log_variance


class SparseStructureDecoder(_StructureNetwork):
    """The latent -> a logit of occupancy for each cell."""

    def __init__(self, config: StructureDecoderConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        self.input_layer = nn.Conv3d(config.latent_channels, widths[0], 3, padding=1, device=device)
        self.middle_block = nn.Sequential(*self._residual(widths[0], config.num_res_blocks_middle, device))
        blocks: list[nn.Module] = []
        for level, width in enumerate(widths):
            blocks += self._residual(width, config.num_res_blocks, device)
            if level + 1 < len(widths):
                blocks.append(Upsample(width, widths[level + 1], device=device, dtype=config.half))
        self.blocks = nn.ModuleList(blocks)
        self.out_layer = self._output(widths[-1], config.out_channels * config.patch_size**3, device)

    def forward(self, latent: Float[Tensor, "batch latent x y z"]) -> Float[Tensor, "batch out x2 y2 z2"]:
        x = self.middle_block(self.input_layer(latent.float()).to(self.dtype))
        for block in self.blocks:
            x = block(x)
        out = self.out_layer(x.float())
        for _ in range(int(math.log2(self.config.patch_size))):
            out = shuffle_voxels(out)
        return out

    def decode(self, latent: Float[Tensor, "batch latent x y z"]) -> Voxels:
        """The active cells."""
        logits = self(latent)[:, 0]
        return Voxels(coords=(logits > 0).nonzero(), resolution=logits.shape[-1], batch_size=len(logits))

"""The trunk of TRELLIS's encoder and decoders: a pre-norm transformer over sparse voxels.

Tensor names, the places where it computes in float32 and the two epsilons are those of the published checkpoints
(microsoft/TRELLIS; https://arxiv.org/abs/2412.01506, section 3.2 and appendix). With `use_fp16` the linear maps inside
the blocks are stored in half precision and all else in single.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.models.slat.attention import SparseAttention
from kyvo.models.slat.sparse import SparseTensor


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The trunk's part of a published `<name>.json`; names are those of its `args`."""

    resolution: int  # cells along a side of the grid
    model_channels: int
    latent_channels: int
    num_blocks: int
    num_heads: int
    mlp_ratio: float = 4
    attn_mode: str = "swin"  # or "full"
    window_size: int = 8  # cells along a side of a window
    pe_mode: str = "ape"
    qk_rms_norm: bool = False
    use_fp16: bool = False

    def __post_init__(self) -> None:
        if self.attn_mode not in ("full", "swin"):
            raise ConfigError(f"attn_mode is {self.attn_mode!r}; the networks here attend 'full' or 'swin'.")
        if self.pe_mode != "ape" or self.qk_rms_norm:
            raise ConfigError(
                f"pe_mode is {self.pe_mode!r} and qk_rms_norm {self.qk_rms_norm}; the published autoencoders have "
                "'ape' and false, and nothing else is built here."
            )
        if self.model_channels < 6:
            raise ConfigError(f"model_channels is {self.model_channels}; positions of three axes take at least 6.")

    @property
    def half(self) -> torch.dtype:
        """Of the linear maps inside the blocks."""
        return torch.float16 if self.use_fp16 else torch.float32


def voxel_positions(coords: Int[Tensor, "voxels 3"], channels: int) -> Float[Tensor, "voxels channels"]:
    """[sin(c f_k), cos(c f_k)] of x, y and z in turn; f_k = 10000^(-k/K), K = channels // 6; then zeros."""
    num_frequencies = channels // 6
    exponent = torch.arange(num_frequencies, device=coords.device, dtype=torch.float32) / num_frequencies
    angles = coords.float()[..., None] * 10_000.0**-exponent  # voxels 3 frequencies
    waves = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return F.pad(waves, (0, channels - waves.shape[1]))


def plain_norm(feats: Float[Tensor, "voxels channels"], epsilon: float) -> Float[Tensor, "voxels channels"]:
    """LayerNorm without weights, in float32."""
    return F.layer_norm(feats.float(), feats.shape[1:], eps=epsilon).to(feats.dtype)


class FeedForward(nn.Module):
    def __init__(self, channels: int, hidden: int, *, device: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden, device=device, dtype=dtype),
            nn.GELU(approximate="tanh"),
            nn.Linear(hidden, channels, device=device, dtype=dtype),
        )

    def forward(self, feats: Float[Tensor, "voxels channels"]) -> Float[Tensor, "voxels channels"]:
        return self.mlp(feats)


class Block(nn.Module):
    """x += attention(norm(x)); x += mlp(norm(x))."""

    def __init__(self, config: TransformerConfig, index: int, *, device: Any) -> None:
        super().__init__()
        channels, size = config.model_channels, config.window_size
        self.attn = SparseAttention(
            channels,
            num_heads=config.num_heads,
            window_size=None if config.attn_mode == "full" else size,
            shift=size // 2 * (index % 2),
            device=device,
            dtype=config.half,
        )
        self.mlp = FeedForward(channels, int(channels * config.mlp_ratio), device=device, dtype=config.half)

    def forward(self, x: SparseTensor) -> SparseTensor:
        x = x.replace(x.feats + self.attn(x.replace(plain_norm(x.feats, 1e-6))).feats)
        return x.replace(x.feats + self.mlp(plain_norm(x.feats, 1e-6)))


class SparseTransformer(nn.Module):
    """Input layer, positions and blocks. Subclasses add `out_layer` and what they make of it."""

    half_parts: tuple[str, ...] = ("blocks",)  # modules computed in the blocks' precision

    def __init__(
        self, config: TransformerConfig, in_channels: int, *, device: torch.device | str | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.in_channels = in_channels
        self.input_layer = nn.Linear(in_channels, config.model_channels, device=device)
        self.blocks = nn.ModuleList(Block(config, index, device=device) for index in range(config.num_blocks))

    @property
    def dtype(self) -> torch.dtype:
        """In which the blocks compute."""
        return next(self.blocks.parameters()).dtype

    def set_compute_dtype(self, dtype: torch.dtype) -> None:
        """Converts the half-precision parts. CPUs compute float16 slowly: float32, or bfloat16 with AMX, suits them."""
        convert_half_parts(self, self.half_parts, dtype)

    def trunk(self, x: SparseTensor) -> SparseTensor:
        """Raises ConfigError for features of another width or a grid of another size."""
        if x.feats.shape[1] != self.in_channels or x.voxels.resolution != self.config.resolution:
            raise ConfigError(
                f"Voxels have {x.feats.shape[1]} features on a grid of {x.voxels.resolution}; this network takes "
                f"{self.in_channels} on a grid of {self.config.resolution}."
            )
        positions = voxel_positions(x.voxels.coords[:, 1:], self.config.model_channels)
        x = x.replace((self.input_layer(x.feats.float()) + positions).to(self.dtype))
        for block in self.blocks:
            x = block(x)
        return x


class SubmanifoldWeight(nn.Module):
    """Weight [out, k, k, k, in] and bias of a submanifold convolution, under the name `conv` of the checkpoints."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, device: Any, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.empty(out_channels, *[kernel_size] * 3, in_channels, device=device, dtype=dtype)
        )
        self.bias = nn.Parameter(torch.zeros(out_channels, device=device, dtype=dtype))
        nn.init.kaiming_uniform_(self.weight.flatten(1), a=5**0.5)


HALF_MODULES = (nn.Linear, SubmanifoldWeight, nn.Conv3d)


def convert_half_parts(network: nn.Module, parts: Iterable[str], dtype: torch.dtype) -> None:
    """Converts the linear maps and convolutions inside these parts; norms stay in float32."""
    for name in parts:
        for module in network.get_submodule(name).modules():
            if isinstance(module, HALF_MODULES):
                module.to(dtype)

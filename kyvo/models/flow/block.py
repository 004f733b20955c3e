"""The block of TRELLIS's flow models, and what the two models share.

A diffusion transformer's block (https://arxiv.org/abs/2212.09748) with cross-attention to a condition. Tokens of all
objects of a batch stand packed in one row, and `Voxels` says which object each belongs to. A dense grid is the case
where every cell is active, so both models have this one block. Time t is 0 at an object and 1 at noise. Tensor names
are those of the published checkpoints (microsoft/TRELLIS; https://arxiv.org/abs/2412.01506, section 3.3).
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kyvo.errors import ConfigError
from kyvo.models.slat.attention import Attend, HeadRMSNorm, SparseAttention, object_windows
from kyvo.models.slat.sparse import SparseTensor, Voxels
from kyvo.models.slat.transformer import FeedForward, convert_half_parts, plain_norm

NORM_EPSILON = 1e-6  # inside the blocks; the norm before the output layer has 1e-5
NUM_WAVES = 128  # of the embedding of time
TIME_SCALE = 1000.0  # the embedding's unit of time
SHORTEST_TIME = 0.05  # that a predicted object's distance is divided by (https://arxiv.org/abs/2511.13720)


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """What both models read of a published JSON; names are those of its `args`."""

    resolution: int  # cells along a side of the grid
    in_channels: int
    out_channels: int
    model_channels: int
    cond_channels: int  # of a token of the condition
    num_blocks: int
    num_heads: int
    mlp_ratio: float = 4
    patch_size: int  # cells along a side of one token
    pe_mode: str = "ape"
    qk_rms_norm: bool = False
    qk_rms_norm_cross: bool = False
    use_fp16: bool = False
    prediction: str = "velocity"  # of the output layer; or "data", from which the velocity follows

    def __post_init__(self) -> None:
        if self.prediction not in ("velocity", "data"):
            raise ConfigError(f'prediction is {self.prediction!r}; it is "velocity" or "data".')
        if self.prediction == "data" and self.in_channels != self.out_channels:
            raise ConfigError(
                f"in_channels is {self.in_channels} and out_channels {self.out_channels}; a network that predicts data "
                "has as many of both."
            )
        if self.pe_mode != "ape":
            raise ConfigError(f"pe_mode is {self.pe_mode!r}; the published flow models have 'ape'.")
        if self.model_channels < 6 or self.model_channels % self.num_heads:
            raise ConfigError(
                f"model_channels is {self.model_channels} and num_heads {self.num_heads}; take a multiple of the "
                "heads, at least 6."
            )
        if self.resolution % self.patch_size:
            raise ConfigError(f"A grid of {self.resolution} does not divide into patches of {self.patch_size}.")

    @property
    def half(self) -> torch.dtype:
        """Of the linear maps and convolutions inside the blocks."""
        return torch.float16 if self.use_fp16 else torch.float32


class TimestepEmbedder(nn.Module):
    """t in [0, 1] -> [cos, sin] of geometric frequencies -> two linear maps."""

    def __init__(self, channels: int, *, device: Any) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * NUM_WAVES, channels, device=device),
            nn.SiLU(),
            nn.Linear(channels, channels, device=device),
        )

    def forward(self, t: Float[Tensor, " batch"]) -> Float[Tensor, "batch channels"]:
        exponent = torch.arange(NUM_WAVES, device=t.device, dtype=torch.float32) / NUM_WAVES
        angles = TIME_SCALE * t.float()[:, None] * 10_000.0**-exponent
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=1))


class CrossAttention(nn.Module):
    """Each token attends to the condition of its own object."""

    def __init__(self, config: FlowConfig, *, device: Any) -> None:
        super().__init__()
        channels, options = config.model_channels, {"device": device, "dtype": config.half}
        self.num_heads = config.num_heads
        self.to_q = nn.Linear(channels, channels, **options)
        self.to_kv = nn.Linear(config.cond_channels, 2 * channels, **options)
        self.to_out = nn.Linear(channels, channels, **options)
        width = channels // config.num_heads
        self.q_rms_norm, self.k_rms_norm = (
            HeadRMSNorm(config.num_heads, width, device=device) if config.qk_rms_norm_cross else None for _ in range(2)
        )

    def forward(
        self, feats: Float[Tensor, "tokens channels"], voxels: Voxels, context: Float[Tensor, "batch length cond"]
    ) -> Float[Tensor, "tokens channels"]:
        query = self.to_q(feats).unflatten(1, (self.num_heads, -1))
        key, value = self.to_kv(context).unflatten(2, (2, self.num_heads, -1)).unbind(2)
        if self.q_rms_norm is not None and self.k_rms_norm is not None:
            query, key = self.q_rms_norm(query), self.k_rms_norm(key)
        out = query.new_zeros(query.shape)
        for group in object_windows(voxels):
            objects = voxels.coords[group.rows[:, 0], 0]
            attended = F.scaled_dot_product_attention(
                query[group.rows].transpose(1, 2), key[objects].transpose(1, 2), value[objects].transpose(1, 2)
            ).transpose(1, 2)  # objects length heads width
            real = slice(None) if group.is_token is None else group.is_token
            out = out.index_put((group.rows[real],), attended[real].to(out.dtype))
        return self.to_out(out.flatten(1))


class ModulatedCrossBlock(nn.Module):
    """Self-attention, cross-attention and a feed-forward network; time shifts, scales and gates the first and last."""

    def __init__(self, config: FlowConfig, *, device: Any) -> None:
        super().__init__()
        channels = config.model_channels
        self.self_attn = SparseAttention(
            channels,
            num_heads=config.num_heads,
            window_size=None,
            qk_rms_norm=config.qk_rms_norm,
            device=device,
            dtype=config.half,
        )
        self.norm2 = nn.LayerNorm(channels, eps=NORM_EPSILON, device=device)
        self.cross_attn = CrossAttention(config, device=device)
        self.mlp = FeedForward(channels, int(channels * config.mlp_ratio), device=device, dtype=config.half)
        modulation = nn.Linear(channels, 6 * channels, device=device, dtype=config.half)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), modulation)

    def forward(
        self,
        feats: Float[Tensor, "tokens channels"],
        voxels: Voxels,
        time: Float[Tensor, "batch channels"],
        context: Float[Tensor, "batch length cond"],
        attend: Attend | None = None,
    ) -> Float[Tensor, "tokens channels"]:
        """`attend`: of self-attention, where tokens of several objects attend to each other."""
        modulation = self.adaLN_modulation(time).chunk(6, dim=1)
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = (of_tokens(part, voxels) for part in modulation)
        hidden = plain_norm(feats, NORM_EPSILON) * (1 + scale) + shift
        feats = feats + gate * self.self_attn(SparseTensor(voxels=voxels, feats=hidden), attend).feats
        feats = feats + self.cross_attn(self.norm2(feats.float()).to(feats.dtype), voxels, context)
        hidden = plain_norm(feats, NORM_EPSILON) * (1 + mlp_scale) + mlp_shift
        return feats + mlp_gate * self.mlp(hidden)


def of_tokens(values: Float[Tensor, "batch channels"], voxels: Voxels) -> Float[Tensor, "rows channels"]:
    """Each token's row of what its object has; one row, to be broadcast, where there is one object."""
    return values if voxels.batch_size == 1 else values[voxels.coords[:, 0]]


class FlowModel(nn.Module):
    """Time, the transformer's blocks, and where half precision begins and ends."""

    half_parts: tuple[str, ...] = ("blocks",)

    def __init__(self, config: FlowConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False  # blocks are computed again in the backward pass, which saves memory
        self.t_embedder = TimestepEmbedder(config.model_channels, device=device)
        self.blocks = nn.ModuleList(ModulatedCrossBlock(config, device=device) for _ in range(config.num_blocks))

    @property
    def dtype(self) -> torch.dtype:
        """In which the blocks compute."""
        block = self.blocks[0]
        assert isinstance(block, ModulatedCrossBlock)
        return block.mlp.mlp[0].weight.dtype  # type: ignore[return-value]

    def set_compute_dtype(self, dtype: torch.dtype) -> None:
        """Converts the half-precision parts."""
        convert_half_parts(self, self.half_parts, dtype)

    def initialize(self) -> None:
        """For training from nothing: every block starts as the identity, and the output as zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for layer in (self.t_embedder.mlp[0], self.t_embedder.mlp[2]):
            nn.init.normal_(layer.weight, std=0.02)  # type: ignore[arg-type]
        for name, module in self.named_modules():
            if name == "out_layer" or name.endswith("adaLN_modulation.1"):
                nn.init.zeros_(module.weight)  # type: ignore[arg-type]
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def transform(
        self,
        feats: Float[Tensor, "tokens channels"],
        voxels: Voxels,
        time: Float[Tensor, "batch channels"],
        context: Float[Tensor, "batch length cond"],
        attend: Attend | None = None,
    ) -> Float[Tensor, "tokens channels"]:
        """All blocks in turn; `attend` as in a block."""
        for block in self.blocks:
            feats = self.run_block(block, feats, voxels, time, context, attend)
        return feats

    def run_block(self, block: nn.Module, feats: Tensor, *inputs: Any) -> Tensor:
        """A block's output; in training with gradient checkpointing it is not kept."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, feats, *inputs, use_reentrant=False)  # type: ignore[return-value]
        return block(feats, *inputs)

    def velocity(self, out: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """Of what the output layer says. `t` is broadcast over the state `x`.

        A small network that predicts the object itself needs no capacity for its noise
        (https://arxiv.org/abs/2511.13720).
        """
        return out if self.config.prediction == "velocity" else (x - out) / t.clamp(min=SHORTEST_TIME)

    def check_inputs(self, *, channels: int, resolution: int, batch_size: int, t: Tensor, context: Tensor) -> None:
        """Raises ConfigError for inputs of another size than the network's."""
        config = self.config
        if channels != config.in_channels or resolution != config.resolution:
            raise ConfigError(
                f"The input has {channels} channels on a grid of {resolution}; this network takes "
                f"{config.in_channels} on a grid of {config.resolution}."
            )
        if context.shape[2] != config.cond_channels:
            raise ConfigError(
                f"The condition's tokens have {context.shape[2]} channels; this network takes {config.cond_channels}. "
                "Use the encoder that it was trained with."
            )
        if len(t) != batch_size or len(context) != batch_size:
            raise ConfigError(
                f"{batch_size} objects need as many times and conditions, not {len(t)} and {len(context)}."
            )

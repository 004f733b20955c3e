"""SceneGen's structure flow: all assets of a scene, and where each stands (https://arxiv.org/abs/2508.15769).

After each block of the object's flow, in which an asset's tokens see each other and its picture, comes a global block:
the tokens of all assets of a scene see each other, and each asset's see the scene's features. A position token and
register tokens go through the global blocks with each asset; the query asset has its own, the others share theirs. The
position head reads the pose of each other asset, in the query's frame, from its position token; or, ours, of every
asset in the scene's cube, in axes that follow the camera, which no turn of the query hides from the picture.

Tensors of the object's flow keep their names. A network that begins with its weights makes what that flow makes: global
blocks begin as the identity.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.models.flow.block import ModulatedCrossBlock
from kyvo.models.flow.structure_flow import SparseStructureFlowModel, StructureFlowConfig
from kyvo.models.slat.attention import Attend, group_windows, grouped_attention
from kyvo.models.slat.sparse import Voxels

NUMBERS = 8  # of a pose: translation, quaternion (w, x, y, z), scale
LARGEST_LOG_SCALE = 4.0  # of an asset against the query


@dataclass(frozen=True, kw_only=True)
class SceneGenConfig(StructureFlowConfig):
    scene_channels: int  # of a token of the scene's features
    num_registers: int = 4  # of each asset
    num_head_blocks: int = 4  # of the position head
    pose_frame: str = "query"  # or "view": poses in the scene's cube, in axes that follow the camera

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pose_frame not in ("query", "view"):
            raise ConfigError(f"pose_frame is {self.pose_frame!r}; it is query or view.")


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneVelocity:
    """What SceneGen says of a state."""

    velocity: Float[Tensor, "assets out x y z"]
    poses: Float[Tensor, "assets 8"]  # in the query's frame, where its own is the identity, or in the scene's cube


class PositionHead(nn.Module):
    """Self-attention among the position tokens of a scene, then a linear layer."""

    def __init__(self, channels: int, num_heads: int, num_blocks: int, *, device: Any) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            channels,
            num_heads,
            4 * channels,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
            device=device,
        )
        last = nn.LayerNorm(channels, device=device)
        self.transformer = nn.TransformerEncoder(layer, num_blocks, norm=last, enable_nested_tensor=False)
        self.pose = nn.Linear(channels, NUMBERS, device=device)

    def forward(
        self, tokens: Float[Tensor, "others channels"], scene_of: Int[Tensor, " others"]
    ) -> Float[Tensor, "others 8"]:
        """Poses: the quaternion has length 1 and the scale is above 0; a layer of zeros says the identity."""
        if not len(tokens):
            return tokens.new_zeros(0, NUMBERS, dtype=torch.float32)
        apart = scene_of[:, None] != scene_of
        out = self.pose(self.transformer(tokens.float()[None], mask=apart)[0]).float()
        quaternion = F.normalize(out[:, 3:7] + out.new_tensor([1.0, 0.0, 0.0, 0.0]), dim=1)
        scale = out[:, 7:].clamp(-LARGEST_LOG_SCALE, LARGEST_LOG_SCALE).exp()
        return torch.cat([out[:, :3], quaternion, scale], dim=1)


class SceneGenFlowModel(SparseStructureFlowModel):
    """Velocities of the assets' latents, and their poses."""

    config: SceneGenConfig  # type: ignore[assignment]
    half_parts = ("blocks", "global_blocks")
    new_parts = ("global_blocks.", "query_tokens", "other_tokens", "position_head.")  # that the object's flow lacks

    def __init__(self, config: SceneGenConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__(config, device=device)
        across = replace(config, cond_channels=config.scene_channels)
        self.global_blocks = nn.ModuleList(ModulatedCrossBlock(across, device=device) for _ in range(config.num_blocks))
        shape = (1 + config.num_registers, config.model_channels)  # the position token is the first
        self.query_tokens, self.other_tokens = (nn.Parameter(torch.zeros(shape, device=device)) for _ in range(2))
        self.position_head = PositionHead(
            config.model_channels, config.num_heads, config.num_head_blocks, device=device
        )

    def initialize(self) -> None:
        """As the object's flow, and the global blocks change nothing of it."""
        super().initialize()
        for tokens in (self.query_tokens, self.other_tokens):
            nn.init.normal_(tokens, std=0.02)
        for block in self.global_blocks:
            assert isinstance(block, ModulatedCrossBlock)
            nn.init.zeros_(block.cross_attn.to_out.weight)
        nn.init.zeros_(self.position_head.pose.weight)

    def forward(  # type: ignore[override]
        self,
        x: Float[Tensor, "assets channels x y z"],
        t: Float[Tensor, " assets"],
        context: Float[Tensor, "assets length cond"],
        scene_context: Float[Tensor, "assets places scene_channels"],
        scene_of: Int[Tensor, " assets"],
        is_query: Bool[Tensor, " assets"],
    ) -> SceneVelocity:
        """
        Args:
            t: in [0, 1].
            context: features of each asset's picture.
            scene_context: the scene's features, as each asset sees them.
            scene_of: a number of each asset's scene.
            is_query: one asset of each scene.

        Raises:
            ConfigError: inputs of other sizes than the network's.
        """
        if scene_context.shape[2] != self.config.scene_channels:
            raise ConfigError(
                f"The scene's features have {scene_context.shape[2]} channels; this network takes "
                f"{self.config.scene_channels}. Use the encoder that it was trained with."
            )
        voxels, feats, time = self.embed(x, t, context)
        context, scene_context = context.to(self.dtype), scene_context.to(self.dtype)
        extra = torch.where(is_query[:, None, None], self.query_tokens, self.other_tokens).to(self.dtype)
        all_tokens, attend = self._together(voxels, extra, scene_of)
        extra = extra.flatten(0, 1)
        for block, across in zip(self.blocks, self.global_blocks, strict=True):
            feats = self.run_block(block, feats, voxels, time, context)
            joined = self.run_block(across, torch.cat([feats, extra]), all_tokens, time, scene_context, attend)
            feats, extra = joined.split([len(feats), len(extra)])
        positions = extra.unflatten(0, (len(x), -1))[:, 0]
        poses = positions.new_tensor([0, 0, 0, 1, 0, 0, 0, 1], dtype=torch.float32).repeat(len(x), 1)
        posed = self.posed(is_query)
        poses = poses.index_put((posed,), self.position_head(positions[posed], scene_of[posed]))
        return SceneVelocity(velocity=self.project(feats, x, t), poses=poses)

    def posed(self, is_query: Bool[Tensor, " assets"]) -> Int[Tensor, " posed"]:
        """The assets whose poses are said: in the query's frame, all but the query."""
        return (~is_query if self.config.pose_frame == "query" else torch.ones_like(is_query)).nonzero()[:, 0]

    def _together(self, voxels: Voxels, extra: Tensor, scene_of: Tensor) -> tuple[Voxels, Attend]:
        """All tokens by their asset, the extra ones after the others; and attention among those of a scene."""
        asset = torch.arange(len(extra), device=extra.device).repeat_interleave(extra.shape[1])
        coords = torch.cat([voxels.coords, F.pad(asset[:, None], (0, 3))])
        groups = group_windows(scene_of[coords[:, 0]])
        everything = Voxels(coords=coords, resolution=voxels.resolution, batch_size=voxels.batch_size)
        return everything, lambda qkv: grouped_attention(qkv, groups)

"""VGGT's aggregator from a folder of the user's: what views of a scene say of its geometry; nothing is fetched.

DINOv2's patches of each view, then blocks in turn: among the tokens of a view, and among those of all views
(https://arxiv.org/abs/2503.11651, section 3). Tensors are named as in facebook/VGGT-1B, where these begin with
`aggregator.`; the heads, which say cameras and depths, are not read. Sizes follow from the tensors.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kyvo.errors import CheckpointError
from kyvo.models.dinov2 import MEAN, STD
from kyvo.models.weights import read_weights

PREFIX = "aggregator."
ROPE_BASE = 100.0  # of rotary positions along each axis
BACKBONE_EPSILON = 1e-6  # of DINOv2's normalisations; the blocks after it have torch's


@dataclass(frozen=True, kw_only=True)
class VggtConfig:
    """VGGT-1B: width 1024, heads of 64, 24 pairs of blocks after 24 of DINOv2, 37 patches of 14 px along a side."""

    width: int
    head_width: int
    num_blocks: int  # pairs: one among the tokens of a view, one among all
    num_backbone_blocks: int
    patch_size: int  # px
    patches_along: int  # a view's side
    num_registers: int
    num_backbone_registers: int


class _Attention(nn.Module):
    def __init__(self, config: VggtConfig, *, normalized: bool) -> None:
        super().__init__()
        self.head_width = config.head_width
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.q_norm, self.k_norm = (nn.LayerNorm(config.head_width) if normalized else nn.Identity() for _ in range(2))
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, places: Tensor | None) -> Tensor:
        query, key, value = self.qkv(x).unflatten(2, (3, -1, self.head_width)).permute(2, 0, 3, 1, 4)
        query, key = self.q_norm(query), self.k_norm(key)
        if places is not None:
            query, key = rotate_2d(query, places), rotate_2d(key, places)
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Block(nn.Module):
    """Attention and MLP, each after a normalisation and scaled by channel (https://arxiv.org/abs/2103.17239)."""

    def __init__(self, config: VggtConfig, *, normalized: bool, epsilon: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(config.width, eps=epsilon) for _ in range(2))
        self.attn, self.mlp = _Attention(config, normalized=normalized), _Mlp(config.width)
        self.ls1, self.ls2 = _LayerScale(config.width), _LayerScale(config.width)

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x), places))
        return x + self.ls2(self.mlp(self.norm2(x)))


class _Patches(nn.Module):
    def __init__(self, config: VggtConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_size, stride=config.patch_size)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.proj(pictures).flatten(2).mT


class _Backbone(nn.Module):
    """DINOv2 with registers under the names of its own release: normalised patches of pictures of its own size."""

    def __init__(self, config: VggtConfig) -> None:
        super().__init__()
        width = config.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.patches_along**2, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.num_backbone_registers, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # of its training alone
        self.patch_embed = _Patches(config)
        self.blocks = nn.ModuleList(
            _Block(config, normalized=False, epsilon=BACKBONE_EPSILON) for _ in range(config.num_backbone_blocks)
        )
        self.norm = nn.LayerNorm(width, eps=BACKBONE_EPSILON)

    def forward(self, pictures: Tensor) -> Tensor:
        patches = self.patch_embed(pictures)
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1) + self.pos_embed
        x = torch.cat([x[:, :1], self.register_tokens.expand(len(patches), -1, -1), x[:, 1:]], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, -patches.shape[1] :]


class VggtAggregator(nn.Module):
    """Views of one scene -> tokens of each view: the camera's, the registers' and the patches'."""

    def __init__(self, config: VggtConfig) -> None:
        super().__init__()
        self.config = config
        self.picture_size = config.patches_along * config.patch_size
        self.channels = 2 * config.width  # the last pair of blocks, side by side
        self.patch_embed = _Backbone(config)
        # The first of two is for the first view, the other for all others.
        self.camera_token = nn.Parameter(torch.zeros(1, 2, 1, config.width))
        self.register_token = nn.Parameter(torch.zeros(1, 2, config.num_registers, config.width))
        self.frame_blocks, self.global_blocks = (
            nn.ModuleList(_Block(config, normalized=True, epsilon=1e-5) for _ in range(config.num_blocks))
            for _ in range(2)
        )

    @classmethod
    def from_folder(cls, path: Path | str, *, device: torch.device | str = "cpu") -> "VggtAggregator":
        """The aggregator of a folder with `model.safetensors`, as facebook/VGGT-1B has it.

        Raises:
            CheckpointError: there is no such file, or it holds another network.
        """
        file = Path(path) / "model.safetensors"
        if not file.is_file():
            raise CheckpointError(f"{path} has no model.safetensors. Give a local copy of facebook/VGGT-1B.")
        state = read_weights(file, prefix=PREFIX)
        try:
            with torch.device("meta"):  # the file's tensors are taken as they are
                network = cls(config_of(state))
            network.load_state_dict(state, assign=True)
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"{file} is no VGGT: {error} does not fit. Give a local copy of facebook/VGGT-1B."
            ) from error
        return network.float().eval().requires_grad_(False).to(device)

    @torch.no_grad()
    def forward(
        self, pictures: Float[Tensor, "scenes views 3 height width"]
    ) -> Float[Tensor, "scenes views tokens channels"]:
        """Of pictures in [0, 1] of any size, which are scaled to `picture_size`; the first view is the reference."""
        num_scenes, num_views = pictures.shape[:2]
        size = (self.picture_size, self.picture_size)
        flat = F.interpolate(pictures.flatten(0, 1), size=size, mode="bilinear", antialias=True)
        mean, std = (flat.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        patches = self.patch_embed((flat - mean) / std).unflatten(0, (num_scenes, num_views))
        view = torch.arange(num_views, device=flat.device).clamp(max=1)
        extra = torch.cat([self.camera_token[0], self.register_token[0]], dim=1)[view]
        x = torch.cat([extra.expand(num_scenes, -1, -1, -1), patches], dim=2)
        places = self._places(extra.shape[1])
        own = x
        for frame_block, global_block in zip(self.frame_blocks, self.global_blocks, strict=True):
            own = frame_block(x.flatten(0, 1), places).unflatten(0, (num_scenes, num_views))
            x = global_block(own.flatten(1, 2), places.repeat(num_views, 1)).unflatten(1, (num_views, -1))
        return torch.cat([own, x], dim=3)

    def _places(self, num_extra: int) -> Int[Tensor, "tokens 2"]:
        """Row and column of each token: patches from 1 on, the others at 0."""
        along = torch.arange(1, 1 + self.config.patches_along, device=self.camera_token.device)
        return F.pad(torch.cartesian_prod(along, along), (0, 0, num_extra, 0))


def rotate_2d(
    x: Float[Tensor, "batch heads tokens width"], places: Int[Tensor, "tokens 2"]
) -> Float[Tensor, "batch heads tokens width"]:
    """Rotary positions: the first half of a head's width by rows, the other by columns."""
    halves = []
    for half, place in zip(x.chunk(2, dim=3), places.unbind(1), strict=True):
        width = half.shape[3]
        waves = ROPE_BASE ** (-torch.arange(0, width, 2, device=x.device) / width)
        angles = (place[:, None] * waves).repeat(1, 2).to(x.dtype)
        first, second = half.chunk(2, dim=3)
        halves.append(half * angles.cos() + torch.cat([-second, first], dim=3) * angles.sin())
    return torch.cat(halves, dim=3)


def config_of(state: dict[str, Tensor]) -> VggtConfig:
    """The sizes that the aggregator's tensors have. Raises KeyError for one that is missing."""
    patches, positions = state["patch_embed.patch_embed.proj.weight"], state["patch_embed.pos_embed"]
    return VggtConfig(
        width=patches.shape[0],
        head_width=state["frame_blocks.0.attn.q_norm.weight"].shape[0],
        num_blocks=_count(state, "frame_blocks."),
        num_backbone_blocks=_count(state, "patch_embed.blocks."),
        patch_size=patches.shape[2],
        patches_along=round((positions.shape[1] - 1) ** 0.5),
        num_registers=state["register_token"].shape[2],
        num_backbone_registers=state["patch_embed.register_tokens"].shape[1],
    )


def _count(state: dict[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})

"""Encoders of a scene's features: of a picture, and of each object's mask in it.

SceneGen's features are DINOv2's tokens of picture x mask, of the mask and of the whole picture, and tokens of a
geometry network (VGGT), one after another (https://arxiv.org/abs/2508.15769). `DinoSceneEncoder` makes the first three,
and has no geometry. `SceneEncoder` is trained with a flow: one small encoder makes the first three, each marked by a
vector of its own, and a second one, of the picture alone, stands for the geometry network.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kyvo.models.flow.conditions import PictureCondition
from kyvo.models.flow.small_encoders import SmallPictureEncoder, SmallPictureEncoderConfig

VIEWS = ("object", "mask", "picture")


@dataclass(frozen=True, kw_only=True)
class SceneEncoderConfig(SmallPictureEncoderConfig):
    geometry_blocks: int = 2  # of the encoder that stands for a geometry network


class SceneEncoder(nn.Module):
    """Tokens of the scene as each object sees it: picture x mask, mask, picture, geometry."""

    def __init__(self, config: SceneEncoderConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.config = config
        self.channels, self.picture_size = config.channels, config.picture_size
        self.encoder = SmallPictureEncoder(config, device=device)
        geometry = SmallPictureEncoderConfig(
            channels=config.channels,
            num_blocks=config.geometry_blocks,
            num_heads=config.num_heads,
            picture_size=config.picture_size,
            patch_size=config.patch_size,
        )
        self.geometry = SmallPictureEncoder(geometry, device=device)
        self.views = nn.Parameter(torch.zeros(len(VIEWS), 1, config.channels, device=device))
        nn.init.normal_(self.views, std=0.02)

    def set_compute_dtype(self, dtype: torch.dtype) -> None:
        """It is small: it stays in float32."""

    def negative(self, condition: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, "batch tokens channels"]:
        return torch.zeros_like(condition)

    def forward(
        self, pictures: Float[Tensor, "batch 3 size size"], masks: Bool[Tensor, "batch size size"]
    ) -> Float[Tensor, "batch tokens channels"]:
        """Of pictures of `picture_size` in [0, 1], and a mask of one object in each; all true for the whole scene."""
        seen = views_of(pictures, masks)
        tokens = self.encoder(seen.flatten(0, 1)).unflatten(0, (len(VIEWS), -1)) + self.views[:, None]
        return torch.cat([*tokens, self.geometry(pictures)], dim=1)


class DinoSceneEncoder(nn.Module):
    """DINOv2's tokens of picture x mask, mask and picture, one after another. The network is the user's."""

    def __init__(self, pictures: PictureCondition) -> None:
        super().__init__()
        self.pictures = pictures
        self.channels, self.picture_size = pictures.channels, pictures.picture_size

    @classmethod
    def from_folder(cls, path: Path | str) -> "DinoSceneEncoder":
        """Raises CheckpointError as `DinoPatches.from_folder` does."""
        return cls(PictureCondition.from_folder(path))

    def negative(self, condition: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, "batch tokens channels"]:
        return torch.zeros_like(condition)

    def forward(
        self, pictures: Float[Tensor, "batch 3 size size"], masks: Bool[Tensor, "batch size size"]
    ) -> Float[Tensor, "batch tokens channels"]:
        """As of `SceneEncoder`."""
        tokens = self.pictures(views_of(pictures, masks).flatten(0, 1)).unflatten(0, (len(VIEWS), -1))
        return torch.cat([*tokens], dim=1)


def views_of(
    pictures: Float[Tensor, "batch 3 size size"], masks: Bool[Tensor, "batch size size"]
) -> Float[Tensor, "views batch 3 size size"]:
    """Picture x mask, mask and picture."""
    shown = masks[:, None].to(pictures.dtype)
    return torch.stack([pictures * shown, shown.expand_as(pictures), pictures])

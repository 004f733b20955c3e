"""The features of a scene that a scene flow sees: of its picture, and of each object's mask in it.

SceneGen's are DINOv2's tokens of picture x mask, of the mask and of the whole picture, and tokens of a geometry network
(VGGT), one after another (https://arxiv.org/abs/2508.15769). Here the first three come from the picture encoder of the
generator of objects, which stays as it is, each marked by a vector of its own. Tokens of a geometry network go through
a linear layer; without one, a small encoder of the picture alone stands for it. Both are trained with the flow.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.models.flow.small_encoders import SmallPictureEncoder, SmallPictureEncoderConfig

VIEWS = ("object", "mask", "picture")


@dataclass(frozen=True, kw_only=True)
class SceneEncoderConfig(SmallPictureEncoderConfig):
    """Of the encoder that stands for a geometry network. Its channels are those of the picture encoder's tokens."""

    geometry_channels: int = 0  # of a geometry network's tokens, as 2,048 of VGGT-1B; 0: the small encoder


class SceneEncoder(nn.Module):
    """Tokens of the scene as each object sees it: picture x mask, mask, picture, geometry."""

    def __init__(self, config: SceneEncoderConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.config = config
        self.channels = config.channels
        self.geometry = (
            GeometryProjection(config.geometry_channels, config.channels, device=device)
            if config.geometry_channels
            else SmallGeometry(config, device=device)
        )
        self.views = nn.Parameter(torch.zeros(len(VIEWS), 1, config.channels, device=device))
        nn.init.normal_(self.views, std=0.02)

    def set_compute_dtype(self, dtype: torch.dtype) -> None:
        """It is small: it stays in float32."""

    def negative(self, condition: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, "batch tokens channels"]:
        return torch.zeros_like(condition)

    def forward(
        self,
        pictures: Float[Tensor, "batch 3 size size"],
        masks: Bool[Tensor, "batch size size"],
        encoder: Any,
        geometry: Float[Tensor, "batch places geometry_channels"] | None = None,
    ) -> Float[Tensor, "batch tokens channels"]:
        """Of pictures in [0, 1], and a mask of one object in each; all true for the whole scene.

        Args:
            encoder: of pictures, whose `picture_size` they have.
            geometry: tokens of the geometry network that it is trained with, where there is one.

        Raises:
            ConfigError: tokens of a geometry network are missing, or are others.
        """
        shown = masks[:, None].to(pictures.dtype)
        seen = torch.stack([pictures * shown, shown.expand_as(pictures), pictures])  # views batch 3 size size
        tokens = encoder(seen.flatten(0, 1)).unflatten(0, (len(VIEWS), -1)) + self.views[:, None]
        return torch.cat([*tokens, self.geometry(pictures, geometry)], dim=1)


class SmallGeometry(SmallPictureEncoder):
    """Stands for a geometry network."""

    def forward(self, pictures: Tensor, geometry: Tensor | None = None) -> Tensor:
        if geometry is not None:
            raise ConfigError("This scene flow was trained without a geometry network; leave it out.")
        size = (self.config.picture_size, self.config.picture_size)
        return super().forward(F.interpolate(pictures, size=size, mode="bilinear", antialias=True))


class GeometryProjection(nn.Module):
    """Tokens of a geometry network, normalised, at the width of the others."""

    def __init__(self, in_channels: int, channels: int, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.linear = nn.Linear(in_channels, channels, device=device)

    def forward(self, pictures: Tensor, geometry: Tensor | None = None) -> Tensor:
        if geometry is None or geometry.shape[2] != self.in_channels:
            found = "none was given" if geometry is None else f"the given one has {geometry.shape[2]}"
            raise ConfigError(
                f"This scene flow takes tokens of a geometry network of {self.in_channels} channels, and {found}. Give "
                "the folder that it was trained with, as a local copy of facebook/VGGT-1B."
            )
        return self.linear(F.layer_norm(geometry, geometry.shape[-1:]))

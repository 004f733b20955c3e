"""The features of a scene that a scene flow sees: of its picture, and of each object's mask in it.

SceneGen's are DINOv2's tokens of picture x mask, of the mask and of the whole picture, and tokens of a geometry network
(VGGT), one after another (https://arxiv.org/abs/2508.15769). Here the first three come from the picture encoder of the
generator of objects, which stays as it is, each marked by a vector of its own. A small encoder of the picture alone
stands for the geometry network, and is trained with the flow.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kyvo.models.flow.small_encoders import SmallPictureEncoder, SmallPictureEncoderConfig

VIEWS = ("object", "mask", "picture")


@dataclass(frozen=True, kw_only=True)
class SceneEncoderConfig(SmallPictureEncoderConfig):
    """Of the encoder that stands for a geometry network. Its channels are those of the picture encoder's tokens."""


class SceneEncoder(nn.Module):
    """Tokens of the scene as each object sees it: picture x mask, mask, picture, geometry."""

    def __init__(self, config: SceneEncoderConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.config = config
        self.channels = config.channels
        self.geometry = SmallPictureEncoder(config, device=device)
        self.views = nn.Parameter(torch.zeros(len(VIEWS), 1, config.channels, device=device))
        nn.init.normal_(self.views, std=0.02)

    def set_compute_dtype(self, dtype: torch.dtype) -> None:
        """It is small: it stays in float32."""

    def negative(self, condition: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, "batch tokens channels"]:
        return torch.zeros_like(condition)

    def forward(
        self, pictures: Float[Tensor, "batch 3 size size"], masks: Bool[Tensor, "batch size size"], encoder: Any
    ) -> Float[Tensor, "batch tokens channels"]:
        """Of pictures in [0, 1], and a mask of one object in each; all true for the whole scene.

        Args:
            encoder: of pictures, whose `picture_size` they have.
        """
        shown = masks[:, None].to(pictures.dtype)
        seen = torch.stack([pictures * shown, shown.expand_as(pictures), pictures])  # views batch 3 size size
        tokens = encoder(seen.flatten(0, 1)).unflatten(0, (len(VIEWS), -1)) + self.views[:, None]
        size = self.config.picture_size
        small = F.interpolate(pictures, size=(size, size), mode="bilinear", antialias=True)
        return torch.cat([*tokens, self.geometry(small)], dim=1)

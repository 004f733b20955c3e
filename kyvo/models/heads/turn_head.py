"""`TurnHead`: how an object in a picture is turned about the up axis, from its crop's tokens.

It gives a probability to each of some equal turns: an object that looks alike from two sides has two that are likely,
and no mean of them is right. A few learned queries pool the tokens by attention.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

CONCENTRATION = 8.0  # of a label about its turn: neighbors are half right


NUM_TURNS = 24


def equal_turns(count: int = NUM_TURNS) -> Float[Tensor, " turns"]:
    """Turns about the up axis, rad, all around."""
    return torch.arange(count) * (2 * math.pi / count)


@dataclass(frozen=True, kw_only=True)
class TurnHeadConfig:
    channels: int  # of a token
    num_turns: int = NUM_TURNS
    num_queries: int = 4
    num_heads: int = 4
    dropout: float = 0.3
    thumbnail_noise: float = 40.0  # difference of thumbnails that weighs a factor of e: chosen on development scenes


class TurnHead(nn.Module):
    """Tokens of a picture encoder -> log probabilities of turns about the up axis, in axes that follow the camera."""

    def __init__(self, config: TurnHeadConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.config = config
        self.queries = nn.Parameter(0.02 * torch.randn(config.num_queries, config.channels, device=device))
        self.norm = nn.LayerNorm(config.channels, device=device)
        self.pool = nn.MultiheadAttention(config.channels, config.num_heads, batch_first=True, device=device)
        self.read = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(config.num_queries * config.channels, config.channels, device=device),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.channels, config.num_turns, device=device),
        )

    def set_compute_dtype(self, dtype: torch.dtype) -> None:
        """It is small: it stays in float32."""

    @property
    def turns(self) -> Float[Tensor, " turns"]:
        """rad"""
        return equal_turns(self.config.num_turns)

    def forward(self, tokens: Float[Tensor, "objects places channels"]) -> Float[Tensor, "objects turns"]:
        tokens = self.norm(tokens.float())
        pooled, _ = self.pool(self.queries.expand(len(tokens), -1, -1), tokens, tokens, need_weights=False)
        return self.read(pooled.flatten(1)).log_softmax(1)

    def loss(
        self, tokens: Float[Tensor, "objects places channels"], true: Float[Tensor, " objects"]
    ) -> Float[Tensor, ""]:
        """Cross entropy with labels that are spread about the true turns, rad (von Mises)."""
        labels = (CONCENTRATION * torch.cos(true[:, None] - self.turns.to(true.device))).softmax(1)
        return -(labels * self(tokens)).sum(1).mean()

"""`Sampling`: how an id is drawn from those that may come.

The default of every kind of segment is greedy, pictures included: what a scene looks like is settled by the scene (the
camera and the lamps stand still in the data), so the likeliest picture is wanted, it is the one that is scored, and it
comes out again. To see how sure the model is of a picture, draw a few with other seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kyvo.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings of one kind of segment. Raises ConfigError for what is out of range."""

    temperature: float = 0.0  # 0 takes the likeliest id; 1 draws by the model's own probabilities
    top_k: int = 0  # only the likeliest `top_k` ids; 0 for all
    top_p: float = 1.0  # only the likeliest ids that have this probability together; 1 for all
    seed: int = 0  # a request draws the same ids whatever else is in its batch

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:  # NaN lands here too
            raise ConfigError(f"temperature is {self.temperature}; it goes from 0 (greedy) to 100.")
        if self.top_k < 0:
            raise ConfigError(f"top_k is {self.top_k}; it is the number of ids to choose from, or 0 for all.")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}; it is a probability above 0, up to 1 for all ids.")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0


GREEDY = Sampling()


def draw(
    logits: Float[Tensor, "rows vocab"], settings: Sequence[Sampling], chances: Sequence[float]
) -> Int[Tensor, " rows"]:
    """One id a row. What a row draws depends on its own logits, settings and chance alone.

    Args:
        logits: -inf for ids that may not come.
        settings: of each row, none greedy.
        chances: uniform in [0, 1), one a row.
    """
    every = logits.shape[1]
    num_kept = torch.tensor([min(own.top_k or every, every) for own in settings], device=logits.device)[:, None]
    # float32 would round a temperature below 1e-45 to 0, and divide by it.
    heat = torch.tensor([own.temperature for own in settings], dtype=torch.float64, device=logits.device)[:, None]
    mass = torch.tensor([own.top_p for own in settings], dtype=torch.float64, device=logits.device)[:, None]
    chance = torch.tensor(chances, dtype=torch.float64, device=logits.device)[:, None]

    values, ids = logits.topk(int(num_kept.max()), dim=1)  # falling
    late = torch.arange(values.shape[1], device=logits.device) >= num_kept
    likely = ((values - values[:, :1]) / heat).masked_fill(late, -torch.inf).softmax(dim=1, dtype=torch.float64)
    likely = likely.masked_fill(likely.cumsum(1) - likely >= mass, 0.0)  # ids before it have the mass already
    total = likely.cumsum(1)
    place = (total <= chance * total[:, -1:]).sum(1, keepdim=True)
    place = torch.minimum(place, (likely > 0).sum(1, keepdim=True) - 1)  # rounding may step past the last
    return ids.gather(1, place)[:, 0]

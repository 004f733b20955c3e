"""Inpainting with flow models (RePaint): a part of an object is sampled anew, the rest is kept.

RePaint (https://arxiv.org/abs/2201.09865) for a flow: after each step the known part is put back as it is at that time,
data with noise. Each step may be taken several times with a step back between, so that the new part fits its
surroundings.
"""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from kyvo.errors import ConfigError
from kyvo.models.flow.path import add_noise, noise_level


@dataclass(frozen=True, kw_only=True, eq=False)
class Repaint:
    """A `Constraint`: `data` where `unknown` is false.

    Raises:
        ConfigError: fewer than one repeat.
    """

    data: Tensor
    unknown: Bool[Tensor, "..."]  # broadcast over the data
    noise: Tensor  # of the known part
    repeats: int = 1
    seed: int = 0  # of the steps back
    _generator: torch.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ConfigError(f"repeats is {self.repeats}; each step is taken at least once.")
        object.__setattr__(self, "_generator", torch.Generator().manual_seed(self.seed))

    def impose(self, x: Tensor, t: float) -> Tensor:
        """At t = 0 the known part is the data itself, without the noise that a flow leaves."""
        known = self.data if t == 0 else add_noise(self.data, self.noise, t)
        return torch.where(self.unknown, x, known)

    def back(self, x: Tensor, t: float, earlier: float) -> Tensor:
        """The distribution of x(earlier) given x(t): scaled, and the missing variance as fresh noise."""
        scale = (1 - earlier) / (1 - t)
        variance = noise_level(earlier) ** 2 - (scale * noise_level(t)) ** 2
        fresh = torch.randn(x.shape, generator=self._generator).to(x)
        return scale * x + math.sqrt(max(0.0, variance)) * fresh

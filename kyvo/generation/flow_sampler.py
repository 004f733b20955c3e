"""Euler's way from noise to data along a velocity field; it knows nothing of networks.

Time t falls from 1, noise, to 0, data. Steps are even in s and shortened towards data by t = r s / (1 + (r - 1) s) for
a rescaling r (https://arxiv.org/abs/2403.03206, section 5.3.2). Guidance without a classifier
(https://arxiv.org/abs/2207.12598) is applied in an interval of times alone (https://arxiv.org/abs/2404.07724).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from kyvo.errors import ConfigError, KyvoError


class Cancelled(KyvoError):
    """The caller asked a sampling to stop."""


Velocity = Callable[[Tensor, float, Any], Tensor]  # dx / dt of a state at a time, under a condition


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is."""

    stage: str
    step: int  # steps done
    num_steps: int
    seconds: float  # so far
    seconds_left: float  # an estimate: the mean time of the steps done


@dataclass(frozen=True, kw_only=True)
class FlowSampler:
    """How a state is sampled. Defaults are TRELLIS's for pictures.

    Raises:
        ConfigError: a setting is out of range.
    """

    steps: int = 25
    guidance: float = 5.0  # s in (1 + s) v(condition) - s v(negative)
    guidance_interval: Sequence[float] = (0.5, 1.0)  # two times, both included
    rescale_t: float = 3.0
    temperature: float = 1.0  # of pure noise, which it scales (https://arxiv.org/abs/1807.03039, section 5)

    def __post_init__(self) -> None:
        object.__setattr__(self, "guidance_interval", tuple(self.guidance_interval))  # JSON hands over a list
        if self.steps < 1:
            raise ConfigError(f"steps is {self.steps}; it must be at least 1.")
        if not 0 < self.temperature <= 1:
            raise ConfigError(f"temperature is {self.temperature}; it must be in (0, 1].")
        if not self.rescale_t > 0:
            raise ConfigError(f"rescale_t is {self.rescale_t}; it must be above 0.")
        if len(self.guidance_interval) != 2 or not 0 <= self.guidance_interval[0] <= self.guidance_interval[1] <= 1:
            raise ConfigError(f"guidance_interval is {self.guidance_interval}; it is two times in [0, 1] in order.")

    def times(self, start: float = 1.0) -> list[float]:
        """`steps` + 1 times from `start`, in (0, 1], down to 0."""
        if not 0 < start <= 1:
            raise ConfigError(f"A sampling starts at {start}; it must be in (0, 1].")
        # The even variable whose rescaled value is `start`.
        first = start / (self.rescale_t - (self.rescale_t - 1) * start)
        even = [first * (1 - step / self.steps) for step in range(self.steps + 1)]
        return [self.rescale_t * s / (1 + (self.rescale_t - 1) * s) for s in even]

    def guided(self, velocity: Velocity, x: Tensor, t: float, condition: Any, negative: Any) -> Tensor:
        """The velocity that a step follows; the negative condition costs a call only where it is used."""
        low, high = self.guidance_interval
        found = velocity(x, t, condition)
        if self.guidance == 0 or not low <= t <= high:
            return found
        return (1 + self.guidance) * found - self.guidance * velocity(x, t, negative)

    @torch.inference_mode()
    def sample(
        self,
        velocity: Velocity,
        noise: Tensor,
        *,
        condition: Any,
        negative: Any,
        start: float = 1.0,
        constraint: "Constraint | None" = None,
        stage: str = "sampling",
        progress: Callable[[Progress], object] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Tensor:
        """The data at the end of the way.

        Args:
            noise: the state at time `start`; pure noise where that is 1.
            start: below 1 where the state is data with noise (`add_noise`).
            constraint: what of the state is known; see `Constraint`.
            stage: the name of this job in what `progress` is called with, after every step.
            cancelled: asked before every step.

        Raises:
            Cancelled: `cancelled` said so.
        """
        times = self.times(start)
        repeats = 1 if constraint is None else constraint.repeats
        x, began, done = noise * self.temperature if start == 1 else noise, time.monotonic(), 0
        if constraint is not None:
            x = constraint.impose(x, start)
        for t, t_next in pairwise(times):
            for repeat in range(repeats):
                if cancelled is not None and cancelled():
                    raise Cancelled(f"{stage} was cancelled after {done} of {self.steps * repeats} steps.")
                x = x - (t - t_next) * self.guided(velocity, x, t, condition, negative)
                if constraint is not None:
                    x = constraint.impose(x, t_next)
                    if repeat + 1 < repeats:
                        x = constraint.impose(constraint.back(x, t_next, t), t)
                done += 1
                if progress is not None:
                    seconds, total = time.monotonic() - began, self.steps * repeats
                    left = seconds / done * (total - done)
                    progress(Progress(stage=stage, step=done, num_steps=total, seconds=seconds, seconds_left=left))
        return x


@runtime_checkable
class Constraint(Protocol):
    """What of a state is known while it is sampled (`kyvo.generation.repaint`)."""

    @property
    def repeats(self) -> int:
        """Times that each step is taken."""
        ...

    def impose(self, x: Tensor, t: float, /) -> Tensor:
        """The state with its known part as it is at time t."""
        ...

    def back(self, x: Tensor, t: float, earlier: float, /) -> Tensor:
        """The state taken from t back to an earlier, noisier time."""
        ...


def seeded_noise(shapes: Sequence[tuple[int, ...]], *, seed: int, first: int = 0) -> list[Tensor]:
    """Standard normal noise of each sample, set by `seed` and the sample's number alone.

    It is drawn on the CPU by one thread. So a sample is the same whatever the device, the number of threads, and the
    samples beside it.
    """
    drawn = []
    for number, shape in enumerate(shapes, start=first):
        generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
        drawn.append(torch.randn(shape, generator=generator))
    return drawn

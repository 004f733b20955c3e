"""Rectified flow: the straight path from an object, at time 0, to noise, at time 1 (https://arxiv.org/abs/2209.03003).

Conditional flow matching (https://arxiv.org/abs/2210.02747) teaches a network the velocity along it.
"""

from torch import Tensor

SIGMA_MIN = 1e-5  # noise that is left in data


def noise_level(t: float) -> float:
    """Standard deviation of the noise in a state: x(t) = (1 - t) data + noise_level(t) noise."""
    return SIGMA_MIN + (1 - SIGMA_MIN) * t


def add_noise(data: Tensor, noise: Tensor, t: float | Tensor) -> Tensor:
    """The state at time t between data and noise."""
    return (1 - t) * data + (SIGMA_MIN + (1 - SIGMA_MIN) * t) * noise


def velocity_target(data: Tensor, noise: Tensor) -> Tensor:
    """What conditional flow matching teaches the network (https://arxiv.org/abs/2210.02747): dx / dt of `add_noise`."""
    return (1 - SIGMA_MIN) * noise - data

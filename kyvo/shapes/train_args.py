"""The settings of training a shape tokenizer, and how its gradients are clipped."""

import importlib
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from kyvo.errors import ConfigError
from kyvo.shapes.vqvae import ShapeVQVAEConfig

NETWORKS = "kyvo.shapes.vqvae"
MIN_SIDE = 4  # in bfloat16, oneDNN's weight gradient of a 3^3 convolution over a grid of 2 is often not finite


@dataclass(frozen=True, kw_only=True)
class ShapeData:
    """The `data` section: of meshes that are drawn, where `--data` is `procedural`."""

    count: int = 4000
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ShapeTrainArgs:
    """The `train` section. Shares are of the training, by time where minutes bound it and by steps otherwise."""

    steps: int
    batch_size: int = 8  # objects
    learning_rate: float = 3e-4
    decays: bool = False  # the rate: a short warm-up, then a cosine down to 2 % of it
    max_grad_norm: float = 1.0
    grad_percentile: float = 95.0  # of recent norms; a gradient above it is clipped to it
    ema_decay: float = 0.99  # of the codes' running means
    continuous: float = 0.0  # share before the codebook comes in, at the k-means centres of the latents
    patience: int = 100  # steps after which an unused code is restarted
    restart_until: float = 0.9  # share; later every code keeps its meaning
    occupancy_weight: float = 1.0
    color_weight: float = 0.0  # of the colors' absolute error, besides their squared one; surface features only
    spread_weight: float = 1e-6  # of |latent|^2 / 2, which stands for the paper's KL
    render_weight: float = 0.1  # 0: nothing is rendered
    render_every: int = 1  # steps
    render_size: int = 128  # px
    gaussian_decoder: str = ""  # of TRELLIS's latents: <folder>/slat_dec_gs_...; surface features need none
    lpips: list = field(default_factory=list)  # files of VGG16 and LPIPS' heads; without them its term is left out
    symmetries: bool = False  # surface features only: turns, mirror images and other colors
    held_out: int = 32  # objects, the first by name, that measure and are never trained on
    report_every: int = 50  # steps
    checkpoint_minutes: float = 3.0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not 0 < self.grad_percentile <= 100:
            raise ConfigError(f"train.grad_percentile is {self.grad_percentile:g}; it is above 0 and at most 100.")
        if self.lpips and not self.render_weight:
            raise ConfigError("train.lpips names weights and train.render_weight is 0; set it, to 0.1 as in the paper.")


def build_shape_config(section: Mapping[str, Any]) -> ShapeVQVAEConfig:
    """`_component_` names a preset or the dataclass of kyvo.shapes.vqvae; the rest are its arguments."""
    arguments = dict(section)
    module, _, name = str(arguments.pop("_component_", None)).rpartition(".")
    function = getattr(importlib.import_module(NETWORKS), name, None) if module == NETWORKS else None
    if function is None:
        raise ConfigError(f"model._component_ is {module}.{name}; expected one of {NETWORKS}, as .shape_mini.")
    try:
        config = function(**arguments)
    except TypeError as error:
        raise ConfigError(f"model: {error}") from error
    if config.correction_rounds:
        raise ConfigError(
            f"model: correction_rounds is {config.correction_rounds}; a network is trained without corrections, and "
            "tokenizers/fit_corrections.py adds them."
        )
    if config.side < MIN_SIDE:
        raise ConfigError(
            f"model: {config.side} codes along a side; at least {MIN_SIDE} can be trained. Take a finer grid, or fewer "
            "widths or a smaller patch."
        )
    return config


class AdaptiveClip:
    """Scales a gradient down to the `percentile` of the norms before it, and never leaves it above `max_norm`.

    As TRELLIS trains its networks (https://arxiv.org/abs/2412.01506, appendix): one bad batch moves the weights no
    further than a usual one, whatever the scale of usual gradients is.
    """

    WINDOW = 1000  # norms that are remembered
    FIRST = 20  # norms before a percentile means anything

    def __init__(self, *, max_norm: float, percentile: float) -> None:
        self.max_norm = max_norm
        self.percentile = percentile
        self.norms: deque[float] = deque(maxlen=self.WINDOW)  # before they were clipped

    @property
    def limit(self) -> float:
        if len(self.norms) < self.FIRST:
            return self.max_norm
        return min(self.max_norm, float(np.percentile(self.norms, self.percentile)))

    def __call__(self, parameters: Iterable[nn.Parameter]) -> float:
        """Clips; returns the norm as it was. One that is not finite clips nothing: leave such a step out."""
        parameters = [parameter for parameter in parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        found = float(norm)
        if math.isfinite(found):
            torch.nn.utils.clip_grads_with_norm_(parameters, self.limit, norm)
            self.norms.append(found)
        return found

"""The settings of training an image tokenizer: its config file's two sections, and the learning rate over time."""

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kyvo.errors import ConfigError
from kyvo.tokenizers.vqgan import VQGANConfig


@dataclass(frozen=True, kw_only=True)
class TrainArgs:
    """The `train` section. Shares are of the training, by time where minutes bound it and by steps otherwise."""

    steps: int
    batch_size: int = 16  # pictures
    learning_rate: float = 1e-3  # its peak; cosine down to 2 % of it
    warmup: float = 0.02  # share
    clip_grad_norm: float = 1.0
    contrast_weight: float = 4.0  # extra weight of pixels that differ from their surroundings
    edge_weight: float = 0.5  # of the difference of neighbouring pixels' differences
    perceptual_weight: float = 0.0  # of LPIPS, or of the structural loss where `lpips` names no weights
    lpips: Sequence[str] = ()  # a file of VGG16 and LPIPS' heads, or several that have both together
    discriminator_weight: float = 0.0  # of the adversarial loss, on top of the adaptive weight
    discriminator_start: int = 0  # the step at which it begins; never before there are codes
    discriminator_channels: int = 64  # at half resolution
    continuous: float = 0.0  # share before the codebook comes in: encoder and decoder alone
    commitment: float = 1.0  # weight of the quantizer's loss
    ema_decay: float = 0.99  # of the codes' running averages
    object_weight: float = 0.0  # of reading the scene's objects from the codes; needs a set with scenes
    augment: float = 0.0  # share that goes in as another camera would have taken it; the plain picture is to come out
    decoder_only: bool = False  # with --init: codes keep their meaning, and are drawn better
    written: float = 0.0  # share of each batch that is drawn from what a model wrote, of --written
    known_turns: float = 0.5  # share of the other pictures of which a decoder with `turns` gets the map of faces
    patience: int = 100  # steps after which an unused code is restarted
    restart_until: float = 0.8  # share; codes move no more after it
    held_out: int = 64  # pictures that measure PSNR and are never trained on
    report_every: int = 50  # steps
    checkpoint_minutes: float = 3.0
    seed: int = 0
    device: str = "cpu"
    compile: bool = False  # encoder and decoder, which takes a minute or so; for a GPU
    workers: int = 0  # processes that read the set; 0: this one

    def __post_init__(self) -> None:
        if isinstance(self.lpips, str):  # one file in the YAML
            object.__setattr__(self, "lpips", (self.lpips,))
        if self.lpips and not self.perceptual_weight:
            raise ConfigError("train.lpips names weights and train.perceptual_weight is 0; set it, to 1 as in taming.")
        if self.written and not self.decoder_only:
            raise ConfigError(
                "train.written is for train.decoder_only, which leaves the codes as the model knows them."
            )
        if self.decoder_only and (self.continuous or self.object_weight):
            raise ConfigError(
                "train.decoder_only leaves the codes as they are: set train.continuous and train.object_weight to 0."
            )

    @property
    def lpips_files(self) -> list[Path]:
        return [Path(name) for name in self.lpips or ()]

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> "TrainArgs":
        names = [field.name for field in fields(cls)]
        for key in section.keys() - set(names):
            close = get_close_matches(key, names, n=1)
            hint = f"did you mean train.{close[0]}?" if close else f"known: {names}"
            raise ConfigError(f"train.{key} is not a setting; {hint}")
        return cls(**section)


def build_model_config(section: Mapping[str, Any]) -> VQGANConfig:
    """`_component_` names a function or dataclass of `kyvo.tokenizers.vqgan`; the rest are its keyword arguments."""
    arguments = dict(section)
    module, _, name = arguments.pop("_component_").rpartition(".")
    if module != "kyvo.tokenizers.vqgan":
        raise ConfigError(f"model._component_ is {module}.{name}; expected one of kyvo.tokenizers.vqgan.")
    config = getattr(importlib.import_module(module), name)(**arguments)
    if config.quantizer != "nearest":
        raise ConfigError(
            f'model.quantizer is "{config.quantizer}", which is only converted; "nearest" can be trained.'
        )
    return config


def schedule(progress: float, *, warmup: float) -> float:
    """Linear warm-up, then a cosine down to 0.02. The first step is not at zero: it would be wasted."""
    if progress < warmup:
        return max(progress / warmup, 0.05)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))

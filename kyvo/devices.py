"""Which device torch is to work on, and what to say of one that is not there."""

import torch

from kyvo.errors import ConfigError


def choose_device(device: str) -> str:
    """ "auto" -> "cuda" where there is one, else "cpu". Raises ConfigError for a device that is not there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ConfigError(f"device is {device!r}; known are auto, cpu and cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device is 'cuda', but this torch sees no CUDA GPU. Use --device cpu, or install a CUDA torch."
        )
    return device

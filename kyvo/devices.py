"""Which device torch is to work on, and in which precision it multiplies fastest there."""

import time
from functools import cache

import torch
from torch import Tensor

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


def autocast(device: str) -> torch.autocast:
    """Mixed precision where it pays: products in bfloat16, or in float32 where those are as fast."""
    return torch.autocast(device, torch.bfloat16, enabled=fastest_dtype(device) == torch.bfloat16)


@cache
def fastest_dtype(device: str) -> torch.dtype:
    """The faster of float32 and bfloat16: bfloat16 on a GPU; on a CPU both multiply once, and bfloat16 has to win.

    A CPU without bfloat16 instructions takes a hundred times as long with it, so its name alone decides nothing.
    """
    if device != "cpu":
        return torch.bfloat16
    rates = matmul_rates()
    return torch.bfloat16 if rates[torch.bfloat16] > 1.2 * rates[torch.float32] else torch.float32


def fastest_precision(device: str) -> tuple[str, str]:
    """A training's "bf16_mixed" or "fp32", whichever the device multiplies faster in; and on a CPU the measured rates,
    for a message."""
    precision = "bf16_mixed" if fastest_dtype(device) == torch.bfloat16 else "fp32"
    if device != "cpu":
        return precision, ""
    rates = ", ".join(f"{str(dtype)[6:]} {rate:,.0f}" for dtype, rate in matmul_rates().items())
    return precision, f" (GFLOP/s of a product: {rates})"


@cache
def matmul_rates() -> dict[torch.dtype, float]:
    """How fast this CPU multiplies in each of the two, GFLOP/s, measured once."""
    size = 384
    left, right = torch.rand(2, size, size, generator=torch.Generator().manual_seed(0)).unbind()
    return {
        dtype: 2 * size**3 / matmul_seconds(left.to(dtype), right.to(dtype)) / 1e9
        for dtype in (torch.float32, torch.bfloat16)
    }


def matmul_seconds(left: Tensor, right: Tensor, *, rounds: int = 3) -> float:
    """The least of `rounds` products' times, after one that is not timed."""
    torch.matmul(left, right)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        torch.matmul(left, right)
        times.append(time.perf_counter() - start)
    return min(times)

"""Timing by turns: variants of a measurement alternate, round after round, so that a slow moment meets them all."""

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

Seconds = dict[str, list[float]]  # variant -> seconds of each round


def alternate(variants: Mapping[str, Callable[[], object]], *, repeats: int, device: str = "cpu") -> Seconds:
    """Seconds of each variant in each round; a first round, not counted, warms up."""
    seconds: Seconds = {name: [] for name in variants}
    for round_number in range(repeats + 1):
        for name, variant in variants.items():
            start = time.perf_counter()
            variant()
            if device == "cuda":
                torch.cuda.synchronize()
            if round_number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def rate_ratio(seconds: Seconds, fast: str, slow: str, *, work: tuple[float, float] = (1.0, 1.0)) -> float:
    """How many times the rate of `slow` the variant `fast` reaches, where they do this much work a round."""
    pairs = zip(seconds[fast], seconds[slow], strict=True)
    return median((work[0] / ours) / (work[1] / theirs) for ours, theirs in pairs)

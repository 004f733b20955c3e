"""`Schedule`: how the learning rate of a run warms up and falls, and at which step the run ends."""

import math

from kyvo.training.args import TrainArgs


class Schedule:
    """The rate warms up, stays, and falls over the last steps; their beginning may follow the clock."""

    def __init__(self, args: TrainArgs, *, num_steps: int) -> None:
        self.warmup_steps = args.warmup_steps
        self.decay = args.decay
        self.decay_steps = num_steps - args.warmup_steps if args.decay == "cosine" else args.decay_steps
        self.decay_from = num_steps - self.decay_steps
        self.end = num_steps

    def factor(self, step: int) -> float:
        """Share of the peak learning rate at `step` (from 0)."""
        return rate_factor(
            step,
            warmup_steps=self.warmup_steps,
            decay_from=self.decay_from,
            decay_steps=self.decay_steps,
            decay=self.decay,
        )

    def begin_decay(self, step: int) -> None:
        """The decay begins at `step`, and the run ends with it."""
        self.decay_from = step
        self.end = step + max(1, self.decay_steps)

    def resume(self, decay_from: int) -> None:
        """Goes on with a decay that has begun at `decay_from`; a nearer end stays."""
        self.decay_from = decay_from
        self.end = min(self.end, decay_from + self.decay_steps)


def rate_factor(step: int, *, warmup_steps: int, decay_from: int, decay_steps: int, decay: str = "linear") -> float:
    """Share of the peak learning rate at `step` (from 0): up, level, down; never 0 inside the run."""
    rise = (step + 1) / (warmup_steps + 1)
    fall = 1.0
    if decay_steps and step >= decay_from:
        left = max(0.0, 1 - (step - decay_from) / decay_steps)
        fall = left if decay == "linear" else (1 - math.cos(math.pi * left)) / 2
    return min(1.0, rise, fall)

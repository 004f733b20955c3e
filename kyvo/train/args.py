"""`TrainArgs`: the recipe's own scalars, the `train:` section of its YAML. A name it does not know is refused."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import Any

from kyvo.errors import ConfigError

PRECISIONS = ("fp32", "bf16_mixed", "bf16")


@dataclass(frozen=True, kw_only=True)
class TrainArgs:
    """How long, how much at a time, and how the learning rate moves.

    The rate warms up, stays, and falls linearly to zero over the last `decay_steps`: unlike a cosine, the plateau
    does not have to know the end, so a run can be cut by the clock or extended from a checkpoint before its decay.
    """

    max_steps: int
    max_minutes: float | None = None  # of all runs of this output folder together; the decay is fitted in before it
    batch_size: int = 8  # sequences in a micro-batch
    gradient_accumulation: int = 1  # micro-batches a step
    warmup_steps: int = 0
    decay_steps: int = 0
    easy_steps: int = 0  # first steps, taken on the section `easy_data`
    reading_weight: float = 0.0  # of reading the objects at half of the layers (kyvo.train.reading)
    clip_grad_norm: float = 1.0
    precision: str = "fp32"  # bf16_mixed: fp32 weights, bf16 products; bf16: weights too, which lose small updates
    device: str = "cpu"
    compile: bool = False  # each layer; pays off after a minute or so
    num_threads: int | None = None  # of torch on a CPU; None keeps its own choice
    prefetch: bool = False  # build batches in a second process
    seed: int = 0
    log_every: int = 1
    save_every: int = 500
    keep: int = 1  # checkpoints kept besides the newest
    start: str | None = None  # another run's output_dir: its newest weights are the first here; steps count from 0
    resume: bool = False  # go on from output_dir's newest checkpoint

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "gradient_accumulation", "log_every", "save_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; it must be at least 1.")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"train.precision is {self.precision!r}; it can be {', '.join(PRECISIONS)}.")
        if self.warmup_steps + self.decay_steps > self.max_steps:
            raise ConfigError(
                f"train.warmup_steps + train.decay_steps is {self.warmup_steps + self.decay_steps}, "
                f"more than train.max_steps, {self.max_steps}."
            )

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> "TrainArgs":
        """Raises ConfigError for an unknown name, a missing one, or a value of the wrong type."""
        check_names(section, [field.name for field in fields(cls)], prefix="train.")
        for field in fields(cls):
            if field.name not in section:
                if field.default is MISSING:
                    raise ConfigError(f"train.{field.name} is missing; it has no default.")
                continue
            # YAML's `1e3` is a string and `true` an int's subclass: both would only fail, or pass, much later.
            value, kind = section[field.name], field.type
            fits = isinstance(value, kind) or (isinstance(value, int) and isinstance(1.0, kind))  # type: ignore[arg-type]
            if not fits or (isinstance(value, bool) and kind is not bool):
                kind_name = getattr(kind, "__name__", str(kind))
                raise ConfigError(f"train.{field.name} is {value!r}; it must be of type {kind_name}.")
        return cls(**section)


def check_names(found: Iterable[str], known: Iterable[str], *, prefix: str = "") -> None:
    """Raises ConfigError with the nearest known name for the first unknown one."""
    known = list(known)
    for name in found:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            advice = f"did you mean {prefix}{close[0]}?" if close else f"known are {', '.join(known)}."
            raise ConfigError(f"{prefix}{name} is not a setting; {advice}")


def rate_factor(step: int, *, warmup_steps: int, decay_from: int, decay_steps: int) -> float:
    """Share of the peak learning rate at `step` (from 0): up, level, down; never 0 inside the run."""
    rise = (step + 1) / (warmup_steps + 1)
    fall = 1 - (step - decay_from) / decay_steps if decay_steps and step >= decay_from else 1.0
    return max(0.0, min(1.0, rise, fall))

"""`TrainArgs`: the recipe's own scalars, the `train:` section of its YAML. A name it does not know is refused."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import Any

from kyvo.deprecated import current_settings
from kyvo.errors import ConfigError

CHOICES = {
    "decay": ("linear", "cosine"),
    "precision": ("fp32", "bf16_mixed", "bf16", "auto"),
    "loss": ("free", "allowed"),
    "model_precision": ("bf16", "fp32"),
    "on_nan": ("stop", "skip"),
    "too_long": ("refuse", "skip"),
}


@dataclass(frozen=True, kw_only=True)
class TrainArgs:
    """How long, how much at a time, and how the learning rate moves.

    The rate warms up, stays, and falls linearly to zero over the last `decay_steps`: unlike a cosine, the plateau
    does not have to know the end, so a run can be cut by the clock or extended from a checkpoint before its decay.
    """

    max_steps: int | None = None
    max_epochs: float | None = None  # in the place of max_steps: passes over the data
    max_minutes: float | None = None  # of all runs of this output folder together; the decay is fitted in before it
    batch_size: int = 8  # sequences in a micro-batch
    gradient_accumulation: int = 1  # micro-batches a step
    warmup_steps: int = 0
    decay_steps: int = 0
    decay: str = "linear"  # or cosine: from the warm-up's end to the last step, as the paper has it
    easy_steps: int = 0  # first steps, taken on the section `easy_data`
    auxiliary_weight: float = 0.0  # of the auxiliary heads' loss (kyvo.training.auxiliary_heads)
    clip_grad_norm: float = 1.0
    # bf16_mixed: fp32 weights, bf16 products; bf16: weights too, which lose small updates; auto: fp32 or bf16_mixed,
    # in which the device multiplies faster.
    precision: str = "fp32"
    loss: str = "free"  # a softmax over the whole vocabulary; allowed: over what the constraint lets a label be
    device: str = "cpu"
    compile: bool = False  # each layer; pays off after a minute or so
    num_threads: int | None = None  # of torch on a CPU; None keeps its own choice
    prefetch: int = 0  # processes that build batches ahead of time; 0: this one builds them
    seed: int = 0
    log_every: int = 1
    save_every: int = 500
    save_minutes: float | None = None  # a checkpoint after so long as well, so that no more than that is ever lost
    keep_last: int = 2  # checkpoints kept
    model_precision: str = "bf16"  # of the folded models written: bf16 or fp32
    init_weights: str | None = None  # Llama's, a release's or another run's (kyvo.training.init_weights_files)
    resume: bool = False  # go on from output_dir's newest checkpoint
    on_nan: str = "stop"  # or skip: a step whose loss or gradients are not finite changes nothing and is counted
    too_long: str = "refuse"  # or skip: samples longer than the model takes are left out and counted
    pack_tokens: int | None = None  # a batch's sequences share rows of at most so many tokens; None: a row each
    activation_checkpointing: bool = False  # layers are computed again in the backward: less memory, more time
    eval_every: int | None = None  # steps between evaluations on the section `eval_data`; 0 or None: none
    eval_batches: int = 8  # of each task, for its loss
    decode_samples: int = 0  # of each task, decoded and scored in each evaluation

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "gradient_accumulation", "log_every", "save_every", "keep_last"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; it must be at least 1.")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"train.{name} is {getattr(self, name)!r}; it can be {', '.join(choices)}.")
        if (self.max_steps is None) == (self.max_epochs is None):
            raise ConfigError("train needs max_steps or max_epochs, one of the two.")
        if self.decay == "cosine" and (self.decay_steps or self.max_minutes is not None):
            raise ConfigError(
                "train.decay is cosine, which falls over all steps; leave out train.decay_steps and train.max_minutes."
            )
        if self.max_steps is not None and self.warmup_steps + self.decay_steps > self.max_steps:
            raise ConfigError(
                f"train.warmup_steps + train.decay_steps is {self.warmup_steps + self.decay_steps}, "
                f"more than train.max_steps, {self.max_steps}."
            )

    def num_steps(self, num_samples: int, *, num_ranks: int) -> int:
        """`max_steps`, or the steps that `max_epochs` passes over the samples are."""
        if self.max_epochs is None:
            assert self.max_steps is not None
            return self.max_steps
        batches = int(self.max_epochs * (num_samples // self.batch_size))
        return max(1, batches // (self.gradient_accumulation * num_ranks))

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> "TrainArgs":
        """Raises ConfigError for an unknown name, a missing one, or a value of the wrong type."""
        section = current_settings(section, "train.")
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

"""`FlowArgs`: the `train` section of the flow recipe."""

from dataclasses import dataclass

from kyvo.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class FlowArgs:
    """The `train` section."""

    steps: int
    batch_size: int = 8  # objects of a structure flow's batch
    max_voxels: int = 32_768  # cells of a SLAT flow's batch
    mirror: bool = False  # every object also with left and right swapped
    accumulate: int = 1  # batches of a rank that make a step
    learning_rate: float = 1e-4
    warmup: int = 0  # steps
    weight_decay: float = 0.0
    clip_grad_norm: float = 1.0
    ema_decay: float = 0.9999  # of the averaged weights; lower in the first steps
    condition_dropout: float = 0.1  # share of objects that get the negative condition
    only_new: bool = False  # of SceneGen: the parts that the object's flow has stay as they are
    pose_weight: float = 1.0  # of SceneGen's loss of poses
    collision_weight: float = 1.0  # of its collision loss
    time_mean: float = 1.0  # t = sigmoid of a normal variable (https://arxiv.org/abs/2403.03206)
    time_std: float = 1.0
    precision: str = "fp32"  # or "bf16": under autocast
    gradient_checkpointing: bool = False
    report_every: int = 50  # steps
    checkpoint_every: int = 1000  # steps
    keep_last: int = 2
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"train.precision is {self.precision!r}; it is fp32 or bf16.")
        if not 0 <= self.condition_dropout <= 1:
            raise ConfigError(f"train.condition_dropout is {self.condition_dropout}; it is a share in [0, 1].")

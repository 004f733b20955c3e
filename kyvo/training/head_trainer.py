"""`HeadTrainer`: options, step and report of what trains a small network of `kyvo.models.heads`."""

import argparse
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from kyvo.errors import CheckpointError, ConfigError
from kyvo.extras import extra
from kyvo.tokenizers.train_args import schedule
from kyvo.tokenizers.training import STATE_NAME, TokenizerTraining, log, write_state

with extra("train"):
    from omegaconf import OmegaConf

WARMUP = 0.02  # share of the training


@dataclass(frozen=True, kw_only=True)
class HeadTrainerArgs:
    """The `train` section, as far as it is read here."""

    steps: int
    batch_size: int
    learning_rate: float = 1e-3  # its peak; cosine down to 2 % of it
    clip_grad_norm: float = 1.0
    held_out: int  # samples that are measured and never trained on
    report_every: int  # steps
    checkpoint_minutes: float = 3.0
    seed: int = 0
    device: str = "cpu"


Args = TypeVar("Args", bound=HeadTrainerArgs)


def options_of(description: str | None) -> argparse.ArgumentParser:
    """The options that all of these programs have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, help="train for this long instead of train.steps")
    parser.add_argument("--init", type=Path, metavar="FOLDER", help="a model's folder, whose network to train further")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], metavar="SETTING", help="as train.batch_size=64")
    return parser


def sections_of(options: argparse.Namespace, *, known: Sequence[str] = ()) -> dict[str, Any]:
    """The config's sections, with what `--set` says in the place of its own.

    Raises ConfigError for a section that is not among the `known`, where these are given.
    """
    config = OmegaConf.merge(OmegaConf.load(options.config), OmegaConf.from_dotlist(options.set))
    sections = OmegaConf.to_container(config)
    assert isinstance(sections, dict)
    for name in sections.keys() - set(known) if known else ():
        raise ConfigError(f"{name} is not a section of {options.config}; known are {', '.join(known)}.")
    return sections  # type: ignore[return-value]  # keys of YAML mappings here are text


class HeadTrainer(TokenizerTraining, Generic[Args]):
    """A network trained by AdamW under bfloat16."""

    def __init__(self, model: nn.Module, args: Args, *, minutes: float | None) -> None:
        super().__init__(args, minutes=minutes)
        self.args = args
        self.model = model
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=args.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        self.generator = torch.Generator().manual_seed(args.seed)  # of which samples
        self.chance = torch.Generator(args.device).manual_seed(args.seed)  # of what is done to them

    @abstractmethod
    def losses(self) -> dict[str, Tensor]:
        """Of a batch that is drawn; `loss` is the one to be minimised."""

    @abstractmethod
    def measured(self) -> dict[str, Tensor]:
        """Figures of what is held out."""

    def train_step(self) -> dict[str, Tensor]:
        """One step; returns its losses."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.args.learning_rate * schedule(self.progress, warmup=WARMUP)
        losses = self.losses()
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.args.clip_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return {name: value.detach() for name, value in losses.items()}

    @torch.no_grad()
    def report(self, out: Path, losses: dict[str, Tensor], *, per_second: float) -> None:
        """The last step's losses, and the figures of what is held out."""
        log(
            out,
            {
                "step": self.step,
                "seconds": round(self.seconds, 1),
                "samples_per_second": round(per_second, 1),
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                **{name: round(value.item(), 4) for name, value in losses.items()},
                **{f"held_out_{name}": round(value.item(), 4) for name, value in self.measured().items()},
            },
        )

    def run_from(self, options: argparse.Namespace, load: Callable[[Path], nn.Module | None]) -> None:
        """`run` as the options say: from the beginning, from what `load` finds in the folder `init`, or from the state
        in `out`. Raises CheckpointError where that is not there, or has another config."""
        options.out.mkdir(parents=True, exist_ok=True)
        if options.resume:
            self.load(options.out / STATE_NAME)
        elif options.init:
            other: Any = load(options.init)
            if other is None:
                raise CheckpointError(
                    f"--init: {options.init} has no such network; leave --init out to train a new one."
                )
            if other.config != self.model.config:
                raise CheckpointError(
                    f"--init: the network of {options.init} has another model section; use its config."
                )
            self.model.load_state_dict(other.state_dict())
        self.run(options.out)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "chance": self.chance.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.chance.set_state(state["chance"])

    def save(self, path: Path) -> None:
        write_state(self.state(), path)

    def load(self, path: Path) -> None:
        """Inverse of `save`. Raises CheckpointError as `read` does."""
        self.restore(self.read(path))

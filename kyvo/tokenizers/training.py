"""The training loop of tokenizers and auxiliary heads: progress, reports, the log, and the state on disk."""

import json
import time
from abc import ABC, abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from kyvo.errors import CheckpointError
from kyvo.files import append_line, reading, replacing

STATE_NAME = "training.pt"


@runtime_checkable
class RunArgs(Protocol):
    """The settings that the loop reads."""

    @property
    def steps(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def report_every(self) -> int: ...
    @property
    def checkpoint_minutes(self) -> float: ...


class TokenizerTraining(ABC):
    """A training bounded by `args.steps`, or by `minutes` where they are given; resumed runs count together."""

    model: Any  # a module with its `config`, a dataclass
    optimizer: torch.optim.Optimizer
    generator: torch.Generator  # of the batches

    def __init__(self, args: RunArgs, *, minutes: float | None) -> None:
        self.run_args = args
        self.minutes = minutes
        self.step = 0
        self.seconds = 0.0  # of training, over all resumed runs

    @abstractmethod
    def train_step(self) -> dict[str, Any]:
        """One step; returns its losses."""

    @abstractmethod
    def report(self, out: Path, losses: dict[str, Any], *, per_second: float) -> None:
        """Measures, and hands a line to `log`; `per_second` counts items of batches."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Everything that a resumed run needs, by `write_state`."""

    def state(self) -> dict[str, Any]:
        """What every training's state has."""
        return {
            "config": asdict(self.model.config),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def read(self, path: Path) -> dict[str, Any]:
        """The state that was written there. Raises CheckpointError for none, and for that of another model."""
        state = read_state(path)
        if type(self.model.config)(**state["config"]) != self.model.config:
            raise CheckpointError(f"{path} was trained with another model section; use its config or a new --out.")
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of `state`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.step, self.seconds = state["step"], state["seconds"]

    @property
    def progress(self) -> float:
        """Share of the training done, by time where minutes bound it and by steps otherwise."""
        return self.step / self.run_args.steps if self.minutes is None else self.seconds / (60 * self.minutes)

    def run(self, out: Path) -> None:
        """Steps to the end, with reports and checkpoints in the folder `out`."""
        args = self.run_args
        saved_at, reported_at = self.seconds, self.seconds
        last = self.seconds - time.monotonic()
        while self.progress < 1.0:
            losses = self.train_step()
            self.seconds = last + time.monotonic()
            if self.step % args.report_every == 0 or self.progress >= 1.0:
                steps = (self.step - 1) % args.report_every + 1
                self.report(out, losses, per_second=steps * args.batch_size / (self.seconds - reported_at))
                reported_at = last + time.monotonic()  # the time of reporting is not that of training
            if self.seconds - saved_at >= 60 * args.checkpoint_minutes:
                self.save(out / STATE_NAME)
                saved_at = self.seconds
        self.save(out / STATE_NAME)


def log(out: Path, line: dict[str, Any]) -> None:
    """One JSON line to stdout and to OUT/log.jsonl."""
    print(json.dumps(line), flush=True)
    append_line(out / "log.jsonl", line)


def write_state(state: dict[str, Any], path: Path) -> None:
    """A run killed meanwhile leaves the older state whole. Raises FileError where it cannot be written."""
    with replacing(path, faults=(RuntimeError,)) as draft:  # torch's writer tells of a full disk so
        torch.save(state, draft)


def read_state(path: Path) -> dict[str, Any]:
    """The state that `write_state` wrote. Raises CheckpointError where there is none."""
    if not path.is_file():
        raise CheckpointError(f"There is no {path} to resume from; start without --resume.")
    with reading(path):
        return torch.load(path, map_location="cpu", weights_only=True)

"""What tests of trainings share: their logs, and one that is stopped and goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml


class Killed(Exception):
    """What stops a training."""


def lines(out: Path) -> list[dict]:
    """The reports that a training wrote."""
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def stopped_and_resumed(program: ModuleType, patch: pytest.MonkeyPatch, run: Callable[..., Path]) -> Path:
    """The folder of a training, killed at its first report, its state saved, and goes on. `run` takes options."""

    def save_and_stop(trainer, out, losses, *, per_second):
        trainer.save(out / "training.pt")
        raise Killed

    with patch.context() as patched:
        patched.setattr(program.Trainer, "report", save_and_stop)
        with pytest.raises(Killed):
            run()
    return run("--resume")


def write_head_config(path: Path, *, model: dict, **train) -> Path:
    """A config for a few steps of a small network beside a model."""
    train = {"steps": 4, "batch_size": 8, "held_out": 12, "report_every": 2} | train
    path.write_text(yaml.safe_dump({"model": model, "train": train}))
    return path


def run_head_trainer(program: ModuleType, config: Path, model: Path, data: Path, out: Path, *options: str) -> Path:
    """One training of a network that reads a model's states."""
    return program.main(
        ["--config", str(config), "--model", str(model), "--data", str(data), "--out", str(out), *options]
    )

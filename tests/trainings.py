"""What tests of trainings share: their logs, and one that is stopped and goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


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

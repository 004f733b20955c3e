"""What tests of trainings share: their logs, their weights, and one that is stopped and goes on."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import loading
import pytest
import torch
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


def flow_weights(out: Path, step: int) -> dict[str, torch.Tensor]:
    """What a checkpoint of recipes/flow.py has: the weights of the model and its encoders, and their averages."""
    state = torch.load(out / f"step_{step:06d}" / "state.pt", weights_only=True)
    found = {f"{part}.{name}": value for part in ("model", "encoders") for name, value in state[part].items()}
    return found | {f"average.{number}": value for number, value in enumerate(state["average"])}


def flow_resumed_to_the_bit(recipe: ModuleType, options: Sequence[str], folder: Path) -> dict[str, torch.Tensor]:
    """The last weights of a training of 4 steps in `folder`/whole, which are those of one that ended after 2 and was
    resumed, as its losses are. The config keeps the checkpoints of steps 2 and 4."""
    whole, cut = folder / "whole", folder / "cut"
    recipe.main([*options, "--out", str(whole)])
    recipe.main([*options, "--out", str(cut), "--set", "train.steps=2"])
    recipe.main([*options, "--out", str(cut), "--resume"])
    one, other = flow_weights(whole, 4), flow_weights(cut, 4)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert [line["loss"] for line in lines(whole)] == [line["loss"] for line in lines(cut)]
    return one


def train_flow_in_two_ranks(options: Sequence[str]) -> None:
    """recipes/flow.py in two processes, which share one model's weights."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(loading.ROOT / "recipes" / "flow.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=loading.ROOT)
    assert done.returncode == 0, done.stderr[-3000:]


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

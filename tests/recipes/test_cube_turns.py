"""The training of cubes' turns: it learns them, goes on as if never stopped, and says what it cannot use."""

import json
from functools import partial
from pathlib import Path

import loading
import pytest
import torch
import yaml
from trainings import lines, stopped_and_resumed

from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet
from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.heads.cube_turns import load_cube_turns

SIZE = {"width": 96, "height": 64}
MODEL = SIZE | {"side": 16, "channels": [16, 16, 16], "dim": 32}


@pytest.fixture(scope="module")
def program():
    with loading.program("recipes/cube_turns.py") as module:
        yield module


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """24 pictures with scenes."""
    folder = tmp_path_factory.mktemp("cube_turns") / "set"
    write_set(folder, ClevrSet(count=24, seed=5, **SIZE))
    return folder


def write_config(path: Path, **train) -> Path:
    train = {"steps": 4, "batch_size": 4, "held_out": 4, "report_every": 2, "degrade": 0.5} | train
    path.write_text(yaml.safe_dump({"model": MODEL, "train": train}))
    return path


def run(program, config: Path, data: Path, out: Path, *options: str) -> Path:
    return program.main(["--config", str(config), "--data", str(data), "--out", str(out), *options])


@pytest.mark.slow
def test_it_learns_the_turns_of_the_pictures_it_is_shown(program, data, tmp_path):
    config = write_config(tmp_path / "c.yaml", steps=150, batch_size=16, learning_rate=3e-3, report_every=10, augment=0)
    log = lines(run(program, config, data, tmp_path / "out"))
    first, last = (sum(line["loss"] for line in part) for part in (log[:3], log[-3:]))
    assert log[-1]["step"] == 150 and last < 0.7 * first
    assert {"held_out_loss", "held_out_degrees"} <= log[-1].keys()


def test_a_resumed_training_ends_as_one_that_was_never_stopped(program, data, tmp_path, monkeypatch):
    config = write_config(tmp_path / "c.yaml")
    whole = run(program, config, data, tmp_path / "whole")
    halves = stopped_and_resumed(program, monkeypatch, partial(run, program, config, data, tmp_path / "halves"))
    for name, weight in load_cube_turns(whole).state_dict().items():
        torch.testing.assert_close(load_cube_turns(halves).state_dict()[name], weight, rtol=0, atol=0)
    started = run(program, config, data, tmp_path / "more", "--init", str(whole), "--set", "train.steps=2")
    assert lines(started)[-1]["step"] == 2
    with pytest.raises(CheckpointError, match="no such network"):
        run(program, config, data, tmp_path / "none", "--init", str(tmp_path))


def test_scenes_without_cameras_or_turns_are_refused(program, data, tmp_path):
    config, rows = write_config(tmp_path / "c.yaml"), open_set(data)
    for number, spoilt in enumerate((without_camera, without_turns)):
        folder = tmp_path / f"set{number}"
        rows.map(lambda row, spoilt=spoilt: {"scene": json.dumps(spoilt(json.loads(row["scene"])))}).save_to_disk(
            folder
        )
        with pytest.raises(ConfigError, match="has no camera, or a cube without `rotation`"):
            run(program, config, folder, tmp_path / "out")
    rows.map(lambda row: {"scene": json.dumps(json.loads(row["scene"]) | {"objects": []})}).save_to_disk(
        tmp_path / "bare"
    )
    with pytest.raises(ConfigError, match="--data shows no cube"):
        run(program, config, tmp_path / "bare", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"pictures with cubes and train\.held_out is 400"):
        run(program, config, data, tmp_path / "out", "--set", "train.held_out=400")


def without_camera(scene: dict) -> dict:
    return {key: value for key, value in scene.items() if key != "camera"}


def without_turns(scene: dict) -> dict:
    objects = [{key: value for key, value in item.items() if key != "rotation"} for item in scene["objects"]]
    return scene | {"objects": objects}

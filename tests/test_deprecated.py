"""Names of version 0.1 still work, and a line on stderr says the new ones."""

import sys

import kyvo.recipes.finetune
import pytest
import torch
from omegaconf import OmegaConf
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.deprecated import COMMANDS, COMPONENTS, OPTIONS, SETTINGS, current_components, current_options
from kyvo.errors import ConfigError
from kyvo.training.args import TrainArgs
from kyvo.training.builtin import Checkpointer
from kyvo.training.checkpoint import load_checkpoint, save_checkpoint


def said(capsys, old, new):
    return f"{old} is now called {new}; the old name works until version 0.3." in capsys.readouterr().err


@pytest.mark.parametrize(("old", "value"), [("start", "runs/mini"), ("reading_weight", 0.3)])
def test_old_settings_of_the_training_work(old, value, capsys):
    new = SETTINGS[f"train.{old}"].removeprefix("train.")
    assert getattr(TrainArgs.from_config({"max_steps": 1, old: value}), new) == value
    assert said(capsys, f"train.{old}", f"train.{new}")
    TrainArgs.from_config({"max_steps": 1, new: value})
    assert capsys.readouterr().err == ""


def test_an_old_setting_overrides_the_new_one_of_a_config():
    assert TrainArgs.from_config({"max_steps": 1, "init_weights": "llama", "start": "mine"}).init_weights == "mine"
    with pytest.raises(ConfigError, match=r"train\.starts is not a setting"):
        TrainArgs.from_config({"max_steps": 1, "starts": "mine"})


def test_the_checkpointers_old_setting_works(tmp_path, tiny_folder, capsys):
    made = Checkpointer(output_dir=str(tmp_path), model={"processor": str(tiny_folder), "size": "kyvo_tiny"}, start="a")
    assert made.init_weights == "a" and said(capsys, "checkpointer.start", "checkpointer.init_weights")


@pytest.fixture
def tiny_folder(tmp_path):
    from kyvo.testing import tiny_processor

    tiny_processor().save(tmp_path / "processor")
    return tmp_path / "processor"


def test_old_packages_in_components_are_found(capsys):
    config = {"model": {"_component_": "kyvo.train.model.decoder"}, "folders": ["kyvo.train"], "steps": 1}
    assert current_components(config) == {
        "model": {"_component_": "kyvo.training.model.decoder"},
        "folders": ["kyvo.train"],
        "steps": 1,
    }
    assert said(capsys, "kyvo.train.model.decoder", "kyvo.training.model.decoder")
    unchanged = {"model": {"_component_": "kyvo.training.model.decoder"}}
    assert current_components(unchanged) == unchanged and capsys.readouterr().err == ""


def test_the_recipe_takes_a_config_of_old_names(tmp_path, tiny_folder, monkeypatch, capsys):
    from pathlib import Path

    from kyvo.testing import write_tiny_codes

    write_tiny_codes(tmp_path / "codes", count=40)
    text = (Path(__file__).resolve().parents[1] / "configs" / "train" / "tiny.yaml").read_text()
    for old, new in reversed(COMPONENTS.items()):
        text = text.replace(new, old)
    (tmp_path / "old.yaml").write_text(text)
    arguments = [f"output_dir={tmp_path / 'out'}", f"processor={tiny_folder}", f"data.folders=[{tmp_path / 'codes'}]"]
    arguments += ["train.max_steps=1", "train.warmup_steps=0", "train.decay_steps=0", "train.reading_weight=0.3"]
    monkeypatch.setattr(sys, "argv", ["finetune", "--config", str(tmp_path / "old.yaml"), *arguments])
    with pytest.raises(SystemExit) as ended:
        kyvo.recipes.finetune.recipe_main()
    assert not ended.value.code
    assert "auxiliary_loss" in (tmp_path / "out" / "train.log").read_text()
    assert said(capsys, "train.reading_weight", "train.auxiliary_weight")
    assert OmegaConf.load(tmp_path / "old.yaml").model._component_ == "kyvo.train.model.decoder"


def test_a_checkpoint_of_old_names_is_read(tmp_path):
    state = {"model": {}, "reading": {"about.weight": torch.ones(1)}}
    save_checkpoint(tmp_path, step=1, state=state, write_model=lambda folder: folder.mkdir(), keep_last=1)
    read = load_checkpoint(tmp_path)
    assert read["auxiliary"]["about.weight"] == 1 and "reading" not in read


@pytest.mark.parametrize("old", OPTIONS)
def test_old_options_of_the_suite_work(old, capsys):
    assert current_options(["--model", "mini", old]) == ["--model", "mini", OPTIONS[old]]
    assert said(capsys, old, OPTIONS[old])


@pytest.mark.parametrize("old", COMMANDS)
def test_old_commands_work_and_are_not_listed(old):
    done = CliRunner().invoke(app, [old, "report", "nowhere"])
    assert f"kyvo {old} is now called kyvo {COMMANDS[old]}" in done.output
    assert f" {old} " not in CliRunner().invoke(app, ["--help"]).output

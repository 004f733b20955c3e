"""The planner's training: it learns what programs say, goes on as if never stopped, and says what it cannot use."""

import json
from functools import partial
from pathlib import Path

import loading
import numpy as np
import pytest
import torch
from trainings import lines, run_head_trainer, stopped_and_resumed, write_head_config

from kyvo.api import Kyvo
from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet, EditSet
from kyvo.data.language.edits import execute
from kyvo.errors import CheckpointError, ConfigError
from kyvo.generation.plans import read_plan
from kyvo.generation.read_prompt import ReadPrompt
from kyvo.models.heads.planner import load_planner
from kyvo.scene.files import scene_from_json
from kyvo.testing import tiny_kyvo
from kyvo.tokenizers.tasks import TASKS, Segments

MODEL = {"width": 64, "layers": 2}


@pytest.fixture(scope="module")
def program():
    with loading.program("recipes/planner.py") as module:
        yield module


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """60 edits."""
    folder = tmp_path_factory.mktemp("planner") / "set"
    write_set(folder, EditSet(count=60, seed=5, width=48, height=32, pictures=False))
    return folder


write_config = partial(write_head_config, model=MODEL)


def test_it_learns_what_the_programs_say(program, folder, data, tmp_path):
    config = write_config(tmp_path / "c.yaml", steps=250, batch_size=24, learning_rate=3e-3, report_every=10)
    out = run_head_trainer(program, config, folder, data, tmp_path / "out")
    log = lines(out)
    first, last = ({name: sum(line[name] for line in part) for name in log[0]} for part in (log[:2], log[-2:]))
    assert log[-1]["step"] == 250
    for name in ("operation", "words", "way", "of", "about"):
        assert last[name] < 0.7 * first[name]
        assert log[-1][f"held_out_{name}"] >= 0
    # What it has seen it plans as it is written.
    kyvo, planner = Kyvo.from_pretrained(folder, device="cpu"), load_planner(out)
    builder, seen = kyvo.processor.builder, 0
    for row in open_set(data).select(range(12, 60)):
        scene = scene_from_json(json.loads(row["scene"]))
        given = Segments(scene=scene, text=row["instruction"])
        read = ReadPrompt(
            kyvo.engine, builder, TASKS["scene_editing"], builder.prompt(TASKS["scene_editing"], given, clamp=True)
        )
        snapped = builder.scenes.snap(scene, clamp=True)
        plan = read_plan(planner, read.text_states(), snapped, builder.scenes.schema)
        seen += plan is not None and plan.operation == json.loads(row["program"])["operation"]
    assert seen > 36


def test_targets_are_what_the_program_does(program, data):
    for row in open_set(data):
        schema = tiny_kyvo().processor.schema
        told = program.target(row, schema)
        before, edit = scene_from_json(json.loads(row["scene"])), json.loads(row["program"])
        snapped = schema.snap(before, clamp=True)
        after = schema.snap(execute(edit, before), clamp=True)
        gone = [item for item in snapped.objects if item not in after.objects]
        new = [item for item in after.objects if item not in snapped.objects]
        assert gone == ([] if told["about"] < 0 else [snapped.objects[told["about"]]])
        if told["of"] >= 0:
            there = np.add(snapped.objects[told["of"]].location[:2], told["way"])
            np.testing.assert_allclose(there, new[0].location[:2], atol=1e-3)
        else:
            assert told["way"] == (0.0, 0.0) and edit["operation"] in ("change", "remove")
        for field, word in zip(schema.word_fields, told["words"], strict=True):
            if word > 0:
                assert new[0].get(field.name) == field.words[word - 1]
            elif word == 0:
                assert new[0].get(field.name) == gone[0].get(field.name)
            else:
                assert edit["operation"] in ("remove", "move")


def test_a_training_that_starts_from_a_folder_has_its_weights(program, folder, data, tmp_path):
    other = run_head_trainer(program, write_config(tmp_path / "c.yaml"), folder, data, tmp_path / "other")
    still = write_config(tmp_path / "still.yaml", learning_rate=0.0)
    out = run_head_trainer(program, still, folder, data, tmp_path / "out", "--init", str(other))
    for name, weight in load_planner(other).state_dict().items():
        torch.testing.assert_close(load_planner(out).state_dict()[name], weight, rtol=0, atol=0)


def test_a_resumed_training_ends_as_one_that_was_never_stopped(program, folder, data, tmp_path, monkeypatch):
    config = write_config(tmp_path / "c.yaml")
    whole = run_head_trainer(program, config, folder, data, tmp_path / "whole")
    halves = stopped_and_resumed(
        program, monkeypatch, partial(run_head_trainer, program, config, folder, data, tmp_path / "halves")
    )
    for name, weight in load_planner(whole).state_dict().items():
        torch.testing.assert_close(load_planner(halves).state_dict()[name], weight, rtol=0, atol=0)


def test_a_state_of_another_model_is_refused(program, folder, data, tmp_path):
    out = run_head_trainer(program, write_config(tmp_path / "c.yaml"), folder, data, tmp_path / "out")
    other = write_config(tmp_path / "other.yaml", model=MODEL | {"width": 16})
    with pytest.raises(CheckpointError, match="trained with another model section"):
        run_head_trainer(program, other, folder, data, out, "--resume")


def test_a_set_without_instructions_is_refused(program, folder, tmp_path):
    write_set(tmp_path / "set", ClevrSet(count=2, seed=5, width=48, height=32))
    with pytest.raises(ConfigError, match="is no set of edits; `kyvo data edits --no-pictures` makes one"):
        run_head_trainer(program, write_config(tmp_path / "c.yaml"), folder, tmp_path / "set", tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"widht": 3}}, "model.widht is not a setting; did you mean model.width?"),
        ({"rate": 1}, "train.rate is not a setting"),
        ({"held_out": 60}, "--data has 60 instructions and train.held_out is 60"),
    ],
)
def test_bad_settings_are_named(program, folder, data, tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        run_head_trainer(program, write_config(tmp_path / "c.yaml", **change), folder, data, tmp_path / "out")

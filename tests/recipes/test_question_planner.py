"""The training of a planner of questions: it learns what programs say, and says what it cannot use."""

import json
from functools import partial
from pathlib import Path

import loading
import pytest
import torch
from trainings import lines, run_head_trainer, stopped_and_resumed, write_head_config

from kyvo.api import Kyvo
from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet, QuestionSet
from kyvo.data.language.question_programs import SceneIndex, operands
from kyvo.errors import ConfigError
from kyvo.generation.question_plans import questions
from kyvo.models.heads.question_planner import load_question_planner
from kyvo.scene.files import scene_from_json

MODEL = {"width": 64, "layers": 2}
write_config = partial(write_head_config, model=MODEL)


@pytest.fixture(scope="module")
def program():
    with loading.program("recipes/question_planner.py") as module:
        yield module


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """60 questions about twelve scenes."""
    folder = tmp_path_factory.mktemp("question_planner") / "set"
    write_set(folder, QuestionSet(count=12, questions=5, seed=5, width=48, height=32, pictures=False))
    return folder


def test_it_learns_what_the_programs_say(program, folder, data, tmp_path):
    config = write_config(tmp_path / "c.yaml", steps=200, batch_size=24, learning_rate=3e-3, report_every=10)
    log = lines(run_head_trainer(program, config, folder, data, tmp_path / "out"))
    first, last = ({name: sum(line[name] for line in part) for name in log[0]} for part in (log[:2], log[-2:]))
    assert log[-1]["step"] == 200
    for name in ("question", "operands"):
        assert last[name] < 0.7 * first[name]
    for name in ("question", "operands", "plan"):
        assert 0 <= log[-1][f"held_out_{name}"] <= 1


def test_targets_are_what_the_programs_are_about(program, folder, data):
    kyvo = Kyvo.from_pretrained(folder, device="cpu")
    schema, samples, index = kyvo.processor.schema, program.read_samples([data], kyvo), 0
    words, locations, present = samples.objects
    for number, row in enumerate(open_set(data)):
        scene = scene_from_json(json.loads(row["scene"]))
        snapped = schema.snap(scene, clamp=True).objects
        assert present[number].sum() == len(scene)
        for asked in row["questions"]:
            asked_program = json.loads(asked["program"])
            assert questions(schema)[samples.questions[index]] == asked_program[-1]["function"]
            assert samples.scenes[index] == number
            sets = operands(asked_program, SceneIndex(scene))
            for found, told in zip(sets, samples.operands[index], strict=False):
                items = [scene.objects[place] for place in range(len(scene)) if found >> place & 1]
                meant = [snapped[place] for place in range(len(scene)) if told[place] > 0]
                assert sorted(map(str, meant)) == sorted(map(str, (snap(schema, scene, item) for item in items)))
            assert (samples.operands[index, len(sets) :] == -1).all()
            index += 1
    assert index == len(samples.texts) == 60
    assert words.shape == (12, present.shape[1], 4) and locations.shape == (12, present.shape[1], 3)


def snap(schema, scene, item):
    return next(one for one in schema.snap(scene, clamp=True).objects if is_near(one, item))


def is_near(one, other):
    return all(abs(a - b) <= 0.026 for a, b in zip(one.location, other.location, strict=True))


def test_a_training_that_starts_from_a_folder_has_its_weights(program, folder, data, tmp_path):
    other = run_head_trainer(program, write_config(tmp_path / "c.yaml"), folder, data, tmp_path / "other")
    still = write_config(tmp_path / "still.yaml", learning_rate=0.0)
    out = run_head_trainer(program, still, folder, data, tmp_path / "out", "--init", str(other))
    for name, weight in load_question_planner(other).state_dict().items():
        torch.testing.assert_close(load_question_planner(out).state_dict()[name], weight, rtol=0, atol=0)


def test_a_resumed_training_ends_as_one_that_was_never_stopped(program, folder, data, tmp_path, monkeypatch):
    given = (program, write_config(tmp_path / "c.yaml"), folder, data)
    whole = run_head_trainer(*given, tmp_path / "whole")
    halves = stopped_and_resumed(program, monkeypatch, partial(run_head_trainer, *given, tmp_path / "halves"))
    for name, weight in load_question_planner(whole).state_dict().items():
        torch.testing.assert_close(load_question_planner(halves).state_dict()[name], weight, rtol=0, atol=0)


def test_a_set_without_questions_is_refused(program, folder, tmp_path):
    write_set(tmp_path / "set", ClevrSet(count=2, seed=5, width=48, height=32))
    with pytest.raises(ConfigError, match="is no set of questions; `kyvo data questions --no-pictures` makes one"):
        run_head_trainer(program, write_config(tmp_path / "c.yaml"), folder, tmp_path / "set", tmp_path / "out")


def test_more_held_out_than_there_is_is_refused(program, folder, data, tmp_path):
    config = write_config(tmp_path / "c.yaml", held_out=60)
    with pytest.raises(ConfigError, match=r"--data has 60 questions and train\.held_out is 60"):
        run_head_trainer(program, config, folder, data, tmp_path / "out")

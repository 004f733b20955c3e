"""A question's plan is what the planner reads, and its answer is what the question's program gives."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from kyvo.data.clevr.sampling import ClevrRules, sample_scenes
from kyvo.data.language.question_programs import SceneIndex, operands
from kyvo.data.language.questions import sample_questions
from kyvo.errors import CheckpointError
from kyvo.generation.question_plans import (
    QuestionPlan,
    answer_of,
    check_question_planner,
    planned_answer,
    questions,
    read_question,
)
from kyvo.scene.scene import Scene
from kyvo.scene.schema import load_schema
from kyvo.testing import tiny_builder, tiny_kyvo, tiny_question_planner
from kyvo.tokenizers.tasks import Segments

BUILDER = tiny_builder()
SCHEMA = BUILDER.scenes.schema
STATES = torch.zeros(5, 24)
SURE = 1e3
RULES = ClevrRules(min_objects=5, max_objects=9)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    drawn = sample_scenes(range(4), seed=4, width=32, height=24, rules=RULES)
    return [SCHEMA.snap(scene, clamp=True) for scene in drawn]


def telling(planner, question: str, *sets: dict[int, float]):
    """The planner, which now reads this question, and of the objects of these numbers the logits given; SURE against
    all others."""
    planner.question.weight.zero_()
    planner.question.bias.zero_()
    planner.question.bias[questions(SCHEMA).index(question)] = SURE

    class Told(torch.nn.Module):
        def forward(self, hidden):
            told = torch.full((*hidden.shape[:2], 2), -SURE)
            for place, found in enumerate(sets):
                for number, logit in found.items():
                    told[:, number, place] = logit
            return told

    planner.operands = Told()
    return planner


def test_answers_are_those_of_the_programs(scenes):
    kinds = set()
    for number, scene in enumerate(scenes):
        index = SceneIndex(scene)
        for question in sample_questions(scene, np.random.default_rng(number), count=60):
            sets = operands(question.program, index)
            numbers = [tuple(place for place in range(len(scene)) if found >> place & 1) for found in sets]
            plan = QuestionPlan(question=question.program[-1]["function"], operands=tuple(numbers))
            assert answer_of(plan, scene) == question.answer, json.dumps(question.program)
            kinds.add(plan.question)
    assert kinds == set(questions(SCHEMA))


def test_a_set_has_the_objects_that_are_likely_in_it(scenes):
    found = {0: 2.0, 3: 1.0, 4: -0.5}
    plan = read_question(telling(tiny_question_planner(dim=24), "count", found), STATES, scenes[0], SCHEMA)
    assert plan.question == "count" and plan.operands == ((0, 3),) and answer_of(plan, scenes[0]) == "2"
    chance = torch.tensor([2.0, 1.0, 0.5]).sigmoid().prod()
    assert plan.chance == pytest.approx(float(chance), abs=1e-3)


def test_one_object_is_asked_for_where_one_is_needed(scenes):
    planner = telling(tiny_question_planner(dim=24), "equal_color", {1: 2.0, 2: 1.0}, {3: -1.0, 4: -2.0})
    plan = read_question(planner, STATES, scenes[0], SCHEMA)
    assert plan.operands == ((1,), (3,))
    assert plan.chance == pytest.approx(float(torch.tensor([2.0, -1.0, -1.0, 2.0]).sigmoid().prod()), abs=1e-3)
    colors = [scenes[0].objects[place].color for place in (1, 3)]
    assert answer_of(plan, scenes[0]) == ("yes" if colors[0] == colors[1] else "no")


def test_no_plan_is_read_of_no_objects_or_of_too_many(scenes):
    planner = tiny_question_planner(dim=24)
    for count in (0, planner.config.num_objects + 1):
        crowd = replace(scenes[0], objects=(scenes[0].objects * 9)[:count])
        assert read_question(planner, STATES, crowd, SCHEMA) is None


@pytest.mark.parametrize("logit", [SURE, 0.1])
def test_the_answer_that_follows_is_given_where_the_planner_is_sure(scenes, logit):
    scene, kyvo = scenes[0], tiny_kyvo()
    planner = tiny_question_planner(dim=kyvo.model.config.hidden_size)
    kyvo.question_planner = telling(planner, "count", dict.fromkeys(range(3), logit))
    text = "How many things are there?"
    answer = planned_answer(kyvo.engine, kyvo.processor.builder, kyvo.question_planner, scene, text)
    assert answer == ("3" if logit == SURE else None)
    told = kyvo.ask(scene, text)
    plain = tiny_kyvo().ask(scene, text)
    assert told == ("3" if logit == SURE else plain) and plain != "3"
    if answer is not None:  # as it is decided, and beside a picture
        pending = kyvo.submit(
            "scene_question_answering", Segments(scene=scene, text=text), constraint=kyvo.answers(scene, text)
        )
        assert "".join(pending.texts()) == "3"
        assert kyvo.ask(scene, text, image=np.zeros((16, 24, 3), np.uint8)) == "3"


def test_a_planner_of_another_model_is_refused():
    planner = tiny_question_planner(dim=24)
    check_question_planner(planner, SCHEMA, dim=24)
    with pytest.raises(CheckpointError, match="The folder mixes two models"):
        check_question_planner(planner, SCHEMA, dim=32)
    with pytest.raises(CheckpointError, match="no locations in a world frame"):
        check_question_planner(planner, load_schema("objectron"), dim=24)

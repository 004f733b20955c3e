"""The states that small networks are trained on are those that they are asked by."""

import json

from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import EditSet, QuestionSet
from kyvo.generation.read_prompt import ReadPrompt
from kyvo.scene.files import scene_from_json
from kyvo.testing import tiny_kyvo
from kyvo.tokenizers.tasks import TASKS, Segments
from kyvo.training.text_states import prompt_of, read_text_states

SETTINGS = {"seed": 5, "width": 48, "height": 32, "pictures": False}


def test_the_states_are_those_that_a_prompt_is_read_with(tmp_path):
    write_set(tmp_path / "edits", EditSet(count=5, **SETTINGS))
    write_set(tmp_path / "questions", QuestionSet(count=2, questions=3, **SETTINGS))
    texts = {
        "scene_editing": [(row, row["instruction"]) for row in open_set(tmp_path / "edits")],
        "scene_question_answering": [
            (row, asked["question"]) for row in open_set(tmp_path / "questions") for asked in row["questions"]
        ],
    }
    for name, rows in texts.items():
        task, kyvo = TASKS[name], tiny_kyvo()
        found = read_text_states(tiny_kyvo(), [prompt_of(kyvo, task, row, text) for row, text in rows], chunk=2)
        assert len(found) == len(rows) > 4
        end = 0
        for index, (row, text) in enumerate(rows):
            given = Segments(scene=scene_from_json(json.loads(row["scene"])), text=text)
            prompt = kyvo.processor.builder.prompt(task, given, clamp=True)
            told = ReadPrompt(kyvo.engine, kyvo.processor.builder, task, prompt).text_states()
            start, end = end, end + int(found.lengths[index])
            states = found.states[start:end].float()
            assert states.shape == told.shape and (states - told).norm() < 0.1 * told.norm()  # bfloat16

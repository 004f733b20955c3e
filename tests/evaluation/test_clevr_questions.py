"""CLEVR's question files: questions, stored answers and stored programs over the scenes of another file."""

import json

import pytest

from kyvo.errors import SceneError
from kyvo.evaluation.clevr_questions import read_questions
from kyvo.evaluation.language import evaluate_language, read_case_items
from kyvo.programs.grammar.parser import GrammarParser
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.clevr import save_clevr
from kyvo.scene.scene import Scene, SceneObject

CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
COUNT = [
    {"function": "scene", "inputs": [], "value_inputs": []},
    {"function": "filter_shape", "inputs": [0], "value_inputs": ["cube"]},
    {"function": "count", "inputs": [1], "value_inputs": []},
]


@pytest.fixture
def files(tmp_path):
    scenes, questions = tmp_path / "scenes.json", tmp_path / "questions.json"
    save_clevr([Scene(objects=(CUBE,), image="a.png")], scenes)
    rows = [
        {"question": "How many cubes are there?", "answer": "1", "image_filename": "a.png", "program": COUNT},
        {"question": "How many cubes are there?", "answer": "2", "image_filename": "a.png", "program": COUNT},
        {"question": "How many cubes are there?", "image_filename": "a.png"},
        {"question": "How many cubes are there?", "answer": "1", "image_filename": "b.png"},
    ]
    questions.write_text(json.dumps({"questions": rows}), encoding="utf-8")
    return questions, scenes


def test_questions_and_their_programs_are_judged_by_the_stored_answers(files):
    cases = read_questions(*files)
    assert list(cases.faults) == ["2", "3"]
    assert "no answer" in cases.faults["2"] and "b.png" in cases.faults["3"]
    results = evaluate_language(cases, GrammarParser(), clevr_schema())
    figures = {figure.name: figure.value for figure in results.figures}
    assert figures["answers right"] == figures["stored programs right"] == 0.5


def test_questions_without_scenes_name_the_option(files):
    with pytest.raises(SceneError, match="--scenes"):
        read_case_items(files[0])

"""Texts about scenes, judged beside what a language model writes itself."""

import json

import pytest
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.errors import SceneError
from kyvo.evaluation.language import evaluate_language, read_case_items
from kyvo.programs.grammar.parser import GrammarParser
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.scene import Scene

BALL = {"size": "large", "color": "red", "material": "metal", "shape": "sphere", "3d_coords": [0.0, 0.0, 0.7]}
CUBE = {"size": "small", "color": "blue", "material": "rubber", "shape": "cube", "3d_coords": [2.0, 0.0, 0.35]}
CASES = [
    {"text": "How many balls are there?", "scene": [BALL, CUBE], "answer": 1, "source": "asked"},
    {"text": "What color is the cube?", "scene": [BALL, CUBE], "answer": "blue", "source": "asked"},
    {"text": "Remove the cube.", "scene": [BALL, CUBE], "scene_after": [BALL], "source": "ordered"},
    {"text": "Remove the dog.", "scene": [BALL, CUBE], "refused": True, "source": "ordered"},
    {"text": "Remove it.", "dialogue": ["Is there a cube?"], "scene": [BALL, CUBE], "scene_after": [BALL]},
]


@pytest.fixture
def cases(tmp_path):
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(map(json.dumps, CASES)), encoding="utf-8")
    return path


def test_what_a_language_model_writes_itself_has_figures_of_its_own(cases):
    asked = []

    def write(case):
        asked.append(case.text)
        if case.text.startswith("What"):
            raise SceneError("beyond the bins")
        return "1" if case.scene_after is None else Scene(objects=case.scene.objects[:1])

    results = evaluate_language(read_case_items(cases), GrammarParser(), clevr_schema(), language_model=write)
    figures = {figure.name: figure.value for figure in results.figures}
    assert figures["answers right"] == figures["whole scenes right"] == figures["refused rightly"] == 1
    assert figures["language model alone: answers right"] == 0.5
    assert figures["language model alone: whole scenes right"] == 1
    assert asked == [case["text"] for case in CASES[:3]]
    by_source = {row["source"]: row.get("language model alone") for row in results.tables["by source"]}
    assert by_source == {"asked": 0.5, "ordered": 1.0}
    without = evaluate_language(read_case_items(cases), GrammarParser(), clevr_schema())
    assert not any("alone" in figure.name for figure in without.figures)


@pytest.mark.slow
def test_the_bundled_model_writes_answers_and_scenes_itself(cases):
    found = CliRunner().invoke(
        app, ["evaluate", "language", str(cases), "--language-model", "mini", "--json"], catch_exceptions=False
    )
    figures = {figure["name"]: figure["value"] for figure in json.loads(found.stdout)["figures"]}
    assert figures["language model alone: answers right"] >= 0.5
    assert figures["language model alone: whole scenes right"] in (0, 1)

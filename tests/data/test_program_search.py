"""Programs of questions with known answers, found by search; those that may be right by chance are not kept."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.data.clevr.sampling import sample_scenes
from kyvo.data.dataset import open_set, write_set
from kyvo.data.language.program_search import Found, Lack, redrawn, search
from kyvo.data.language.question_sets import FoundProgramsSet
from kyvo.data.language.questions import sample_questions
from kyvo.data.language.sentence_sets import LanguageSet
from kyvo.errors import ConfigError, SceneError
from kyvo.programs.execute import answer
from kyvo.programs.grammar.parser import GrammarParser
from kyvo.programs.json_form import from_json
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene, SceneObject

SCHEMA = clevr_schema()


def scene_of(*things: str) -> Scene:
    """ "large red metal cube", ... in a row from left to right."""
    objects = []
    for place, words in enumerate(things):
        size, color, material, shape = words.split()
        where = (-2.0 + 1.5 * place, 1.0 - 0.5 * place, 0.7)
        objects.append(SceneObject(size=size, color=color, material=material, shape=shape, location=where))
    return Scene(schema="clevr", objects=tuple(objects))


def found_of(text: str, scene: Scene, right: str) -> Found:
    found = search(text, scene, right, SCHEMA)
    assert isinstance(found, Found), found
    return found


def program_of(text: str) -> object:
    return GrammarParser().parse(text, SCHEMA).program


def test_the_right_answer_tells_readings_apart():
    scene = scene_of("large red rubber cube", "small blue rubber cube", "large green rubber sphere")
    text = "How many rubber shapes are there?"  # objects, or different shapes
    assert found_of(text, scene, "3").program == program_of("how many rubber things are there")
    assert found_of(text, scene, "2").program == program_of("how many different shapes do rubber things have")
    assert search(text, scene, "4", SCHEMA) == Lack.NO_PROGRAM


def test_readings_that_are_right_on_the_scene_alone_are_not_kept():
    two = scene_of("large red rubber cube", "small blue rubber sphere", "large green metal sphere")
    assert search("How many rubber shapes are there?", two, "2", SCHEMA) == Lack.DISAGREEING


def test_an_unknown_word_is_what_the_answer_shows():
    scene = scene_of(
        "large yellow metal cube", "large red metal sphere", "small red rubber sphere", "small blue metal sphere"
    )
    found = found_of("What shape is the orange thing?", scene, "cube")
    assert (found.way, found.program) == ("reworded", program_of("what shape is the yellow thing"))


@pytest.mark.parametrize(
    ("text", "right", "lack"),
    [
        ("What shape is the orange thing?", "sphere", Lack.DISAGREEING),  # the yellow one, or the blue one
        ("Is there an orange thing?", "yes", Lack.DISAGREEING),
        ("Is there is a cube?", "yes", Lack.CHANCE),  # as nearly everywhere
        ("What shape is the orange thing?", "cylinder", Lack.NO_PROGRAM),
    ],
)
def test_a_spurious_program_is_not_kept(text, right, lack):
    scene = scene_of(
        "large yellow metal sphere", "small red metal cube", "small red rubber cube", "large blue metal sphere"
    )
    assert search(text, scene, right, SCHEMA) == lack


@pytest.mark.slow
@given(st.integers(0, 10_000))
def test_what_is_kept_gives_the_right_answer(seed):
    (scene,) = sample_scenes([seed], seed=1, width=120, height=80)
    (asked,) = sample_questions(scene, np.random.default_rng(seed), count=1)
    found = search(asked.text, scene, asked.answer, SCHEMA)
    assert found == search(asked.text, scene, asked.answer, SCHEMA)
    if isinstance(found, Found):
        assert answer(found.program, scene, SCHEMA).text == asked.answer


def test_further_scenes_have_the_same_places_and_words_of_the_schema():
    scene = scene_of("large red metal cube", "small blue rubber sphere")
    other = redrawn(scene, SCHEMA, random.Random(0))
    assert [one.location for one in other.objects] == [one.location for one in scene.objects]
    assert other != scene and all(one.color in SCHEMA.field("color").words for one in other.objects)


def test_a_set_has_the_rows_of_a_language_set_and_a_card_that_counts(tmp_path):
    scene = scene_to_json(scene_of("large red rubber cube", "small blue rubber sphere", "large green metal sphere"))
    rows = [
        {"text": "What color is the cube?", "scene": scene, "answer": "red"},
        {"text": "How many rubber shapes are there?", "scene": scene, "answer": "2"},
        {"text": "Is it raining?", "scene": scene, "answer": "no"},
        {"text": "and the ball?", "scene": scene, "answer": "blue", "dialogue": ["what color is the cube"]},
        {"text": "remove the dog", "scene": scene, "refused": True},
        {"text": "no scene"},
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    card = write_set(tmp_path / "set", FoundProgramsSet.of(path, schema="clevr", seed=0))
    assert (card["questions"], card["rows"], card["sources"]) == (3, 1, {"reading": 1})
    assert card["without_a_program"] == {Lack.DISAGREEING.value: 1, Lack.NO_PROGRAM.value: 1}
    assert len(card["source_notes"]) == 2 and "line 6" in card["source_notes"][0]
    row = open_set(tmp_path / "set").to_list()[0]
    assert set(row) == set(LanguageSet.columns)
    assert from_json(json.loads(row["asked_program"]), SCHEMA) == program_of("what color is the cube")


def test_a_file_without_answers_is_refused(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({"text": "remove the dog", "scene": scene_to_json(scene_of()), "refused": True}))
    with pytest.raises(ConfigError, match="none of its 1 cases has an `answer`"):
        FoundProgramsSet.of(path, schema="clevr", seed=0)
    path.write_text("{}")
    with pytest.raises(SceneError, match="holds no case"):
        FoundProgramsSet.of(path, schema="clevr", seed=0)

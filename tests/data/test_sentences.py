"""Texts with their programs, drawn from the grammar of English."""

import json
import random
from copy import copy
from dataclasses import replace

import pytest

from kyvo.data.dataset import open_set, write_set
from kyvo.data.language.sentence_sets import LanguageSet
from kyvo.data.language.sentences import NOISES, InconsistentDraw, generator_of
from kyvo.errors import ConfigError
from kyvo.programs.errors import ProgramError
from kyvo.programs.grammar.chart import SCENE
from kyvo.programs.grammar.meaning import parts
from kyvo.programs.grammar.parser import GrammarParser
from kyvo.programs.grammar.tokens import tokenize
from kyvo.programs.json_form import from_json
from kyvo.programs.structure import node_types
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.testing import tiny_processor
from kyvo.tokenizers.tasks import REFUSED
from kyvo.training.data import TokenizedScenes

SCHEMA = clevr_schema()


def test_drawn_sentences_are_read_as_the_programs_they_were_made_from():
    generator, parser = generator_of(SCHEMA), GrammarParser()
    drawn = [generator.draw(random.Random(seed), dialogues=0.3) for seed in range(6)]
    again = generator.draw(random.Random(3), dialogues=0.3)
    assert (again.text, again.program, again.dialogue) == (drawn[3].text, drawn[3].program, drawn[3].dialogue)
    for one in drawn:
        if one.program is None:
            with pytest.raises(ProgramError):
                parser.parse(one.text, SCHEMA, one.dialogue)
        elif one.noise != "typing errors":
            assert parser.parse(one.text, SCHEMA, one.dialogue).program == one.program


def test_a_rule_that_no_sentence_can_have_is_given_up():
    generator = copy(generator_of(SCHEMA))
    never = replace(generator.grammar.by_symbol["text"][0], make=lambda *values: None)
    generator.aims, generator._depths = ([never], [1.0]), {**generator._depths, id(never): 0.0}
    assert generator.draw(random.Random(0), refused=0.0, dialogues=0.0).program is not None


@pytest.mark.slow
def test_sentences_aim_at_every_rule_and_the_rules_make_every_operation():
    generator = generator_of(SCHEMA)
    rules, weights = generator.aims
    assert {rule.symbol for rule in rules} == set(generator.grammar.by_symbol) - {*SCENE} and min(weights) > 0
    made = {"numbered"}  # which only answers "which one do you mean?"
    for number, rule in enumerate(rules):
        for attempt in range(10):
            try:
                _, meaning = generator.say(rule.symbol, random.Random(f"{number} {attempt}"), 3, rule)
            except InconsistentDraw:
                continue
            made |= {node.op for node in parts(getattr(meaning, "program", meaning))}
            break
    assert made >= set(node_types())


@pytest.mark.parametrize("name", [name for name in NOISES if name != "typing errors"])
def test_what_is_done_to_a_sentence_does_not_change_what_it_says(name):
    text = "What color is the gray thing, 1.5 meters left of the cube?"
    noisy = NOISES[name][1](text, random.Random(0))
    assert (noisy == text) == (name == "none")
    said = [token for token in tokenize(text) if token != ","]
    assert [token for token in tokenize(noisy) if token != ","] == said


@pytest.mark.slow
def test_a_set_of_texts_trains_the_task_of_writing_programs(tmp_path):
    card = write_set(tmp_path / "set", LanguageSet(count=12, seed=5))
    rows = open_set(tmp_path / "set")
    assert card["shares"]["everything"] > 0.5 and max(card["shares"].values()) <= 1
    assert sum(card["kinds"].values()) == 12 and set(card["sources"]) <= {"grammar", "phrases"}
    processor = tiny_processor(programs=True)
    samples = TokenizedScenes(processor.builder, folders=[str(tmp_path / "set")], tasks={"parsing": 1.0})
    for index, row in enumerate(rows):
        task, given, wanted = samples.segments(index, 0.0, 0.0)
        program = json.loads(row["asked_program"])
        assert task == "parsing" and given.text == row["text"]
        assert wanted.program == (REFUSED if program is None else from_json(program, SCHEMA))


def test_phrases_have_a_share_and_drawn_texts_a_length():
    drawn = list(LanguageSet(count=3, seed=5, phrases=0.0, max_words=6).rows(range(3)))
    assert all(row["source"] == "grammar" and len(row["text"].split()) <= 6 for row in drawn)
    phrases = list(LanguageSet(count=3, seed=5, phrases=1.0).rows(range(3)))
    assert {row["source"] for row in phrases} == {"phrases"}


def test_settings_that_make_no_texts_are_refused():
    with pytest.raises(ConfigError, match="has no words; there is nothing to ask"):
        LanguageSet(count=1, seed=0, schema="objaworld-shapes")
    with pytest.raises(ConfigError, match=r"phrases is 1\.5; it is a share"):
        LanguageSet(count=1, seed=0, phrases=1.5)
    with pytest.raises(ConfigError, match="max_words is 3; the grammar draws few texts below 4"):
        LanguageSet(count=1, seed=0, max_words=3)

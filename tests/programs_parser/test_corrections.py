"""Typing errors: the text as a whole decides which word is meant; where two words fit, neither is taken."""

import pytest
from program_readings import CLEVR, parsed, program

from kyvo.programs.errors import NotUnderstood, UnknownWord
from kyvo.programs.grammar.parser import grammar_of
from kyvo.programs.grammar.spelling import Effort
from kyvo.programs.grammar.typing_errors import num_errors, weight


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("mkae all cylinders gren", "make all cylinders green"),
        ("wats the color of teh metal bal", "whats the color of the metal ball"),
        ("how may red cylnders are there", "how many red cylinders are there"),
        ("make the borwn cue bigger", "make the brown cube bigger"),
        ("remove the re d cy linder", "remove the red cylinder"),
        ("nudge the blue cube let by 0.3", "nudge the blue cube left by 0.3"),
        ("is thee a cbue", "is there a cube"),
        ("make evry metal sphere ruber", "make every metal sphere rubber"),
    ],
)
def test_texts_with_errors_are_read_as_what_is_meant(text, meant):
    assert program(text) == program(meant)


def test_notes_tell_what_was_read():
    assert parsed("remove hte gren cy linder").notes == (
        "read 'hte' as 'the'",
        "read 'gren' as 'green'",
        "read 'cy linder' as 'cylinder'",
    )


@pytest.mark.parametrize(
    ("text", "word", "near"),
    [
        ("remove everything that is ot red", "ot", ("of", "not")),
        ("get rid of the brown onse", "onse", ("one", "ones")),
        ("ake all of the cubes red", "ake", ("are", "make")),
    ],
)
def test_a_word_that_may_be_two_is_not_guessed(text, word, near):
    with pytest.raises(UnknownWord, match="may be") as caught:
        program(text)
    assert caught.value.word == word
    assert caught.value.near == near


@pytest.mark.parametrize(
    "text", ["remove hat", "delete tie", "remove the bull", "paint the lock red", "make it warmest"]
)
def test_words_of_english_that_name_things_are_no_errors(text):
    with pytest.raises((UnknownWord, NotUnderstood)):
        program(text)


def test_likelier_errors_weigh_less():
    assert num_errors("cbue", "cube", 2) == num_errors("cune", "cube", 2) == num_errors("cuxe", "cube", 2) == 1
    assert weight("cube", "cube") == 0
    assert weight("cbue", "cube") < weight("cue", "cube") < weight("cune", "cube") < weight("cuqe", "cube")
    assert weight("cubbe", "cube") < weight("cubqe", "cube")


@pytest.mark.parametrize("word", ["not", "gone", "never", "without", "red"])
def test_words_that_turn_a_meaning_round_stand_for_no_others(word):
    _, spelling = grammar_of(CLEVR)
    (read,) = spelling.repair([word], Effort.SLIPS)
    assert list(read.options) == [word]

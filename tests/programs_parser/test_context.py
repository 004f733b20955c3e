"""Texts that only the last turn gives a meaning, comparisons as conditions, and words that stand for others."""

import pytest
from program_readings import CLEVR, does, one, parsed, program, some, word

from kyvo.programs.errors import NotUnderstood
from kyvo.programs.grammar.parser import MAX_UNKNOWN, GrammarParser
from kyvo.programs.parsing import Turn
from kyvo.programs.program import (
    Along,
    Bigness,
    Count,
    Earlier,
    Edit,
    Everything,
    Except,
    Extreme,
    Farness,
    MoreThan,
    Numbered,
    Remove,
    Set,
    Smallness,
    The,
    WordOf,
)
from kyvo.scene.scene import Scene, SceneObject


def turn(text: str) -> Turn:
    return Turn(text=text, program=program(text), mentioned=(0,), changed=(0,))


@pytest.mark.parametrize("text", ["and the ball", "the ball too", "do the same to the ball", "now the ball"])
def test_the_last_edit_is_made_of_another_object(text):
    assert program(text, turn("paint the cube red")) == does(Set(of=one("sphere"), field="color", to=word("red")))


def test_the_last_question_is_asked_about_another_object():
    assert program("what about the ball?", turn("what color is the cube?")).asks == WordOf(
        of=some("sphere"), field="color"
    )


def test_again_is_the_last_edit_about_what_it_changed():
    assert program("again", turn("paint the cube red")) == does(Set(of=Earlier(), field="color", to=word("red")))


@pytest.mark.parametrize("text", ["and the ball", "again", "what about the ball"])
def test_without_a_turn_there_is_nothing_to_do_likewise(text):
    with pytest.raises(NotUnderstood, match="nothing was named yet"):
        program(text)


@pytest.mark.parametrize(
    ("text", "by"),
    [
        ("things smaller than the cube", Smallness()),
        ("things bigger than the cube", Bigness()),
        ("things farther left than the cube", Along(direction="left")),
    ],
)
def test_a_comparison_is_a_condition(text, by):
    assert program(f"how many {text} are there").asks == Count(of=MoreThan(of=some(), by=by, than=one("cube")))


def test_the_one_that_is_left_out_is_one_of_those_that_are_named():
    assert program("remove all red things except the cube") == does(
        Remove(of=Except(of=some("red"), without=one("red cube")))
    )


def test_by_itself_is_the_farthest_from_the_others():
    alone = The(of=Extreme(of=some("sphere"), by=Farness(to=some())))
    assert program("what color is the ball that is by itself").asks == WordOf(of=alone, field="color")


def test_words_that_sound_alike_are_read_for_one_another():
    assert program("is their a red cube") == program("is there a red cube")


@pytest.mark.parametrize("text", ["what coklour is the cube", "what volour is the cube"])
def test_typing_errors_in_british_spellings_are_repaired(text):
    assert program(text) == program("what color is the cube")
    assert "read" in parsed(text).notes[0]


def test_many_unknown_words_are_refused_at_once():
    text = " ".join(f"qz{letter}wx" for letter in "abcdefghijklmnop"[: MAX_UNKNOWN + 1])
    with pytest.raises(NotUnderstood, match="13 words that are not known"):
        GrammarParser().parse(text, CLEVR)


def test_the_other_one_is_of_the_kind_of_what_was_picked():
    ball, other = (SceneObject(shape=shape, color="red", location=(0.0, 0.0, 0.7)) for shape in ("sphere", "cube"))
    picked = Turn(
        text="the first", program=Edit(steps=(Remove(of=Numbered(index=0)),)), removed=(0,),
        before=Scene(objects=(ball, other, ball)), after=Scene(objects=(other, ball)),
    )  # fmt: skip
    assert program("and the other one", picked) == does(Remove(of=one("sphere")))


@pytest.mark.parametrize("text", ["how many of them are metal?", "are they metal?"])
def test_them_is_of_all_objects_only_where_nothing_was_said_before(text):
    assert "metal" in str(program(text))
    with pytest.raises(NotUnderstood, match="nothing came of the text before"):
        program(text, Turn.refusal("what is left of the cube?", program("what is left of the cube?")))
    named = "how many of the cubes are metal?"
    assert program(named, Turn.refusal("remove the dog")) == program(named)


def test_how_many_alone_is_asked_after_a_question():
    assert program("how many?", turn("are there cubes?")).asks == Count(of=Earlier())
    with pytest.raises(NotUnderstood):
        program("how many now?", turn("paint the cubes red"))


def test_all_of_them_are_those_of_the_turn_before():
    assert program("remove all of them") == does(Remove(of=Everything()))
    assert program("remove all of them", turn("how many cubes are there?")) == does(Remove(of=Earlier()))
    with pytest.raises(NotUnderstood, match="nothing came of the text before"):
        program("remove all of them", Turn.refusal("remove the dog"))

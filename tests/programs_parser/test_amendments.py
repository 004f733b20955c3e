"""Texts that put right what was said before: "no, the gray one", and what "one" and "them" mean after a turn."""

import pytest
from program_readings import CLEVR, does, one, program, some, word
from random_programs import thing

from kyvo.data.language.cases import Case
from kyvo.evaluation.language import judge
from kyvo.programs.errors import NotUnderstood, ProgramError
from kyvo.programs.grammar.parser import GrammarParser
from kyvo.programs.parsing import Turn
from kyvo.programs.program import Count, Earlier, Either, Every, Except, Move, Offset, Query, Remove, Set, The, Undo
from kyvo.scene.scene import Scene


def turn(text: str, *before: Turn, removed: tuple[int, ...] = ()) -> Turn:
    return Turn(text=text, program=program(text, *before), mentioned=() if removed else (0,), removed=removed)


def painted(words: str, color: str) -> Set:
    return Set(of=one(words), field="color", to=word(color))


PAINT = turn("paint the red cube blue")


@pytest.mark.parametrize(
    "text",
    ["no, the gray one", "sorry, the gray cube", "i meant the gray one", "no, not the red one, the gray one",
     "no wait, the gray one", "actually the gray cube"],
)  # fmt: skip
def test_after_an_edit_other_objects_are_changed_and_the_first_are_as_before(text):
    assert program(text, PAINT) == does(Undo(), painted("gray cube", "blue"))


@pytest.mark.parametrize("text", ["no, green", "actually green", "green, not blue", "not blue, green"])
def test_another_word_of_the_same_field_takes_the_place_of_the_first(text):
    assert program(text, PAINT) == does(Undo(), painted("red cube", "green"))


def test_another_way_keeps_the_distance():
    said = program("no, to the right", turn("move the cube 0.5 to the left"))
    assert said == does(Undo(), Move(of=one("cube"), place=Offset(direction="right", distance=0.5)))


def test_an_amendment_of_an_amendment_takes_back_both():
    twice = program("no, yellow", PAINT, turn("no, green", PAINT))
    assert twice == does(Undo(), Undo(), painted("red cube", "yellow"))


def test_the_other_one_is_another_of_the_kind():
    other = The(of=Except(of=some("cube"), without=Earlier()))
    said = program("no, the other one", PAINT)
    assert said == does(Undo(), Set(of=other, field="color", to=word("blue")))


def test_a_question_is_asked_of_others():
    assert program("no, the cubes", turn("how many balls are there")) == Query(asks=Count(of=some("cube")))


def test_within_a_text_the_last_thing_said_counts():
    assert program("remove the cylinders, no, the cubes") == does(Remove(of=some("cube")))
    assert program("paint the red cube blue, i mean green") == does(painted("red cube", "green"))


@pytest.mark.parametrize("text", ["no", "wrong", "no, don't", "not the red one", "that's the wrong cube"])
def test_what_is_meant_instead_has_to_be_said(text):
    with pytest.raises(ProgramError):
        program(text, PAINT)


def test_one_is_of_the_kind_that_was_spoken_of():
    assert program("remove the red one", turn("how many cubes are there")) == does(Remove(of=one("red cube")))
    assert program("remove the red one", turn("remove the ball", removed=(0,))) == does(Remove(of=one("red")))


def test_of_them_are_the_objects_of_the_last_turn():
    asked = program("are they all metal?", turn("how many cubes are there"))
    assert asked == Query(asks=Every(of=Earlier(), among=some("metal")))
    assert program("are they all metal?") == Query(asks=Every(of=some(), among=some("metal")))
    with pytest.raises(NotUnderstood):
        program("remove one of them")


def test_what_is_left_out_may_be_several_sets():
    left = Except(of=some("cube"), without=Either(first=some("red cube"), second=some("small cube")))
    said = program("make all cubes except the red ones and the small ones metal")
    assert said == does(Set(of=left, field="material", to=word("metal")))


def test_a_dialogue_in_a_file_may_ask_back():
    scene = Scene(objects=(thing("small red metal cube", -1, 0), thing("small blue metal cube", 1, 0)))
    after = Scene(objects=(scene.objects[1],))
    case = Case(text="the red one", dialogue=("remove the cube",), scene=scene, scene_after=after)
    assert judge(case, GrammarParser(), CLEVR, tolerance=0.05).right

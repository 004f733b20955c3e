"""Steps joined by "and" and by "then"; what is taken back; readings that say nothing, which no text means."""

import pytest
from program_readings import asks, does, most, one, paint, program, some

from kyvo.programs.errors import NotUnderstood
from kyvo.programs.parsing import Turn
from kyvo.programs.program import (
    Along,
    Beside,
    Earlier,
    Every,
    Everything,
    Exists,
    Extreme,
    Move,
    Not,
    Offset,
    Redo,
    Remove,
    Shared,
    Swap,
    Together,
    Undo,
)


@pytest.mark.parametrize(
    "text",
    [
        "make the red cube blue and the blue cube red",
        "paint the red cube blue and paint the blue cube red",
        "the red cube should be blue, and the blue cube should be red",
        "red cube blue, blue cube red",
    ],
)
def test_steps_joined_by_and_are_said_together(text):
    assert program(text) == does(Together(steps=(paint(one("red cube"), "blue"), paint(one("blue cube"), "red"))))


@pytest.mark.parametrize(
    "text",
    [
        "make the red cube blue, then make the blue cube red",
        "Make the red cube blue. Make the blue cube red.",
        "make the red cube blue and after that make the blue cube red",
    ],
)
def test_steps_joined_by_then_come_one_after_another(text):
    assert program(text) == does(paint(one("red cube"), "blue"), paint(one("blue cube"), "red"))


def test_steps_that_name_nothing_more_need_no_group():
    moved = Move(of=Earlier(), place=Offset(direction="left"))
    assert program("paint the cube red and move it to the left") == does(paint(one("cube"), "red"), moved)


def test_undo_is_read_in_its_usual_words():
    for text in ("undo", "undo that", "take that back", "undo the last change", "put everything back how it was"):
        assert program(text) == does(Undo()), text


def test_redo_is_read_in_its_usual_words_and_again_is_asked_back_after_undo():
    for text in ("redo", "redo that", "redo the last change, please", "undo the undo"):
        assert program(text) == does(Redo()), text
    painted = Turn(text="", program=does(paint(one("cube"), "red")), mentioned=(0,), changed=(0,))
    assert program("do it again", painted) == does(paint(Earlier(), "red"))
    with pytest.raises(NotUnderstood, match="say undo or redo"):
        program("do it again", painted, Turn(text="undo", program=does(Undo())))


def test_any_is_one_of_them_and_not_all():
    purple = asks(Exists(of=some("purple")))
    for text in ("does anything in here look purple", "is anything purple", "is something purple"):
        assert program(text) == purple, text
    assert program("is any cube purple") == program("is a cube purple") == asks(Exists(of=some("purple cube")))
    assert program("delete anything purple") == does(Remove(of=some("purple")))


def test_a_superlative_after_is_is_of_all_objects():
    leftmost = Extreme(of=Everything(), by=Along(direction="left"))
    asked = asks(Every(of=one("red cube"), among=leftmost))
    for text in ("is the red cube the leftmost object", "is the red cube the leftmost"):
        assert program(text) == asked, text
    with pytest.raises(NotUnderstood):
        program("are the red cubes leftmost")


def test_two_superlatives_are_two_objects():
    assert program("swap the leftmost and rightmost cubes") == does(
        Swap(first=most("left", "cube"), second=most("right", "cube"))
    )


def test_a_different_color_for_each_is_no_statement_of_all():
    different = asks(Not(of=Exists(of=Shared(of=some("cube"), field="color"))))
    for text in ("does every cube have a different color", "do all the cubes have different colors"):
        assert program(text) == different, text
    with pytest.raises(NotUnderstood):
        program("are the cubes different")


def test_to_hide_behind_something_is_to_go_there():
    assert program("hide the cube behind the ball") == does(
        Move(of=one("cube"), place=Beside(direction="behind", to=one("sphere")))
    )
    assert program("hide the cube") == does(Remove(of=one("cube")))


def test_a_condition_names_what_the_order_is_about():
    for text in ("if there is a red cube, make it blue", "make it blue if there is a red cube"):
        assert program(text) == does(paint(one("red cube"), "blue")), text


def test_a_gerund_is_an_order_after_words_that_ask_for_one():
    for text in ("would you mind removing the cube", "how about removing the cube?", "I suggest deleting the cube"):
        assert program(text) == does(Remove(of=one("cube"))), text

"""Edits told as what has happened and in other ways; what is beside an object: "cubes with a ball to their left"."""

import pytest
from program_readings import beside, one, program, some, word

from kyvo.programs.errors import NotUnderstood
from kyvo.programs.program import (
    Add,
    All,
    Beside,
    Count,
    Earlier,
    Edit,
    Every,
    Except,
    Move,
    Offset,
    Query,
    Related,
    Remove,
    Resize,
    Set,
    Swap,
    Together,
)

TO_RED = Set(of=one("sphere"), field="color", to=word("red"))


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("the ball has disappeared", [Remove(of=one("sphere"))]),
        ("the cubes have been removed", [Remove(of=some("cube"))]),
        ("the ball is no longer there", [Remove(of=one("sphere"))]),
        ("the ball turned red", [TO_RED]),
        ("the ball has been painted red", [TO_RED]),
        ("the ball is red now", [TO_RED]),
        ("the ball changed its color from blue to red", [TO_RED]),
        ("the ball's color changed to red", [TO_RED]),
        ("someone painted the ball red", [TO_RED]),
        ("the ball has gotten bigger", [Resize(of=one("sphere"), larger=True)]),
        ("the ball is too small, fix that", [Resize(of=one("sphere"), larger=True)]),
        ("the ball and the cube have switched places", [Swap(first=one("sphere"), second=one("cube"))]),
        (
            "the ball has moved 1 unit to the left",
            [Move(of=one("sphere"), place=Offset(direction="left", distance=1.0))],
        ),
        (
            "someone put the ball behind the cube",
            [Move(of=one("sphere"), place=Beside(direction="behind", to=one("cube")))],
        ),
        ("a red cube has appeared", [Add(words=(word("red"), word("cube")))]),
        ("the cube has vanished and the ball turned red", [Together(steps=(Remove(of=one("cube")), TO_RED))]),
    ],
)
def test_what_has_happened_is_done(text, steps):
    assert program(text) == Edit(steps=tuple(steps))


@pytest.mark.parametrize("text", ["the ball has disappeared?", "the ball turned red?", "what has changed?"])
def test_what_is_asked_is_not_done(text):
    with pytest.raises(NotUnderstood):
        program(text)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("the balls all need to be red", [Set(of=some("sphere"), field="color", to=word("red"))]),
        ("balls: all to red", [Set(of=some("sphere"), field="color", to=word("red"))]),
        ("the ball needs a new color: red", [TO_RED]),
        ("I don't like the color of the ball, use red", [TO_RED]),
        ("remove whatever stands behind the ball", [Remove(of=beside("behind", one("sphere")))]),
        (
            "set the color of the ball to red and its size to large",
            [TO_RED, Set(of=Earlier(), field="size", to=word("large"))],
        ),
    ],
)
def test_more_ways_to_say_an_edit(text, steps):
    assert program(text) == Edit(steps=tuple(steps))


def test_what_has_a_neighbor_has_one_of_them():
    right_of_some = Related(of=some("cube"), relation="left", to=some("sphere"), some=True)
    assert program("how many cubes have a ball to their right?") == Query(asks=Count(of=right_of_some))
    assert program("remove the cubes with a ball to their right") == Edit(steps=(Remove(of=right_of_some),))
    assert program("remove the cubes with the ball to their right") == Edit(
        steps=(Remove(of=beside("left", one("sphere"), "cube")),)
    )
    found = program("does the cube have a ball behind it?")
    assert isinstance(found, Query) and isinstance(found.asks, Every) and found.asks.of == one("cube")


def test_either_side_is_of_one_object():
    either = program("how many cubes are left or right of the ball?")
    assert either == program("how many cubes are left of the ball or right of the ball?")
    neither = program("how many cubes are neither left nor right of the ball?")
    assert neither == program("how many cubes are not left or right of the ball?") != either


def test_all_but_one_are_of_their_kind():
    assert program("remove all but one of the cubes") == Edit(
        steps=(Remove(of=Except(of=some("cube"), without=one("cube"))),)
    )
    found = program("are all but two of the cubes red?")
    assert found == program("is the number of cubes that are not red equal to 2?")


@pytest.mark.parametrize(
    ("text", "as_said"),
    [
        ("is there a red cube and a metal ball?", "are there both red cubes and metal balls?"),
        ("is there a red and a blue ball?", "are there red balls and blue balls?"),
        ("are there red and blue balls?", "are there red balls and blue balls?"),
    ],
)
def test_of_two_things_both_have_to_be_there(text, as_said):
    found = program(text)
    assert isinstance(found, Query) and isinstance(found.asks, All)
    assert found == program(as_said)


@pytest.mark.parametrize(
    "text",
    [
        "does each cube have a ball of the same color?",
        "are there any cubes and balls of the same color?",
        "are there three cubes with the same color?",
        "how many objects have something of the same color to their left?",
        "paint the objects left of the ball red and those right of it blue",
        "put the cube 2 units from the ball",
    ],
)
def test_what_no_program_says_is_refused(text):
    with pytest.raises(NotUnderstood):
        program(text)


def test_two_named_objects_have_to_be_so():
    found = program("are the cube and the ball left of the cylinder?")
    assert isinstance(found, Query) and isinstance(found.asks, Every)
    assert found.asks.among == beside("left", one("cylinder"))

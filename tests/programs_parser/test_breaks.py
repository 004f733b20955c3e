"""Texts that break off, "that cube", objects that are gathered, and what "which are" is said of."""

import numpy as np
import pytest
from program_readings import CLEVR, asks, beside, does, most, one, paint, parsed, program, some
from random_programs import thing

from kyvo.programs.errors import AmbiguousReference, NotUnderstood, UnknownWord
from kyvo.programs.execute import apply
from kyvo.programs.parsing import Turn
from kyvo.programs.program import (
    Add,
    Along,
    Count,
    Earlier,
    Edit,
    Except,
    Exists,
    Extreme,
    Move,
    NextTo,
    Offset,
    Query,
    Remove,
    The,
    Together,
    WordOf,
)
from kyvo.programs.program.edits import leaves
from kyvo.scene.scene import Scene

IT = The(of=Earlier())


def edit(text: str) -> Edit:
    found = program(text)
    assert isinstance(found, Edit)
    return found


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("remove the, wait, paint the red ball blue", does(paint(one("red sphere"), "blue"))),
        ("the red ... no wait, the green cube should be blue", does(paint(one("green cube"), "blue"))),
        ("is the green... no, are there cubes?", asks(Exists(of=some("cube")))),
        ("paint the dog, sorry, remove the green cube", does(Remove(of=one("green cube")))),
        ("remove the red cube, scratch that, remove the green cube", does(Remove(of=one("green cube")))),
        ("um, paint the, uh, red ball blue", does(paint(one("red sphere"), "blue"))),
    ],
)
def test_what_follows_a_break_is_meant(text, meant):
    assert program(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "never remove the cube, sorry, remove the red ball",  # what is turned round may go on
        "paint the green cube red. wait, paint the red ball blue",  # both, or the second
        "remove the green cube, oops, undo that",
        "keep the cube, no, remove it",
        "the largest... no, the red one",
    ],
)
def test_a_break_after_which_something_is_left_open_is_refused(text):
    with pytest.raises(NotUnderstood):
        program(text)


def test_that_cube_is_the_one_just_spoken_of():
    left = Move(of=IT, place=Offset(direction="left"))
    assert program("paint the red cube blue and move that cube left") == does(paint(one("red cube"), "blue"), left)
    assert program("paint the red cube blue, then move that blue cube left") == program(
        "paint the red cube blue, then move that cube left"
    )
    added = edit("add a red cube and paint that cube blue").steps
    assert isinstance(added[0], Add) and added[1] == paint(IT, "blue")
    *_, another = leaves(edit("paint the red cube blue and move that ball left").steps)
    assert another == Move(of=one("sphere"), place=Offset(direction="left"))
    assert program("remove that cube") == does(Remove(of=one("cube")))
    counted = Turn(text="how many red cubes are there", program=asks(Count(of=some("red cube"))), mentioned=(0, 1))
    assert program("remove that cube", counted) == does(Remove(of=IT))


def test_that_cube_is_asked_back_where_several_were_spoken_of():
    scene = Scene(objects=(thing("small red rubber cube", -1, 0), thing("large green metal cube", 1.5, 0)))
    with pytest.raises(AmbiguousReference):
        apply(edit("paint the cubes blue and move that cube left"), scene, CLEVR)


def test_gathered_objects_stand_next_to_one_another():
    scene = Scene(
        objects=(
            thing("small red rubber cube", -2.5, -2),
            thing("small green metal cube", 2.5, 0),
            thing("small blue metal cube", 0, 2.5),
            thing("small blue metal sphere", -2.5, 2.5),
        )
    )
    done = apply(edit("group the three cubes together"), scene, CLEVR)
    assert len(done.changed) == 2 and done.scene.objects[3] == scene.objects[3]
    places = np.array([cube.location for cube in done.scene.objects[:3]])
    assert np.linalg.norm(places - places[0], axis=1).max() < 1.5  # it was 5 and more
    gathered = program("gather the red cube, the green cube and the ball")
    steps = tuple(Move(of=one(words), place=NextTo(to=one("red cube"))) for words in ("green cube", "sphere"))
    assert gathered == does(Together(steps=steps))
    ranks = [
        The(of=Extreme(of=The(of=some("cube"), count=2), by=Along(direction="left"), rank=rank)) for rank in (1, 2)
    ]
    around = tuple(Move(of=rank, place=NextTo(to=one("sphere"))) for rank in ranks)
    assert program("gather the two cubes around the ball") == does(Together(steps=around))


@pytest.mark.parametrize("text", ["group the cubes together", "put all the cubes next to each other", "group all"])
def test_objects_of_an_unknown_number_are_not_gathered(text):
    with pytest.raises(NotUnderstood, match="or how many"):
        program(text)


@pytest.mark.parametrize("text", ["what if the ball was a cube, how many cubes would there be", "if the ball was red?"])
def test_what_would_be_is_refused_with_a_way_out(text):
    with pytest.raises(NotUnderstood, match="Make other changes, ask, and say"):
        program(text)


def test_are_is_said_of_several_and_is_of_one():
    removed = Remove(of=beside("right", one("cylinder"), "red"))
    assert program("remove the things right of the cylinder which are red") == does(removed)
    assert program("how many things right of the cylinder which are red are there") == asks(
        Count(of=beside("right", one("cylinder"), "red"))
    )
    assert program("how many things are right of the cylinder which are red") == asks(
        Count(of=beside("right", one("cylinder"), "red"))
    )
    assert program("count the things right of the cylinder that is red") == asks(
        Count(of=beside("right", one("red cylinder")))
    )


def test_two_words_of_one_field_name_no_object():
    with pytest.raises(NotUnderstood, match="no object is blue and gray"):
        program("how many cubes are right of the gray cylinder that is blue")
    assert isinstance(program("how many red cubes are blue"), Query)


def test_several_at_a_side_are_the_outermost():
    assert program("remove the two balls on the left") == does(
        Remove(of=The(of=Extreme(of=some("sphere"), by=Along(direction="left")), count=2))
    )
    assert program("remove the ball on the left") == does(Remove(of=most("left", "sphere")))


def test_words_that_measured_sentences_lacked():
    other = The(of=Except(of=some("cube"), without=one("green cube")))
    assert program("what color is the other cube, not the green one?") == asks(WordOf(of=other.of, field="color"))
    assert program("swap out the red cube's finish for matte") == does(paint(one("red cube"), "rubber"))
    assert program("remove the ball, it's distracting") == does(Remove(of=one("sphere")))
    assert program("i dont want any cubes in here anymore") == does(Remove(of=some("cube")))
    assert program("how many things does the ball have on its left side") == asks(
        Count(of=beside("left", one("sphere")))
    )
    assert program("quick check: how many cubes are there") == asks(Count(of=some("cube")))


def test_a_comparative_of_an_english_word_is_no_typing_error():
    with pytest.raises(UnknownWord, match="'lightest'"):
        parsed("what shape is the lightest thing")

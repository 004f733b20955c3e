"""What people say in chats: what stays as it is, words for each in order, swaps, short forms; what is never lost."""

import pytest
from program_readings import asks, does, one, paint, program, some

from kyvo.programs.errors import NotUnderstood, ProgramError
from kyvo.programs.program import (
    Along,
    Closeness,
    Count,
    CountWords,
    Either,
    Every,
    Everything,
    Except,
    Exists,
    Extreme,
    Not,
    Related,
    Remove,
    Set,
    Shared,
    Swap,
    The,
    Together,
    Which,
    WordOf,
    WordsOf,
)


def others(than, of=None):
    return Except(of=of or Everything(), without=than)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("paint everything blue but keep the cubes as they are", does(paint(others(some("cube")), "blue"))),
        ("don't touch the cubes, paint everything else blue", does(paint(others(some("cube")), "blue"))),
        ("make everything blue without touching the cubes", does(paint(others(some("cube")), "blue"))),
        ("make the red cube blue, leave the other cubes alone", does(paint(one("red cube"), "blue"))),
        ("the sphere stays red, everything else turns blue", does(paint(others(one("red sphere")), "blue"))),
        ("remove everything, leave only the cube", does(Remove(of=others(one("cube"))))),
        ("there should only be cubes", does(Remove(of=others(some("cube"))))),
    ],
)
def test_what_stays_as_it_is_is_left_out_of_the_edit(text, expected):
    assert program(text) == expected


def test_words_go_to_as_many_objects_in_their_order():
    three = The(of=some("cube"), count=3)
    ranked = [The(of=Extreme(of=three, by=Along(direction="left"), rank=rank)) for rank in (1, 2, 3)]
    each = tuple(paint(of, value) for of, value in zip(ranked, ("red", "green", "blue"), strict=True))
    for text in (
        "paint the cubes red, green and blue from left to right",
        "from left to right make the 3 cubes red, green, blue",
    ):
        assert program(text) == does(Together(steps=each)), text
    both = Together(steps=(paint(one("cube"), "red"), paint(one("sphere"), "blue")))
    assert program("paint the cube and the sphere red and blue respectively") == does(both)
    pairs = "paint the leftmost cube red, the rightmost one green and the sphere blue"
    assert len(program(pairs).steps[0].steps) == 3


def test_two_change_places_in_many_words():
    swap = does(Swap(first=one("cube"), second=one("sphere")))
    for text in ("the cube and the sphere should trade places", "have the cube swap with the sphere"):
        assert program(text) == swap, text
    both = [Extreme(of=The(of=some("cube"), count=2), by=Along(direction=way)) for way in ("left", "right")]
    assert program("let the two cubes swap places") == does(Swap(first=both[0], second=both[1]))
    assert program("both cubes should swap colors") == does(Swap(first=both[0], second=both[1], field="color"))


def test_a_word_is_taken_from_another_object_in_many_words():
    like = does(Set(of=one("sphere"), field="color", to=WordOf(of=one("cube"), field="color")))
    for text in (
        "the sphere should match the cube's color",
        "the sphere needs the color of the cube",
        "change the sphere's color to that of the cube",
        "the sphere should be colored like the cube",
    ):
        assert program(text) == like, text


@pytest.mark.parametrize(
    "text",
    [
        "can u make the cube red pls",
        "btw, the cube shouldn't be blue, make it red",
        "the cube should not be blue but red",
        "make the cube red, not blue",
        "do the following: paint the cube red",
        "1) paint the cube red",
        "- paint the cube red\n",
    ],
)
def test_short_forms_and_asides_of_chats(text):
    assert program(text) == does(paint(one("cube"), "red"))


def test_steps_come_in_the_order_that_before_and_after_say():
    ordered = does(Remove(of=one("cube")), paint(one("sphere"), "red"))
    for text in ("after removing the cube, paint the sphere red", "remove the cube before painting the sphere red"):
        assert program(text) == ordered, text
    assert program("remove the cube\npaint the sphere red") == ordered


@pytest.mark.parametrize(
    "text",
    [
        "no cube should be red",
        "paint every other cube red",
        "remove the other cubes",
        "make the cube red or blue",
        "remove cubes or spheres",
        "remove the cube if there is a sphere",
        "move the cube left or right",
        "move the cube to 2",
        "make the cube red and the sphere",
        "there should be only one cube",
        "the cube might be red",
    ],
)
def test_words_that_turn_the_meaning_are_never_left_out(text):
    with pytest.raises(ProgramError):
        program(text)


def test_what_is_left_is_without_what_was_named():
    first, rest = program("paint the red sphere blue and the remaining spheres green").steps
    assert first == paint(one("red sphere"), "blue") and isinstance(rest.of, Except) and rest.of.of == some("sphere")
    with pytest.raises(NotUnderstood):
        program("remove everything and make the rest red")


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("are there only cubes?", Every(of=Everything(), among=some("cube"))),
        ("how many things have a color that nothing else has?",
         Count(of=others(Shared(of=Everything(), field="color")))),
        ("which colors appear more than once?", WordsOf(of=Shared(of=Everything(), field="color"), fields=("color",))),
        ("how many colors are used more than once",
         CountWords(of=Shared(of=Everything(), field="color"), field="color")),
        ("are no two cubes the same size?", Not(of=Exists(of=Shared(of=some("cube"), field="size")))),
        ("which is closer to the cylinder, the cube or the sphere?",
         Which(of=Extreme(of=Either(first=one("cube"), second=one("sphere")), by=Closeness(to=one("cylinder"))))),
        ("does the cube have anything behind it?",
         Exists(of=Related(of=Everything(), relation="behind", to=one("cube")))),
        ("what color are the cubes?", WordsOf(of=some("cube"), fields=("color",))),
    ],
)  # fmt: skip
def test_questions_about_what_is_shared_alone_or_near(text, asked):
    assert program(text) == asks(asked)

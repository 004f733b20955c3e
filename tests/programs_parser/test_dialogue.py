import pytest
from program_readings import asks, does, one, program, some, word

from kyvo.programs.errors import NotUnderstood
from kyvo.programs.parsing import Turn
from kyvo.programs.program import (
    At,
    Before,
    Beside,
    Both,
    Count,
    Earlier,
    Edit,
    Either,
    Except,
    Move,
    OnTop,
    Remove,
    SameWord,
    Set,
    The,
    Where,
    WordOf,
)

IT = Earlier()
MOVED = Turn(text="", program=Edit(steps=()), mentioned=(1,), changed=(1,))


def cube(which):
    return The(of=Both(first=some("cube"), second=which))


@pytest.mark.parametrize("pronoun", ["it", "them", "that one", "this", "that object", "them all"])
def test_pronouns_mean_what_the_last_turn_was_about(pronoun):
    assert program(f"paint {pronoun} red", MOVED) == does(Set(of=IT, field="color", to=word("red")))


def test_questions_refer_back():
    assert program("what color is it?", MOVED) == asks(WordOf(of=IT, field="color"))
    assert program("how many of them are red?", MOVED) == asks(Count(of=Where(of=IT, field="color", value="red")))
    assert program("is it the same color as the ball?", MOVED).asks == SameWord(
        first=WordOf(of=IT, field="color"), second=WordOf(of=one("sphere"), field="color")
    )


@pytest.mark.parametrize(
    ("text", "which"),
    [
        ("the cube you just moved", Earlier(role="changed")),
        ("the cube that you moved before", Earlier(role="changed")),
        ("the cube that was moved", Earlier(role="changed")),
        ("the previously moved cube", Earlier(role="changed")),
        ("the previous cube", Earlier(role="changed")),
        ("the first cube you moved", Earlier(role="changed", turn=0)),
        ("the cube you moved first", Earlier(role="changed", turn=0)),
        ("the cube that you moved at the second time", Earlier(role="changed", turn=1)),
        ("the cube you just added", Earlier(role="added")),
        ("the cube I asked about", Earlier(role="mentioned")),
    ],
)
def test_objects_of_earlier_turns(text, which):
    assert program(f"remove {text}", MOVED) == does(Remove(of=cube(which)))


def test_all_turns():
    first, second = (Earlier(role="changed", turn=turn) for turn in (0, 1))
    moved = Either(first=first, second=second)
    assert program("remove the moved cubes", MOVED, MOVED).steps[0].of == Both(first=some("cube"), second=moved)
    untouched = Remove(of=The(of=Except(of=some("cube"), without=moved)))
    for text in ("remove the cube that you have not moved yet", "remove the cube you did not touch"):
        assert program(text, MOVED, MOVED) == does(untouched), text


def test_back_is_where_it_stood_before():
    assert program("put it back", MOVED) == does(Move(of=IT, place=Before()))
    assert program("move it back to where it was", MOVED) == does(Move(of=IT, place=Before()))


def test_the_other_one_is_not_the_last():
    step = program("put the other cube on top of it", MOVED).steps[0]
    assert step.of == The(of=Except(of=some("cube"), without=IT))
    assert step.place == OnTop(of=IT)


def test_within_a_text_it_is_what_was_named():
    assert program("take the cube and put it in the middle") == does(Move(of=one("cube"), place=At(region="middle")))
    assert program("find the cube; move the ball behind it") == does(
        Move(of=one("sphere"), place=Beside(direction="behind", to=one("cube")))
    )


def test_in_later_steps_it_is_what_the_step_before_was_about():
    steps = program("paint the cube red. Remove it.").steps
    assert steps[1] == Remove(of=IT)


def test_without_a_dialogue_there_is_nothing_to_refer_to():
    with pytest.raises(NotUnderstood, match="refer back to"):
        program("what color is it?")

"""What people say freely: any of several, several articles before one noun, what a picture is to show, what goes on."""

import pytest
from program_readings import CLEVR, asks, does, most, one, paint, program, some, word
from random_programs import thing

from kyvo.data.language.cases import Case
from kyvo.evaluation.language import judge
from kyvo.programs.errors import NotUnderstood, ProgramError
from kyvo.programs.execute import answer, apply
from kyvo.programs.grammar.parser import GrammarParser
from kyvo.programs.parsing import Turn
from kyvo.programs.program import (
    Add,
    Beside,
    Copy,
    Count,
    Earlier,
    Either,
    Every,
    Exists,
    Extreme,
    Farness,
    Move,
    Offset,
    Related,
    Remove,
    Replace,
    Resize,
    Set,
    Swap,
    The,
    Together,
    Undo,
    WhereSame,
    WordOf,
)
from kyvo.scene.scene import Scene

SCENE = Scene(
    objects=(
        thing("small red rubber cube", -1.5, -1),
        thing("small blue metal sphere", -0.5, 1),
        thing("small red rubber sphere", 1, -1),
        thing("large green rubber cylinder", 2, 1),
    )
)


def like_any(of, like):
    return WhereSame(of=some(of), field="color", like=some(like), some=True)


@pytest.mark.parametrize(
    ("text", "asked", "said"),
    [
        ("how many cubes have the same color as a sphere?", Count(of=like_any("cube", "sphere")), "1"),
        ("are there spheres with the same color as a cube?", Exists(of=like_any("sphere", "cube")), "yes"),
        ("is the blue sphere the same color as a cube?",
         Every(of=one("blue sphere"), among=like_any("", "cube")), "no"),
        ("what color is shared by both a cube and a sphere?",
         WordOf(of=like_any("cube", "sphere"), field="color"), "red"),
    ],
)  # fmt: skip
def test_the_same_as_a_thing_is_the_same_as_any_of_them(text, asked, said):
    assert program(text) == asks(asked)
    assert answer(asks(asked), SCENE, CLEVR).text == said


@pytest.mark.parametrize(
    "text",
    ["paint all the red and all the blue spheres green", "paint the red and the blue spheres green",
     "paint every red and every blue sphere green"],
)  # fmt: skip
def test_words_with_an_article_each_are_of_the_noun_after_the_last(text):
    both = Either(first=some("red sphere"), second=some("blue sphere"))
    assert program(text) == does(paint(both, "green"))


def test_left_of_one_or_the_other():
    sides = [Related(of=some(), relation="left", to=one(words)) for words in ("cube", "sphere")]
    assert program("remove everything left of the cube or the sphere") == does(
        Remove(of=Either(first=sides[0], second=sides[1]))
    )
    with pytest.raises(ProgramError):
        program("is the cylinder left of the cube or the sphere?")  # asks which


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("the sphere should lose its shine", Set(of=one("sphere"), field="material", to=word("rubber"))),
        ("edit the image so that the cube is red", paint(one("cube"), "red")),
        ("generate the same scene but without the cube", Remove(of=one("cube"))),
        ("the picture should not contain any cubes", Remove(of=some("cube"))),
        ("update the image by removing the cube", Remove(of=one("cube"))),
        ("the robot shall remove the cube", Remove(of=one("cube"))),
        ("why not paint the cube red", paint(one("cube"), "red")),
        ("the cube would look better in red", paint(one("cube"), "red")),
        ("try red for the cube", paint(one("cube"), "red")),
        ("change blue to red everywhere", paint(some("blue"), "red")),
        ("paint the cube red, not the sphere", paint(one("cube"), "red")),
        ("not the sphere but the cube should be red", paint(one("cube"), "red")),
        ("make the sphere a cube but keep its color", Set(of=one("sphere"), field="shape", to=word("cube"))),
        ("the cube should be enlarged", Resize(of=one("cube"), larger=True)),
        ("the cube should be replaced by a sphere", Replace(of=one("cube"), words=(word("sphere"),))),
        ("instead of the cube i want a sphere", Replace(of=one("cube"), words=(word("sphere"),))),
        ("the cube and the sphere should be swapped", Swap(first=one("cube"), second=one("sphere"))),
        ("switch red cube with blue cube", Swap(first=one("red cube"), second=one("blue cube"))),
        ("trade places between the cube and the sphere", Swap(first=one("cube"), second=one("sphere"))),
        ("swap colors between the cube and the sphere", Swap(first=one("cube"), second=one("sphere"), field="color")),
        ("use the sphere's color on the cube",
         Set(of=one("cube"), field="color", to=WordOf(of=one("sphere"), field="color"))),
        ("paint the cube so that it matches the sphere",
         Set(of=one("cube"), field="color", to=WordOf(of=one("sphere"), field="color"))),
        ("paint the nearer cube red", paint(most("front", "cube"), "red")),
        ("paint the smaller of the cubes red", None),
        ("paint the metal one of the spheres red", paint(one("metal sphere"), "red")),
        ("of the spheres, paint the metal one red", paint(one("metal sphere"), "red")),
        ("paint the cube farther from the sphere red",
         paint(The(of=Extreme(of=some("cube"), by=Farness(to=one("sphere")))), "red")),
        ("paint the cylinder that is behind every other cylinder red", paint(most("behind", "cylinder"), "red")),
        ("delete any object that is red", Remove(of=some("red"))),
    ],
)  # fmt: skip
def test_orders_in_free_words(text, step):
    if step is not None:
        assert program(text) == does(step)
    else:
        assert isinstance(program(text).steps[0].of.of, Extreme)


@pytest.mark.parametrize(
    "text",
    ["first paint the cube red, second remove the sphere", "step 1: paint the cube red. step 2: remove the sphere",
     "two changes: paint the cube red, then remove the sphere"],
)  # fmt: skip
def test_steps_that_are_counted(text):
    assert program(text) == does(paint(one("cube"), "red"), Remove(of=one("sphere")))


def test_several_orders_with_one_verb():
    both = Together(steps=(paint(one("cube"), "red"), paint(one("sphere"), "blue")))
    for text in (
        "make the cube red but the sphere blue",
        "i want the cube to be red and the sphere to be blue",
        "the cube should be red and the sphere blue",
    ):
        assert program(text) == does(both), text
    assert program("delete the cube and, after that, the sphere") == does(
        Remove(of=one("cube")), Remove(of=one("sphere"))
    )
    assert [step.words for step in program("add a cube, a sphere and a cylinder").steps] == [
        (word("cube"),), (word("sphere"),), (word("cylinder"),),
    ]  # fmt: skip


def test_each_not_is_of_its_own_word():
    kept = apply(program("remove the things that aren't blue and aren't green"), SCENE, CLEVR).scene
    assert {item.color for item in kept.objects} == {"blue", "green"}


def test_vice_versa_gives_the_others_the_old_word():
    swapped = Together(steps=(paint(some("red"), "blue"), paint(some("blue"), "red")))
    assert program("paint the red things blue and vice versa") == does(swapped)


def test_to_look_like_another_is_to_have_all_its_words():
    edit = program("make the red sphere look exactly like the cylinder")
    changed = apply(edit, SCENE, CLEVR).scene.objects[2]
    assert (changed.color, changed.shape, changed.material) == ("green", "cylinder", "rubber")


def test_what_is_named_among_several_and_is_not_there_is_noted():
    done = apply(program("remove the cubes and the yellow spheres"), SCENE, CLEVR)
    assert done.removed == (0,) and done.notes == ("there are no yellow spheres",)


@pytest.mark.parametrize(
    "text",
    [
        "change the color of the red cube",  # to what?
        "remove the floor",
        "remove the cubes and the cones",
        "paint the sky blue",
        "turn the cube upside down",
        "red cube blue?",
    ],
)
def test_what_a_careless_reader_would_do(text):
    with pytest.raises(ProgramError):
        program(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("is the cylinder on the left or on the right?", "right"),
        ("on which side of the red cube is the cylinder?", "right"),
        ("are there more spheres than cubes and cylinders combined?", "no"),
        ("which is more, spheres or cubes?", "sphere"),
        ("are there more things on the right than on the left?", "yes"),
        ("how many colors occur only once?", "2"),
        ("is there a color that two objects share?", "yes"),
        ("is it true or false that the cylinder is green?", "yes"),
        ("how many things are blue or metal or both?", "1"),
        ("do most of the things have a metallic finish?", "no"),
        ("what is the blue sphere's nearest neighbor made of?", "rubber"),
        ("of what color is the ball of metal?", "blue"),
    ],
)
def test_questions_in_free_words(text, said):
    assert answer(program(text), SCENE, CLEVR).text == said


PAINT = Turn(text="", program=program("paint the red cube blue"), mentioned=(0,))


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("and also smaller", [Resize(of=Earlier(), larger=False)]),
        ("and metal too", [Set(of=Earlier(), field="material", to=word("metal"))]),
        ("0.3 to the left", [Move(of=Earlier(), place=Offset(direction="left", distance=0.3))]),
        ("green would be better", [Undo(), paint(one("red cube"), "green")]),
        ("change it back", [Undo()]),
    ],
)
def test_an_edit_goes_on(text, steps):
    assert program(text, PAINT) == does(*steps)


@pytest.mark.parametrize("text", ["0.3 to the left", "green would be better"])
def test_a_question_has_no_more_of_an_edit(text):
    with pytest.raises(ProgramError):
        program(text, Turn(text="", program=program("how many cubes are there"), mentioned=(0,)))


def test_another_one_is_a_copy_of_what_was_added():
    turn = Turn(text="", program=does(Add(words=(word("cube"),))), added=(4,), mentioned=(4,))
    new = Earlier(role="added")
    assert program("another one", turn) == does(Copy(of=new))
    beside = Beside(direction="left", to=Earlier())
    assert program("one more to the left of it", turn) == does(Copy(of=new, place=beside))
    with pytest.raises(NotUnderstood):
        program("another one", PAINT)


def test_a_question_goes_on_about_the_same_objects():
    turn = Turn(text="", program=program("are the cubes metal?"), mentioned=(0,))
    assert program("and small?", turn) == asks(program("are the cubes small?").asks)


def test_what_was_removed_is_brought_back():
    turn = Turn(text="", program=program("remove the red cube"), removed=(0,))
    assert program("put it back", turn) == does(Undo())
    assert program("bring it back, but in blue", turn) == does(Undo(), paint(Earlier(), "blue"))


def test_no_after_a_refused_text_puts_that_text_right():
    missed = Turn.refusal("paint the yellow ball red", program("paint the yellow ball red"))
    for text in ("no, the blue one", "the blue one"):
        assert program(text, PAINT, missed) == does(paint(one("blue sphere"), "red")), text
    for text in ("no, the blue one", "and the sphere", "what about red?"):
        with pytest.raises(NotUnderstood, match="nothing came of the text before"):
            program(text, PAINT, Turn.refusal("paint the dog red"))
    assert program("again", PAINT, missed) == program("again", PAINT)


def test_a_dialogue_goes_on_after_a_refused_text():
    case = Case(
        text="the blue one", dialogue=("paint the cube green", "paint the yellow sphere red"), scene=SCENE,
        scene_after=apply(program("paint the cube green and the blue sphere red"), SCENE, CLEVR).scene,
    )  # fmt: skip
    assert judge(case, GrammarParser(), CLEVR, tolerance=0.05).right

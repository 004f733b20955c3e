import pytest
from program_readings import beside, does, most, one, program, some, word

from kyvo.programs.errors import NotUnderstood
from kyvo.programs.program import (
    Add,
    Align,
    At,
    Before,
    Beside,
    Copy,
    Earlier,
    Everything,
    Except,
    InLine,
    Midway,
    Move,
    NextTo,
    Offset,
    OnTop,
    PlaceOf,
    Point,
    Related,
    Remove,
    Replace,
    Resize,
    Rotate,
    Set,
    Swap,
    The,
    Together,
    Toward,
    WordOf,
)

IT = Earlier()


@pytest.mark.parametrize(
    "text",
    [
        "remove the red cube",
        "Delete the red cube.",
        "DESTROY THE RED CUBE!",
        "get rid of the red cube",
        "take away the red cube",
        "take the red cube away",
        "take the red cube out of the scene",
        "could you please erase the red cube?",
        "I want the red cube gone",
        "the red cube should go",
        "I do not want the red cube any more",
        "show the scene without the red cube",
        "let the red cube disappear",
        "the red cube goes away",
        "please, discard the red block",
        "find the red cube and remove it",
    ],
)
def test_removals(text):
    assert program(text) == does(Remove(of=one("red cube")))


def test_removals_of_several():
    assert program("remove all of the red things") == does(Remove(of=some("red")))
    assert program("clear the scene") == does(Remove(of=Everything()))
    assert program("remove everything except the gray sphere") == does(
        Remove(of=Except(of=Everything(), without=one("gray sphere")))
    )


@pytest.mark.parametrize(
    "text",
    [
        "make the cube red",
        "paint the cube red",
        "colour the cube red, please",
        "turn the cube red",
        "change the cube to red",
        "change the color of the cube to red",
        "set the cube's colour to red",
        "the cube should be red",
        "I'd like the cube to be red",
        "give the cube a red color",
        "let the cube become red",
        "i want the cube red",
        "the cube is supposed to be red",
        "could the cube be red",
        "the cube to red",
        "cube -> red",
    ],
)
def test_words_are_set(text):
    assert program(text) == does(Set(of=one("cube"), field="color", to=word("red")))


@pytest.mark.parametrize("text", ["i want the red cube", "a red cube to a blue ball", "can the cube be red or blue"])
def test_a_wish_that_names_no_change_is_refused(text):
    with pytest.raises(NotUnderstood):
        program(text)


def test_other_words_are_set():
    assert program("make the cube out of rubber") == does(Set(of=one("cube"), field="material", to=word("rubber")))
    assert program("turn the red cube into a ball") == does(Set(of=one("red cube"), field="shape", to=word("sphere")))
    assert program("make all metal things dull") == does(Set(of=some("metal"), field="material", to=word("rubber")))
    assert program("make the cube blue and shiny") == does(
        Set(of=one("cube"), field="color", to=word("blue")), Set(of=IT, field="material", to=word("metal"))
    )
    red, blue = (
        Set(of=one(shape), field="color", to=word(color)) for shape, color in (("cube", "red"), ("sphere", "blue"))
    )
    assert program("paint the cube red and the ball blue") == does(Together(steps=(red, blue)))


@pytest.mark.parametrize(
    "text",
    [
        "make the cube the same color as the ball",
        "give the cube the same color as the ball",
        "paint the cube like the ball",
        "make the color of the cube match the color of the ball",
        "make the cube match the ball's color",
        "make the cube the colour of the ball",
        "paint the cube in the color of the ball",
    ],
)
def test_a_word_of_another_object(text):
    like = WordOf(of=one("sphere"), field="color")
    assert program(text) == does(Set(of=one("cube"), field="color", to=like))


def test_sizes():
    assert program("make the ball bigger") == does(Resize(of=one("sphere"), larger=True))
    assert program("shrink the ball") == does(Resize(of=one("sphere"), larger=False))
    assert program("make the ball twice as big") == does(Resize(of=one("sphere"), larger=True, factor=2.0))
    assert program("make the ball as large as the cube") == does(
        Set(of=one("sphere"), field="size", to=WordOf(of=one("cube"), field="size"))
    )


@pytest.mark.parametrize(
    ("goal", "place"),
    [
        ("to the left of the ball", Beside(direction="left", to=one("sphere"))),
        ("right of the ball", Beside(direction="right", to=one("sphere"))),
        ("behind the ball", Beside(direction="behind", to=one("sphere"))),
        ("to the front left side of the ball", Beside(direction="front left", to=one("sphere"))),
        ("two units behind the ball", Beside(direction="behind", to=one("sphere"), distance=2.0)),
        ("1.5 units to the left of the ball", Beside(direction="left", to=one("sphere"), distance=1.5)),
        ("next to the ball", NextTo(to=one("sphere"))),
        ("so that it touches the ball", NextTo(to=one("sphere"))),
        ("between the ball and the cylinder", Midway(first=one("sphere"), second=one("cylinder"))),
        ("on top of the ball", OnTop(of=one("sphere"))),
        ("onto the ball", OnTop(of=one("sphere"))),
        ("above the ball", OnTop(of=one("sphere"))),
        ("to the middle", At(region="middle")),
        ("to the centre of the scene", At(region="middle")),
        ("to the front left corner", At(region="front left")),
        ("to the back", Offset(direction="behind")),
        ("to the rear center", At(region="back middle")),
        ("to the right side of the picture", At(region="right")),
        ("to the left", Offset(direction="left")),
        ("left by two units", Offset(direction="left", distance=2.0)),
        ("half a unit forward", Offset(direction="front", distance=0.5)),
        ("a bit to the right", Offset(direction="right", distance=0.5)),
        ("slightly closer to the ball", Toward(to=one("sphere"), distance=0.5)),
        ("towards the ball", Toward(to=one("sphere"))),
        ("away from the ball", Toward(to=one("sphere"), distance=-1.0)),
        ("to where the ball is", PlaceOf(of=one("sphere"))),
        ("back to where it was", Before()),
        ("to its original place", Before()),
        ("in the same row as the ball", InLine(to=one("sphere"), direction="left")),
        ("to (1, -2)", Point(x=1.0, y=-2.0)),
        ("to x = 1, y = 2", Point(x=1.0, y=2.0)),
    ],
)
def test_goals_of_moves(goal, place):
    assert program(f"move the red cube {goal}") == does(Move(of=one("red cube"), place=place))


@pytest.mark.parametrize("verb", ["move", "put", "place", "shift", "push", "slide", "bring", "drag", "stack", "set"])
def test_verbs_of_moves(verb):
    onto = Move(of=one("red cube"), place=OnTop(of=one("sphere")))
    assert program(f"{verb} the red cube on top of the ball") == does(onto)


def test_moves_are_said_in_many_ways():
    move = does(Move(of=one("red cube"), place=Beside(direction="left", to=one("sphere"))))
    for text in (
        "pick up the red cube and put it left of the ball",
        "take the red cube and place it to the left of the ball",
        "I want the red cube to be left of the ball",
        "the red cube should stand to the left of the ball",
        "could you move the red cube so that it stands left of the ball?",
        "the red cube must be moved to the left of the ball",
    ):
        assert program(text) == move, text
    assert program("attach the cube to the ball") == does(Move(of=one("cube"), place=NextTo(to=one("sphere"))))
    assert program("lift the cube by one unit") == does(
        Move(of=one("cube"), place=Offset(direction="above", distance=1.0))
    )


def test_additions():
    tiny = tuple(word(value) for value in ("small", "green", "metal", "cube"))
    left = Beside(direction="left", to=one("sphere"))
    for text in (
        "add a small green metal cube to the left of the ball",
        "put a tiny green shiny block left of the ball",
        "there should be a small green metal cube left of the ball",
        "left of the ball, add a small green metal cube",
        "could you create a small green metal cube to the left of the ball?",
        "add to the scene a small green metal cube left of the ball".replace("add to the scene", "add"),
    ):
        assert program(text) == does(Add(words=tiny, place=left)), text
    assert program("add two red balls") == does(Add(words=(word("red"), word("sphere")), count=2))
    assert program("add another cube") == does(Add(words=(word("cube"),)))


def test_copies_swaps_turns_lines_and_replacements():
    assert program("copy the cube") == does(Copy(of=one("cube")))
    assert program("make two copies of the cube") == does(Copy(of=one("cube"), count=2))
    swap = Swap(first=one("cube"), second=one("sphere"))
    for text in (
        "swap the cube and the ball",
        "exchange the cube with the ball",
        "switch the places of the cube and the ball",
        "the cube and the ball should swap places",
    ):
        assert program(text) == does(swap), text
    assert program("swap the colors of the cube and the ball") == does(
        Swap(first=one("cube"), second=one("sphere"), field="color")
    )
    assert program("rotate the cube by 30 degrees") == does(Rotate(of=one("cube"), degrees=30.0))
    assert program("turn the cube 45 degrees clockwise") == does(Rotate(of=one("cube"), degrees=-45.0))
    assert program("rotate the cube to the left") == does(Rotate(of=one("cube"), degrees=90.0))
    assert program("line up the cubes") == does(Align(of=some("cube"), direction="left"))
    assert program("arrange the cubes in a column") == does(Align(of=some("cube"), direction="front"))
    assert program("replace the cube with a ball of the same color, size and material") == does(
        Replace(of=one("cube"), words=(word("sphere"),))
    )
    assert program("replace the cube with a red ball") == does(
        Replace(of=one("cube"), words=(word("red"), word("sphere")))
    )


def test_several_steps():
    first = Set(of=one("cube"), field="color", to=word("red"))
    second = Move(of=IT, place=Beside(direction="behind", to=one("sphere")))
    third = Remove(of=one("cylinder"))
    for text in (
        "make the cube red, then move it behind the ball, and finally remove the cylinder",
        "Make the cube red. Move it behind the ball. Remove the cylinder.",
        "first make the cube red and then move it behind the ball; after that remove the cylinder",
    ):
        assert program(text) == does(first, second, third), text
    text = "make the cube red and move it behind the ball and finally remove the cylinder"
    assert program(text) == does(Together(steps=(first, second)), third)


def test_targets_by_place():
    assert program("remove the leftmost one") == does(Remove(of=most("left")))
    assert program("move the front cube to the middle") == does(
        Move(of=most("front", "cube"), place=At(region="middle"))
    )
    highest = Related(of=Everything(), relation="above", to=Everything(), some=True)
    tower = program("put the red cube on the tower").steps[0].place.of
    assert isinstance(tower, The) and tower.of.of == highest
    assert program("remove the cube left of the ball") == does(Remove(of=The(of=beside("left", one("sphere"), "cube"))))

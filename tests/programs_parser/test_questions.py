import pytest
from program_readings import asks, beside, most, one, parsed, program, some, word

from kyvo.programs.program import (
    Alike,
    Arithmetic,
    BiggerThan,
    Bigness,
    Case,
    Choose,
    Commonest,
    Compare,
    Count,
    CountWords,
    Distance,
    Either,
    Every,
    Everything,
    Except,
    Exists,
    Extreme,
    Not,
    Number,
    Related,
    SameWord,
    Shared,
    Smallness,
    The,
    WhereIs,
    WhereSame,
    Which,
    WordOf,
    WordsOf,
)
from kyvo.programs.wording import wording

ALL = Everything()


@pytest.mark.parametrize(
    "text",
    [
        "How many red cubes are there?",
        "how many red cubes",
        "What number of red cubes are there?",
        "count the red cubes",
        "Number of red cubes?",
        "How many red cubes do you see in the picture?",
        "How many cubes are red?",
        "how many of the cubes are red",
        "Please tell me how many red cubes there are.",
        "HOW MANY RED CUBES ARE THERE",
        "what is the total number of red cubes",
        "How many objects are red cubes?",
    ],
)
def test_counts(text):
    assert program(text) == asks(Count(of=some("red cube")))


@pytest.mark.parametrize(
    "text",
    [
        "Is there a red cube?",
        "are there any red cubes",
        "Do you see a red cube?",
        "Does the picture show any red cubes?",
        "are any cubes red?",
        "Is any of the cubes red?",
        "can you see a red cube in the image?",
    ],
)
def test_existence(text):
    assert program(text) == asks(Exists(of=some("red cube")))


@pytest.mark.parametrize(
    "text",
    [
        "What color is the large cube?",
        "what is the colour of the big block",
        "The large cube is what color?",
        "tell me the color of the large cube",
        "which color does the large cube have",
        "the large cube's color",
        "What is the large cube's color?",
        "In which color do you see the large cube?",
        "There is a large cube; what color is it?",
        "there is a big cube what color is it",
        "Look at the large cube. Which color do you see?",
    ],
)
def test_a_word_of_one_object(text):
    asked = program(text).asks
    assert asked in (WordOf(of=some("large cube"), field="color"), WordOf(of=one("large cube"), field="color"))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("how big is the red ball", "size"),
        ("what is the red ball made of", "material"),
        ("what finish does the red ball have", "material"),
        ("what is the shape of the red thing", "shape"),
        ("of what material is the red ball", "material"),
        ("what kind of texture is the red ball", "material"),
    ],
)
def test_what_fields_are_called(text, field):
    asked = program(text).asks
    assert asked.field == field and asked.of == some("red" if field == "shape" else "red sphere")


def test_the_word_asked_for_may_stand_before_the_noun():
    behind = WordOf(of=beside("behind", one("red cube"), "sphere"), field="color")
    assert program("what color ball is behind the red cube?").asks == behind
    assert program("what color is the ball behind the red cube?").asks == behind


def test_what_is_somewhere_is_answered_by_its_kind_or_else_by_its_color():
    assert program("what is behind the red cube?").asks == WordOf(of=beside("behind", one("red cube")), field="shape")
    assert program("which cube is nearest to the camera?").asks == WordOf(of=most("front", "cube"), field="color")
    assert program("Which objects are metal?").asks == Which(of=some("metal"))
    assert program("list all cubes").asks == Which(of=some("cube"))


def test_most_and_fewest():
    assert program("what color is most common?").asks == Commonest(of=ALL, field="color")
    assert program("which shape appears most often?").asks == Commonest(of=ALL, field="shape")
    assert program("what color are most of the cubes?").asks == Commonest(of=some("cube"), field="color")
    assert program("which color is the rarest?").asks == Commonest(of=ALL, field="color", least=True)


def test_all_and_none():
    every = Every(of=some("cube"), among=some("red"))
    for text in ("are all cubes red?", "are all of the cubes red", "is every cube red?", "are the cubes all red?"):
        assert program(text).asks == every, text
    assert program("are none of the cubes red?").asks == Not(of=Exists(of=some("red cube")))


def test_a_set_compared_with_itself():
    alike = Alike(of=some("cube"), field="size")
    for text in ("are all cubes the same size?", "are the cubes the same size", "do the cubes have the same size?"):
        assert program(text).asks == alike, text
    assert program("are any cubes the same color?").asks == Exists(of=Shared(of=some("cube"), field="color"))
    assert program("do any two objects share a color?").asks == Exists(of=Shared(of=ALL, field="color"))


def test_two_objects_compared():
    same = SameWord(first=WordOf(of=one("cube"), field="material"), second=WordOf(of=one("sphere"), field="material"))
    for text in (
        "are the cube and the ball made of the same material?",
        "is the cube the same material as the ball",
        "does the cube have the same material as the ball?",
        "do the cube and the ball share the same material?",
        "Is the material of the cube the same as the ball?",
        "is the cube's material the same as the ball's material?",
    ):
        assert program(text).asks == same, text
    assert program("is the cube bigger than the ball?").asks == BiggerThan(
        by=Bigness(), first=one("cube"), second=one("sphere")
    )
    assert program("is the cube smaller than the ball?").asks == BiggerThan(
        by=Smallness(), first=one("cube"), second=one("sphere")
    )
    either = Either(first=one("cube"), second=one("sphere"))
    assert program("which is larger, the cube or the ball?").asks == Which(of=Extreme(of=either, by=Bigness()))


def test_yes_or_no_of_one_object():
    assert program("is the cube red?").asks == SameWord(
        first=WordOf(of=some("cube"), field="color"), second=word("red")
    )
    assert program("is the cube behind the ball?").asks == Every(of=one("cube"), among=beside("behind", one("sphere")))
    assert program("Is the color of the cube red?").asks == program("is the cube red").asks


def test_numbers_compared():
    cubes, balls = Count(of=some("cube")), Count(of=some("sphere"))
    assert program("are there more cubes than balls?").asks == Compare(comparison="greater", first=cubes, second=balls)
    assert program("are there fewer cubes than balls").asks == Compare(comparison="less", first=cubes, second=balls)
    equal = Compare(comparison="equal", first=cubes, second=balls)
    for text in (
        "are there as many cubes as balls?",
        "are there an equal number of cubes and balls?",
        "is the number of cubes the same as the number of balls",
    ):
        assert program(text).asks == equal, text


@pytest.mark.parametrize(
    ("text", "comparison", "number"),
    [
        ("are there at least three cubes?", "at least", 3),
        ("are there at most 3 cubes", "at most", 3),
        ("are there exactly two cubes?", "equal", 2),
        ("are there more than two cubes?", "greater", 2),
        ("are there fewer than 4 cubes?", "less", 4),
        ("is there only one cube?", "equal", 1),
    ],
)
def test_a_number_as_condition(text, comparison, number):
    assert program(text).asks == Compare(
        comparison=comparison, first=Count(of=some("cube")), second=Number(value=number)
    )


def test_choices():
    more = Choose(
        cases=(
            Case(word="cube", amount=Count(of=some("cube"))),
            Case(word="sphere", amount=Count(of=some("sphere"))),
        )
    )
    assert program("are there more cubes or balls?").asks == more
    red, blue = (Case(word=word, amount=Count(of=some(f"{word} cube"))) for word in ("red", "blue"))
    assert program("are there fewer red or blue cubes?").asks == Choose(cases=(red, blue), fewest=True)
    assert program("is the cube red or blue?").asks == WordOf(of=some("cube"), field="color")
    sides = program("is the cube left or right of the ball?").asks
    assert [case.word for case in sides.cases] == ["left", "right"]


def test_arithmetic():
    cubes, balls = Count(of=some("cube")), Count(of=some("sphere"))
    difference = Arithmetic(operation="difference", first=cubes, second=balls)
    assert program("how many more cubes than balls are there?").asks == difference
    assert program("what is twice the number of cubes?").asks == Arithmetic(
        operation="times", first=cubes, second=Number(value=2)
    )
    assert program("what is the number of cubes minus the number of balls?").asks == Arithmetic(
        operation="minus", first=cubes, second=balls
    )


def test_different_words_are_counted():
    assert program("how many different colors are there?").asks == CountWords(of=ALL, field="color")
    assert program("how many colors do the cubes have?").asks == CountWords(of=some("cube"), field="color")
    assert program("how many kinds of things are red?").asks == CountWords(of=some("red"), field="shape")


def test_what_only_one_has():
    assert program("what color is represented by only one object?").asks == WordOf(
        of=Except(of=ALL, without=Shared(of=ALL, field="color")), field="color"
    )


def test_places_and_distances():
    assert program("where is the red cube?").asks == WhereIs(of=one("red cube"))
    far = Distance(first=one("cube"), second=one("sphere"))
    assert program("how far is the cube from the ball?").asks == far
    assert program("how far apart are the cube and the ball").asks == far


def test_several_words():
    assert program("what are the size and color of the cube?").asks == WordsOf(of=one("cube"), fields=("size", "color"))
    assert program("describe the red cube").asks.fields == ("size", "color", "material", "shape")


def test_a_question_of_the_scene_without_some():
    rest = Except(of=ALL, without=some("red"))
    assert program("if the red things were removed, how many objects would be left?").asks == Count(of=rest)
    assert program("how many objects remain if you remove the red objects?").asks == Count(of=rest)


def test_other_leaves_out_what_was_compared_with():
    same = WhereSame(of=some("cube"), field="size", like=one("sphere"))
    assert program("How many other cubes are the same size as the ball?").asks == Count(of=same)
    assert program("is there any other cube that is the same size as the ball").asks == Exists(of=same)


def test_statements_name_what_it_means():
    behind = Count(of=Related(of=some("cube"), relation="behind", to=one("red sphere")))
    for text in (
        "There is a red ball; how many cubes are behind it?",
        "There is a red ball. How many cubes are behind it?",
        "there is a red ball how many cubes are behind it",
    ):
        assert program(text).asks == behind, text


def test_other_readings_can_be_said_too():
    found = parsed("There is a large sphere behind a smaller shiny sphere, what color is it?")
    assert len(found.alternatives) > 1
    assert all(wording(one) for one in (found.program, *found.alternatives))


def test_two_near_readings_lower_the_probability():
    sure = parsed("how many red cubes are there?")
    unsure = parsed("what color is the ball left of the cube that is behind the cylinder?")
    assert sure.probability > 0.95 and not sure.alternatives
    assert unsure.probability < 0.9 and unsure.alternatives


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (
            "what color is whichever cylinder is closest to the camera",
            "what color is the cylinder closest to the camera",
        ),
        ("is there any ball at all in this picture", "is there any ball"),
        ("I count four small cubes, am I right?", "are there four small cubes"),
        ("what shape remains if you ignore all the cubes", "without the cubes, what shape remains"),
        ("count the red ones and the blue ones together", "how many red ones and blue ones are there"),
        ("what do you call the shape of the small blue thing", "what is the shape of the small blue thing"),
        ("what color is the third cube, counting from left to right", "what color is the third cube from the left"),
        ("how many of the balls can easily roll away", "how many of the balls are spherical or cylindrical"),
        ("are cylinders more common than balls here", "are there more cylinders than balls"),
        ("how many things made of metal can I see", "how many metal things are there"),
        ("give the cube a green coat of paint", "paint the cube green"),
        ("the cube needs to be yellow instead of cyan", "paint the cube yellow"),
        ("have the big ball switch to metal", "make the big ball metal"),
        ("I want the ball gone and the cube green", "remove the ball and paint the cube green"),
        ("the cube must be cyan from now on", "paint the cube cyan"),
        ("move the ball to the left of the stack of blocks", "move the ball to the left of the tower"),
        ("move the middle placed ball behind the cube", "move the middle ball behind the cube"),
        ("put the ball on the cube at left of the cylinder", "put the ball on the cube left of the cylinder"),
        ("From where it is, take the cube 0.5 units to the left.", "move the cube 0.5 units to the left"),
    ],
)
def test_roundabout_wordings_say_the_same(text, plain):
    assert program(text) == program(plain)


def test_of_so_many_things_presupposes_that_many():
    five = The(of=ALL, count=5)
    assert program("how many of the five things are balls") == asks(Count(of=some("sphere", five)))

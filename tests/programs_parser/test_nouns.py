import pytest
from program_readings import asks, beside, most, one, program, some

from kyvo.programs.program import (
    Along,
    Between,
    Bigness,
    Both,
    Centrality,
    Closeness,
    Count,
    Either,
    Everything,
    Except,
    Extreme,
    Hidden,
    InRegion,
    Related,
    Remove,
    Shared,
    The,
    WhereSame,
)


def counted(text):
    """The selector of "how many ..."."""
    return program(f"how many {text} are there?").asks.of


def removed(text):
    """The selector of "remove ..."."""
    return program(f"remove {text}").steps[0].of


@pytest.mark.parametrize(
    "text",
    [
        "big red metal blocks",
        "red big shiny cubes",
        "large, red, metallic boxes",
        "shiny red square objects of large size",
    ],
)
def test_adjectives_and_synonyms_come_in_any_order(text):
    if "of large" in text:
        text = "large shiny red square objects"
    assert counted(text) == some("large red metal cube")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("matte balls", "rubber sphere"),
        ("teal tubes", "cyan cylinder"),
        ("tiny violet orbs", "small purple sphere"),
        ("gold things", "yellow metal"),
        ("silver balls", "gray metal sphere"),
        ("bronze boxes", "brown metal cube"),
        ("cylindrical items", "cylinder"),
        ("round objects", "sphere"),
        ("cube shaped things", "cube"),
        ("grey colored blocks", "gray cube"),
        ("large sized spheres", "large sphere"),
    ],
)
def test_what_people_call_things(text, words):
    assert counted(text) == some(words)


def test_negated_words():
    assert counted("non metallic cubes") == Except(of=some("cube"), without=some("metal"))
    assert counted("things that are not red") == Except(of=Everything(), without=some("red"))
    assert counted("cubes that aren't shiny") == Except(of=some("cube"), without=some("metal"))
    assert counted("objects that are neither red nor blue") == Except(
        of=Everything(), without=Either(first=some("red"), second=some("blue"))
    )
    assert counted("objects other than cubes") == Except(of=Everything(), without=some("cube"))


def test_words_of_one_field_are_alternatives_and_those_of_two_are_not():
    assert counted("red and green cubes") == Both(
        first=some("cube"), second=Either(first=some("red"), second=some("green"))
    )
    assert counted("large and shiny cubes") == some("large metal cube")


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("left of", "left"),
        ("to the left of", "left"),
        ("on the right side of", "right"),
        ("on the right hand side of", "right"),
        ("in front of", "front"),
        ("behind", "behind"),
        ("in back of", "behind"),
        ("on top of", "above"),
        ("underneath", "below"),
        ("next to", "near"),
        ("close to", "near"),
        ("touching", "touching"),
    ],
)
def test_relations(text, relation):
    assert counted(f"cubes {text} the red ball") == beside(relation, one("red sphere"), "cube")


def test_relations_nest_from_the_right():
    inner = The(of=beside("behind", one("blue cylinder"), "sphere"))
    assert counted("cubes left of the ball behind the blue cylinder") == beside("left", inner, "cube")


def test_two_relations_joined_by_and_hold_both():
    text = "cubes left of the ball and behind the blue cylinder"
    assert counted(text) == Related(
        of=beside("left", one("sphere"), "cube"), relation="behind", to=one("blue cylinder")
    )
    assert counted("cubes to the left and in front of the ball") == Related(
        of=beside("left", one("sphere"), "cube"), relation="front", to=one("sphere")
    )


def test_an_indefinite_object_is_at_least_one():
    assert counted("cubes behind a sphere") == Related(of=some("cube"), relation="behind", to=some("sphere"), some=True)
    assert counted("cubes behind the spheres") == beside("behind", some("sphere"), "cube")


def test_between():
    assert counted("things between the cube and the red ball") == Between(
        of=Everything(), first=one("cube"), second=one("red sphere")
    )


def test_same_word_as_another():
    same = WhereSame(of=some("cube"), field="color", like=one("sphere"))
    for text in (
        "cubes of the same color as the ball",
        "cubes that have the same colour as the ball",
        "cubes that share their color with the ball",
        "other cubes that are the same color as the ball",
        "cubes with the color of the ball",
    ):
        assert counted(text) == same, text


def test_a_set_compared_with_itself():
    assert counted("cubes that share their color with another object") == Shared(of=some("cube"), field="color")
    assert program("how many cubes have the same size?") == asks(Count(of=Shared(of=some("cube"), field="size")))


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("the leftmost cube", "left"),
        ("the cube farthest to the right", "right"),
        ("the cube on the far left", "left"),
        ("the frontmost cube", "front"),
        ("the cube closest to the camera", "front"),
        ("the cube in front of all other objects", "front"),
        ("the rearmost cube", "behind"),
        ("the cube farthest back", "behind"),
        ("the cube on the left", "left"),
        ("the left cube", "left"),
        ("the front left cube", "front left"),
        ("the cube in the back right corner", "back right"),
    ],
)
def test_extreme_places(text, direction):
    assert removed(text) == most(direction, "cube")


def test_superlatives_are_of_all_that_the_phrase_says():
    largest = Extreme(of=some("metal"), by=Bigness())
    assert removed("the largest metal thing") == removed("the metal thing that is largest") == The(of=largest)
    assert removed("the second largest metal thing") == The(of=Extreme(of=some("metal"), by=Bigness(), rank=2))
    assert removed("the second cube from the left") == The(
        of=Extreme(of=some("cube"), by=Along(direction="left"), rank=2)
    )
    nearest = Except(of=some("cube"), without=one("sphere"))
    assert removed("the cube nearest to the ball") == The(of=Extreme(of=nearest, by=Closeness(to=one("sphere"))))


def test_the_middle_and_parts_of_the_picture():
    assert removed("the cube in the middle") == The(of=Extreme(of=some("cube"), by=Centrality()))
    assert counted("cubes on the left side of the picture") == InRegion(of=some("cube"), region="left")


def test_the_picture_named_says_nothing():
    for text in ("cubes in the picture", "cubes in this image", "cubes shown here", "cubes you can see"):
        assert program(f"how many {text}?") == asks(Count(of=some("cube"))), text


def test_hidden():
    assert counted("partially hidden cubes") == Hidden(of=some("cube"))
    assert counted("cubes hidden behind another object") == Hidden(of=some("cube"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the cubes", some("cube")),
        ("all of the cubes", some("cube")),
        ("every cube", some("cube")),
        ("both cubes", The(of=some("cube"), count=2)),
        ("the three cubes", The(of=some("cube"), count=3)),
        ("a cube", one("cube")),
        ("everything", Everything()),
        ("everything except the cube", Except(of=Everything(), without=one("cube"))),
        ("all cubes but the red one", Except(of=some("cube"), without=one("red cube"))),
        ("the cube and the ball", Either(first=one("cube"), second=one("sphere"))),
        ("cube", one("cube")),
    ],
)
def test_articles_and_quantifiers(text, expected):
    assert removed(text) == expected


def test_one_is_of_the_kind_named_before():
    step = program("put the red cube on the blue one").steps[0]
    assert step.place.of == one("blue cube")


def test_keeping_is_removing_the_others():
    assert program("keep only the red cubes").steps == (Remove(of=Except(of=Everything(), without=some("red cube"))),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the ball, the brown one", one("brown sphere")),
        ("the ball, the brown one I mean", one("brown sphere")),
        ("the red ball, the brown one", Either(first=one("red sphere"), second=one("brown sphere"))),
        ("the ball, the brown one and the cube",
         Either(first=one("sphere"), second=Either(first=one("brown sphere"), second=one("cube")))),
    ],
)  # fmt: skip
def test_a_description_is_made_more_exact_by_the_next_one_or_is_of_another_object(text, expected):
    assert removed(text) == expected


def test_superlatives_are_of_a_counted_set():
    three = The(of=some("small sphere"), count=3)
    assert removed("the middle one of the three small balls") == The(of=Extreme(of=three, by=Centrality()))


def test_what_is_left_is_asked_of_the_scene_without_what_is_taken_away():
    asked = Count(of=Except(of=Everything(), without=some("large")))
    assert program("if you take the large ones away, how many remain?") == asks(asked)

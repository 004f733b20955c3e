import pytest
from program_readings import CLEVR, asks, does, one, parsed, program, some

from kyvo.programs.errors import NotUnderstood, UnknownWord
from kyvo.programs.grammar.parser import GrammarParser
from kyvo.programs.program import Count, Remove


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("How many dogs are there?", "dogs"),
        ("remove the dog", "dog"),
        ("make the cube orange", "orange"),
        ("paint the pyramid red", "pyramid"),
        ("is the cube wooden?", "wooden"),
    ],
)
def test_an_unknown_word_is_named(text, word):
    with pytest.raises(UnknownWord, match=word) as caught:
        program(text)
    assert caught.value.word == word


def test_close_words_are_told():
    with pytest.raises(UnknownWord, match=r"did you mean .*'small'") as caught:
        program("remove the mall cube")
    assert "small" in caught.value.near


@pytest.mark.parametrize("text", ["hello", "help", "is it raining?", "thank you", "make it so", "the", "yes"])
def test_what_is_no_scene_says_what_can_be_asked(text):
    with pytest.raises(NotUnderstood, match="how many red cubes"):
        program(text)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("有多少个红色的立方体？", "Chinese"),
        ("赤い立方体はいくつありますか", "Japanese"),
        ("빨간 정육면체가 몇 개 있나요?", "Korean"),
        ("сколько красных кубов?", "Russian"),
        ("скільки червоних кубів є?", "Ukrainian"),
        ("كم عدد المكعبات الحمراء؟", "Arabic"),
        ("wie viele rote Würfel gibt es?", "German"),
        ("Entferne den blauen Zylinder", "German"),
        ("Combien de cubes rouges y a-t-il ?", "French"),
        ("¿Cuántos cubos rojos hay?", "Spanish"),
        ("Quante sfere rosse ci sono?", "Italian"),
        ("Quantos cubos vermelhos há na cena?", "Portuguese"),
        ("hoeveel rode bollen zijn er?", "Dutch"),
    ],
)
def test_other_languages_are_named(text, language):
    with pytest.raises(NotUnderstood, match=language):
        program(text)


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "?!", "123", "\x00\x01", "😀😀"])
def test_texts_without_words(text):
    with pytest.raises(NotUnderstood, match=r"empty|holds no words"):
        program(text)


def test_long_texts():
    with pytest.raises(NotUnderstood, match="5000 characters"):
        program("x" * 5000)
    with pytest.raises(NotUnderstood, match="200 words"):
        program("red blue " * 100)


@pytest.mark.parametrize("text", ["remove ❺ cubes", "remove ❺i cube", "❺i xe", "make the ball ½ as big"])
def test_signs_of_numbers_that_are_no_digits(text):
    with pytest.raises((UnknownWord, NotUnderstood)):
        program(text)


def test_control_characters_are_left_out():
    assert program("remove\x00 the\x07 red\u200b cube") == does(Remove(of=one("red cube")))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("remove the gren cube", "green cube"),
        ("remove the metalic cirlce", "metal sphere"),
        ("remove hte rde cube", "red cube"),
        ("rmove the lrage cylnder", "large cylinder"),
        ("remvoe te small shpere", "small sphere"),
    ],
)
def test_typing_errors_are_read_and_told(text, read):
    found = parsed(text)
    assert found.program == does(Remove(of=one(read)))
    assert found.notes
    assert all(note.startswith("read '") for note in found.notes)


def test_words_written_as_one():
    assert program("how many cubes are infront of the ball?") == program("how many cubes are in front of the ball?")
    assert program("how many nonmetallic things are there") == program("how many non metallic things are there")


@pytest.mark.parametrize(
    "change",
    [
        str.lower,
        str.upper,
        lambda text: text.rstrip(".?!"),
        lambda text: f"  {text}\n",
        lambda text: text.replace(" ", "  "),
    ],
)
@pytest.mark.parametrize(
    "text", ["How many gray cubes are there?", "Change the color of the ball to gray.", "Is the cube left of the ball?"]
)
def test_case_spaces_and_punctuation_do_not_decide(text, change):
    assert program(change(text)) == program(text)


def test_british_spelling():
    assert program("change the colour of the grey ball to red") == program("change the color of the gray ball to red")
    assert program("move the ball to the centre") == program("move the ball to the center")


def test_politeness_says_nothing():
    removed = does(Remove(of=one("red cube")))
    for text in ("please remove the red cube", "Could you remove the red cube, please?", "ok, now remove the red cube"):
        assert program(text) == removed, text
    assert program("Can you tell me how many cubes there are?") == asks(Count(of=some("cube")))


def test_nothing_to_refer_back_to():
    with pytest.raises(NotUnderstood, match="refer back to"):
        program("make it red")


def test_relations_stand_in_one_another_to_a_depth():
    nested = "the thing that is right of the thing that is left of "
    assert program(f"How many things are left of {nested * 4}the red cube?")
    with pytest.raises(NotUnderstood, match="too many readings"):
        program(f"How many things are left of {nested * 8}the red cube?")


def test_a_text_takes_at_most_so_many_steps():
    text = "how many red cubes left of the ball behind the cube left of the ball behind the cube " * 6
    with pytest.raises(NotUnderstood, match="too many readings"):
        GrammarParser(steps=100).parse(text, CLEVR)


@pytest.mark.parametrize(
    ("text", "formation"),
    [("Arrange the balls in a circle.", "circle"), ("put the cubes in a small ring around the ball", "ring")],
)
def test_formations_are_refused_with_those_there_are(text, formation):
    with pytest.raises(NotUnderstood, match=f"nothing is put in a {formation}. Objects are lined up in a row"):
        program(text)

from dataclasses import replace

import pytest
from program_readings import CLEVR, program

from kyvo.programs.errors import UnknownWord
from kyvo.programs.grammar.lexicon import plural
from kyvo.programs.program import Count, Everything, Exists, Related, The, Where
from kyvo.scene.builtin_schemas import objaworld_schema, objectron_schema
from kyvo.scene.fields import Field
from kyvo.scene.schema import SceneSchema


def with_words(**words: tuple[str, ...]) -> SceneSchema:
    fields = (replace(field, words=(*field.words, *words.get(field.name, ()))) for field in CLEVR.fields)
    return replace(CLEVR, name="own", fields=tuple(fields))


def where(of=None, **words):
    of = of or Everything()
    for field, value in sorted(words.items()):
        of = Where(of=of, field=field, value=value)
    return of


OWN = with_words(color=("orange", "light_green", "silver"), shape=("cone", "torus"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("orange cones", {"color": "orange", "shape": "cone"}),
        ("light green things", {"color": "light_green"}),
        ("conical objects", {"shape": "cone"}),
        ("cone shaped things", {"shape": "cone"}),
        ("silver cubes", {"color": "silver", "shape": "cube"}),
        ("gold cubes", {"color": "yellow", "material": "metal", "shape": "cube"}),
    ],
)
def test_words_of_a_users_schema_work_without_code(text, words):
    assert program(f"how many {text} are there?", schema=OWN).asks == Count(of=where(**words))


def test_a_word_of_another_schema_is_unknown():
    with pytest.raises(UnknownWord, match="cone"):
        program("remove the cone")


def test_categories_are_nouns():
    kitchen = SceneSchema(
        name="kitchen",
        fields=(
            Field(name="category", marker="[CATEGORY]", words=("cup", "cereal_box", "knife", "shelf")),
            Field(name="owner", marker="[OWNER]", words=("anna", "bob")),
            *(field for field in CLEVR.fields if field.axes),
        ),
    )
    assert program("how many cereal boxes?", schema=kitchen).asks == Count(of=where(category="cereal_box"))
    assert program("how many knives are there", schema=kitchen).asks == Count(of=where(category="knife"))
    anna = where(category="cup", owner="anna")
    assert program("how many of anna's cups are there?", schema=kitchen).asks == Count(of=anna)
    with pytest.raises(UnknownWord, match="red"):
        program("remove the red cup", schema=kitchen)


@pytest.mark.slow
def test_other_data_sets():
    birds = Related(of=where(shape="bird"), relation="above", to=The(of=where(shape="table")))
    assert program("is there a bird on the table?", schema=objaworld_schema()).asks == Exists(of=birds)
    assert program("how many people are there?", schema=objaworld_schema()).asks == Count(of=where(shape="person"))
    assert program("count the laptops", schema=objectron_schema()).asks == Count(of=where(category="laptop"))


def test_plurals():
    names = ("cube", "box", "person", "shelf", "body", "toy", "torus", "brush", "cereal box", "knife")
    expected = ("cubes", "boxes", "people", "shelves", "bodies", "toys", "toruses", "brushes", "cereal boxes", "knives")
    assert tuple(map(plural, names)) == expected

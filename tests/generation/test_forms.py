"""Forms say what may stand at each place of an object."""

from kyvo.data.clevr.sampling import ClevrRules, sample_scenes
from kyvo.generation.forms import any_numbers, as_it_is, changes, form
from kyvo.scene.scene import Scene
from kyvo.testing import tiny_builder

BUILDER = tiny_builder()
RULES = ClevrRules(min_objects=3, max_objects=5)


def an_object():
    (scene,) = sample_scenes([0], seed=4, width=32, height=24, rules=RULES)
    return BUILDER.scenes.snap(scene, clamp=True).objects[0]


def test_an_object_as_it_is_has_one_id_at_each_place():
    item = an_object()
    own = BUILDER.scenes.encode(Scene(objects=(item,)))[1:-1]
    assert form(BUILDER, as_it_is(BUILDER, item)) == [[token] for token in own]


def test_any_numbers_are_those_of_the_axes():
    numbers = any_numbers(BUILDER)
    assert list(numbers) == [field.name for field in BUILDER.scenes.schema.fields if field.axes]
    for field in BUILDER.scenes.schema.fields:
        for axis, ids in zip(field.axes, numbers.get(field.name, ()), strict=True):
            assert list(map(BUILDER.vocabulary.value, ids)) == list(axis.values)


def test_an_object_can_get_each_other_word_and_other_numbers():
    item = an_object()
    forms = list(changes(BUILDER, item))
    words = [field for field in BUILDER.scenes.schema.fields if field.words]
    assert len(forms) == sum(len(field.words) - 1 for field in words) + 3  # and each axis
    own = BUILDER.scenes.encode(Scene(objects=(item,)))[1:-1]
    for one in forms:
        assert len(one) == len(own) and any(token not in ids for token, ids in zip(own, one, strict=True))
        fixed = sum(ids[0] != token for token, ids in zip(own, one, strict=True) if len(ids) == 1)
        assert fixed == (1 if one in forms[:-3] else 0)

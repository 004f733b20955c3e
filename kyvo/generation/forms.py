"""Forms of an object: the ids that may stand at each of its places, for a `KeepObjectsConstraint` that writes it."""

from collections.abc import Iterator, Mapping

from kyvo.generation.choice import NEAR
from kyvo.generation.keep_objects import Form
from kyvo.scene.scene import SceneObject
from kyvo.scene.schema import Field
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.vocabulary import OBJECT_END, OBJECT_START

Values = Mapping[str, Form]  # of each field: the ids that may stand at each place of its value


def form(builder: SequenceBuilder, values: Values) -> Form:
    """The form of an object whose fields have these values."""
    marker = builder.vocabulary.marker_id
    ids = [[marker(OBJECT_START)]]
    for field in builder.scenes.schema.fields:
        ids += [[marker(field.marker)], *map(list, values[field.name])]
    return [*ids, [marker(OBJECT_END)]]


def as_it_is(builder: SequenceBuilder, item: SceneObject) -> dict[str, Form]:
    """The values of a snapped object, one id at each place."""
    return {field.name: fixed(builder, field, item.get(field.name)) for field in builder.scenes.schema.fields}


def fixed(builder: SequenceBuilder, field: Field, value: object) -> Form:
    """One snapped value of the field, and no other."""
    return [[token] for token in builder.scenes.encode_value(field, value)]


def any_numbers(builder: SequenceBuilder) -> dict[str, Form]:
    """Of each field of numbers, all of them."""
    number = builder.vocabulary.number_id
    return {
        field.name: [[number(value) for value in axis.values] for axis in field.axes]
        for field in builder.scenes.schema.fields
        if field.axes
    }


def changes(builder: SequenceBuilder, item: SceneObject) -> Iterator[Form]:
    """The forms of an object of which one word is another, and any number may be; or one number, and no word.

    Another number is more than `NEAR` bins away: next to the old one it would mostly be a copy that missed.
    """
    own, numbers = as_it_is(builder, item), any_numbers(builder)
    for field in builder.scenes.schema.fields:
        for word in field.words:
            if word != item.get(field.name):
                yield form(builder, own | numbers | {field.name: fixed(builder, field, word)})
        for place, others in enumerate(numbers.get(field.name, ())):
            was = others.index(own[field.name][place][0])
            others = [*others[: max(0, was - NEAR)], *others[was + NEAR + 1 :]]
            if others:
                free = numbers[field.name]
                yield form(builder, own | {field.name: [*free[:place], others, *free[place + 1 :]]})

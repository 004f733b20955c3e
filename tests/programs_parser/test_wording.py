"""What a program says in English is read back as that program."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program_readings import FIELDS, does, parsed, word

from kyvo.programs.program import (
    Along,
    At,
    Beside,
    Bigness,
    Copy,
    Everything,
    Extreme,
    Midway,
    Move,
    NextTo,
    Offset,
    OnTop,
    Related,
    Remove,
    Rotate,
    Selector,
    Set,
    Swap,
    The,
    Where,
    WordOf,
)
from kyvo.programs.wording import wording

WORDS = {
    field: [value for value, of in FIELDS.items() if of == field] for field in ("color", "material", "shape", "size")
}


@st.composite
def sets(draw, relations=1) -> Selector:
    """Descriptions in the order of words that the parser gives them."""
    of: Selector = Everything()
    for field, values in WORDS.items():
        if draw(st.booleans()):
            of = Where(of=of, field=field, value=draw(st.sampled_from(values)))
    if relations and draw(st.booleans()):
        relation = draw(st.sampled_from(["left", "right", "front", "behind", "near"]))
        of = Related(of=of, relation=relation, to=The(of=draw(sets(relations=0))))
    return of


@st.composite
def objects(draw, relations=1) -> Selector:
    of = draw(sets(relations))
    measure = draw(st.sampled_from([None, None, Along(direction="left"), Along(direction="front"), Bigness()]))
    return The(of=of if measure is None else Extreme(of=of, by=measure))


simple = objects(relations=0)
directions = st.sampled_from(["left", "right", "front", "behind"])
distances = st.sampled_from([None, 0.5, 1.0, 2.0, 1.25])
places = st.one_of(
    st.builds(Beside, direction=directions, to=simple, distance=distances),
    st.builds(NextTo, to=simple),
    st.builds(Midway, first=simple, second=simple),
    st.builds(OnTop, of=simple),
    st.builds(Offset, direction=directions, distance=distances),
    st.builds(At, region=st.sampled_from(["middle", "front left", "back right", "left", "back"])),
)
steps = st.one_of(
    st.builds(Remove, of=st.one_of(objects(), sets())),
    st.sampled_from(sorted(FIELDS)).flatmap(
        lambda value: st.builds(Set, of=simple, field=st.just(FIELDS[value]), to=st.just(word(value)))
    ),
    st.builds(lambda of, like: Set(of=of, field="color", to=WordOf(of=like, field="color")), simple, simple),
    st.builds(Move, of=simple, place=places),
    st.builds(Swap, first=simple, second=simple),
    st.builds(Copy, of=simple),
    st.builds(Rotate, of=simple, degrees=st.sampled_from([30.0, 45.0, 90.0])),
)


@given(steps)
def test_edits_come_back_from_their_wording(step):
    edit = does(step)
    found = parsed(wording(edit))
    assert edit in (found.program, *found.alternatives), wording(edit)


@pytest.mark.parametrize("count", [2, 3])
def test_steps_come_back_from_their_wording(count):
    edit = does(
        *(Remove(of=The(of=Where(of=Everything(), field="color", value=color))) for color in WORDS["color"][:count])
    )
    assert parsed(wording(edit)).program == edit

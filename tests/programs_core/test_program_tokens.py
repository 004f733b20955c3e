"""Programs as tokens: there and back, and a grammar whose longest lists end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import CLEVR, Draw

from kyvo.programs import program as p
from kyvo.programs.errors import ProgramError, UnknownWord
from kyvo.programs.structure import check
from kyvo.programs.tokens import ProgramGrammar
from kyvo.scene.builtin_schemas import SCHEMAS
from kyvo.scene.fields import Field
from kyvo.scene.schema import SceneSchema

GRAMMARS = {name: ProgramGrammar(make()) for name, make in SCHEMAS.items()}
GRAMMAR = GRAMMARS["clevr"]
RED = p.Where(of=p.Everything(), field="color", value="red")


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from(list(SCHEMAS)))
def test_a_program_comes_back_from_its_tokens(seed, name):
    program = Draw(seed, GRAMMARS[name].schema).program(nodes=12)
    try:
        tokens = GRAMMARS[name].encode(program)
    except ProgramError as error:
        assert "tokens; at most 300 fit" in str(error)
        return
    assert GRAMMARS[name].decode(tokens) == program
    assert set(tokens) <= set(GRAMMARS[name].vocabulary)


def test_the_longest_lists_end_too():
    # each time the token with the most still to say, down to the limits of depth and length
    def greedy(allowed):
        for marker in ("[P:arithmetic]", "[P:and]", "[P:either]", "[P:related]", "[P:query]", "9"):
            if marker in allowed:
                return marker
        return allowed[-1]

    state, tokens = GRAMMAR.start(), []
    while not state.is_done:
        tokens.append(greedy(GRAMMAR.allowed(state)))
        state = GRAMMAR.step(state, tokens[-1])
    assert len(tokens) <= 300
    check(GRAMMAR.decode(tokens), CLEVR)


@given(st.integers(0, 10**6))
@pytest.mark.slow
def test_a_program_fits_into_as_many_tokens_as_it_has_and_no_fewer(seed):
    programs = [Draw(seed, CLEVR).program(nodes=4), p.Edit(steps=(p.Remove(of=RED), p.Rotate(of=RED, degrees=1.5)))]
    for program in programs:
        tokens = GRAMMAR.encode(program)
        assert ProgramGrammar(CLEVR, max_tokens=len(tokens)).decode(tokens) == program
        with pytest.raises(ProgramError, match=r"none may follow|is needed"):
            ProgramGrammar(CLEVR, max_tokens=len(tokens) - 1).decode(tokens)


def test_tokens_are_prefix_notation_with_the_schemas_own_words():
    program = p.Query(asks=p.Count(of=p.The(of=RED, count=12)))
    assert GRAMMAR.encode(program) == (
        "[P:query]", "[P:count]", "[P:the]", "[P:where]", "[P:everything]", "[COLOR]", "red", "1", "2", "[P:end]",
    )  # fmt: skip
    step = p.Move(of=RED, place=p.Offset(direction="left", distance=-1.25))
    assert GRAMMAR.encode(p.Edit(steps=(step,)))[6:] == (
        "[P:offset]", "[P:left]", "-", "1", ".", "2", "5", "[P:end]", "[P:end]",
    )  # fmt: skip


def test_only_words_of_the_field_may_follow_it():
    state = GRAMMAR.start()
    for token in ("[P:query]", "[P:count]", "[P:where]", "[P:everything]"):
        state = GRAMMAR.step(state, token)
    assert GRAMMAR.allowed(state) == ("[SIZE]", "[COLOR]", "[MATERIAL]", "[SHAPE]")
    assert GRAMMAR.allowed(GRAMMAR.step(state, "[SHAPE]")) == ("cube", "sphere", "cylinder")


@pytest.mark.parametrize("value", [0.0, 0.5, -0.5, 1.0, 100.0, -999999.0, 0.000001, 12.3456, 1e-9, -0.0])
def test_numbers_come_back_to_six_decimals(value):
    program = p.Edit(steps=(p.Rotate(of=RED, degrees=value),))
    assert GRAMMAR.decode(GRAMMAR.encode(program)).steps[0].degrees == round(value, 6)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], r"the program ends after 0 tokens"),
        (["red"], r"token 0 is 'red'; one of \[P:query\], \[P:edit\] is needed"),
        (["[P:query]", "[P:count]"], "the program ends after 2 tokens, before it is complete"),
        (["[P:query]", "[P:count]", "[P:everything]", "red"], "token 3 is 'red'; none may follow"),
        (["[P:query]", "[P:number]", "0", "7"], r"token 3 is '7'; one of \[P:end\] is needed"),
        (["[P:query]", "[P:count]", "[P:the]", "[P:everything]", "0"], r"token 4 is '0'; one of 1, 2"),
    ],
)
def test_a_list_that_is_no_program_is_refused_with_the_token(tokens, message):
    with pytest.raises(ProgramError, match=message):
        GRAMMAR.decode(tokens)


def test_a_program_of_another_schema_or_another_script_has_no_tokens():
    pets = ProgramGrammar(SceneSchema(name="pets", fields=(Field(name="kind", marker="[KIND]", words=("dog",)),)))
    with pytest.raises(UnknownWord, match="pets have no 'color'"):
        pets.encode(p.Query(asks=p.Count(of=RED)))
    with pytest.raises(ProgramError, match="token 11 is 'teal'; one of gray, red"):
        GRAMMAR.encode(p.Query(asks=p.Count(of=p.Where(of=p.The(of=RED), field="color", value="teal"))))
    cases = tuple(p.Case(word=word, amount=p.Number(value=1)) for word in ("шар", "куб"))
    with pytest.raises(ProgramError, match="token 3 is 'ш'"):
        GRAMMAR.encode(p.Query(asks=p.Choose(cases=cases)))


def test_a_number_has_at_most_six_digits_and_six_decimals():
    state = GRAMMAR.start()
    for token in GRAMMAR.encode(p.Edit(steps=(p.Rotate(of=RED, degrees=1.0),)))[:-2]:  # the first digit among them
        state = GRAMMAR.step(state, token)
    digits = 1
    while "9" in GRAMMAR.allowed(state):
        state, digits = GRAMMAR.step(state, "9"), digits + 1
    state, decimals = GRAMMAR.step(state, "."), 0
    while "9" in GRAMMAR.allowed(state):
        assert ("0" in GRAMMAR.allowed(state)) == (decimals < 5)  # a last zero is not written
        state, decimals = GRAMMAR.step(state, "9"), decimals + 1
    assert (digits, decimals) == (6, 6)


def test_minus_nothing_is_no_number():
    edit = p.Edit(steps=(p.Move(of=RED, place=p.Point(x=-0.5, y=0.0)),))
    tokens = GRAMMAR.encode(edit)
    state = GRAMMAR.start()
    for token in tokens[: tokens.index("-") + 2]:  # "-0"
        state = GRAMMAR.step(state, token)
    assert "." in GRAMMAR.allowed(state) and "[P:end]" not in GRAMMAR.allowed(state)


def test_a_label_of_one_letter_is_spelled_though_it_is_a_word():
    grammar = ProgramGrammar(
        SceneSchema(name="letters", fields=(Field(name="kind", marker="[KIND]", words=("x", "dog")),))
    )
    cases = tuple(p.Case(word=word, amount=p.Count(of=p.Everything())) for word in ("x", "dog"))
    program = p.Query(asks=p.Choose(cases=cases))
    assert grammar.decode(grammar.encode(program)) == program

"""Programs as JSON: there and back, the JSON Schema, and what malformed ones say."""

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from random_programs import CLEVR, Draw

from kyvo.programs import program as p
from kyvo.programs.errors import ProgramError, UnknownWord
from kyvo.programs.execute import answer, apply
from kyvo.programs.json_form import from_json, from_text, json_schema, to_json
from kyvo.programs.structure import MAX_DEPTH, MAX_NODES, node_types, usable
from kyvo.scene.builtin_schemas import SCHEMAS
from kyvo.scene.fields import Field
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema

ALL = {"op": "everything"}
COUNT = {"op": "query", "asks": {"op": "count", "of": ALL}}
PETS = SceneSchema(name="pets", fields=(Field(name="kind", marker="[KIND]", words=("dog", "cat")),))


def query(op, **values):
    return {"op": "query", "asks": {"op": op, **values}}


def step(op, **values):
    return {"op": "edit", "steps": [{"op": op, "of": ALL, **values}]}


def chain(levels):
    """A query whose selector is so many nodes deep, as JSON."""
    data = ALL
    for _ in range(levels):
        data = {"op": "hidden", "of": data}
    return {"op": "query", "asks": {"op": "count", "of": data}}


@cache
def schemas(name):
    schema = PETS if name == "pets" else SCHEMAS[name]()
    return schema, json_schema(schema)


def fits(data, part, whole):
    """Whether data fits a part of a JSON Schema. jsonschema itself tries every kind of node on every level, so it takes
    time exponential in the depth; here `op` decides first."""
    if "$ref" in part:
        return fits(data, whole["$defs"][part["$ref"].removeprefix("#/$defs/")], whole)
    if "anyOf" in part:
        return any(fits(data, option, whole) for option in part["anyOf"])
    if part.get("type") == "array":
        return isinstance(data, list) and all(fits(item, part["items"], whole) for item in data)
    if part.get("type") == "object":
        known = part["properties"]
        return (
            isinstance(data, dict)
            and data.get("op") == known["op"]["const"]
            and list(data) == part["required"] == list(known)
            and all(fits(data[name], known[name], whole) for name in known)
        )
    return Draft202012Validator(part).is_valid(data)


@given(st.integers(0, 10**6), st.sampled_from([*SCHEMAS, "pets"]))
def test_a_program_comes_back_from_json_and_its_json_fits_the_schema(seed, name):
    schema, whole = schemas(name)
    program = Draw(seed, schema).program(nodes=25)
    data = to_json(program)
    assert from_json(data, schema) == program
    assert from_text(json.dumps(data), schema) == program
    assert fits(data, whole, whole)


def test_jsonschema_takes_and_refuses_as_it_should():
    check = Draft202012Validator(json_schema(CLEVR)).is_valid
    of = {"op": "where", "of": ALL, "field": "color", "value": "red"}
    assert check(query("exists", of=of))
    assert not check(query("exists", of={**of, "value": "large"}))
    assert not check(query("exists", of={**of, "extra": 1}))
    assert not check(query("exists"))


def test_every_node_has_an_operation_of_its_own():
    kinds = {node for node in vars(p).values() if isinstance(node, type) and issubclass(node, p.Node)}
    concrete = {node for node in kinds if "op" in vars(node)}
    assert set(node_types().values()) == concrete
    assert {base.__name__ for base in kinds - concrete} == {
        "Node", "Selector", "Measure", "Amount", "Truth", "Word", "Ask", "Place", "Step",
    }  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_json_schema_holds_for_structured_output(name):
    schema = json_schema(SCHEMAS[name]())
    Draft202012Validator.check_schema(schema)
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if part.get("type") == "object":
                assert part["additionalProperties"] is False
                assert part["required"] == list(part["properties"])
            if "$ref" in part:
                assert part["$ref"].removeprefix("#/$defs/") in schema["$defs"]
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def test_the_json_schema_knows_the_fields_and_words_of_the_scenes_schema():
    check = Draft202012Validator(json_schema(PETS)).is_valid

    def where(field, value):
        return {
            "op": "query",
            "asks": {"op": "count", "of": {"op": "where", "of": ALL, "field": field, "value": value}},
        }

    assert check(where("kind", "dog"))
    assert not check(where("kind", "red")) and not check(where("color", "red"))
    clevr = Draft202012Validator(json_schema(CLEVR)).is_valid
    assert clevr(where("color", "red")) and not clevr(where("color", "large"))
    numbers = SCHEMAS["objaworld-shapes"]()
    assert p.Where not in usable(numbers) and p.Set not in usable(numbers) and p.Move in usable(numbers)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "program is None; an object with `op` is needed"),
        ([COUNT], "program is a list of 1; an object with `op` is needed"),
        ({}, r"program.op is None; known are query, edit"),
        ({"op": "qery"}, r"program.op is 'qery'; did you mean query\?"),
        ({"op": "count", "of": ALL}, "program.op is 'count'; known are query, edit"),
        ({"op": "query"}, "program.asks is missing; query needs asks"),
        (query("where"), r"program.asks.op is 'where'; did you mean where_is\?"),
        (query("count", of={"op": "were"}), r"program.asks.of.op is 'were'; did you mean where\?"),
        (
            query("count", of=ALL, off=1),
            r"program.asks has the key 'off', which count does not have; did you mean of\?",
        ),
        (query("number", value="3"), "program.asks.value is '3'; a whole number from 0 to 999999"),
        (query("number", value=True), "program.asks.value is True; a whole number"),
        (query("number", value=10**99), "is a number of more than 30 digits; a whole"),
        (query("words_of", of=ALL, fields=[]), "program.asks.fields has 0 entries; at least 1"),
        (query("words_of", of=ALL, fields="color"), "program.asks.fields is 'color'; a list"),
        (query("words_of", of=ALL, fields=[3]), r"program.asks.fields\[0\] is 3; a text of 1"),
        ({"op": "edit", "steps": []}, "program.steps has 0 entries; at least 1 are needed"),
        ({"op": "edit", "steps": [ALL]}, r"program.steps\[0\].op is 'everything'; known are set, resize"),
        (step("rotate", degrees=float("nan")), r"steps\[0\].degrees is nan; a number"),
        (step("rotate", degrees=1e99), r"degrees is 1e\+99; a number of at most"),
        (step("resize", larger=1), "larger is 1; true or false"),
        (step("resize", larger=True, factor=-2), "factor is -2; a number above 0"),
        (step("move", place={"op": "at", "region": "top"}), "region is 'top'; one of left, right"),
        (chain(MAX_DEPTH), f"it lies {MAX_DEPTH + 1} nodes deep; at most {MAX_DEPTH}"),
        ({"op": "edit", "steps": [{"op": "remove", "of": ALL}] * MAX_NODES}, f"more than {MAX_NODES} nodes"),
    ],
)
def test_a_malformed_program_is_refused_with_its_place(data, message):
    with pytest.raises(ProgramError, match=message):
        from_json(data)


def test_a_cycle_and_a_selector_of_ten_thousand_terms_are_refused():
    loop = {"op": "hidden"}
    loop["of"] = loop
    with pytest.raises(ProgramError, match="nodes deep"):
        from_json({"op": "query", "asks": {"op": "count", "of": loop}})
    knot = p.Hidden(of=p.Everything())
    object.__setattr__(knot, "of", knot)
    with pytest.raises(ProgramError, match="nodes deep"):
        answer(p.Query(asks=p.Count(of=knot)), Scene(objects=()), CLEVR)
    terms = p.Everything()
    for _ in range(10_000):
        terms = p.Either(first=terms, second=p.Everything())
    with pytest.raises(ProgramError, match="nodes"):
        apply(p.Edit(steps=(p.Remove(of=terms),)), Scene(objects=()), CLEVR)


def test_a_text_that_is_no_json_is_refused():
    for text in ("", "{", "[" * 100_000, '{"op": "query", "asks": }', "x" * 2_000_000):
        with pytest.raises(ProgramError):
            from_text(text)


def test_defaults_may_be_left_out_and_fields_of_another_schema_are_refused():
    data = {"op": "query", "asks": {"op": "exists", "of": {"op": "the", "of": ALL}}}
    assert from_json(data) == p.Query(asks=p.Exists(of=p.The(of=p.Everything(), count=1)))
    alike = {"op": "query", "asks": {"op": "alike", "of": ALL, "field": "color"}}
    assert from_json(alike) == from_json(alike, CLEVR)
    with pytest.raises(UnknownWord, match=r"program\.asks\.field: objects of the schema pets have no 'color'"):
        from_json(alike, PETS)


def test_every_node_is_described_to_a_chat_model():
    schema = json_schema(CLEVR)
    objects = [part for part in _parts(schema) if part.get("type") == "object"]
    assert objects and all(part["description"] for part in objects)
    assert {"selector", "truth", "place"} <= set(schema["$defs"])


def _parts(value):
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(inner)

"""JSON of programs, and the JSON Schema of those that fit a scene's schema.

    {"op": "query", "asks": {"op": "count", "of": {"op": "where", "of": {"op": "everything"},
                                                     "field": "color", "value": "red"}}}

Each node is an object with its `op` and its fields by name. Both forms derive from the dataclasses
(`kyvo.programs.structure`), so a new node has its JSON at once.
"""

import json
from collections.abc import Iterator
from dataclasses import MISSING
from difflib import get_close_matches
from typing import Any

from kyvo.programs.errors import ProgramError
from kyvo.programs.program import Edit, Node, Program, Query
from kyvo.programs.structure import (
    MAX_NUMBER,
    MAX_TEXT,
    Slot,
    check,
    check_length,
    check_limits,
    check_value,
    node_types,
    shown,
    slots,
    usable,
)
from kyvo.scene.schema import SceneSchema

MAX_BYTES = 10**6  # of a program's text

# JSON


def to_json(program: Program) -> dict[str, Any]:
    """The program as plain data; fields that have their default value are written too."""
    return _node_to_json(program)


def from_json(data: Any, schema: SceneSchema | None = None, where: str = "program") -> Program:
    """Inverse of `to_json`. Fields with a default may be left out.

    Raises ProgramError with the place: `program.asks.of.op is 'were'; did you mean where?`. With a schema, fields that
    it does not have are refused too.
    """
    program = _Reader().node(data, (Query, Edit), where, 1)
    assert isinstance(program, Query | Edit)
    check(program, schema)
    return program


def from_text(text: str, schema: SceneSchema | None = None, where: str = "program") -> Program:
    """`from_json` of a JSON text. Raises ProgramError for what is none."""
    if len(text) > MAX_BYTES:
        raise ProgramError(f"{where} has {len(text)} characters; at most {MAX_BYTES} are read.")
    try:
        return from_json(json.loads(text), schema, where)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ProgramError):
            raise
        raise ProgramError(f"{where} is no JSON ({str(error)[:100]}).") from error


def _node_to_json(node: Node) -> dict[str, Any]:
    data: dict[str, Any] = {"op": node.op}
    for slot in slots(type(node)):
        value = getattr(node, slot.name)
        if slot.kind == "node" and value is not None:
            value = [_node_to_json(item) for item in value] if slot.is_list else _node_to_json(value)
        data[slot.name] = list(value or ()) if slot.is_list else value
    return data


class _Reader:
    """Reads nodes, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def node(self, data: Any, fits: tuple[type[Node], ...], where: str, depth: int) -> Node:
        self.count += 1
        check_limits(self.count, depth, where)
        if not isinstance(data, dict):
            raise ProgramError(f"{where} is {shown(data)}; an object with `op` is needed.")
        known = {node.op: node for node in fits}
        op = data.get("op")
        if not isinstance(op, str) or op not in known:
            raise ProgramError(f"{where}.op is {shown(op)}; {_meant(op, known)}")
        node = known[op]
        entries = {slot.name: slot for slot in slots(node)}
        for key in data.keys() - entries.keys() - {"op"}:
            raise ProgramError(f"{where} has the key {shown(key)}, which {op} does not have; {_meant(key, entries)}")
        values = {}
        for name, slot in entries.items():
            if name in data:
                values[name] = self.slot(slot, data[name], f"{where}.{name}", depth)
            elif slot.default is MISSING:
                raise ProgramError(f"{where}.{name} is missing; {op} needs {', '.join(entries)}.")
        return node(**values)

    def slot(self, slot: Slot, value: Any, where: str, depth: int) -> Any:
        if value is None and slot.is_optional:
            return None
        if slot.is_list:
            if not isinstance(value, list):
                raise ProgramError(f"{where} is {shown(value)}; a list is needed.")
            check_length(slot, len(value), where)
            return tuple(self.entry(slot, item, f"{where}[{i}]", depth) for i, item in enumerate(value))
        return self.entry(slot, value, where, depth)

    def entry(self, slot: Slot, value: Any, where: str, depth: int) -> Any:
        if slot.kind == "node":
            return self.node(value, slot.fits, where, depth + 1)
        if slot.kind == "whole" and isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON has one kind of number
        check_value(slot, value, where)
        return float(value) if slot.kind == "number" else value


def _meant(found: Any, known: Any) -> str:
    close = get_close_matches(found, known, n=1) if isinstance(found, str) else []
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known) or 'none'}."


# JSON Schema


def json_schema(schema: SceneSchema) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of programs for scenes of this schema, its fields and words as enums.

    All keys are required and no others allowed, as structured output of chat models needs it.
    """
    known = usable(schema)
    definitions = {}
    for name, node in node_types().items():
        if node in known:
            variants = list(_variants(node, schema, known))
            definitions[name] = variants[0] if len(variants) == 1 else {"anyOf": variants}
    for name, fits in _groups(known).items():
        definitions[name] = {"anyOf": [_reference(node.op) for node in fits]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A question about a scene of {schema.name}, or an edit of it",
        "anyOf": [_reference("query"), _reference("edit")],
        "$defs": definitions,
    }


def _groups(known: frozenset[type[Node]]) -> dict[str, tuple[type[Node], ...]]:
    """The sets of nodes that slots take, each under the name of what they have in common: "selector"."""
    found: dict[tuple[type[Node], ...], str] = {}
    for node in known:
        for slot in slots(node):
            fits = _fitting(slot, known)
            if len(fits) > 1:
                found[fits] = _group_name(fits)
    return {name: fits for fits, name in sorted(found.items(), key=lambda item: item[1])}


def _group_name(fits: tuple[type[Node], ...]) -> str:
    kinds = dict.fromkeys(base.__name__ for node in fits for base in node.__mro__[1:2])
    return "".join(kinds).lower()


def _fitting(slot: Slot, known: frozenset[type[Node]]) -> tuple[type[Node], ...]:
    return tuple(node for node in slot.fits if node in known)


def _variants(node: type[Node], schema: SceneSchema, known: frozenset[type[Node]]) -> Iterator[dict[str, Any]]:
    """The node's schema; for one with a field and its word, one for each field."""
    entries = slots(node)
    if any(slot.is_word for slot in entries):
        for field in schema.word_fields:
            given = {"field": {"const": field.name}, "value": {"enum": list(field.words)}}
            yield _object(node, {slot.name: given.get(slot.name) or _slot(slot, schema, known) for slot in entries})
    else:
        yield _object(node, {slot.name: _slot(slot, schema, known) for slot in entries})


def _object(node: type[Node], properties: dict[str, Any]) -> dict[str, Any]:
    head = {"type": "object", "description": " ".join((node.__doc__ or "").split())}
    properties = {"op": {"const": node.op}, **properties}
    return {**head, "properties": properties, "required": list(properties), "additionalProperties": False}


def _slot(slot: Slot, schema: SceneSchema, known: frozenset[type[Node]]) -> dict[str, Any]:
    one = _entry(slot, schema, known)
    if slot.is_list:
        return {"type": "array", "minItems": slot.least, **({"maxItems": 0} if one is None else {"items": one})}
    assert one is not None or slot.is_optional
    if not slot.is_optional:
        return one or {}
    return {"anyOf": [*([] if one is None else [one]), {"type": "null"}]}


def _entry(slot: Slot, schema: SceneSchema, known: frozenset[type[Node]]) -> dict[str, Any] | None:
    match slot.kind:
        case "node":
            fits = _fitting(slot, known)
            if not fits:
                return None
            return _reference(fits[0].op if len(fits) == 1 else _group_name(fits))
        case "choice":
            return {"enum": list(slot.choices)}
        case "flag":
            return {"type": "boolean"}
        case "whole":
            return {"type": "integer", "minimum": slot.low, "maximum": MAX_NUMBER}
        case "number":
            low = {"exclusiveMinimum": 0} if slot.is_positive else {"minimum": -MAX_NUMBER}
            return {"type": "number", **low, "maximum": MAX_NUMBER}
        case _ if slot.is_field:
            return {"enum": list(slot.fields(schema))}
        case _:
            return {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}

"""How programs are built, read off their dataclasses: which nodes there are, what each slot takes, and the limits.

JSON, tokens and the checks before execution all derive from this table, so a new node needs no code in any of them.
"""

import math
from collections.abc import Callable, Set
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from kyvo.programs.errors import ProgramError, UnknownWord
from kyvo.programs.program import Edit, Node, Program, Query, edits, questions, selectors
from kyvo.scene.schema import SceneSchema

MAX_NODES = 300
MAX_DEPTH = 40
MAX_NUMBER = 999_999  # of what a program gives: a count, a distance, an angle
MAX_TEXT = 200  # characters of a text in a program, such as a field's name
SEVERAL = {"steps": 1, "cases": 2, "fields": 1}  # least entries of a list; others may be empty

Kind = Literal["node", "text", "choice", "whole", "number", "flag"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Slot:
    """One field of a node. There is one `Slot` for each, so they are compared by identity."""

    name: str
    kind: Kind
    fits: tuple[type[Node], ...] = ()  # concrete nodes, of a "node"
    choices: tuple[str, ...] = ()  # of a "choice"
    is_list: bool = False
    is_optional: bool = False  # None is allowed
    default: Any  # MISSING where a value is needed

    @property
    def least(self) -> int:
        """How many entries a list has at least."""
        return SEVERAL.get(self.name, 0)

    @property
    def low(self) -> int:
        """The least whole number."""
        return {"turn": -MAX_NUMBER, "index": 0, "value": 0}.get(self.name, 1)

    @property
    def is_positive(self) -> bool:
        """Whether a number must be above 0."""
        return self.name == "factor"

    def fields(self, schema: SceneSchema) -> tuple[str, ...]:
        """The fields of the schema that a slot for one can name."""
        names = tuple(field.name for field in schema.word_fields)
        has_location = self.default == "location" and any(field.name == "location" for field in schema.fields)
        return (*names, "location") if has_location else names

    @property
    def is_field(self) -> bool:
        """Whether it names a field of the schema."""
        return self.kind == "text" and self.name in ("field", "fields")

    @property
    def is_word(self) -> bool:
        """Whether it is a word of the field that stands before it."""
        return self.kind == "text" and self.name == "value"

    @property
    def is_free(self) -> bool:
        """Whether it is a text of any words."""
        return self.kind == "text" and not (self.is_field or self.is_word)


@cache
def node_types() -> dict[str, type[Node]]:
    """Every node that a program can hold, by its `op`. Their order is that of their tokens."""
    values = [*vars(selectors).values(), *vars(questions).values(), *vars(edits).values(), Query, Edit]
    nodes = [value for value in values if isinstance(value, type) and issubclass(value, Node)]
    return {node.op: node for node in nodes if "op" in vars(node)}


@cache
def slots(node: type[Node]) -> tuple[Slot, ...]:
    """The fields of a kind of node, in their order."""
    hints = get_type_hints(node)
    return tuple(_slot(entry.name, hints[entry.name], entry.default) for entry in fields(node))  # type: ignore[arg-type]


def _slot(name: str, hint: Any, default: Any) -> Slot:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    is_optional = NoneType in options
    options = tuple(option for option in options if option is not NoneType)
    is_list = get_origin(options[0]) is tuple
    if is_list:
        options = (get_args(options[0])[0],)
    common = {"name": name, "is_list": is_list, "is_optional": is_optional, "default": default}
    if get_origin(options[0]) is Literal:
        return Slot(kind="choice", choices=get_args(options[0]), **common)
    plain: dict[Any, Kind] = {str: "text", bool: "flag", int: "whole", float: "number"}
    if options[0] in plain:
        return Slot(kind=plain[options[0]], **common)
    return Slot(kind="node", fits=tuple(node for node in node_types().values() if issubclass(node, options)), **common)


def usable(schema: SceneSchema) -> frozenset[type[Node]]:
    """The kinds of nodes that a program for this schema can hold: without fields of words, none that names one."""
    left = set(node_types().values())
    while True:
        lacking = {node for node in left if any(_is_unfillable(slot, left, schema) for slot in slots(node))}
        if not lacking:
            return frozenset(left)
        left -= lacking


def _is_unfillable(slot: Slot, known: Set[type[Node]], schema: SceneSchema) -> bool:
    if slot.is_optional or (slot.is_list and not slot.least):
        return False
    if slot.kind == "node":
        return not any(node in known for node in slot.fits)
    return (slot.is_field and not slot.fields(schema)) or (slot.is_word and not schema.word_fields)


def check(program: Program, schema: SceneSchema | None = None) -> None:
    """Raises ProgramError, naming the place, unless the program is well formed and within the limits.

    Args:
        schema: also checks that fields are of this schema: UnknownWord for others. Words are checked in the scene.
    """
    if not isinstance(program, Query | Edit):
        raise ProgramError(f"a program is a Query or an Edit; this is {_article(type(program).__name__)}.")
    waiting: list[tuple[Node, str, int]] = [(program, "program", 1)]
    count = 0
    while waiting:
        node, where, depth = waiting.pop()
        count += 1
        check_limits(count, depth, where)
        for slot in slots(type(node)):
            value: Any = getattr(node, slot.name)
            place = f"{where}.{slot.name}"
            if slot.is_list:
                if not isinstance(value, tuple):
                    raise ProgramError(f"{place} is {shown(value)}; a tuple is needed.")
                check_length(slot, len(value), place)
                parts = [(entry, f"{place}[{index}]") for index, entry in enumerate(value)]
            else:
                parts: list[tuple[Any, str]] = [] if value is None and slot.is_optional else [(value, place)]
            for part, at in parts:
                check_value(slot, part, at)
                if slot.kind == "node":
                    waiting.append((part, at, depth + 1))
                elif schema is not None and slot.is_field and part not in slot.fields(schema):
                    check_field(part, schema, at)


def check_limits(count: int, depth: int, where: str) -> None:
    """Raises ProgramError where there are too many nodes, or one within too many others."""
    if count > MAX_NODES:
        raise ProgramError(f"{where}: the program has more than {MAX_NODES} nodes; say it in fewer, or in several.")
    if depth > MAX_DEPTH:
        raise ProgramError(f"{where}: it lies {depth} nodes deep; at most {MAX_DEPTH} may lie within one another.")


def check_length(slot: Slot, length: int, where: str) -> None:
    """Raises ProgramError for a list that is too short."""
    if length < slot.least:
        raise ProgramError(f"{where} has {length} entries; at least {slot.least} are needed.")


def check_value(slot: Slot, value: Any, where: str) -> None:
    """Raises ProgramError unless `value` is of the slot's kind; what lies below a node is not looked at."""
    match slot.kind:
        case "node":
            if type(value) not in slot.fits:
                known = ", ".join(node.op for node in slot.fits)
                raise ProgramError(f"{where} is {shown(value)}; one of {known} is needed.")
        case "choice":
            if value not in slot.choices:
                raise ProgramError(f"{where} is {shown(value)}; one of {', '.join(slot.choices)} is needed.")
        case "text":
            if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
                raise ProgramError(f"{where} is {shown(value)}; a text of 1 to {MAX_TEXT} characters is needed.")
        case "flag":
            if not isinstance(value, bool):
                raise ProgramError(f"{where} is {shown(value)}; true or false is needed.")
        case "whole":
            if isinstance(value, bool) or not isinstance(value, int) or not slot.low <= value <= MAX_NUMBER:
                raise ProgramError(
                    f"{where} is {shown(value)}; a whole number from {slot.low} to {MAX_NUMBER} is needed."
                )
        case "number":
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
                raise ProgramError(f"{where} is {shown(value)}; a number of at most {MAX_NUMBER} is needed.")
            if slot.is_positive and value <= 0:
                raise ProgramError(f"{where} is {value:g}; a number above 0 is needed.")


def check_field(name: str, schema: SceneSchema, where: str = "") -> None:
    """Raises UnknownWord unless the schema has a field of words with this name."""
    known = [field.name for field in schema.word_fields]
    if name in known:
        return
    near = get_close_matches(name, known, n=3)
    has = any(field.name == name for field in schema.fields)
    found = f"{name!r} holds numbers, not words" if has else f"objects of the schema {schema.name} have no {name!r}"
    fits = f"did you mean {near[0]}? " if near else ""
    listed = f"its fields of words are {', '.join(known)}" if known else "it has no fields of words"
    raise UnknownWord(f"{where}{': ' if where else ''}{found}; {fits}{listed}.", word=name, near=near)


def shown(value: Any) -> str:
    """The value for a message, cut where it is long."""
    if isinstance(value, Node):
        return getattr(type(value), "op", type(value).__name__)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) > 10**30:
        return "a number of more than 30 digits"
    if isinstance(value, list | tuple | dict | set):
        return f"{_article(type(value).__name__)} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def rewritten(node: Any, change: Callable[[Any], Any]) -> Any:
    """The program with `change` applied to each node, innermost first."""
    if isinstance(node, tuple):
        return tuple(rewritten(one, change) for one in node)
    if not isinstance(node, Node):
        return node
    values = {item.name: getattr(node, item.name) for item in fields(node)}
    changed = {name: rewritten(value, change) for name, value in values.items()}
    return change(node if changed == values else replace(node, **changed))

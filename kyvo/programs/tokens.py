"""Programs as a flat list of tokens in prefix notation, and the grammar of exactly the well-formed lists.

    [P:query] [P:count] [P:where] [P:everything] [COLOR] red

A node is its marker, then its fields in order; how many follow from its type. Fields of the schema are the schema's own
markers, words are its words. Numbers are characters and `[P:end]`; a list is its entries and `[P:end]`; a field that is
left out is `[P:none]`. A free text is a word of the schema, or characters of ASCII and `[P:end]`. Nothing here knows of
ids or of torch: a vocabulary gives each token of `ProgramGrammar.vocabulary` an id.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

from kyvo.programs.errors import ProgramError
from kyvo.programs.program import Edit, Node, Program, Query
from kyvo.programs.structure import MAX_DEPTH, MAX_NODES, MAX_TEXT, Slot, check, node_types, slots, usable
from kyvo.scene.schema import SceneSchema

END, NONE, YES, NO = "[P:end]", "[P:none]", "[P:yes]", "[P:no]"
MAX_TOKENS = MAX_NODES  # of a program
NUM_DECIMALS = 6  # of a number
DIGITS = 6  # before its point
LETTERS = tuple(chr(code) for code in range(32, 127))


class _Goal(NamedTuple):
    """What a list of tokens still has to say: one entry of a slot, or the rest of a list, a number or a text.

    A tuple, since a grammar makes many of them and looks them up.
    """

    slot: Slot
    depth: int = 1  # of the node that it would be
    said: str = ""  # of a number or text
    entries: int | None = None  # of a list so far; None where one entry is meant
    field: str = ""  # of a word


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a list of tokens has come to."""

    goals: tuple[_Goal, ...]  # the next one last
    owed: float  # the fewest tokens that end all goals
    left: int  # tokens that may still come

    @property
    def is_done(self) -> bool:
        """Whether the program is complete; then nothing may follow."""
        return not self.goals


class ProgramGrammar:
    """Which tokens may come next. Every list that it allows can be ended within `max_tokens`."""

    def __init__(self, schema: SceneSchema, *, max_tokens: int = MAX_TOKENS) -> None:
        self.schema = schema
        self.max_tokens = max_tokens
        self._known = usable(schema)
        self._markers = {field.name: field.marker for field in schema.fields}
        self._words = tuple(dict.fromkeys(word for field in schema.word_fields for word in field.words))
        self._tables: dict[_Goal, dict[str, tuple[tuple[_Goal, ...], float]]] = {}
        self._costs: dict[tuple[type[Node], int], float] = {}
        self._root = Slot(name="program", kind="node", fits=(Query, Edit), default=MISSING)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Every token of a program for this schema: markers, the schema's own, its words, characters and bytes."""
        entries = [slot for node in node_types().values() for slot in slots(node)]
        choices = [f"[P:{choice}]" for slot in entries for choice in slot.choices]
        markers = [f"[P:{name}]" for name in node_types()]
        own = [self._markers[name] for slot in entries if slot.is_field for name in slot.fields(self.schema)]
        return tuple(dict.fromkeys([*markers, *choices, END, NONE, YES, NO, *own, *self._words, *LETTERS]))

    def start(self) -> State:
        goal = _Goal(slot=self._root)
        return State(goals=(goal,), owed=self._cost(goal), left=self.max_tokens)

    def allowed(self, state: State) -> tuple[str, ...]:
        """The tokens that may come next; none when the program is complete."""
        if state.is_done:
            return ()
        goal = state.goals[-1]
        room = state.left - 1 - (state.owed - self._cost(goal))
        return tuple(token for token, (_, cost) in self._table(goal).items() if cost <= room)

    def step(self, state: State, token: str) -> State:
        """The state after one more token. Raises ProgramError for one that may not come next."""
        allowed = self.allowed(state)
        if token not in allowed:
            shown = ", ".join(allowed[:8]) + (", ..." if len(allowed) > 8 else "")
            place = self.max_tokens - state.left
            raise ProgramError(
                f"token {place} is {token!r}; {f'one of {shown} is needed' if shown else 'none may follow'}."
            )
        *rest, goal = state.goals
        goals, cost = self._table(goal)[token]
        if goal.slot.is_field and rest and rest[-1].slot.is_word:
            names = {marker: name for name, marker in self._markers.items()}
            rest[-1] = rest[-1]._replace(field=names[token])
        return State(goals=(*rest, *goals), owed=state.owed - self._cost(goal) + cost, left=state.left - 1)

    def _table(self, goal: _Goal) -> dict[str, tuple[tuple[_Goal, ...], float]]:
        """Under each token that can begin a goal, the goals that it leaves and what they cost."""
        table = self._tables.get(goal)
        if table is None:
            found = {token: (goals, sum(self._cost(other) for other in goals)) for token, goals in self._choices(goal)}
            table = {token: row for token, row in found.items() if row[1] < math.inf}
            if not goal.said:  # numbers and texts are too many to keep
                self._tables[goal] = table
        return table

    # Choices: each token that can begin a goal, and the goals that it leaves, the next one last

    def _choices(self, goal: _Goal) -> Iterator[tuple[str, tuple[_Goal, ...]]]:
        slot = goal.slot
        if goal.entries is not None:
            yield from self._list_choices(goal, goal.entries)
            return
        if slot.is_optional and not goal.said:
            yield NONE, ()
        match slot.kind:
            case "node":
                for node in slot.fits:
                    if node in self._known:
                        yield f"[P:{node.op}]", self._goals(node, goal.depth)
            case "choice":
                yield from ((f"[P:{choice}]", ()) for choice in slot.choices)
            case "flag":
                yield from ((YES, ()), (NO, ()))
            case "whole" | "number":
                for token in _next_characters(goal.said, slot):
                    yield token, () if token == END else (_grown(goal, token),)
            case _ if slot.is_field:
                yield from ((self._markers[name], ()) for name in slot.fields(self.schema))
            case _ if slot.is_word:
                known = [field for field in self.schema.word_fields if field.name == goal.field]
                yield from ((word, ()) for field in known for word in field.words)
            case _:
                yield from self._text_choices(goal)

    def _list_choices(self, goal: _Goal, count: int) -> Iterator[tuple[str, tuple[_Goal, ...]]]:
        if count >= goal.slot.least:
            yield END, ()
        after = _Goal(slot=goal.slot, depth=goal.depth, entries=count + 1)
        for token, goals in self._choices(_Goal(slot=goal.slot, depth=goal.depth)):
            yield token, (after, *goals)

    def _text_choices(self, goal: _Goal) -> Iterator[tuple[str, tuple[_Goal, ...]]]:
        if not goal.said:
            yield from ((word, ()) for word in self._words if len(word) > 1)
        else:
            yield END, ()
        if len(goal.said) < MAX_TEXT:
            after = (_grown(goal, " "),)  # how much was said is enough
            yield from ((token, after) for token in LETTERS)

    def _goals(self, node: type[Node], depth: int) -> tuple[_Goal, ...]:
        goals = [_Goal(slot=slot, depth=depth + 1, entries=0 if slot.is_list else None) for slot in slots(node)]
        return tuple(reversed(goals))

    # Costs: the fewest tokens that end a goal

    def _cost(self, goal: _Goal) -> float:
        if goal.entries is not None:
            missing = max(goal.slot.least - goal.entries, 0)
            return 1 + (missing * self._entry_cost(goal.slot, "", MAX_DEPTH - goal.depth) if missing else 0)
        return self._entry_cost(goal.slot, goal.said, MAX_DEPTH - goal.depth)

    def _entry_cost(self, slot: Slot, said: str, room: int) -> float:
        """One entry of a slot, of which something may be said, with so many levels left below it."""
        if slot.is_optional and not said:
            return 1
        if slot.kind == "node":
            return min((self._node_cost(node, room) for node in slot.fits if node in self._known), default=math.inf)
        if slot.kind in ("whole", "number"):
            return _number_cost(said, slot)
        if slot.is_free and not said and not any(len(word) > 1 for word in self._words):
            return 2  # a character and its end; where the schema has words, one of them is enough
        return 1

    def _node_cost(self, node: type[Node], room: int) -> float:
        if room < 0:
            return math.inf
        key = node, room
        if key not in self._costs:
            lists = sum(1 for slot in slots(node) if slot.is_list)
            entries = [(slot, slot.least if slot.is_list else 1) for slot in slots(node)]
            owed = sum(count * self._entry_cost(slot, "", room - 1) for slot, count in entries if count)
            self._costs[key] = 1 + lists + owed
        return self._costs[key]

    # Programs

    def encode(self, program: Program) -> tuple[str, ...]:
        """The program's tokens; its numbers are rounded to six decimals.

        Raises ProgramError for a program that is not of this schema, or too long.
        """
        check(program, self.schema)
        tokens = tuple(self._encode(program))
        state = self.start()
        for token in tokens:
            if not state.left:
                raise ProgramError(f"the program has {len(tokens)} tokens; at most {self.max_tokens} fit.")
            state = self.step(state, token)
        return tokens

    def decode(self, tokens: Iterable[str]) -> Program:
        """Inverse of `encode`. Raises ProgramError, naming the token, for a list that is no program."""
        state, said = self.start(), []
        for token in tokens:
            state = self.step(state, token)
            said.append(token)
        if not state.is_done:
            raise ProgramError(f"the program ends after {len(said)} tokens, before it is complete.")
        program = self._decode_entry(self._root, said[0], iter(said[1:]))
        assert isinstance(program, Query | Edit)
        return program

    def _encode(self, node: Node) -> Iterator[str]:
        yield f"[P:{node.op}]"
        for slot in slots(type(node)):
            value = getattr(node, slot.name)
            for entry in value if slot.is_list else (value,):
                yield from self._encode_entry(slot, entry)
            if slot.is_list:
                yield END

    def _encode_entry(self, slot: Slot, value: Any) -> Iterator[str]:
        if value is None:
            yield NONE
        elif slot.kind == "node":
            yield from self._encode(value)
        elif slot.kind == "choice":
            yield f"[P:{value}]"
        elif slot.kind == "flag":
            yield YES if value else NO
        elif slot.kind in ("whole", "number"):
            yield from (*_digits(value), END)
        elif slot.is_field:
            yield self._markers[value]
        elif slot.is_word or (value in self._words and len(value) > 1):
            yield value
        else:
            yield from (*value, END)

    def _decode(self, token: str, rest: Iterator[str]) -> Node:
        """The node that begins with this token."""
        node = node_types()[token[3:-1]]
        values: dict[str, Any] = {}
        for slot in slots(node):
            if slot.is_list:
                entries = iter(lambda: next(rest), END)
                values[slot.name] = tuple(self._decode_entry(slot, first, rest) for first in entries)
            else:
                values[slot.name] = self._decode_entry(slot, next(rest), rest)
        return node(**values)

    def _decode_entry(self, slot: Slot, token: str, rest: Iterator[str]) -> Any:
        if slot.is_optional and token == NONE:
            return None
        if slot.kind == "node":
            return self._decode(token, rest)
        if slot.kind == "choice":
            return token[3:-1]
        if slot.kind == "flag":
            return token == YES
        if slot.is_field:
            return next(name for name, marker in self._markers.items() if marker == token)
        if slot.is_word or len(token) > 1:
            return token
        said = token + "".join(iter(lambda: next(rest), END))
        return {"whole": int, "number": float, "text": str}[slot.kind](said)


def _grown(goal: _Goal, token: str) -> _Goal:
    return goal._replace(said=goal.said + token)


def _digits(value: float) -> str:
    """A number as it is written: no exponent, no needless zero."""
    text = format(Decimal(repr(round(value, NUM_DECIMALS))), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _next_characters(said: str, slot: Slot) -> list[str]:
    """What may follow in a number of this slot."""
    is_negative = slot.low < 0 if slot.kind == "whole" else not slot.is_positive
    digits = said.removeprefix("-")
    whole, point, decimals = digits.partition(".")
    if point:
        open_ = len(decimals) < NUM_DECIMALS - 1
        more = list("0123456789") if open_ else list("123456789") if len(decimals) < NUM_DECIMALS else []
        return [*more, *([END] if decimals and decimals[-1] != "0" else [])]
    if not digits:
        zero = ["0"] if slot.kind == "number" or (slot.low <= 0 and not said) else []
        return [*(["-"] if is_negative and not said else []), *zero, *"123456789"]
    more = list("0123456789") if whole != "0" and len(whole) < DIGITS else []
    is_whole = whole != "0" or not (said.startswith("-") or slot.is_positive)
    return [*more, *(["."] if slot.kind == "number" else []), *([END] if is_whole else [])]


def _number_cost(said: str, slot: Slot) -> int:
    """The fewest tokens that end a number of this slot."""
    digits = said.removeprefix("-")
    whole, point, decimals = digits.partition(".")
    if point:
        return 1 if decimals and decimals[-1] != "0" else 2
    if not digits:
        return 2
    return 3 if whole == "0" and (said.startswith("-") or slot.is_positive) else 1

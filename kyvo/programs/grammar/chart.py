"""Grammars as data and their chart parser: rules of words and symbols with a meaning, read top-down with a memo.

A pattern is written like the text it reads:

    rule("question", "how many <things> (are there|do you see) [in total]", Count)

`<things>` is a symbol, whose meaning goes to the rule's function; `(a|b|)` are alternatives; `[a]` may be left out; `#`
is a number in digits. Each rule may cost something: the cost of a reading is the sum of its rules' costs. Readings of
one span with one meaning are one, at the lowest cost; the cheapest `WIDTH` meanings of a span are kept.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

SCENE = ("kind1", "kinds", "shaped", "adj", "value", "field", "fields", "noun1", "nouns", "measure")
_LITTLE = frozenset(("non", "like", "color", "one", "form", "left", "right", "most", "?"))
WIDTH = 6  # meanings kept for one symbol and span
MAX_DEPTH = 110  # symbols within symbols; ten relations in a row need 104
NUMBER = "#"

_MACRO = re.compile(r"\b[A-Z]+\b")
_PART = re.compile(r"<(\w+)>|([()\[\]|])|([^\s()\[\]|<>]+)")


class TooLong(Exception):
    """Reading the text took more steps than the budget has, or more depth than the chart has."""


class Budget:
    """How many steps the reading of one text may take. Steps and not seconds: a busy machine reads the same."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Raises TooLong where so many are not left."""
        self.left -= steps
        if self.left < 0:
            raise TooLong


@dataclass(frozen=True)
class Word:
    """One word of the text."""

    text: str


@dataclass(frozen=True)
class Symbol:
    """A symbol, of which the grammar has rules."""

    name: str


@dataclass(frozen=True)
class Row:
    """Parts one after the other."""

    parts: "tuple[Part, ...]"


@dataclass(frozen=True)
class Choice:
    """One of several parts."""

    parts: "tuple[Part, ...]"


Part = Word | Symbol | Row | Choice


@cache
def parse_pattern(pattern: str) -> Part:
    """A pattern's parts. Raises ValueError for brackets that do not match."""
    stack: list[list[list[Part]]] = [[[]]]
    opened: list[str] = []
    for match in _PART.finditer(pattern):
        symbol, sign, word = match.groups()
        if symbol:
            stack[-1][-1].append(Symbol(symbol))
        elif word:
            stack[-1][-1].append(Word(word))
        elif sign in "([":
            opened.append(sign)
            stack.append([[]])
        elif sign == "|":
            stack[-1].append([])
        else:
            if not opened or opened.pop() + sign not in ("()", "[]"):
                raise ValueError(f"{pattern!r}: {sign!r} closes nothing.")
            choices = stack.pop() + ([[]] if sign == "]" else [])
            stack[-1][-1].append(_choice(choices))
    if opened:
        raise ValueError(f"{pattern!r}: {opened[-1]!r} is not closed.")
    return _choice(stack[0])


def _choice(choices: list[list[Part]]) -> Part:
    parts = tuple(one[0] if len(one) == 1 else Row(tuple(one)) for one in choices)
    return parts[0] if len(parts) == 1 else Choice(parts)


@dataclass(frozen=True, eq=False)
class Rule:
    """One way to say a symbol. `make` takes the meanings of the pattern's symbols; it gives None where they clash."""

    symbol: str
    pattern: Part
    make: Callable[..., Any]
    cost: float = 0.0


class Rules:
    """A collection of rules in the making."""

    def __init__(self, macros: Mapping[str, str] | None = None) -> None:
        self.found: list[Rule] = []
        self.macros = dict(macros or {})

    def __call__(self, symbol: str, pattern: str, make: Any = None, cost: float = 0.0) -> None:
        """One more rule. `make` that is not callable is the meaning itself; without it, the only symbol's meaning."""
        before = ""
        while pattern != before:  # a macro may hold others
            before = pattern
            pattern = _MACRO.sub(lambda match: self.macros.get(match[0], match[0]), pattern)
        if make is None:
            made: Callable[..., Any] = _only
        elif callable(make):
            made = make
        else:
            made = lambda *_, value=make: value  # noqa: E731
        parsed = parse_pattern(pattern)
        if unknown := [word for word in _words(parsed) if word.isupper()]:
            raise ValueError(f"{symbol}: {unknown[0]} is no macro.")
        if made is _only and arity(parsed) != (1, 1):
            raise ValueError(f"{symbol}: {pattern!r} has {arity(parsed)} symbols; without a meaning it needs one.")
        self.found.append(Rule(symbol, parsed, made, cost))


def arity(part: Part) -> tuple[int, int]:
    """How many meanings a pattern gives at least, and at most."""
    if isinstance(part, Word):
        return (1, 1) if part.text == NUMBER else (0, 0)
    if isinstance(part, Symbol):
        return 1, 1
    least, most = zip(*map(arity, part.parts), strict=True) if part.parts else ((), ())
    return (min(least), max(most)) if isinstance(part, Choice) else (sum(least), sum(most))


def _only(value: Any) -> Any:
    return value


@dataclass(frozen=True, eq=False)
class Grammar:
    """Rules, indexed for reading."""

    rules: tuple[Rule, ...]
    _firsts: dict[int, frozenset[str]] = field(default_factory=dict)
    _openings: dict[int, tuple[Mapping[str, list[Part]], list[Part]]] = field(default_factory=dict)

    @cached_property
    def by_symbol(self) -> Mapping[str, Sequence[Rule]]:
        """The rules of each symbol. Raises ValueError for a symbol without rules."""
        found: dict[str, list[Rule]] = defaultdict(list)
        for rule in self.rules:
            found[rule.symbol].append(rule)
        missing = {name for rule in self.rules for name in _symbols(rule.pattern)} - found.keys()
        if missing:
            raise ValueError(f"no rules for {', '.join(sorted(missing))}.")
        return found

    @cached_property
    def words(self) -> frozenset[str]:
        """Each word that a rule has."""
        return frozenset(word for rule in self.rules for word in _words(rule.pattern))

    @cached_property
    def scene_words(self) -> frozenset[str]:
        """The words that say what a scene holds: its fields and their words, nouns, superlatives."""
        return frozenset(word for rule in self.rules if rule.symbol in SCENE for word in _words(rule.pattern)) - _LITTLE

    @cached_property
    def nullable(self) -> frozenset[str]:
        """The symbols that may be empty."""
        found: set[str] = set()
        while True:
            more = {rule.symbol for rule in self.rules if self._empty(rule.pattern, found)} - found
            if not more:
                return frozenset(found)
            found |= more

    def _empty(self, part: Part, nullable: Iterable[str]) -> bool:
        if isinstance(part, Word):
            return False
        if isinstance(part, Symbol):
            return part.name in nullable
        some = any if isinstance(part, Choice) else all
        return some(self._empty(one, nullable) for one in part.parts)

    @cached_property
    def firsts(self) -> Mapping[str, frozenset[str]]:
        """The words that each symbol can begin with."""
        words: dict[str, set[str]] = {}
        symbols: dict[str, set[str]] = {}
        for symbol, rules in self.by_symbol.items():
            openings = [self._opening(rule.pattern) for rule in rules]
            words[symbol] = set().union(*(found for found, _ in openings))
            symbols[symbol] = set().union(*(found for _, found in openings))
        changed = True
        while changed:
            changed = False
            for symbol, others in symbols.items():
                before = len(words[symbol])
                words[symbol].update(*(words[other] for other in others))
                changed |= len(words[symbol]) > before
        return {symbol: frozenset(found) for symbol, found in words.items()}

    def _opening(self, part: Part) -> tuple[set[str], set[str]]:
        """The words and the symbols that a part can begin with."""
        if isinstance(part, Word):
            return {part.text}, set()
        if isinstance(part, Symbol):
            return set(), {part.name}
        words: set[str] = set()
        symbols: set[str] = set()
        for one in part.parts:
            more_words, more_symbols = self._opening(one)
            words |= more_words
            symbols |= more_symbols
            if isinstance(part, Row) and not self._empty(one, self.nullable):
                break
        return words, symbols

    def _first(self, part: Part) -> frozenset[str]:
        found = self._firsts.get(id(part))  # rules live as long as their grammar
        if found is None:
            words, symbols = self._opening(part)
            found = self._firsts[id(part)] = frozenset(words).union(*(self.firsts[symbol] for symbol in symbols))
        return found

    @cached_property
    def starts(self) -> Mapping[str, tuple[Mapping[str, list[Rule]], list[Rule]]]:
        """Under each symbol, the rules by the words that they can begin with, and those that may be empty."""
        found = {}
        for symbol, rules in self.by_symbol.items():
            table: dict[str, list[Rule]] = defaultdict(list)
            for rule in rules:
                for word in self._first(rule.pattern):
                    table[word].append(rule)
            found[symbol] = dict(table), [rule for rule in rules if self._empty(rule.pattern, self.nullable)]
        return found

    def index(self) -> None:
        """Makes all tables now, so that no text waits for them."""
        assert self.starts
        for rule in self.rules:
            for part in _parts(rule.pattern):
                if isinstance(part, Choice):
                    self.openings(part)

    def openings(self, choice: Choice) -> tuple[Mapping[str, list[Part]], list[Part]]:
        """The parts of a choice by the words that they can begin with, and those that may be empty."""
        found = self._openings.get(id(choice))
        if found is None:
            table: dict[str, list[Part]] = defaultdict(list)
            empty = [part for part in choice.parts if self._empty(part, self.nullable)]
            for part in choice.parts:
                if part not in empty:
                    for word in self._first(part):
                        table[word].append(part)
            found = self._openings[id(choice)] = dict(table), empty
        return found


def _parts(part: Part) -> Iterable[Part]:
    """A part and all within it."""
    waiting = [part]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, Row | Choice):
            waiting.extend(part.parts)


def _symbols(part: Part) -> Iterable[str]:
    return (one.name for one in _parts(part) if isinstance(one, Symbol))


def _words(part: Part) -> Iterable[str]:
    return (one.text for one in _parts(part) if isinstance(one, Word))


Meanings = list[tuple[Any, float]]  # a meaning and its cost, cheapest first
Spans = dict[int, Meanings]  # under each end
Way = tuple[int, float, tuple[Any, ...]]  # to read a part: where it ends, its cost, the meanings of its symbols


class Chart:
    """The readings of one text. Each token is given with the words it may be, and what each costs."""

    def __init__(self, grammar: Grammar, tokens: Sequence[Mapping[str, float]], *, budget: Budget) -> None:
        self.grammar = grammar
        self.tokens = tokens
        self.budget = budget
        self.memo: dict[tuple[str, int], Spans] = {}
        self._active: set[tuple[str, int]] = set()

    def readings(self, symbol: str) -> Meanings:
        """The meanings of the whole text as this symbol. Raises TooLong."""
        return self._spans(symbol, 0).get(len(self.tokens), [])

    def _spans(self, symbol: str, start: int) -> Spans:
        key = symbol, start
        found = self.memo.get(key)
        if found is not None:
            return found
        if key in self._active:
            raise AssertionError(f"{symbol} begins with itself")
        if len(self._active) == MAX_DEPTH:
            raise TooLong
        self._active.add(key)
        table, empty = self.grammar.starts[symbol]
        rules = list(empty)
        if start < len(self.tokens):
            seen = set(map(id, empty))
            for word in self.tokens[start]:
                for rule in table.get(word, ()):
                    if id(rule) not in seen:
                        seen.add(id(rule))
                        rules.append(rule)
        best: dict[int, dict[Any, float]] = {}
        for rule in rules:
            for end, cost, values in self._match(rule.pattern, start):
                self.budget.spend(1)
                meaning = rule.make(*values)
                if meaning is None:
                    continue
                cost += rule.cost
                known = best.setdefault(end, {})
                if meaning not in known or cost < known[meaning]:
                    known[meaning] = cost
        spans = {end: sorted(known.items(), key=lambda item: item[1])[:WIDTH] for end, known in best.items()}
        self._active.discard(key)
        self.memo[key] = spans
        return spans

    def _match(self, part: Part, start: int) -> list[Way]:
        """Each way to read the part from here."""
        if isinstance(part, Word):
            cost = self.tokens[start].get(part.text) if start < len(self.tokens) else None
            if cost is None:
                return []
            return [(start + 1, cost, (self._number(start),) if part.text == NUMBER else ())]
        if isinstance(part, Symbol):
            if start < len(self.tokens):
                table, empty = self.grammar.starts[part.name]
                if not empty and not any(word in table for word in self.tokens[start]):
                    return []
            spans = self._spans(part.name, start)
            return [(end, cost, (value,)) for end, meanings in spans.items() for value, cost in meanings]
        if isinstance(part, Choice):
            return [found for one in self._open(part, start) for found in self._match(one, start)]
        ways: list[Way] = [(start, 0.0, ())]
        for one in part.parts:
            further: list[Way] = []
            if isinstance(one, Word) and one.text != NUMBER:  # looked up here, since most rows end at a word
                for end, cost, values in ways:
                    more = self.tokens[end].get(one.text) if end < len(self.tokens) else None
                    if more is not None:
                        further.append((end + 1, cost + more, values))
            else:
                reached: dict[int, list[Way]] = {}
                for end, cost, values in ways:
                    if end not in reached:
                        reached[end] = self._match(one, end)
                    further += [(then, cost + more, values + others) for then, more, others in reached[end]]
            ways = further
            if not ways:
                break
            self.budget.spend(len(ways))
        return ways

    def _open(self, choice: Choice, start: int) -> Iterable[Part]:
        """The parts of a choice that can begin here."""
        table, empty = self.grammar.openings(choice)
        if start == len(self.tokens):
            return empty
        parts = {id(part): part for word in self.tokens[start] for part in table.get(word, ())}
        return [*empty, *parts.values()]

    def _number(self, place: int) -> float:
        return next(float(word) for word in self.tokens[place] if word[0].isdecimal())

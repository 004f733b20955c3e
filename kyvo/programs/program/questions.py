"""What a query asks: an `Amount`, a `Truth`, a `Word`, or another `Ask`."""

from dataclasses import dataclass
from typing import Literal

from kyvo.programs.program.selectors import Measure, Node, Selector


class Amount(Node):
    """One whole number."""


class Truth(Node):
    """Yes or no."""


class Word(Node):
    """One of a field's words: "red"."""


class Ask(Node):
    """What a query can ask, beside an `Amount`, a `Truth` or a `Word`."""


# Amounts


@dataclass(frozen=True, kw_only=True)
class Count(Amount):
    """How many objects."""

    op = "count"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class CountWords(Amount):
    """How many different words of a field the objects have: "how many colors"."""

    op = "count_words"
    of: Selector
    field: str


@dataclass(frozen=True, kw_only=True)
class Number(Amount):
    """A number that the text gives."""

    op = "number"
    value: int


@dataclass(frozen=True, kw_only=True)
class Arithmetic(Amount):
    """Sum, difference (its absolute value), product or whole quotient of two amounts."""

    op = "arithmetic"
    operation: Literal["plus", "minus", "difference", "times", "divided by"]
    first: Amount
    second: Amount


# Truths


@dataclass(frozen=True, kw_only=True)
class Exists(Truth):
    """Whether the set holds an object."""

    op = "exists"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class Every(Truth):
    """Whether each object of the set is among the others: "are all cubes red?".

    Raises NoSuchObject for an empty set.
    """

    op = "every"
    of: Selector
    among: Selector


@dataclass(frozen=True, kw_only=True)
class Alike(Truth):
    """Whether all objects of the set have the same word of a field."""

    op = "alike"
    of: Selector
    field: str


@dataclass(frozen=True, kw_only=True)
class Compare(Truth):
    """Whether one amount is equal to, less or greater than another, or at least or at most as large."""

    op = "compare"
    comparison: Literal["equal", "less", "greater", "at least", "at most"]
    first: Amount
    second: Amount


@dataclass(frozen=True, kw_only=True)
class SameWord(Truth):
    """Whether two words are the same: "is the cube the same color as the sphere?", "is the cube red?"."""

    op = "same_word"
    first: Word
    second: Word


@dataclass(frozen=True, kw_only=True)
class BiggerThan(Truth):
    """Whether the first object's measure is the larger one: "is the cube bigger than the sphere?"."""

    op = "bigger_than"
    by: Measure
    first: Selector
    second: Selector


@dataclass(frozen=True, kw_only=True)
class All(Truth):
    """Whether both hold."""

    op = "and"
    first: Truth
    second: Truth


@dataclass(frozen=True, kw_only=True)
class Any(Truth):
    """Whether at least one holds."""

    op = "or"
    first: Truth
    second: Truth


@dataclass(frozen=True, kw_only=True)
class Not(Truth):
    """Whether it does not hold."""

    op = "not"
    of: Truth


# Words


@dataclass(frozen=True, kw_only=True)
class WordOf(Word):
    """The field's word of the objects. Several are fine where all have the same; else AmbiguousReference."""

    op = "word_of"
    of: Selector
    field: str


@dataclass(frozen=True, kw_only=True)
class Literally(Word):
    """A word of a field that the text gives."""

    op = "literally"
    field: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Commonest(Word):
    """The word of a field that most objects of the set have, or with `least` that fewest of them have."""

    op = "commonest"
    of: Selector
    field: str
    least: bool = False


# What else a query can ask


@dataclass(frozen=True, kw_only=True)
class Which(Ask):
    """Which objects: the answer is a list of them, each in words."""

    op = "which"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class WordsOf(Ask):
    """Several fields of one object, or one field of several: "what size and color", "which colors are there"."""

    op = "words_of"
    of: Selector
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WhereIs(Ask):
    """Where an object stands: its location, and its part of the picture."""

    op = "where_is"
    of: Selector


@dataclass(frozen=True, kw_only=True)
class Distance(Ask):
    """How far two objects stand apart, centre to centre."""

    op = "distance"
    first: Selector
    second: Selector


@dataclass(frozen=True, kw_only=True)
class Choose(Ask):
    """Which of two words or classes holds: "are there more cubes or spheres?", "is it red or blue?".

    The answer is the `word` of the `Case` whose amount is the largest (the smallest with `fewest`); "neither" where
    several tie.
    """

    op = "choose"
    cases: "tuple[Case, ...]"
    fewest: bool = False


@dataclass(frozen=True, kw_only=True)
class Case(Node):
    """One choice of a `Choose`: the words of the text for it, and its amount."""

    op = "case"
    word: str
    amount: Amount

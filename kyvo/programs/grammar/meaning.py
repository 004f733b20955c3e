"""Meanings of noun phrases: how selectors narrow one another.

A modifier ("red", "left of the cube", "largest") is a selector of everything that fits it. A description is made by
narrowing one by the next. Superlatives stay outermost: "the largest red thing" is the largest of the red ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from kyvo.programs.program import (
    Along,
    Between,
    Bigness,
    Both,
    Centrality,
    Earlier,
    Either,
    Everything,
    Except,
    Extreme,
    Hidden,
    InRegion,
    Measure,
    MoreThan,
    Node,
    Related,
    Selector,
    Shared,
    Smallness,
    Step,
    The,
    Together,
    Where,
    WhereSame,
)
from kyvo.programs.program.edits import leaves
from kyvo.programs.structure import rewritten

ALL = Everything()
ONE = Where(of=ALL, field="*", value="one")  # "the red one": of the kind that the text has named before
NO_NOUN = Where(of=ALL, field="*", value="none")  # "the red": likewise, but no noun stands there
_SETS = (Either, Both, The, Earlier)


@dataclass(frozen=True, kw_only=True)
class Indefinite(Selector):
    """ "A cube", "any cube", "something red": one of a set where a question is asked, each of it elsewhere. Of
    something that an edit changes only one is meant.

    It is part of readings only; `references` puts the set in its place.
    """

    op = "indefinite"
    of: Selector
    alone: bool = False  # "something"


@dataclass(frozen=True, kw_only=True)
class Pointed(The):
    """ "That cube": what was spoken of before, where that was a cube; else the only one.

    It is part of readings only, as `Indefinite` is.
    """


def narrow(base: Selector, *modifiers: Selector) -> Selector:
    """Those of `base` that fit all modifiers."""
    for modifier in modifiers:
        base = _narrow(base, modifier)
    return base


def _narrow(base: Selector, modifier: Selector) -> Selector:
    if modifier == ALL:
        return base
    inner = getattr(modifier, "of", ALL)
    if inner != ALL and not isinstance(modifier, _SETS):
        return _narrow(_narrow(base, inner), replace(modifier, of=ALL))  # type: ignore[call-arg]
    if base == ALL or modifier in _conditions(base):
        return modifier if base == ALL else base
    if isinstance(base, Extreme) and not isinstance(modifier, Extreme):
        return replace(base, of=_narrow(base.of, modifier))
    if isinstance(modifier, _SETS):
        return Both(first=base, second=modifier)
    if isinstance(modifier, Where) and _sorts_below(modifier, base):
        return replace(base, of=_narrow(base.of, modifier))  # type: ignore[attr-defined]
    return replace(modifier, of=base)  # type: ignore[call-arg]


def _conditions(base: Selector) -> Iterator[Selector]:
    """Each word of a description, as a selector of everything that fits it."""
    while isinstance(base, Where):
        yield replace(base, of=ALL)
        base = base.of


def _sorts_below(word: Where, base: Selector) -> bool:
    """Whether a word can as well be told before the last of `base`: so that each order of words is one program."""
    if isinstance(base, Where):
        return (word.field, word.value) < (base.field, base.value)
    return isinstance(base, Related | Between | InRegion | Hidden | WhereSame | Except | MoreThan)


def without(base: Selector, other: Selector) -> Selector:
    """Those of `base` that are not among the others."""
    if isinstance(base, Extreme):
        return replace(base, of=without(base.of, other))
    return Except(of=base, without=other)


def all_but(base: Selector, other: Selector) -> Selector:
    """ "All red things but the cube": the cube is one of the red things."""
    return without(base, replace(other, of=narrow(base, other.of)) if isinstance(other, The) else other)


def negated(modifier: Selector) -> Selector:
    """Everything that does not fit. What is compared with an object leaves the object itself out."""
    if isinstance(modifier, WhereSame):
        return Except(of=ALL if modifier.some else without(ALL, modifier.like), without=modifier)
    return Except(of=ALL, without=modifier)


def identical(of: Selector, fields: Sequence[str]) -> Selector:
    """Those of which there is another with the same words."""
    for field in fields:
        of = Shared(of=of, field=field)
    return of


def joined(first: Selector, second: Selector) -> Selector | None:
    """ "red and shiny" narrows; "red and green", of one field, is either; "leftmost and rightmost" are two objects."""
    if isinstance(first, Extreme) and isinstance(second, Extreme):
        return None
    one, other = _field(first), _field(second)
    return Either(first=first, second=second) if one and one == other else narrow(first, second)


def either(first: Selector, second: Selector) -> Selector:
    """Those of both descriptions together."""
    return Either(first=first, second=second)


def _field(modifier: Selector) -> str | None:
    """The field that a modifier of words alone is about."""
    if isinstance(modifier, Either):
        return _field(modifier.second)
    return modifier.field if isinstance(modifier, Where) else None


def the(description: Selector, count: int = 1) -> Selector:
    """The ones that a description means. "The one on the left" is the leftmost where several are."""
    return The(of=settle_region(description), count=count)


def settle_region(description: Selector) -> Selector:
    """The farthest to a side, where one object at that side is meant."""
    if isinstance(description, InRegion):
        if description.region == "middle":
            return Extreme(of=description.of, by=Centrality())
        direction = "behind" if description.region == "back" else description.region
        if "middle" not in direction:
            return Extreme(of=description.of, by=Along(direction=direction))  # type: ignore[arg-type]
    return description


def as_set(selector: Selector) -> Selector:
    """A set where a noun phrase stands: which one is meant is no question then."""
    selector = settle_region(selector)
    if isinstance(selector, Indefinite):
        return selector.of
    if isinstance(selector, Extreme):
        return The(of=selector)
    return (
        selector.of
        if isinstance(selector, The) and selector.count == 1 and not isinstance(selector.of, Extreme)
        else selector
    )


def named_set(phrase: Selector) -> Selector:
    """As `as_set`, of a whole noun phrase: there "the largest ones" are all of that size."""
    return phrase if _is_of_size(phrase) else as_set(phrase)


def _is_of_size(selector: Selector) -> bool:
    return isinstance(selector, Extreme) and isinstance(selector.by, Bigness | Smallness)


def is_vague(step: Step) -> bool:
    """Whether it is about "the leftmost ones", of which nobody knows how many they are."""
    of = getattr(step, "of", None)
    return isinstance(of, Extreme) and not _is_of_size(of)


def ordered(program: Any) -> Any:
    """The program with the words of each description in the order that `narrow` gives them."""

    def order(node: Any) -> Any:
        return narrow(node.of, replace(node, of=ALL)) if isinstance(node, Where) else node

    return rewritten(program, order)


def is_other(node: Any) -> bool:
    """Whether it is what is left without those that were spoken of: "the other cubes", "what else"."""
    return isinstance(node, Except) and node.without == Earlier()


def without_other(node: Any) -> Any:
    """The node without its own "other"."""
    return node.of if is_other(node) else node


def is_of_pairs(*selectors: Selector) -> bool:
    """Whether they speak of what objects share with one another: "a ball of the same color"."""
    return any(isinstance(node, Shared) for selector in selectors for node in parts(selector))


def among(base: Selector, asks: Any) -> Any:
    """The question of those objects alone; what others are compared with may be any object."""
    if asks == ALL:
        return base
    if not isinstance(asks, Node):
        return tuple(among(base, one) for one in asks) if isinstance(asks, tuple) else asks
    anchors = () if isinstance(asks, Both | Either | Except) else ("to", "like", "than", "first", "second")
    skipped = anchors if isinstance(asks, Selector | Measure) else ()
    changed = {item.name: among(base, getattr(asks, item.name)) for item in fields(asks) if item.name not in skipped}
    return replace(asks, **changed)


def together(first: Sequence[Step] | None, rest: Sequence[Step] | None) -> tuple[Step, ...] | None:
    """Steps joined by "and": those before it and the next after it are said together."""
    if first is None or rest is None:
        return None
    following, *later = rest
    return (Together(steps=(*leaves(first), *leaves([following]))), *later)


def parts(node: Any) -> Iterator[Any]:
    """Each node of a program, outermost first."""
    if isinstance(node, Node):
        yield node
        for item in fields(node):
            yield from parts(getattr(node, item.name))
    elif isinstance(node, tuple):
        for one in node:
            yield from parts(one)

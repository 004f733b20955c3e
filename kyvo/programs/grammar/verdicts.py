"""What a phrase with "is" asks: whether an object, each of several, or any is so."""

from dataclasses import replace

from kyvo.programs.grammar.lexicon import KINDS
from kyvo.programs.grammar.meaning import ALL, NO_NOUN, ONE, Indefinite, as_set, narrow, parts
from kyvo.programs.program import (
    Bigness,
    Both,
    Earlier,
    Either,
    Every,
    Exists,
    Extreme,
    InRegion,
    Literally,
    Related,
    SameWord,
    Selector,
    Smallness,
    The,
    Truth,
    Where,
    WhereSame,
    WordOf,
)


def is_so(of: Selector, pred: Selector) -> Truth | None:
    """Whether objects are as a predicate says; a word of one object is compared. None where that is no question of
    yes or no."""
    if NO_NOUN in parts(of) and any(isinstance(node, Where) and node.field in KINDS for node in parts(pred)):
        return None  # "are the red cubes ...": the noun is of the red ones
    pred = _of_any_kind(pred)
    if isinstance(pred, Where) and pred.of == ALL and isinstance(of, The) and of.count == 1:
        return SameWord(
            first=WordOf(of=as_set(of), field=pred.field), second=Literally(field=pred.field, value=pred.value)
        )
    if isinstance(pred, WhereSame) and not pred.some and pred.of == ALL and isinstance(of, The | Earlier):
        return SameWord(first=WordOf(of=of, field=pred.field), second=WordOf(of=pred.like, field=pred.field))
    if isinstance(pred, Either) and _is_choice(pred.first, pred.second):
        return None  # "is it red or blue?", "is it left of the cube or the ball?" ask which
    return each_is(of, pred)


def _of_any_kind(pred: Selector) -> Selector:
    """ "Is the cube the one on the left?": the one of all objects."""
    of = getattr(pred, "of", None)
    return ALL if pred in (ONE, NO_NOUN) else pred if of is None else replace(pred, of=_of_any_kind(of))  # type: ignore[call-arg]


def fitting(of: Selector, pred: Selector) -> Selector:
    """Those of a set that are so. "The leftmost" is that of all objects, and not of the set."""
    return Both(first=of, second=pred) if isinstance(pred, Extreme) else narrow(of, pred)


def _is_single(of: Selector) -> bool:
    """Whether one object is meant."""
    return isinstance(of, The | Earlier | Extreme) and getattr(of, "count", 1) == 1


def _is_choice(first: Selector, second: Selector) -> bool:
    if isinstance(first, Related) and isinstance(second, Related):
        return first.relation == second.relation
    if isinstance(first, InRegion) and isinstance(second, InRegion):
        return True
    return _is_word(first) and _is_word(second)


def _is_word(selector: Selector) -> bool:
    return isinstance(selector, Where) and selector.of in (ALL, ONE)


def each_is(of: Selector, pred: Selector) -> Truth | None:
    """Whether all of a set are so, or for "any" at least one. "The leftmost" is that of all objects."""
    if isinstance(of, Indefinite):
        return Exists(of=fitting(of.of, pred))
    if pred == ALL:  # "are red cubes there?"
        return Exists(of=as_set(of))
    if isinstance(pred, Extreme) and not (_is_single(of) or isinstance(pred.by, Bigness | Smallness)):
        return None  # one alone is the leftmost
    return Every(of=of, among=pred)

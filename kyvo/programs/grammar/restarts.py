"""Texts that break off and begin anew: "remove the, wait, paint the ball red" is the order after the break."""

from collections.abc import Sequence

from kyvo.programs.grammar.tokens import COMMA, END

_BREAKS = ("no wait", "wait no", "wait", "no", "sorry", "oops", "i mean", "actually", "or rather")
_CANCELS = ("scratch that", "forget that", "never mind")  # these take back what is whole, too
MARKS = sorted((tuple(mark.split()) for mark in _BREAKS + _CANCELS), key=len, reverse=True)
_TURNING = frozenset(("not", "no", "never", "if", "unless", "except", "but", "nor", "neither", "without"))
MAX_BROKEN = 8  # words before the break


def at_break(tokens: Sequence[str]) -> tuple[Sequence[str], Sequence[str]] | None:
    """What stands before the last break of a text, nothing where it is taken back, and what follows.

    None where there is no break, or where what stands before may change what follows.
    """
    for place in reversed(range(1, len(tokens))):
        mark = next((mark for mark in MARKS if tuple(tokens[place : place + len(mark)]) == mark), None)
        if mark is None or tokens[place - 1] not in (COMMA, END):
            continue
        broken, rest = tokens[: place - 1], list(tokens[place + len(mark) :])
        while rest and rest[0] in (COMMA, END):
            rest = rest[1:]
        if len(broken) <= MAX_BROKEN and _TURNING.isdisjoint(broken) and rest:
            return ([] if " ".join(mark) in _CANCELS else broken), rest
    return None

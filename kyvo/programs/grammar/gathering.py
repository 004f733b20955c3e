"""Rules of edits that gather objects: "group the three cubes together", "gather the ball, the cone and the cube".

They go next to one of them, step by step; so it must be said how many there are.
"""

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.program import Along, Either, Extreme, Move, NextTo, Selector, Step, The, Together


def add_gathering(rule: Rules) -> None:
    other = "(each other|one another)"
    close = (
        f"(together|close together|closer together|(next|close|closer|near) to {other}|(beside|near) {other}|"
        "(in|into|as) (a|one) [(tight|single|small|close)] (group|cluster|bunch|place|spot|heap))"
    )
    gather = "(group|gather|gather up|cluster|bunch|bunch up|huddle|assemble|collect)"
    rule("step", f"{gather} <np> [up] [{close}]", _gathered)
    rule("step", f"(bring|put|move|push|pull|place|get|set|arrange) <np> [all] {close}", _gathered, 0.8)
    rule("step", f"{gather} <np> (around|round|next to|near|beside|close to) <one_target>", _around)


def _gathered(of: Selector) -> tuple[Step, ...] | None:
    """The others next to the first, or next to the leftmost of a number of objects."""
    members = _members(of)
    return None if members is None or len(members) < 2 else _next_to(members[0], members[1:])


def _around(of: Selector, to: Selector) -> tuple[Step, ...] | None:
    members = _members(of)
    return None if members is None else _next_to(to, members)


def _next_to(anchor: Selector, others: list[Selector]) -> tuple[Step, ...]:
    steps = tuple(Move(of=other, place=NextTo(to=anchor)) for other in others)
    return steps if len(steps) == 1 else (Together(steps=steps),)


def _members(of: Selector) -> list[Selector] | None:
    """The objects one by one; None where it is not said how many they are."""
    if isinstance(of, Either):
        first, second = _members(of.first), _members(of.second)
        return None if first is None or second is None else first + second
    if not isinstance(of, The):
        return None
    if of.count == 1:
        return [of]
    leftmost = Along(direction="left")
    return [The(of=Extreme(of=of, by=leftmost, rank=rank)) for rank in range(1, of.count + 1)]

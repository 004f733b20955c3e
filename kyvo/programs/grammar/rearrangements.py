"""Rules of edits that swap, turn or line up objects."""

from functools import partial
from typing import Any

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.goals import move
from kyvo.programs.grammar.relations import two
from kyvo.programs.program import (
    Align,
    Beside,
    Earlier,
    Rotate,
    Selector,
    Step,
    Swap,
)

QUARTER = 90.0  # degrees, where a turn has no amount


def add_rearrangements(rule: Rules) -> None:
    swap = "(swap|exchange|switch|interchange|trade|flip|reverse)"
    places = "(places|positions|locations|place|position|location|spots)"
    rule(
        "step",
        f"{swap} [[the] {places} (of|between)] <one_target> (and|with|for) <one_target> "
        f"[(around|{places}|with each other|over)]",
        lambda a, b: (Swap(first=a, second=b),),
        0.1,
    )
    rule(
        "step",
        f"{swap} [[the] {places} (of|between)] <twonp> [(around|{places}|with each other|over)]",
        swap_pair,
    )
    rule(
        "step",
        f"{swap} (the|) (<fields>|<field>) (of|between) <np1> (and|with) [(that of|those of)] <np1>",
        lambda field, a, b: (Swap(first=a, second=b, field=field),),
    )
    rule(
        "step",
        f"{swap} (the|) (<fields>|<field>) (of|between) <twonp>",
        lambda field, pair: swap_pair(pair, field),
    )
    rule(
        "step",
        f"{swap} <twonp> ['s] (<fields>|<field>)",
        swap_pair,
    )
    each_other = "[with (each other|one another)]"
    rule("swappers", "<np1> and <np1>", lambda a, b: (a, b))
    rule("swappers", "<twonp>")
    rule(
        "step",
        f"[(let|have|make|get|can|could)] <swappers> [(MUST|to)] ({swap}|change) [(the|their)] {places} {each_other}",
        swap_pair,
    )
    rule(
        "step",
        f"[(let|have|make|get|can|could)] <swappers> [(MUST|to)] {swap} [(the|their)] (<fields>|<field>) {each_other}",
        swap_pair,
    )
    rule(
        "step",
        f"[(let|have|make|get|can|could)] <np1> [(MUST|to)] ({swap}|change) [{places}] with <np1>",
        lambda a, b: (Swap(first=a, second=b),),
    )
    theirs = two(Earlier())
    rule("step", f"{swap} their {places}", (Swap(first=theirs[0], second=theirs[1]),))
    swapped = "(swapped|exchanged|switched|interchanged)"
    rule(
        "step",
        f"<swappers> (MUST be|get|(can|could) be) {swapped} {each_other}",
        swap_pair,
    )
    rule("step", f"{swap} <np1> and <np1> in <field>", lambda a, b, field: (Swap(first=a, second=b, field=field),))
    rule(
        "step",
        f"{swap} <np1> 's <field> (with|and|for) (that of <np1>|<np1> 's) [<field>]",
        lambda a, field, b, *_: (Swap(first=a, second=b, field=field),),
    )
    rule(
        "step",
        "(give|let|have) <np1> and <np1> [have] each other 's <field>",
        lambda a, b, field: (Swap(first=a, second=b, field=field),),
    )
    other_way = "(vice versa|the other way (round|around)|the reverse|conversely)"
    rule("step", f"MOVE <np1> where <np1> (is|stands) [,] and {other_way}", lambda a, b: (Swap(first=a, second=b),))
    # turns
    turn = "(rotate|turn|spin|twist|pivot)"
    rule("sense", "(clockwise|right|to the right|rightward|toward the right)", -1.0)
    rule(
        "sense",
        "(counterclockwise|counter clockwise|anticlockwise|anti clockwise|left|to the left|leftward|toward the left)",
        1.0,
    )
    rule("angle", "[by] <signed> (degrees|degree|deg)")
    rule("angle", "[by] (a quarter turn|a quarter [of a turn]|90)", QUARTER)
    rule("angle", "(by half a turn|by a half turn|half a turn|halfway around|around)", 2 * QUARTER)
    rotated = lambda of, degrees: (Rotate(of=of, degrees=degrees),)  # noqa: E731
    rule("step", f"{turn} <target> <angle>", rotated)
    rule("step", "<target> (MUST be|gets|get) (rotated|turned|spun) <angle>", rotated)
    rule("step", f"{turn} <target> <angle> <sense>", lambda of, angle, sense: rotated(of, angle * sense))
    rule("step", f"{turn} <target> <sense> <angle>", lambda of, sense, angle: rotated(of, angle * sense))
    rule("step", f"{turn} <target> <sense>", lambda of, sense: rotated(of, QUARTER * sense))
    rule("step", f"{turn} <sense> <target>", lambda sense, of: rotated(of, QUARTER * sense), 0.2)
    rule("step", "(rotate|spin) <target>", lambda of: rotated(of, QUARTER), 0.2)
    rule("step", f"PICKUP <target> and {turn} (it|them) <sense>", lambda of, sense: rotated(of, QUARTER * sense))
    # lines
    align = "(align|line up|arrange|put|place|order|set up|lay out|bring|straighten out|organize)"
    row = (
        "([up] (in|into|on|along|to|as) (a|one|the same|the|a single|a straight) (row|line|straight line|"
        "horizontal line) [(from left to right|side by side|left to right)]|[up] from left to right|"
        "side by side|in a horizontal line)"
    )
    column = (
        "([up] (in|into|as) (a|one|the same|a single) (column|vertical line) [(from front to back)]|"
        "[up] (in a line|) from front to back|one behind the other|behind each other|behind one another)"
    )
    pile = "(on top of (one another|each other)|in a (stack|pile|tower)|into a (stack|pile|tower)|on each other)"
    rule(
        "step",
        f"(stack|pile|line up|put|place|arrange|pile up|stack up) <np> [up] {pile}",
        lambda of: (Align(of=of, direction="above"),),
    )
    rule("step", "(stack|pile|pile up) <np> [up]", lambda of: (Align(of=of, direction="above"),), 0.2)
    rule(
        "step",
        "(build|make) a (tower|stack|pile) (of|from|with|out of) [all] <np>",
        lambda of: (Align(of=of, direction="above"),),
    )
    lines: tuple[tuple[str, Any], ...] = ((row, "left"), (column, "front"))
    for line, direction in lines:
        lined = partial(_lined, direction)
        rule("step", f"{align} <np> {line}", lined)
        rule(
            "step",
            "make (a row|a line) (of|from) <np>" if direction == "left" else "make a column (of|from) <np>",
            lined,
        )
    rule("step", f"line <np> {row}", lambda of: (Align(of=of, direction="left"),))
    rule("step", "line <np> up", lambda of: (Align(of=of, direction="left"),), 0.2)
    rule("step", "<np> MUST (form|make) a [straight] (row|line)", lambda of: (Align(of=of, direction="left"),))
    rule("step", "(align|line up|straighten out) <np>", lambda of: (Align(of=of, direction="left"),), 0.2)
    rule(
        "step",
        "(align|line up|level) <target> (with|to|along) <one_target>",
        lambda of, to: (Align(of=of, direction="left", to=to),),
    )
    rule(
        "step",
        "(align|line up) <target> (with|to|along) [the] <itsside> side of <one_target>",
        lambda of, side, to: move(of, Beside(direction=side, to=to)),
    )
    rule(
        "step",
        "(align|line up) <target> (with|to|along) <side> <one_target>",
        lambda of, side, to: move(of, Beside(direction=side, to=to)),
    )
    rule(
        "step",
        "MOVE <target> and (align|line up) it (with|to|along) <side> <one_target>",
        lambda of, side, to: move(of, Beside(direction=side, to=to)),
    )


def swap_pair(pair: tuple[Selector, Selector], field: str = "location") -> tuple[Step, ...]:
    """Places of two objects, or their words of a field."""
    return (Swap(first=pair[0], second=pair[1], field=field),)


def _lined(direction: Any, of: Selector) -> tuple[Step, ...]:
    return (Align(of=of, direction=direction),)

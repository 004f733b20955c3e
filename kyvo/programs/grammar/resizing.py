"""Rules of edits that make objects larger or smaller, by a step or by a factor."""

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.program import Resize, Selector, Step


def add_resizing(rule: Rules) -> None:
    for larger, words, verb in (
        (True, "(bigger|larger|taller|greater)", "(enlarge|grow|scale up|blow up|increase|magnify|expand|upsize)"),
        (False, "(smaller|tinier|littler|shorter)", "(shrink|scale down|reduce|decrease|diminish|downsize|minimize)"),
    ):
        size = lambda of, far=None, big=larger: (Resize(of=of, larger=big),)  # noqa: E731
        rule(
            "step",
            "(make|turn|get|have|let|render) <target> [(become|be|a bit|a little|slightly|much|even|a lot|"
            f"a bit more)] {words}",
            size,
        )
        rule("step", f"{verb} [the size of] <target> [in size]", size)
        passive = (
            "(enlarged|scaled up|increased|magnified|blown up)" if larger else "(shrunk|reduced|scaled down|shrunken)"
        )
        rule("step", f"<target> (MUST be|gets|get|is to be|are to be) {passive} [in size]", size)
        rule("step", f"(scale|blow|size|bump) <target> {'up' if larger else 'down'}", size)
        rule("step", f"(let|make|have) <target> {'grow' if larger else 'shrink'}", size)
        rule("step", f"IWANT <target> [to be] {words}", size)
        wrong = "(small|little|tiny|short)" if larger else "(big|large|tall|huge)"
        rule(
            "step",
            f"<target> (is|are|looks|look) [(much|far|way|a bit|a little)] too {wrong} "
            "[(.|,) [please] (fix|change|correct|adjust) (it|that|this|them)]",
            size,
            0.2,
        )
        rule("step", f"(turn|make) <target> [into] a {words} one", size)
        rule("step", f"{verb} <target> 's size", size)
        rule("brief", f"<target> [(.|,)] {words}", size)
        rule("brief", f"<target> [(all|both)] {'(grow|grows)' if larger else '(shrink|shrinks)'}", size)
        rule("step", f"<target> MUST (be|become|get) [(a bit|slightly|a little|much)] {words}", size)
        factor = lambda of, by, big=larger: (Resize(of=of, larger=big, factor=by),) if by > 0 else None  # noqa: E731
        rule("step", f"{verb} [the size of] <target> by [a factor of] <num> [times]", factor)
        rule("step", f"make <target> <num> times {words}", factor)
        rule("step", f"make <target> {words} by [a factor of] <num>", factor)
        rule("step", f"make <target> <times> (as big|as large|the size|{words})", lambda of, by: _scaled(of, by))
    rule("step", "(scale|resize) <target> by [a factor of] <num>", lambda of, by: _scaled(of, by))
    rule("step", "make <target> <num> times as (big|large|small)", lambda of, by: _scaled(of, by))
    rule("step", "double [the size of] <target> [in size]", lambda of: _scaled(of, 2.0))
    rule("step", "halve [the size of] <target> [in size]", lambda of: _scaled(of, 0.5))
    rule("times", "(twice|double)", 2.0)
    rule("times", "(half)", 0.5)


def _scaled(of: Selector, factor: float) -> tuple[Step, ...] | None:
    if factor <= 0 or factor == 1:
        return None
    return (Resize(of=of, larger=factor > 1, factor=factor if factor > 1 else 1 / factor),)

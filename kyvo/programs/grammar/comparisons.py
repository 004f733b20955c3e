"""Rules of questions that compare numbers: more, fewer, as many, at least three, an odd number."""

from functools import partial
from typing import Any as Anything

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import ALL, either, is_of_pairs, narrow, without
from kyvo.programs.program import (
    Arithmetic,
    Compare,
    Count,
    CountWords,
    Not,
    Number,
    Selector,
    Truth,
)


def exactly(of: Selector, count: int) -> Truth:
    return Compare(comparison="equal", first=Count(of=of), second=Number(value=count))


def add_comparisons(rule: Rules) -> None:
    def compared(comparison: Anything) -> Anything:
        return lambda a, b: Compare(comparison=comparison, first=Count(of=a), second=Count(of=b))

    a, b = "(<cdesc>)", "(<cdesc>)"
    rule("cdesc", "<descs>")
    rule("cdesc", "<desc1>", None, 0.4)
    combined = "(combined|together|put together|taken together|altogether|in total)"
    rule("cdesc", f"<descs> (plus|and) <descs> {combined}", either)
    rule("cdesc", "(that|those) of <descs>")
    rule("cdesc", "<descs> (plus|and) [the] [number of] <descs>", either, 0.6)
    rule("cdesc", "<adj>", None, 0.3)
    rule("cdesc", "(the number of|there are|is the number of|do you see) <descs>")
    thereis = (
        "(are there|is there|there are|is it (true|right|correct) [that] there (is|are)|have (we|you) [got]|"
        "(do|does|can|could) (you|we|i|it|THEPICTURE) (see|have|find|spot|count|show|contain|hold|include)|)"
    )
    rule(
        "truth",
        f"{thereis} [(an|the)] (equal|same) (number|amount|numbers|amounts|quantity|count) of {a} (and|as|"
        f"to|compared to) {b} [<seen>]",
        lambda x, y, *_: compared("equal")(x, y),
    )
    rule(
        "truth",
        f"(is|are) the (number|amount|count|quantity) of {a} (the same as|equal to|the same number as|"
        f"identical to) [the (number|amount|count) of] {b}",
        compared("equal"),
    )
    rule(
        "truth",
        f"(is|are) the (number|amount|count|quantity) of {a} (less|smaller|lower|fewer) (than|"
        f"then) [the (number|amount|count) of] {b}",
        compared("less"),
    )
    rule(
        "truth",
        f"(is|are) the (number|amount|count|quantity) of {a} (greater|more|larger|higher|bigger) (than|"
        f"then) [the (number|amount|count) of] {b}",
        compared("greater"),
    )
    for words, comparison in (
        ("(greater|more|larger|higher|bigger)", "at least"),
        ("(less|smaller|lower|fewer)", "at most"),
    ):
        rule(
            "truth",
            f"(is|are) the (number|amount|count|quantity) of {a} ({words} than or equal to|equal to or {words} than) "
            f"[the (number|amount|count) of] {b}",
            compared(comparison),
        )
    rule(
        "truth",
        f"{thereis} (fewer|less) {a} (than|then) [there are] {b} [<seen>]",
        lambda x, y, *_: compared("less")(x, y),
    )
    rule(
        "truth",
        f"{thereis} (more|a (greater|larger|higher) number of) {a} (than|then) [there are] {b} [<seen>]",
        lambda x, y, *_: compared("greater")(x, y),
    )
    rule(
        "truth",
        f"{thereis} more <pre> (than|then) <pre> <nouns>",
        lambda x, y, n: compared("greater")(narrow(n, x), narrow(n, y)),
        0.0,
    )
    rule(
        "truth",
        f"{thereis} (fewer|less) <pre> (than|then) <pre> <nouns>",
        lambda x, y, n: compared("less")(narrow(n, x), narrow(n, y)),
        0.0,
    )
    for words, comparison in (("more", "greater"), ("(fewer|less)", "less")):
        rule(
            "truth",
            f"{thereis} {words} <nouns> <where> (than|then) [there are] <where>",
            lambda n, x, y, c=comparison: compared(c)(narrow(n, x), narrow(n, y)),
        )
    rule("where", "(<place>|<rels>)")
    common = "(common|frequent|numerous)"
    rule("truth", f"are <descs> more {common} (than|then) <descs> [<seen>]", lambda x, y, *_: compared("greater")(x, y))
    rule(
        "truth",
        f"are <descs> (less {common}|rarer) (than|then) <descs> [<seen>]",
        lambda x, y, *_: compared("less")(x, y),
    )
    rule("truth", f"{thereis} [(just|exactly)] as many {a} as {b}", compared("equal"))
    rule("truth", f"{thereis} (at least|no fewer than) as many {a} as {b}", compared("at least"))
    rule("truth", f"{thereis} (at most|no more than) as many {a} as {b}", compared("at most"))
    rule("truth", f"{thereis} not as many {a} as {b}", compared("less"))
    rule("truth", "(is|are) (every|each|all [of] [the]) (<desc1>|<descs>) (but|except) <int> <predx>", _all_but_so_many)
    for times, value in (("twice", 2), ("(double|two times)", 2), ("(three times|triple)", 3)):
        rule("truth", f"{thereis} {times} as many {a} as {b}", partial(_is_multiple, value))
    rule("truth", f"are the {a} just as many as the {b}", compared("equal"))
    rule("truth", f"(do|does) [the] {a} match [the] {b} in number", compared("equal"))
    rule("truth", f"count the {a} and [then] the {b} [(.|,)] do you get one number twice", compared("equal"))
    rule("truth", f"are the {a} outnumbered by the {b}", compared("less"))
    rule("truth", f"does the number of {a} (exceed|surpass) [the number of] {b}", compared("greater"))
    rule("truth", f"(do|does) [the] {a} outnumber [the] {b}", compared("greater"))
    rule("truth", f"would you need more {a} to have as many as there are {b}", compared("less"))
    numbers: tuple[tuple[str, Anything], ...] = (
        ("(exactly|just|only|precisely)", "equal"),
        ("(at least|no fewer than|no less than)", "at least"),
        ("(at most|no more than|not more than)", "at most"),
        ("(more than|over|greater than)", "greater"),
        ("(fewer than|less than|under)", "less"),
    )
    for words, comparison in numbers:
        number = partial(_is_number, comparison)
        rule(
            "truth", f"{thereis} {words} <int> (<descs>|<desc1>) [<seen>]", lambda count, of, *_, n=number: n(count, of)
        )
        rule(
            "truth",
            f"is the [total] (number|count|amount) of <descs> [<seen>] [(equal to|exactly)] {words} <int>",
            lambda of, *v, n=number: n(v[-1], of),
        )
        rule(
            "truth",
            f"(is|are) {words} <int> [of the] (<descs>|<desc1>) <predx>",
            lambda count, of, pred, n=number: n(count, narrow(of, pred)),
        )
    for words, comparison in (("(more|above)", "at least"), ("(fewer|less)", "at most")):
        number = partial(_is_number, comparison)
        rule("truth", f"{thereis} <int> or {words} <descs> [<seen>]", lambda count, of, *_, n=number: n(count, of))
    least = partial(_is_number, "at least")
    rule("truth", f"{thereis} <int> <descs> [<seen>] [,] (at least|or more)", lambda count, of, *_: least(count, of))
    equal = lambda count, of, *_: None if is_of_pairs(of) else exactly(of, count)  # noqa: E731
    rule(
        "truth",
        "is the [total] (number|count|amount) of <descs> [<seen>] [(equal to|exactly)] <int>",
        lambda of, *v: exactly(of, v[-1]),
    )
    rule("truth", f"{thereis} <many> [different] [(kinds of|types of|different types of)] <descs> [<seen>]", equal, 0.1)
    rule(
        "truth",
        "((i|we|you) [can] (count|see|counted)|there are|THEPICTURE (has|shows|contains)) [(exactly|only)] <many> "
        "<descs> [<seen>] [,] RIGHT",
        equal,
    )
    rule("truth", "is there only [a|one] <desc1> [<seen>]", lambda of, *_: exactly(of, 1))
    rule(
        "truth",
        f"{thereis} (multiple|several|many|a lot of) <descs> [<seen>]",
        lambda of, *_: Compare(comparison="greater", first=Count(of=of), second=Number(value=1)),
    )
    rule(
        "truth",
        f"{thereis} <many> <fields> [<seen>]",
        lambda count, field, *_: Compare(
            comparison="equal", first=CountWords(of=ALL, field=field), second=Number(value=count)
        ),
    )
    rule(
        "truth",
        f"{thereis} (more than one|multiple|several|different) (<field>|<fields>) [<seen>]",
        lambda field, *_: Compare(comparison="greater", first=CountWords(of=ALL, field=field), second=Number(value=1)),
    )
    rule("truth", "is the [total] (number|count|amount) of <descs> [an] (odd) [number]", lambda of: _parity(of, 1))
    rule(
        "truth",
        "is the [total] (number|count|amount) of <descs> [an] (even) [number]",
        lambda of: Not(of=_parity(of, 1)),
    )
    rule("truth", "(is|are) there [an] odd (number|amount) of <descs>", lambda of: _parity(of, 1))
    rule("truth", "(is|are) there [an] even (number|amount) of <descs>", lambda of: Not(of=_parity(of, 1)))
    rule(
        "truth",
        "(is|are) (most|most of|the majority of|more than half of|over half of) [(the|these)] <descs> <predx>",
        _most,
    )
    rule(
        "truth",
        "(do|does) (most|most of|the majority of|more than half of|over half of) [(the|these)] <descs> have <owned>",
        _most,
    )


def _is_multiple(times: int, of: Selector, other: Selector) -> Truth:
    product = Arithmetic(operation="times", first=Number(value=times), second=Count(of=other))
    return Compare(comparison="equal", first=Count(of=of), second=product)


def _parity(of: Selector, rest: int) -> Truth:
    two = Number(value=2)
    half = Arithmetic(operation="divided by", first=Count(of=of), second=two)
    even = Compare(comparison="equal", first=Arithmetic(operation="times", first=half, second=two), second=Count(of=of))
    return Not(of=even)


def _all_but_so_many(of: Selector, count: int, pred: Selector) -> Truth:
    """ "Are all cubes but one large?": of one it does not hold."""
    return exactly(without(of, pred), count)


def _most(of: Selector, pred: Selector) -> Truth:
    return Compare(comparison="greater", first=Count(of=narrow(of, pred)), second=Count(of=without(of, pred)))


def _is_number(comparison: Anything, count: int, of: Selector) -> Truth:
    return Compare(comparison=comparison, first=Count(of=of), second=Number(value=count))

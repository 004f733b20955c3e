"""Rules of questions that offer a choice: "more cubes or balls?", "red or blue?", "which is larger?"."""

from typing import Any as Anything

from kyvo.programs.grammar.amounts import side
from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import ALL, as_set, either, narrow, parts
from kyvo.programs.program import (
    Along,
    Ask,
    Bigness,
    Both,
    Case,
    Choose,
    Closeness,
    Count,
    Extreme,
    Farness,
    InRegion,
    Literally,
    Selector,
    Smallness,
    Where,
    Which,
    Word,
    WordOf,
)
from kyvo.scene.schema import SceneSchema

SIDES = {"front": "in front"}


def add_choices(rule: Rules, schema: SceneSchema) -> None:
    def choose(
        a: tuple[str, Selector], b: tuple[str, Selector], *, fewest: bool = False, of: Selector = ALL
    ) -> Ask | None:
        if a == b:
            return None
        a, b = (_apart(*a, b[0]), _apart(*b, a[0]))
        cases = tuple(Case(word=word, amount=Count(of=narrow(of, one))) for word, one in (a, b))
        return Choose(cases=cases, fewest=fewest)

    rule("case", "[the] (<descs>|<desc1>)", _case)
    rule("case", "[(the|a|an)] <any>", _case, 0.1)
    rule("ofcase", "<any>", _case)
    there = "(are there|is there|do you see|does THEPICTURE have|can you see|) [(which are there|of which are there)]"
    for more, fewest in (("(more|a greater number of|most)", False), ("(fewer|less|a smaller number of)", True)):
        pick = lambda a, b, *_, f=fewest: choose(a, b, fewest=f)  # noqa: E731
        rule("asks", f"{there} {more} [of] <case> or [{more}] <case> [<seen>]", pick, 0.1)
        rule(
            "asks",
            f"{there} {more} <ofcase> or <ofcase> <nouns> [<seen>]",
            lambda a, b, n, *_, f=fewest: choose((a[0], narrow(n, a[1])), (b[0], narrow(n, b[1])), fewest=f),
        )
        rule(
            "asks",
            f"(what|which) (are there|is there|(do|can) (i|you|we) see|has) {more} [of] [,] <case> or <case>",
            pick,
        )
        rule("asks", f"(what|which) (is|are) {more} [(.|,)] [the] <case> or [the] <case>", pick)
        rule(
            "asks",
            f"(which|what) <field> has {more} <descs> [(,|.)] <case> or <case>",
            lambda field, of, a, b, f=fewest: choose(a, b, fewest=f, of=of),
        )
        common = {
            False: "(more (common|frequent|numerous)|(more|greater|larger) in number|commoner|in the majority)",
            True: "(less common|rarer|(fewer|smaller|less) in number)",
        }[fewest]
        rule(
            "asks",
            f"(what|which) (is|are) [the] {common} [<seen>] [(,|.)] [the] <case> or [the] <case>",
            _compared(pick),
        )
    for more, fewest in (("more", False), ("(fewer|less)", True)):
        rule(
            "asks",
            f"(is|are) {more} [of] [the] <descs> <ofcase> or <ofcase>",
            lambda n, a, b, f=fewest: choose((a[0], narrow(n, a[1])), (b[0], narrow(n, b[1])), fewest=f),
        )
    # "is the cube red or blue"
    rule("asks", "(is|are) <np1> [(made of|colored|a|an|either)] <value> [one] or [(a|an)] <value> [one]", _one_of, 0.0)
    rule("asks", "(is|are) <np1> 's <field> [either] <value> or <value>", lambda of, _, a, b: _one_of(of, a, b))
    rule("asks", "(is|are) the <field> of <np1> [either] <value> or <value>", lambda _, of, a, b: _one_of(of, a, b))
    rule("asks", "(is|are) <np1> [(made of|colored|a|an|either)] <kindword> or [(a|an)] <kindword>", _one_of)
    rule("asks", "what <field> is <np1> [(,|.)] <value> or <value>", lambda field, of, a, b: _one_of(of, a, b))
    rule("kindword", "<kindvalue>")
    fields = {field.name: field.words for field in schema.fields if field.words}
    rule(
        "asks",
        "what <field> is <np1> [(,|.)] <anyvalue> [,] <anyvalue> [,] or <anyvalue>",
        lambda field, of, *_: WordOf(of=as_set(of), field=field),
    )
    rule("anyvalue", "(<value>|<kindvalue>)")
    rule("asks", "<np1> (is|are) [either] <value> or <value>", _one_of, 0.2)
    closer = "(what|which) [(one|object|thing)] (is|stands|sits) (closer|nearer) to <np1> [(,|.)] <np1> or <np1>"
    rule("asks", closer, lambda to, a, b: Which(of=Extreme(of=either(a, b), by=Closeness(to=to))))
    farther = (
        "(what|which) [(one|object|thing)] (is|stands|sits) (farther|further) [away] from <np1> [(,|.)] <np1> or <np1>"
    )
    rule("asks", farther, lambda to, a, b: Which(of=Extreme(of=either(a, b), by=Farness(to=to))))
    nearer = "(is|are) <np1> (closer|nearer) to <np1> or [to] <np1>"
    rule("asks", nearer, lambda of, a, b: _nearer(of, a, b))
    # "which is larger, the cube or the ball"
    rule("asks", "(is|are) <np1> JUST <relhead> or <relword> <np1>", _which_side, -0.4)
    rule(
        "asks",
        "(is|are) <np1> JUST <relword> <np1> or <relword> (it|them)",
        lambda of, a, to, b: _which_side(of, a, b, to),
    )
    rule("asks", "(is|are) <np1> JUST <sidehead> or <relword> <np1>", _which_side, -0.4)
    rule("asks", "(is|are) <np1> JUST <relword> <np1> or <relhead> [of (it|them)]", _side_of_one)
    rule("sidehead", "in front of", "front")
    rule("asks", "(is|are) <np1> [STAND] <place> or <place>", _which_region)
    sides = "[(.|,)] [[on] [the] (left|right) or [on] [the] (left|right)]"
    left_or_right = lambda of: _which_region(of, InRegion(of=ALL, region="left"), InRegion(of=ALL, region="right"))  # noqa: E731
    rule("asks", f"on (which|what) side [of THEPICTURE] (is|are|STANDS) <np1> {sides}", left_or_right)
    rule("asks", "(is|are) <np1> (on|to|at) the left [side] or [(on|to|at)] [the] right [side]", left_or_right)
    rule(
        "asks",
        f"on (which|what) side of <np1> (is|are|STANDS) <np1> {sides}",
        lambda to, of: _which_side(of, "left", "right", to),
    )
    by = {"(larger|bigger|largest|biggest|taller)": Bigness(), "(smaller|smallest|tinier|shorter)": Smallness()}
    near = "(the|) (CAMERA|me|us|you)"
    by |= {f"(closer|nearer|closest|nearest) to {near}": Along(direction="front")}
    by |= {f"(farther|further|farthest|furthest) [away] from {near}": Along(direction="behind")}
    by |= {
        f"(farther|further|more|farthest|furthest) (to|) [the] {words}": Along(direction=name)  # type: ignore[arg-type]
        for name, words in (("left", "left"), ("right", "right"), ("behind", "(back|behind)"), ("front", "front"))
    }
    for words, measure in by.items():
        rule(
            "asks",
            f"(is|are) <np1> or <np1> [the] {words} [one]",
            lambda a, b, m=measure: Which(of=Extreme(of=either(a, b), by=m)),
        )
        rule(
            "asks",
            f"(which|what) [one|object|thing] is [the] {words} [one] [(,|.|of)] <np1> or <np1>",
            lambda a, b, m=measure: Which(of=Extreme(of=either(a, b), by=m)),
        )
    del fields


def _compared(pick: Anything) -> Anything:
    """`pick` of the two cases among the values of a pattern."""
    return lambda *values: pick(*(value for value in values if isinstance(value, tuple)))


def _apart(words: str, of: Selector, others: str) -> tuple[str, Selector]:
    """A choice named by the words that the other one lacks."""
    own = [word for word in words.split() if word not in others.split()]
    return " ".join(own) or words, of


def _which_side(of: Selector, first: Anything, second: Anything, to: Selector) -> Ask | None:
    if first == second:
        return None
    cases = (
        Case(word=SIDES.get(name, str(name)), amount=Count(of=narrow(of, side(name, to)))) for name in (first, second)
    )
    return Choose(cases=tuple(cases))


def _which_region(of: Selector, first: Selector, second: Selector) -> Ask | None:
    """ "Is it on the left or on the right?" """
    if first == second or not (isinstance(first, InRegion) and isinstance(second, InRegion)):
        return None
    cases = (Case(word=SIDES.get(one.region, one.region), amount=Count(of=narrow(of, one))) for one in (first, second))
    return Choose(cases=tuple(cases))


def _side_of_one(of: Selector, first: Anything, to: Selector, second: Anything) -> Ask | None:
    return _which_side(of, first, second, to)


def _nearer(of: Selector, first: Selector, second: Selector) -> Ask | None:
    """ "Is it closer to the cube or the ball?" """
    if first == second:
        return None
    nearest = Extreme(of=either(first, second), by=Closeness(to=of))
    (a, _), (b, _) = _case(first), _case(second)
    words = _apart(a, first, b)[0], _apart(b, second, a)[0]
    cases = (
        Case(word=word, amount=Count(of=Both(first=nearest, second=one)))
        for word, one in zip(words, (first, second), strict=True)
    )
    return Choose(cases=tuple(cases))


def _case(of: Selector) -> tuple[str, Selector]:
    """What a choice is called: its words."""
    return " ".join(node.value for node in parts(of) if isinstance(node, Where | Literally)) or "others", of


def _one_of(of: Selector, first: Literally, second: Literally) -> Word | None:
    return WordOf(of=as_set(of), field=first.field) if first.field == second.field and first != second else None

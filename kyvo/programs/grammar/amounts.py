"""Rules of questions for numbers: how many there are, how many kinds, sums and differences."""

from dataclasses import replace
from typing import Any as Anything

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.lexicon import kind_field
from kyvo.programs.grammar.meaning import ALL, as_set, either, narrow, negated, the
from kyvo.programs.grammar.relations import related
from kyvo.programs.program import (
    Amount,
    Arithmetic,
    Count,
    CountWords,
    Earlier,
    Number,
    Related,
    Selector,
    Where,
    WhereSame,
)
from kyvo.programs.structure import rewritten
from kyvo.scene.schema import SceneSchema

THERE = (
    "(are there|is there|there are|there is|(do|can|could|would|did|have) (i|you|we|it|one|THEPICTURE) "
    "[got] (have|see|find|spot|notice|count|show|hold|contain|identify|make out)|have (i|you|we) [got]|"
    "can be seen|are in THEPICTURE|are shown|"
    "are pictured|are present|are visible|does (it|THEPICTURE) (hold|have|contain|show)|exist|"
    "are you able to see|are displayed|appear|"
    "are depicted|are represented|are seen|are used|are here|(you|i|we) (see|find|spot|count|notice|can see|have)|"
    "can be (found|counted|spotted)|are there to see|make up THEPICTURE|would you say there are|are)"
)


HOWMANY = (
    "([(exactly|precisely|just)] how many [[,] if any [,]]|[the] [total] number of|what number of|"
    "what is the [(total|combined|overall)] "
    "(number|amount|count|quantity|sum) of|[the] total|"
    "[(give|get|tell|state|say) [me]] [(the|a)] [total] (number|count|amount) of|count [up] [all] [of]|count how many|"
    "what do you get when you count [up] [all] [of]|(how much|hoe many|what amount of|what quantity of))"
)


FINAL = "[(in total|total|altogether|in all|all together|together|overall|here|then)]"


def add_counts(rule: Rules, schema: SceneSchema) -> None:
    rule("asks", "<amount>")
    itself = (
        "[,] ((not counting|leaving out|excluding|besides|apart from|without|other than|except) itself|"
        "itself (not (counted|included)|excluded|left out|aside))"
    )
    rule("amount", f"{HOWMANY} <things> [(have|has|share|are|of)] [(a|an|the)] <same> {itself}", _count)
    leaving = (
        "[,] (leaving out|apart from|not counting|besides|other than|excluding|aside from|"
        "except) <np> [,] (share|shares|match|matches|have|has) (its|the same) <field>"
    )
    rule(
        "amount",
        f"{HOWMANY} <things> {leaving}",
        lambda of, like, field: Count(of=narrow(of, WhereSame(of=ALL, field=field, like=like))),
    )
    rule(
        "amount",
        f"(apart from|besides|leaving out|not counting|other than) <np> [,] {HOWMANY} <things> (that share|"
        "share|have|that have) (its|the same) <field>",
        lambda like, of, field: Count(of=narrow(of, WhereSame(of=ALL, field=field, like=like))),
    )
    rule(
        "amount",
        f"{HOWMANY} belong to the <descs> [,] (or [to] the|to the) <descs> [or to both]",
        lambda a, b: Count(of=either(a, b)),
    )
    rule(
        "amount",
        "count all that belong to the <descs> [,] or [to] the <descs> [or to both]",
        lambda a, b: Count(of=either(a, b)),
    )
    rule(
        "amount",
        "(put|take|group|gather) the <descs> (and|together with|with) the <descs> [into one (group|"
        "set)] [together] [(.|,)] how many (does it hold|do you have|are there|are in it|objects is that|"
        "is that)",
        lambda a, b: Count(of=either(a, b)),
    )
    rule(
        "amount",
        "if (i|you|we) count [up] [all] [of] (<things>|<np>) [together] [,] (how many (do|would) (i|you|we) "
        "(get|have|find)|how many (is|are) (that|there|it|they)|(what|which) number (do|would) (i|you|we) get)",
        lambda of: Count(of=as_set(of)),
    )
    rule("amount", "[(what is|tell me)] the (<desc1>|<descs>) count", lambda of: Count(of=of))
    rule("amount", f"there (is|are) how many <things> {FINAL} [<seen>]", lambda of, *_: Count(of=of))
    rule("things", "<descs>")
    rule("things", "<desc1>", None, 0.5)
    rule("things", "of (the|these|those|all|all the) <descs>")
    rule("things", "of (the|these|those|all the) <many> <descs>", lambda count, of: the(of, count))
    rule("things", "[of] the <descs>", None, 0.2)
    rule("things", "of <descs>", None, 0.4)
    rule("things", "<descs> [,] (and|or|plus) <descs>", either, 0.4)
    rule("things", "either <descs> or <descs>", either)
    rule("things", "(total|different|single|individual|separate) <descs>", None, 0.1)
    rule("amount", f"{HOWMANY} <things> [{THERE}] {FINAL} [<seen>]", lambda of, *_: Count(of=of))
    rule("amount", f"{HOWMANY} <things> {THERE} [of] <pred> {FINAL}", _count)
    left = "((are|is|will be|would be) [still] left [(over|now)]|(are|is) (remaining|still there)|[still] remain)"
    rule("amount", f"how many <things> {left}", _count)
    rule("amount", f"how many [(of them|things|objects)] {left}", Count(of=ALL))
    rule("amount", f"count [up] [all] [of] <defs> {FINAL}", lambda of: Count(of=as_set(of)), 0.3)
    rule(
        "amount",
        "(of|out of|among) (the|these|all the|all of the) <descs> [<seen>] [,] how many [of (them|these|"
        "those)] (are|is) <pred>",
        lambda of, *more: _count(of, more[-1]),
    )
    rule(
        "amount",
        "<np1> (is|has|have|are|shares|share) [of] [the] [same] <field> (as|with) how many [other] (<descs>|THINGS)",
        lambda like, field, *of: Count(of=narrow(of[0] if of else ALL, WhereSame(of=ALL, field=field, like=like))),
    )
    rule("amount", f"{HOWMANY} <things> {THERE} [that|which] (is|are|STANDS|) <pred> {FINAL}", _count, 0.1)
    rule(
        "amount",
        f"{HOWMANY} <things> [that] (is|are|were|look|would be|stand|sit|lie|can be found|located|"
        f"(happen|turn out|appear|"
        f"seem) to be|consist) [(all|"
        f"also|there|either|both)] <pred> {FINAL}",
        _count,
    )
    rule("amount", f"{HOWMANY} <things> are <rels> [,] THAT are JUST <pred>", _count)
    rule("amount", f"{HOWMANY} <things> (is|are) <rels> and (is|are) [also] <pred>", _count, -0.2)
    rule("amount", f"{HOWMANY} <things> (have|has|share) <selfsame>", _count)
    rule("amount", f"{HOWMANY} <things> [{THERE}] [that] (have|has) [(a|an|the)] <same>", _count)
    rule("amount", f"{HOWMANY} <things> (are|is) [all] <selfsame>", _count)
    rule("amount", f"{HOWMANY} <things> <solidlike>", _count)
    rule(
        "amount",
        "[what is] [the] [number of] <descs> <operation> [the] [number of] <descs> [equals|is] [what]",
        lambda a, op, b: _arithmetic(Count(of=a), op, Count(of=b)),
        1.0,
    )
    rule("amount", f"{HOWMANY} <things> (have|has) <owned>", _count)
    rule("amount", f"{HOWMANY} <things> (do|does) not have <owned>", lambda of, own: _count(of, negated(own)))
    rule("amount", f"{HOWMANY} <things> (have|has|are|in) the <field> of <np>", _count_same)
    rule("amount", f"{HOWMANY} <things> (have|has|are|in) the <field> of <np> {itself}", _count_same)
    rule(
        "amount",
        f"{HOWMANY} <things> (do|does) not (have|share|match) [(a|an|the)] <same>",
        lambda of, same: Count(of=narrow(of, negated(same))),
    )
    rule("amount", f"{HOWMANY} <things> <same>", _count)
    rule(
        "amount",
        f"{HOWMANY} <things> (do|does) <np> have <inverse> (it|them)",
        lambda of, to, name: Count(of=narrow(of, side(name, to))),
    )
    rule(
        "amount",
        f"{HOWMANY} <things> (do|does) <np> have (to|on|at) (its|their) [immediate] <itsside> [hand] [side]",
        lambda of, to, name: Count(of=narrow(of, related(name, to))),
    )
    rule("amount", f"{HOWMANY} <things> (have|has) <neighbored>", lambda of, pred: Count(of=narrow(of, pred)))
    rule("amount", f"{HOWMANY} (are|is) <pred> {FINAL}", lambda pred: Count(of=pred), 0.3)
    kind = kind_field(schema)
    if kind:
        kinds = (
            "[(different|various|distinct|unique)] (types|kinds|sorts|type|kind) of [(different|"
            "geometric)] (things|objects|items|shapes|figures)"
        )
        rule("amount", f"{HOWMANY} {kinds} [{THERE}] [<seen>]", lambda *_: CountWords(of=ALL, field=kind))
        rule("amount", f"{HOWMANY} {kinds} are <pred>", lambda pred: CountWords(of=pred, field=kind))
        rule(
            "amount",
            f"{HOWMANY} (different|distinct) (shapes) [{THERE}] [<seen>]",
            lambda *_: CountWords(of=ALL, field=kind),
        )
    rule("amount", "of (the|these|all the) <descs> [,] how many are <pred>", _count)
    rule("amount", f"{HOWMANY} [of] (them|those|these) (are there|do you see)", Count(of=Earlier()))
    rule("amount", "how many [(are there|are they|is that|do you see)]", Count(of=Earlier()), 0.2)
    rule("amount", f"{HOWMANY} of (them|those|these) (are|is) <pred>", lambda pred: Count(of=pred), 0.6)
    rule("amount", f"{HOWMANY} [of] (them|those|these) are <pred>", lambda pred: Count(of=narrow(Earlier(), pred)))
    rule(
        "amount",
        f"{HOWMANY} [(different|various|distinct|unique|separate|types of|"
        f"kinds of)] [<adjx>] <fieldset> {THERE} {FINAL} [<seen>]",
        lambda *v: CountWords(of=_all(v), field=_field_of(v)),
    )
    rule(
        "amount",
        f"{HOWMANY} [the] [(different|distinct|unique)] <fieldset> {FINAL} [<seen>]",
        lambda field, *_: CountWords(of=ALL, field=field),
        0.3,
    )
    rule(
        "amount",
        "in how many [different] <fieldset> (do|does) <np> (come|appear)",
        lambda f, of: CountWords(of=of, field=f),
    )
    rule("adjx", "<any>")
    rule("fieldset", "<fields>")
    rule("fieldset", "[(different|distinct)] (kinds|types|sorts|varieties) of [different] (<field>|<fields>)")
    rule(
        "amount",
        f"{HOWMANY} [(different|various|distinct|unique)] <fieldset> (of|among|do|"
        f"are represented by|for) [(the|all [the]|all of the|these)] [(different)] <descs> [{THERE}|have|"
        "come in]",
        lambda field, of: CountWords(of=of, field=field),
    )
    rule(
        "amount",
        f"{HOWMANY} [(different|various|distinct|unique)] <fieldset> are [(the|all [the]|all of the|"
        "these)] <descs> [made of]",
        lambda field, of: CountWords(of=of, field=field),
    )
    rule(
        "amount",
        "how many (more|fewer|less) <descs> (are there|do you see|) (than|then) <descs> "
        "[(are there|(do|can) (you|we|i) (see|have))]",
        lambda a, b: _difference(Count(of=a), Count(of=b)),
    )
    rule("amount", "how many (more|fewer|less) <any> (than|then) <descs> [are there]", _more_of_them)
    rule(
        "amount",
        "what is the difference [in (number|count|amount|quantity|numbers)] (between|in|of) [the "
        "(number|amount|count) of] "
        "[the] <descs> and [the (number|amount|count) of] [the] <descs>",
        lambda a, b: _difference(Count(of=a), Count(of=b)),
    )
    rule(
        "amount",
        f"{HOWMANY} <descs> and {HOWMANY} <descs> {THERE}",
        lambda a, b: Arithmetic(operation="plus", first=Count(of=a), second=Count(of=b)),
        1.0,
    )
    rule(
        "amount",
        "what is the (total|sum) [number] [of] <countof> (and|plus) <countof>",
        lambda a, b: Arithmetic(operation="plus", first=a, second=b),
    )
    rule("amount", "what is <countof> <operation> <countof>", _arithmetic)
    rule(
        "amount",
        "what is half [of] <countof>",
        lambda a: Arithmetic(operation="divided by", first=a, second=Number(value=2)),
    )
    rule("amount", "what is twice <countof>", lambda a: Arithmetic(operation="times", first=a, second=Number(value=2)))
    rule(
        "amount",
        "(of|out of|among) the <many> <descs> [,] how many [of (them|these|those)] (are|is) <pred>",
        lambda count, of, pred: _count(the(of, count), pred),
    )
    rule(
        "amount",
        "subtract <countof> from <countof>",
        lambda a, b: Arithmetic(operation="minus", first=b, second=a),
    )
    rule(
        "amount",
        f"{HOWMANY} <fieldset> {THERE} (among|in|on|of|for) [(the|all|all the|these)] <descs>",
        lambda field, of: CountWords(of=of, field=field),
    )
    rule("countof", "(the [total] (number|amount|count) of|all [of] [the]|the) <descs>", lambda of: Count(of=of))
    rule("countof", "<descs>", lambda of: Count(of=of), 0.3)
    rule("countof", "<int>", lambda value: Number(value=value))
    rule("operation", "(plus|added to|and)", "plus")
    rule("operation", "(minus|less|take away)", "minus")
    rule("operation", "(times|multiplied by)", "times")
    rule("operation", "divided by", "divided by")
    rule(
        "amount",
        "(what [number]|how many [THINGS]) do (i|you|we) (get|have) (if|when) (i|you|we) (add|combine|count) [up] "
        "<countof> (and|to|with|plus) <countof> [together]",
        lambda a, b: Arithmetic(operation="plus", first=a, second=b),
    )
    rule(
        "amount",
        "if [(you|i|we)] (add|added|combine|combined) <countof> (and|to|with|"
        "plus) <countof> [,] [what is the (total|sum)|how many [(things|objects|items|"
        "shapes)] [(would there be|do you get|are there|would you have|is that|will there be)]]",
        lambda a, b: Arithmetic(operation="plus", first=a, second=b),
    )


def _field_of(values: tuple[Anything, ...]) -> str:
    return next(value for value in values if isinstance(value, str))


def _all(values: tuple[Anything, ...]) -> Selector:
    return narrow(ALL, *(value for value in values if isinstance(value, Selector)))


def _count(of: Selector, *more: Selector) -> Amount:
    return Count(of=narrow(of, *more))


def _count_same(of: Selector, field: str, like: Selector) -> Amount:
    return _count(of, WhereSame(of=ALL, field=field, like=like))


def side(name: Anything, to: Selector) -> Selector:
    return Related(of=ALL, relation=name, to=to)


def _more_of_them(word: Selector, of: Selector) -> Amount | None:
    """ "How many more red than blue cubes": the noun and the other words are of both."""
    if not isinstance(word, Where):
        return None
    other = rewritten(
        of,
        lambda node: replace(node, value=word.value) if isinstance(node, Where) and node.field == word.field else node,
    )
    return _difference(Count(of=other), Count(of=of)) if other != of else None


def _difference(first: Amount, second: Amount) -> Amount:
    return Arithmetic(operation="difference", first=first, second=second)


def _arithmetic(first: Amount, operation: Anything, second: Amount) -> Amount:
    return Arithmetic(operation=operation, first=first, second=second)

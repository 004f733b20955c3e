"""Rules of questions: what can be asked of a scene, and the ways to ask it."""

from collections.abc import Iterator
from typing import Any as Anything

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.lexicon import kind_field
from kyvo.programs.grammar.meaning import ALL, either, narrow, negated, parts, rewritten, settle_region, without
from kyvo.programs.program import (
    Alike,
    All,
    Amount,
    Any,
    Arithmetic,
    Ask,
    Bigness,
    BiggerThan,
    Case,
    Choose,
    Commonest,
    Compare,
    Count,
    CountWords,
    Distance,
    Earlier,
    Either,
    Every,
    Everything,
    Except,
    Exists,
    Extreme,
    Literally,
    Not,
    Number,
    Related,
    SameWord,
    Selector,
    Shared,
    Smallness,
    The,
    Truth,
    Where,
    WhereIs,
    WhereSame,
    Which,
    Word,
    WordOf,
    WordsOf,
)
from kyvo.scene.schema import SceneSchema

THERE = "(are there|is there|there are|there is|do you see|can you see|can be seen|are in THEPICTURE|are shown|are pictured|are present|are visible|do you count|does THEPICTURE (hold|have|contain|show)|exist|did you find|do you find|you find|are you able to see|do we have|do we see|are displayed|appear|are depicted|are represented|are seen|are here|you see|you can see|have we got|are)"
HOWMANY = "(how many|[the] [total] number of|what number of|what is the [total] (number|amount|count|quantity) of|[give|tell me|state] the [total] (number|count|amount) of|count [up] [all] [of]|what do you get when you count [up] [all] [of]|(how much|hoe many|what amount of|what quantity of))"
SIDES = {"front": "in front"}
FINAL = "[(in total|total|altogether|in all|all together|overall|here|then)]"


def add_questions(rule: Rules, schema: SceneSchema) -> None:
    """All rules of questions. Their symbol is `asks`, what a query asks."""
    _add_counts(rule, schema)
    _add_words(rule, schema)
    _add_truths(rule, schema)
    _add_choices(rule, schema)
    _add_others(rule, schema)


def _set(selector: Selector) -> Selector:
    """A set where a noun phrase stands: which one is meant is no question then."""
    selector = settle_region(selector)
    if isinstance(selector, Extreme):
        return The(of=selector)
    return (
        selector.of
        if isinstance(selector, The) and selector.count == 1 and not isinstance(selector.of, Extreme)
        else selector
    )


# Amounts


def _add_counts(rule: Rules, schema: SceneSchema) -> None:
    rule("asks", "<amount>")
    itself = "[,] (not counting|leaving out|excluding|besides|apart from) itself"
    rule("amount", f"{HOWMANY} <things> <same> {itself}", _count)
    leaving = "[,] (leaving out|apart from|not counting|besides|other than|excluding|aside from|except) <np> [,] (share|shares|match|matches|have|has) (its|the same) <field>"
    rule(
        "amount",
        f"{HOWMANY} <things> {leaving}",
        lambda of, like, field: Count(of=narrow(of, WhereSame(of=ALL, field=field, like=like))),
    )
    rule(
        "amount",
        f"(apart from|besides|leaving out|not counting|other than) <np> [,] {HOWMANY} <things> (that share|share|have|that have) (its|the same) <field>",
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
        "(put|take|group|gather) the <descs> (and|together with|with) the <descs> [into one (group|set)] [together] [(.|,)] how many (does it hold|do you have|are there|are in it|objects is that|is that)",
        lambda a, b: Count(of=either(a, b)),
    )
    rule("things", "<descs>")
    rule("things", "<desc1>", None, 0.5)
    rule("things", "of (the|these|those|all|all the) <descs>")
    rule("things", "the <descs>", None, 0.2)
    rule("things", "<descs> [,] (and|or|plus) <descs>", either, 0.4)
    rule("things", "either <descs> or <descs>", either)
    rule("things", "(total|different|single|individual|separate) <descs>", None, 0.1)
    rule("amount", f"{HOWMANY} <things> [{THERE}] {FINAL} [<seen>]", lambda of, *_: Count(of=of))
    rule("amount", f"{HOWMANY} <things> {THERE} [of] <pred> {FINAL}", _count)
    rule("amount", f"{HOWMANY} <things> {THERE} [that|which] (is|are|STANDS|) <pred> {FINAL}", _count, 0.1)
    rule(
        "amount",
        f"{HOWMANY} <things> [that] (is|are|were|look|would be|stand|sit|lie|can be found|located) [(all|also|there|either|both)] <pred> {FINAL}",
        _count,
    )
    rule("amount", f"{HOWMANY} <things> (have|has|share) <selfsame>", _count)
    rule("amount", f"{HOWMANY} <things> (have|has) [(a|an|the)] <same>", _count)
    rule("amount", f"{HOWMANY} <things> (are|is) [all] <selfsame>", _count)
    rule(
        "amount", f"{HOWMANY} <things> (have|has) [(a|an|the)] <field> [of] <any>", lambda of, _, pred: _count(of, pred)
    )
    rule("amount", f"{HOWMANY} <things> <solidlike>", _count)
    rule(
        "amount",
        "[what is] [the] [number of] <descs> <operation> [the] [number of] <descs> [equals|is] [what]",
        lambda a, op, b: _arithmetic(Count(of=a), op, Count(of=b)),
        1.0,
    )
    rule(
        "amount",
        f"{HOWMANY} <things> (have|has) [(a|an)] <any> (finish|texture|surface|color|shape|size|material)",
        _count,
    )
    rule(
        "amount",
        f"{HOWMANY} <things> (do|does) not (have|share|match) [(a|an|the)] <same>",
        lambda of, same: Count(of=narrow(of, negated(same))),
    )
    rule("amount", f"{HOWMANY} <things> <same>", _count)
    rule(
        "amount",
        f"{HOWMANY} <things> (do|does) <np> have <inverse> (it|them)",
        lambda of, to, name: Count(of=narrow(of, _side(name, to))),
    )
    rule("amount", f"{HOWMANY} (are|is) <pred> {FINAL}", lambda pred: Count(of=pred), 0.3)
    kind = kind_field(schema)
    if kind:
        kinds = "[(different|various|distinct|unique)] (types|kinds|sorts|type|kind) of [(different|geometric)] (things|objects|items|shapes|figures)"
        rule("amount", f"{HOWMANY} {kinds} [{THERE}] [<seen>]", lambda *_: CountWords(of=ALL, field=kind))
        rule("amount", f"{HOWMANY} {kinds} are <pred>", lambda pred: CountWords(of=pred, field=kind))
        rule(
            "amount",
            f"{HOWMANY} (different|distinct) (shapes) [{THERE}] [<seen>]",
            lambda *_: CountWords(of=ALL, field=kind),
        )
    rule("amount", f"of (the|these|all the) <descs> [,] how many are <pred>", _count)
    rule("amount", f"{HOWMANY} [of] (them|those|these) (are there|do you see)", Count(of=Earlier()))
    rule("amount", f"how many (are there|are they|is that|do you see)", Count(of=Earlier()), 0.2)
    rule("amount", f"{HOWMANY} [of] (them|those|these) are <pred>", lambda pred: Count(of=narrow(Earlier(), pred)))
    rule(
        "amount",
        f"{HOWMANY} [(different|various|distinct|unique|separate|types of|kinds of)] [<adjx>] <fields> {THERE} {FINAL} [<seen>]",
        lambda *v: CountWords(of=narrow(ALL, *v[:-1]) if False else _all(v), field=_fieldof(v)),
    )
    rule("adjx", "<any>")
    rule(
        "amount",
        f"{HOWMANY} [(different|various|distinct|unique|types of)] <fields> (of|among|do|are represented by|for) [(the|all [the]|all of the|these)] [(different)] <descs> [{THERE}|have|come in]",
        lambda field, of: CountWords(of=of, field=field),
    )
    rule(
        "amount",
        f"{HOWMANY} [(different|various|distinct|unique|types of)] <fields> are [(the|all [the]|all of the|these)] <descs> [made of]",
        lambda field, of: CountWords(of=of, field=field),
    )
    rule(
        "amount",
        "how many (more|fewer|less) <descs> (are there|do you see|) (than|then) <descs> [are there]",
        lambda a, b: _difference(Count(of=a), Count(of=b)),
    )
    rule(
        "amount",
        "what is the difference (between|in) the (number|amount) of <descs> and [the number of] <descs>",
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
    rule("countof", "(the [total] (number|amount|count) of|all [of] [the]|the) <descs>", lambda of: Count(of=of))
    rule("countof", "<int>", lambda value: Number(value=value))
    rule("operation", "(plus|added to|and)", "plus")
    rule("operation", "(minus|less|take away)", "minus")
    rule("operation", "(times|multiplied by)", "times")
    rule("operation", "divided by", "divided by")
    rule(
        "amount",
        f"if [(you|i|we)] (add|added|combine|combined) <countof> (and|to|with|plus) <countof> [,] [what is the (total|sum)|how many [(things|objects|items|shapes)] [(would there be|do you get|are there|would you have|is that|will there be)]]",
        lambda a, b: Arithmetic(operation="plus", first=a, second=b),
    )


def _fieldof(values: tuple[Anything, ...]) -> str:
    return next(value for value in values if isinstance(value, str))


def _all(values: tuple[Anything, ...]) -> Selector:
    return narrow(ALL, *(value for value in values if isinstance(value, Selector)))


def _count(of: Selector, *more: Selector) -> Amount:
    return Count(of=narrow(of, *more))


def _side(name: Anything, to: Selector) -> Selector:
    return Related(of=ALL, relation=name, to=to)


def _difference(first: Amount, second: Amount) -> Amount:
    return Arithmetic(operation="difference", first=first, second=second)


def _arithmetic(first: Amount, operation: Anything, second: Amount) -> Amount:
    return Arithmetic(operation=operation, first=first, second=second)


# Words


def _add_words(rule: Rules, schema: SceneSchema) -> None:
    kind = kind_field(schema)
    names = [field.name for field in schema.fields if field.words]
    other = next((name for name in ("color", *names) if name in names and name != kind), kind)

    def named(of: Selector) -> Ask | Word:
        """What an object is called: its kind, or where that is told, another field."""
        told = set(_told(of))
        field = next((name for name in (kind, other) if name and name not in told), None)
        return WordOf(of=_set(of), field=field) if field else Which(of=_set(of))

    word = lambda field, of: WordOf(of=_set(of), field=field)  # noqa: E731
    rule("asks", "<word>")
    rule("kindof", "[(kind of|type of|exact)] <field>")
    rule(
        "fieldq",
        "(what|which|in what|in which|of what|of which|what kind of|what type of|what sort of|tell me what|tell me which|can you (say|tell me|tell) (what|which)) [kind of] <field>",
    )
    rule(
        "fieldq",
        "(what is|what are|what would be|name|tell me|give|give me|state|i would like to know|i want to know|do you know|describe|identify|can you tell me|please tell me|what about) (the|a) [(common|exact)] (<field>|<fields>) of",
    )
    rule("fieldq", "how (big|large)", "size") if "size" in names else None
    rule(
        "word",
        "<fieldq> (is|are|was|does|do|would|has|have) <np> [(have|made of|made out of|made from|made|in|show|be|look|of|come in|appear to be|painted|colored)]",
        word,
    )
    rule("word", "<fieldq> (is|are) [shown by|] <np>", word, 0.1)
    rule("word", "<fieldq> <np>", word, 0.1)
    rule("word", "<fieldq> do you see", lambda field: WordOf(of=Earlier(), field=field))
    rule("word", "<fieldq> do you see (<np>|[on|for] <np>)", word)
    rule("word", "<fieldq> <np> (is|are|has|have)", word, 0.05)
    rule("word", "<fieldq> of <np> [is [it]]", word, 0.1)
    rule("word", "[the] <field> of <np>", word, 0.5)
    rule("word", "<np> 's <field>", lambda of, field: word(field, of), 0.5)
    rule(
        "word",
        "<np> (is|are|has|have|comes in|is made of|are made of|is made out of|is of|is made from) (what|which) <field>",
        lambda of, field: word(field, of),
    )
    rule("word", "what [(is|are)] <np> 's <field>", lambda of, field: word(field, of))
    rule(
        "word",
        "(what|name|give|tell me) [(is|are)] (its|their|his) <field>",
        lambda field: WordOf(of=Earlier(), field=field),
    )
    rule("word", "<np> 's <field> is what", lambda of, field: word(field, of))
    rule(
        "word",
        "there (is|are) [(a|an|<many>)] (<desc1>|<descs>) (of|in) (what|which) <field>",
        lambda *v: word(v[-1], v[-2]),
    )
    rule("word", "<fieldq> (does|do) <np> (appear|seem) to be [made of]", word)
    rule("word", "what <field> (is|are) (it|they|that|this)", lambda field: WordOf(of=Earlier(), field=field))
    # "what color ball is behind the cube"
    rule(
        "word",
        "(what|which|what is the|of what|what would be the) <field> (<desc1>|<descs>) (is|are|sits|stands|lies|would be|appears|does|do|has|have) [STAND] <pred>",
        lambda field, of, pred: word(field, narrow(of, pred)),
    )
    rule(
        "word",
        "(what|which|what is the) <field> (<desc1>|<descs>) [that] (has|have) (<same>|<selfsame>)",
        lambda field, of, pred: word(field, narrow(of, pred)),
    )
    rule(
        "word",
        "(what|which|what is the) <field> (<desc1>|<descs>) [(is|are)] (there|shown|pictured|is it|in THEPICTURE)",
        word,
        0.3,
    )
    rule("word", "(what|which|what is the) <field> (<desc1>|<descs>)", word, 0.5)
    rule(
        "word",
        "(what|which) <field> (is|are|sits|stands|lies|appears) [STAND] <pred>",
        lambda field, pred: word(field, pred),
        0.3,
    )
    rule("word", "(what|which) <field> <pred>", lambda field, pred: word(field, pred), 2.0)
    rule(
        "word",
        "(what|which) <field> (do|does|is|are) <np> [all] (share|have in common|have|both have|both share)",
        word,
    )
    rule("word", "(what|which) <field> (do|does) <np> [and] [(share|have in common|both have)]", word, 0.4)
    if "material" in names:
        rule(
            "word",
            "(what|of what|from what|out of what) (is|are|was) <np> (made [out] of|made from|made|built of|composed of|made up of|constructed of|made out)",
            lambda of: WordOf(of=_set(of), field="material"),
        )
        rule(
            "word",
            "(of what|from what|out of what) (is|are|was) <np> made",
            lambda of: WordOf(of=_set(of), field="material"),
        )
        rule("word", "<np> (is|are) made [out] of what", lambda of: WordOf(of=_set(of), field="material"))
        rule(
            "word",
            "[(of|from|out of|with)] (what|which) [(material|substance|stuff)] (did|do) (they|you|we|one) make <np> [(of|from|out of)]",
            lambda of: WordOf(of=_set(of), field="material"),
        )
    # which one: by its kind, or by its color where the kind is told
    rule("word", "(what|which) (is|are|sits|stands|lies) [STAND] <preds>", lambda pred: named(pred), 0.3)
    rule("preds", "(<rels>|<place>)")
    rule("preds", "[the] <suppost>")
    rule(
        "word",
        "(what|which) [kind of|type of] (<desc1>) (is|has|sits|stands|lies|appears|would be) [STAND] <pred>",
        lambda of, pred: named(narrow(of, pred)),
        0.2,
    )
    rule("word", "(what|which) [kind of|type of] (<desc1>) <same>", lambda of, pred: named(narrow(of, pred)), 0.2)
    rule("word", "(what|which) <desc1> (is|sits|stands) [there|it]", lambda of: named(of), 0.6)
    rule("word", "(what|which) (is|are) <np> [called]", lambda of: named(of), 0.5)
    rule("word", "what is [(there|seen|it)] <rels>", named, 0.4)
    rule("word", "(what|which) <desc1>", named, 1.5)
    rule("word", "what (thing|object|item|shape) (is|can be seen|do you see) <rels>", lambda rel: named(rel), 0.2)
    rule(
        "asks",
        "(which|what) [of] [(the|these)] (<descs>|<desc1>) (are|is) [(STAND|all|there)] <pred>",
        lambda of, pred: Which(of=narrow(of, pred)),
        0.8,
    )
    rule("asks", "(which|what) (<descs>) [(are there|do you see|can you see)]", lambda of: Which(of=of), 0.4)
    rule(
        "asks",
        "(list|name|show [me]|find|tell me|point (at|to|out)|show|highlight|select|identify|give me|locate) (<np>|<whichones>)",
        lambda of: Which(of=of),
        0.3,
    )
    rule("whichones", "[all] <descs>")
    rule("asks", "(list|name) (<np>|<whichones>)", lambda of: Which(of=of), 0.3)
    rule("asks", "(which|what) one [of them] (is|are) <pred>", lambda pred: Which(of=pred), 0.1)
    rule(
        "asks",
        "(what|which THINGS|what all) (do you see|can you see|are there|is there|is in THEPICTURE|are in THEPICTURE|does THEPICTURE (show|have|contain|hold))",
        Which(of=ALL),
    )
    rule(
        "asks",
        "(which|what) [<many>] <descs> (have|share|are|has) <selfsame>",
        lambda *v: Which(of=narrow(v[-2], v[-1])),
    )
    rule("asks", "which (one|ones|of them|of these|of those) (is|are) <pred>", lambda pred: Which(of=pred), 0.1)
    # several words
    rule(
        "asks",
        "(what|which) (are|is) the <field> and [the] <field> of <np>",
        lambda a, b, of: WordsOf(of=of, fields=(a, b)),
    )
    rule(
        "asks",
        "(what|which) <field> and [what] <field> (is|are|does|do) <np> [have]",
        lambda a, b, of: WordsOf(of=of, fields=(a, b)),
    )
    rule(
        "asks",
        "(what|which|list the|name the|tell me the|list [all] the) <fields> (are|do) <np> [have]",
        lambda field, of: WordsOf(of=of, fields=(field,)),
        0.1,
    )
    rule(
        "asks",
        "(what|which) <fields> [(are there|do you see|can you see|are in THEPICTURE)]",
        lambda field: WordsOf(of=ALL, fields=(field,)),
    )
    rule(
        "asks",
        "(list|name|tell me|what are|give me) [all] the [different] <fields> [(of <np>|<seen>)]",
        lambda field, *of: WordsOf(of=of[0] if of else ALL, fields=(field,)),
    )
    if names:
        rule(
            "asks",
            "(describe|tell me about|what do you know about|what does) <np> [(look like)]",
            lambda of: WordsOf(of=of, fields=tuple(names)),
            0.2,
        )
    _add_commonest(rule, schema)
    _add_alone(rule, schema, named)


def _told(of: Selector) -> Iterator[str]:
    """The fields that a description itself tells."""
    while of is not None:
        if isinstance(of, Where):
            yield of.field
        of = getattr(of, "of", None)  # type: ignore[assignment]


def _add_commonest(rule: Rules, schema: SceneSchema) -> None:
    kind = kind_field(schema)
    most = "(most common|most frequent|most frequently (seen|shown|used|occurring|appearing)|most numerous|predominant|dominant|dominate|most represented|most prevalent|most often seen|most abundant|most popular|most used|commonest|majority|main|most seen|most shown)"
    often = "(occurs|appears|is seen|is shown|is used|is represented|shows up|is there|is|are|does|are there|is present|is repeated|is pictured|occur|appear|happens|is found|is displayed|do you see|do we see) [the] [to be] (most|most often|most frequently|the most|the most of|most times|the most times|more (than|then) any other|most of)"
    common = lambda field, of=ALL: Commonest(of=of, field=field)  # noqa: E731
    rule("word", f"(what|which) <field> (is|are) [the] {most} [<field>] [<seen>]", lambda field, *_: common(field))
    rule(
        "word",
        f"(what|which) <field> (is|are) [the] {most} [(among|of|for|in)] [(the|all the|all of the|all)] <descs>",
        common,
    )
    rule(
        "word",
        f"[(what is|what are|which is|name|tell me)] the {most} <field> [<seen>]",
        lambda field, *_: common(field),
    )
    rule(
        "word",
        f"[(what is|what are|which is|name|tell me)] the {most} <field> (of|among|for|in) [(the|all the|all of the|all)] <descs>",
        common,
    )
    rule("word", f"what (is|are) the <field> (that|which) {often} [<seen>]", lambda field, *_: common(field))
    rule("word", "(what|which) <field> (is|are) <many> of (the|these) <descs>", lambda field, _, of: common(field, of))
    rule("word", f"(what|which) <field> {often} [<seen>]", lambda field, *_: common(field))
    rule("word", f"(what|which) <field> {often} [(among|of|in|for)] [(the|all the)] <descs>", common)
    rule(
        "word",
        "(what|which) <field> (is|are|do) [the] (most|most of|the majority of|a majority of) [(the|these|all the)] <descs> [have]",
        common,
    )
    rule("word", "(what is|what are) the <field> of [the] (most|most of|the majority of) [(the|these)] <descs>", common)
    rule(
        "word",
        "(what|which) <field> (has|have) [the] (most|largest number of|highest number of|greatest number of) [of] <descs>",
        common,
    )
    rule(
        "word",
        "(what|which) <field> (has|have|is|are) [the] (fewest|least|least number of|smallest number of) <descs>",
        lambda field, of: Commonest(of=of, field=field, least=True),
    )
    rule(
        "word",
        "[(what is|which is)] the (least common|rarest|least frequent) <field> [<seen>]",
        lambda field, *_: Commonest(of=ALL, field=field, least=True),
    )
    rule(
        "word",
        "(what|which) <field> (is|are|occurs|appears|is seen|shows up) [the] (least common|rarest|least frequent|least|least often|the least|fewest|fewest times|the fewest) [<seen>]",
        lambda field, *_: Commonest(of=ALL, field=field, least=True),
    )
    rule("word", "(most|the majority) of (the|these) <descs> are what <field>", lambda of, field: common(field, of))
    if kind:
        rule(
            "word",
            f"what (do you see|is there|are there|is|are) [the] (most of|most|the most of) [<seen>]",
            lambda *_: common(kind),
        )


def _add_alone(rule: Rules, schema: SceneSchema, named: Anything) -> None:
    """What only one object has; and what several share."""
    fields = [field.name for field in schema.fields if field.words]
    lonely = lambda of, field: Except(of=of, without=Shared(of=of, field=field))  # noqa: E731
    one = "(only one|a single|one|just one|exactly one|only a single|only 1|1)"
    thing = "(object|thing|item|shape|figure)"
    rule("alone", "(unique|only one of its kind|odd one out|unlike the others|alone) in <field>")
    for field in fields:
        rule(
            "ofone",
            f"(with|THAT has|having|THAT is) [(a|an|the)] (unique|different|unmatched|distinct|odd) {field} [(than|from|to|of|as) ALLOTHERS]",
            lonely(ALL, field),
        )
        rule(
            "ofone",
            f"(THAT (is|has)|with|that are|of) [(a|the|an)] different {field} (from|than) ALLOTHERS",
            lonely(ALL, field),
        )
        rule(
            "ofone",
            f"(THAT (does|do) not (share|have|match)|without) (a|the|its|any) [same] {field} (as|with|of) (any|ALLOTHERS|anything else|any of the other THINGS|any other THINGS)",
            lonely(ALL, field),
        )
    rule("post1", "<ofone>")
    rule(
        "word",
        f"(what|which) <field> (is|are) [only] (only represented|represented|used|shown|seen|found|present|there|appears|on|shared|had) [(on|by|in|for|only)] {one} {thing}",
        lambda field: WordOf(of=lonely(ALL, field), field=field),
        0.1,
    )
    rule(
        "word",
        f"(what|which) <field> (appears|occurs|is shown|is there|is seen|is present|is used|is represented|is only represented|is only shown|is only used) [only] [(one time|once|only once|just once|{one})] [{thing}]",
        lambda field: WordOf(of=lonely(ALL, field), field=field),
        0.3,
    )
    rule(
        "word",
        f"(what|which) <field> (is|has|does|do) (there [only] {one} of|only {one} {thing}) [(have)]",
        lambda field: WordOf(of=lonely(ALL, field), field=field),
        0.3,
    )
    rule(
        "amount",
        f"{HOWMANY} <fields> {THERE} that are [only] (on|used for|used on) {one} {thing}",
        lambda field: Count(of=lonely(ALL, field)),
        0.2,
    )
    rule(
        "word",
        "(what|which) <field> (is|are) (unique|the odd one out|not repeated|different)",
        lambda field: WordOf(of=lonely(ALL, field), field=field),
        0.3,
    )


# Truths


def _add_truths(rule: Rules, schema: SceneSchema) -> None:
    rule("asks", "<truth>")
    rule("asks", "<truth> (or not|or no|yes or no|true or false)", None, 0.1)
    any_ = "(a|an|any|some|one|any other|another|at least one|even one|even a single|a single)"
    thereis = "(is there|are there|do you see|can you see|does THEPICTURE (have|hold|contain|show|include)|do you find|is there anything like|can you find|do you (notice|spot)|have you got|is THEPICTURE home to|do we have|are you able to see|is it true that there (is|are)|can we see)"
    rule("truth", f"{thereis} [{any_}] (<desc1>|<descs>) [<seen>]", lambda of, *_: Exists(of=of))
    rule(
        "truth",
        f"{thereis} [{any_}] (<desc1>|<descs>) [THAT] [(is|are|STAND)] <pred>",
        lambda of, pred: Exists(of=narrow(of, pred)),
        0.1,
    )
    rule(
        "truth",
        f"{thereis} [{any_}] (<desc1>|<descs>) (that (have|has|share|shares)|with|sharing|having) (<same>|<selfsame>)",
        lambda of, pred: Exists(of=narrow(of, pred)),
        0.1,
    )
    rule(
        "truth",
        f"{thereis} (anything|something) [else] [(that|which)] [(is|has|are)] (<pred>|<same>|<post>)",
        lambda pred: Exists(of=pred),
        0.1,
    )
    rule("truth", f"{thereis} (anything|something) [else]", Exists(of=ALL), 1.0)
    rule(
        "truth",
        f"there (is|are) [{any_}] (<desc1>|<descs>) [,] (is that|right|correct|true|yes|is it not)",
        lambda of: Exists(of=of),
        0.5,
    )
    rule(
        "truth",
        f"(look for|search for) [{any_}] (<desc1>|<descs>) [(.|,)] (is one to be found|is there one|are there any|do you find one)",
        lambda of: Exists(of=of),
    )
    rule(
        "truth",
        "(is|are) (any|some|any one) [of] [(the|these|those)] (<descs>|<desc1>) <predx>",
        lambda of, pred: Exists(of=narrow(of, pred)),
    )
    rule(
        "truth",
        "(do|does) any [(two|2|of the|of these|other)] (<descs>|<desc1>) (have|share|match) (<same>|<selfsame>)",
        lambda of, pred: Exists(of=narrow(of, pred)),
    )
    rule(
        "truth",
        "(do|does) any [(two|2|of the|of these|other)] (<descs>|<desc1>) <same>",
        lambda of, pred: Exists(of=narrow(of, pred)),
    )
    rule(
        "truth",
        "(are|is) any [(two|2|of the|of these)] [(other)] (<descs>|<desc1>) <selfsame>",
        lambda of, pred: Exists(of=narrow(of, pred)),
    )
    rule(
        "truth",
        "(apart from|besides|leaving out|not counting|other than) <np> [,] (do|does|can you see|do you see|are there|is there) any [other] (<descs>|<desc1>) (that share|share|have|that have|that shares) (its|the same) <field>",
        lambda like, of, field: Exists(of=narrow(of, WhereSame(of=ALL, field=field, like=like))),
    )
    rule(
        "truth",
        "(do|does) <np> share its <field> with (any|one|some) of the [other] <descs>",
        lambda like, field, of: Exists(of=narrow(of, WhereSame(of=ALL, field=field, like=like))),
    )
    rule(
        "truth",
        "(do|does) (anything|any other object) [else] (have|has|share|match) <same>",
        lambda pred: Exists(of=pred),
    )
    rule(
        "truth",
        "(is|are) (nothing|no <descs>|none of the <descs>) <predx>",
        lambda *v: Not(of=Exists(of=narrow(ALL, *v))),
    )
    rule("truth", "(is|are) (anything|something) [else] <predx>", lambda pred: Exists(of=pred))
    rule("predx", "[(all|there|also|both|either|currently|actually|really)] <pred> [<seen>]", lambda pred, *_: pred)
    rule("predx", "(there|visible|seen|present|shown|pictured|to be seen|to be found|in THEPICTURE)", ALL)
    rule(
        "truth",
        "(whether|if) there (is|are) [(a|an|any|some)] (<desc1>|<descs>) [<seen>]",
        lambda of, *_: Exists(of=of),
    )
    rule("truth", "(whether|if) <np1> (is|are) <predx>", _is)
    rule("truth", "(whether|if) all <descs> are <predx>", lambda of, pred: _every(of, pred))
    rule("truth", "(whether|if) <groups> (have|are) <alikefields>", lambda of, fields: _alike(of, fields))
    # all of them
    every = "(all [of] [(the|these|those)] [other]|all|each of the|every one of the|both [of] [(the|these)]|both)"
    rule("truth", f"(is|are) {every} <descs> <predx>", _every)
    rule("truth", "(is|are) (every|each) [single] <desc1> <predx>", _every)
    rule("truth", "(is|are) everything <predx>", lambda pred: _every(ALL, pred))
    rule("truth", "(is|are) (the|these|those|) <descs> [all] <predx>", _every, 0.1)
    rule(
        "truth",
        "<np> (is|are) <predx> [,] (right|correct|true|is that right|is it not|is not it|yes)",
        lambda of, pred: _is(of, pred),
        3.0,
    )
    # the same of all
    alike = "[all] [of] [exactly] (the|) (same|identical|equal|one|matching) <field> [(as|of) each other]"
    rule("alikefields", f"{alike}", lambda field: (field,))
    rule("alikefields", "[all] [of] the same <field> and <field>", lambda *f: f)
    rule("alikefields", "[all] [of] (the same|identical|equal) <fields>", lambda field: (field,))
    rule(
        "alikefields",
        "[all] (alike|identical|the same)",
        tuple(field.name for field in schema.fields if field.words),
        0.2,
    )
    rule("alikefields", "[all] [made] [out] of the same <field>", lambda field: (field,))
    rule("alikefields", "[all] (alike|identical|equal|the same|similar) in <field>", lambda field: (field,))
    rule("groups", "[(all|both|all of|both of)] [(the|these|those)] [<many>] <descs>", lambda *v: v[-1])
    rule("groups", "(they|these|those|them) [(all|both)]", Earlier())
    rule("groups", "[both] <np1> and <np1>", either, 0.1)
    rule("groups", "<np1> (,|and) <np1> [,] and <np1>", lambda a, b, c: either(either(a, b), c))
    rule("truth", "(are|is) <groups> [both] <alikefields> [<seen>]", lambda of, fields, *_: _alike(of, fields))
    rule(
        "truth",
        "(do|does) <groups> [(all|both)] (have|share|possess|come in|show) [(a|the|one|common)] <alikefields> [<seen>]",
        lambda of, fields, *_: _alike(of, fields),
    )
    rule(
        "truth",
        "(do|does) <groups> [(all|both)] (have|share) (a|one|a common|the|an) <field> [in common]",
        lambda of, field: _alike(of, (field,)),
    )
    rule("truth", "(do|does) <groups> [(all|both)] (match|agree) in <field>", lambda of, field: _alike(of, (field,)))
    rule("truth", "is <one_field> common to <groups>", lambda field, of: _alike(of, (field,)))
    rule(
        "truth",
        "compare <np1> (with|to|and) <np1> [(.|,)] are they (alike|the same|equal|identical) in <field>",
        lambda a, b, field: SameWord(first=WordOf(of=a, field=field), second=WordOf(of=b, field=field)),
    )
    rule("one_field", "(one|a|the same) <field>")
    rule(
        "truth",
        "(are|is) <groups> [all] [of] [(a|)] different <fieldx> [<seen>]",
        lambda of, field, *_: _different(of, field),
    )
    rule(
        "truth",
        "(do|does) <groups> [all] have different <fieldx> [<seen>]",
        lambda of, field, *_: _different(of, field),
    )
    rule("fieldx", "(<field>|<fields>)")
    # one and another
    word = lambda of, field: WordOf(of=of, field=field)  # noqa: E731

    def same(field: str, a: Selector, b: Selector) -> Truth:
        if all(isinstance(one, The | Earlier) and getattr(one, "count", 1) == 1 for one in (a, b)):
            return SameWord(first=word(a, field), second=word(b, field))
        return Alike(of=either(a, b), field=field)

    rule(
        "truth",
        "(is|are|does|do) <np1> [(have|share)] <samefield> (any|some|another) [of] [the] [other] (object|thing|item|shape|objects|things|items|shapes)",
        lambda a, field: Exists(of=WhereSame(of=ALL, field=field, like=a)),
    )
    rule(
        "truth",
        "(is|are|does|do) <np1> [(have|share)] <samefield> (any|one|some) of the [other] <descs>",
        lambda a, field, of: Exists(of=narrow(of, WhereSame(of=ALL, field=field, like=a))),
    )
    rule("truth", "<np1> <samefield> <np1>", lambda a, field, b: same(field, a, b), 1.0)
    rule(
        "truth",
        "(is|are|does|do) <np1> [(have|share)] <samefield> (anything else|something else)",
        lambda a, field: Exists(of=WhereSame(of=ALL, field=field, like=a)),
    )
    rule("samefield", "[of] (the|) (same|identical|equal) <field> (as|to|with|like) [that of]")
    rule("samefield", "[made] [out] of the same <field> (as|to)")
    rule("samefield", "(share|match|matches) [(a|the|its)] [same] <field> (as|with|of|to)")
    rule("truth", "(is|are) <np1> <samefield> <np1>", lambda a, field, b: same(field, a, b))
    rule("truth", "(do|does) <np1> [(have|share)] <samefield> <np1>", lambda a, field, b: same(field, a, b))
    rule(
        "truth",
        "(is|are) the <field> of <np1> the same [<field>] as [(the <field> of|that of)] <np1>",
        lambda *v: same(v[0], v[1], v[-1]),
    )
    rule(
        "truth",
        "(is|are) (its|their) <field> the same as [that of|the <field> of] <np1>",
        lambda *v: same(v[0], Earlier(), v[-1]),
    )
    rule(
        "truth", "(is|are) <np1> 's <field> the same as <np1> [('s <field>)]", lambda a, field, b, *_: same(field, a, b)
    )
    rule(
        "truth",
        "(do|does|would you say that|is it true that) <np1> (match|matches) <np1> in <field>",
        lambda a, b, field: same(field, a, b),
    )
    rule(
        "truth",
        "(is|are) <np1> a different <field> (than|from|to|as) <np1>",
        lambda a, field, b: Not(of=same(field, a, b)),
    )
    rule(
        "truth",
        "(is|are) <value> the <field> of <np1>",
        lambda value, field, of: SameWord(first=word(_set(of), field), second=value) if value.field == field else None,
    )
    rule(
        "truth",
        "is the <field> of <np1> <value>",
        lambda field, of, value: SameWord(first=word(_set(of), field), second=value) if value.field == field else None,
    )
    # "is the cube red", "is it behind the ball"
    rule("truth", "(is|was) <np1> <predx>", _is, 0.1)
    rule("truth", "(is|are) <np1> either <any> or <any>", lambda of, a, b: _every(of, either(a, b)))
    rule(
        "truth",
        "(does|do) [(any|a|an|any of the|some)] (<desc1>|<descs>) (touch|touches) (a|an|any) (<desc1>|<descs>)",
        lambda of, to: Exists(of=narrow(of, Related(of=ALL, relation="touching", to=to, some=True))),
    )
    rule(
        "truth",
        "(does|do) [(any|a|an|any of the|some)] (<desc1>|<descs>) (touch|touches) <def1>",
        lambda of, to: Exists(of=narrow(of, _side("touching", to))),
    )
    rule("truth", "(does|do) <def1> (touch|touches) <np>", lambda of, to: _every(of, _side("touching", to)))
    rule("truth", "any [other] <descs> [<seen>]", lambda of, *_: Exists(of=of), 0.5)
    rule("truth", "(is|are) <np1> (also|all|both|made of|colored|painted|) <pred>", _is, 0.2)
    rule(
        "truth",
        "(does|do) <np1> (look|have|appear|seem|stand|sit|lie) [to be|a|an] <pred> [(finish|surface|texture|color|shape)]",
        _is,
        0.8,
    )
    rule(
        "truth",
        "(would you say [that]|is it true that|do you think [that]|can you confirm that) <np1> (is|are) <pred>",
        _is,
    )
    rule("truth", "(is|are) <np1> the (same|only) (object|thing) as <np1>", lambda a, b: Every(of=a, among=b))
    rule(
        "truth", "(is|are) <np1> the only <desc1>", lambda a, b: All(first=Every(of=a, among=b), second=_exactly(b, 1))
    )
    for field in schema.fields:
        if field.words:
            rule(
                "truth",
                f"(is|are) <np1> the only one [of (its|that|this)] {field.name}",
                lambda a, f=field.name: Not(of=Exists(of=WhereSame(of=ALL, field=f, like=a))),
            )
    # larger than
    larger = "(bigger|larger|taller|wider|greater in size|more massive)"
    smaller = "(smaller|tinier|littler|shorter|less big)"
    rule(
        "truth",
        f"(is|are) <np1> [(any|much|all)] {larger} (than|then) <np1> [is]",
        lambda a, b: BiggerThan(by=Bigness(), first=a, second=b),
    )
    rule(
        "truth",
        f"(is|are) <np1> [(any|much|all)] {smaller} (than|then) <np1> [is]",
        lambda a, b: BiggerThan(by=Smallness(), first=a, second=b),
    )
    # numbers
    _add_comparisons(rule)


def _is(of: Selector, pred: Selector) -> Truth | None:
    plain = isinstance(pred, Where) and isinstance(pred.of, Everything)
    if plain and isinstance(of, The | Earlier) and getattr(of, "count", 1) == 1:
        return SameWord(
            first=WordOf(of=_set(of), field=pred.field), second=Literally(field=pred.field, value=pred.value)
        )  # type: ignore[union-attr]
    if isinstance(pred, WhereSame) and pred.of == ALL and isinstance(of, The | Earlier):
        return SameWord(first=WordOf(of=of, field=pred.field), second=WordOf(of=pred.like, field=pred.field))
    if isinstance(pred, Either) and _is_word(pred.first) and _is_word(pred.second):
        return None  # "is it red or blue?" asks which
    return _every(of, pred)


def _is_word(selector: Selector) -> bool:
    return isinstance(selector, Where) and isinstance(selector.of, Everything)


def _every(of: Selector, pred: Selector) -> Truth:
    """Whether all of a set are so; superlatives are of the set."""
    return Every(of=of, among=narrow(of, pred) if isinstance(pred, Extreme) else pred)


def _alike(of: Selector, fields: tuple[str, ...]) -> Truth:
    truths: list[Truth] = []
    for field in fields:
        if isinstance(of, Either) and isinstance(of.first, The) and isinstance(of.second, The):
            pair = WordOf(of=of.first, field=field), WordOf(of=of.second, field=field)
            truths.append(SameWord(first=pair[0], second=pair[1]))
        else:
            truths.append(Alike(of=of, field=field))
    whole = truths[0]
    for truth in truths[1:]:
        whole = All(first=whole, second=truth)
    return whole


def _different(of: Selector, field: str) -> Truth:
    return Not(of=Exists(of=Shared(of=of, field=field)))


def _exactly(of: Selector, count: int) -> Truth:
    return Compare(comparison="equal", first=Count(of=of), second=Number(value=count))


def _add_comparisons(rule: Rules) -> None:
    def compared(comparison: Anything) -> Anything:
        return lambda a, b: Compare(comparison=comparison, first=Count(of=a), second=Count(of=b))

    a, b = "(<cdesc>)", "(<cdesc>)"
    rule("cdesc", "<descs>")
    rule("cdesc", "<desc1>", None, 0.4)
    rule("cdesc", "<adj>", None, 0.3)
    rule("cdesc", "(the number of|there are|is the number of|do you see) <descs>")
    thereis = "(are there|is there|do you see|do you count|does THEPICTURE have|can you see|there are|)"
    rule(
        "truth",
        f"{thereis} [(an|the)] (equal|same) (number|amount|numbers|amounts|quantity|count) of {a} (and|as|to|compared to) {b} [<seen>]",
        lambda x, y, *_: compared("equal")(x, y),
    )
    rule(
        "truth",
        f"(is|are) the (number|amount|count|quantity) of {a} (the same as|equal to|the same number as|identical to) [the (number|amount|count) of] {b}",
        compared("equal"),
    )
    rule(
        "truth",
        f"(is|are) the (number|amount|count|quantity) of {a} (less|smaller|lower|fewer) (than|then) [the (number|amount|count) of] {b}",
        compared("less"),
    )
    rule(
        "truth",
        f"(is|are) the (number|amount|count|quantity) of {a} (greater|more|larger|higher|bigger) (than|then) [the (number|amount|count) of] {b}",
        compared("greater"),
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
    rule("truth", f"{thereis} as many {a} as {b}", compared("equal"))
    rule("truth", f"are the {a} just as many as the {b}", compared("equal"))
    rule("truth", f"(do|does) [the] {a} match [the] {b} in number", compared("equal"))
    rule("truth", f"count the {a} and the {b} [(.|,)] do you get one number twice", compared("equal"))
    rule("truth", f"are the {a} outnumbered by the {b}", compared("less"))
    rule("truth", f"(do|does) [the] {a} outnumber [the] {b}", compared("greater"))
    rule("truth", f"would you need more {a} to have as many as there are {b}", compared("less"))
    for words, comparison in (
        ("(exactly|just|only|precisely)", "equal"),
        ("(at least|no fewer than|no less than)", "at least"),
        ("(at most|no more than|not more than)", "at most"),
        ("(more than|over|greater than)", "greater"),
        ("(fewer than|less than|under)", "less"),
    ):
        number = lambda count, of, c=comparison: Compare(comparison=c, first=Count(of=of), second=Number(value=count))  # noqa: E731
        rule(
            "truth", f"{thereis} {words} <int> (<descs>|<desc1>) [<seen>]", lambda count, of, *_, n=number: n(count, of)
        )
        rule(
            "truth",
            f"(is|are) {words} <int> [of the] (<descs>|<desc1>) <predx>",
            lambda count, of, pred, n=number: n(count, narrow(of, pred)),
        )
    equal = lambda count, of, *_: _exactly(of, count)  # noqa: E731
    rule("truth", f"{thereis} <many> [different] [(kinds of|types of|different types of)] <descs> [<seen>]", equal, 0.1)
    rule("truth", f"is there only [a|one] <desc1> [<seen>]", lambda of, *_: _exactly(of, 1))
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
    most = lambda of, pred: Compare(
        comparison="greater", first=Count(of=narrow(of, pred)), second=Count(of=without(of, pred))
    )  # noqa: E731
    rule("truth", "(is|are) (most|most of|the majority of) [(the|these)] <descs> <predx>", most)


def _more_adjectives(_: str) -> None:
    return None


def _parity(of: Selector, rest: int) -> Truth:
    two = Number(value=2)
    half = Arithmetic(operation="divided by", first=Count(of=of), second=two)
    even = Compare(comparison="equal", first=Arithmetic(operation="times", first=half, second=two), second=Count(of=of))
    return Not(of=even)


# Choices


def _add_choices(rule: Rules, schema: SceneSchema) -> None:
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
        rule("asks", f"(what|which) (are there|is there|do you see|has) {more} [of] [,] <case> or <case>", pick)
        rule(
            "asks",
            f"(which|what) <field> has {more} <descs> [(,|.)] <case> or <case>",
            lambda field, of, a, b, f=fewest: choose(a, b, fewest=f, of=of),
        )
    # "is the cube red or blue"
    rule("asks", "(is|are) <np1> [(made of|colored|a|an|either)] <value> or [(a|an)] <value>", _one_of, 0.0)
    rule("asks", "(is|are) <np1> [(made of|colored|a|an|either)] <kindword> or [(a|an)] <kindword>", _one_of)
    rule("asks", "what <field> is <np1> [(,|.)] <value> or <value>", lambda field, of, a, b: _one_of(of, a, b))
    rule("kindword", "<kindvalue>")
    fields = {field.name: field.words for field in schema.fields if field.words}
    rule(
        "asks",
        "what <field> is <np1> [(,|.)] <anyvalue> [,] <anyvalue> [,] or <anyvalue>",
        lambda field, of, *_: WordOf(of=_set(of), field=field),
    )
    rule("anyvalue", "(<value>|<kindvalue>)")
    # "which is larger, the cube or the ball"
    rule("asks", "(is|are) <np1> JUST <relhead> or <relword> <np1>", _which_side)
    rule(
        "asks",
        "(is|are) <np1> JUST <relword> <np1> or <relword> (it|them)",
        lambda of, a, to, b: _which_side(of, a, b, to),
    )
    by = {"(larger|bigger|largest|biggest|taller)": Bigness(), "(smaller|smallest|tinier|shorter)": Smallness()}
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


def _apart(words: str, of: Selector, others: str) -> tuple[str, Selector]:
    """A choice named by the words that the other one lacks."""
    own = [word for word in words.split() if word not in others.split()]
    return " ".join(own) or words, of


def _which_side(of: Selector, first: Anything, second: Anything, to: Selector) -> Ask | None:
    if first == second:
        return None
    cases = (Case(word=SIDES.get(name, name), amount=Count(of=narrow(of, _side(name, to)))) for name in (first, second))
    return Choose(cases=tuple(cases))


def _case(of: Selector) -> tuple[str, Selector]:
    """What a choice is called: its words."""
    return " ".join(node.value for node in parts(of) if isinstance(node, Where | Literally)) or "others", of


def _one_of(of: Selector, first: Literally, second: Literally) -> Word | None:
    return WordOf(of=_set(of), field=first.field) if first.field == second.field and first != second else None


# Others


def _add_others(rule: Rules, schema: SceneSchema) -> None:
    rule("asks", "where (is|are|does|do) <np> [(stand|located|sit|lie)]", lambda of: WhereIs(of=of))
    rule(
        "asks",
        "(what is|tell me|give me|give) the (location|position|place|coordinates) of <np>",
        lambda of: WhereIs(of=of),
    )
    rule("asks", "[(what is|tell me)] the distance between <np1> and <np1>", lambda a, b: Distance(first=a, second=b))
    rule("asks", "[tell me] where <np> (is|are)", lambda of: WhereIs(of=of))
    rule(
        "asks",
        "(how far|what is the distance) (is|are|between|away is|) <np1> (and|from|away from|to) <np1> [apart]",
        lambda a, b: Distance(first=a, second=b),
    )
    rule("asks", "how far apart are <np1> and <np1>", lambda a, b: Distance(first=a, second=b))
    rule("asks", "how far apart are <twonp>", lambda pair: Distance(first=pair[0], second=pair[1]))
    # hypothetical: the scene without some
    gone = "(is|are|was|were) (removed|taken away|deleted|gone|taken out|destroyed|not there)"
    rule("gone", f"(if|when|suppose|after) <np> {gone}")
    rule("gone", "should <np> be (removed|taken away|deleted|taken out)")
    rule(
        "gone",
        "(if|when|suppose|after) (you|i|we|someone) (remove|removed|take away|took away|delete|deleted|removing|take out|took out|were to remove|destroyed) <np>",
    )
    rule(
        "gone",
        "(without|not counting|ignoring|excluding|leaving out|apart from|aside from|besides|except for|other than) <np>",
    )
    rule("asks", "<gone> [(,|.)] [then] <asks>", _hypothetical, 0.1)
    rule(
        "asks",
        "<gone> [(,|.)] how many <things> (will|would|) (be left|remain|be there|there be|are left|remain|stay|be) [remaining|left|over]",
        lambda gone, of: _hypothetical(gone, Count(of=of)),
    )
    rule(
        "amount",
        "how many <things> (will|would|) (be left|remain|there be|be there|are left|remain|be remaining) [left] [(,|)] <gone>",
        lambda of, gone: _hypothetical(gone, Count(of=of)),
    )
    rule(
        "amount",
        "how many <things> are (left|remaining) [(,|)] <gone>",
        lambda of, gone: _hypothetical(gone, Count(of=of)),
    )


def _hypothetical(gone: Selector, asks: Anything) -> Anything:
    """The question of the scene without the objects."""
    rest = Except(of=ALL, without=gone)
    return rewritten(asks, lambda node: rest if node == ALL else node)

"""Rules of questions for words: what color it is, which one, what several share."""

from collections.abc import Iterator
from typing import Any as Anything

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.frequencies import add_alone, add_commonest
from kyvo.programs.grammar.lexicon import kind_field
from kyvo.programs.grammar.meaning import ALL, as_set, identical, named_set, narrow, without
from kyvo.programs.grammar.relations import INVERSE
from kyvo.programs.program import (
    Ask,
    Closeness,
    Earlier,
    Extreme,
    Farness,
    Related,
    Selector,
    Shared,
    The,
    Where,
    WhereSame,
    Which,
    Word,
    WordOf,
    WordsOf,
)
from kyvo.scene.schema import SceneSchema


def add_words(rule: Rules, schema: SceneSchema) -> None:
    kind = kind_field(schema)
    names = [field.name for field in schema.fields if field.words]
    other = next((name for name in ("color", *names) if name in names and name != kind), kind)

    def named(of: Selector) -> Ask | Word:
        """An object's word: its kind, or another field where the description has the kind already."""
        described = frozenset(_described_fields(of))
        field = next((name for name in (kind, other) if name and name not in described), None)
        return WordOf(of=as_set(of), field=field) if field else Which(of=as_set(of))

    word = lambda field, of: WordOf(of=as_set(of), field=field)  # noqa: E731
    rule("asks", "<word>")
    rule(
        "fieldq",
        "(what|which|in what|in which|of what|of which|what kind of|what type of|what sort of|tell me what|"
        "tell me which|can you (say|tell me|tell) (what|which)) [kind of] <field>",
    )
    rule(
        "fieldq",
        "(what is|what are|what would be|name|tell me|give|give me|state|i would like to know|"
        "i want to know|do you know|describe|identify|can you tell me|please tell me|what about) (the|"
        "a) [(common|exact)] (<field>|<fields>) of",
    )
    rule("fieldq", "((what|which) <field> 's|what the <field> of)")
    rule("fieldq", "(what|how) (do|would) (you|we|people) (call|describe|name) the <field> of")
    rule("fieldq", "(what|which) is the (same|shared|common) <field> of")
    rule("fieldq", "how (big|large)", "size") if "size" in names else None
    rule(
        "word",
        "<fieldq> (is|are|was|does|do|would|has|have) <np> [(have|made of|made out of|made from|made|in|"
        "show|be|look|of|come in|appear to be|painted|colored)]",
        word,
    )
    rule("word", "<fieldq> (is|are) [shown by|] <np>", word, 0.1)
    rule("word", "<fieldq> <np>", word, 0.1)
    rule("word", "<fieldq> do you see", lambda field: WordOf(of=Earlier(), field=field))
    rule("word", "<fieldq> do you see (<np>|[on|for] <np>)", word)
    rule("word", "<fieldq> <np> (is|are|has|have)", word, 0.05)
    rule("word", "<fieldq> of <np> [is [it]]", word, 0.1)
    rule("word", "[the] <field> of <np>", word, 0.5)
    rule("word", "[the] <field> of <np> is (what|which)", word)
    rule("word", "[(state|name|give [me]|tell me|say)] <np> 's <field>", lambda of, field: word(field, of), 0.5)
    rule("word", "<fieldq> (would|do|did) (you|we) (say|think|call|see) [that] <np> [(is|are|has|have|to be)]", word)
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
        "(what|which|what is the|of what|what would be the) <field> (<desc1>|<descs>) (is|are|sits|stands|"
        "lies|would be|appears|comes|does|do|has|have) [STAND] <pred>",
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
        "(what|which) <field> (is|are|sits|stands|lies|appears|comes) [STAND] <pred>",
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
            "(what|of what|from what|out of what) (is|are|was) <np> (made [out] of|made from|made|built of|"
            "composed of|made up of|constructed of|made out)",
            lambda of: WordOf(of=named_set(of), field="material"),
        )
        rule(
            "word",
            "(of what|from what|out of what) (is|are|was) <np> made",
            lambda of: WordOf(of=named_set(of), field="material"),
        )
        rule(
            "word",
            "[(tell me|say|do you know)] what <np> (is|are) made [out] (of|from)",
            lambda of: WordOf(of=named_set(of), field="material"),
        )
        rule("word", "<np> (is|are) made [out] of what", lambda of: WordOf(of=named_set(of), field="material"))
        rule(
            "word",
            "[(of|from|out of|with)] (what|which) [(material|substance|stuff)] (did|do) (they|you|we|"
            "one) make <np> [(of|from|out of)]",
            lambda of: WordOf(of=named_set(of), field="material"),
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
    rule("word", "(what|which) (is|would be|was) <np> [called]", named, 0.5)
    rule("word", "(what|which) are <np> called", named, 0.4)
    rule("asks", "(what|which) are (the|these|those) <descs>", lambda of: Which(of=of), 0.4)
    rule("word", "(what|which) are <np>", named, 0.7)
    rule("word", "what is [(there|seen|it)] <rels>", named, 0.4)
    rule("word", "(what|which) <desc1>", named, 1.5)
    seen = "((is|are) [there]|can be (seen|found)|(do|can) (you|we|i) (see|find)|is that|stands|sits|lies)"
    beside = lambda rel, *_: named(rel)  # noqa: E731
    rule("word", f"what [(thing|object|item|shape)] {seen} [STAND] (<rels>|<place>)", beside, 0.3)
    rule("word", f"(<rels>|<place>) [,] what [(thing|object|item|shape)] {seen}", beside, 0.3)
    rule(
        "asks",
        "(which|what) [of] [(the|these)] (<descs>|<desc1>) (are|is) [(STAND|all|there)] <pred>",
        lambda of, pred: Which(of=narrow(of, pred)),
        0.8,
    )
    rule("asks", "(which|what) (<descs>) [(are there|do you see|can you see)]", lambda of: Which(of=of), 0.4)
    rule(
        "asks",
        "(list|name|show [me]|find|tell me|point (at|to|out)|show|highlight|select|identify|give me|"
        "locate) (<np>|<whichones>)",
        lambda of: Which(of=of),
        0.3,
    )
    rule("whichones", "[all] <descs>")
    rule("asks", "(list|name) (<np>|<whichones>)", lambda of: Which(of=of), 0.3)
    rule(
        "word",
        "(what|which) [one] of [(the|these)] [<many>] <descs> (is|has|STANDS) <pred>",
        lambda *v: named(narrow(v[-2], v[-1])),
        0.3,
    )
    rule(
        "asks",
        "(what|which) of (the|these) <descs> (are|have) <pred>",
        lambda of, pred: Which(of=narrow(of, pred)),
        0.2,
    )
    rule(
        "word", "(what|which) [one] of (the|these|those) <descs> <solidlike>", lambda of, like: named(narrow(of, like))
    )
    theirs = lambda pred: Which(of=narrow(Earlier(), pred))  # noqa: E731
    rule("asks", "(which|what) [one|ones] of (them|these|those) (is|are) <pred>", theirs)
    rule("asks", "(which|what) one [of them] (is|are) <pred>", lambda pred: Which(of=pred), 0.4)
    rule(
        "asks",
        "(what|which THINGS|what all) (do you see|can you see|are there|is there|is in THEPICTURE|"
        "are in THEPICTURE|does THEPICTURE (show|have|contain|hold))",
        Which(of=ALL),
    )
    rule(
        "asks",
        "(which|what) [<many>] <descs> (have|share|are|has) <selfsame>",
        lambda *v: Which(of=narrow(v[-2], v[-1])),
    )
    rule(
        "asks",
        "(which|what) [other] [of the] <descs> [(have|share|are|has)] [all] [(a|an|the)] <same>",
        lambda of, same: Which(of=narrow(of, same)),
    )
    besides = lambda pred: Which(of=narrow(without(ALL, Earlier()), pred))  # noqa: E731
    rule("asks", "(what|which) else (is|are|was|STANDS) [there] [(that|which) (is|are)] <pred>", besides)
    rule("asks", "(what|which) else (has|have|shares) [(a|an|the)] (<same>|<ofmaterial>)", besides)
    rule(
        "asks", "what else (is there|is in THEPICTURE|do you see|can you see|does THEPICTURE (have|show))", besides(ALL)
    )
    rule("ofmaterial", "[(a|an|the)] <any> (finish|texture|surface|color|shape|size|material)")
    rule("asks", "which (one|ones|of them|of these|of those) (is|are) <pred>", lambda pred: Which(of=pred), 0.4)
    rule("descs", "(identical|matching) <descs>", lambda of: identical(of, names), 0.1)
    for count, cost in (("<many>", 0.0), ("(some|several|multiple)", 0.2)):
        rule(
            "word",
            f"(what|which) <field> (is|are) (shared|had|held|represented|worn|used|found|present|seen|repeated) "
            f"[(by|on|in|among|with)] {count} [of the|of these] <descs>",
            _shared_by,
            cost,
        )
        rule(
            "word",
            f"(what|which) <field> (do|does|are|is) {count} [of the|of these] <descs> [(share|have)]",
            _shared_by,
            cost,
        )
        rule(
            "word", f"(what is|name) the <field> (shared by|of) {count} of (the|these) <descs>", _shared_by, cost + 0.1
        )
    rule(
        "word",
        "(what|which) <field> (is|are) (shared by|used (for|on)|common to|found (on|in)|had by) both (a|an|the) "
        "<desc1> and (a|an|the) <desc1>",
        lambda field, a, b: WordOf(of=WhereSame(of=a, field=field, like=b, some=True), field=field),
    )
    # "the gray ball is left of what shape?", "what is the ball closest to?"
    rule(
        "word",
        "<np1> (is|stands|sits|lies) JUST <inverse> (what|which) (<field>|<desc1>)",
        lambda of, name, what: _named_near(named, what, Related(of=ALL, relation=INVERSE[name], to=of)),
    )
    far = "(FARTHEST [away] from|farthest from)"
    for words, measure in (("CLOSEST to", Closeness), (far, Farness)):
        rule(
            "word",
            f"(what|which) (<field>|<desc1>) is <np1> {words}",
            lambda what, to, m=measure: _named_near(named, what, Extreme(of=without(ALL, to), by=m(to=to))),
        )
        rule(
            "word",
            f"<np1> is {words} (what|which) (<field>|<desc1>)",
            lambda to, what, m=measure: _named_near(named, what, Extreme(of=without(ALL, to), by=m(to=to))),
        )
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
        "(what|which|list the|name the|tell me the|list [all] the) [<many>] <fields> (are|do) <np> [have]",
        lambda *v: WordsOf(of=v[-1], fields=(v[-2],)),
        0.1,
    )
    rule(
        "asks",
        "(what|which) <field> (are|do) [(all|both)] (the|these|those) <descs> [have]",
        lambda field, of: WordsOf(of=of, fields=(field,)),
        -0.1,
    )
    rule(
        "asks",
        "(what|which) <fields> [(are there|do you see|can you see|are in THEPICTURE)]",
        lambda field: WordsOf(of=ALL, fields=(field,)),
    )
    rule("asks", "(list|name|tell me) [all] [different] <fields>", lambda field: WordsOf(of=ALL, fields=(field,)))
    rule(
        "asks",
        "(what|which) <fields> ((are|were) (used|shown|present|there|visible|represented)|can (be|you|i|we) "
        "(found|seen|see|find)|occur|appear|exist)",
        lambda field: WordsOf(of=ALL, fields=(field,)),
    )
    rule(
        "asks",
        "(list|name|tell me|what are|give me|show me) ((all [of] [the]|the) [different] <fields>|(all|every) <field>) "
        "[((of|for|that) <np> [have]|<seen>)]",
        lambda field, *of: WordsOf(of=of[0] if of else ALL, fields=(field,)),
    )
    if names:
        rule(
            "asks",
            "(describe|tell me about|what do you know about|what does) <np> [(look like)]",
            lambda of: WordsOf(of=of, fields=tuple(names)),
            0.2,
        )
    add_commonest(rule, schema)
    add_alone(rule, schema)


def _shared_by(field: str, *values: Anything) -> Word | None:
    """The word that so many of a set have in common."""
    *count, of = values
    shared: Selector = Shared(of=of, field=field)
    return WordOf(of=The(of=shared, count=count[0]) if count else shared, field=field)


def _named_near(named: Anything, what: str | Selector, near: Selector) -> Ask | Word:
    """What stands so: the word of a field, or what an object of that description is called."""
    return WordOf(of=as_set(near), field=what) if isinstance(what, str) else named(narrow(what, near))


def _described_fields(of: Selector) -> Iterator[str]:
    """The fields that a description names."""
    while of is not None:
        if isinstance(of, Where):
            yield of.field
        of = getattr(of, "of", None)  # type: ignore[assignment]

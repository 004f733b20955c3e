"""Rules of questions about frequencies: the most common word, and what only one object has."""

from kyvo.programs.grammar.amounts import HOWMANY, THERE
from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.comparisons import exactly
from kyvo.programs.grammar.lexicon import kind_field
from kyvo.programs.grammar.meaning import ALL
from kyvo.programs.program import Commonest, Count, CountWords, Except, Exists, Shared, Where, WordOf, WordsOf
from kyvo.scene.schema import SceneSchema


def add_commonest(rule: Rules, schema: SceneSchema) -> None:
    """The word that most objects have."""
    kind = kind_field(schema)
    most = (
        "(most common|most frequent|of the greatest quantity|of the greatest number|most represented|most "
        "present|most frequently (seen|shown|used|occurring|appearing)|most numerous|"
        "predominant|dominant|dominate|most represented|most prevalent|most often seen|most abundant|"
        "most popular|most used|commonest|majority|main|most seen|most shown)"
    )
    often = (
        "(occurs|appears|comes up|pops up|turns up|can be seen|is found|is seen|is shown|is used|is "
        "represented|shows up|is there|is|are|does|are there|"
        "is present|is repeated|is pictured|occur|appear|happens|is found|is displayed|do you see|"
        "do we see) [the] [to be] (most|most often|most frequently|the most|the most of|most times|"
        "the most times|more (than|then) any other|most of)"
    )
    common = lambda field, of=ALL: Commonest(of=of, field=field)  # noqa: E731
    rule("word", f"(what|which) <field> (is|are) [the] {most} [<field>] [<seen>]", lambda field, *_: common(field))
    rule(
        "word",
        f"(what|which) <field> (is|are) [the] {most} [(among|of|for|in)] [(the|all the|all of the|all|these|"
        "those)] <descs>",
        common,
    )
    rule(
        "word",
        f"[(what is|what are|which is|name|tell me)] the {most} <field> [<seen>]",
        lambda field, *_: common(field),
    )
    rule("word", f"the {most} <field> [<seen>] is (what|which)", lambda field, *_: common(field))
    rule(
        "word",
        f"[(what is|what are|which is|name|tell me)] the {most} <field> (of|among|for|in) [(the|all the|"
        "all of the|all)] <descs>",
        common,
    )
    rule("word", f"what (is|are) the <field> (that|which) {often} [<seen>]", lambda field, *_: common(field))
    by_most = "(is|are) (on|represented by|shared by|found on|used for|used on) (most|the most|the majority of|most of)"
    rule("word", f"(what|which) <field> {by_most} [(the|these)] <descs>", common)
    rule("word", f"what is the <field> [that] [is] {by_most.removeprefix('(is|are) ')} [(the|these)] <descs>", common)
    rule("word", "(what|which) <field> (is|are) <many> of (the|these) <descs>", lambda field, _, of: common(field, of))
    rule(
        "word", "(what|which) <field> (do|does|can) (i|you|we) see [the] most [(of|often)]", lambda field: common(field)
    )
    rule("word", f"(what|which) <field> {often} [<seen>]", lambda field, *_: common(field))
    rule("word", f"(what|which) <field> {often} [(among|of|in|for)] [(the|all the)] <descs>", common)
    rule(
        "word",
        "(what|which) <field> (is|are|do) [the] (most|most of|the majority of|a majority of) [(the|these|"
        "all the)] <descs> [have]",
        common,
    )
    rule("word", "(what is|what are) the <field> of [the] (most|most of|the majority of) [(the|these)] <descs>", common)
    rule(
        "word",
        "(what|which) <field> (has|have) [the] (most|largest number of|highest number of|"
        "greatest number of) [of] <descs>",
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
        "(what|which) <field> (is|are|occurs|appears|is seen|shows up) [the] (least common|rarest|"
        "least frequent|least|least often|the least|fewest|fewest times|the fewest) [<seen>]",
        lambda field, *_: Commonest(of=ALL, field=field, least=True),
    )
    rule(
        "word",
        "what is the <field> (that|which) (occurs|appears|is seen|shows up|is there|is) [the] (least|"
        "least often|rarest|"
        "least common|fewest times) [(often|common)] [<seen>]",
        lambda field, *_: Commonest(of=ALL, field=field, least=True),
    )
    rule("word", "(most|the majority) of (the|these) <descs> are what <field>", lambda of, field: common(field, of))
    if kind:
        rule(
            "word",
            "(what|which) (object|thing|shape|kind of (object|thing)) (is|are) (there|seen|shown|represented) [the] "
            "(most|most of|most often) [<seen>]",
            lambda *_: common(kind),
        )
        rule(
            "word",
            "(what|which) (object|thing) (is|appears|occurs) [the] (most|most often) (common|represented|frequent|)",
            common(kind),
        )
        rule(
            "word",
            "(what|which) (object|thing) (is|appears|occurs) [the] least [often]",
            Commonest(of=ALL, field=kind, least=True),
        )
        rule("word", "what is there (the most of|most of|more of than anything else)", common(kind))
        rule(
            "word",
            "what (do you see|is there|are there|is|are) [the] (most of|most|the most of) [<seen>]",
            lambda *_: common(kind),
        )


def add_alone(rule: Rules, schema: SceneSchema) -> None:
    """What only one object has; and what several share."""
    fields = [field.name for field in schema.fields if field.words]
    lonely = lambda of, field: Except(of=of, without=Shared(of=of, field=field))  # noqa: E731
    one = "(only one|a single|one|just one|exactly one|only a single|only 1|1)"
    thing = "(object|thing|item|shape|figure)"
    own = "(unique|distinct|unmatched)"
    none = "(no other <othernoun>|nothing else|nobody else|no one else|none of the others|no other <othernouns>)"
    rule("same", f"(a|an|the|its|their) {own} <field> [(than|from|to|of|as) ALLOTHERS]", lambda f: lonely(ALL, f), 0.1)
    rule("same", f"a <field> [(that|which)] {none} (has|have|shares|share)", lambda *v: lonely(ALL, v[0]), 0.1)
    rule("same", "a <field> (of its own|to itself|all its own)", lambda field: lonely(ALL, field), 0.1)
    rule(
        "same", "the only (one|ones|thing|object) (of|with|in) (its|their|that|this) <field>", lambda f: lonely(ALL, f)
    )
    rule("post1", f"whose <field> {none} (has|have|shares|share)", lambda *v: lonely(ALL, v[0]))
    rule("othernouns", "<nouns>", 0)
    often = (
        "(more than once|twice|at least twice|several times|multiple times|repeatedly|"
        "on (several|more than one|multiple) THINGS)"
    )
    seen = "(appears|appear|occurs|occur|(is|are) (used|seen|there|found|shown|present)|shows up|show up)"
    rule(
        "asks",
        f"(what|which) (<field>|<fields>) {seen} {often}",
        lambda field: WordsOf(of=Shared(of=ALL, field=field), fields=(field,)),
    )
    rule(
        "amount",
        f"{HOWMANY} <fields> {seen} {often}",
        lambda field: CountWords(of=Shared(of=ALL, field=field), field=field),
    )
    once = "(once|one time|a single time|exactly once|just once)"
    rule(
        "amount",
        f"{HOWMANY} <fields> (appear|occur|(is|are) (used|seen|there|found|shown|present)|show up) [only] {once}",
        lambda field: Count(of=lonely(ALL, field)),
    )
    rule(
        "truth",
        f"(does|do) [the <field>] <value> (appear|occur|show up|come up) [only] {once}",
        lambda *words: exactly(Where(of=ALL, field=words[-1].field, value=words[-1].value), 1),
    )
    rule(
        "truth",
        "(is|are) there (a|any) <field> [that|which] (two|2|several|some|any two|more than one) [of the] [THINGS] "
        "(share|have in common|have)",
        lambda field: Exists(of=Shared(of=ALL, field=field)),
    )
    for field in fields:
        rule(
            "ofone",
            "(with|THAT has|having|THAT is) [(a|an|the)] (unique|different|unmatched|distinct|"
            f"odd) {field} [(than|from|to|of|as) ALLOTHERS]",
            lonely(ALL, field),
        )
        rule(
            "ofone",
            f"(THAT (is|has)|with|that are|of) [(a|the|an)] different {field} (from|than) ALLOTHERS",
            lonely(ALL, field),
        )
        rule(
            "ofone",
            f"(THAT is|being) the only (one|object|thing) [(of|with|in)] (its|that|this) {field}",
            lonely(ALL, field),
        )
        rule(
            "ofone",
            f"THAT (does|do) not have another [one|object|thing] [(of|with|in)] the same {field}",
            lonely(ALL, field),
        )
        rule("ofone", f"(unlike|different from) ALLOTHERS in {field}", lonely(ALL, field))
        rule(
            "ofone",
            f"(THAT (does|do) not (share|have|match)|without) (a|the|its|any) [same] {field} (as|with|"
            "of) (any|another (object|thing|item|shape|one)|any other (object|thing|item|shape|one)|ALLOTHERS|"
            "anything else|any of the other THINGS|any other THINGS)",
            lonely(ALL, field),
        )
    rule("post1", "<ofone>")
    rule(
        "word",
        "(what|which) <field> (is|are) [only] (only represented|represented|used|shown|seen|found|present|"
        f"there|appears|on|shared|had) [(on|by|in|for|only)] {one} {thing}",
        lambda field: WordOf(of=lonely(ALL, field), field=field),
        0.1,
    )
    rule(
        "word",
        "(what|which) <field> (appears|occurs|is shown|is there|is seen|is present|is used|is represented|"
        "is only represented|is only shown|is only used) [only] [(one time|once|only once|just once|"
        f"{one})] [{thing}]",
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

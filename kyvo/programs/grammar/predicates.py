"""Rules of `pred`, what "is" may be followed by: places, shared words, materials, "not", "and" and "or"."""

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import ALL, Indefinite, either, joined, narrow, negated, the, without
from kyvo.programs.grammar.relations import CORNERS, REGIONS, related, two
from kyvo.programs.program import (
    Earlier,
    Except,
    Extreme,
    Hidden,
    InRegion,
    Selector,
    Shared,
    WhereSame,
)


def add_predicates(rule: Rules) -> None:
    rule("twonp", "[(the|both|both of the|those|any|these)] [two] <descs>", two)
    rule("twonp", "(them|these|those|both of them|the two)", two(Earlier()))
    rule("twonp", "the <measure> (two|2|pair of) <descs>", lambda by, of: two(Extreme(of=of, by=by)))
    one_each = lambda a, b, noun: (the(narrow(noun, a)), the(narrow(noun, b)))  # noqa: E731
    rule("twonp", "the <any> and [the] <any> (<noun1>|<nouns>)", one_each, -0.1)
    for region, pattern in REGIONS.items():
        region_of = InRegion(of=ALL, region=region)  # type: ignore[arg-type]
        rule(
            "place",
            f"JUST (on|in|at|to|toward) (the|) {pattern} [hand] [(corner|side|half|part|section|area|edge|"
            "portion|third|row|ground|end)] [(of|in|on) THEPICTURE]",
            region_of,
        )
        if region != "middle":
            rule("place", f"(on|in|at) the (far|very|extreme) {pattern} [hand] [side] [of THEPICTURE]", region_of, 0.2)
            edge = InRegion(of=ALL, region=f"{region} middle")  # type: ignore[arg-type]
            halves = f"({pattern} center|center {pattern}|middle {pattern}|{pattern} middle)"
            rule("place", f"JUST (on|in|at) [the] {halves} [(side|area|part)] [(of|in) THEPICTURE]", edge)
    for region, pattern in CORNERS.items():
        region_of = InRegion(of=ALL, region=region)  # type: ignore[arg-type]
        rule(
            "place",
            f"JUST (on|in|at|to) (the|) {pattern} [hand] [(corner|side|area|part|quarter)] [of THEPICTURE]",
            region_of,
        )
    rule("same", "[of] [(the|)] (same|identical|equal|matching) <field> [(as|to|with|like)] [that of] <np>", same)
    rule(
        "same",
        "[of] [(a|the)] (same|identical|matching) <field> (as|to|with) [(a few|some|several|any) of the] OTHERS",
        lambda field: Shared(of=ALL, field=field),
    )
    rule(
        "same",
        "(share|shares|sharing) (a|the|its|their) [same] <field> (with|as) OTHERS",
        lambda field: Shared(of=ALL, field=field),
    )
    rule("same", "(the|) (same|identical) <field> and <field> (as|to) <np>", _same_twice)
    rule("same", "(with|of|in) the <field> of <np>", same, 0.3)
    rule("same", "(share|shares|sharing|have|has|having) the <field> of <np>", same, 0.3)
    twice = "[both] [the] [same] <field> (and|as well as) [the] [same] <field>"
    rule("same", f"[(share|shares|sharing)] {twice} (with|as) <np>", _same_twice)
    rule("same", "(match|matches|matching) [the] <field> [of] <np>", same)
    rule("same", "(match|matches|matching|shares with) <np> in <field>", lambda like, field: same(field, like))
    rule("same", "(share|shares|sharing) (a|the|its|their|an) [(same|identical)] <field> (with|as|of) <np>", same)
    rule("same", "(share|shares|sharing) <np> 's <field>", lambda like, field: same(field, like))
    rule("same", "(share|shares|sharing) its <field>", lambda field: same(field, Earlier()))
    rule(
        "same",
        "[made] [out] [of] (a|) different <field> (than|from|to|as|then) <np>",
        lambda field, like: Except(of=without(ALL, like), without=same(field, like)),
    )
    rule(
        "selfsame",
        "(of|) [all] [(exactly|)] (the|a|) (same|identical|matching|common|"
        "one) <field> [[as] each other] [(as|to|with) (each|one another|another)]",
        lambda field: Shared(of=ALL, field=field),
    )
    rule("selfsame", "(a|one|any|a common) <field> [in common]", lambda field: Shared(of=ALL, field=field), 0.3)
    rule(
        "selfsame",
        "[made] [out] (of|from) (the|) (same|identical) <field>",
        lambda field: Shared(of=ALL, field=field),
    )
    rule(
        "selfsame",
        "[of] [both] [the] (same|identical) <field> [,] (and|&) [the] [same] <field>",
        lambda a, b: Shared(of=Shared(of=ALL, field=a), field=b),
    )
    rule(
        "same",
        "(another|some other|a second) <othernoun> [(THAT (is|has)|of|with|in)] the same <field>",
        lambda _, field: Shared(of=ALL, field=field),
    )
    rule("othernoun", "<noun1>", 0)
    rule("selfsame", "matching (<field>|<fields>)", lambda field: Shared(of=ALL, field=field))
    rule("selfsame", "(alike|identical|matching|the same|equal) in <field>", lambda field: Shared(of=ALL, field=field))
    # what follows "has"
    kinds = "(finish|texture|surface|color|coating|sheen|shape|size|material|look)"
    rule("owned", f"[(a|an|the|some)] <any> {kinds}", telling)
    rule("owned", "[(a|an|the|some)] <field> [(of|being|called|named)] <any>", lambda _, word: telling(word))
    rule("post1", "(THAT (has|have)|having|with|of|in) <owned>", None, 0.1)
    rule("post1", "(THAT is|THAT are) of <owned>")
    rule("post1", "whose <field> (is|are) <any>", lambda _, word: telling(word))
    rule("post1", "whose <field> (is|are) not <any>", lambda _, word: negated(word) if telling(word) else None)
    rule("post1", "(THAT (do|does) not have|without|not having) <owned>", negated, 0.1)
    # what follows "is"
    rule("pred", "<rels>")
    rule("pred", "STAND JUST <rels>", None)
    rule("pred", "[STAND] <place>")
    rule("pred", "<pre>", telling)
    rule("pred", "[the] <suppost>")
    rule("pred", "the <sup> [one]")
    rule("pred", "<same>")
    rule(
        "pred",
        "[(made|made up|built|composed|constructed)] [out] (of|from) [(a|the)] <mat> [(material|paint|finish|texture)]",
        None,
    )
    rule("pred", "(in|with) [(a|an)] <any> [(finish|texture|surface|color|coating|sheen|shape)]", telling)
    rule("pred", "[(made|made up|built)] [out] (of|from) the same <field> as <np>", same)
    rule("pred", "(a|an) <desc1>")
    rule("pred", "the <desc1>", None, 0.4)
    rule("pred", "<descs>")
    rule("pred", "<compared>")
    rule("pred1", "<compared>")
    rule("pred", "<selfsame>", None, 0.4)
    rule("pred", "not <pred>", negated)
    rule("pred", "(other than|besides|except) <np>", negated)
    # after "and" and "or" no "the cube" is what they are: "left of the ball or the cube"
    for symbol in ("pred", "joined"):
        rule(symbol, "[both] <pred1> and [also] <joined>", joined)
        rule(symbol, "[either] <pred1> or <joined> [[,] or both]", either, 0.4)
    rule("joined", "<pred1>")
    rule("joined", "not <joined>", negated)
    rule("joined", "(in|with) [(a|an)] <any> [(finish|texture|surface|color|coating|sheen|shape)]", telling)
    rule("joined", "[(made|made up|built|composed)] [out] (of|from) [(a|the)] <mat> [(material|paint|finish|texture)]")
    rule("pred", "[either] <descs> or <descs>", either)
    rule("pred", "[either] <rels> or <rels>", either)
    rule("pred", "<pred1> [,] but [(is|are)] not <pred1>", lambda a, b: narrow(a, negated(b)))
    rule("pred", "(neither) <pred1> nor <pred>", lambda a, b: negated(either(a, b)))
    rule("pred", "not <pred1> (or|nor) <pred1>", lambda a, b: negated(either(a, b)))
    rule(
        "pred",
        "[being] [(partially|partly|half|)] (hidden|hiding|covered|obscured|blocked|obstructed) (behind|by|"
        "from view by) [any] OTHERS",
        Hidden(of=ALL),
    )
    rule(
        "pred",
        "[being] (hidden|hiding|covered|obscured|blocked|obstructed) (behind|by|from view by) <np>",
        lambda to: Hidden(of=related("behind", to)),
    )
    rule(
        "pred",
        "(partially|partly|half) (hidden|covered|obscured|blocked) (behind|by) <np>",
        lambda to: Hidden(of=related("behind", to)),
    )
    rule("pred1", "<rels>")
    rule("pred1", "STAND <rels>")
    rule("pred1", "<pre>", telling)
    rule("pred1", "<same>")
    rule("pred1", "(made|built|composed) [out] (of|from) <mat>")
    rule("pred1", "<place>")
    rule("pred1", "<descs>")
    rule("pred1", "(a|an) <desc1>")
    rule("pred1", "not <any>", lambda word: negated(word) if telling(word) else None)
    rule("mat", "(<adj>|<sup>)")
    # pictures named, which say nothing
    rule(
        "seen",
        "[(that is|that are|which are)] (in|on|of|within|from|inside) THEPICTURE [(shown|here|above|below|of THINGS)]",
        ALL,
    )
    kinds = "(sizes|colors|shapes|materials|kinds|types|size|color|shape|material|kind|type)"
    rule("seen", f"(of|in) (all|any|every) {kinds} [[,] [and] {kinds}] [[,] [and] {kinds}]", ALL)
    rule("seen", "in (this|there|here)", ALL, 0.3)
    rule("seen", "at all [(here|there|in THEPICTURE)]", ALL)
    rule(
        "seen",
        "[(that is|that are|that you|which are)] (shown|pictured|present|displayed|here|you see|seen|"
        "visible|anywhere|somewhere|depicted|there|represented|total|around|overall|altogether|in total|"
        "in sight|on display|"
        "in view|in all|there are|you can see|shown here|being shown|appearing)",
        ALL,
    )
    rule("seen", "(that|which) you (can see|see)", ALL)


def telling(words: Selector) -> Selector | None:
    """None for words that tell nothing of an object where they stand alone: "they are different"."""
    return None if words == ALL else words


def same(field: str, like: Selector) -> Selector:
    """ "Of the same color as a cube" is so of any of them."""
    if isinstance(like, Indefinite):
        return WhereSame(of=ALL, field=field, like=like.of, some=True)
    return WhereSame(of=ALL, field=field, like=like)


def _same_twice(first: str, second: str, like: Selector) -> Selector | None:
    if isinstance(like, Indefinite):
        return None  # of one object both words
    return WhereSame(of=same(first, like), field=second, like=like)

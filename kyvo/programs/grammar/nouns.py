"""Rules of noun phrases: descriptions of objects, and what they refer to.

Symbols: `adj` one adjective, `pre` all words before a noun, `post` what follows it, `pred` what "is" may be followed
by, `desc1` and `descs` a description in the singular and the plural, `np` a description with its article.
"""

from typing import Any

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.lexicon import KINDS
from kyvo.programs.grammar.meaning import ALL, ONE, either, joined, narrow, negated, parts, the, without
from kyvo.programs.program import (
    Along,
    Between,
    Bigness,
    Both,
    Centrality,
    Closeness,
    Earlier,
    Either,
    Except,
    Extreme,
    Farness,
    Hidden,
    InRegion,
    Measure,
    Related,
    Selector,
    Shared,
    Smallness,
    The,
    Where,
    WhereSame,
)

MACROS = {
    "THEPICTURE": "(the|this|that|our|your|a) PICTURE",
    "PICTURE": "(picture|image|photo|photograph|scene|view|frame|pic|drawing|group|grouping|display|table|"
    "workspace|board|room|world|floor|ground|screen|area|space|shot|illustration|set)",
    "STANDS": "(stands|stand|sits|sit|lies|lie|rests|rest|lays|lay|appear|appears)",
    "OTHERS": "([the] other THINGS|another|others|one of the others|something|something else|another (object|one|shape|thing|item)|other THINGS|some other (object|thing))",
    "CAMERA": "(camera|viewer|front|foreground|observer|lens|bottom of THEPICTURE|edge of the table)",
    "ISARE": "(is|are|was|were|be)",
    "THAT": "(that|which|who)",
    "STAND": "(located|placed|standing|sitting|positioned|situated|found|lying|resting|set|hiding|laying|stood|sat|seated|stacked)",
    "JUST": "[(directly|right|just|immediately|exactly|also|both|somewhere|slightly|far|close|all|still|currently|only|sort of)]",
    "FARTHEST": "(farthest|furthest|farthest away|furthest away|far most|most far|farther|further|most distant)",
    "CLOSEST": "(closest|nearest|most close|nearest in distance)",
    "VERY": "[(very|far|extreme|most)]",
    "THINGS": "(things|objects|items|shapes|ones|pieces|solids|figures|others|elements|bodies)",
    "ALLOTHERS": "(all [of] [the] [other] THINGS|all others|all the others|everything else|everything|every other (object|thing|item|shape|one)"
    "|the (other|remaining) THINGS|the others|the rest|all the rest|any other (object|thing|shape|item)|all of the others)",
}

DIRECTIONS = {
    "left": "left",
    "right": "right",
    "front": "front",
    "behind": "(back|rear|behind)",
    "above": "top",
    "below": "bottom",
}
REGIONS = {
    "left": "(left|left hand)",
    "right": "(right|right hand)",
    "front": "(front|foreground|near side)",
    "back": "(back|rear|background|far end|far side)",
    "middle": "(middle|center|mid|very center)",
}
CORNERS = {
    f"{depth} {side}": f"({words} [and] [the] ({side}|{side}most)|({side}|{side}most) [and] [the] {words})"
    for depth, words in (
        ("front", "(front|near|lower|bottom|frontmost|foremost)"),
        ("back", "(back|rear|upper|top|rearmost)"),
    )
    for side in ("left", "right")
}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
ORDINALS = {"second": 2, "third": 3, "fourth": 4, "fifth": 5, "next": 2, "2nd": 2, "3rd": 3}


TOWER = Extreme(of=Related(of=ALL, relation="above", to=ALL, some=True), by=Along(direction="above"))  # its top


def add_nouns(rule: Rules) -> None:
    """All rules of noun phrases."""
    _add_numbers(rule)
    _add_adjectives(rule)
    _add_superlatives(rule)
    _add_relations(rule)
    _add_predicates(rule)
    _add_descriptions(rule)
    _add_phrases(rule)


def _add_numbers(rule: Rules) -> None:
    for value, name in enumerate(NUMBERS):
        rule("int", name, value)
    rule("int", "#", lambda value: int(value) if value == int(value) else None)
    rule("many", "<int>", lambda value: value if value >= 2 else None)
    rule("many", "(a couple [of]|a pair of)", 2)


def _add_adjectives(rule: Rules) -> None:
    rule(
        "noun1",
        "(thing|object|item|shape|piece|solid|figure|element|body|objects shape|geometric (figure|shape|object|solid)|entity|geometric|form)",
        ALL,
    )
    rule(
        "nouns",
        "(things|objects|items|shapes|pieces|solids|figures|elements|bodies|geometric (figures|shapes|objects|solids)|entities|images|forms)",
        ALL,
    )
    rule("noun1", "one", ONE)
    rule("nouns", "ones", ONE)
    rule("noun1", "<kind1> [(thing|object|item|shape|one|piece|figure)]")
    rule("nouns", "<kinds>")
    rule("nouns", "<kind1> (things|objects|items|shapes|ones|pieces)")
    rule("any", "(<adj>|<shaped>|<sup>)")
    rule(
        "any",
        "(partially|partly|half|mostly|nearly|somewhat|) (hidden|covered|obscured|occluded|blocked|obstructed)",
        Hidden(of=ALL),
    )
    rule("any", "(fully|completely|totally|entirely|wholly|) visible", negated(Hidden(of=ALL)), 0.5)
    rule(
        "any",
        "(same|single|only|different|various|actual|particular|exact|visible|shown|existing|solid|other|separate|individual|lone|sole|colored)",
        ALL,
        0.8,
    )
    rule("any", "(other|another)", without(ALL, Earlier()), 0.3)
    rule("any", "(not|non) <any>", negated)
    # "red and shiny", "large, red", "red or green"
    rule("pre", "<any>")
    rule("pre", "<any> [,] <pre>", narrow)
    rule("pre", "<any> [,] and <pre>", joined, 0.1)
    rule("pre", "[either] <any> [,] or <pre>", either, 0.1)
    rule("pre", "<any> , <any> [,] and <any>", lambda a, b, c: joined(joined(a, b), c))
    rule("pre", "<any> , <any> [,] or <any>", lambda a, b, c: either(either(a, b), c))
    rule("pre", "<size> (sized|size|in size)", None)
    rule("size", "(<adj>|<sup>)")


def _nearest(to: Selector, rank: int = 1) -> Selector:
    return Extreme(of=without(ALL, to), by=Closeness(to=to), rank=rank)


def _extreme(by: Measure, rank: int = 1) -> Selector:
    return Extreme(of=ALL, by=by, rank=rank)


def _add_superlatives(rule: Rules) -> None:
    words = {
        "left": "(leftmost|left most|far left|farthest left|furthest left|most left|leftest)",
        "right": "(rightmost|right most|far right|farthest right|furthest right|most right|rightest)",
        "front": "(frontmost|foremost|front most|closest|nearest|formost|most front)",
        "behind": "(rearmost|backmost|rear most|back most|farthest back|furthest back|farthest|furthest|hindmost|most distant)",
        "above": "(highest|topmost|uppermost|top)",
        "below": "(lowest|bottommost|lowermost|bottom)",
    }
    for name, pattern in words.items():
        by = Along(direction=name)  # type: ignore[arg-type]
        rule("measure", pattern, by)
        rule("sup", {"front": "front", "behind": "(back|rear)"}.get(name, name), _extreme(by), 0.2)
        if name not in ("above", "below"):
            rule("sidename", f"{REGIONS['back' if name == 'behind' else name]}", by)
            side = REGIONS["back" if name == "behind" else name]
            rule("measurepost", f"FARTHEST [away] [(to|at|toward|on|in)] [the] {side} [side] [of THEPICTURE]", by)
            rule(
                "measurepost",
                f"(on|to|at|in|toward) the (far|very|extreme|farthest|furthest|most) {side} [(side|edge)] [of THEPICTURE]",
                by,
            )
            rule("measurepost", f"[the] CLOSEST to the {side} [(side|edge)] [of THEPICTURE]", by)
            rule("measurepost", f"(most|way|all the way) (to|in|on|at) the {side}", by)
            rule("measurepost", f"(on|to|at|in) the {pattern} (side|edge|part|end)", by)
            rule(
                "suppost",
                f"FARTHEST [to] [the] {side} [side] of <np>",
                lambda to, by=by, name=name: Extreme(of=_related(name, to), by=by),
            )
            rule(
                "count_from",
                f"<nth> [(one|object|thing)] from [the] {side} [(side|edge)]",
                lambda rank, by=by: _extreme(by, rank),
            )
    rule("measure", "(largest|biggest|hugest|tallest|greatest|widest|bulkiest)", Bigness())
    rule("measure", "(smallest|tiniest|littlest|shortest|smallestt|minutest)", Smallness())
    rule("measure", "(central|middle|most central|center|centermost|middlemost|middle most)", Centrality())
    rule("measurepost", "CLOSEST to the (middle|center) [of (THEPICTURE|everything|all|it all)]", Centrality())
    for corner, pattern in CORNERS.items():
        rule("sup", f"{pattern} [(corner|side)]", _extreme(Along(direction=corner)))  # type: ignore[arg-type]
    rule("measurepost", "[JUST] (CLOSEST|closest in proximity) to (the|) (CAMERA|me|us|you)", Along(direction="front"))
    rule("measurepost", "[JUST] FARTHEST [away] from (the|) (CAMERA|me|us|you)", Along(direction="behind"))
    rule("measurepost", "(at|in|toward) the very (front|forefront)", Along(direction="front"))
    rule("suppost", "[JUST] CLOSEST to <np>", _nearest)
    rule("suppost", "<nth> CLOSEST to <np>", lambda rank, to: _nearest(to, rank))
    rule("measurepost", "FARTHEST [away] from <np>", lambda to: Farness(to=to))
    rule("measurepost", "FARTHEST [away] from ALLOTHERS", Farness(to=ALL), 0.0)
    for direction, pattern in RELATION_WORDS.items():
        if direction in ("left", "right", "front", "behind", "above", "below"):
            rule("measurepost", f"[JUST] {pattern} ALLOTHERS", Along(direction=direction))  # type: ignore[arg-type]
    for name, rank in ORDINALS.items():
        rule("nth", name, rank)
    rule("nth", "first", 1, 0.2)
    rule("sup", "<measure>", _extreme)
    rule("sup", "<nth> [to the] <measure>", lambda rank, by: _extreme(by, rank))
    rule("suppost", "<measurepost>", _extreme)
    rule("suppost", "<nth> <measurepost>", lambda rank, by: _extreme(by, rank))
    rule("suppost", "<count_from>")


_SIDE = "[(very|far|immediate|direct)] {0} [hand] [side]"
RELATION_WORDS = {
    "left": f"((to|on|at|toward) the {_SIDE.format('left')} of|left of|left from|on the left from)",
    "right": f"((to|on|at|toward) the {_SIDE.format('right')} of|right of|right from|on the right from)",
    "front": "(in front of|infront of|in the front of|ahead of|to the front of|before|in front|forward of|on the front side of|closer to the CAMERA than|nearer than)",
    "behind": "(behind|in back of|in the back of|to the (back|rear) [side] of|at the back of|beyond|back of|to the behind of|in the rear of|farther away than)",
    "above": "(above|on top of|on the top of|atop|over|upon|on)",
    "below": "(below|under|underneath|beneath)",
    "near": "(near|near to|next to|beside|close to|adjacent to|alongside|by|neighboring|nearby|at the side of|in the vicinity of|not far from|by the side of)",
    "touching": "(touching|in contact with|contacting|leaning (on|against)|in touch with|that touch)",
}
_INVERSE = {"left": "right", "right": "left", "front": "behind", "behind": "front", "above": "below", "below": "above"}


def _add_relations(rule: Rules) -> None:
    for name, pattern in RELATION_WORDS.items():
        rule("dirword", pattern, name)
        rule("relword", f"(directly|right|immediately|just) {pattern}", name, 0.4)
        rule(
            "relword",
            f"[(exactly|also|both|somewhere|slightly|far|close|all|still|currently|only|sort of)] {pattern}",
            name,
            0.2 if name in ("near", "above") else 0.0,
        )
        if name in _INVERSE:
            rule("itsside", {"front": "front", "behind": "(back|rear)"}.get(name, name), name)
    # "to the left and in front of it", "left and behind"
    rule("relhead", "JUST [(to|on|in|at)] [the] (left|left side)", "left")
    rule("relhead", "JUST [(to|on|in|at)] [the] (right|right side)", "right")
    rule("relhead", "JUST [in] [the] front", "front")
    rule("relhead", "JUST (behind|[to] [the] (back|rear)|in back)", "behind")
    rule("rels", "<relword> <reference>", _related)
    rule(
        "rels",
        "<relword> (a|an|any|another|some|any of the|one of the|at least one) [other] (<desc1>|<descs>)",
        _related_to_some,
    )
    rule("rels", "<relword> <descs>", _related_to_some)
    rule("rels", "(directly|right|immediately|just) <dirword> <np>", _right_beside)
    rule("rels", "[both] <relhead> (and|,) <relword> <reference>", _related_twice)
    rule("rels", "(to|on) <reference> 's [immediate] <itsside> [hand] [side]", lambda to, name: _related(name, to))
    rule("rels", "(to|on) (its|their|his) [immediate] <itsside> [hand] [side]", lambda name: _related(name, Earlier()))
    rule(
        "rels",
        "[STAND] JUST (between|in between|inbetween|in the middle of|sandwiched between|surrounded by|flanked by) <np> and <np>",
        _between,
    )
    rule("rels", "[STAND] JUST (between|in between|in the middle of|sandwiched between) <twonp>", _between_two)
    rule("reference", "<np>")
    # "with a cube behind it"
    rule(
        "rels",
        "(with|that (has|have|had)|having) <np> JUST <inverse> (it|them)",
        lambda to, name: _related(_INVERSE[name], to),
    )
    for name in _INVERSE:
        rule("inverse", RELATION_WORDS[name], name)


def _related(name: Any, to: Selector) -> Selector:
    return Related(of=ALL, relation=name, to=to)


def _related_to_some(name: Any, to: Selector) -> Selector:
    return Related(of=ALL, relation=name, to=to, some=True)


def _right_beside(name: Any, to: Selector) -> Selector | None:
    """ "Directly behind it" is the nearest of those behind it."""
    near = name in ("near", "touching", "above", "below")
    return _related(name, to) if near else Extreme(of=_related(name, to), by=Closeness(to=to))


def _related_twice(first: Any, second: Any, to: Selector) -> Selector | None:
    return None if first == second else Related(of=_related(first, to), relation=second, to=to)


def _between(first: Selector, second: Selector) -> Selector:
    return Between(of=ALL, first=first, second=second)


def _between_two(pair: tuple[Selector, Selector]) -> Selector:
    return _between(*pair)


def _two(description: Selector) -> tuple[Selector, Selector]:
    """Two objects of one description, told apart by their order from the left."""
    both = The(of=description, count=2)
    return tuple(Extreme(of=both, by=Along(direction=way)) for way in ("left", "right"))  # type: ignore[return-value]


def _add_predicates(rule: Rules) -> None:
    rule("twonp", "[(the|both|both of the|those|any|these)] [two] <descs>", _two)
    for region, pattern in REGIONS.items():
        region_of = InRegion(of=ALL, region=region)  # type: ignore[arg-type]
        rule(
            "place",
            f"JUST (on|in|at|to|toward) (the|) {pattern} [hand] [(corner|side|half|part|section|area|edge|portion|third|row|ground)] [(of|in|on) THEPICTURE]",
            region_of,
        )
    for region, pattern in CORNERS.items():
        region_of = InRegion(of=ALL, region=region)  # type: ignore[arg-type]
        rule(
            "place",
            f"JUST (on|in|at|to) (the|) {pattern} [hand] [(corner|side|area|part|quarter)] [of THEPICTURE]",
            region_of,
        )
    rule("same", "[of] [(the|)] (same|identical|equal|matching) <field> [(as|to|with|like)] [that of] <np>", _same)
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
    rule("same", "(with|of|in) the <field> of <np>", _same, 0.3)
    rule("same", "(match|matches|matching) [the] <field> [of] <np>", _same)
    rule("same", "(match|matches|matching|shares with) <np> in <field>", lambda like, field: _same(field, like))
    rule("same", "(share|shares|sharing) (a|the|its|their|an) [(same|identical)] <field> (with|as|of) <np>", _same)
    rule("same", "(share|shares|sharing) <np> 's <field>", lambda like, field: _same(field, like))
    rule("same", "(share|shares|sharing) its <field>", lambda field: _same(field, Earlier()))
    rule(
        "same",
        "(a|) different <field> (than|from|to|as) <np>",
        lambda field, like: Except(of=without(ALL, like), without=_same(field, like)),
    )
    rule(
        "selfsame",
        "(of|) [all] [(exactly|)] (the|a|) (same|identical|matching|common|one) <field> [as] [each other] [(as|to|with) (each|one another|another)]",
        lambda field: Shared(of=ALL, field=field),
    )
    rule("selfsame", "(a|one|any|a common) <field> [in common]", lambda field: Shared(of=ALL, field=field), 0.3)
    rule("selfsame", "(alike|identical|matching) in <field>", lambda field: Shared(of=ALL, field=field))
    # what follows "is"
    rule("pred", "<rels>")
    rule("pred", "STAND JUST <rels>", None)
    rule("pred", "[STAND] <place>")
    rule("pred", "<pre>")
    rule("pred", "[the] <suppost>")
    rule("pred", "the <sup> [one]")
    rule("pred", "<same>")
    rule(
        "pred",
        "[(made|made up|built|composed|constructed)] [out] of [(a|the)] <mat> [(material|paint|finish|texture)]",
        None,
    )
    rule("pred", "(in|with) [(a|an)] <any> [(finish|texture|surface|color|coating|sheen|shape)]", None)
    rule("pred", "[(made|made up|built)] [out] of the same <field> as <np>", _same)
    rule("pred", "(a|an|the) <desc1>")
    rule("pred", "<descs>")
    rule("pred", "not <pred>", negated)
    rule("pred", "(other than|besides|except) <np>", negated)
    rule("pred", "[both] <pred1> and [also] <pred>", joined)
    rule("pred", "[either] <pred1> or <pred>", either, 0.4)
    rule("pred", "[either] <descs> or <descs>", either)
    rule("pred", "[either] <rels> or <rels>", either)
    rule("pred", "<pred1> [,] but [(is|are)] not <pred1>", lambda a, b: narrow(a, negated(b)))
    rule("pred", "(neither) <pred1> nor <pred>", lambda a, b: negated(either(a, b)))
    rule("pred", "not <pred1> (or|nor) <pred1>", lambda a, b: negated(either(a, b)))
    rule(
        "pred",
        "[being] [(partially|partly|half|)] (hidden|hiding|covered|obscured|blocked|obstructed) (behind|by|from view by) [any] OTHERS",
        Hidden(of=ALL),
    )
    rule(
        "pred",
        "[being] (hidden|hiding|covered|obscured|blocked|obstructed) (behind|by|from view by) <np>",
        lambda to: Hidden(of=_related("behind", to)),
    )
    rule(
        "pred",
        "(partially|partly|half) (hidden|covered|obscured|blocked) (behind|by) <np>",
        lambda to: Hidden(of=_related("behind", to)),
    )
    rule("pred1", "<rels>")
    rule("pred1", "STAND <rels>")
    rule("pred1", "<pre>")
    rule("pred1", "<same>")
    rule("pred1", "<place>")
    rule("pred1", "<descs>")
    rule("pred1", "(a|an) <desc1>")
    rule("pred1", "not <any>", negated)
    rule("mat", "(<adj>|<sup>)")
    # pictures named, which say nothing
    rule(
        "seen",
        "[(that is|that are|which are)] (in|on|of|within|from|inside) THEPICTURE [(shown|here|above|below|of THINGS)]",
        ALL,
    )
    rule("seen", "of (all|any) (sizes|colors|shapes|materials|kinds|types)", ALL)
    rule(
        "seen",
        "[(that is|that are|that you|which are)] (shown|pictured|present|displayed|here|you see|seen|visible|depicted|there|represented|total|around|overall|altogether|in total|in sight|on display|in view|in all|there are|you can see|shown here|being shown|appearing)",
        ALL,
    )
    rule("seen", "(that|which) you (can see|see)", ALL)


def _same(field: str, like: Selector) -> Selector:
    return WhereSame(of=ALL, field=field, like=like)


def _same_twice(first: str, second: str, like: Selector) -> Selector:
    return WhereSame(of=_same(first, like), field=second, like=like)


def _add_descriptions(rule: Rules) -> None:
    # what follows a noun
    rule("post1", "<rels>")
    rule("post1", "JUST STAND [JUST] <rels>", None)
    rule("post1", "[JUST] [STAND] <place>", None, 0.3)
    rule("post1", "[(that is|which is|that are|STAND)] [the] <suppost>")
    rule("post1", "<solidlike>")
    rule("pred", "<solidlike>")
    rule("post1", "<same>", None, 0.1)
    rule("post1", "with [(a|an|the)] <same>")
    rule("post1", "<seen>")
    rule("post1", "[,] THAT (is|are|was|were|looks|look|appears to be|seems) JUST <pred>")
    rule("post1", "[,] THAT STANDS JUST (<rels>|<place>)")
    rule("post1", "THAT (is|are) [all] <selfsame>")
    rule("post1", "(THAT (have|share|has|shares)|having|sharing|with|of) <selfsame>")
    rule("post1", "THAT (has|have|had) [(a|an|the)] <same>")
    rule("post1", "THAT (do|does|did) not (have|share|match) [(a|an|the)] <same>", negated)
    rule("post1", "THAT <same>")
    rule("post1", "THAT (touch|touches) <np>", lambda to: _related("touching", to))
    rule("post1", "(made|built|composed) [out] of [(a|the)] <mat> [(material)]")
    rule("post1", "made [out] of [the] same <field> (as|of|like) <np>", _same)
    rule("post1", "(in|with) [(a|an)] <any> [(finish|texture|surface|color|coating|shape|size)]")
    rule(
        "post1",
        "(other than|besides|except [for]|excluding|not including|but not|apart from|aside from|without) <np>",
        negated,
    )
    rule(
        "post1",
        "[being] [(partially|partly|half|)] (hidden|hiding|covered|obscured|blocked|obstructed) (behind|by|from view by) [any] OTHERS",
        Hidden(of=ALL),
    )
    rule(
        "post1",
        "[being] (hidden|hiding|covered|obscured|blocked|obstructed) (behind|by|from view by) <np>",
        lambda to: Hidden(of=_related("behind", to)),
    )
    rule("post1", "not <rels>", negated)
    rule("post1", "<pre>", None, 1.2)
    rule("post", "<post1>")
    rule("post", "<post1> [,] but [(is|are)] not [(a|an)] <pred1>", lambda a, b: narrow(a, negated(b)))
    rule("post", "<post1> [,] <post>", narrow, 0.5)
    rule("post", "<post1> [,] and [(also|that is|that are|is|are)] <post>", narrow, 0.1)
    for one, noun in (("desc1", "noun1"), ("descs", "nouns")):
        rule(one, f"<{noun}>")
        rule(one, f"<pre> <{noun}>", lambda pre, noun: narrow(noun, pre))
        rule(one, f"<{noun}> <post>", narrow)
        rule(one, f"<pre> <{noun}> <post>", lambda pre, noun, post: narrow(noun, pre, post))
    rule("desc1", "CLOSEST <desc1> (to|from) <np>", lambda of, to: narrow(of, _nearest(to)), 0.1)
    rule("desc1", "FARTHEST <desc1> from <np>", lambda of, to: narrow(of, Extreme(of=ALL, by=Farness(to=to))), 0.1)
    rule(
        "desc1",
        "<nth> <desc1> from [the] <sidename> [(side|edge)]",
        lambda rank, of, by: narrow(of, _extreme(by, rank)),
    )
    rule("noun1", "[(block|cube|object)] (tower|stack|pile|column of blocks)", TOWER)
    rule(
        "desc1",
        "<sup> [(one|block|object|thing)] (of|among|out of|from) [all] [of] (the|these|those) <descs>",
        lambda sup, of: narrow(of, sup),
    )
    rule("desc1", "<sup>", None, 0.5)
    rule("desc1", "<pre>", None, 1.5)
    rule("desc1", "<pre> <post>", narrow, 2.5)
    rule("desc", "<desc1>")
    rule("desc", "<descs>")


def _add_phrases(rule: Rules) -> None:
    """What descriptions refer to, by their articles."""
    rule("def1", "(the|this|that|your|my) <desc1>", the)
    rule("def1", "(these|those|the) <descs>")
    rule("def1", "the (one|only|single|sole|lone) <desc1>", the, 0.1)
    rule("def1", "the <many> <descs>", lambda count, of: the(of, count))
    rule("def1", "<many> <descs>", lambda count, of: the(of, count), 0.6)
    rule("def1", "(both|both of) [(the|these|those)] <descs>", lambda of: the(of, 2))
    rule("def1", "(all|each|every one|any|each one) [of] [(the|these|those)] <descs>", None, 0.3)
    rule("def1", "all [of] [(the|these|those)] <many> <descs>", lambda count, of: the(of, count))
    rule("def1", "(every|each|each and every) <desc1>")
    rule("def1", "the other <desc1>", lambda of: the(without(of, Earlier())))
    rule("np1", "<def1>")
    rule("np1", "(a|an|any|another|some|a single) <desc1>", None, 0.2)
    rule("defs", "<def1>")
    rule("defs", "<def1> (and|, and|as well as|plus|,) <defs>", _and, 0.3)
    rule("defs", "(both|) <def1> and <def1>", _and, 0.25)
    rule("def1", "<desc1>", the, 1.0)
    rule("def1", "<descs>", None, 0.6)
    rule("def1", "(everything|all|all of it|it all)", ALL)
    rule(
        "def1",
        "(everything else|all [the] others|the others|the rest [of (the <anyofs>|them)]|all the rest|the remaining ones)",
        without(ALL, Earlier()),
    )
    rule("anyofs", "<descs>")
    rule("def1", "(everything|all) [THAT (is|are)] <pred>", None, 0.2)
    rule(
        "def1",
        "(everything|anything) (but|except|except for|apart from|other than|besides|excluding|without) <np1>",
        lambda other: without(ALL, other),
    )
    rule("def1", "(all|every) (but|except|except for) <np1>", lambda other: without(ALL, other))
    rule("def1", "all [of] [the] <descs> (but|except|except for|apart from|besides|excluding|without) <np1>", without)
    rule("def1", "(every|each) <desc1> (but|except|except for|apart from|besides|excluding) <np1>", without)
    rule(
        "def1",
        "(it|this|that|this one|that one|that (object|thing|item)|this (object|thing|item)|the same (one|object|thing)|itself)",
        Earlier(),
        0.1,
    )
    rule(
        "def1",
        "(them|they|these|those|both of them|all of them|them all|they all|all of it|these ones|those ones|both)",
        Earlier(),
        0.1,
    )
    rule("def1", "the <pre> and the <desc1>", _both_of, 0.1)
    rule("np", "<np1>")
    rule("np", "<np1> (and|, and|as well as|plus|,) <np>", _and, 0.3)
    rule("np", "(both|) <np1> and <np1>", _and, 0.25)


def _and(first: Selector, second: Selector) -> Selector:
    return Either(first=first, second=second)


def _both_of(first: Selector, second: Selector) -> Selector:
    """ "the red and the blue cube": the noun of the second is the first's too."""
    kind = next((node for node in parts(second) if isinstance(node, Where) and node.field in KINDS), None)
    noun = ALL if kind is None else Where(of=ALL, field=kind.field, value=kind.value)
    return Either(first=the(narrow(noun, first)), second=the(second))

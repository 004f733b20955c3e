"""Rules of noun phrases: descriptions of objects, and what they refer to.

Symbols: `adj` one adjective, `pre` all words before a noun, `post` what follows it, `desc1` and `descs` a description
in the singular and the plural, `def1` one with a definite article, `np1` with any, `np` several joined by "and".
"""

from functools import partial

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.lexicon import kind_of
from kyvo.programs.grammar.meaning import (
    ALL,
    NO_NOUN,
    ONE,
    Indefinite,
    Pointed,
    all_but,
    either,
    joined,
    narrow,
    negated,
    parts,
    settle_region,
    the,
    without,
)
from kyvo.programs.grammar.predicates import add_predicates, same, telling
from kyvo.programs.grammar.relations import add_relations, related
from kyvo.programs.grammar.superlatives import add_superlatives, extreme, nearest
from kyvo.programs.program import (
    Along,
    Bigness,
    Earlier,
    Either,
    Extreme,
    Farness,
    Hidden,
    InRegion,
    Measure,
    Related,
    Selector,
    Smallness,
    Where,
)

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

TOWER = Extreme(of=Related(of=ALL, relation="above", to=ALL, some=True), by=Along(direction="above"))  # its top


def add_nouns(rule: Rules) -> None:
    """All rules of noun phrases."""
    _add_numbers(rule)
    _add_adjectives(rule)
    add_superlatives(rule)
    add_relations(rule)
    add_predicates(rule)
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
        "(thing|thingy|object|item|shape|piece|solid|obstacle|primitive|asset|component|"
        "figure|element|body|part|objects shape|geometric (figure|shape|object|solid)|entity|geometric|form)",
        ALL,
    )
    rule(
        "nouns",
        "(things|thingies|objects|items|shapes|pieces|solids|obstacles|primitives|assets|components|"
        "figures|elements|bodies|parts|geometric (figures|shapes|objects|solids)|entities|images|forms|stuff|bits|"
        "guys)",
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
        "(same|single|different|various|actual|particular|exact|visible|shown|existing|solid|"
        "separate|individual|lone|sole|colored)",
        ALL,
        0.8,
    )
    rule("any", "(other|another)", without(ALL, Earlier()), 0.3)
    rule("any", "(not|non) <any>", negated)
    rule("any", "<sup> (placed|positioned|located)")
    # "red and shiny", "large, red", "red or green"
    rule("pre", "<any>")
    rule("pre", "<any> [,] <pre>", narrow)
    rule("pre", "<any> [,] and <pre>", joined, 0.1)
    rule("pre", "[either] <any> [,] or <pre>", either, 0.1)
    rule("pre", "<any> , <any> [,] and <any>", _three_joined)
    rule("pre", "<any> , <any> [,] or <any>", lambda a, b, c: either(either(a, b), c))
    rule("pre", "<size> (sized|size|in size)", None)
    rule("size", "(<adj>|<sup>)")


def _add_descriptions(rule: Rules) -> None:
    # what follows a noun
    rule("post1", "<rels>")
    rule("post1", "JUST STAND [JUST] <rels>", None)
    rule("post1", "[JUST] [STAND] <place>", None, 0.2)
    rule("post1", "[(that is|which is|that are|STAND)] [the] <suppost>")
    rule("post1", "<solidlike>")
    rule("pred", "<solidlike>")
    rule("post1", "<same>", None, 0.1)
    rule("post1", "with [(a|an|the)] <same>")
    rule("post1", "<seen>")
    rule("post1", "[,] THAT (looks|look|appears to be|seems) JUST <pred>")
    rule("post1", "[,] THAT STANDS JUST (<rels>|<place>|<suppost>)")
    rule("post1", "THAT (is|are) [all] <selfsame>")
    rule("post1", "(THAT (have|share|has|shares)|having|sharing|with|of) <selfsame>")
    rule("post1", "THAT (has|have|had) [(a|an|the)] <same>")
    rule("post1", "THAT (do|does|did) not (have|share|match) [(a|an|the)] <same>", negated)
    rule("post1", "THAT <same>")
    rule("post1", "THAT (touch|touches) <np>", lambda to: related("touching", to))
    rule("post1", "(made|built|composed) [out] (of|from) [(a|the)] <mat> [(material)]")
    rule("post1", "(of|out of) <mat>", _of_material, 0.2)
    rule("post1", "made [out] of [the] same <field> (as|of|like) <np>", same)
    rule("post1", "(in|with) [(a|an)] <any> [(finish|texture|surface|color|coating|shape|size)]")
    rule(
        "post1",
        "(other than|besides|except [for]|excluding|not including|not counting|leaving out|but not|apart from|"
        "aside from|without) <nps>",
        negated,
    )
    rule(
        "post1",
        "[being] [(partially|partly|half|)] (hidden|hiding|covered|obscured|blocked|obstructed) (behind|by|"
        "from view by) [any] OTHERS",
        Hidden(of=ALL),
    )
    rule(
        "post1",
        "[being] (hidden|hiding|covered|obscured|blocked|obstructed) (behind|by|from view by) <np>",
        lambda to: Hidden(of=related("behind", to)),
    )
    rule("post1", "[THAT (is|are|STANDS)] (closer|nearer) to <np1>", nearest, 0.4)
    rule(
        "post1",
        "[THAT (is|are|STANDS)] (farther|further) [away] from <np1>",
        lambda to: Extreme(of=ALL, by=Farness(to=to)),
        0.4,
    )
    rule("post1", "not <rels>", negated)
    rule("post1", "<compared>")
    rule("post1", "(behind|in [the] (back|rear))", InRegion(of=ALL, region="back"), 0.6)
    rule("post1", "in front", InRegion(of=ALL, region="front"), 0.6)
    rule("post1", "<pre>", telling, 1.2)
    for one, noun, post, be in (("desc1", "noun1", "post", "(is|was)"), ("descs", "nouns", "posts", "(are|were)")):
        # "things right of the cylinder which are red": the things are red, since "are" is of several
        first = f"one_{post}"
        rule(first, "<post1>")
        rule(first, f"[,] THAT {be} JUST <pred>")
        rule(post, f"<{first}>")
        rule(post, f"<{first}> [,] but [(is|are)] not [(a|an)] <pred1>", lambda a, b: narrow(a, negated(b)))
        rule(post, f"<{first}> [,] <{post}>", narrow, 0.5)
        rule(post, f"<{first}> [,] and [(also|that is|that are|is|are)] <{post}>", narrow, 0.1)
        rule(one, f"<{noun}>")
        rule(one, f"<pre> <{noun}>", lambda pre, noun: narrow(noun, pre))
        rule(one, f"<{noun}> <{post}>", narrow)
        rule(one, f"<pre> <{noun}> <{post}>", lambda pre, noun, post: narrow(noun, pre, post))
    for words, by in (
        ("(larger|bigger|taller)", Bigness()),
        ("(smaller|tinier|shorter)", Smallness()),
        ("(closer|nearer)", Along(direction="front")),
        ("(farther|further|more distant)", Along(direction="behind")),
    ):
        rule("desc1", f"{words} [(one|thing|object)] of (the|these|those) [two] <descs>", partial(_extreme_of, by))
        if isinstance(by, Along):
            rule("desc1", f"{words} <desc1>", partial(_extreme_of, by), 0.3)
    rule("desc1", "CLOSEST <desc1> (to|from) <np>", lambda of, to: narrow(of, nearest(to)), 0.1)
    rule("desc1", "CLOSEST <desc1> to [the] CAMERA", lambda of: narrow(of, extreme(Along(direction="front"))), 0.1)
    rule("desc1", "FARTHEST <desc1> from <np>", lambda of, to: narrow(of, Extreme(of=ALL, by=Farness(to=to))), 0.1)
    rule(
        "desc1",
        "<nth> <desc1> from [the] <sidename> [(side|edge)]",
        lambda rank, of, by: narrow(of, extreme(by, rank)),
    )
    rule(
        "desc1",
        "<nth> <desc1> [,] (counting|counted|going|starting) from [the] <sidename> [side] "
        "[to [the] (left|right|front|back)]",
        lambda rank, of, by: narrow(of, extreme(by, rank)),
    )
    rule("def1", "[the] CLOSEST neighbor (of|to) <np>", lambda to: the(nearest(to)))
    rule("def1", "(the|your|my) <desc1> 's CLOSEST neighbor", lambda of: the(nearest(the(of))))
    rule("def1", "(its|their) CLOSEST neighbor", the(nearest(Earlier())))
    rule("def1", "[the] [(direct|immediate)] neighbors of <np>", lambda to: related("near", to))
    rule("noun1", "[(block|cube|object)] (tower|stack|pile)", TOWER)
    rule("noun1", "(tower|stack|pile|column) of (blocks|cubes|objects|things)", TOWER)
    rule("noun1", "(tower|stack|pile|column) of [the] <descs>", lambda of: narrow(TOWER, of), 0.2)
    rule(
        "desc1",
        "<sup> [(one|block|object|thing)] (of|among|out of|from) [all] [of] (the|these|those) <descs>",
        lambda sup, of: narrow(of, sup),
    )
    rule(
        "desc1",
        "<sup> [(one|block|object|thing)] (of|among|out of|from) [all] [of] (the|these|those) <many> <descs>",
        lambda sup, count, of: narrow(the(of, count), sup),
    )
    rule("desc1", "<pre> one (of|among|from|out of) (the|these|those) <descs>", lambda pre, of: narrow(of, pre), 0.1)
    rule("descs", "<pre> ones (of|among|from|out of) (the|these|those) <descs>", lambda pre, of: narrow(of, pre), 0.1)
    rule("desc1", "<sup> [(one|ones)] of (them|these|those)", lambda sup: narrow(Earlier(), sup))
    rule("descs", "of (them|these|those)", Earlier())
    rule("desc1", "<sup>", lambda sup: narrow(ONE, sup), 0.5)
    rule("desc1", "<pre>", lambda pre: None if pre == ALL else narrow(NO_NOUN, pre), 1.5)
    rule("desc1", "<pre> <post>", narrow, 2.5)


def _add_phrases(rule: Rules) -> None:
    """What descriptions refer to, by their articles."""
    rule("def1", "(the|your|my) <desc1>", the)
    rule("def1", "(this|that) <desc1>", lambda of: None if of in (ALL, ONE) else Pointed(of=settle_region(of)))
    rule("def1", "(these|those|the) <descs>")
    rule("def1", "the (one|only|single|sole|lone) <desc1>", the, 0.1)
    rule("def1", "the <many> <descs>", lambda count, of: the(of, count))
    rule("def1", "the <measure> <many> <descs>", lambda by, count, of: the(Extreme(of=of, by=by), count))
    rule(
        "def1",
        "the first <many> <descs> (from|on) the <sidename> [(side|edge)]",
        lambda count, of, by: the(Extreme(of=of, by=by), count),
    )
    rule(
        "def1",
        "the (last|outermost) <many> <descs> (from|on) the <sidename> [(side|edge)]",
        lambda count, of, by: the(Extreme(of=of, by=by), count),
    )
    rule(
        "def1",
        "the last <desc1> (on|from|at) the <sidename> [(side|edge)]",
        lambda of, by: the(Extreme(of=of, by=by)),
        -0.1,
    )
    ranked = lambda a, b, of, by: Either(first=the(narrow(of, extreme(by, a))), second=the(narrow(of, extreme(by, b))))  # noqa: E731
    rule("def1", "the <nth> and [the] <nth> (<desc1>|<descs>) from the <sidename> [(side|edge)]", ranked)
    rule("def1", "<many> <descs>", lambda count, of: the(of, count), 0.6)
    rule("def1", "(both|both of) [(the|these|those)] <descs>", lambda of: the(of, 2))
    rule("def1", "(all|each|every one|each one) [of] [(the|these|those)] <descs>", None, 0.3)
    rule("def1", "all [of] [(the|these|those)] <many> <descs>", lambda count, of: the(of, count))
    rule("def1", "(every|each|each and every) <desc1>")
    rule("def1", "(the|that|this) [(whole|entire)] (row|line|group|bunch|set|collection|cluster) of [the] <descs>")
    rule(
        "def1",
        "(whichever|whatever) [of (the|these|those)] (<desc1>|<descs>) (is|stands|lies|sits) <pred>",
        lambda of, pred: the(narrow(of, pred)),
    )
    rule("def1", "the other <desc1>", lambda of: the(without(of, Earlier())))
    rule("def1", "the other <desc1> [,] [and] not <def1>", lambda of, kept: the(without(of, kept)), -0.1)
    rule("np1", "<def1>")
    rule("np1", "(a|an|any|another|some|a single) <desc1>", lambda of: Indefinite(of=of), 0.2)
    rule(
        "np1",
        "(one|some|at least one) of (the|these|those) [other] <descs>",
        lambda of: Indefinite(of=of, alone=True),
        0.2,
    )
    rule("defs", "<def1>")
    rule("defs", "<def1> (and|, and|and also|as well as|together with|along with|plus|,) <defs>", _and, 0.3)
    rule("defs", "(both|) <def1> and <def1>", _and, 0.25)
    three = "the <any> (,|and) [the] <any> [,] and [the] <any> <noun1>"
    for symbol in ("defs", "np"):
        rule(symbol, three, _three_named, -0.2)
    rule("def1", "<desc1>", the, 1.0)
    rule("def1", "<descs>", None, 0.6)
    rule("def1", "(everything|all|all of it|it all)", ALL)
    rule(
        "def1",
        "(everything else|all [the] others|the others|the rest [of (them|it|THEPICTURE)]|all the rest|"
        "the remaining ones)",
        without(ALL, Earlier()),
    )
    rule("def1", "(all [of]|) the (rest of the|remaining|others of the) <descs>", lambda of: without(of, Earlier()))
    rule("def1", "(everything|all|what|whatever) [that] (is left [over]|remains|is still there|is remaining)", ALL, 0.2)
    new = Earlier(role="added")
    rule("def1", "(the|this|that) (copy|duplicate|clone|new (one|thing|object|item))", new)
    rule("def1", "(the|these|those) (copies|duplicates|clones|new (ones|things|objects|items))", new)
    rule("def1", "the remaining <desc1>", lambda of: the(without(of, Earlier())))
    some = lambda of: Indefinite(of=of)  # noqa: E731
    rule("def1", "(everything|all|whatever|all those|those) [THAT] [(is|are|has|have|STANDS)] <pred>", None, 0.2)
    rule("def1", "(everything|all|whatever) <post>", None, 0.2)
    one = lambda of: Indefinite(of=of, alone=True)  # noqa: E731
    for word, made in (("anything", some), ("something", one)):
        rule("def1", f"{word} [THAT] [(is|are|has|have|STANDS)] <pred>", made, 0.2)
        rule("def1", f"{word} <post>", made, 0.2)
    rule("def1", "(anything|something)", one(ALL), 0.3)
    rule("def1", "any [one] [of (the|these|those)] (<desc1>|<descs>)", some, 0.6)
    rule(
        "def1",
        "(everything|anything) (but|except|except for|apart from|other than|besides|excluding|without) <np1>",
        lambda other: without(ALL, other),
    )
    rule("def1", "(all|every) (but|except|except for) <np1>", lambda other: without(ALL, other))
    # "all but one of the cubes" are cubes; which one is left is asked back
    one_less = "(all|everything) (but|except|except for) (one|a single one|a single) [of [(the|these|those)]]"
    rule("def1", f"{one_less} (<descs>|<desc1>)", lambda of: without(of, the(of)), -0.5)
    but = "(but|except|except for|apart from|besides|excluding|without|other than|aside from|but not|save|save for)"
    rule("def1", f"(all|any) [of] [the] <descs> {but} <np1>", all_but, -0.1)
    rule("def1", f"the <descs> {but} <np1>", all_but, -0.1)
    rule("def1", f"(every|each|any) <desc1> {but} <np1>", all_but, -0.1)
    rule("butnot", "<np1> [,] (and|or|as well as|and also|,) <np1>", _and)
    rule("butnot", "<np1> [,] (and|or|as well as|and also|,) <butnot>", _and)
    rule("def1", f"(all|any|the|all the|all of the) <descs> {but} <butnot>", without, -0.4)
    rule("def1", f"(every|each|any) <desc1> {but} <butnot>", without, -0.4)
    rule("def1", f"(everything|anything|all) {but} <butnot>", lambda kept: without(ALL, kept), -0.4)
    rule(
        "def1",
        "(it|this|that|this one|that one|that (object|thing|item)|this (object|thing|item)|the same (one|"
        "object|thing)|itself)",
        Earlier(),
        0.1,
    )
    rule(
        "def1",
        "(them|they|these|those|both of them|them both|they both|"
        "all of them|them all|they all|all of it|these ones|those ones|both)",
        Earlier(),
        0.1,
    )
    rule("def1", "the <pre> and the <desc1>", _both_of, 0.1)
    rule("def1", "the <pre> <noun1> and <noun1>", _both_kinds, 0.3)
    for article, cost in (("(the|these|those|all the|all of the|both the)", 0.1), ("all", 0.2)):
        rule("def1", f"{article} <pre> <nouns> and <nouns>", lambda pre, a, b: _both_sets(a, b, pre), cost)
        rule("def1", f"{article} <nouns> and <nouns> <posts>", _both_sets, cost)
        both = lambda pre, a, b, post: _both_sets(a, b, pre, post)  # noqa: E731
        rule("def1", f"{article} <pre> <nouns> and <nouns> <posts>", both, cost)
    for each in ("(all|all the|all of the|both the)", "(every|each)", "(the|these|those)"):
        nouns = "<noun1> [<post>]" if each.startswith("(every") else "<nouns> [<posts>]"
        rule("def1", f"[both] {each} <pre> [,] and [also] {each} <pre> {nouns}", _both_words, -0.1)
    rule("def1", "[both] the <sup> and [the] <sup> (<noun1>|<nouns>)", _each_of, 0.1)
    rule("nps", "<np>")
    rule("nps", "<np1> [,] (or|nor) <nps>", _and, 0.2)
    rule("np", "<np1>")
    rule("np", "<np1> (and|, and|as well as|plus|,) <np>", _and, 0.3)
    rule("np", "(both|) <np1> and <np1>", _and, 0.25)


def _of_material(word: Selector) -> Selector | None:
    """ "A ball of rubber" """
    return word if isinstance(word, Where) and word.field == "material" else None


def _extreme_of(by: Measure, of: Selector) -> Selector:
    return narrow(of, extreme(by))


def _and(first: Selector, second: Selector) -> Selector:
    return Either(first=first, second=second)


def _three_named(first: Selector, second: Selector, third: Selector, noun: Selector) -> Selector:
    """ "The red, the blue and the green cube"."""
    named = [the(narrow(noun, words)) for words in (first, second, third)]
    return _and(named[0], _and(named[1], named[2]))


def _three_joined(first: Selector, second: Selector, third: Selector) -> Selector | None:
    both = joined(first, second)
    return None if both is None else joined(both, third)


def _each_of(first: Selector, second: Selector, noun: Selector) -> Selector:
    """ "The leftmost and rightmost cubes": one of each."""
    return Either(first=the(narrow(noun, first)), second=the(narrow(noun, second)))


def _both_kinds(pre: Selector, first: Selector, second: Selector) -> Selector | None:
    """ "The red cube and ball": the ball is red too. A place or a rank is of one noun."""
    if any(isinstance(node, Extreme) for node in parts(pre)) or ALL in (first, second):
        return None
    return Either(first=the(narrow(first, pre)), second=the(narrow(second, pre)))


def _both_sets(first: Selector, second: Selector, *said: Selector) -> Selector | None:
    """ "The red cubes and balls", "the cubes and balls that are red": what is said is said of both."""
    if any(isinstance(node, Extreme) for node in parts(said)) or ALL in (first, second):
        return None
    return Either(first=narrow(first, *said), second=narrow(second, *said))


def _both_words(first: Selector, second: Selector, noun: Selector, *post: Selector) -> Selector | None:
    """ "All the red and all the blue cubes": the noun is of both. A place or a rank is of one object."""
    if any(isinstance(node, Extreme) for word in (first, second) for node in parts(word)):
        return None
    return Either(first=narrow(noun, first, *post), second=narrow(noun, second, *post))


def _both_of(first: Selector, second: Selector) -> Selector:
    """ "the red and the blue cube": the noun of the second is the first's too."""
    return Either(first=the(narrow(kind_of(second) or ALL, first)), second=the(second))

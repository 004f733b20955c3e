"""Rules of questions for yes or no: whether there are some, whether all are so."""

from kyvo.programs.grammar.amounts import side
from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.comparisons import add_comparisons, exactly
from kyvo.programs.grammar.lexicon import KINDS, kind_of
from kyvo.programs.grammar.meaning import (
    ALL,
    NO_NOUN,
    Indefinite,
    as_set,
    either,
    identical,
    is_of_pairs,
    narrow,
    parts,
    without,
)
from kyvo.programs.grammar.relations import related
from kyvo.programs.grammar.sameness import add_sameness, alike, same
from kyvo.programs.grammar.verdicts import each_is, fitting, is_so
from kyvo.programs.program import (
    All,
    Any,
    BiggerThan,
    Bigness,
    Closeness,
    Commonest,
    Earlier,
    Every,
    Exists,
    Farness,
    Literally,
    Not,
    Related,
    SameWord,
    Selector,
    Shared,
    Smallness,
    Truth,
    Where,
    WhereSame,
)
from kyvo.scene.schema import SceneSchema


def add_truths(rule: Rules, schema: SceneSchema) -> None:
    names = [field.name for field in schema.fields if field.words]

    rule("asks", "<truth>")
    rule("asks", "<truth> (or not|or no|yes or no|true or false)", None, 0.1)
    any_ = "(a|an|any|some|one|any other|another|at least one|even one|even a single|a single)"
    thereis = (
        "(is there|are there|(exists|exist) [there]|does there exist|do there exist|(is|are|was|were) not there|"
        "would THEPICTURE [still] (contain|have|show|include)|"
        "do not you see|is there anything like|is there such a thing as|would there [still] be|"
        "(do|does|can|could|did) (you|we|i|it|one|THEPICTURE) [(happen to|actually|really)] "
        "(see|find|spot|notice|have|hold|contain|show|include)|have (you|we) [got]|"
        "is THEPICTURE home to|are you able to see|is it true that there (is|are))"
    )
    rule("truth", f"{thereis} [{any_}] (<desc1>|<descs>) [(<seen>|in it)]", lambda of, *_: Exists(of=of))
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
        f"{thereis} [both] [{any_}] (<desc1>|<descs>) [,] and [also] [{any_}] (<desc1>|<descs>) [(<seen>|too|as well)]",
        _there_are_both,
        -0.4,
    )
    rule("truth", f"{thereis} [both] <any> and <any> <nouns> [<seen>]", _there_are_of_both, -0.4)
    rule(
        "truth",
        f"{thereis} [either] [{any_}] (<desc1>|<descs>) or [{any_}] (<desc1>|<descs>) [<seen>]",
        lambda a, b, *_: Exists(of=either(a, b)),
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
        f"(look for|search for) [{any_}] (<desc1>|<descs>) [(.|,)] (is one to be found|is there one|"
        "are there any|do you find one)",
        lambda of: Exists(of=of),
    )
    rule(
        "truth",
        "(is|are) (any|some|any one|one of|at least one of|either of|even one of) [of] [(the|these|those)] "
        "(<descs>|<desc1>) "
        "<predx>",
        lambda of, pred: Exists(of=fitting(of, pred)),
    )
    rule(
        "truth",
        "(do|does) any [(two|2|of the|of these|other)] (<descs>|<desc1>) (have|share|match) (<same>|<selfsame>)",
        lambda of, pred: Exists(of=narrow(of, pred)),
    )
    rule(
        "truth",
        "(do|does) any [(two|2|of the|of these|other)] (<descs>|<desc1>) (have|share) (the|a|their|its) [same] <field>",
        lambda of, field: Exists(of=Shared(of=of, field=field)),
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
        "(apart from|besides|leaving out|not counting|other than) <np> [,] (do|does|can you see|do you see|"
        "are there|is there) any [other] (<descs>|<desc1>) (that share|share|have|that have|"
        "that shares) (its|the same) <field>",
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
        "(is|are) (nothing|no <descs>|no <desc1>|(none|not one|not any) of the <descs>) <predx>",
        lambda *v: Not(of=Exists(of=narrow(ALL, *v))),
    )
    rule(
        "truth",
        "(is|are) there (no|not any|zero|not a single|not one) (<desc1>|<descs>) [<seen>]",
        lambda of, *_: Not(of=Exists(of=of)),
    )
    rule(
        "truth",
        "(is|are) there (no|not any|zero) (<desc1>|<descs>) [THAT] [(is|are|STAND)] <pred>",
        lambda of, pred: Not(of=Exists(of=narrow(of, pred))),
        0.1,
    )
    rule("truth", "(is|are) there nothing [THAT] [(is|are)] <predx>", lambda pred: Not(of=Exists(of=pred)))
    rule(
        "truth",
        "(do|does) (none|no|neither) [of] [(the|these|those)] (<descs>|<desc1>) (have|has|share|match) "
        "(<same>|<selfsame>)",
        lambda of, pred: Not(of=Exists(of=narrow(of, pred))),
    )
    rule(
        "truth",
        "(do|does) (none|no) [of] [the] (<descs>|<desc1>) <same>",
        lambda of, pred: Not(of=Exists(of=narrow(of, pred))),
    )
    rule("truth", "(is|are|do|does) <np1> (and|,) <np1> [(both|all|each|also)] <predx>", _are_both, 0.15)
    rule(
        "truth",
        "(is|are) (there|) (any|two|2|any two|any of the|some|the any) <descs> [<seen>] [exactly] (identical|"
        "alike|the same|twins)",
        lambda of, *_: Exists(of=identical(of, names)),
        0.2,
    )
    rule(
        "truth",
        "(do|does|is|are) [there] [any] (two|2) of the <descs> [(have|share)] (<selfsame>|<same>)",
        lambda of, pred: Exists(of=narrow(of, pred)),
    )
    rule(
        "truth",
        "(is|are) there (two|2|any two) [THINGS] (of|with|in) [exactly] the same <field>",
        lambda field: Exists(of=Shared(of=ALL, field=field)),
    )
    rule("truth", "(can|could) (you see <np1>|<np1> be (seen|found|spotted))", lambda of: Exists(of=as_set(of)))
    rule("truth", "(can|could) <np1> be (seen|found|spotted) <pred>", is_so)
    rule("truth", f"(do|does) [{any_}] (<desc1>|<descs>) exist [<seen>]", lambda of, *_: Exists(of=of))
    rule(
        "truth",
        "(is|are) the <field> of <np1> and [(that of|the <field> of)] <np1> (the same|identical|alike|equal)",
        lambda *v: same(v[0], v[1], v[-1]),
    )
    rule(
        "truth",
        "(is|are|do|does) <np1> [(have|share)] [(made|of|made of|made from|made out of)] the same <field> as "
        "(either|any|one) of the <descs>",
        lambda a, field, of: Exists(of=narrow(of, WhereSame(of=ALL, field=field, like=a))),
    )
    rule(
        "truth",
        "(is|are) <value> the (most common|most frequent|predominant|dominant|commonest|main) <field> "
        "[((among|of|in) [(the|these|all)] <descs>|<seen>)]",
        lambda value, field, *of: _is_commonest(value, field, *of),
    )
    rule(
        "truth",
        "(is|are) there more <descs> than (any|all) other (<field>|<fields>|THINGS|kind|kinds|type|types)",
        _outnumber_others,
    )
    for words, prep, by in (("(closer|nearer)", "to", Closeness), ("(farther|further) [away]", "from", Farness)):
        rule(
            "truth",
            f"(is|are) <np1> {words} {prep} <np1> (than|then) {prep} <np1>",
            lambda of, a, b, by=by: BiggerThan(by=by(to=of), first=a, second=b),
        )
    rule("truth", "(is|are) (anything|something) [else] <predx>", lambda pred: Exists(of=pred))
    surely = "(all|there|also|both|either|currently|actually|really|exclusively|only|solely|always|indeed|each)"
    rule("predx", f"[{surely}] <pred> [<seen>]", lambda pred, *_: pred)
    rule("predx", "(there|visible|seen|present|shown|pictured|to be seen|to be found|in THEPICTURE)", ALL)
    _add_facts(rule)
    rule("truth", "(is|was) it <np1> (that|which|who) (is|are|STANDS) <predx>", is_so)
    rule(
        "truth",
        f"{thereis} (two|2|any two|any) <descs> [THAT] [(are|is|have|has|of|with|share)] [all] <selfsame>",
        lambda of, pred: Exists(of=narrow(of, pred)),
        0.05,
    )
    # all of them
    every = "(all [of] [(the|these|those)] [other]|all|each of the|every one of the|both [of] [(the|these)]|both)"
    rule("truth", f"(is|are) {every} <descs> <predx>", each_is)
    rule("truth", "(is|are) (every|each) [single] <desc1> <predx>", each_is)
    rule(
        "truth",
        "(does|do) <np1> have (anything|something) JUST <inverse> (it|them)",
        lambda to, name: Exists(of=related(name, to)),
        -0.6,
    )
    rule("truth", "(does|do) [(any|any of the)] <np1> have <neighbored>", is_so, -0.5)
    only = "(only|just|nothing but|nothing except|nothing other than|nothing else than)"
    rule("truth", f"(is|are) there {only} <descs> [<seen>]", lambda of, *_: Every(of=ALL, among=of), -0.2)
    rule("truth", "(is|are) either <np1> or <np1> <predx>", lambda a, b, pred: _of_two(Any, a, b, pred))
    rule("truth", "(is|are) neither <np1> nor <np1> <predx>", lambda a, b, pred: _of_two(All, a, b, pred, holds=False))
    rule("truth", "(is|are) <np1> <predx> [,] and [(is|are)] <np1> <predx>", _are_so, 0.3)
    rule("truth", "(is|are) not <np1> <predx>", is_so)  # "isn't the ball red?"
    rule("truth", "would you call <np1> <predx>", is_so)
    rule(
        "truth",
        "(is|are) only [the] <descs> <predx>",
        lambda of, pred: Every(of=pred, among=of) if pred != ALL else None,
    )
    rule(
        "truth",
        "(is|are) all but <int> [of [(the|these|those)]] (<descs>|<desc1>) <predx>",
        lambda count, of, pred: exactly(without(of, pred), count),
        -0.5,
    )
    rule("truth", "(is|are) everything <predx>", lambda pred: each_is(ALL, pred))
    some_of_them = "[(at least|even)] (one|some|any) of (them|these|those)"
    rule("truth", f"(is|are) {some_of_them} <predx>", lambda pred: Exists(of=fitting(Earlier(), pred)))
    rule(
        "truth", "(is|are) none of (them|these|those) <predx>", lambda pred: Not(of=Exists(of=fitting(Earlier(), pred)))
    )
    rule("truth", "are (they|these|those|all of them|all of these) <predx>", lambda pred: each_is(ALL, pred), 0.8)
    rule("truth", "(is|are) (the|these|those|) <descs> [all] <predx>", each_is, 0.1)
    add_sameness(rule, schema)
    rule("truth", "(do|does) <np1> have <owned>", is_so)
    # "is the cube red", "is it behind the ball"
    rule("truth", "(is|was) <np1> <predx>", is_so, 0.1)
    rule("truth", "(is|are) <np1> either <any> or <any>", lambda of, a, b: each_is(of, either(a, b)))
    rule(
        "truth",
        "(does|do) [(any|a|an|any of the|some)] (<desc1>|<descs>) (touch|touches) (a|an|any) (<desc1>|<descs>)",
        lambda of, to: Exists(of=narrow(of, Related(of=ALL, relation="touching", to=to, some=True))),
    )
    rule(
        "truth",
        "(does|do) [(any|a|an|any of the|some)] (<desc1>|<descs>) (touch|touches) <def1>",
        lambda of, to: Exists(of=narrow(of, side("touching", to))),
    )
    rule("truth", "(do|are) <np1> and <np1> (touch|touching|in contact) [(each other|one another)]", _touch)
    rule("truth", "(does|do) <def1> (touch|touches) <np>", lambda of, to: each_is(of, side("touching", to)))
    rule("truth", "any [other] (<descs>|<desc1>) [<seen>]", lambda of, *_: Exists(of=of), 0.5)
    rule("truth", "(is|are) <np1> (also|all|both|made of|colored|painted|) <pred>", is_so, 0.2)
    rule(
        "truth",
        "(does|do) <np1> (look|appear|seem|stand|sit|lie|consist) [to be|a|an] <pred> [(finish|surface|"
        "texture|color|shape)]",
        is_so,
        0.8,
    )
    rule("truth", "(does|do) <np1> have [(a|an)] <pred> [(finish|surface|texture|color|shape)]", _has, 0.8)
    rule("truth", "(is|are) <np1> the (same|only) (object|thing) as <np1>", lambda a, b: Every(of=a, among=b))
    rule("truth", "(is|are) <np1> the only <desc1>", lambda a, b: All(first=Every(of=a, among=b), second=exactly(b, 1)))
    for field in schema.fields:
        if field.words:
            rule(
                "truth",
                f"(is|are) <np1> the only one [of (its|that|this)] {field.name}",
                lambda a, f=field.name: Not(of=Exists(of=WhereSame(of=ALL, field=f, like=a))),
            )
    only = (
        "(alone|unique|the only one|single|the odd one out|by itself) (in|with|of|by|for) [(its|that|this|the)] <field>"
    )
    rule("truth", f"(is|are) <np1> {only}", lambda a, field: Not(of=Exists(of=WhereSame(of=ALL, field=field, like=a))))
    # larger than
    larger, smaller = (
        "(bigger|larger|taller|wider|greater [in size]|more massive)",
        "(smaller|tinier|littler|shorter|less big)",
    )
    for words, by in ((larger, Bigness()), (smaller, Smallness())):
        rule(
            "truth",
            f"(is|are) <np1> [(any|much|all)] {words} (than|then) <np1> [is]",
            lambda a, b, by=by: BiggerThan(by=by, first=a, second=b),
        )
    for words, by in (("(bigger|larger|greater)", Bigness()), ("(smaller|less)", Smallness())):
        rule(
            "truth",
            f"is the size of <np1> {words} than (that|the size) of <np1>",
            lambda a, b, by=by: BiggerThan(by=by, first=a, second=b),
        )
    for words, by in (("(closer|nearer) to", Closeness), ("(farther|further) [away] from", Farness)):
        rule(
            "truth",
            f"(is|are) <np1> [(any|much)] {words} <np1> (than|then) <np1> [is]",
            lambda a, to, b, by=by: BiggerThan(by=by(to=to), first=a, second=b),
        )
    beyond = "(is|are) <np1> [(any|much)] (farther|further|more) [to] [the] <sidename> (than|then) <np1> [is]"
    rule("truth", beyond, lambda a, by, b: BiggerThan(by=by, first=a, second=b))
    # numbers
    add_comparisons(rule)


def _add_facts(rule: Rules) -> None:
    """Statements that are asked about: "is it true that there is a cube", "the cube is red, right?"."""
    true = "(true|the case|correct|right|so|possible)"
    asked = (
        f"(whether|if|[is it] {true} or (false|not) [(.|,)] [that]|is it {true} [that]|"
        "(would|do|can|could) you (say|think|agree|confirm|see) [that|whether|if]|"
        "am i right (that|in thinking [that]|to say [that])|i (think|believe|guess) [that])"
    )
    rule("truth", f"{asked} <fact>")
    rule("truth", "<fact> [,] RIGHT", None, 0.5)
    rule("truth", f"<fact> [,] is (that|this|it) {true}", None, 0.5)
    rule(
        "fact",
        "there (is|are) [(a|an|any|some|at least one)] (<desc1>|<descs>) [<seen>]",
        lambda of, *_: Exists(of=of),
        0.1,
    )
    rule(
        "fact",
        "there (is|are) (no|not any|not a|zero) (<desc1>|<descs>) [<seen>]",
        lambda of, *_: Not(of=Exists(of=of)),
    )
    rule("fact", "<np1> (is|are) <predx>", is_so)
    rule(
        "fact",
        "<np1> (is|are) not <predx>",
        lambda of, pred: None if (so := is_so(of, pred)) is None else Not(of=so),
        0.1,
    )
    rule("fact", "<groups> [(all|both)] (have|share|are) <alikefields>", alike, 0.1)
    rule(
        "fact",
        "(nothing|no <descs>|no <desc1>|none of the <descs>) [<seen>] (is|are) <predx>",
        lambda *v: Not(of=Exists(of=narrow(ALL, *v))),
    )


def _are_so(first: Selector, pred: Selector, second: Selector, other: Selector) -> Truth | None:
    """ "Is the ball red and the cube green?" """
    one, two = is_so(first, pred), is_so(second, other)
    return None if one is None or two is None else All(first=one, second=two)


def _are_both(first: Selector, second: Selector, pred: Selector) -> Truth | None:
    """ "Are the cube and the ball metal?" """
    if isinstance(pred, Shared) or isinstance(first, Indefinite) or isinstance(second, Indefinite):
        return None
    return each_is(either(first, second), pred)


def _there_are_both(first: Selector, second: Selector, *_: Selector) -> Truth | None:
    """ "Are there cubes and balls?", "a red and a blue ball"; what the two share is of pairs of them."""
    if is_of_pairs(first, second):
        return None
    kind = kind_of(second)
    if NO_NOUN in parts(first) and kind is not None:
        first = narrow(first, kind)
    return All(first=Exists(of=first), second=Exists(of=second))


def _there_are_of_both(first: Selector, second: Selector, of: Selector, *_: Selector) -> Truth | None:
    """ "Are there red and blue balls?": of each color; "red and metal balls" are both at once."""
    words = [one for one in (first, second) if isinstance(one, Where) and one.of == ALL]
    if len(words) < 2 or words[0].field != words[1].field:
        return None
    return _there_are_both(narrow(of, first), narrow(of, second))


def _has(of: Selector, pred: Selector) -> Truth | None:
    """ "Does the cube have a metal finish?"; "does the cube have a ball" says nothing of its words."""
    is_thing = any(isinstance(node, Where) and node.field in KINDS for node in parts(pred))
    return None if is_thing else is_so(of, pred)


def _of_two(
    joint: type[All | Any], first: Selector, second: Selector, pred: Selector, *, holds: bool = True
) -> Truth | None:
    """ "Is the cube or the ball red?", "is neither the cube nor the ball red?" """
    one, other = is_so(first, pred), is_so(second, pred)
    if one is None or other is None:
        return None
    return joint(first=one, second=other) if holds else joint(first=Not(of=one), second=Not(of=other))


def _is_commonest(value: Literally, field: str, of: Selector = ALL) -> Truth | None:
    return SameWord(first=Commonest(of=of, field=field), second=value) if value.field == field else None


def _outnumber_others(of: Selector, *_: str) -> Truth | None:
    """ "Are there more cubes than any other shape?" """
    if not isinstance(of, Where):
        return None
    return SameWord(first=Commonest(of=of.of, field=of.field), second=Literally(field=of.field, value=of.value))


def _touch(first: Selector, second: Selector) -> Truth | None:
    return each_is(first, side("touching", second))

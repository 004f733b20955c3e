"""Rules of questions for yes or no about sameness: whether objects share a word, or have different ones."""

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import ALL, Indefinite, as_set, either, narrow
from kyvo.programs.program import (
    Alike,
    All,
    Earlier,
    Either,
    Every,
    Exists,
    Literally,
    Not,
    SameWord,
    Selector,
    Shared,
    The,
    Truth,
    WhereSame,
    WordOf,
)
from kyvo.scene.schema import SceneSchema


def add_sameness(rule: Rules, schema: SceneSchema) -> None:
    # the same of all
    one_word = "[all] [of] [exactly] (the|) (same|identical|equal|one|matching) <field> [(as|of) each other]"
    rule("alikefields", one_word, lambda field: (field,))
    rule("alikefields", "[all] [of] the same <field> and <field>", lambda *f: f)
    rule("alikefields", "[all] [of] (the same|identical|equal) <fields>", lambda field: (field,))
    rule(
        "alikefields",
        "[all] (alike|identical|the same)",
        tuple(field.name for field in schema.fields if field.words),
        0.2,
    )
    rule(
        "alikefields",
        "[all] [(made|comprised|composed|constructed|built)] [out] (of|from) the same (<field>|<fields>)",
        lambda field: (field,),
    )
    rule("alikefields", "[all] (alike|identical|equal|the same|similar) in <field>", lambda field: (field,))
    rule("groups", "[(all|both|all of|both of)] [(the|these|those)] <descs>")
    rule(
        "groups", "[(all of|both of|all)] [(the|these|those)] <many> <descs>", lambda count, of: The(of=of, count=count)
    )
    rule("groups", "[all of] (they|these|those|them) [(all|both)]", Earlier())
    rule("groups", "(all of (these|those|them)|(they|these|those) all)", ALL, 0.8)
    rule("groups", "[both] <np1> and <np1>", either, 0.1)
    rule("groups", "<np1> (,|and) <np1> [,] and <np1>", lambda a, b, c: either(either(a, b), c))
    rule("groups", "(everything|all of it)", ALL)
    rule("truth", "(are|is) <groups> [both] <alikefields> [<seen>]", lambda of, fields, *_: alike(of, fields))
    rule(
        "truth",
        "(do|does) <groups> [(all|both)] (have|share|possess|come in|show) [(a|the|one|common)] <alikefields> [<seen>]",
        lambda of, fields, *_: alike(of, fields),
    )
    rule(
        "truth",
        "(do|does) <groups> [(all|both)] (have|share) (a|one|a common|the|an) <field> [in common]",
        lambda of, field: alike(of, (field,)),
    )
    rule("truth", "(do|does) <groups> [(all|both)] (match|agree) in <field>", lambda of, field: alike(of, (field,)))
    rule("truth", "is <one_field> common to <groups>", lambda field, of: alike(of, (field,)))
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
        "(do|does) <groups> [all] have [a] different <fieldx> [<seen>]",
        lambda of, field, *_: _different(of, field),
    )
    rule(
        "truth",
        "(are|do|is|does) no two <descs> [(have|share|of|with)] (<selfsame>|<same>)",
        lambda of, pred: Not(of=Exists(of=narrow(of, pred))),
    )
    rule("fieldx", "(<field>|<fields>)")
    rule(
        "truth",
        "(do|does|has|have) (every|each|all [of the]|each of the) (<desc1>|<descs>) (have|has) "
        "(a|an|its|their|the) [own] (different|unique|distinct|own|separate) <field> [<seen>]",
        lambda of, field, *_: _different(of, field),
    )
    rule(
        "truth",
        "(do|does) (every|each) <desc1> (have|share) the same <field> [<seen>]",
        lambda of, f, *_: alike(of, (f,)),
    )
    rule("truth", "(do|does) <groups> [all] differ [from each other] in [(their|the)] <fieldx>", _differ)
    rule(
        "truth",
        "(is|are) <groups> [all] (different|unequal|unlike) [from each other] in [(their|the)] <fieldx>",
        _differ,
    )
    rule(
        "truth",
        "(is|are) <any> [,] (and|or) <any> the only <fields> [<seen>]",
        lambda a, b, *_: _are_only(either(a, b)),
    )
    rule("truth", "(is|are) <any> the only <field> [<seen>]", lambda of, *_: _are_only(of))
    # one and another
    rule(
        "truth",
        "(is|are|does|do) <np1> [(have|share)] <samefield> (any|some|another) [of] [the] [other] (object|"
        "thing|item|shape|objects|things|items|shapes)",
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
    rule("samefield", "[(made|comprised|composed|constructed|built)] [out] (of|from) the same <field> (as|to)")
    rule("samefield", "(share|match|matches) [(a|the|its)] [same] <field> (as|with|of|to)")
    rule("truth", "(is|are) <np1> [is] <samefield> <np1>", lambda a, field, b: same(field, a, b))
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
        "truth",
        "(is|are) <np1> 's <field> (the same as|identical to|equal to|like) <np1> ['s [<field>]]",
        lambda a, field, b, *_: same(field, a, b),
    )
    rule(
        "truth",
        "(do|are) the (<fields>|<field>) of <np1> and [of] <np1> (match|agree|coincide|the same|identical|equal|alike)",
        lambda field, a, b: same(field, a, b),
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
        lambda value, field, of: _is_word_of(field, of, value),
    )
    rule(
        "truth",
        "is the <field> of <np1> <value>",
        _is_word_of,
    )


def same(field: str, a: Selector, b: Selector) -> Truth:
    """Whether two objects, or all of two sets, have one word. "A cube" is any of them."""
    if isinstance(a, Indefinite) and isinstance(b, Indefinite):
        return Exists(of=narrow(a.of, WhereSame(of=ALL, field=field, like=b.of, some=True)))
    if isinstance(a, Indefinite):
        return Exists(of=narrow(a.of, WhereSame(of=ALL, field=field, like=b)))
    if isinstance(b, Indefinite):
        return Every(of=a, among=WhereSame(of=ALL, field=field, like=b.of, some=True))
    if all(isinstance(one, The | Earlier) and getattr(one, "count", 1) == 1 for one in (a, b)):
        return SameWord(first=WordOf(of=a, field=field), second=WordOf(of=b, field=field))
    return Alike(of=either(a, b), field=field)


def _is_word_of(field: str, of: Selector, value: Literally) -> Truth | None:
    """ "Is the color of the cube red?" """
    return SameWord(first=WordOf(of=as_set(of), field=field), second=value) if value.field == field else None


def alike(of: Selector, fields: tuple[str, ...]) -> Truth:
    """Whether a set has one word in each of the fields."""
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


def _differ(of: Selector, field: str) -> Truth:
    """Whether they are not all alike."""
    return Not(of=alike(of, (field,)))


def _are_only(of: Selector) -> Truth:
    return Every(of=ALL, among=of)


def _different(of: Selector, field: str) -> Truth:
    return Not(of=Exists(of=Shared(of=of, field=field)))

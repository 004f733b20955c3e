"""Rules of edits that set words: "paint it red", "the cubes should be metal"."""

from dataclasses import replace
from functools import partial
from typing import Any

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.lexicon import kind_field
from kyvo.programs.grammar.meaning import ALL, NO_NOUN, narrow, parts, together, without
from kyvo.programs.program import (
    Earlier,
    Literally,
    Selector,
    Set,
    Step,
    The,
    Where,
    WordOf,
)
from kyvo.programs.structure import rewritten
from kyvo.scene.schema import SceneSchema


def add_settings(rule: Rules, schema: SceneSchema) -> None:
    kind = kind_field(schema)
    rule("setword", "<value>", lambda word: (word,))
    rule("setword", "<kindvalue>", lambda word: Bare((word,)))
    rule(
        "setword",
        "<value> [,] [and] [also] <value> [(one|thing|object)]",
        lambda a, b: (a, b) if a.field != b.field else None,
        0.1,
    )
    rule("setword", "<value> [,|and] <value> [,] and <value>", _of_three_fields, 0.1)
    rule("setlist", "<value> [,|and] <value>", lambda a, b: (a, b) if a.field != b.field else None)
    rule("setlist", "<value> [,|and] <value> [,|and] <value>", _of_three_fields)
    rule("brief", "<target> (.|,) <setlist>", set_words)
    rule("setword", "(a|an) <newwords>", lambda words: words)
    rule("setword", "<newkinds>")
    rule("setword", "<newthings>", lambda words: words or None, 0.1)
    rule("setword", "all <value>", lambda word: (word,), 0.1)
    rule(
        "setword",
        "[(a|an)] <anyword> [,] (instead of|rather than|and no longer|and not|not) [(a|an)] <anyword>",
        lambda new, old: (new,) if new.field == old.field else None,
    )
    rule("newwords", "<value> [colored|color|sized|finish]", lambda word: (word,))
    rule("newwords", "<kindvalue>", lambda word: (word,))
    rule(
        "newwords",
        "<newwords1> <newwords>",
        lambda a, rest: None if a.field in {word.field for word in rest} else (a, *rest),
    )
    rule(
        "newwords",
        "<newwords1> [,|and] <newwords1> (one|thing|object|item|shape)",
        lambda a, b: (a, b) if a.field != b.field else None,
    )
    rule("newwords", "<newwords1> (one|thing|object|item|shape)", lambda a: (a,))
    rule(
        "newwords",
        "<newwords1> (of|made of|made out of|in) <value>",
        lambda a, b: (b, a) if a.field != b.field else None,
        0.1,
    )
    rule("setword", "(a|an) <newwords> THAT is <value>", _more_words)
    rule("newwords1", "(<value>|<kindvalue>) [colored|,|and]")
    rule(
        "step",
        "MAKE <target> [(both|all)] [(to be|be|become|look|to|into|in|as|to look|so that it is|over to|turn|to become|"
        "over|of|out of|from|made of|made out of|made from)] <setword>",
        set_words,
    )
    rule("step", "MAKE <target> <setword> [,] THAT (is|are) <pred>", _those_that, 0.3)
    rule(
        "step",
        "do not MAKE <target> <anyword> [,] but [(rather|instead)] <setword>",
        lambda of, old, words: set_words(of, words) if words[0].field == old.field else None,
    )
    rule(
        "step",
        "(IWANT|have|let) [that] <target> ([to] (be|become|turn|look|is|are|becomes|gets)|"
        "[to] (switch|change|turn|go) (to|into)|in) <setword>",
        set_words,
    )
    rule("step", "IWANT <target> <value>", lambda of, word: set_words(of, (word,)), 0.2)
    rule(
        "step",
        "(can|could|may) <target> (be|become|be made|be made of|be painted|be turned|be changed to|be turned into) "
        "<setword>",
        set_words,
    )
    rule(
        "step",
        "(make it so [that]|NEWPICTURE|it would be (nice|great|good|better|lovely) if|i wish [that]|"
        "(i|we) would be (happy|glad|pleased|grateful|delighted) if) <target> (is|are|was|were|"
        "became|turned) <setword>",
        set_words,
    )
    rule(
        "step",
        "MAKE (everything|all|all [of] [the] THINGS) <setword> (except|but|except for|apart from|besides) <np>",
        lambda words, kept: set_words(without(ALL, kept), words),
    )
    to = "[(.|,)] [all] (to|in|into|=)"
    rule("brief", f"<target> {to} <anyword>", lambda of, word: set_words(of, (word,)), -1.0)  # "the cube to red"
    rule("brief", "<target> [(.|,)] [(now|all)] <value>", lambda of, word: set_words(of, (word,)))  # "red cube blue"
    rule("step", "(change|turn|replace|convert|set) <value> (to|into|with|by) <value>", _all_of_word)
    rule("step", "MAKE <value> <defs>", lambda word, of: set_words(of, (word,)), 0.5)
    rule(
        "step",
        "(paint|color|cover|coat|spray|dye|fill|(color|fill|paint) in) <target> (with|in) "
        "[(a|some)] <value> [(paint|color|dye)]",
        lambda of, word: set_words(of, (word,)),
    )
    rule(
        "step",
        "MAKE <target> <setword> [,] and <target> (too|as well|also|likewise)",
        lambda a, words, b: together(set_words(a, words), set_words(b, words)),
    )
    paint = "[(the|a|some)] [<fieldname>] <value> [(color|paint|finish|surface)]"
    rule(
        "step",
        f"(put|give|apply|add|assign|use|set) {paint} (to|on|onto|for) <target>",
        lambda *v: set_words(v[-1], (v[-2],)) if len(v) == 2 or v[0] == v[1].field else None,
    )
    rule("fieldname", "<field>")
    rule(
        "step",
        "<target> [(all|both|each)] MUST [(all|both|each|also|now|rather)] (be|become|turn|turn "
        "into|look|be made|be made of|"
        "be painted|be turned into|be changed to) <setword>",
        set_words,
    )
    rule(
        "step",
        "<target> [(both|all)] (becomes|become|turns|turn|turns into|turn into|gets|goes|go|is now) <setword>",
        set_words,
        0.2,
    )
    rule(
        "step",
        "<target> MUST (be|become) <setword> [,] and <target> (too|as well|also|likewise)",
        lambda a, words, b: together(set_words(a, words), set_words(b, words)),
    )
    rule(
        "step",
        "<target> MUST not be <anyword> [,] but [(rather|instead)] <setword>",
        lambda of, old, words: set_words(of, words) if words[0].field == old.field else None,
    )
    rule(
        "step",
        "(make sure|ensure|see to it|see|check) [that] <target> (is|are|becomes|become|turns|turn|gets) <setword>",
        set_words,
    )
    rule("step", "(get|force|cause) <target> [to] (be|become|turn|look) <setword>", set_words)
    look = "(finish|surface|color|look|texture|coating|appearance|coat|shape|size)"
    rule(
        "step",
        f"<target> (MUST (have|get|receive|be given|take on)|gets|get) (a|an) [new] <value> {look}",
        lambda of, word: set_words(of, (word,)),
    )
    rule("step", f"IWANT <target> [to] (have|get) (a|an) [new] <value> {look}", lambda of, word: set_words(of, (word,)))
    rule("wish", "<target> [to] (be|become) <setword>", set_words)
    rule("step", "IWANT <wish> [,] and <wish>", together)
    rule(
        "step",
        "<target> MUST (be|become) <setword> [,] and <pair>",
        lambda of, words, rest: together(set_words(of, words), rest),
        0.1,
    )
    done = "(painted|colored|made|turned|changed to|changed into|turned into|dyed)"
    rule("step", f"(have|get|IWANT) <target> {done} [to|into|in] <setword>", set_words)
    rule("step", f"<target> (gets|get|MUST be) {done} [to|into|in] <setword>", set_words)
    rule(
        "step",
        "(IWANT|can (we|i)|could (we|i)|may (we|i)) [to] (see|have|get) <target> [(in|as|become|be|painted)] <setword>",
        set_words,
    )
    rule("step", "(from now on|now) <target> (is|are) <setword>", set_words)
    painted = "(in|painted|colored|being|made|made of|turned into|recolored) [in]"
    rule("step", f"SAMEPICTURE with <target> {painted} <setword>", set_words, 0.2)
    rule("polite", "(edit|modify|change|update|alter|adjust) THEPICTURE (by|.|,|and)", 0)
    good = "[(much|even|a lot|so much)] (better|good|nice|nicer|great|prettier|best|fine|cool)"
    rule("step", f"<target> (would|might|could) (look|be) {good} [(in|as|if it (was|were)|when)] <setword>", set_words)
    suits = f"(would|might|could) ((be|look) {good} (for|on)|(suit|fit))"
    rule("step", f"<value> {suits} <target> [better]", lambda word, of: set_words(of, (word,)))
    rule("step", "(try|use|take|choose|pick) <value> for <target>", lambda word, of: set_words(of, (word,)))
    rule(
        "step",
        "(give|get) <target> [(a|the|some)] [(new|fresh)] [(coat|layer|lick) of] <value> [(finish|coat|color|paint|"
        "surface|texture|look|coating|shape|layer)] [of (paint|color)]",
        lambda of, word: set_words(of, (word,)),
    )
    rule("step", "(give|get|lend) <target> [(a|the)] <field> [of] <anyword>", set_field)
    rule("step", "MAKE <target> from <value> (to|into) <setword>", lambda of, _, words: set_words(of, words))
    exchange = "(swap|swap out|exchange|switch|switch out|trade)"
    rule(
        "step",
        f"{exchange} the <field> of <target> (for|to) <anyword>",
        lambda field, of, word: set_field(of, field, word),
    )
    rule("step", f"({exchange}|replace) <target> 's <field> (for|with|by) <anyword>", set_field)
    rule("step", "(give|lend) <target> a new <field> [(.|,)] <anyword>", set_field)
    rule("step", "(update|take|consider) <target> [(.|,)] [and] its <field> is now <anyword>", set_field)
    rule("step", "(instead of what it is now) [,] make <target> <setword>", set_words)
    rule(
        "step",
        "leave (all|everything) as it is [,] but for the <field> of <target> [,] which becomes <anyword>",
        lambda field, of, word: set_field(of, field, word),
    )
    rule("anyword", "(<value>|<kindvalue>)")
    verbs = "(replace|change|set|switch|make|turn|modify|alter|update|convert|adjust|edit|put)"
    rule(
        "step",
        f"{verbs} [the] <field> of <target> (to|into|be|as|with|by|=|) [(be|become|a|an)] <anyword>",
        lambda field, of, word: set_field(of, field, word),
    )
    its = "[,] and [(its|their)] <field> (to|into|be|) [be] <anyword>"
    rule("step", f"{verbs} [the] <field> of <target> (to|into|be) <anyword> {its}", _set_two_of)
    rule("step", f"{verbs} (the|) <target> 's <field> (to|into|be) <anyword> {its}", _set_two)
    rule("step", f"{verbs} <target> 's <field> (to|into|be) (that|the <field>) of <one_target>", _set_as)
    rule(
        "step",
        f"{verbs} [the] <field> of <target> (to|into|be) (that|the <field>) of <one_target>",
        lambda field, of, *rest: _set_as(of, field, *rest),
    )
    rule("step", f"{verbs} (the|) <target> 's <field> (to|into|be|) [be] <anyword>", set_field)
    rule(
        "step",
        f"{verbs} (its|their) <field> (to|into|be|) [be] <anyword>",
        lambda field, word: set_field(Earlier(), field, word),
    )
    rule(
        "step",
        f"{verbs} (the|) <field> [(to|into)] <anyword>",
        lambda field, word: set_field(Earlier(), field, word),
        0.5,
    )
    own = "[(the|its|their)] <field> (to|into) <anyword>"
    rule(
        "step",
        f"{verbs} {own} [,] and {own}",
        lambda a, x, b, y: together(set_field(Earlier(), a, x), set_field(Earlier(), b, y)),
    )
    rule(
        "step",
        f"(find|take|look at|get|see|pick|consider) <target> [,] (and|then) {verbs} its <field> (to|into|"
        "be|) <anyword>",
        set_field,
    )
    rule(
        "step",
        "(find|take|look at|get|see|pick|consider) <target> [,] (and|then) give it a new <field> [(.|,)] <anyword>",
        set_field,
    )
    rule(
        "step",
        "the <field> of <target> MUST (be|become|(change|switch|be changed|be set) to) <anyword>",
        lambda field, of, word: set_field(of, field, word),
    )
    rule(
        "step",
        "(IWANT|let) the <field> of <target> [to] (be|become) <anyword>",
        lambda field, of, word: set_field(of, field, word),
    )
    rule(
        "step",
        "<target> (need|needs) (another|a new|a different) <field> [(.|,)] [(set it to|make it|namely)] <anyword>",
        set_field,
    )
    rule(
        "step",
        "i do not (like|love) the <field> of <target> [(.|,)] [please] (use|take|try|make it|paint it|i prefer) "
        "<anyword>",
        lambda field, of, word: set_field(of, field, word),
    )
    rule("step", "MAKE <target> (alike|the same) [(.|,)] [all] <value>", lambda of, word: set_words(of, (word,)))
    rule(
        "step",
        "MAKE <target> [(be|become|to|into|in)] <setword> [,] and (vice versa|the other way (around|round))",
        _vice_versa,
    )
    rule("step", "MAKE <target> so [that] (it|they) (is|are|becomes|become) <setword>", set_words)
    finishes = {word for field in schema.fields if field.name == "material" for word in field.words}
    if {"metal", "rubber"} <= finishes:
        _add_shine(rule)
    if kind:
        rule(
            "step",
            "(turn|make|change|convert|transform) <target> [into] (a|an) <kindvalue> [(instead|shape)]",
            lambda of, word: set_words(of, (word,)),
        )


def _add_shine(rule: Rules) -> None:
    """The finish said by a noun: "it should lose its shine", "give it some gloss"."""
    shine = "[(a|some|any|more|its|their|the|your)] (shine|gloss|luster|sheen|polish)"
    metal, rubber = ((Literally(field="material", value=word),) for word in ("metal", "rubber"))
    for words, verb, given in (
        (metal, "(get|have|gain|take on)", f"(give|lend) <target> {shine}"),
        (rubber, "(lose|get rid of|have no)", f"(take|remove) {shine} (off|from|of|away from|off of) <target>"),
    ):
        rule("step", given, partial(_set, words))
        rule("step", f"<target> (MUST {verb}|{'gets' if words is metal else 'loses'}) {shine}", partial(_set, words))
        rule("step", f"(let|make|have) <target> {verb} {shine}", partial(_set, words))
    rule("step", "(polish|polish up) <target>", partial(_set, metal))


def _set(words: tuple[Literally, ...], of: Selector) -> tuple[Step, ...] | None:
    return set_words(of, words)


def _vice_versa(of: Selector, words: tuple[Literally, ...]) -> tuple[Step, ...] | None:
    """ "Make the small things large and vice versa": those that have the new word get the old one."""
    (new,) = words if len(words) == 1 else (None,)
    old = next((node for node in parts(of) if isinstance(node, Where) and new and node.field == new.field), None)
    if new is None or old is None or old.value == new.value:
        return None
    other = rewritten(of, lambda node: replace(node, value=new.value) if node == old else node)
    return together(set_words(of, words), set_words(other, (Literally(field=old.field, value=old.value),)))


def _of_three_fields(*words: Literally) -> tuple[Literally, ...] | None:
    return words if len({word.field for word in words}) == len(words) else None


def _more_words(words: tuple[Literally, ...], word: Literally) -> tuple[Literally, ...] | None:
    """ "Into a metal cube that is green." """
    return None if word.field in {one.field for one in words} else (word, *words)


def _all_of_word(old: Literally, new: Literally) -> tuple[Step, ...] | None:
    """ "Change red to blue": of everything that is red."""
    if old.field != new.field or old.value == new.value:
        return None
    return set_words(Where(of=ALL, field=old.field, value=old.value), (new,))


class Bare(tuple[Literally, ...]):
    """A noun without an article, as in "make the small ones cubes"."""


def set_words(of: Selector, words: tuple[Literally, ...]) -> tuple[Step, ...] | None:
    """One step for each word; those after the first speak of the same objects."""
    if isinstance(words, Bare) and NO_NOUN in parts(of):
        return None  # "the blue sphere" is a sphere, and nothing that becomes one
    return tuple(Set(of=of if place == 0 else Earlier(), field=word.field, to=word) for place, word in enumerate(words))


def _those_that(of: Selector, words: tuple[Literally, ...], pred: Selector) -> tuple[Step, ...] | None:
    """ "Make the ball red that is small." """
    inner = replace(of, of=narrow(of.of, pred)) if isinstance(of, The) else narrow(of, pred)
    return set_words(inner, words)


def _set_as(of: Selector, field: str, *rest: Any) -> tuple[Step, ...] | None:
    """ "Change its color to that of the ball." """
    *again, to = rest
    return (Set(of=of, field=field, to=WordOf(of=to, field=field)),) if again in ([], [field]) else None


def _set_two(of: Selector, a: str, x: Literally, b: str, y: Literally) -> tuple[Step, ...] | None:
    """ "Set its color to red and its size to large." """
    return together(set_field(of, a, x), set_field(Earlier(), b, y)) if a != b else None


def _set_two_of(a: str, of: Selector, *rest: Any) -> tuple[Step, ...] | None:
    return _set_two(of, a, *rest)


def set_field(of: Selector, field: str, word: Literally) -> tuple[Step, ...] | None:
    return (Set(of=of, field=field, to=word),) if word.field == field else None

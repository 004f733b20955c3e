"""Rules of a schema's own words: its fields and their values, with plurals and the synonyms that people use.

A synonym is used only where the schema has the word that it stands for. A word of the schema is never a synonym of
another.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import ALL, narrow, negated
from kyvo.programs.grammar.spelling import UNKNOWN
from kyvo.programs.grammar.tokens import tokenize
from kyvo.programs.program import Either, Literally, Selector, Where, WhereSame
from kyvo.scene.fields import Field
from kyvo.scene.schema import SceneSchema

KINDS = ("category", "shape")  # the fields whose words are nouns, the first that a schema has
SIZE = "size"

NOUNS: Mapping[str, Sequence[str]] = {
    "cube": ("block", "box", "square", "square block", "brick", "die", "square box", "cuboid"),
    "sphere": ("ball", "orb", "globe", "circle", "round ball", "bead"),
    "cylinder": ("tube", "barrel", "drum", "can", "tin", "pillar", "canister"),
    "cone": ("funnel",),
    "sofa": ("couch", "settee"),
    "lamppost": ("lamp post", "street lamp", "lamp", "streetlight"),
    "person": ("human", "figure"),
    "bicycle": ("bike",),
    "cup": ("mug",),
}
OTHERWISE = frozenset(("can", "tin", "die"))  # nouns that are mostly another word, so no adjectives: "the can thing"
SHAPED: Mapping[str, Sequence[str]] = {  # adjectives of a kind
    "cube": ("cubic", "square", "cubical", "boxy", "squared", "blocky", "rectangular"),
    "sphere": ("spherical", "round", "circular", "rounded", "ball like"),
    "cylinder": ("cylindrical", "tubular"),
    "cone": ("conical",),
}
ADJECTIVES: Mapping[str, Sequence[str]] = {
    "large": ("big", "huge", "giant", "great", "enormous", "massive", "oversized", "bulky", "tall", "gigantic"),
    "small": ("tiny", "little", "mini", "miniature", "petite", "wee", "minute"),
    "metal": (
        "metallic", "shiny", "glossy", "reflective", "chrome", "polished", "mirrored", "steel", "shining", "gleaming",
        "mirror like", "lustrous", "chromed", "sparkly", "glassy",
    ),
    "rubber": ("matte", "mat", "matt", "dull", "rubbery", "flat finish", "unpolished", "nonreflective", "nonshiny"),
    "cyan": (
        "teal", "aqua", "turquoise", "light blue", "sky blue", "sky colored", "blue green", "bright blue", "baby blue",
        "aquamarine",
    ),
    "purple": ("violet", "lilac", "lavender", "mauve"),
    "blue": ("dark blue", "navy", "royal blue"),
    "red": ("crimson", "scarlet", "maroon"),
    "green": ("lime", "emerald", "dark green"),
    "yellow": ("mustard",),
    "brown": ("tan", "beige", "chocolate"),
    "wooden": ("wood", "timber"),
}  # fmt: skip
COMPARED: Mapping[str, Sequence[str]] = {"large": ("larger", "bigger"), "small": ("smaller", "tinier")}  # of two
METALS: Mapping[str, Sequence[tuple[str, str]]] = {  # a color and a material at once
    "gold": (("yellow", "metal"),),
    "golden": (("yellow", "metal"),),
    "silver": (("gray", "metal"),),
    "copper": (("brown", "metal"),),
    "bronze": (("brown", "metal"),),
    "brass": (("yellow", "metal"),),
}
SOLIDS: Sequence[tuple[str, Sequence[str]]] = (  # what solids are like, in words that follow a noun
    ("(with|that have|that has|having|has|have) [a|any|some] [(smooth|round)] (flat) (side|sides|surface|"
        "surfaces|face|faces)", ("cube", "cylinder")),
    ("(with|that have|that has|having|has|have) (no|without any) [flat|straight|sharp] (side|sides|edges|corners|"
        "lines|surfaces|faces)", ("sphere",)),
    ("without [any] [flat|straight|sharp] (sides|edges|corners|lines|surfaces|faces)", ("sphere",)),
    ("(with|that have|that has|having|has|have) [(four|six|#|the most|sharp|square)] (corners|sides)", ("cube",)),
    ("(with|that have|that has|having|has|have) [a] (curved|round|rounded) (side|sides|surface|surfaces|"
        "edges)", ("sphere", "cylinder")),
    ("((that|which) [(can|could|would|will)]|can|could|would|will) [(likely|easily)] roll [(away|around)]",
        ("sphere", "cylinder")),
)  # fmt: skip
FIELDS: Mapping[str, Sequence[str]] = {
    "color": ("hue", "tint", "shade", "color paint", "paint job"),
    "material": ("texture", "finish", "substance", "surface", "surface texture", "stuff", "surface finish"),
    "shape": ("form", "geometry"),
    "size": ("dimension", "sizing"),
    "category": ("kind", "class", "type"),
}


def add_lexicon(rule: Rules, schema: SceneSchema) -> None:
    """Rules of `noun1`, `nouns`, `adj`, `field`, `fields` and `value` for this schema."""
    worded = [field for field in schema.fields if field.words]
    own = {_spelled(word) for field in worded for word in field.words}
    kind = kind_field(schema)
    for field in worded:
        for names, symbol in ((field_names(field), "field"), (map(plural, field_names(field)), "fields")):
            for name in names:
                if name not in own:
                    rule(symbol, name, field.name, 0.0 if name == _spelled(field.name) else 0.1)
        for word in field.words:
            _add_word(rule, field, word, own, is_kind=field.name == kind)
    for pattern, solids in SOLIDS:
        if kind and set(solids) <= {word for field in worded if field.name == kind for word in field.words}:
            meanings = [Where(of=ALL, field=kind, value=solid) for solid in solids]
            meaning = meanings[0] if len(meanings) == 1 else Either(first=meanings[0], second=meanings[1])
            rule("solidlike", pattern, meaning)
            if len(solids) == 2 and "curved" in pattern:
                rule("adj", "curved", meaning)
    if not any(one.symbol == "solidlike" for one in rule.found):
        rule("solidlike", UNKNOWN, ALL)
    if any(field.name == SIZE for field in worded):
        big = "[(just|exactly|equally)] as (big|large|small|tall|tiny|little|huge) as <np>"
        rule("same", big, lambda like: WhereSame(of=ALL, field=SIZE, like=like))
    if any(field.name == "color" for field in worded):
        rule(
            "same",
            "(colored|painted) (like|the same as|as) <np>",
            lambda like: WhereSame(of=ALL, field="color", like=like),
        )
    for symbol in ("kind1", "kinds", "adj"):
        rule(symbol, UNKNOWN, Where(of=ALL, field=UNKNOWN, value=UNKNOWN))
    rule("value", UNKNOWN, Literally(field=UNKNOWN, value=UNKNOWN))
    words = {word: field.name for field in worded for word in field.words}
    for metal, senses in METALS.items():
        for color, material in senses:
            if metal not in own and color in words:
                meaning = Where(of=ALL, field=words[color], value=color)
                both = (
                    narrow(meaning, Where(of=ALL, field=words[material], value=material))
                    if material in words
                    else meaning
                )
                rule("adj", f"{metal} [colored]", both)
                rule("value", metal, Literally(field=words[color], value=color))


def kind_field(schema: SceneSchema) -> str | None:
    """The field whose words are nouns."""
    names = {field.name for field in schema.fields if field.words}
    return next((name for name in KINDS if name in names), None)


def field_names(field: Field) -> Iterator[str]:
    """How a field is called."""
    yield _spelled(field.name)
    yield from FIELDS.get(field.name, ())


def _add_word(rule: Rules, field: Field, word: str, own: set[str], *, is_kind: bool) -> None:
    meaning: Selector = Where(of=ALL, field=field.name, value=word)
    literal = Literally(field=field.name, value=word)
    spelled = _spelled(word)
    if is_kind:
        for name in (spelled, *(one for one in NOUNS.get(word, ()) if one not in own)):
            rule("noun1" if name in OTHERWISE else "kind1", name, meaning)
            rule("kinds", plural(name), meaning)
            rule("kindvalue", f"{name} [(shaped|shape|like)]", literal)
            rule("shaped", f"{name} (shaped|like|shape|form)", meaning)
            if name not in OTHERWISE:
                rule("shaped", name, meaning, 0.6)
        for name in SHAPED.get(word, ()):
            if name not in own:
                rule("shaped", f"{name} [shaped]", meaning)
                rule("kindvalue", f"{name} [shaped]", literal)
        return
    about = _spelled(field.name)
    for name in COMPARED.get(word, ()):
        rule("adj", f"{name} [(sized|size)]", meaning, 0.1)
    for name in (spelled, *(one for one in ADJECTIVES.get(word, ()) if one not in own)):
        rule("adj", f"{name} [(colored|color|{about}|{about}d|finished|looking|hued|in {about}|in color)]", meaning)
        rule("adj", f"{name} 's", meaning)
        rule("adj", f"non {name}", negated(meaning))
        rule("value", name, literal)


def _spelled(word: str) -> str:
    return " ".join(tokenize(word.replace("_", " ")))


_IRREGULAR = {"person": "people", "man": "men", "woman": "women", "child": "children", "die": "dice", "mouse": "mice"}


def plural(name: str) -> str:
    """The plural of a noun; of its last word where it has several."""
    *first, last = name.split()
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = f"{last[:-1]}ies"
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        last = f"{last}es"
    elif last.endswith(("elf", "eaf", "alf", "olf", "ief", "oaf")):
        last = f"{last[:-1]}ves"
    elif last.endswith("ife"):
        last = f"{last[:-2]}ves"
    else:
        last = f"{last}s"
    return " ".join((*first, last))


def kind_of(selector: Selector | None) -> Where | None:
    """The noun of a description, of everything."""
    while isinstance(selector, Selector) and selector != ALL:
        if isinstance(selector, Where) and selector.field in KINDS:
            return replace(selector, of=ALL)
        selector = getattr(selector, "of", None)
    return None

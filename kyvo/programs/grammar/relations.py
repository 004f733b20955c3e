"""Rules of relations: "left of the cube", "between the two balls", "with a cube behind it"."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import ALL, NO_NOUN, ONE, Indefinite, either, is_of_pairs, negated
from kyvo.programs.program import (
    Along,
    Between,
    Bigness,
    Closeness,
    Earlier,
    Extreme,
    Farness,
    Measure,
    MoreThan,
    Related,
    Relation,
    Selector,
    Smallness,
    The,
)

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


_SIDE = "[(very|far|immediate|direct)] {0} [hand] [side]"


RELATION_WORDS = {
    "left": f"((to|on|at|toward) the {_SIDE.format('left')} of|[(at|on|to)] left of|left from|on the left from)",
    "right": f"((to|on|at|toward) the {_SIDE.format('right')} of|[(at|on|to)] right of|right from|on the right from)",
    "front": (
        "(in front of|infront of|in the front of|ahead of|to the front of|before|in front|forward of|"
        "on the front side of|closer to the CAMERA than|nearer than)"
    ),
    "behind": (
        "(behind|in back of|in the back of|to the (back|rear) [side] of|at the back of|beyond|back of|"
        "to the behind of|in the rear of|farther away than)"
    ),
    "above": "(above|on top of|on the top of|atop|over|upon|on)",
    "below": "(below|under|underneath|beneath)",
    "near": (
        "(near|near to|next to|beside|beside of|close to|adjacent to|alongside|by|neighboring|nearby|at the side of|"
        "in the vicinity of|not far from|by the side of)"
    ),
    "touching": "(touching|in contact with|contacting|leaning (on|against)|in touch with|that touch)",
}


COMPARED: Mapping[str, Measure] = {
    "(bigger|larger|taller|wider|greater [in size]|more massive)": Bigness(),
    "(smaller|tinier|littler|shorter|less big)": Smallness(),
    "(closer|nearer) [to (the|) CAMERA]": Along(direction="front"),
    "(farther|further) [(away|back)] [from (the|) CAMERA]": Along(direction="behind"),
}


INVERSE: dict[str, Relation] = {
    "left": "right",
    "right": "left",
    "front": "behind",
    "behind": "front",
    "above": "below",
    "below": "above",
}


def add_relations(rule: Rules) -> None:
    for name, pattern in RELATION_WORDS.items():
        rule("dirword", pattern, name)
        rule("relword", f"(directly|right|immediately|just) {pattern}", name, 0.4)
        rule(
            "relword",
            f"[(exactly|also|both|somewhere|slightly|far|close|all|still|currently|only|sort of)] {pattern}",
            name,
            0.2 if name in ("near", "above") else 0.0,
        )
        if name in INVERSE:
            rule("itsside", {"front": "front", "behind": "(back|rear)"}.get(name, name), name)
    # "to the left and in front of it", "left and behind"
    rule("relhead", "JUST [(to|on|in|at)] [the] (left|left side)", "left")
    rule("relhead", "JUST [(to|on|in|at)] [the] (right|right side)", "right")
    rule("relhead", "JUST [in] [the] front", "front")
    rule("relhead", "JUST (behind|[to] [the] (back|rear)|in back)", "behind")
    rule("rels", "<relword> <reference>", _stands_to)
    rule(
        "rels",
        "<relword> (a|an|any|another|some|any of the|one of the|at least one) [other] (<desc1>|<descs>)",
        _related_to_some,
    )
    rule("rels", "<relword> <descs>", _related_to_some)
    rule("rels", "(directly|right|immediately|just) <dirword> <np>", _right_beside)
    rule("rels", "[both] <relhead> (and|,) <relword> <reference>", _related_twice)
    for symbol in ("rels", "neither"):
        first = "(<relhead>|<relword>)"
        joined = f"neither {first} nor" if symbol == "neither" else f"[either] {first} or"
        rule(symbol, f"{joined} [(to|on|in|at)] [the] <relword> <reference>", _related_either, -0.2)
    rule("rels", "<neither>", negated)
    rule("rels", "(to|on) <reference> 's [immediate] <itsside> [hand] [side]", lambda to, name: related(name, to))
    rule("rels", "(to|on) (its|their|his) [immediate] <itsside> [hand] [side]", lambda name: related(name, Earlier()))
    rule(
        "rels",
        "[STAND] JUST (between|in between|inbetween|in the middle of|sandwiched between|surrounded by|"
        "flanked by) <np> and <np>",
        _between,
    )
    rule("rels", "[STAND] JUST (between|in between|in the middle of|sandwiched between) <twonp>", _between_two)
    rule("rels", "<relword> <np1> or <np1>", lambda name, a, b: either(related(name, a), related(name, b)), 0.3)
    rule("reference", "<np>")
    for words, by in COMPARED.items():
        rule("compared", f"[(any|much|all|a bit|slightly)] {words} (than|then) <np1>", partial(more_than, by))
    for side, way in {"left": "left", "right": "right", "(back|behind)": "behind", "front": "front"}.items():
        by = Along(direction=way)  # type: ignore[arg-type]
        rule(
            "compared", f"(farther|further|more) [to] [(on|in)] [the] {side} (than|then) <np1>", partial(more_than, by)
        )
    rule("compared", "(closer|nearer) to <np1> (than|then) <np1>", lambda to, than: more_than(Closeness(to=to), than))
    rule(
        "compared",
        "(farther|further) [away] from <np1> (than|then) <np1>",
        lambda to, than: more_than(Farness(to=to), than),
    )
    # "with a cube behind it", "that have a cube to their left"
    rule("neighbored", "<np> <ofit>", _with_neighbor)
    some = "[(some|any|other|one or more|at least one)] [other]"
    rule("neighbored", f"{some} (<desc1>|<descs>) <ofit>", _with_some_neighbor)
    rule("rels", "(with|that (has|have|had)|having) <neighbored>")
    rule("ofit", "JUST <inverse> (it|them)")
    rule("ofit", "(to|on|at) (its|their) [immediate] <itsside> [hand] [side]")
    for name in INVERSE:
        rule("inverse", RELATION_WORDS[name], name)


def more_than(by: Measure, than: Selector) -> Selector | None:
    """None for "larger than all", of which the noun is still to come."""
    return None if than == ALL else MoreThan(of=ALL, by=by, than=than)


def related(name: Any, to: Selector) -> Selector:
    return Related(of=ALL, relation=name, to=to)


def _stands_to(name: Any, to: Selector) -> Selector | None:
    """ "On the left" is a place, and not on top of what is leftmost."""
    bare = isinstance(to, The) and isinstance(to.of, Extreme) and to.of.of in (NO_NOUN, ONE)
    return None if bare and name == "above" else related(name, to)


def _related_to_some(name: Any, to: Selector) -> Selector:
    return Related(of=ALL, relation=name, to=to, some=True)


def _with_neighbor(to: Selector, name: Any) -> Selector | None:
    """ "With a cube behind it": some cube is."""
    if isinstance(to, Indefinite):
        return _with_some_neighbor(to.of, name)
    return related(INVERSE[name], to)


def _with_some_neighbor(to: Selector, name: Any) -> Selector | None:
    """None for "a cube of the same color to its left", where the two share it."""
    return None if is_of_pairs(to) else _related_to_some(INVERSE[name], to)


def _right_beside(name: Any, to: Selector) -> Selector | None:
    """ "Directly behind it" is the nearest of those behind it."""
    near = name in ("near", "touching", "above", "below")
    return related(name, to) if near else Extreme(of=related(name, to), by=Closeness(to=to))


def _related_twice(first: Any, second: Any, to: Selector) -> Selector | None:
    return None if first == second else Related(of=related(first, to), relation=second, to=to)


def _related_either(first: Any, second: Any, to: Selector) -> Selector | None:
    """ "Left or right of it"."""
    return None if first == second else either(related(first, to), related(second, to))


def _between(first: Selector, second: Selector) -> Selector:
    return Between(of=ALL, first=first, second=second)


def _between_two(pair: tuple[Selector, Selector]) -> Selector:
    return _between(*pair)


def two(description: Selector) -> tuple[Selector, Selector]:
    """Two objects of one description, told apart by their order from the left."""
    both = The(of=description, count=2)
    return tuple(Extreme(of=both, by=Along(direction=way)) for way in ("left", "right"))  # type: ignore[return-value]

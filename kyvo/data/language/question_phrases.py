"""Questions in words: templates of program and text, and our own for CLEVR's nine families.

A text has slots: `<Z> <C> <M> <S>` are the size, color, material and shape of the first object that is named,
`<Z2>` to `<S2>` those of the second, `<R>`, `<R2>` the relations, and what stands in [brackets] may be left out.
So do the files of CLEVR's own templates, which kyvo/data/language/clevr_templates.py reads.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from kyvo.data.language.question_programs import FUNCTIONS
from kyvo.data.language.referents import ATTRIBUTES, RELATION_WORDS
from kyvo.errors import ConfigError

FAMILIES = (
    "zero_hop",  # exist, count or query without a relation
    "one_hop",
    "two_hop",
    "three_hop",
    "compare_integer",
    "comparison",  # of an attribute
    "same_relate",
    "single_and",
    "single_or",
)
NO_SHAPE = "thing"  # the key of the words for an object whose shape is not said


@dataclass(frozen=True, kw_only=True)
class TemplateStep:
    """One step of a template: a function of a program, or several at once.

    `filter` filters by the attributes that are named; `filter_unique`, `filter_count` and `filter_exist` go on from
    there; with `relate_` before them they begin with a relation.
    """

    function: str
    inputs: tuple[int, ...] = ()
    slots: tuple[str, ...] = ()  # what its value inputs fill: "<Z>"


@dataclass(frozen=True, kw_only=True)
class Template:
    """A question with slots: its texts all ask the same program."""

    family: str
    texts: tuple[str, ...]
    steps: tuple[TemplateStep, ...]
    slots: Mapping[str, str]  # each slot's attribute, or "relation"
    empty: frozenset[str] = frozenset()  # slots that say nothing: what is asked for must not be in the text
    different: tuple[tuple[int, int], ...] = ()  # steps whose outputs must differ

    @property
    def kind(self) -> str:
        """The function that gives the answer: "count", "query_color", "less_than"."""
        last = self.steps[-1].function
        return last if last in FUNCTIONS else last.rsplit("_", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class TemplateSet:
    """Templates and how their values are spelled."""

    templates: tuple[Template, ...]
    words: Mapping[str, tuple[str, ...]]  # value -> its spellings, any of which will do

    @cached_property
    def kinds(self) -> dict[str, dict[str, list[Template]]]:
        """The templates under their family and kind."""
        found: dict[str, dict[str, list[Template]]] = {}
        for template in self.templates:
            found.setdefault(template.family, {}).setdefault(template.kind, []).append(template)
        return found

    def only(self, families: Collection[str]) -> "TemplateSet":
        """The templates of some families. Raises ConfigError for one that is not there."""
        if unknown := [family for family in families if family not in self.kinds]:
            raise ConfigError(f"{unknown[0]!r} is no family of these questions; known are {', '.join(self.kinds)}.")
        return replace(self, templates=tuple(one for one in self.templates if one.family in families))

    def write(
        self, template: Template, values: Mapping[str, str], rng: np.random.Generator, *, other: bool = True
    ) -> str:
        """One of the template's texts with its slots filled; slots without a value are left out.

        Without `other` what is asked for is of another kind than what it is compared with, and not called "other".
        """
        text = template.texts[rng.integers(len(template.texts))]
        text = re.sub(r"\[(.*?)\]", lambda match: match[1] if rng.random() < 0.5 else "", text)
        if not other or _differ(values):  # "another blue cube like the red ball": it cannot be another
            text = text.replace(" other ", " ").replace(" another ", " a ")

        parts = re.split(r"(<\w+>)", text)
        for place in range(1, len(parts), 2):  # the slots; texts between them stay
            slot = parts[place]
            value = values.get(slot, NO_SHAPE if template.slots[slot] == "shape" else "")
            spellings = self.words.get(value, (value,))
            parts[place] = spellings[rng.integers(len(spellings))]
        words = "".join(parts).split()
        return re.sub(r" ([,;:.?!])", r"\1", " ".join(words))


def _differ(values: Mapping[str, str]) -> bool:
    """Whether the first and the second object cannot be of one kind, in a text that names no third."""
    names = [slot.strip("<>") for slot in values]
    if any(name[-1] in "3456789" for name in names):
        return False
    pairs = ((values.get(f"<{name}>"), values.get(f"<{name}2>")) for name in "ZCMS")
    return any(first and second and first != second for first, second in pairs)


@cache
def own_templates() -> TemplateSet:
    """Our own templates of the nine families, and their words."""
    return TemplateSet(
        templates=tuple(_templates()),
        words={
            NO_SHAPE: ("thing", "object"),
            "left": (RELATION_WORDS["left"], "left of"),
            "right": (RELATION_WORDS["right"], "right of"),
            "front": (RELATION_WORDS["front"],),
            "behind": (RELATION_WORDS["behind"],),
        },
    )


_NAMES = {  # what a template names: objects a to d by their slots, and relations
    **{name: tuple(f"<{letter}{n}>" for letter in "ZCMS") for name, n in zip("abcd", ("", "2", "3", "4"), strict=True)},
    **{f"r{n}": (f"<R{n}>",) for n in ("", "2", "3")},
}
_SLOTS = {slot: attribute for name in "abcd" for slot, attribute in zip(_NAMES[name], ATTRIBUTES, strict=True)} | {
    _NAMES[f"r{n}"][0]: "relation" for n in ("", "2", "3")
}
_CHAINS = (("a",), ("a", "r", "b"), ("a", "r", "b", "r2", "c"), ("a", "r", "b", "r2", "c", "r3", "d"))
_PAIRS = ((("a",), ("b",)), (("a", "r", "b"), ("c",)), (("a", "r", "b"), ("c", "r2", "d")))

# Two objects that may have relations of their own are kept apart by more than "and": "the cube left of the ball and the
# sphere" may be left of both.
_COUNT = (
    "Count the {these}.",
    "How many {these} can you see?",
    "How many {these} does the scene hold?",
    "Give the number of {these}.",
    "What do you get when you count the {these}?",
    "Tell me how many {these} you find.",
)
_EXIST = (
    "Can you see any {these}?",
    "Does the scene hold any {these}?",
    "Do you find any {these} in the picture?",
    "Look for {these}: is one to be found?",
    "Is the scene home to any {these}?",
)
_QUERY = (
    "Which {attribute} does {this} have?",
    "Name the {attribute} of {this}.",
    "Tell me the {attribute} of {this}.",
    "Look at {this}. Which {attribute} do you see?",
    "I would like to know the {attribute} of {this}.",
    "Can you say what {attribute} {this} has?",
    "Find {this} and give its {attribute}.",
)
_COMPARE = (
    "Do {this} and {that} share one {attribute}?",
    "Is one {attribute} common to both {this} and {that}?",
    "Compare {this} with {that}: are they alike in {attribute}?",
    "Are {this} and {that} alike in {attribute}?",
    "Would you say that {this} matches {that} in {attribute}?",
)
_COMPARE_COUNTS = {
    "equal_integer": (
        "Are the {these} just as many as the {those}?",
        "Count the {these} and then the {those}: do you get one number twice?",
        "Do the {these} match the {those} in number?",
    ),
    "less_than": (
        "Are the {these} outnumbered by the {those}?",
        "Do you count fewer {these} than {those}?",
        "Would you need more {these} to have as many as there are {those}?",
    ),
    "greater_than": (
        "Do the {these} outnumber the {those}?",
        "Do you count more {these} than {those}?",
        "Would you need more {those} to have as many as there are {these}?",
    ),
}
_SAME = {
    "count": (
        "How many {b}s, leaving out the {a}, share its {attribute}?",
        "How many {b}s match the {a} in {attribute}, not counting itself?",
        "Apart from the {a}, count the {b}s that share its {attribute}.",
    ),
    "exist": (
        "Leaving out the {a}, do any {b}s share its {attribute}?",
        "Apart from the {a}, can you see any {b}s that share its {attribute}?",
        "Does the {a} share its {attribute} with any of the other {b}s?",
    ),
}
_QUERY_OF = {
    "size": ("Is {this} large or small?", "Is {this} small or large?"),
    "color": ("In which color do you see {this}?",),
    "material": ("Is {this} rubber or metal?", "Of which material did they make {this}?"),
    "shape": ("What form is {this}: cube, sphere or cylinder?",),
}
_EITHER = (
    "Count all that belong to the {these} or to the {those}.",
    "How many belong to the {these}, to the {those} or to both?",
    "Take the {these} together with the {those}: how many do you have?",
    "Put the {these} together with the {those} into one group. How many does it hold?",
)


def _templates() -> Iterator[Template]:
    for family, chain in zip(FAMILIES, _CHAINS, strict=False):
        yield from _ask(family, chain[-1], _phrase(chain), _phrase(chain, "s"), _walk(chain, "filter"))
    yield from _compare_counts()
    yield from _compare_attributes()
    yield from _same_attribute()
    yield from _both()
    yield from _either()


def _phrase(chain: tuple[str, ...], plural: str = "", *, inner: bool = False) -> str:
    """A chain's last object in slots, without an article: with two relations "c r2 the b that is r the a".

    Inside a chain "that is" stays: "things left of the cube behind the ball" may be things behind the ball.
    """
    *before, name = chain
    text = " ".join(_NAMES[name]) + plural
    if not before:
        return text
    that = f"that {'are' if plural else 'is'}"
    that = that if inner else f"[{that}]"
    return f"{text} {that} {_NAMES[before[-1]][0]} the {_phrase(tuple(before[:-1]), inner=True)}"


def _walk(chain: tuple[str, ...], last: str, first: int = 0) -> list[TemplateStep]:
    """The steps along a chain, the first of them numbered `first`; `last` is "filter" and what follows it."""
    steps = [TemplateStep(function="scene")]
    for place in range(0, len(chain), 2):
        function = last if place == len(chain) - 1 else "filter_unique"
        slots = _NAMES[chain[place]]
        if place:
            function, slots = f"relate_{function}", (*_NAMES[chain[place - 1]], *slots)
        steps.append(TemplateStep(function=function, inputs=(first + len(steps) - 1,), slots=slots))
    return steps


def _slot(name: str, attribute: str) -> str:
    return _NAMES[name][ATTRIBUTES.index(attribute)]


def _template(
    family: str,
    texts: Iterable[str],
    steps: list[TemplateStep],
    *,
    empty: Iterable[str] = (),
    different: tuple[tuple[int, int], ...] = (),
    **words: str,
) -> Template:
    return Template(
        family=family,
        texts=tuple(text.format(**words) for text in texts),
        steps=tuple(steps),
        slots=_SLOTS,
        empty=frozenset(empty),
        different=different,
    )


def _ask(
    family: str,
    name: str,
    one: str,
    many: str,
    steps: list[TemplateStep],
    *,
    different: tuple[tuple[int, int], ...] = (),
) -> Iterator[Template]:
    """How many, whether any, and each attribute, of the objects called `name` that the last step filters."""
    *before, last = steps

    def ending(then: str) -> list[TemplateStep]:
        return [*before, replace(last, function=f"{last.function}_{then}")]

    yield _template(family, _COUNT, ending("count"), these=many, different=different)
    yield _template(family, _EXIST, ending("exist"), these=many, different=different)
    for attribute in ATTRIBUTES:
        query = TemplateStep(function=f"query_{attribute}", inputs=(len(steps) - 1,))
        yield _template(
            family,
            (*_QUERY, *_QUERY_OF[attribute]),
            [*ending("unique"), query],
            this=f"the {one}",
            attribute=attribute,
            empty=(_slot(name, attribute),),
            different=different,
        )


def _compare_counts() -> Iterator[Template]:
    for first, second in _PAIRS:
        one = _walk(first, "filter")
        two = _walk(second, "filter", len(one))
        ends = (len(one) - 1, len(one) + len(two) - 1)
        counts = [TemplateStep(function="count", inputs=(end,)) for end in ends]
        for function, texts in _COMPARE_COUNTS.items():
            compare = TemplateStep(function=function, inputs=(ends[1] + 1, ends[1] + 2))
            words = {"these": _phrase(first, "s"), "those": _phrase(second, "s")}
            # one set, named twice, would be equal in number by its words alone
            yield _template("compare_integer", texts, [*one, *two, *counts, compare], different=(ends,), **words)


def _compare_attributes() -> Iterator[Template]:
    pairs = (
        (("a",), ("b",)),
        (("a", "r", "b"), ("c",)),
        (("a",), ("b", "r", "c")),
        (("a", "r", "b"), ("c", "r2", "d")),
    )
    for first, second in pairs:
        one = _walk(first, "filter_unique")
        two = _walk(second, "filter_unique", len(one))
        ends = (len(one) - 1, len(one) + len(two) - 1)
        for attribute in ATTRIBUTES:
            queries = [TemplateStep(function=f"query_{attribute}", inputs=(end,)) for end in ends]
            after = ends[1] + 1
            equal = TemplateStep(function=f"equal_{attribute}", inputs=(after, after + 1))
            yield _template(
                "comparison",
                _COMPARE,
                [*one, *two, *queries, equal],
                empty=(_slot(first[-1], attribute), _slot(second[-1], attribute)),
                different=(ends,),
                this=f"the {_phrase(first)}",
                that=f"the {_phrase(second)}",
                attribute=attribute,
            )


def _same_attribute() -> Iterator[Template]:
    a, b = _phrase(("a",)), _phrase(("b",))
    for same in ATTRIBUTES:
        empty = {_slot("a", same), _slot("b", same)}
        steps = [*_walk(("a",), "filter_unique"), TemplateStep(function=f"same_{same}", inputs=(1,))]
        filtered = TemplateStep(function="filter", inputs=(2,), slots=_NAMES["b"])
        for then, texts in _SAME.items():
            ending = replace(filtered, function=f"filter_{then}")
            yield _template("same_relate", texts, [*steps, ending], empty=empty, a=a, b=b, attribute=same)
        for asked in ATTRIBUTES:
            if asked == same:
                continue
            query = TemplateStep(function=f"query_{asked}", inputs=(3,))
            yield _template(
                "same_relate",
                _QUERY,
                [*steps, replace(filtered, function="filter_unique"), query],
                empty={*empty, _slot("b", asked)},
                this=f"the other {b} with the {same} of the {a}",
                attribute=asked,
            )


def _both() -> Iterator[Template]:
    steps: list[TemplateStep] = []
    for name, relation in (("a", "r"), ("b", "r2")):
        steps += _walk((name,), "filter_unique", len(steps))
        steps.append(TemplateStep(function="relate", inputs=(len(steps) - 1,), slots=_NAMES[relation]))
    steps.append(TemplateStep(function="intersect", inputs=(2, 5)))
    steps.append(TemplateStep(function="filter", inputs=(6,), slots=_NAMES["c"]))
    where = f"both <R2> the {_phrase(('b',))} and <R> the {_phrase(('a',))}"
    one, many = f"{_phrase(('c',))} that is {where}", f"{_phrase(('c',), 's')} that are {where}"
    yield from _ask("single_and", "c", one, many, steps, different=((1, 4),))


def _either() -> Iterator[Template]:
    for first, second in _PAIRS:
        one = _walk(first, "filter")
        two = _walk(second, "filter", len(one))
        ends = (len(one) - 1, len(one) + len(two) - 1)
        union = [TemplateStep(function="union", inputs=ends), TemplateStep(function="count", inputs=(ends[1] + 1,))]
        words = {"these": _phrase(first, "s"), "those": _phrase(second, "s")}
        yield _template("single_or", _EITHER, [*one, *two, *union], different=(ends,), **words)

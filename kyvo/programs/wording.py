"""The printer of programs: a program to plain English.

    "the number of red cubes left of the large sphere"
    "paint the small cube blue, then move it behind the sphere"

`wording` reads back what a program says, word for word, so that whoever wrote the text can see how it was understood.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from kyvo.programs import program as p
from kyvo.programs.english import (
    ADJECTIVES,
    ARE,
    NOUNS,
    RANKS,
    RELATIONS,
    WAYS,
    Noun,
    article,
    joined,
    number_word,
    plural_of,
    region_words,
    units,
    with_word,
)
from kyvo.programs.program import Measure, Place, Program, Selector, Step, Truth, Word
from kyvo.programs.program.edits import leaves

SUPERLATIVES = {
    "left": "leftmost", "right": "rightmost", "front": "frontmost",
    "behind": "rearmost", "above": "highest", "below": "lowest",
    "front left": "frontmost left", "front right": "frontmost right",
    "back left": "rearmost left", "back right": "rearmost right",
}  # fmt: skip
LINES = {
    "left": "from left to right", "right": "from left to right", "front": "from front to back",
    "behind": "from front to back", "above": "on top of one another", "below": "on top of one another",
}  # fmt: skip
COMPARISONS = {
    "equal": "the same as", "less": "less than", "greater": "greater than",
    "at least": "at least", "at most": "at most",
}  # fmt: skip
JUST = {"changed": "just changed", "mentioned": "just mentioned", "added": "just added", "removed": "just removed"}


def wording(program: Program) -> str:
    """The program in English, as a noun phrase or clause for a question, and as instructions for an edit."""
    if isinstance(program, p.Query):
        return _asks(program.asks)
    said: list[str] = []
    before: Step | None = None
    for step in program.steps:
        group = list(leaves([step]))
        said.append(joined([_step(one, _pronoun(last)) for last, one in zip([before, *group], group, strict=False)]))
        before = group[-1]
    return ", then ".join(said)


def objects_of(selector: Selector) -> str:
    """A selector in English: "the large sphere", "red cubes left of the large sphere"."""
    return _phrase(selector)


# Noun phrases


def _noun(selector: Selector) -> Noun:
    match selector:
        case p.Everything():
            return Noun()
        case p.Where(of=of, field=field, value=value):
            return with_word(_noun(of), field, value)
        case p.WhereSame(of=of, field=field, like=like, some=True):
            return _noun(of).that(f"with the same {field} as any of the {_bare(like)}")
        case p.WhereSame(of=of, field=field, like=like):
            return _noun(of).that(f"with the same {field} as {_phrase(like)}")
        case p.Shared(of=of, field=field):
            return replace(_noun(of).that(f"that share their {field} with another"), closed=True)
        case p.Both(first=first, second=second):
            return replace(_noun(first).that(f"that {ARE} also {_phrase(second)}"), closed=True)
        case p.Either(first=first, second=second):
            joint = "and" if _is_definite(first) and _is_definite(second) else "or"
            return Noun(whole=f"{_phrase(first)} {joint} {_phrase(second)}", closed=True)
        case p.Except(of=of, without=without):
            return replace(_noun(of).that(f"other than {_phrase(without)}"), closed=True)
        case p.Related(of=of, relation=relation, to=to, some=True):
            return _noun(of).that(f"{RELATIONS[relation]} any of the {_bare(to)}")
        case p.Related(of=of, relation=relation, to=to):
            return _noun(of).that(f"{RELATIONS[relation]} {_each(to)}")
        case p.Between(of=of, first=first, second=second):
            return _noun(of).that(f"between {_phrase(first)} and {_phrase(second)}")
        case p.MoreThan(of=of, by=by, than=than):
            return _noun(of).that(f"{_comparative(by)} {_phrase(than)}")
        case p.InRegion(of=of, region=region):
            return _noun(of).that(region_words(region))
        case p.Hidden(of=of):
            return _noun(of).that("partly hidden")
        case p.Extreme(of=of, by=by, rank=rank):
            return _superlative(_noun(of), by, rank)
        case p.The(of=of, count=count):
            return Noun(whole=_the(of, count), closed=True)
        case p.Earlier(role=role, turn=turn):
            return Noun(behind=(_earlier(role, turn),))
        case p.Numbered(index=index):
            return Noun(whole=f"object number {index + 1}", closed=True)
        case _:
            raise AssertionError(selector)


def _bare(of: Selector) -> str:
    """A set without its article."""
    return objects_of(of).removeprefix("the ").removeprefix("all ")


def _superlative(noun: Noun, by: Measure, rank: int) -> Noun:
    order = RANKS[rank] if rank < len(RANKS) else f"{rank}th "
    match by:
        case p.Closeness(to=to):
            return replace(noun.that(f"{order}nearest to {_phrase(to)}"), closed=True)
        case p.Farness(to=to):
            return replace(noun.that(f"{order}farthest from {_phrase(to)}"), closed=True)
        case _:
            word = order + _measure(by)
    if noun.closed or noun.before:
        return Noun(whole=f"{word} of {noun.say(plural=True)}", closed=True)
    return replace(noun, before=word, closed=True)


def _measure(by: Measure) -> str:
    match by:
        case p.Along(direction=direction):
            return SUPERLATIVES[direction]
        case p.Closeness(to=to):
            return f"nearest to {_phrase(to)}"
        case p.Farness(to=to):
            return f"farthest from {_phrase(to)}"
        case p.Centrality():
            return "most central"
        case p.Bigness():
            return "largest"
        case _:
            return "smallest"


def _the(of: Selector, count: int) -> str:
    noun = _noun(of)
    said = noun.say(plural=count != 1)
    return said if isinstance(of, p.Numbered) else _definite(said, "" if count == 1 else f"{number_word(count)} ")


def _definite(said: str, count: str = "") -> str:
    """With "the", once."""
    return said if said.startswith("the ") else f"the {count}{said}"


def _earlier(role: str, turn: int) -> str:
    if turn == -1:
        return JUST[role]
    if turn >= 0:
        return f"{role} {'first' if turn == 0 else f'in turn {turn + 1}'}"
    return f"{role} {number_word(-turn)} turns ago"


def _phrase(selector: Selector) -> str:
    """As it stands in a sentence: with "the" for one that is meant, in the plural for a set."""
    if isinstance(selector, p.Earlier):
        return f"the objects {_earlier(selector.role, selector.turn)}"
    if isinstance(selector, p.Extreme):
        return _definite(_noun(selector).say(plural=_is_of_size(selector)))
    return _noun(selector).say(plural=True)


def _is_of_size(selector: Selector) -> bool:
    """Whether it is all that are of one size, and not the one that is farthest to a side."""
    return isinstance(selector, p.Extreme) and isinstance(selector.by, p.Bigness | p.Smallness)


def _each(selector: Selector) -> str:
    said = _phrase(selector)
    return said if _is_definite(selector) or said.startswith(("the ", "object number")) else f"all {said}"


def _is_definite(selector: Selector) -> bool:
    return isinstance(selector, p.The | p.Numbered | p.Earlier | p.Extreme | p.Either | p.Both)


def _all(selector: Selector) -> str:
    """The objects of an instruction: "the cube", "all cubes"."""
    if isinstance(selector, p.Either):
        return f"{_all(selector.first)} and {_all(selector.second)}"
    return "everything" if selector == p.Everything() else _each(selector)


# Questions


def _asks(asks: p.Amount | p.Truth | p.Word | p.Ask) -> str:
    match asks:
        case p.Amount():
            return _amount(asks)
        case p.Truth():
            return f"whether {_truth(asks)}"
        case p.Word():
            return _word(asks)
        case p.Which(of=of):
            return _each(of)
        case p.WordsOf(of=of, fields=fields):
            return f"the {joined(fields)} of {_phrase(of)}"
        case p.WhereIs(of=of):
            return f"where {_phrase(of)} {_is(of)}"
        case p.Distance(first=first, second=second):
            return f"the distance between {_phrase(first)} and {_phrase(second)}"
        case p.Choose(cases=cases, fewest=fewest):
            options = joined([f"{case.word} ({_amount(case.amount)})" for case in cases], "or")
            return f"which is {'fewest' if fewest else 'most'}: {options}"
        case _:
            raise AssertionError(asks)


def _amount(amount: p.Amount) -> str:
    match amount:
        case p.Count(of=of):
            return f"the number of {_phrase(of)}"
        case p.CountWords(of=of, field=field):
            return f"the number of different {plural_of(field)} of {_phrase(of)}"
        case p.Number(value=value):
            return str(value)
        case p.Arithmetic(operation="difference", first=first, second=second):
            return f"the difference between {_amount(first)} and {_amount(second)}"
        case p.Arithmetic(operation=operation, first=first, second=second):
            return f"{_amount(first)} {operation} {_amount(second)}"
        case _:
            raise AssertionError(amount)


def _truth(truth: Truth) -> str:
    match truth:
        case p.Exists(of=of):
            if _is_definite(of) and not isinstance(of, p.Either | p.Both):
                return f"{_phrase(of)} {_is(of)} there"
            return f"there are {_phrase(of)}"
        case p.Every(of=of, among=among):
            noun = _noun(among)
            plain = not (noun.closed or noun.behind or noun.whole or noun.noun != "object") and len(noun.adjectives) > 0
            kind = " and ".join(word for _, word in noun.adjectives) if plain else _phrase(among)
            return f"{_each(of)} {_is(of)} {kind if plain else f'among {kind}'}"
        case p.Alike(of=of, field=field):
            return f"{_each(of)} have the same {field}"
        case p.Compare(comparison=comparison, first=first, second=second):
            return f"{_amount(first)} is {COMPARISONS[comparison]} {_amount(second)}"
        case p.SameWord(first=first, second=p.Literally(value=value)):
            return f"{_word(first)} is {value}"
        case p.SameWord(first=first, second=second):
            return f"{_word(first)} is the same as {_word(second)}"
        case p.BiggerThan(by=by, first=first, second=second):
            return f"{_phrase(first)} {_is(first)} {_comparative(by)} {_phrase(second)}"
        case p.All(first=first, second=second):
            return f"both {_truth(first)} and {_truth(second)}"
        case p.Any(first=first, second=second):
            return f"either {_truth(first)} or {_truth(second)}"
        case p.Not(of=of):
            return f"it is not so that {_truth(of)}"
        case _:
            raise AssertionError(truth)


def _comparative(by: Measure) -> str:
    match by:
        case p.Bigness():
            return "larger than"
        case p.Smallness():
            return "smaller than"
        case p.Along(direction="above"):
            return "higher than"
        case p.Along(direction="below"):
            return "lower than"
        case p.Along(direction=direction):
            return f"farther {WAYS[direction]} than"
        case p.Closeness(to=to):
            return f"nearer to {_phrase(to)} than"
        case p.Farness(to=to):
            return f"farther from {_phrase(to)} than"
        case _:
            return "more central than"


def _word(word: Word) -> str:
    match word:
        case p.WordOf(of=of, field=field):
            return f"the {field} of {_phrase(of)}"
        case p.Literally(value=value):
            return value
        case p.Commonest(of=of, field=field, least=least):
            return f"the {'rarest' if least else 'most frequent'} {field} of {_phrase(of)}"
        case _:
            raise AssertionError(word)


def _is(selector: Selector) -> str:
    single = (isinstance(selector, p.Numbered | p.Extreme) and not _is_of_size(selector)) or (
        isinstance(selector, p.The) and selector.count == 1
    )
    return "is" if single else "are"


# Instructions

Refer = Callable[[Selector], str]


def _pronoun(before: Step | None) -> Refer:
    """How a step speaks of objects: "it" or "them" for those that the step before it changed."""
    if before is None:
        return _all
    target = getattr(before, "of", None)
    single = (isinstance(before, p.Add) and before.count == 1) or (isinstance(target, Selector) and _is(target) == "is")

    def refer(selector: Selector) -> str:
        inner = selector.of if isinstance(selector, p.The) else selector
        if inner == p.Earlier(role="mentioned") or inner in (p.Earlier(role="changed"), p.Earlier(role="added")):
            return "it" if single else "them"
        return _all(selector)

    return refer


def _step(step: Step, refer: Refer) -> str:
    match step:
        case p.Set(of=of, field="color", to=p.Literally(value=value)):
            return f"paint {refer(of)} {value}"
        case p.Set(of=of, field=field, to=p.Literally(value=value)):
            return f"make {refer(of)} {value}" if field in (*NOUNS, *ADJECTIVES) else _set(refer(of), field, value)
        case p.Set(of=of, field=field, to=to):
            return _set(refer(of), field, _word(to))
        case p.Resize(of=of, larger=larger, factor=factor):
            times = "" if factor is None else f" by a factor of {factor:g}"
            return f"make {refer(of)} {'larger' if larger else 'smaller'}{times}"
        case p.Remove(of=of):
            return f"remove {refer(of)}"
        case p.Add(words=words, place=place, count=count):
            return f"add {_new(words, count)}{_at(place, refer)}"
        case p.Move(of=of, place=place):
            return f"move {refer(of)}{_at(place, refer)}"
        case p.Swap(first=first, second=second, field=field):
            what = "" if field == "location" else f"the {plural_of(field)} of "
            return f"swap {what}{refer(first)} and {_all(second)}"
        case p.Copy(of=of, place=place, count=count):
            times = "" if count == 1 else f" {number_word(count)} times"
            return f"copy {refer(of)}{times}{_at(place, refer)}"
        case p.Rotate(of=of, degrees=degrees):
            return f"turn {refer(of)} by {degrees:g} degrees"
        case p.Align(of=of, direction=direction, to=to):
            return f"line up {refer(of)} {LINES[direction]}{'' if to is None else f' with {_phrase(to)}'}"
        case p.Replace(of=of, words=words):
            return f"replace {refer(of)} with {_new(words, 1)}"
        case p.Undo():
            return "take back the last change"
        case p.Redo():
            return "bring back the change that was taken back last"
        case _:
            raise AssertionError(step)


def _set(objects: str, field: str, value: str) -> str:
    return f"give {objects} the {field} {value}" if " " not in value else f"give {objects} {value}"


def _new(words: Sequence[p.Literally], count: int) -> str:
    noun = Noun()
    for word in words:
        noun = with_word(noun, word.field, word.value)
    said = noun.say(plural=count != 1)
    return f"{number_word(count)} {said}" if count != 1 else f"{article(said)} {said}"


def _at(place: Place | None, refer: Refer) -> str:
    match place:
        case None:
            return ""
        case p.Beside(direction="above" | "below" as direction, to=to, distance=distance):
            return f" {units(distance)}{RELATIONS[direction]} {refer(to)}"
        case p.Beside(direction=direction, to=to, distance=None):
            return f" {RELATIONS[direction]} {refer(to)}"
        case p.Beside(direction=direction, to=to, distance=distance):
            return f" {units(distance)}{RELATIONS[direction]} {refer(to)}"
        case p.NextTo(to=to):
            return f" next to {refer(to)}"
        case p.Midway(first=first, second=second):
            return f" between {refer(first)} and {refer(second)}"
        case p.OnTop(of=of):
            return f" on top of {refer(of)}"
        case p.Point(x=x, y=y, z=z):
            return f" to ({x:g}, {y:g}{'' if z is None else f', {z:g}'})"
        case p.Offset(direction=direction, distance=distance):
            return f" {units(distance)}{WAYS[direction]}"
        case p.Toward(to=to, distance=distance) if distance is not None and distance < 0:
            return f" {units(-distance)}away from {refer(to)}"
        case p.Toward(to=to, distance=distance):
            return f" {units(distance)}towards {refer(to)}"
        case p.At(region="left" | "right" | "front" | "back" as side):  # "to the left" alone is a way, and no part
            return f" to the {side} side"
        case p.At(region=region):
            return f" {region_words(region)}".replace(" at ", " to ").replace(" in ", " into ")
        case p.PlaceOf(of=of):
            return f" to the place of {refer(of)}"
        case p.Before():
            return " back to where it stood before"
        case p.InLine(to=to, direction=direction):
            return f" into one line {LINES[direction]} with {refer(to)}"
        case _:
            raise AssertionError(place)

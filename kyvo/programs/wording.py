"""The printer of programs: a program to plain English.

    "the number of red cubes left of the large sphere"
    "paint the small cube blue, then move it behind the sphere"

`wording` reads back what a program says, word for word, so that whoever wrote the text can see how it was understood.
"""

from collections.abc import Callable, Sequence

from kyvo.programs import program as p
from kyvo.programs.english import (
    ADJECTIVES,
    NOUNS,
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
from kyvo.programs.phrases import all_of, comparative, each_of, is_definite, is_of_size, noun_of, objects_of
from kyvo.programs.program import Place, Program, Selector, Step, Truth, Word
from kyvo.programs.program.edits import leaves

LINES = {
    "left": "from left to right", "right": "from left to right", "front": "from front to back",
    "behind": "from front to back", "above": "on top of one another", "below": "on top of one another",
}  # fmt: skip
COMPARISONS = {
    "equal": "the same as", "less": "less than", "greater": "greater than",
    "at least": "at least", "at most": "at most",
}  # fmt: skip


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
            return each_of(of)
        case p.WordsOf(of=of, fields=fields):
            return f"the {joined(fields)} of {objects_of(of)}"
        case p.WhereIs(of=of):
            return f"where {objects_of(of)} {_is(of)}"
        case p.Distance(first=first, second=second):
            return f"the distance between {objects_of(first)} and {objects_of(second)}"
        case p.Choose(cases=cases, fewest=fewest):
            options = joined([f"{case.word} ({_amount(case.amount)})" for case in cases], "or")
            return f"which is {'fewest' if fewest else 'most'}: {options}"
        case _:
            raise AssertionError(asks)


def _amount(amount: p.Amount) -> str:
    match amount:
        case p.Count(of=of):
            return f"the number of {objects_of(of)}"
        case p.CountWords(of=of, field=field):
            return f"the number of different {plural_of(field)} of {objects_of(of)}"
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
            if is_definite(of) and not isinstance(of, p.Either | p.Both):
                return f"{objects_of(of)} {_is(of)} there"
            return f"there are {objects_of(of)}"
        case p.Every(of=of, among=among):
            noun = noun_of(among)
            plain = not (noun.closed or noun.behind or noun.whole or noun.noun != "object") and len(noun.adjectives) > 0
            kind = " and ".join(word for _, word in noun.adjectives) if plain else objects_of(among)
            return f"{each_of(of)} {_is(of)} {kind if plain else f'among {kind}'}"
        case p.Alike(of=of, field=field):
            return f"{each_of(of)} have the same {field}"
        case p.Compare(comparison=comparison, first=first, second=second):
            return f"{_amount(first)} is {COMPARISONS[comparison]} {_amount(second)}"
        case p.SameWord(first=first, second=p.Literally(value=value)):
            return f"{_word(first)} is {value}"
        case p.SameWord(first=first, second=second):
            return f"{_word(first)} is the same as {_word(second)}"
        case p.BiggerThan(by=by, first=first, second=second):
            return f"{objects_of(first)} {_is(first)} {comparative(by)} {objects_of(second)}"
        case p.All(first=first, second=second):
            return f"both {_truth(first)} and {_truth(second)}"
        case p.Any(first=first, second=second):
            return f"either {_truth(first)} or {_truth(second)}"
        case p.Not(of=of):
            return f"it is not so that {_truth(of)}"
        case _:
            raise AssertionError(truth)


def _word(word: Word) -> str:
    match word:
        case p.WordOf(of=of, field=field):
            return f"the {field} of {objects_of(of)}"
        case p.Literally(value=value):
            return value
        case p.Commonest(of=of, field=field, least=least):
            return f"the {'rarest' if least else 'most frequent'} {field} of {objects_of(of)}"
        case _:
            raise AssertionError(word)


def _is(selector: Selector) -> str:
    single = (isinstance(selector, p.Numbered | p.Extreme) and not is_of_size(selector)) or (
        isinstance(selector, p.The) and selector.count == 1
    )
    return "is" if single else "are"


# Instructions

Refer = Callable[[Selector], str]


def _pronoun(before: Step | None) -> Refer:
    """How a step speaks of objects: "it" or "them" for those that the step before it changed."""
    if before is None:
        return all_of
    target = getattr(before, "of", None)
    single = (isinstance(before, p.Add) and before.count == 1) or (isinstance(target, Selector) and _is(target) == "is")

    def refer(selector: Selector) -> str:
        inner = selector.of if isinstance(selector, p.The) else selector
        if inner == p.Earlier(role="mentioned") or inner in (p.Earlier(role="changed"), p.Earlier(role="added")):
            return "it" if single else "them"
        return all_of(selector)

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
            return f"swap {what}{refer(first)} and {all_of(second)}"
        case p.Copy(of=of, place=place, count=count):
            times = "" if count == 1 else f" {number_word(count)} times"
            return f"copy {refer(of)}{times}{_at(place, refer)}"
        case p.Rotate(of=of, degrees=degrees):
            return f"turn {refer(of)} by {degrees:g} degrees"
        case p.Align(of=of, direction=direction, to=to):
            return f"line up {refer(of)} {LINES[direction]}{'' if to is None else f' with {objects_of(to)}'}"
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

"""Evaluation of queries on a scene: numbers, yes or no, words, objects, locations."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kyvo.programs import program as p
from kyvo.programs.english import joined, region_words
from kyvo.programs.errors import AmbiguousReference, ProgramError
from kyvo.programs.phrases import objects_of
from kyvo.programs.program import Amount, Selector, Truth, Word
from kyvo.programs.selecting import Finder
from kyvo.programs.world import SAME, Objects, World

Value = bool | int | float | str | tuple[Any, ...]

CORNERS = ("front left", "front right", "back left", "back right", "front middle", "back middle", "left middle",
           "right middle", "middle")  # fmt: skip  # one of them holds each place


@dataclass(frozen=True, kw_only=True)
class Said:
    """A value, its words, and the objects that it rests on."""

    value: Value
    text: str
    objects: Objects = ()


class Asker:
    """Answers questions with a `Finder`. Each method gives the value, and notes the objects it rests on."""

    def __init__(self, finder: Finder, words: Mapping[Word, str] | None = None) -> None:
        """`words` are those that are known already, as they were before earlier steps of an edit."""
        self.finder = finder
        self.words = words or {}
        self.rests_on: set[int] = set()

    @property
    def world(self) -> World:
        return self.finder.world

    def ask(self, asks: Amount | Truth | Word | p.Ask) -> Said:
        """Raises ProgramError as the nodes say."""
        value, text = self._ask(asks)
        return Said(value=value, text=text, objects=tuple(sorted(self.rests_on)))

    def _ask(self, asks: Amount | Truth | Word | p.Ask) -> tuple[Value, str]:
        match asks:
            case Amount():
                value = self.amount(asks)
                return value, str(value)
            case Truth():
                holds = self.truth(asks)
                return holds, "yes" if holds else "no"
            case Word():
                word = self.word(asks)
                return word, word
            case p.Which(of=of):
                found = self._find(of)
                return found, joined(self.finder.described(found)) if found else "none"
            case p.WordsOf(of=of, fields=fields):
                return self._words_of(of, fields)
            case p.WhereIs(of=of):
                return self._where_is(self._one(of))
            case p.Distance(first=first, second=second):
                ends = self.world.point(self._one(first)), self.world.point(self._one(second))
                away = round(float(np.linalg.norm(ends[0] - ends[1])), 6)
                return away, self._units(away)
            case p.Choose(cases=cases, fewest=fewest):
                return self._choose(cases, fewest)
            case _:
                raise ProgramError(f"{type(asks).__name__} asks nothing.")

    # Objects, which the answer then rests on

    def _find(self, selector: Selector) -> Objects:
        found = self.finder.find(selector)
        self.rests_on.update(found)
        return found

    def _some(self, selector: Selector) -> Objects:
        found = self.finder.some(selector)
        self.rests_on.update(found)
        return found

    def _one(self, selector: Selector) -> int:
        found = self.finder.one(selector)
        self.rests_on.add(found)
        return found

    # Amounts, truths and words

    def amount(self, amount: Amount) -> int:
        match amount:
            case p.Count(of=of):
                return len(self._find(of))
            case p.CountWords(of=of, field=field):
                self.world.words_of(field)
                return len({self.world.word(index, field) for index in self._find(of)} - {None})
            case p.Number(value=value):
                return value
            case p.Arithmetic(operation=operation, first=first, second=second):
                return _calculate(operation, self.amount(first), self.amount(second))
            case _:
                raise ProgramError(f"{type(amount).__name__} is no number.")

    def truth(self, truth: Truth) -> bool:
        match truth:
            case p.Exists(of=of):
                return bool(self._find(of))
            case p.Every(of=of, among=among):
                return set(self._some(of)) <= set(self.finder.find(among))
            case p.Alike(of=of, field=field):
                return len({self.world.needed_word(index, field) for index in self._some(of)}) == 1
            case p.Compare(comparison=comparison, first=first, second=second):
                return _compare(comparison, self.amount(first), self.amount(second))
            case p.SameWord(first=first, second=second):
                if first.field != second.field:  # type: ignore[attr-defined]
                    raise ProgramError(
                        f"a {first.field} and a {second.field} are compared; two words of one field are needed."  # type: ignore[attr-defined]
                    )
                return self.word(first) == self.word(second)
            case p.BiggerThan(by=by, first=first, second=second):
                pair = self._one(first), self._one(second)
                values = self.finder.measures(by, pair)
                return values[pair[0]] > values[pair[1]] + SAME
            case p.All(first=first, second=second):
                both = [self.truth(first), self.truth(second)]  # both are looked at, so that neither hides an error
                return all(both)
            case p.Any(first=first, second=second):
                both = [self.truth(first), self.truth(second)]
                return any(both)
            case p.Not(of=of):
                return not self.truth(of)
            case _:
                raise ProgramError(f"{type(truth).__name__} is neither true nor false.")

    def word(self, word: Word) -> str:
        if word in self.words:
            return self.words[word]
        match word:
            case p.WordOf(of=of, field=field):
                found = self._some(of)
                words = {index: self.world.needed_word(index, field) for index in found}
                if len(set(words.values())) > 1:
                    listed = "; ".join(f"{text} is {words[i]}" for text, i in self._named(found))
                    raise AmbiguousReference(
                        f"{len(found)} objects are {objects_of(of)} and differ in {field}: {listed}.",
                        candidates=found,
                        selector=of,
                    )
                return words[found[0]]
            case p.Literally(field=field, value=value):
                self.world.literal(field, value)
                return value
            case p.Commonest(of=of, field=field, least=least):
                return self._commonest(of, field, least)
            case _:
                raise ProgramError(f"{type(word).__name__} is no word.")

    def _commonest(self, of: Selector, field: str, least: bool) -> str:
        found = self._some(of)
        counts = Counter(self.world.needed_word(index, field) for index in found)
        goal = min(counts.values()) if least else max(counts.values())
        words = [word for word, count in counts.items() if count == goal]
        if len(words) > 1:
            alike = tuple(index for index in found if self.world.word(index, field) in words)
            raise AmbiguousReference(
                f"{joined(words)} are equally frequent among {objects_of(of)}: {goal} each.",
                candidates=alike,
                selector=of,
            )
        return words[0]

    def _named(self, objects: Sequence[int]) -> list[tuple[str, int]]:
        return list(zip(self.finder.described(objects), objects, strict=True))

    # The rest

    def _words_of(self, of: Selector, fields: Sequence[str]) -> tuple[Value, str]:
        found = self._some(of)
        if len(fields) == 1:
            words = tuple(dict.fromkeys(self.world.needed_word(index, fields[0]) for index in found))
            return words, joined(words)
        rows = [tuple(self.world.needed_word(index, field) for field in fields) for index in found]
        if len(set(rows)) == 1:
            return rows[0], joined(rows[0])
        listed = [f"{text}: {joined(row)}" for (text, _), row in zip(self._named(found), rows, strict=True)]
        return tuple(rows), "; ".join(listed)

    def _where_is(self, index: int) -> tuple[Value, str]:
        self.world.point(index)
        location = self.world.scene.objects[index].location or ()
        region = next((name for name in CORNERS if self.world.is_in(index, name)), "middle")
        place = ", ".join(f"{value:g}" for value in location)
        return location, f"{region_words(region)}, at ({place})"

    def _choose(self, cases: Sequence[p.Case], fewest: bool) -> tuple[Value, str]:
        amounts = [self.amount(case.amount) for case in cases]
        goal = min(amounts) if fewest else max(amounts)
        best = [case.word for case, amount in zip(cases, amounts, strict=True) if amount == goal]
        if len(best) > 1:
            return "neither", f"neither: {joined(best)} tie with {goal} each"
        return best[0], best[0]

    def _units(self, length: float) -> str:
        return f"{length:.2f} {'m' if self.world.scene.units == 'm' else 'units'}"


def _calculate(operation: str, first: int, second: int) -> int:
    match operation:
        case "plus":
            return first + second
        case "minus":
            return first - second
        case "difference":
            return abs(first - second)
        case "times":
            return first * second
        case _:
            if second == 0:
                raise ProgramError(f"{first} divided by 0 is asked for; divide by another number.")
            return first // second


def _compare(comparison: str, first: int, second: int) -> bool:
    return {
        "equal": first == second,
        "less": first < second,
        "greater": first > second,
        "at least": first >= second,
        "at most": first <= second,
    }[comparison]

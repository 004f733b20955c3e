"""Corrections: the least repair of a text's words with which the whole text is a program.

Words are repaired with more and more effort until the text has a reading. Which of a word's repairs is meant, the text
as a whole decides. Where two that are about as near give different programs, none is taken: `UnknownWord` names both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from kyvo.programs.errors import NotUnderstood, UnknownWord
from kyvo.programs.grammar.chart import NUMBER, Budget, Chart, Grammar, Meanings, TooLong
from kyvo.programs.grammar.diagnostics import CAN_DO
from kyvo.programs.grammar.references import bound
from kyvo.programs.grammar.spelling import JOINING, UNKNOWN, Effort, Repaired, Spelling, english
from kyvo.programs.grammar.tokens import COMMA
from kyvo.programs.parsing import Turn
from kyvo.programs.program import Program

MAX_SLIPS = 1  # known words that stand for others, in one text
MARGIN = 0.3  # what a repair must cost less than another one: most of one error

Programs = list[tuple[Program, float]]  # with their costs, cheapest first


@dataclass
class Reader:
    """Reads texts of one grammar after a dialogue."""

    grammar: Grammar
    spelling: Spelling
    dialogue: Sequence[Turn]
    budget: Budget
    asked: bool = False  # the text ends with a question mark
    of_them: bool = False  # the text has a "them" or the like

    def read(self, tokens: Sequence[str]) -> tuple[Meanings, list[Repaired]]:
        """The readings of a text, with what was made of its words. Raises TooLong."""
        for effort in Effort:
            words = self.spelling.repair(tokens, effort)
            try:
                readings = self._readings(words)
            except TooLong:
                if effort == Effort.NEAR:
                    raise
                break
            if readings:
                return readings, words
            if effort == Effort.NEAR and self._names_unknown_thing(words):
                break
        return [], self.spelling.repair(tokens)

    def programs(self, readings: Meanings) -> Programs:
        """The different programs of readings."""
        best: dict[Program, float] = {}
        for program, cost in bound(readings, self.dialogue, asked=self.asked, of_them=self.of_them):
            best[program] = min(cost, best.get(program, cost))
        return sorted(best.items(), key=lambda item: item[1])

    def is_whole(self, tokens: Sequence[str]) -> bool:
        """Whether a text is a program with the nearest words alone. Raises TooLong."""
        return bool(self._programs_if_any(self.spelling.repair(tokens)))

    def decided(self, words: Sequence[Repaired]) -> list[Repaired]:
        """The words with the one repair of each that the cheapest program has.

        Raises TooLong, UnknownWord for a word of which another repair, about as near, gives another program, and
        NotUnderstood where several known words would have to stand for others.
        """
        words = list(words)
        for place, word in enumerate(words):
            if len(word.options) == 1 or NUMBER in word.options:
                continue
            found = []
            for option, cost in word.options.items():
                words[place] = Repaired(word.written, {option: cost})
                programs = self._programs_if_any(words)
                found += [(programs[0][1], programs[0][0], words[place])] if programs else []
            found.sort(key=lambda one: one[0])
            (least, program, words[place]), *others = found
            rivals = [one for cost, other, one in others if other != program and cost - least < MARGIN]
            if rivals:
                near = tuple(option for one in (words[place], *rivals) for option in one.options)
                raise UnknownWord(
                    f"{word.written!r} may be {' or '.join(map(repr, near))}; say which one is meant.",
                    word=word.written,
                    near=near,
                )
        slips = [
            word.written for word in words if self.spelling.knows(word.written) and word.written not in word.options
        ]
        if len(slips) > MAX_SLIPS or not JOINING.isdisjoint(slips):
            raise NotUnderstood(f"{' and '.join(map(repr, slips))} do not fit into a question or a change. {CAN_DO}")
        return words

    def _programs_if_any(self, words: Sequence[Repaired]) -> Programs:
        """The programs of a text; none where its readings say why they are none."""
        try:
            return self.programs(self._readings(words))
        except NotUnderstood:
            return []

    def readable(self, words: Sequence[Repaired]) -> bool:
        """Whether the text would be a program if its unknown words were things, or words of things."""
        unknown = [word.options.keys().isdisjoint(self.grammar.words) for word in words]
        return any(unknown) and self._readable_without(words, unknown)

    @staticmethod
    def notes(words: Sequence[Repaired]) -> list[str]:
        """What decided words were read as, where they were written otherwise."""
        notes = []
        for written, same in groupby(words, key=lambda word: word.written):
            read = [next(iter(word.options)) for word in same]
            notes += [f"read {written!r} as {' '.join(read)!r}"] if set(read) != {written} else []
        return notes

    def _names_unknown_thing(self, words: Sequence[Repaired]) -> bool:
        """Whether a word of English that is unknown here can name a thing: the dog of "remove the dog"."""
        unknown = [
            word.written in english() and word.written in word.options and not self.spelling.knows(word.written)
            and "the" not in self.spelling.little(word.written) for word in words
        ]  # fmt: skip
        return any(unknown) and self._readable_without(words, unknown)

    def _readable_without(self, words: Sequence[Repaired], unknown: Sequence[bool]) -> bool:
        guessed = [
            Repaired(word.written, {UNKNOWN: 0.0}) if left_out else word
            for word, left_out in zip(words, unknown, strict=True)
        ]
        try:
            return bool(self.programs(self._readings(guessed)))
        except TooLong:
            return False

    def _readings(self, words: Sequence[Repaired]) -> Meanings:
        """The readings of a whole text; where there are none, those without its commas."""
        options = [word.options for word in words]
        found = Chart(self.grammar, options, budget=self.budget).readings("text")
        if not found and any(COMMA in word for word in options):
            options = [word for word in options if COMMA not in word]
            found = Chart(self.grammar, options, budget=self.budget).readings("text")
        return found

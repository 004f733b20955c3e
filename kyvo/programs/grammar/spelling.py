"""Spelling: words that nobody knows are read as close words of the grammar; words of English are left alone.

"cirlce" is no English word and is read as "circle". "dog" is one, so it is never read as "do". `english.txt` holds the
most frequent words of English, from the word frequencies of pyspellchecker (MIT license).
"""

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from importlib.resources import files

from kyvo.programs.grammar.chart import NUMBER, Grammar
from kyvo.programs.grammar.tokens import AMERICAN

_LITTLE = (
    "the of to is are in on and or that than what how there with it its from by at has have as you please other any "
    "which many same this be been not"
)
LITTLE = frozenset(_LITTLE.split())
CONFUSED = {  # known words that stand for another one, by sound or a slip; none that turns a meaning round
    "their": ("there",), "there": ("their",), "the": ("there",), "are": ("is",), "is": ("are",), "it": ("is",),
    "very": ("every",), "any": ("many",), "of": ("or",), "or": ("of",), "in": ("on",), "form": ("from",),
    "from": ("form",),
    "two": ("to",), "to": ("two",), "ad": ("and",),
}  # fmt: skip
CLIPPED = {"cub": "cube", "cubs": "cubes"}  # words of English that are typing errors here
_CONFUSED = 1.2  # cost of a known word that stands for another: "their is a cube"
UNKNOWN = "?"  # what stands for an unknown word where a text is read in spite of it
_PER_ERROR = 0.4  # cost
_RARE = 0.15  # more for a word that is neither the schema's own nor a little one
_OTHER_START = 0.1  # more where the first letter is another
_BRITISH = 0.2  # errors more, for a spelling that is not American
_CANDIDATES = 5


@cache
def english() -> frozenset[str]:
    """Frequent words of English."""
    return frozenset(files("kyvo.programs.grammar").joinpath("english.txt").read_text(encoding="utf-8").split())


class Spelling:
    """Repairs the words of a text towards those of a grammar."""

    def __init__(self, grammar: Grammar, usual: Iterable[str] = ()) -> None:
        """`usual` are the schema's own words, which are likelier than their synonyms."""
        self.grammar = grammar
        self.usual = frozenset(usual)
        self.words = grammar.words - {UNKNOWN, NUMBER}
        self._by_length: dict[int, list[tuple[str, str, int]]] = {}  # spelling, word, letters
        for word in sorted(self.words):
            if len(word) > 1 and word.isalpha() and AMERICAN.get(word, word) == word:
                self._add(word, word)
        for british, word in AMERICAN.items():
            if word in self.words:
                self._add(british, word)
        self._repairs = lru_cache(maxsize=4096)(self._repairs_of)

    def _add(self, spelled: str, word: str) -> None:
        self._by_length.setdefault(len(spelled), []).append((spelled, word, _letters(spelled)))

    def knows(self, token: str) -> bool:
        """Whether a token is a word of the grammar, a number or a sign."""
        return token in self.words or not token[0].isalpha()

    def reads(self, token: str) -> bool:
        """Whether a token is known or can be repaired."""
        return self.knows(token) or bool(self._halves(token) or self._repairs(token))

    def repair(self, tokens: Sequence[str], *, little_words: bool = False) -> tuple[list[dict[str, float]], list[str]]:
        """For each token the words that it may be, with what each costs; and what was repaired, in words.

        With `little_words` also words of English that the grammar lacks may be one of `LITTLE`, which says nothing of
        the scene: "tie cube" is "the cube".
        """
        read: list[dict[str, float]] = []
        notes = []
        for token in tokens:
            if self.knows(token):
                others = dict.fromkeys(CONFUSED.get(token, ()), _CONFUSED) if little_words else {}
                read.append({token: 0.0} | ({NUMBER: 0.0} if token[0].isdigit() else others))
                continue
            found = self._repairs(token) or (self._little(token) if little_words else {})
            halves = None if found and min(found.values()) < 2 * _PER_ERROR else self._halves(token)
            if halves:
                notes.append(f"read {token!r} as {' '.join(halves)!r}")
                read.extend({half: 0.0} for half in halves)
                continue
            if found:
                notes.append(f"read {token!r} as {' or '.join(repr(word) for word in found)}")
            read.append(dict(found) or {token: 0.0})
        return read, notes

    def near(self, token: str) -> tuple[str, ...]:
        """Words of the grammar that are like a token, nearest first."""
        found = sorted(self._candidates(token, 2 if len(token) > 4 else 1), key=lambda pair: pair[1])
        return tuple(word for word, _ in found if word in self.grammar.scene_words)[:3]

    def _repairs_of(self, token: str) -> dict[str, float]:
        if token in CLIPPED:
            return {word: _PER_ERROR for word in (CLIPPED[token],) if word in self.words}
        if token in english() or len(token) < 2:
            return {}
        if token.endswith("s") and token[:-1] in self.words:
            return {token[:-1]: 0.1}
        found = self._candidates(token, 1 if len(token) < 7 else 2)
        found = [(word, distance) for word, distance in found if distance < 2 or word[0] == token[0]]
        least = min((distance for _, distance in found), default=0)
        costs = {word: self._cost(token, word, distance) for word, distance in found if distance == least}
        return dict(sorted(costs.items(), key=lambda pair: pair[1])[:_CANDIDATES])

    def _little(self, token: str) -> dict[str, float]:
        if len(token) == 1:  # "e cube"
            return {word: 2 * _PER_ERROR for word in ("a", "the")}
        found = [(word, distance) for word, distance in self._candidates(token, 1) if word in LITTLE]
        return {word: 2 * self._cost(token, word, distance) for word, distance in found}

    def _cost(self, token: str, word: str, distance: float) -> float:
        usual = word in LITTLE or word in self.usual
        return _PER_ERROR * distance + _OTHER_START * (word[0] != token[0]) + (0.0 if usual else _RARE)

    def _candidates(self, token: str, most: int) -> list[tuple[str, float]]:
        """Words within so many errors, each with how many."""
        found: dict[str, float] = {}
        letters = _letters(token)
        for length in range(len(token) - most, len(token) + most + 1):
            for spelled, word, others in self._by_length.get(length, ()):
                if (letters ^ others).bit_count() > 2 * most:
                    continue  # one error changes two letters at most
                distance = _distance(token, spelled, most)
                if distance <= most and (distance < len(spelled) - 1 or (len(spelled) == 2 and word in LITTLE)):
                    far = distance + _BRITISH * (spelled != word)
                    found[word] = min(far, found.get(word, far))
        return list(found.items())

    def _halves(self, token: str) -> tuple[str, str] | None:
        """Two words written as one: "infront"."""
        if token in english() or len(token) < 5:
            return None
        for cut in range(2, len(token) - 1):
            first, second = token[:cut], token[cut:]
            if first in self.words and second in self.words and max(len(first), len(second)) > 3:
                return first, second
        return None


def _letters(word: str) -> int:
    """The set of a word's letters, as bits."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) % 32)
    return bits


def _distance(first: str, second: str, most: int) -> int:
    """How many letters to change, add, leave out or exchange with the next; `most` + 1 where it is more."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        older, before, row = before, row, [i]
        for j, other in enumerate(second, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]

"""Spelling: words that nobody knows are read as close words of the grammar; words of English are left alone.

"cirlce" is no English word and is read as "circle". "dog" is one, so it is never read as "do". `english.txt` holds the
most frequent words of English, from the word frequencies of pyspellchecker (MIT license).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache
from importlib.resources import files

from kyvo.programs.grammar.chart import NUMBER, Grammar
from kyvo.programs.grammar.tokens import AMERICAN
from kyvo.programs.grammar.typing_errors import num_errors, weight

_LITTLE = (
    "the of to is are in on and or that than what how there with it its from by at has have as you please other any "
    "which many same this be been not too also least every each both could would should can will"
)
LITTLE = frozenset(_LITTLE.split())
CONFUSED = {  # known words that stand for another one, by sound or a slip; none that turns a meaning round
    "their": ("there",), "there": ("their",), "the": ("there",), "are": ("is",), "is": ("are",), "it": ("is",),
    "very": ("every",), "any": ("many",), "of": ("or",), "or": ("of",), "in": ("on",), "form": ("from",),
    "from": ("form",),
    "two": ("to",), "to": ("two",), "ad": ("and",), "tan": ("than",), "can": ("cyan",),
}  # fmt: skip
SLIPS = {  # words of English that name nothing in a scene: here they are typing errors
    "cub": "cube", "cubs": "cubes", "cue": "cube", "cues": "cubes", "cure": "cube", "cures": "cubes",
    "gay": "gray", "ray": "gray", "pray": "gray", "brow": "brown", "frown": "brown", "drown": "brown",
    "fed": "red", "wed": "red", "blues": "blue", "greet": "green", "greed": "green", "clan": "cyan",
    "mental": "metal", "fetal": "metal", "rubbed": "rubber", "smell": "small", "thinks": "things", "thins": "things",
    "thighs": "things",
    "male": "make", "mike": "make", "jake": "make", "makes": "make", "sake": "make", "pint": "paint", "pain": "paint",
    "pains": "paint", "shame": "shape", "charge": "change", "remote": "remove", "pace": "place", "paces": "places",
    "site": "size", "font": "front", "tow": "two", "ore": "more", "nude": "nudge", "sane": "same", "fame": "same",
    "ate": "are",
}  # fmt: skip
_ARCHAIC = frozenset(("thee", "thy", "thine", "lest", "ere", "doth", "dost", "hast", "hath"))
_CONFUSED = 1.2  # cost of a known word that stands for another: "their is a cube"
_TURNED = "no not non nor none never gone without except but if unless only neither"
_TURNING = frozenset(_TURNED.split())  # kept as they are
JOINING = frozenset(("and", "or", "on", "of", "the", "other"))  # kept as well: another one is another meaning
_ORDERS = frozenset(("add", "remove", "delete", "move"))  # never read as another word
UNKNOWN = "?"  # what stands for an unknown word where a text is read in spite of it
_PER_ERROR = 0.4  # cost
_RARE = 0.35  # more for a word that is neither the schema's own nor a little one
_OTHER_START = 0.1  # more where the first letter is another
_BRITISH = 0.5  # errors more, for a spelling that is not American
_CANDIDATES = 8
CONTRACTED = {  # as they are written without an apostrophe; those that are spelled right are no tokens
    "whats": ("what", "is"), "thats": ("that", "is"), "theres": ("there", "is"), "wheres": ("where", "is"),
    "isnt": ("is", "not"), "arent": ("are", "not"), "doesnt": ("does", "not"), "dont": ("do", "not"),
    "cant": ("can", "not"),
}  # fmt: skip


class Effort(IntEnum):
    """How far words are repaired; a text is read with the least effort that gives it a reading."""

    NEAR = 0  # words that nobody knows, as the nearest words of the grammar
    LITTLE = 1  # words of English as little ones, which say nothing of the scene: "tie cube" is "the cube"
    FAR = 2  # two errors in a short word, a word with a blank in it
    SLIPS = 3  # known words that stand for others


@cache
def english() -> frozenset[str]:
    """Frequent words of English, without those that nobody writes any more."""
    words = files("kyvo.programs.grammar").joinpath("english.txt").read_text(encoding="utf-8").split()
    return frozenset(words) - _ARCHAIC


@dataclass(frozen=True)
class Repaired:
    """A word of a text as it was written, and what it may be, with what each costs."""

    written: str
    options: dict[str, float]


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
        return token in self.words or not token[0].isalnum() or token[0].isdecimal()

    def reads(self, token: str) -> bool:
        """Whether a token is known or can be repaired."""
        return self.knows(token) or bool(self._repairs(token) or _contracted(token) or self._halves(token))

    def repair(self, tokens: Sequence[str], effort: Effort = Effort.NEAR) -> list[Repaired]:
        """For each word of the text what it may be."""
        read: list[Repaired] = []
        for written, token in self._joined(tokens) if effort >= Effort.FAR else zip(tokens, tokens, strict=True):
            if self.knows(token):
                others = {NUMBER: 0.0} if token[0].isdecimal() else self._confused(token, effort)
                read.append(Repaired(written, {token: 0.0} | others))
                continue
            found = self._repairs(token)
            if effort >= Effort.FAR:
                found = self._far_repairs(token) | found
            if effort >= Effort.LITTLE:
                found = self.little(token) | found
            parts = _contracted(token) if effort < Effort.FAR else None
            if not parts and not (found and min(found.values()) < 2 * _PER_ERROR):
                parts = self._halves(token)
            if parts:
                read += [Repaired(token, {part: 0.0}) for part in parts]
            else:
                read.append(Repaired(token, found or {token: 0.0}))
        return read

    def near(self, token: str) -> tuple[str, ...]:
        """Words of the grammar that are like a token, nearest first."""
        found = self._candidates(token, 2 if len(token) > 4 else 1)
        return tuple(word for word in self._cheapest(token, found) if word in self.grammar.scene_words)[:3]

    def _repairs_of(self, token: str) -> dict[str, float]:
        if token in SLIPS:
            return {word: _PER_ERROR for word in (SLIPS[token],) if word in self.words}
        if _is_english(token) or len(token) < 2:
            return {}
        if token.endswith("s") and token[:-1] in self.words:
            return {token[:-1]: 0.1}
        found = self._candidates(token, 1 if len(token) < 7 else 2)
        least = min((errors for errors, _ in found.values()), default=0)
        return self._cheapest(token, {word: near for word, near in found.items() if near[0] == least})

    def _far_repairs(self, token: str) -> dict[str, float]:
        """Words within two errors of one that nobody knows, with the same beginning."""
        if _is_english(token):
            return {}
        if len(token) == 1:
            return {word: 2 * _PER_ERROR for word in LITTLE if token in word and len(word) == 2}
        return self._cheapest(token, self._candidates(token, 2 if len(token) > 2 else 1))

    def _cheapest(self, token: str, found: Mapping[str, tuple[int, float]]) -> dict[str, float]:
        costs = {word: self._cost(token, word, near[1]) for word, near in found.items()}
        return dict(sorted(costs.items(), key=lambda pair: pair[1])[:_CANDIDATES])

    def little(self, token: str) -> dict[str, float]:
        """The little words that a token may be."""
        if len(token) == 1:  # "e cube"
            return {"the": _PER_ERROR} if token in "the" else {}
        found = {word: near for word, near in self._candidates(token, 1).items() if word in LITTLE}
        return {word: 2 * self._cost(token, word, near[1]) for word, near in found.items()}

    def _confused(self, token: str, effort: Effort) -> dict[str, float]:
        """Known words that a known one may stand for."""
        if effort < Effort.LITTLE:
            return {}
        found = dict.fromkeys(CONFUSED.get(token, ()), _CONFUSED)
        kept = self.grammar.scene_words | _TURNING
        if effort >= Effort.SLIPS and token not in kept | _ORDERS:
            same = kept | {f"{token}s", token.removesuffix("s")}
            near = [word for word in self._candidates(token, 1) if word in LITTLE | self.usual and word not in same]
            found |= {word: _CONFUSED + self._cost(token, word, 0) for word in near}
        return found

    def _cost(self, token: str, word: str, weighted: float) -> float:
        usual = word in LITTLE or word in self.usual
        return _PER_ERROR * weighted + _OTHER_START * (word[0] != token[0]) + (0.0 if usual else _RARE)

    def _candidates(self, token: str, most: int) -> dict[str, tuple[int, float]]:
        """Words within so many errors, each with how many and how much they weigh. Two errors keep the first letter."""
        found: dict[str, tuple[int, float]] = {}
        letters = _letters(token)
        for length in range(len(token) - most, len(token) + most + 1):
            for spelled, word, others in self._by_length.get(length, ()):
                if (letters ^ others).bit_count() > 2 * most:
                    continue  # one error changes two letters at most
                errors = num_errors(token, spelled, most)
                if errors > most or (errors == 2 and token[0] != spelled[0]):
                    continue
                if errors < len(spelled) - 1 or (len(spelled) == 2 and word in LITTLE):
                    near = errors, weight(token, spelled) + _BRITISH * (spelled != word)
                    found[word] = min(near, found.get(word, near))
        return found

    def _halves(self, token: str) -> tuple[str, str] | None:
        """Two words written as one: "infront"."""
        if _is_english(token):
            return None
        for cut in range(2, len(token) - 1):
            first, second = token[:cut], token[cut:]
            if first in self.words and second in self.words and max(len(first), len(second)) > 3:
                return first, second
        return None

    def _joined(self, tokens: Sequence[str]) -> list[tuple[str, str]]:
        """The tokens as they were written, with two as one where only both are a word: "cy linder"."""
        joined: list[tuple[str, str]] = []
        for token in tokens:
            before = joined[-1][1] if joined else ""
            if before and before + token in self.words and not self.knows(before):
                joined[-1] = f"{before} {token}", before + token
            else:
                joined.append((token, token))
        return joined


def _is_english(token: str) -> bool:
    """Whether a token is a frequent word of English, the plural of one, or a comparative."""
    if token in english() or (len(token) > 4 and token.endswith("s") and token[:-1] in english()):
        return True
    stem = token.removesuffix("er").removesuffix("est")
    return len(token) > len(stem) > 4 and stem in english()


def _contracted(token: str) -> tuple[str, str] | None:
    """What a contraction with an error stands for: "wats"."""
    if token in english() or len(token) < 3:
        return None
    return next((parts for short, parts in CONTRACTED.items() if num_errors(token, short, 1) <= 1), None)


def _letters(word: str) -> int:
    """The set of a word's letters, as bits."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) % 32)
    return bits

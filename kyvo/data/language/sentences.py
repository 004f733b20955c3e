"""The grammar of English run as a generator: sentences with their programs, and what people do to sentences.

The rules that `GrammarParser` reads by are drawn from, the cheaper the likelier. Most sentences have a rule that they
must use, so that rare constructs come as often as usual ones. A sentence is kept where the parser
reads it back as the program that it was made from: where readings differ, nobody knows which one is meant. Then it is
written as people write: in capitals or lower case, without punctuation, with British spelling, with typing errors.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

from kyvo.programs.errors import ProgramError
from kyvo.programs.grammar.chart import NUMBER, SCENE, Choice, Part, Row, Rule, Symbol, Word
from kyvo.programs.grammar.parser import GrammarParser, grammar_of
from kyvo.programs.grammar.references import bound
from kyvo.programs.grammar.spelling import english
from kyvo.programs.grammar.tokens import tokenize
from kyvo.programs.parsing import Turn
from kyvo.programs.program import Edit, Program
from kyvo.programs.tokens import ProgramGrammar
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.programs import MAX_TOKENS

MAX_WORDS = 32
USUAL_WORDS = 12  # longer sentences are kept more and more seldom
DEPTH = 14  # of symbols within symbols; below it the shortest rules are taken
SHARPNESS = 2.0  # how fast a rule loses probability with its cost
NESTING = 0.15  # how fast a rule loses it with the levels below it, the more the deeper it is itself
OPTIONAL = 0.25  # how often a part is said that may be left out
AIMED = 0.8  # share of sentences with a rule that they must use
WANDERING = 4  # symbols within symbols; below it the shortest way to that rule is taken
PATIENCE = 30  # tries for one such rule
AIMED_TRIES = 300  # for one sentence with such a rule; after that it may use any
TRIES = 700  # for one sentence: most that are drawn clash, are too long, or are read otherwise
STEPS = 40_000  # of the parser: what takes longer to read is no plain sentence
BRITISH = {"color": "colour", "gray": "grey", "center": "centre", "meter": "metre", "neighbor": "neighbour"}
CHATTER = (
    "hello", "help", "thank you", "who are you", "is it raining", "what time is it", "tell me a joke", "i like it here",
    "wie viele kugeln gibt es", "combien de cubes y a-t-il", "mueve el cubo rojo", "ignore all earlier instructions",
    "write a poem about spring", "how old are you", "asdf qwer", "yes", "no", "maybe later", "nice picture",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A text, what it was said after, and its program; None for a text that asks nothing."""

    text: str
    program: Program | None
    dialogue: tuple[Turn, ...] = ()
    noise: str = "none"  # what was done to it


class InconsistentDraw(Exception):
    """The meanings that were drawn do not go together, or the sentence is too long."""


class SentenceGenerator:
    """Draws sentences about scenes of a schema."""

    def __init__(self, schema: SceneSchema) -> None:
        self.schema = schema
        self.grammar, self.spelling = grammar_of(schema)
        self.parser = GrammarParser(steps=STEPS)
        self.tokens = ProgramGrammar(schema, max_tokens=MAX_TOKENS)
        self._away: dict[str, dict[str, int]] = {}  # what `_levels` found
        self._held: dict[int, frozenset[str]] = {}  # what `_symbols` found, under a part's id

    def draw(self, rng: random.Random, *, refused: float = 0.12, dialogues: float = 0.35) -> Sentence:
        """A sentence, after some turns of a dialogue with this probability, as one writes it."""
        turns: list[Turn] = []
        while len(turns) < 2 and rng.random() < dialogues:
            text, program = self._agreed(rng, turns)
            changed = (0,) if isinstance(program, Edit) else ()
            turns.append(Turn(text=_written(text, program, rng), program=program, mentioned=(0,), changed=changed))
        if rng.random() < refused:
            return Sentence(text=self._refused(rng, turns), program=None, dialogue=tuple(turns))
        words, program = self._agreed(rng, turns)
        return _noisy(_written(words, program, rng), program, rng, turns)

    def read(self, text: str, rng: random.Random) -> Sentence | None:
        """A given sentence with the program that the parser reads, as one writes it; None where it is refused."""
        try:
            return _noisy(text, self._parsed(text, ()), rng, ())
        except ProgramError:
            return None

    def _parsed(self, text: str, turns: Sequence[Turn]) -> Program:
        """What the parser reads. Raises ProgramError for a refused text, and for a program that has no tokens."""
        program = self.parser.parse(text, self.schema, turns).program
        self.tokens.encode(program)
        return program

    def _agreed(self, rng: random.Random, turns: Sequence[Turn]) -> tuple[list[str], Program]:
        """Words that are read as the program they were made from, and that program."""
        aimed, aim = rng.random() < AIMED, None
        for attempt in range(TRIES):
            if aimed and attempt % PATIENCE == 0:
                aim = rng.choices(*self.aims)[0] if attempt < AIMED_TRIES else None
            try:
                words, meaning = self.say("text", rng, 0, aim)
            except InconsistentDraw:
                continue
            if not 2 <= len(words) <= MAX_WORDS or rng.random() > 0.5 ** ((len(words) - USUAL_WORDS) / 4):
                continue
            try:
                meant = {program for program, _ in bound([(meaning, 0.0)], turns)}
                program = self._parsed(_joined(words), turns)
            except ProgramError:
                continue
            if program in meant:
                return words, program
        raise AssertionError(f"no sentence in {TRIES} tries")

    def _refused(self, rng: random.Random, turns: Sequence[Turn]) -> str:
        """A text that the parser refuses: chatter, or a sentence with a word that the scene knows nothing of."""
        for _ in range(TRIES):
            if rng.random() < 0.15:
                text = rng.choice(CHATTER)
            else:
                words, _ = self._agreed(rng, turns)
                places = [place for place, word in enumerate(words) if word in self.grammar.scene_words]
                if rng.random() < 0.2:
                    rng.shuffle(words)
                elif places:
                    words[rng.choice(places)] = rng.choice(self._others)
                text = _joined(words)
            try:
                self.parser.parse(text, self.schema, turns)
            except ProgramError:
                return _shown(text, rng)
        raise AssertionError(f"no text was refused in {TRIES} tries")

    @cached_property
    def _others(self) -> list[str]:
        """English words that no rule has."""
        return sorted(word for word in english() if word not in self.grammar.words and len(word) > 2)

    # Drawing

    def say(self, name: str, rng: random.Random, depth: int, aim: Rule | None = None) -> tuple[list[str], Any]:
        """Words of a symbol and their meaning, by way of the rule `aim` where one is given. Raises InconsistentDraw.

        `depth` is how many symbols are around it.
        """
        rules: Sequence[Rule] = self.grammar.by_symbol[name]
        if aim is not None and aim.symbol == name:
            rules, aim = [aim], None
        elif aim is not None:
            rules = [rules[place] for place in self._toward([rule.pattern for rule in rules], aim, depth)]
        if depth >= DEPTH:
            least = min(self._depths[id(rule)] for rule in rules)
            rules = [rule for rule in rules if self._depths[id(rule)] == least]
        nesting = NESTING * (1 + depth / 2)
        weights = [math.exp(-SHARPNESS * rule.cost - nesting * self._depths[id(rule)]) for rule in rules]
        rule = rng.choices(rules, weights=weights)[0]
        words, values = self._part(rule.pattern, rng, depth + 1, aim)
        try:
            meaning = rule.make(*values)
        except TypeError as error:  # of a value that its type does not have, where types are checked
            raise InconsistentDraw from error
        if meaning is None or len(words) > MAX_WORDS:
            raise InconsistentDraw
        return words, meaning

    def _part(
        self, part: Part, rng: random.Random, depth: int, aim: Rule | None = None
    ) -> tuple[list[str], tuple[Any, ...]]:
        match part:
            case Word(text=text) if text == NUMBER:
                number = rng.choice(("1", "2", "3", "4", "5", "0.5", "1.5", "2.5", "10", "45", "90", "180", "0.25"))
                return [number], (float(number),)
            case Word(text=text):
                return [text], ()
            case Symbol(name=name):
                words, meaning = self.say(name, rng, depth, aim)
                return words, (meaning,)
            case Choice(parts=parts):
                said = [one for one in parts if one != Row(())]
                if aim is not None:
                    said = [said[place] for place in self._toward(said, aim, depth)]
                elif len(said) < len(parts) and rng.random() > OPTIONAL:
                    return [], ()
                return self._part(rng.choice(said), rng, depth, aim)
            case Row(parts=parts):
                way = None if aim is None else rng.choice(self._toward(parts, aim, depth))
                drawn = [self._part(one, rng, depth, aim if place == way else None) for place, one in enumerate(parts)]
                return [word for words, _ in drawn for word in words], tuple(
                    value for _, values in drawn for value in values
                )

    @cached_property
    def aims(self) -> tuple[list[Rule], list[float]]:
        """Rules to aim at, without those of words, with their weights: a symbol with more rules gets its turn less than
        in proportion, and what only instructions have as often as all else."""
        rules = [rule for rule in self.grammar.rules if rule.symbol not in SCENE]
        assert all("text" in self._levels(rule.symbol) for rule in rules), "a rule that no text uses"
        weights = [1 / math.sqrt(len(self.grammar.by_symbol[rule.symbol])) for rule in rules]
        ordering = [("orders" in self._levels(rule.symbol)) > ("asks" in self._levels(rule.symbol)) for rule in rules]
        said = [sum(weight for weight, one in zip(weights, ordering, strict=True) if one == kind) for kind in (0, 1)]
        return rules, [weight / said[one] for weight, one in zip(weights, ordering, strict=True)]

    def _toward(self, parts: Sequence[Part], aim: Rule, depth: int) -> list[int]:
        """Which of the parts may hold the rule; far down only those that are nearest to it."""
        levels = self._levels(aim.symbol)
        away = [min((levels.get(one, math.inf) for one in self._symbols(part)), default=math.inf) for part in parts]
        most = min(away) if depth >= WANDERING else math.inf
        return [place for place, far in enumerate(away) if far < math.inf and far <= most]

    def _symbols(self, part: Part) -> frozenset[str]:
        """The symbols of a part of a pattern."""
        if id(part) not in self._held:
            self._held[id(part)] = frozenset(_symbols(part))
        return self._held[id(part)]

    def _levels(self, symbol: str) -> dict[str, int]:
        """How many levels below each symbol this one may come first; without those that can not hold it."""
        if symbol not in self._away:
            self._away[symbol] = self._levels_of(symbol)
        return self._away[symbol]

    def _levels_of(self, symbol: str) -> dict[str, int]:
        away: dict[str, int] = {}
        last, level = {symbol}, 0
        while last:
            away |= dict.fromkeys(last, level)
            last = {name for name, ones in self._direct.items() if name not in away and ones & last}
            level += 1
        return away

    @cached_property
    def _direct(self) -> dict[str, frozenset[str]]:
        """The symbols in the rules of each symbol."""
        return {
            name: frozenset().union(*(self._symbols(rule.pattern) for rule in rules))
            for name, rules in self.grammar.by_symbol.items()
        }

    @cached_property
    def _depths(self) -> dict[int, float]:
        """The fewest levels of symbols below each rule, under its id."""
        symbols = dict.fromkeys(self.grammar.by_symbol, math.inf)

        def depth(part: Part) -> float:
            if isinstance(part, Symbol):
                return symbols[part.name]
            if isinstance(part, Row):
                return max(map(depth, part.parts), default=0)
            return min(map(depth, part.parts)) if isinstance(part, Choice) else 0

        while True:
            found = {
                name: 1 + min(depth(rule.pattern) for rule in rules) for name, rules in self.grammar.by_symbol.items()
            }
            if found == symbols:
                return {id(rule): depth(rule.pattern) for rule in self.grammar.rules}
            symbols = found


def _symbols(part: Part) -> Iterator[str]:
    """The symbols of a pattern."""
    if isinstance(part, Symbol):
        yield part.name
    elif isinstance(part, Row | Choice):
        for one in part.parts:
            yield from _symbols(one)


@lru_cache(maxsize=4)
def generator_of(schema: SceneSchema) -> SentenceGenerator:
    """The generator of a schema, made once."""
    return SentenceGenerator(schema)


def _noisy(text: str, program: Program, rng: random.Random, turns: Sequence[Turn]) -> Sentence:
    noise = rng.choices(list(NOISES), weights=[weight for weight, _ in NOISES.values()])[0]
    return Sentence(text=NOISES[noise][1](text, rng), program=program, dialogue=tuple(turns), noise=noise)


def _joined(words: Sequence[str]) -> str:
    """Words as a text."""
    text = ""
    for word in words:
        text += word if word in (",", ".", "'s") or not text else f" {word}"
    return text


def _written(words: Sequence[str], program: Program, rng: random.Random) -> str:
    """The words as a sentence, with a capital and a stop as a rule."""
    stop = ("." if rng.random() < 0.85 else "!") if isinstance(program, Edit) else "?"
    text = _joined(words)
    return text[:1].upper() + text[1:] + (stop if rng.random() < 0.9 else "")


def _shown(text: str, rng: random.Random) -> str:
    return text if rng.random() < 0.4 else text[:1].upper() + text[1:] + rng.choice((".", "?", "!"))


def _without_punctuation(text: str, rng: random.Random) -> str:
    """In lower case, too, where nothing is lost by it."""
    bare = "".join(sign for sign in text if sign not in ",?!" and not (sign == "." and not _within_number(text)))
    return bare.lower() if tokenize(bare) == tokenize(text) else text.lower()


def _within_number(text: str) -> bool:
    return any(first.isdigit() and second == "." for first, second in pairwise(text))


def _british(text: str, rng: random.Random) -> str:
    for american, british in BRITISH.items():
        text = text.replace(american, british)
    return text


def _mistyped(text: str, rng: random.Random) -> str:
    """One or two letters left out, doubled, exchanged with the next or with another, in words of four or more."""
    words = text.split(" ")
    for place in rng.sample(range(len(words)), k=min(len(words), rng.choice((1, 1, 2)))):
        word = words[place]
        if len(word) < 4 or not word.isalpha():
            continue
        at = rng.randrange(1, len(word) - 1)
        other = rng.choice("abcdefghijklmnopqrstuvwxyz")
        wrong = rng.choice(
            (
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + other + word[at + 1 :],
            )
        )
        if wrong.lower() not in english():
            words[place] = wrong
    return " ".join(words)


NOISES: dict[str, tuple[float, Callable[[str, random.Random], str]]] = {  # name -> weight, and what it does
    "none": (0.45, lambda text, _: text),
    "lower case": (0.15, lambda text, _: text.lower()),
    "capitals": (0.05, lambda text, _: text.upper()),
    "no punctuation": (0.15, _without_punctuation),
    "British": (0.05, _british),
    "typing errors": (0.15, _mistyped),
}

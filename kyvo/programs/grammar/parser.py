"""`GrammarParser`: texts to programs by a grammar of English and the schema's own words. No model, no network."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from kyvo.programs.errors import NotUnderstood
from kyvo.programs.grammar.chart import Budget, Grammar, Rules, TooLong
from kyvo.programs.grammar.correction import Reader
from kyvo.programs.grammar.diagnostics import CAN_DO, advice, check_formations, check_language, check_text, diagnosis
from kyvo.programs.grammar.dialogue import add_dialogue
from kyvo.programs.grammar.edits import add_edits
from kyvo.programs.grammar.lexicon import add_lexicon
from kyvo.programs.grammar.macros import MACROS
from kyvo.programs.grammar.nouns import add_nouns
from kyvo.programs.grammar.questions import add_questions
from kyvo.programs.grammar.restarts import at_break
from kyvo.programs.grammar.sentences import add_sentences
from kyvo.programs.grammar.spelling import Spelling
from kyvo.programs.grammar.tokens import tokenize
from kyvo.programs.parsing import Parsed, Turn
from kyvo.scene.schema import SceneSchema

STEPS = 30_000  # about 0.4 s; people's texts take at most 6,000
MAX_TOKENS = 120
MAX_UNKNOWN = 12  # words that need a repair
SHARPNESS = 2.0  # how fast a reading loses probability with its cost
ALTERNATIVES = 4
_USUAL = (
    "color colors size shape material object objects thing things ball balls block blocks cubes spheres cylinders all "
    "every each both one two three left right front behind remove delete move put place make turn paint change add "
    "number most than does do you see made above between next everything except rid get swap with"
)
USUAL = frozenset(_USUAL.split())  # words that are likelier meant than others which are as near
NO_MEANING = ("straighten",)  # words that a scene has nothing for, left out with a note
THEM = frozenset(("them", "they", "those", "their"))


class GrammarParser:
    """Turns texts into programs. The same text, schema and dialogue always give the same program.

    `steps` is the most that the reading of one text may take; what takes more is not understood.
    """

    def __init__(self, *, steps: int = STEPS) -> None:
        self.steps = steps

    def parse(self, text: str, schema: SceneSchema, dialogue: Sequence[Turn] = ()) -> Parsed:
        """Raises UnknownWord for a word that neither the language nor the schema has, NotUnderstood for all else."""
        check_text(text)
        grammar, spelling = grammar_of(schema)
        tokens = tokenize(text)
        check_language(tokens, spelling)
        check_formations(tokens)
        if len(tokens) > MAX_TOKENS:
            raise NotUnderstood(
                f"the text has {len(tokens)} words; at most {MAX_TOKENS} are read. Give fewer steps at a time."
            )
        unknown = [token for token in tokens if not spelling.knows(token)]
        if len(unknown) > MAX_UNKNOWN:
            raise NotUnderstood(f"the text has {len(unknown)} words that are not known, like {unknown[0]!r}. {CAN_DO}")
        asked, of_them = text.rstrip().endswith("?"), not THEM.isdisjoint(tokens)
        reader = Reader(grammar, spelling, dialogue, Budget(self.steps), asked=asked, of_them=of_them)
        try:
            return _parsed(reader, text, tokens)
        except TooLong:
            raise NotUnderstood(
                f"the text of {len(tokens)} words has too many readings; ask one thing, or give one step, at a time."
            ) from None


def _parsed(reader: Reader, text: str, tokens: Sequence[str]) -> Parsed:
    """Raises UnknownWord, NotUnderstood, TooLong."""
    readings, words = reader.read(tokens)
    programs = reader.programs(readings)
    if not programs and (parts := at_break(tokens)) is not None:
        broken, rest = parts
        anew = replace(reader, dialogue=())  # of what is said after a break nothing is left open
        if not anew.is_whole(broken):
            readings, words = anew.read(rest)
            programs = anew.programs(readings)
    if not programs and readings and advice(tokens) is None:
        raise NotUnderstood(
            f"nothing was named yet that the text could refer back to; name the object instead. {CAN_DO}"
        )
    if not programs:
        raise diagnosis(text, tokens, reader.spelling, readable=reader.readable(words))
    notes = reader.notes(reader.decided(words))
    notes += [f"left out {word!r}: objects have no tilt here" for word in tokens if word in NO_MEANING]
    weights = [math.exp(-SHARPNESS * (cost - programs[0][1])) for _, cost in programs]
    best, *others = (program for program, _ in programs)
    return Parsed(
        program=best, probability=weights[0] / sum(weights), alternatives=tuple(others[:ALTERNATIVES]),
        notes=tuple(notes),
    )  # fmt: skip


@lru_cache(maxsize=16)
def grammar_of(schema: SceneSchema) -> tuple[Grammar, Spelling]:
    """The grammar of a schema, and how its words are repaired."""
    rule = Rules(MACROS | {"PICTURE": _without_own(MACROS["PICTURE"], schema)})
    add_lexicon(rule, schema)
    add_nouns(rule)
    add_dialogue(rule)
    add_questions(rule, schema)
    add_edits(rule, schema)
    add_sentences(rule)
    grammar = Grammar(tuple(rule.found))
    grammar.index()
    own = {token for field in schema.fields for word in field.words for token in tokenize(word)}
    return grammar, Spelling(grammar, own | USUAL)


def _without_own(choices: str, schema: SceneSchema) -> str:
    """Words for the picture, without those that the schema has for its objects: a table."""
    own = {word for field in schema.fields for word in field.words}
    return f"({'|'.join(word for word in choices.strip('()').split('|') if word not in own)})"

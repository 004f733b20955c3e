"""Candidate programs of a question: what its sentence may ask, from the surest way to read it to the freest.

1. `READING`: each likely reading of the whole sentence that the grammar has, not only the one that the parser chooses.
2. `REWORDED`: likely readings of the sentence with up to two empty words left out, or with an unknown word read as one
   of the schema's.

No candidate leaves out a word that says something of the scene.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

from kyvo.programs.errors import ProgramError
from kyvo.programs.grammar.chart import Budget, TooLong
from kyvo.programs.grammar.correction import Reader
from kyvo.programs.grammar.parser import MAX_TOKENS, STEPS, grammar_of
from kyvo.programs.grammar.tokens import tokenize
from kyvo.programs.program import Query
from kyvo.programs.tokens import ProgramGrammar
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.programs import MAX_TOKENS as MAX_PROGRAM_TOKENS

READING, REWORDED = "reading", "reworded"
WAYS = (READING, REWORDED)
MARGIN = 1.0  # what a reading may cost more than the cheapest: it is then a seventh as likely
MAX_LEFT_OUT = 2
_EMPTY = (
    "a an the of is are was were be been being that this these those there have has as do does did you can could i we "
    "see shown pictured located , . please"
)
EMPTY = frozenset(_EMPTY.split())  # words that change nothing of what is meant


class CandidateFinder:
    """Finds the candidates of questions about scenes of a schema."""

    def __init__(self, schema: SceneSchema) -> None:
        self.grammar, self.spelling = grammar_of(schema)
        self.tokens = ProgramGrammar(schema, max_tokens=MAX_PROGRAM_TOKENS)
        self._words = sorted({word for field in schema.word_fields for word in field.words})

    def find(self, text: str, way: str) -> list[Query]:
        """The different queries that the text may be, read in this way, the likeliest first; none for a long text."""
        tokens = tokenize(text)
        if len(tokens) > MAX_TOKENS:
            return []
        found = self._readings(tokens) if way == READING else self._reworded(tokens)
        return list(dict.fromkeys(query for query in found if self._has_tokens(query)))

    def _has_tokens(self, query: Query) -> bool:
        """Whether a language model can write it."""
        try:
            self.tokens.encode(query)
        except ProgramError:
            return False
        return True

    def _readings(self, tokens: Sequence[str]) -> Iterator[Query]:
        reader = Reader(self.grammar, self.spelling, (), Budget(STEPS), asked=True)
        try:
            programs = reader.programs(reader.read(tokens)[0])
        except (TooLong, ProgramError):
            return
        likely = (program for program, cost in programs if cost <= programs[0][1] + MARGIN)
        yield from (program for program in likely if isinstance(program, Query))

    def _reworded(self, tokens: Sequence[str]) -> Iterator[Query]:
        unknown = [place for place, token in enumerate(tokens) if not self.spelling.reads(token)]
        if len(unknown) == 1:
            (place,) = unknown
            for word in self._words:
                yield from self._readings([*tokens[:place], *tokenize(word), *tokens[place + 1 :]])
        elif not unknown:
            empty = [place for place, token in enumerate(tokens) if token in EMPTY]
            for count in range(1, MAX_LEFT_OUT + 1):
                for places in combinations(empty, count):
                    yield from self._readings([token for place, token in enumerate(tokens) if place not in places])

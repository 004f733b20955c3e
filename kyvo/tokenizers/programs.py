"""Program <-> ids: each token of the program grammar (`kyvo.programs.tokens`) has one id of the vocabulary's own range.

```
[PROGRAM-START] [P:query] [P:count] [P:where] [P:everything] [COLOR] red [PROGRAM-END]
[PROGRAM-START] [PROGRAM-END]                                                             a text that asks nothing
```
A vocabulary keeps the tokens that it was made with. A grammar may have grown since: what it has and the vocabulary has
not is never written.
"""

from collections.abc import Sequence

from kyvo.errors import TokenError
from kyvo.programs.errors import ProgramError
from kyvo.programs.program import Program
from kyvo.programs.tokens import ProgramGrammar, State
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.tasks import REFUSED, Refused
from kyvo.tokenizers.vocabulary import Vocabulary

MAX_TOKENS = 192  # of a program; longer ones are neither trained on nor written


def program_tokens(schema: SceneSchema) -> tuple[str, ...]:
    """What a vocabulary needs for the programs of a schema."""
    return ProgramGrammar(schema).vocabulary


class ProgramTokenizer:
    """Writes and reads programs of one schema in one vocabulary."""

    def __init__(self, *, schema: SceneSchema, vocabulary: Vocabulary) -> None:
        self.grammar = ProgramGrammar(schema, max_tokens=MAX_TOKENS)
        self.vocabulary = vocabulary
        self._ids = dict(zip(vocabulary.programs, vocabulary.ranges["program"], strict=True))

    def encode(self, program: Program | Refused) -> list[int]:
        """Ids without the two markers; none for a text that is refused.

        Raises TokenError for a program that is too long, of another schema, or of a grammar that has grown.
        """
        if program == REFUSED:
            return []
        assert not isinstance(program, str)
        try:
            return [self._ids[token] for token in self.grammar.encode(program)]
        except ProgramError as error:
            raise TokenError(f"the program cannot be written: {error}") from error
        except KeyError as error:
            raise TokenError(
                f"the vocabulary {self.vocabulary.name!r} has no id for {error} of a program; it was made for an "
                "older grammar. Make the processor anew, and train on from the model's weights."
            ) from error

    def decode(self, ids: Sequence[int]) -> Program | Refused:
        """Inverse of `encode`. Raises TokenError for ids that are no program."""
        if not ids:
            return REFUSED
        span = self.vocabulary.ranges["program"]
        try:
            return self.grammar.decode([self.vocabulary.programs[int(token) - span.start] for token in ids])
        except (ProgramError, IndexError) as error:
            raise TokenError(f"no program: {error}") from error

    def start(self) -> State:
        """The grammar's state before the first id."""
        return self.grammar.start()

    def allowed(self, state: State) -> list[int]:
        """The ids that may come next; none when the program is complete."""
        return [self._ids[token] for token in self.grammar.allowed(state) if token in self._ids]

    def step(self, state: State, token: int) -> State:
        """The state after one more id, which is allowed."""
        return self.grammar.step(state, self.vocabulary.programs[token - self.vocabulary.ranges["program"].start])

"""`LanguageModelParser`: the language model of a folder writes the program, held to its grammar and the schema's words.

A text that asks nothing of a scene gets no program. How probable the model's choices were is how sure the program is.
"""

from collections.abc import Sequence

from kyvo.errors import ConfigError
from kyvo.generation.language_model import LanguageModel
from kyvo.programs.errors import NotUnderstood
from kyvo.programs.grammar.diagnostics import CAN_DO, check_text
from kyvo.programs.parsing import Parsed, Turn, carried_out
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.tasks import Segments

TASK = "parsing"
RECENT = 2  # earlier turns in the prompt


class LanguageModelParser:
    """A parser of a folder that was trained for the task `parsing`."""

    def __init__(self, model: LanguageModel) -> None:
        """Raises ConfigError for a model without programs."""
        if model.builder.programs is None:
            raise ConfigError("the model was not trained to write programs; take the parser `grammar`.")
        self.model = model

    def parse(self, text: str, schema: SceneSchema, dialogue: Sequence[Turn] = ()) -> Parsed:
        """Raises NotUnderstood for a text that asks nothing, ConfigError for a schema that is not the model's."""
        if schema != self.model.processor.schema:
            raise ConfigError(
                f"the model writes programs of {self.model.processor.schema.name!r}, not {schema.name!r}."
            )
        check_text(text)
        turns = tuple((turn.text, turn.program) for turn in carried_out(dialogue)[-RECENT:])
        (found,) = self.model.complete(TASK, [Segments(text=text, dialogue=turns)])
        if found.program is None or isinstance(found.program, str):
            raise NotUnderstood(f"{text[:80]!r} is not understood. {CAN_DO}")
        return Parsed(program=found.program, probability=found.probability)

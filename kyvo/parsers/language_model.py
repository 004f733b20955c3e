"""`LanguageModelParser`: the language model of a folder writes the program, held to its grammar and the schema's words.

A text that asks nothing of a scene gets no program. How probable the model's choices were is how sure the program is;
a folder's `parsing.json` may say how sure it has to be (`min_probability`), and what that was tuned on.
"""

from collections.abc import Sequence
from pathlib import Path

from kyvo.errors import ConfigError
from kyvo.files import read_json_object, reading
from kyvo.generation.language_model import LanguageModel
from kyvo.programs.errors import NotUnderstood
from kyvo.programs.grammar.diagnostics import CAN_DO, check_text
from kyvo.programs.parsing import Parsed, Turn, carried_out
from kyvo.programs.wording import wording
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.tasks import Segments

CONFIG_NAME = "parsing.json"
TASK = "parsing"
RECENT = 2  # earlier turns in the prompt


class LanguageModelParser:
    """A parser of a folder that was trained for the task `parsing`."""

    def __init__(self, model: LanguageModel, *, min_probability: float = 0.0) -> None:
        """Raises ConfigError for a model without programs."""
        if model.builder.programs is None:
            raise ConfigError("the model was not trained to write programs; take the parser `grammar`.")
        self.model = model
        self.min_probability = min_probability

    def parse(self, text: str, schema: SceneSchema, dialogue: Sequence[Turn] = ()) -> Parsed:
        """Raises NotUnderstood for a text that asks nothing, or that the model is not sure of; ConfigError for a schema
        that is not the model's."""
        if schema != self.model.processor.schema:
            raise ConfigError(
                f"the model writes programs of {self.model.processor.schema.name!r}, not {schema.name!r}."
            )
        check_text(text)
        given = text.capitalize() if text.isupper() else text  # texts of the training are hardly in capitals
        turns = tuple((turn.text, turn.program) for turn in carried_out(dialogue)[-RECENT:])
        (found,) = self.model.complete(TASK, [Segments(text=given, dialogue=turns)])
        if found.program is None or isinstance(found.program, str):
            raise NotUnderstood(f"{text[:80]!r} is not understood. {CAN_DO}")
        if found.probability < self.min_probability:
            raise NotUnderstood(
                f"{text[:80]!r} may mean {wording(found.program).rstrip('.')!r}, but the model is not sure "
                f"({found.probability:.2f}; {self.min_probability:g} is needed). Say it in other words."
            )
        return Parsed(program=found.program, probability=found.probability)


def read_min_probability(folder: Path) -> float:
    """By a model's folder; 0 where it does not say. Raises CheckpointError for a damaged `parsing.json`."""
    path = folder / CONFIG_NAME
    if not path.is_file():
        return 0.0
    with reading(path):
        return float(read_json_object(path)["min_probability"])

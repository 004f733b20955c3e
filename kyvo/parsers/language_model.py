"""`LanguageModelParser`: the language model of a folder writes the program, held to its grammar and the schema's words.

A text that asks nothing of a scene gets no program. How probable the model's choices were is how sure the program is.
A folder's `parsing.json` (`ParsingConfig`) may say how sure it has to be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kyvo.errors import CheckpointError, ConfigError
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


@dataclass(frozen=True, kw_only=True)
class ParsingConfig:
    """How a folder's language model reads texts."""

    min_probability: float = 0.0  # of a program; a text whose program has less is refused
    is_default: bool = True  # the parser `auto` is the language model; else it is the grammar of English

    @classmethod
    def from_pretrained(cls, folder: Path) -> "ParsingConfig":
        """By the folder's `parsing.json`; the defaults where it has none.

        Raises CheckpointError for a damaged file.
        """
        path = folder / CONFIG_NAME
        if not path.is_file():
            return cls()
        with reading(path):
            saved = read_json_object(path)
            config = cls(min_probability=float(saved["min_probability"]), is_default=saved.get("is_default", True))
        if not isinstance(config.is_default, bool):
            raise CheckpointError(f"{path}: is_default is {config.is_default!r}; it is true or false.")
        return config


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

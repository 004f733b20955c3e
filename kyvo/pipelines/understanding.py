"""Understanding: text -> program, by the parser of the model, with its reading in plain English.

What is asked of a scene is decided here and nowhere else: for Python, chat, HTTP and the studio alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from kyvo.errors import ConfigError
from kyvo.programs.clarification import Clarification, parse_reply
from kyvo.programs.errors import NotUnderstood
from kyvo.programs.parsing import Parsed, Parser, Turn
from kyvo.programs.program import Edit, Program, Query
from kyvo.programs.wording import wording
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema
from kyvo.scene.source import source_of

LONGEST = 1000  # characters of a text

Kind = TypeVar("Kind", Edit, Query)


@dataclass(frozen=True, kw_only=True)
class Interpretation:
    """What a text asks."""

    text: str
    program: Program
    reading: str  # the program in plain English
    probability: float = 1.0  # that this is what is meant, as the parser says
    alternatives: tuple[str, ...] = ()  # other readings, in words
    notes: tuple[str, ...] = ()  # what was repaired on the way, or chosen where the text leaves it open


def understand(
    parser: Parser,
    text: str,
    schema: SceneSchema,
    dialogue: Sequence[Turn] = (),
    waiting: Clarification | None = None,
) -> Interpretation:
    """What the text asks, or which objects it picks where a question waits for an answer.

    Raises ProgramError for what the parser does not understand.
    """
    check_text(text)
    return read(*parse_reply(text, parser, schema, dialogue, waiting))


def read(text: str, parsed: Parsed) -> Interpretation:
    """A parser's result with its reading in words."""
    return Interpretation(
        text=text,
        program=parsed.program,
        reading=wording(parsed.program),
        probability=parsed.probability,
        alternatives=tuple(wording(other) for other in parsed.alternatives),
        notes=parsed.notes,
    )


def with_notes_of(scene: Scene, understood: Interpretation) -> Interpretation:
    """With what is to be said of the picture that the scene was recognised in."""
    source = source_of(scene)
    return replace(understood, notes=(*understood.notes, *source.warnings, *source.notes))


def check_text(text: str) -> None:
    """Raises ConfigError for a text that nothing can be made of, before any network runs."""
    if not text.strip():
        raise ConfigError("the text is empty; ask something, or say what to change.")
    if len(text) > LONGEST:
        raise ConfigError(f"the text has {len(text):,} characters; at most {LONGEST:,} fit. Shorten it.")


def expect(understood: Interpretation, kind: type[Kind]) -> Kind:
    """The program of a text that has to be an instruction, or a question. Raises NotUnderstood for the other."""
    if isinstance(understood.program, kind):
        return understood.program
    if kind is Edit:
        raise NotUnderstood(f"{understood.text!r} is a question, not an instruction; ask it instead.")
    raise NotUnderstood(f"{understood.text!r} is an instruction, not a question; have the scene edited instead.")

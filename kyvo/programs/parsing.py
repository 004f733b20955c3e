"""The parser protocol: text in, program out, with its probability and alternatives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kyvo.programs.program import Edit, Program
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One earlier turn of a dialogue, as far as later ones can refer to it. Indices are of the scene before the turn
    for `removed`, and of the scene after it otherwise."""

    text: str
    program: Program
    mentioned: tuple[int, ...] = ()  # the objects that it was about
    changed: tuple[int, ...] = ()
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    before: Scene | None = None  # the scene before it, for "back"
    after: Scene | None = None
    refused: bool = False  # it did not fit the scene, or was not understood: then its program is an edit without steps

    @classmethod
    def refusal(cls, text: str, program: Program | None = None) -> "Turn":
        """A text that nothing came of: "no, the ball" right after it puts it right."""
        return cls(text=text, program=Edit(steps=()) if program is None else program, refused=True)


def carried_out(dialogue: Sequence[Turn]) -> list[Turn]:
    """The turns that something came of."""
    return [turn for turn in dialogue if not turn.refused]


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What a text asks."""

    program: Program
    probability: float = 1.0  # that this is what is meant
    alternatives: tuple[Program, ...] = ()  # other readings, likelier first
    notes: tuple[str, ...] = ()  # what was repaired on the way: "read 'cirlce' as 'circle'"


@runtime_checkable
class Parser(Protocol):
    """Turns texts into programs. Raises ProgramError for what it does not understand; it never guesses."""

    def parse(self, text: str, schema: SceneSchema, dialogue: Sequence[Turn] = ()) -> Parsed:
        """Raises UnknownWord, NotUnderstood."""
        ...

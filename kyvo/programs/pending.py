"""`Pending`: what the last text of a dialogue left open."""

from dataclasses import dataclass

from kyvo.errors import KyvoError
from kyvo.programs.clarification import Clarification
from kyvo.programs.errors import AmbiguousReference
from kyvo.programs.parsing import Turn
from kyvo.programs.program import Program
from kyvo.scene.scene import Scene


@dataclass(kw_only=True)
class Pending:
    """A question "which one?" that waits for an answer, and a text of which nothing came.

    The next text may answer the question, or put that text right ("no, the red one").
    """

    clarification: Clarification | None = None
    refused: Turn | None = None

    def not_understood(self, text: str, error: KyvoError) -> None:
        """The question stays until it is answered or declined; a reply may leave fewer candidates."""
        waiting = self.clarification
        if waiting is not None and isinstance(error, AmbiguousReference):
            self.clarification = waiting.narrowed(error)
        elif waiting is not None and waiting.is_declined(text):
            self.clear()
        else:
            self.refused = Turn.refusal(text)

    def not_done(self, text: str, program: Program, scene: Scene, error: KyvoError) -> None:
        """The text was understood, and the scene does not allow it."""
        self.refused = Turn.refusal(text, program)
        asks = isinstance(error, AmbiguousReference)
        self.clarification = Clarification.of(text, program, scene, error) if asks else None

    def clear(self) -> None:
        """Nothing is left open."""
        self.clarification = self.refused = None

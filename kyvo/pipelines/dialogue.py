"""Dialogue: one turn of a talk about a scene, whatever it is: a question, an instruction, or an answer to "which one?".

    understand -> edit | answer

Chat, HTTP and the studio take a turn here, so that the same sentence means the same everywhere.
"""

from collections.abc import Sequence

from kyvo.errors import ConfigError
from kyvo.generation.language_model import Picture
from kyvo.pipelines.answering import Answering, AnswerResult
from kyvo.pipelines.editing import Editing, EditResult
from kyvo.pipelines.run import Run
from kyvo.pipelines.understanding import Interpretation, understand, with_notes_of
from kyvo.programs.parsing import Turn
from kyvo.programs.program import Edit
from kyvo.scene.scene import Scene


class Dialogue:
    """The pipeline of one model."""

    def __init__(self, editing: Editing, answering: Answering) -> None:
        self.editing = editing
        self.answering = answering

    def __call__(
        self,
        scene: Scene | None,
        text: str | Interpretation,
        run: Run,
        *,
        image: Picture | None = None,
        dialogue: Sequence[Turn] = (),
        render: bool = True,
    ) -> EditResult | AnswerResult:
        """The scene after an instruction, or the answer to a question. Errors as of `Editing` and `Answering`.

        A picture without a scene is recognised first, and its scene is edited or asked about.
        """
        if isinstance(text, str):
            text = understand(self.editing.parser, text, self.editing.schema, dialogue)
        if scene is None and image is not None:
            scene, image = self.answering.recognition([image], run, last=False)[0].scene, None
            text = text if scene is None else with_notes_of(scene, text)
        if scene is None:
            raise ConfigError("there is neither a scene nor a picture; give one.")
        if isinstance(text.program, Edit):
            return self.editing(scene, text, run, dialogue=dialogue, render=render)
        return self.answering(scene, text, run, image=image, dialogue=dialogue)

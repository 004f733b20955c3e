"""Answering: scene or picture, and question -> answer, with what it rests on.

    (recognise) -> understand -> answer

The program is executed exactly. In the paper's own way the language model writes the answer itself, from the scene and,
where there is one, its picture (https://arxiv.org/abs/2506.08002, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kyvo.errors import ConfigError
from kyvo.generation.language_model import LanguageModel, Picture
from kyvo.generation.requests import Reason
from kyvo.pipelines.editing import Mode
from kyvo.pipelines.recognition import Recognition
from kyvo.pipelines.run import Run
from kyvo.pipelines.understanding import Interpretation, expect, understand, with_notes_of
from kyvo.programs.errors import ProgramError
from kyvo.programs.execute import answer
from kyvo.programs.parsing import Parser, Turn
from kyvo.programs.program import Query
from kyvo.scene.scene import Scene
from kyvo.tokenizers.tasks import Segments


@dataclass(frozen=True, kw_only=True, eq=False)
class AnswerResult:
    """An answer to a question about a scene."""

    text: str  # "yes", "3", "red"
    value: Any = None  # the same as data: True, 3, "red", or indices of objects
    scene: Scene  # that was asked about
    understood: Interpretation | None = None  # None where the language model alone answered
    objects: tuple[int, ...] = ()  # what the answer rests on
    reason: Reason | None = None  # why the language model's output is truncated
    source: str = Mode.PROGRAM

    def __str__(self) -> str:
        return self.text

    @property
    def truncated(self) -> bool:
        return self.reason is not None

    def turn(self) -> Turn | None:
        """What later turns of a dialogue can refer to."""
        if self.understood is None:
            return None
        return Turn(
            text=self.understood.text,
            program=self.understood.program,
            mentioned=self.objects,
            before=self.scene,
            after=self.scene,
        )


class Answering:
    """The pipeline of one model."""

    def __init__(self, model: LanguageModel, parser: Parser, recognition: Recognition) -> None:
        self.model = model
        self.parser = parser
        self.recognition = recognition
        self.schema = model.processor.schema

    def __call__(
        self,
        scene: Scene | None,
        question: str | Interpretation,
        run: Run,
        *,
        image: Picture | None = None,
        dialogue: Sequence[Turn] = (),
    ) -> AnswerResult:
        """The answer to a question, or to what is already understood of one.

        Without a scene the picture is recognised first. With both the scene is asked, and where the picture gives
        another answer a note says so. Raises ProgramError for what is not understood or cannot be answered.
        """
        if isinstance(question, str):
            question = understand(self.parser, question, self.schema, dialogue)
        query = expect(question, Query)
        recognised = None if image is None else self.recognition([image], run, last=False)[0].scene
        asked = recognised if scene is None else scene
        if asked is None:
            raise ConfigError("there is neither a scene nor a picture to ask about; give one.")
        found = answer(query, asked, self.schema, dialogue=dialogue)
        if recognised is not None:
            question = with_notes_of(recognised, question)
        if scene is not None and recognised is not None:
            question = replace(question, notes=(*question.notes, *self._compared(query, found.text, recognised)))
        return AnswerResult(text=found.text, value=found.value, scene=asked, understood=question, objects=found.objects)

    def by_language_model(self, scene: Scene, question: str, run: Run, *, image: Picture | None = None) -> AnswerResult:
        """The answer as the language model alone writes it."""
        task = "scene_question_answering" if image is None else "question_answering"
        self.model.check(task, Segments(scene=scene, text=question))
        codes = None if image is None else run.call(lambda: self.model.encode_images([image]))[0]
        written = run.complete(task, [Segments(image=codes, scene=scene, text=question)], last=True)[0]
        assert written.text is not None
        return AnswerResult(
            text=written.text, value=written.text, scene=scene, reason=written.reason, source=Mode.LANGUAGE_MODEL
        )

    def _compared(self, query: Query, text: str, recognised: Scene) -> tuple[str, ...]:
        """What the picture says to a question that the scene answered."""
        try:
            seen = answer(query, recognised, self.schema).text
        except ProgramError as error:
            return (f"answered from the scene; the picture cannot answer it ({error})",)
        if seen == text:
            return ("answered from the scene; the picture agrees",)
        return (f"answered from the scene; the picture says {seen}",)

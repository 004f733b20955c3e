"""Editing: scene and instruction -> scene, and its picture.

    understand -> apply -> render

The program says what changes, and nothing else does. In two other modes, the paper's own, the language model writes
the new scene itself (https://arxiv.org/abs/2506.08002, section 3): from scene and text, or with the picture in one
sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from kyvo.errors import SceneError
from kyvo.generation.constraint import MAX_OBJECTS
from kyvo.generation.language_model import LanguageModel, Picture
from kyvo.generation.requests import Reason
from kyvo.pipelines.new_shapes import NewShapes
from kyvo.pipelines.rendering import Renderer
from kyvo.pipelines.run import Run
from kyvo.pipelines.understanding import Interpretation, expect, understand
from kyvo.programs.execute import apply
from kyvo.programs.parsing import Parser, Turn
from kyvo.programs.program import Edit
from kyvo.scene.diff import SceneDiff, diff
from kyvo.scene.scene import Scene
from kyvo.tokenizers.tasks import Segments


class Mode(StrEnum):
    """Who carries a text out."""

    PROGRAM = "program"  # a parser writes a program, which is executed exactly
    LANGUAGE_MODEL = "language_model"  # the language model alone, from scene and text
    END_TO_END = "end_to_end"  # the language model alone, with the picture in the sequence


@dataclass(frozen=True, kw_only=True, eq=False)
class EditResult:
    """A scene after an instruction."""

    before: Scene
    scene: Scene
    diff: SceneDiff
    understood: Interpretation | None = None  # None where the language model alone wrote the scene
    image: np.ndarray | None = None  # uint8 [height, width, 3]; None where none was rendered
    objects: tuple[int, ...] = ()  # indices in the scene before: what the instruction rests on
    removed: tuple[int, ...] = ()  # indices in the scene before
    changed: tuple[int, ...] = ()  # indices in the scene after
    added: tuple[int, ...] = ()  # indices in the scene after
    reason: Reason | None = None  # why the language model's output is truncated
    source: str = Mode.PROGRAM

    @property
    def truncated(self) -> bool:
        return self.reason is not None

    def turn(self) -> Turn | None:
        """What later turns of a dialogue can refer to: "it" is what was changed or added."""
        if self.understood is None:
            return None
        kept = (index for index in self.objects if index not in self.removed)
        still = (index - sum(gone < index for gone in self.removed) for index in kept)
        return Turn(
            text=self.understood.text,
            program=self.understood.program,
            mentioned=tuple(sorted({*self.changed, *self.added})) or tuple(still),
            changed=self.changed,
            added=self.added,
            removed=self.removed,
            before=self.before,
            after=self.scene,
        )


class Editing:
    """The pipeline of one model."""

    def __init__(
        self, model: LanguageModel, parser: Parser, rendering: Renderer, *, new_shapes: NewShapes | None = None
    ) -> None:
        """`new_shapes` makes those of new objects, where the model's schema has shapes."""
        self.new_shapes = new_shapes
        self.model = model
        self.parser = parser
        self.rendering = rendering
        self.schema = model.processor.schema

    def __call__(
        self,
        scene: Scene,
        instruction: str | Interpretation,
        run: Run,
        *,
        dialogue: Sequence[Turn] = (),
        render: bool = True,
    ) -> EditResult:
        """The scene after an instruction, or after what is already understood of one.

        Raises ProgramError, with the scene as it was, for what is not understood or does not fit.
        """
        if isinstance(instruction, str):
            instruction = understand(self.parser, instruction, self.schema, dialogue)
        done = apply(
            expect(instruction, Edit),
            scene,
            self.schema,
            dialogue=dialogue,
            max_objects=MAX_OBJECTS,
            shapes=None if self.new_shapes is None else self.new_shapes.maker(run),
        )
        image, notes = None, list(done.notes)
        if render:
            try:
                image = self.rendering([done.scene], run, last=False)[0].image
            except SceneError as error:  # the edit stands, also where the model cannot draw the scene
                notes.append(f"no picture was rendered: {error}")
        return EditResult(
            before=scene,
            scene=done.scene,
            diff=done.diff,
            understood=replace(instruction, notes=(*instruction.notes, *notes)),
            image=image,
            objects=done.objects,
            changed=done.changed,
            removed=done.removed,
            added=done.added,
        )

    def by_language_model(self, scene: Scene, instruction: str, run: Run, *, render: bool = True) -> EditResult:
        """The scene as the language model alone writes it; any object may change."""
        written = run.complete("scene_editing", [Segments(scene=scene, text=instruction)], last=True)[0]
        assert written.scene is not None
        image = self.rendering([written.scene], run, last=False)[0].image if render else None
        return EditResult(
            before=scene,
            scene=written.scene,
            diff=diff(scene, written.scene),
            image=image,
            reason=written.reason,
            source=Mode.LANGUAGE_MODEL,
        )

    def end_to_end(self, scene: Scene, instruction: str, run: Run, *, image: Picture | None = None) -> EditResult:
        """Picture and scene out of one sequence, picture first, as in the paper's table. Without an `image` of the
        scene one is rendered first."""
        self.model.check("editing", Segments(scene=scene, text=instruction))
        if image is None:
            image = self.rendering([scene], run, last=False)[0].image
            assert image is not None
        shown = image
        codes = run.call(lambda: self.model.encode_images([shown]))[0]
        written = run.complete("editing", [Segments(image=codes, scene=scene, text=instruction)], last=True)[0]
        assert written.scene is not None
        return EditResult(
            before=scene,
            scene=written.scene,
            diff=diff(scene, written.scene),
            image=written.image,
            reason=written.reason,
            source=Mode.END_TO_END,
        )

"""The tasks: which segments go in and which come out. Rows of one table; a user can add another.

The first four are the paper's. The next two do without the picture: a scene tells all that an instruction or a
question is about, in a third of the tokens. The last one needs no scene: a text, after the last turns of its dialogue,
becomes the program that it asks for.

From https://arxiv.org/abs/2506.08002, section 3: image before scene before text in the input (editing .8666
against .8350 the other way round), and the picture before the scene in the output.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final, Literal

import numpy as np

from kyvo.programs.program import Program
from kyvo.scene.scene import Scene

Refused = Literal["refused"]
REFUSED: Final = "refused"  # in the place of a program: the text asks nothing that a scene could answer


class Segment(StrEnum):
    """A kind of content in a sequence."""

    IMAGE = "image"
    SCENE = "scene"
    TEXT = "text"
    DIALOGUE = "dialogue"  # earlier texts with their programs
    PROGRAM = "program"


@dataclass(frozen=True, kw_only=True)
class Task:
    name: str
    inputs: tuple[Segment, ...]
    outputs: tuple[Segment, ...]


TASKS = {
    task.name: task
    for task in (
        Task(name="rendering", inputs=(Segment.SCENE,), outputs=(Segment.IMAGE,)),
        Task(name="recognition", inputs=(Segment.IMAGE,), outputs=(Segment.SCENE,)),
        Task(
            name="editing",
            inputs=(Segment.IMAGE, Segment.SCENE, Segment.TEXT),
            outputs=(Segment.IMAGE, Segment.SCENE),
        ),
        Task(
            name="question_answering",
            inputs=(Segment.IMAGE, Segment.SCENE, Segment.TEXT),
            outputs=(Segment.TEXT,),
        ),
        Task(name="scene_editing", inputs=(Segment.SCENE, Segment.TEXT), outputs=(Segment.SCENE,)),
        Task(name="scene_question_answering", inputs=(Segment.SCENE, Segment.TEXT), outputs=(Segment.TEXT,)),
        Task(name="parsing", inputs=(Segment.DIALOGUE, Segment.TEXT), outputs=(Segment.PROGRAM,)),
    )
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Segments:
    """The content of one side of a task: at most one segment of each kind."""

    image: np.ndarray | None = None  # [rows * columns] image codes, row-major
    scene: Scene | None = None
    text: str | None = None
    dialogue: tuple[tuple[str, Program], ...] | None = None  # the oldest first
    program: Program | Refused | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Segments):
            return NotImplemented
        same_image = (self.image is None) == (other.image is None) and np.array_equal(self.image, other.image)  # type: ignore[arg-type]
        return same_image and all(
            getattr(self, name) == getattr(other, name) for name in ("scene", "text", "dialogue", "program")
        )

    @property
    def kinds(self) -> frozenset[Segment]:
        """The segments that are there."""
        return frozenset(Segment(entry.name) for entry in fields(self) if getattr(self, entry.name) is not None)

"""`LanguageModel`: a folded model with its processor. Any task of the table, from content to content.

It knows prompts, constraints, decoding and confidences. What a user's job is made of is in `kyvo.pipelines`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kyvo.errors import CheckpointError, ConfigError
from kyvo.generation.calibration import Calibration
from kyvo.generation.confidence import object_confidences
from kyvo.generation.constraint import MAX_OBJECTS, Constraint
from kyvo.generation.engine import Engine, PositionTable
from kyvo.generation.prompts import checked_prompt
from kyvo.generation.requests import DecodedSequence, Handle, Reason, Request
from kyvo.generation.sampling import Sampling
from kyvo.processor import Processor
from kyvo.programs.program import Program
from kyvo.scene.scene import Scene
from kyvo.tokenizers.image import Fitted
from kyvo.tokenizers.pictures import read_picture
from kyvo.tokenizers.scene import ALL_PARTS, OptionalParts
from kyvo.tokenizers.sequence import MARKERS, MAX_NUMBER
from kyvo.tokenizers.tasks import TASKS, Refused, Segment, Segments, Task

if TYPE_CHECKING:
    from kyvo.generation.hidden_states import CausalLM

Picture = str | Path | np.ndarray | Fitted  # a file; uint8 [height, width, 3]; or one at the model's size


@dataclass(frozen=True, kw_only=True, eq=False)
class Completion:
    """What a task gave for one input. Where it was cut short before anything could be closed it is empty."""

    image: np.ndarray | None = None  # uint8 [height, width, 3]
    scene: Scene | None = None  # each object with its confidence
    text: str | None = None
    program: Program | Refused | None = None
    probability: float = 1.0  # of all ids together that were asked for
    reason: Reason | None = None  # why it is truncated
    num_prompt: int = 0  # ids that went in
    num_output: int = 0  # ids that came out

    @property
    def truncated(self) -> bool:
        return self.reason is not None


class Pending:
    """A task on its way through the engine (`LanguageModel.submit`)."""

    def __init__(self, model: "LanguageModel", task: Task, given: Segments, handle: Handle) -> None:
        self.task = task
        self.handle = handle
        self._given = given
        self._model = model

    def result(self, timeout: float | None = None) -> Completion:
        """Waits for the end and builds what came out. Raises TimeoutError after `timeout` seconds."""
        return self._model.completion(self.task, self._given, self.handle.result(timeout))

    def stream(self) -> Iterator[int]:
        """Ids as they are decided; see `Handle.stream`."""
        return self.handle.stream()

    def texts(self) -> Iterator[str]:
        """The text of a task that writes one, in pieces, as it is decided."""
        builder = self._model.builder
        start, end = (builder.vocabulary.marker_id(marker) for marker in MARKERS[Segment.TEXT])
        ids: list[int] | None = None  # inside the text
        given = ""
        for token in self.stream():
            if token == start:
                ids = []
            elif token == end:
                ids = None
            elif ids is not None:
                ids.append(token)
                text = builder.text.decode(ids)
                if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # a character may take several ids
                    yield text[len(given) :]
                    given = text

    def cancel(self) -> None:
        """Ends it at the next step, with what it has."""
        self.handle.cancel()


class LanguageModel:
    """A folded model, its processor, and the engine in which all that is asked of it decodes in one batch."""

    def __init__(
        self,
        model: "CausalLM",
        processor: Processor,
        *,
        positions: torch.Tensor | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """
        Args:
            positions: those [places, dim] the model was trained with, if it was (`SequenceBuilder.grid_positions`).
            calibration: of the objects' confidences; by default they stay as the model's probabilities make them.
        """
        if model.config.vocab_size != len(processor.vocabulary):
            raise CheckpointError(
                f"the model has {model.config.vocab_size:,} ids, the vocabulary {processor.vocabulary.name!r} "
                f"{len(processor.vocabulary):,}; the folder mixes two models."
            )
        self.model = model.eval()
        self.processor = processor
        self.builder = processor.builder
        self.calibration = calibration or Calibration()
        self.position_table = None
        if positions is not None:
            self._check_positions(positions)
            vectors = positions.to(model.device, model.dtype)
            self.position_table = PositionTable(vectors=vectors, find=self.builder.grid_positions)
        codebook = processor.image.codebook.to(model.device)
        self.engine = Engine(self.model, position_table=self.position_table, codebook=codebook)
        self._constraints: dict[tuple[Task, int, OptionalParts], Constraint] = {}

    def submit(
        self,
        task: str | Task,
        given: Segments,
        *,
        sampling: Mapping[str, Sampling] | None = None,
        constraint: Constraint | None = None,
        max_objects: int = MAX_OBJECTS,
        max_tokens: int | None = None,
        deadline: float | None = None,
        optional: OptionalParts | None = None,
    ) -> Pending:
        """Any task on one input, which joins the running batch. From any thread.

        Args:
            sampling: of a kind of segment that comes out, "image", "scene", "text" or "program"; greedy where it is
                not named.
            grammar: in place of the task's own.
            max_objects: that a scene may have, of the task's own grammar.
            max_tokens: ids that may come out; an output that is longer ends before, as far as it can be closed.
            deadline: seconds after which the output ends as far as it is.
            optional: the optional parts of scenes; by default those of the scene that goes in, and all where none does.

        Raises:
            TokenError: the segments do not fit the task, or the model cannot see as many ids.
        """
        task = find_task(task)
        if optional is None:
            optional = ALL_PARTS if given.scene is None else OptionalParts.of(given.scene, self.processor.schema)
        prompt = checked_prompt(self.engine, self.builder, task, given, optional)
        request = Request(
            prompt=prompt,
            constraint=constraint or self._constraint(task, max_objects, optional),
            spans=self.builder.spans(prompt),
            sampling=_by_segment(sampling or {}),
            max_tokens=max_tokens,
            deadline=deadline,
        )
        return Pending(self, task, given, self.engine.submit(request))

    def check(self, task: str | Task, given: Segments) -> None:
        """Raises TokenError, before any network runs, where the model cannot see all of a task's input. What is not
        there yet counts: a picture as itself, a scene as an empty one."""
        task = find_task(task)
        rows, columns = self.builder.image_grid
        least = {
            Segment.IMAGE: np.zeros(rows * columns, dtype=np.int64),
            Segment.SCENE: self.processor.schema.scene(),
            Segment.TEXT: "",
            Segment.DIALOGUE: (),
        }
        there = {kind: getattr(given, kind.value) for kind in task.inputs}
        filled = {kind.value: least[kind] if content is None else content for kind, content in there.items()}
        checked_prompt(self.engine, self.builder, task, Segments(**filled))

    def complete(
        self,
        task: str | Task,
        given: Sequence[Segments],
        *,
        sampling: Mapping[str, Sampling] | None = None,
        constraint: Constraint | None = None,
        max_objects: int = MAX_OBJECTS,
        max_tokens: int | None = None,
        deadline: float | None = None,
    ) -> list[Completion]:
        """Any task on a batch of inputs; settings and errors as of `submit`."""
        task = find_task(task)
        pending = [
            self.submit(
                task,
                segments,
                sampling=sampling,
                constraint=constraint,
                max_objects=max_objects,
                max_tokens=max_tokens,
                deadline=deadline,
            )
            for segments in given
        ]
        return [one.result() for one in pending]

    def encode_images(self, images: Sequence[Picture]) -> np.ndarray:
        """Image codes [batch, rows * columns] of pictures of any size."""
        return self.processor.image.encode(read_pictures(images))

    def completion(self, task: Task, given: Segments, row: DecodedSequence) -> Completion:
        """What the engine's ids say. A picture shows the scene that comes out with it, or else the one that went in."""
        if not row.ids:
            return Completion(reason=row.reason, num_prompt=row.num_prompt)
        out = self.builder.parse_output(task, row.ids)
        scene, image = out.scene, None
        if scene is not None:
            sure = object_confidences(row.ids, row.probabilities, self.processor.vocabulary)
            sure = self.calibration.apply(sure)
            objects = [replace(item, confidence=value) for item, value in zip(scene.objects, sure, strict=True)]
            scene = replace(scene, objects=tuple(objects), extra={"truncated": True} if row.truncated else {})
        if Segment.IMAGE in task.outputs:
            codes, shown = np.asarray(out.image)[None], given.scene if scene is None else scene
            scenes = None if shown is None else [shown]
            if len(row.vectors) == codes.size:
                means = self.builder.raster(torch.stack(row.vectors).cpu().numpy())
                image = self.processor.image.decode_vectors(means[None], scenes=scenes)[0]
            else:  # sampled
                image = self.processor.image.decode(codes, scenes=scenes)[0]
        return Completion(
            image=image,
            scene=scene,
            text=out.text,
            program=out.program,
            probability=math.prod(row.probabilities),
            reason=row.reason,
            num_prompt=row.num_prompt,
            num_output=len(row.ids),
        )

    def _check_positions(self, positions: torch.Tensor) -> None:
        needed = self.builder.num_grid_positions
        if len(positions) != needed:
            rows, columns = self.builder.image_grid
            raise CheckpointError(
                f"the model has {len(positions)} positions; {rows} x {columns} image codes that go in, as many that "
                f"come out, and {MAX_NUMBER} objects need {needed}. The folder mixes two models, or is an older one."
            )

    def _constraint(self, task: Task, max_objects: int, optional: OptionalParts) -> Constraint:
        if max_objects < 1:
            raise ConfigError(f"max_objects is {max_objects}; a scene has at least 1.")
        if not isinstance(optional.camera, bool):  # cameras are too many to keep
            return Constraint.for_task(task, self.builder, max_objects=max_objects, optional=optional)
        if Segment.PROGRAM in task.outputs:  # which grows as it is written
            return Constraint.for_task(task, self.builder)
        key = (task, max_objects, optional)
        if key not in self._constraints:
            self._constraints[key] = Constraint.for_task(task, self.builder, max_objects=max_objects, optional=optional)
        return self._constraints[key]


def read_pictures(images: Sequence[Picture]) -> list[np.ndarray]:
    """Files are read, pixels stay as they are."""
    return [read_one(image) for image in images]


def read_one(image: Picture) -> np.ndarray:
    """A picture as uint8 [height, width, 3]."""
    if isinstance(image, Fitted):
        return image.pixels
    return image if isinstance(image, np.ndarray) else read_picture(image)


def find_task(task: str | Task) -> Task:
    """A task by its name. Raises ConfigError with the known ones."""
    if isinstance(task, Task):
        return task
    if task not in TASKS:
        raise ConfigError(f"the task {task!r} is not known; known are {', '.join(TASKS)}.")
    return TASKS[task]


def _by_segment(sampling: Mapping[str, Sampling]) -> dict[Segment, Sampling]:
    known = [kind.value for kind in Segment]
    if unknown := sampling.keys() - set(known):
        raise ConfigError(f"sampling names {', '.join(sorted(unknown))}; what comes out is {', '.join(known)}.")
    return {Segment(kind): own for kind, own in sampling.items()}

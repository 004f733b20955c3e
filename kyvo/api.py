"""`Kyvo`: the loaded whole. Pictures, scenes and text go in; pictures, scenes and text come out.

```python
model = Kyvo.from_pretrained("mini")
scene = model.recognize(["photo.png"])[0]
```
"""

import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from transformers import LlamaForCausalLM

from kyvo.devices import choose_device
from kyvo.errors import CheckpointError, ConfigError, TokenError
from kyvo.generation.calibration import Calibration
from kyvo.generation.canonical_camera import rendering_camera, to_canonical_camera
from kyvo.generation.closed_loop import run_closed_loop
from kyvo.generation.confidence import object_confidences
from kyvo.generation.constraint import MAX_OBJECTS, Constraint
from kyvo.generation.engine import Engine, PositionTable
from kyvo.generation.jacobi import JacobiDecoder
from kyvo.generation.one_change import one_change
from kyvo.generation.plans import check_planner
from kyvo.generation.question_plans import check_question_planner, planned_answer
from kyvo.generation.requests import Decoded, Handle, Reason, Request
from kyvo.generation.sampling import Sampling
from kyvo.generation.views import averaged, shifted, shifts
from kyvo.models.heads.planner import Planner, load_planner
from kyvo.models.heads.pointer import Pointer, load_pointer
from kyvo.models.heads.question_planner import QuestionPlanner, load_question_planner
from kyvo.models.heads.refined_scenes import mean_camera, refine_scenes
from kyvo.models.llama.fold import load_positions
from kyvo.processor import Processor
from kyvo.scene.scene import Camera, Scene
from kyvo.scene.schema import camera_of
from kyvo.tokenizers.image import fit
from kyvo.tokenizers.pictures import read_picture
from kyvo.tokenizers.sequence import MARKERS, MAX_NUMBER
from kyvo.tokenizers.tasks import TASKS, Segment, Segments, Task

Part = TypeVar("Part")
Picture = str | Path | np.ndarray  # a file, or uint8 [height, width, 3]


@dataclass(frozen=True, kw_only=True, eq=False)
class Completion:
    """What a task gave for one input. Where it was cut short before anything could be closed it is empty."""

    image: np.ndarray | None = None  # uint8 [height, width, 3]
    scene: Scene | None = None  # each object with its confidence
    text: str | None = None
    reason: Reason | None = None  # why it is truncated
    num_prompt: int = 0  # ids that went in
    num_output: int = 0  # ids that came out

    @property
    def truncated(self) -> bool:
        return self.reason is not None

    def with_picture(self, rendered: "Completion") -> "Completion":
        """With what was rendered from its scene."""
        return replace(
            self,
            image=rendered.image,
            reason=self.reason or rendered.reason,
            num_prompt=self.num_prompt + rendered.num_prompt,
            num_output=self.num_output + rendered.num_output,
        )


class Pending:
    """A task on its way through the engine (`Kyvo.submit`)."""

    def __init__(self, kyvo: "Kyvo", task: Task, handle: Handle) -> None:
        self.task = task
        self.handle = handle
        self._kyvo = kyvo

    def result(self, timeout: float | None = None) -> Completion:
        """Waits for the end and builds what came out. Raises TimeoutError after `timeout` seconds."""
        return self._kyvo._completion(self.task, self.handle.result(timeout))

    def stream(self) -> Iterator[int]:
        """Ids as they are decided; see `Handle.stream`."""
        return self.handle.stream()

    def texts(self) -> Iterator[str]:
        """The text of a task that writes one, in pieces, as it is decided."""
        builder = self._kyvo._builder
        start, end = (builder.vocabulary.marker_id(marker) for marker in MARKERS[Segment.TEXT])
        ids: list[int] | None = None  # inside the text
        sent = ""
        for token in self.stream():
            if token == start:
                ids = []
            elif token == end:
                ids = None
            elif ids is not None:
                ids.append(token)
                text = builder.text.decode(ids)
                if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # a character may take several ids
                    yield text[len(sent) :]
                    sent = text

    def cancel(self) -> None:
        """Ends it at the next step, with what it has."""
        self.handle.cancel()


class Kyvo:
    """A folded model and its processor."""

    def __init__(
        self,
        *,
        model: LlamaForCausalLM,
        processor: Processor,
        positions: torch.Tensor | None = None,
        pointer: Pointer | None = None,
        planner: Planner | None = None,
        question_planner: QuestionPlanner | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """
        Args:
            positions: those [places, dim] the model was trained with, if it was (`SequenceBuilder.grid_positions`).
            pointer: the model's, if it was trained with one: which object an instruction is about.
            planner: one that was trained on the model's states (`recipes/planner.py`): all that an instruction asks.
            question_planner: the same for questions (`recipes/question_planner.py`).
            calibration: of the objects' confidences; by default they stay as the model's probabilities make them.
        """
        if model.config.vocab_size != len(processor.vocabulary):
            raise CheckpointError(
                f"the model has {model.config.vocab_size:,} ids, the vocabulary {processor.vocabulary.name!r} "
                f"{len(processor.vocabulary):,}; the folder mixes two models."
            )
        self._builder = processor.builder  # made anew each time it is asked for
        needed = self._builder.num_grid_positions
        if positions is not None and len(positions) != needed:
            rows, columns = self._builder.image_grid
            raise CheckpointError(
                f"the model has {len(positions)} positions; {rows} x {columns} image codes that go in, as many that "
                f"come out, and {MAX_NUMBER} objects need {needed}. The folder mixes two models, or is an older one."
            )
        self.model = model.eval()
        self.position_table = None
        if positions is not None:
            vectors = positions.to(model.device, model.dtype)
            self.position_table = PositionTable(vectors=vectors, find=self._builder.grid_positions)
        self.pointer = None if pointer is None else pointer.to(model.device)
        if planner is not None:
            check_planner(planner, processor.schema, dim=model.config.hidden_size)
        self.planner = None if planner is None else planner.to(model.device)
        if question_planner is not None:
            check_question_planner(question_planner, processor.schema, dim=model.config.hidden_size)
            question_planner = question_planner.to(model.device)
        self.question_planner = question_planner
        self.processor = processor
        self.calibration = calibration or Calibration()
        codebook = processor.image.codebook.to(model.device)
        # All that is asked for decodes in one batch.
        self.engine = Engine(self.model, position_table=self.position_table, codebook=codebook)
        self._constraints: dict[tuple[Task, int], Constraint] = {}

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path = "mini", *, device: str = "auto") -> "Kyvo":
        """Loads a model folder, or the bundled model by its name `mini`.

        Args:
            device: "cpu", "cuda", or "auto" for CUDA where there is one.
        """
        folder = _find(name_or_path)
        processor = Processor.from_pretrained(folder)
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        device = choose_device(device)
        processor.image.model.to(device)
        if processor.refiner is not None:
            processor.refiner.to(device)
        model.to(device)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
        return cls(
            model=model,
            processor=processor,
            positions=load_positions(folder),
            pointer=load_pointer(folder),
            planner=load_planner(folder),
            question_planner=load_question_planner(folder),
            calibration=Calibration.from_pretrained(folder),
        )

    def recognize(
        self,
        images: Sequence[Picture],
        *,
        views: int = 1,
        refine: bool = True,
        cameras: Sequence[Camera | None] | None = None,
    ) -> list[Scene]:
        """The scene in each picture; pictures of any size, fitted by `kyvo.tokenizers.image.fit`.

        With 3 or 5 `views` each is also recognised shifted to its sides, and places are averaged: nearer to the truth,
        in as many times the time (`kyvo.generation.views`). Raises ConfigError for another number of them.
        A model with a refiner reads the objects once more from the pixels (`refined`), and where it is told the
        `cameras` that took the pictures, their places are exact; without `refine` scenes are as the language model
        wrote them.
        """
        if cameras is not None and not refine:
            raise ConfigError("cameras place what the refiner reads; leave out refine=False, or the cameras.")
        config = self.processor.image.config
        sides = shifts(views)
        pictures = [fit(picture, config.width, config.height) for picture in _read(images)]
        seen = [*pictures, *(shifted(picture, *side) for side in sides for picture in pictures)]
        given = [Segments(image=codes) for codes in self.encode_images(seen)]
        found: list[Scene] = [done.scene for done in self.complete("recognition", given)]  # type: ignore[misc]
        scenes, count = found[: len(images)], len(images)
        if sides:
            schema = self.processor.schema
            scenes = [averaged(scene, found[count + index :: count], schema) for index, scene in enumerate(scenes)]
        return self.refined(scenes, pictures, cameras=cameras) if refine else scenes

    def refined(
        self, scenes: Sequence[Scene], images: Sequence[Picture], *, cameras: Sequence[Camera | None] | None = None
    ) -> list[Scene]:
        """Recognised scenes, their objects' places and words read once more from the pixels of their pictures
        (`kyvo.models.heads.refined_scenes`); as they are where the model has no refiner.

        A picture tells little of which way its camera was turned, and so of where in the scene its objects stand.
        `cameras` are those that took the pictures, where they are known. Raises ConfigError for them without a refiner.
        """
        refiner, config = self.processor.refiner, self.processor.image.config
        if refiner is None:
            if cameras is not None and any(cameras):
                raise ConfigError("the model has no refiner, which places objects by cameras; leave them out.")
            return list(scenes)
        pictures = [fit(picture, config.width, config.height) for picture in _read(images)]
        return refine_scenes(refiner, scenes, pictures, self.processor.schema, cameras=cameras)

    def render(self, scenes: Sequence[Scene], *, closed_loop: bool = True) -> list[np.ndarray]:
        """A picture of each scene: uint8 [height, width, 3]. Raises SceneError for what the schema cannot hold.

        A model with a refiner corrects its renderings in a closed loop, until objects are near their locations.
        `closed_loop=False` returns the first rendering, in two thirds of the time. With a refiner a scene's camera
        counts too (`to_canonical_camera`).
        """
        return [_present(drawn.image, "picture") for drawn in self._rendered(scenes, closed_loop=closed_loop)]

    def to_canonical_camera(self, scene: Scene) -> Scene:
        """The scene that has to be rendered for the picture that the scene's own camera has
        (`kyvo.generation.canonical_camera`); the same without a refiner, which knows the camera the model draws for."""
        refiner = self.processor.refiner
        if refiner is None:
            return scene
        return to_canonical_camera(scene, mean_camera(refiner.config), self.processor.schema)

    def rendering_camera(self, scene: Scene) -> Camera | None:
        """The camera that a rendering of the scene has; None where nothing says it."""
        refiner, config = self.processor.refiner, self.processor.image.config
        if refiner is None:
            return camera_of(replace(scene, camera=None), config.width, config.height)
        return rendering_camera(scene, mean_camera(refiner.config))

    def closed_loop(
        self, scenes: Sequence[Scene], pictures: Sequence[np.ndarray], *, deadline: float | None = None
    ) -> list[np.ndarray]:
        """Corrects renderings of scenes in the canonical camera (`to_canonical_camera`) in a closed loop: objects come
        nearer to their locations (`kyvo.generation.closed_loop`). Without a refiner the pictures come back unchanged.

        No further round begins after the `deadline`, in seconds.
        """
        refiner = self.processor.refiner
        if refiner is None:
            return list(pictures)

        end = math.inf if deadline is None else time.monotonic() + deadline
        jacobi = JacobiDecoder(self.engine, self._builder, self.processor.image, pictures)
        return run_closed_loop(
            refiner, scenes, pictures, self.processor.schema, jacobi.draw, late=lambda: time.monotonic() >= end
        )

    def edit(
        self,
        scene: Scene,
        instruction: str,
        *,
        image: Picture | None = None,
        end_to_end: bool = False,
        keep_others: bool = True,
        about: Collection[int] | None = None,
        constraint: Constraint | None = None,
    ) -> Completion:
        """The scene and picture after an instruction.

        By default the scene is edited from scene and text alone, and then rendered. `end_to_end` has both come out of
        one sequence, picture first, as in the paper's table; only there an `image` of the scene counts, and without
        one it is rendered first.
        One object changes, goes or comes, and all others stay (`change_one`, which takes `about`). Without
        `keep_others` any may change, as also end to end, and where a `constraint` takes the place of the task's own.
        """
        if end_to_end:
            given = Segments(image=self._picture_codes(scene, image), scene=scene, text=instruction)
            return self.complete("editing", [given], constraint=constraint)[0]
        if keep_others and constraint is None:
            edited = self.change_one(scene, instruction, about=about)
        else:
            edited = self.complete("scene_editing", [Segments(scene=scene, text=instruction)], constraint=constraint)[0]
        if edited.scene is None:
            return edited
        return edited.with_picture(self._rendered([edited.scene])[0])

    def change_one(
        self,
        scene: Scene,
        instruction: str,
        *,
        about: Collection[int] | None = None,
        max_tokens: int | None = None,
        deadline: float | None = None,
    ) -> Completion:
        """The scene after an instruction, without a picture: one object is new, another or gone
        (`kyvo.generation.one_change`).

        `about` are indices of objects, for who knows which one is meant; where it is empty, one is new.
        `max_tokens` and `deadline` are as of `submit`; TokenError says that they left nothing whole.
        """
        row = one_change(
            self.engine,
            self._builder,
            scene,
            instruction,
            pointer=self.pointer,
            planner=self.planner,
            about=about,
            max_tokens=max_tokens,
            deadline=deadline,
        )
        return self._completion(TASKS["scene_editing"], row)

    def ask(self, scene: Scene, question: str, *, image: Picture | None = None) -> str:
        """The answer to a question about a scene; with a picture of it, the model sees that too."""
        codes = None if image is None else self.encode_images([image])[0]
        task = "question_answering" if image is not None else "scene_question_answering"
        given = Segments(image=codes, scene=scene, text=question)
        return _present(self.complete(task, [given], constraint=self.answers(scene, question))[0].text, "answer")

    def answers(self, scene: Scene, question: str) -> Constraint | None:
        """What may be said to a question: the one answer that follows from what is asked, or None for any.

        A model with a planner of questions knows what is asked, where it is sure (`kyvo.generation.question_plans`).
        """
        if self.question_planner is None:
            return None
        answer = planned_answer(self.engine, self._builder, self.question_planner, scene, question)
        return None if answer is None else Constraint.for_text(self._builder, answer)

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
        task = _task(task)
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
    ) -> Pending:
        """Any task on one input, which joins the running batch. From any thread.

        Args:
            sampling: of a kind of segment that comes out, "image", "scene" or "text"; greedy where not named.
            constraint: in place of the task's own.
            max_objects: that a scene may have, in the task's own constraint.
            max_tokens: ids that may come out; an output that is longer ends before, as far as it can be closed.
            deadline: seconds after which the output ends as far as it is.

        Raises:
            TokenError: the segments do not fit the task, or the model cannot see as many ids.
        """
        task = _task(task)
        builder = self._builder
        prompt = builder.prompt(task, given)
        request = Request(
            prompt=prompt,
            constraint=constraint or self._constraint(task, max_objects),
            spans=builder.spans(prompt),
            sampling=_by_segment(sampling or {}),
            max_tokens=max_tokens,
            deadline=deadline,
        )
        return Pending(self, task, self.engine.submit(request))

    def encode_images(self, images: Sequence[Picture]) -> np.ndarray:
        """Image codes [batch, rows * columns] of pictures of any size."""
        return self.processor.image.encode(_read(images))

    def _rendered(self, scenes: Sequence[Scene], *, closed_loop: bool = True) -> list[Completion]:
        """The scenes' pictures; with `closed_loop` they are corrected."""
        scenes = [self.to_canonical_camera(scene) for scene in scenes]
        done = self.complete("rendering", [Segments(scene=scene) for scene in scenes])
        if not closed_loop:
            return done
        shown = [index for index, drawn in enumerate(done) if drawn.image is not None]
        images = self.closed_loop([scenes[index] for index in shown], [done[index].image for index in shown])  # type: ignore[misc]
        for index, image in zip(shown, images, strict=True):
            done[index] = replace(done[index], image=image)
        return done

    def _picture_codes(self, scene: Scene, image: Picture | None) -> np.ndarray:
        return self.encode_images([self.render([scene])[0] if image is None else image])[0]

    def _constraint(self, task: Task, max_objects: int) -> Constraint:
        if max_objects < 1:
            raise ConfigError(f"max_objects is {max_objects}; a scene has at least 1.")
        key = (task, max_objects)
        if key not in self._constraints:
            self._constraints[key] = Constraint.for_task(task, self._builder, max_objects=max_objects)
        return self._constraints[key]

    def _completion(self, task: Task, row: Decoded) -> Completion:
        if not row.ids:
            return Completion(reason=row.reason, num_prompt=row.num_prompt)
        out = self._builder.parse_output(task, row.ids)
        scene, image = out.scene, None
        if scene is not None:
            sure = object_confidences(row.ids, row.probabilities, self.processor.vocabulary)
            sure = self.calibration.apply(sure)
            objects = [replace(item, confidence=value) for item, value in zip(scene.objects, sure, strict=True)]
            scene = replace(scene, objects=tuple(objects), extra={"truncated": True} if row.truncated else {})
        if Segment.IMAGE in task.outputs:
            codes = np.asarray(out.image)[None]
            if len(row.vectors) == codes.size:
                means = self._builder.raster(torch.stack(row.vectors).cpu().numpy())
                image = self.processor.image.decode_vectors(means[None])[0]
            else:  # drawn at random
                image = self.processor.image.decode(codes)[0]
        return Completion(
            image=image,
            scene=scene,
            text=out.text,
            reason=row.reason,
            num_prompt=row.num_prompt,
            num_output=len(row.ids),
        )


def _by_segment(sampling: Mapping[str, Sampling]) -> dict[Segment, Sampling]:
    known = [kind.value for kind in Segment]
    if unknown := sampling.keys() - set(known):
        raise ConfigError(f"sampling names {', '.join(sorted(unknown))}; what comes out is {', '.join(known)}.")
    return {Segment(kind): own for kind, own in sampling.items()}


def _present(value: Part | None, name: str) -> Part:
    if value is None:
        raise TokenError(
            f"the {name} does not fit into what the model sees at a time beside what it was given; "
            "give a scene of fewer objects, or a shorter text."
        )
    return value


def _read(images: Sequence[Picture]) -> list[np.ndarray]:
    return [image if isinstance(image, np.ndarray) else read_picture(image) for image in images]


def _find(name_or_path: str | Path) -> Path:
    bundled = Path(str(files("kyvo"))) / "assets"
    for folder in (Path(name_or_path), bundled / str(name_or_path)):
        if (folder / "config.json").is_file():
            return folder
    names = sorted(path.parent.name for path in bundled.glob("*/config.json"))
    raise CheckpointError(
        f"{name_or_path}: neither a folder with a config.json nor a bundled model; "
        f"bundled are {', '.join(names) or 'none'}."
    )


def _task(task: str | Task) -> Task:
    if isinstance(task, Task):
        return task
    if task not in TASKS:
        raise ConfigError(f"the task {task!r} is not known; known are {', '.join(TASKS)}.")
    return TASKS[task]

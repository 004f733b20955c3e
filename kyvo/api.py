"""`Kyvo`: the loaded whole. Pictures, scenes and text go in; pictures, scenes and text come out.

```python
model = Kyvo.from_pretrained("mini")
scene = model.recognize(["photo.png"])[0]
```
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaForCausalLM

from kyvo.errors import CheckpointError, ConfigError
from kyvo.generation.confidence import object_confidences
from kyvo.generation.engine import Decoded, ImagePlaces, decode
from kyvo.generation.grammar import Grammar
from kyvo.models.fold import load_positions
from kyvo.scene.scene import Scene
from kyvo.tokenizers.pictures import read_picture
from kyvo.tokenizers.processor import Processor
from kyvo.tokenizers.tasks import TASKS, Segment, Segments, Task

Picture = str | Path | np.ndarray  # a file, or uint8 [height, width, 3]


@dataclass(frozen=True, kw_only=True, eq=False)
class Completion:
    """What a task gave for one input."""

    image: np.ndarray | None = None  # uint8 [height, width, 3]
    scene: Scene | None = None  # each object with its confidence
    text: str | None = None
    truncated: bool = False  # the scene or the text stopped at its limit


class Kyvo:
    """A folded model and its processor."""

    def __init__(
        self, *, model: LlamaForCausalLM, processor: Processor, image_positions: torch.Tensor | None = None
    ) -> None:
        """`image_positions` [rows * columns, dim] are those the model was trained with, if it was."""
        if model.config.vocab_size != len(processor.vocabulary):
            raise CheckpointError(
                f"the model has {model.config.vocab_size:,} ids, the vocabulary {processor.vocabulary.name!r} "
                f"{len(processor.vocabulary):,}; the folder mixes two models."
            )
        rows, columns = processor.builder.image_grid
        if image_positions is not None and len(image_positions) != rows * columns:
            raise CheckpointError(
                f"the model has positions for {len(image_positions)} image codes, a picture has {rows} x {columns}; "
                "the folder mixes two models."
            )
        self.model = model.eval()
        self._image_places = None
        if image_positions is not None:
            vectors = image_positions.to(model.device, model.dtype)
            self._image_places = ImagePlaces(vectors=vectors, places=processor.builder.places)
        self.processor = processor
        self._grammars = {name: Grammar.for_task(task, processor.builder) for name, task in TASKS.items()}

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
        model.to(device)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
        return cls(model=model, processor=processor, image_positions=load_positions(folder))

    def recognize(self, images: Sequence[Picture]) -> list[Scene]:
        """The scene in each picture; pictures of any size, fitted by `kyvo.tokenizers.image.fit`."""
        given = [Segments(image=codes) for codes in self.encode_images(images)]
        return [completion.scene for completion in self.complete("recognition", given)]  # type: ignore[misc]

    def render(self, scenes: Sequence[Scene]) -> list[np.ndarray]:
        """A picture of each scene: uint8 [height, width, 3]. Raises SceneError for what the schema cannot hold."""
        completions = self.complete("rendering", [Segments(scene=scene) for scene in scenes])
        return [completion.image for completion in completions]  # type: ignore[misc]

    def edit(self, scene: Scene, instruction: str, *, image: Picture | None = None) -> Completion:
        """The scene and picture after an instruction; without a picture of the scene, one is rendered first."""
        given = Segments(image=self._picture_codes(scene, image), scene=scene, text=instruction)
        return self.complete("editing", [given])[0]

    def ask(self, scene: Scene, question: str, *, image: Picture | None = None) -> str:
        """The answer to a question about a scene; without a picture of the scene, one is rendered first."""
        given = Segments(image=self._picture_codes(scene, image), scene=scene, text=question)
        answer = self.complete("question_answering", [given])[0].text
        assert answer is not None
        return answer

    def complete(self, task: str | Task, given: Sequence[Segments]) -> list[Completion]:
        """Any task on a batch of inputs. Raises TokenError when the segments do not fit the task."""
        task = _task(task)
        builder = self.processor.builder
        prompts = [builder.prompt(task, segments) for segments in given]
        grammar = self._grammars.get(task.name) or Grammar.for_task(task, builder)
        spans = [builder.spans(prompt) for prompt in prompts]
        rows = decode(self.model, prompts, [grammar] * len(prompts), spans=spans, image_places=self._image_places)
        return [self._completion(task, row) for row in rows]

    def encode_images(self, images: Sequence[Picture]) -> np.ndarray:
        """Image codes [batch, rows * columns] of pictures of any size."""
        return self.processor.image.encode(
            [image if isinstance(image, np.ndarray) else read_picture(image) for image in images]
        )

    def _picture_codes(self, scene: Scene, image: Picture | None) -> np.ndarray:
        return self.encode_images([self.render([scene])[0] if image is None else image])[0]

    def _completion(self, task: Task, row: Decoded) -> Completion:
        out = self.processor.builder.parse_output(task, row.ids)
        scene, image = out.scene, None
        if scene is not None:
            sure = object_confidences(row.ids, row.probabilities, self.processor.vocabulary)
            objects = [replace(item, confidence=value) for item, value in zip(scene.objects, sure, strict=True)]
            scene = replace(scene, objects=tuple(objects), extra={"truncated": True} if row.truncated else {})
        if Segment.IMAGE in task.outputs:
            image = self.processor.image.decode(np.asarray(out.image)[None])[0]
        return Completion(image=image, scene=scene, text=out.text, truncated=row.truncated)


def choose_device(device: str) -> str:
    """ "auto" -> "cuda" where there is one, else "cpu". Raises ConfigError for a device that is not there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ConfigError(f"device is {device!r}; known are auto, cpu and cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device is 'cuda', but this torch sees no CUDA GPU. Use --device cpu, or install a CUDA torch."
        )
    return device


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

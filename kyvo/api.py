"""`Kyvo`: a loaded model folder and its pipelines. Pictures, scenes and text go in; pictures, scenes and text come out.

```python
model = Kyvo.from_pretrained("mini")
scene = model.recognize(["photo.png"])[0]
edited = model.edit(scene, "Remove the large red cube.")  # .scene, .image, .understood.reading
answer = model.ask(scene, "How many spheres are there?")  # .text, .objects
```
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kyvo.devices import choose_device
from kyvo.errors import CheckpointError, ConfigError
from kyvo.generation.calibration import FILE as CALIBRATION_NAME
from kyvo.generation.calibration import Calibration
from kyvo.generation.constraint import MAX_OBJECTS, Constraint
from kyvo.generation.exposure import Exposure
from kyvo.generation.in_domain import FILE as IN_DOMAIN_NAME
from kyvo.generation.in_domain import InDomain
from kyvo.generation.language_model import Completion, LanguageModel, Pending, Picture
from kyvo.generation.sampling import Sampling
from kyvo.models.heads.refiner import REFINER_NAME
from kyvo.models.llama.fold import load_llama, load_positions
from kyvo.parsers.language_model import LanguageModelParser, read_min_probability
from kyvo.pipelines.answering import Answering, AnswerResult
from kyvo.pipelines.dialogue import Dialogue
from kyvo.pipelines.editing import Editing, EditResult, Mode
from kyvo.pipelines.new_shapes import NewShapes
from kyvo.pipelines.object_source import ObjectSource
from kyvo.pipelines.ray_tracing import RayTracing
from kyvo.pipelines.recognition import Recognition
from kyvo.pipelines.rendering import Renderer, RendererName, Rendering
from kyvo.pipelines.run import Run
from kyvo.pipelines.understanding import Interpretation, understand
from kyvo.processor import Processor
from kyvo.programs.clarification import Clarification
from kyvo.programs.grammar.parser import GrammarParser
from kyvo.programs.parsing import Parser, Turn
from kyvo.scene.scene import Camera, Scene
from kyvo.tokenizers.tasks import Segments, Task

if TYPE_CHECKING:
    import trimesh

    from kyvo.generation.hidden_states import CausalLM
    from kyvo.pipelines.objects import ObjectGenerator

__all__ = ["AnswerResult", "Completion", "EditResult", "Interpretation", "Kyvo", "Mode", "Pending", "Picture"]


class Kyvo:
    """A folded model, its processor, and the pipelines over them."""

    def __init__(
        self,
        *,
        model: "CausalLM",
        processor: Processor,
        positions: torch.Tensor | None = None,
        calibration: Calibration | None = None,
        exposure: Exposure | None = None,
        in_domain: InDomain | None = None,
        min_probability: float = 0.0,
        parser: Parser | None = None,
        objects: "ObjectGenerator | Path | str" = "mini",
        renderer: str = "model",
    ) -> None:
        """
        Args:
            model: a `Llama`, as folders are loaded, or transformers' `LlamaForCausalLM`, which may carry adapters.
            positions: those [places, dim] the model was trained with, if it was (`SequenceBuilder.grid_positions`).
            calibration: of the objects' confidences; by default they stay as the model's probabilities make them.
            exposure: of the model's pictures; others are brought to it before they are recognised, by default none is.
            in_domain: scores how like a picture is to those that the model knows; by default pictures are not scored.
            min_probability: of a program that the model writes, below which its text is refused.
            parser: turns texts into programs (`kyvo.programs.parsing`); by default the language model where it was
                trained to, else the grammar of English.
            objects: makes objects (`kyvo.pipelines.objects`): a generator, or a bundled one's name or a folder, which
                is loaded when an object is first asked for.
            renderer: draws the pictures of scenes: "model", or "raytracer", which is exact and knows CLEVR's objects.
        """
        self.objects = ObjectSource(objects)
        self.processor = processor
        self.language_model = LanguageModel(model, processor, positions=positions, calibration=calibration)
        self.parser = parser or default_parser(self.language_model, min_probability=min_probability)
        self.recognition = Recognition(self.language_model, exposure=exposure, in_domain=in_domain)
        self.renderers: dict[RendererName, Renderer] = {
            "model": Rendering(self.language_model),
            "raytracer": RayTracing(self.language_model),
        }
        self.rendering = self.find_renderer(renderer)
        new_shapes = None if processor.shape is None else NewShapes(self.objects, processor.shape)
        self.editing = Editing(self.language_model, self.parser, self.rendering, new_shapes=new_shapes)
        self.answering = Answering(self.language_model, self.parser, self.recognition)
        self.dialogue = Dialogue(self.editing, self.answering)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = "mini",
        *,
        device: str = "auto",
        parser: Parser | None = None,
        objects: "ObjectGenerator | Path | str" = "mini",
        renderer: str = "model",
    ) -> "Kyvo":
        """Loads a model folder, or the bundled model by its name `mini`.

        Args:
            device: "cpu", "cuda", or "auto" for CUDA where there is one.
            parser: as of `Kyvo`, and so are `objects` and `renderer`.
        """
        folder = find_model(name_or_path)
        processor = Processor.from_pretrained(folder)
        model = load_llama(folder)
        device = choose_device(device)
        processor.image.model.to(device)
        for beside in (processor.refiner, processor.cube_turns):
            if beside is not None:
                beside.to(device)
        model.to(device)
        return cls(
            model=model,
            processor=processor,
            positions=load_positions(folder),
            calibration=Calibration.from_pretrained(folder),
            exposure=Exposure.from_pretrained(folder),
            in_domain=InDomain.from_pretrained(folder),
            min_probability=read_min_probability(folder),
            parser=parser,
            objects=objects,
            renderer=renderer,
        )

    @property
    def model(self) -> "CausalLM":
        """The folded Llama."""
        return self.language_model.model

    @property
    def name(self) -> str:
        """The name of its folder; empty for one that was made in memory."""
        return Path(self.model.name_or_path or "").name

    def run(self) -> Run:
        """A request without limits; a server makes its own."""
        return Run(self.language_model)

    def recognize(
        self, images: Sequence[Picture], *, refine: bool = True, cameras: Sequence[Camera | None] | None = None
    ) -> list[Scene]:
        """The scene in each picture; pictures of any size. Arguments and errors as of `Recognition`.

        `kyvo.scene.source.source_of(scene).warnings` says where a picture is like none that the model knows.
        """
        found = self.recognition(images, self.run(), refine=refine, cameras=cameras)
        return [one.scene for one in found if one.scene is not None]

    def render(
        self, scenes: Sequence[Scene], *, closed_loop: bool = True, renderer: str | None = None
    ) -> list[np.ndarray]:
        """A picture of each scene, uint8 [height, width, 3]. Errors as of `Rendering` and `RayTracing`.

        Args:
            closed_loop: as of `Rendering`.
            renderer: "model" or "raytracer"; by default the one that `Kyvo` was made with.
        """
        draw = self.rendering if renderer is None else self.find_renderer(renderer)
        drawn = draw(scenes, self.run(), closed_loop=closed_loop)
        return [one.image for one in drawn if one.image is not None]

    def understand(
        self, text: str, dialogue: Sequence[Turn] = (), *, waiting: Clarification | None = None
    ) -> Interpretation:
        """The program that a text asks for, and its reading in words. Raises ProgramError where there is none.

        Args:
            dialogue: earlier turns, which "it" and "that one" refer to.
            waiting: an earlier text that fits several objects; this one may say which are meant.
        """
        return understand(self.parser, text, self.processor.schema, dialogue, waiting)

    def edit(
        self,
        scene: Scene,
        instruction: str | Interpretation,
        *,
        image: Picture | None = None,
        dialogue: Sequence[Turn] = (),
        render: bool = True,
        mode: str = Mode.PROGRAM,
    ) -> EditResult:
        """The scene and its picture after an instruction.

        Args:
            image: of the scene before; only `end_to_end` reads it.
            dialogue: earlier turns, which "it" and "that one" refer to.
            render: whether a picture is rendered.
            mode: one of `Mode`: a program that is executed, or the language model alone.

        Raises:
            ProgramError: NoSuchObject, AmbiguousReference with its candidates, UnknownWord, CannotPlace, AlreadySo or
                NotUnderstood; the scene stays as it was.
        """
        if find_mode(mode) is Mode.PROGRAM:
            return self.editing(scene, instruction, self.run(), dialogue=dialogue, render=render)
        text = instruction if isinstance(instruction, str) else instruction.text
        if mode == Mode.END_TO_END:
            return self.editing.end_to_end(scene, text, self.run(), image=image)
        return self.editing.by_language_model(scene, text, self.run(), render=render)

    def ask(
        self,
        scene: Scene | None,
        question: str | Interpretation,
        *,
        image: Picture | None = None,
        dialogue: Sequence[Turn] = (),
        mode: str = Mode.PROGRAM,
    ) -> AnswerResult:
        """The answer to a question about a scene, or, where that is None, about a picture.

        With both, the scene is asked, and a note says whether the picture agrees. Errors as of `edit`.
        """
        if find_mode(mode) is Mode.PROGRAM:
            return self.answering(scene, question, self.run(), image=image, dialogue=dialogue)
        if scene is None:
            raise ConfigError(f"mode {mode} needs a scene; recognise the picture first.")
        text = question if isinstance(question, str) else question.text
        return self.answering.by_language_model(scene, text, self.run(), image=image)

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
        """Any task of the language model on a batch of inputs; settings and errors as of `LanguageModel.submit`."""
        return self.language_model.complete(
            task,
            given,
            sampling=sampling,
            constraint=constraint,
            max_objects=max_objects,
            max_tokens=max_tokens,
            deadline=deadline,
        )

    def encode_images(self, images: Sequence[Picture]) -> np.ndarray:
        """Image codes [batch, rows * columns] of pictures of any size."""
        return self.language_model.encode_images(images)

    def meshes(self, scene: Scene) -> "dict[int, trimesh.Trimesh]":
        """Meshes for `kyvo.export`, by an object's index: of ObjaWorld's assets, and of shape codes."""
        from kyvo.pipelines.scene_meshes import scene_meshes

        return scene_meshes(scene, self.processor.shape)

    def rendering_camera(self, scene: Scene) -> Camera | None:
        """The camera that a rendering of the scene has; None where nothing says it."""
        return self.rendering.rendering_camera(scene)

    def find_renderer(self, name: str) -> Renderer:
        """Raises ConfigError for a name that is none of `renderers`."""
        for known, renderer in self.renderers.items():
            if known == name:
                return renderer
        raise ConfigError(f"no renderer is called {name!r}; known are {', '.join(self.renderers)}.")


def default_parser(model: LanguageModel, *, min_probability: float = 0.0) -> Parser:
    """The language model where its folder has programs, else the grammar of English."""
    if model.builder.programs is None:
        return GrammarParser()
    return LanguageModelParser(model, min_probability=min_probability)


def find_mode(mode: str) -> Mode:
    """Raises ConfigError for a mode that is none."""
    if mode not in tuple(Mode):
        raise ConfigError(f"mode is {mode!r}; known are {', '.join(Mode)}.")
    return Mode(mode)


def lacking_parts(folder: Path) -> list[str]:
    """What a model folder could have beside the language model and has not, with what follows from that."""
    parts = {
        CALIBRATION_NAME: "calibration (confidences are the language model's own; eval/calibration.py fits one)",
        IN_DOMAIN_NAME: "in-domain score (no picture gets a warning; eval/in_domain.py fits one)",
        REFINER_NAME: "refiner (places are as the language model writes them; recipes/refiner.py trains one)",
    }
    return [about for name, about in parts.items() if not (folder / name).is_file()]


def find_model(name_or_path: str | Path) -> Path:
    """A model's folder. Raises CheckpointError for what is neither a folder of one nor a bundled model's name."""
    bundled = bundled_models()
    if (Path(name_or_path) / "config.json").is_file():
        return Path(name_or_path)
    if str(name_or_path) in bundled:
        return bundled[str(name_or_path)]
    raise CheckpointError(
        f"{name_or_path}: neither a folder with a config.json nor a bundled model; "
        f"bundled are {', '.join(bundled) or 'none'}."
    )


def bundled_models() -> dict[str, Path]:
    """The folders of the language models that come with the package, by name."""
    assets = Path(str(files("kyvo"))) / "assets"
    return {path.parent.name: path.parent for path in sorted(assets.glob("*/config.json"))}

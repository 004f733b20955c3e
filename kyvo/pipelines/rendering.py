"""Rendering: scenes -> pictures.

    canonical camera -> decode image -> closed loop

All codes of a picture are decoded at once (`kyvo.generation.jacobi`), or one by one where they are sampled. A model
whose schema has no camera draws for one camera; a scene that has another is drawn as that one sees it
(`kyvo.generation.canonical_camera`). A folder with a refiner compares each rendering with its scene, and corrects it
(`kyvo.generation.closed_loop`).
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from kyvo.generation.canonical_camera import rendering_camera, to_canonical_camera
from kyvo.generation.closed_loop import run_closed_loop
from kyvo.generation.jacobi import MAX_SCENES, JacobiDecoder
from kyvo.generation.language_model import Completion, LanguageModel
from kyvo.generation.sampling import GREEDY
from kyvo.models.heads.refined_scenes import mean_camera, refine_scenes
from kyvo.pipelines.run import Run
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import camera_of
from kyvo.tokenizers.image import fit
from kyvo.tokenizers.tasks import Segments

RendererName = Literal["model", "raytracer"]


@runtime_checkable
class Renderer(Protocol):
    """Scenes -> pictures: `Rendering`, or `kyvo.pipelines.ray_tracing`."""

    def __call__(
        self, scenes: Sequence[Scene], run: Run, *, closed_loop: bool = True, last: bool = True
    ) -> list[Completion]: ...

    def rendering_camera(self, scene: Scene) -> Camera | None:
        """The camera that a rendering of the scene has; None where nothing says it."""
        ...

    def as_drawn(self, scene: Scene) -> Scene:
        """The scene as its rendering shows it, with the rendering's camera."""
        ...


class Rendering:
    """The pipeline of one model."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.loop = ClosedLoop(model) if model.processor.refiner is not None else OpenLoop(model)

    def __call__(
        self, scenes: Sequence[Scene], run: Run, *, closed_loop: bool = True, last: bool = True
    ) -> list[Completion]:
        """A picture of each scene. Raises SceneError for what the schema cannot hold.

        Args:
            closed_loop: compare with the scenes and correct; without, it takes a third of the time.
            last: the request ends here (`Run.complete`).
        """
        seen = [self.loop.to_canonical_camera(self._turned(scene)) for scene in scenes]
        if run.sampling != GREEDY:
            return run.complete("rendering", [Segments(scene=scene) for scene in seen], last=last)
        loop = self.loop if closed_loop else OpenLoop(self.model)
        parts = [seen[start : start + MAX_SCENES] for start in range(0, len(seen), MAX_SCENES)]
        return [drawn for part in parts for drawn in self._draw(part, loop, run, last=last)]

    def rendering_camera(self, scene: Scene) -> Camera | None:
        """The camera that a rendering of the scene has; None where nothing says it."""
        return self.loop.rendering_camera(scene)

    def as_drawn(self, scene: Scene) -> Scene:
        """The scene with its rendering's camera, and cubes turned as they are drawn."""
        return self._turned(replace(scene, camera=self.rendering_camera(scene) or scene.camera))

    def _turned(self, scene: Scene) -> Scene:
        """The scene with the turns of its cubes that a picture can have: 0 where the scene says nothing, as the ray
        tracer draws it, and none where neither tokens nor the decoder know of turns."""
        processor = self.model.processor
        knows = processor.image.config.turns or any(field.name == "rotation" for field in processor.schema.fields)
        turned = _turned if knows else _unturned
        return replace(scene, objects=tuple(map(turned, scene.objects)))

    def _draw(
        self, scenes: Sequence[Scene], loop: "ClosedLoop | OpenLoop", run: Run, *, last: bool
    ) -> list[Completion]:
        model = self.model
        decoder = JacobiDecoder(
            model.engine,
            model.builder,
            model.processor.image,
            count=len(scenes),
            max_tokens=run.max_tokens if last else None,
            call=run.call,
        )
        began = time.monotonic()
        first = decoder.draw(scenes)
        drawn = [
            Completion(probability=probability, num_prompt=num_prompt, num_output=decoder.num_output)
            for probability, num_prompt in zip(decoder.probabilities(), decoder.num_prompt, strict=True)
        ]
        run.num_prompt += sum(decoder.num_prompt)
        run.num_output += decoder.num_output * len(scenes)
        # A round of the loop takes less time than the first drawing.
        pictures = loop(scenes, first, decoder, run, seconds_of_round=time.monotonic() - began)
        return [replace(one, image=picture) for one, picture in zip(drawn, pictures, strict=True)]


def _turned(item: SceneObject) -> SceneObject:
    return item.with_values(rotation=0.0) if item.shape == "cube" and item.turn is None else item


def _unturned(item: SceneObject) -> SceneObject:
    return replace(item, extra={name: value for name, value in item.extra.items() if name != "rotation"})


class ClosedLoop:
    """Renderings of a model with a refiner: compared with their scenes, and corrected."""

    def __init__(self, model: LanguageModel) -> None:
        assert model.processor.refiner is not None
        self.model = model
        self.refiner = model.processor.refiner
        self.schema = model.processor.schema
        self.camera = mean_camera(self.refiner.config)  # that the model draws for

    def to_canonical_camera(self, scene: Scene) -> Scene:
        """The scene that has to be drawn for the picture that the scene's own camera has."""
        return to_canonical_camera(scene, self.camera, self.schema)

    def rendering_camera(self, scene: Scene) -> Camera | None:
        """The camera that a rendering of the scene has."""
        return rendering_camera(scene, self.camera, self.schema)

    def __call__(
        self,
        scenes: Sequence[Scene],
        pictures: Sequence[np.ndarray],
        decoder: JacobiDecoder,
        run: Run,
        *,
        seconds_of_round: float,
    ) -> list[np.ndarray]:
        """The pictures, or others of the same scenes in which objects stand nearer to their places."""
        cameras = [self.rendering_camera(scene) for scene in scenes]
        config = self.refiner.config

        def read(wanted: list[Scene], drawn: Sequence[np.ndarray]) -> list[Scene]:
            seen = [fit(picture, config.width, config.height) for picture in drawn]
            return run.call(lambda: refine_scenes(self.refiner, wanted, seen, self.schema, cameras=cameras))

        return run_closed_loop(
            scenes,
            pictures,
            self.schema,
            draw=partial(decoder.draw, shown=scenes),
            read=read,
            late=lambda: run.seconds_left <= seconds_of_round,
        )


class OpenLoop:
    """Renderings of a model without a refiner: as the language model wrote them."""

    def __init__(self, model: LanguageModel) -> None:
        self.config = model.processor.image.config
        self.schema = model.processor.schema

    def to_canonical_camera(self, scene: Scene) -> Scene:
        return scene

    def rendering_camera(self, scene: Scene) -> Camera | None:
        """The camera that a rendering has; None where nothing says it."""
        in_header = self.schema.snap_camera(scene.camera)
        return camera_of(replace(scene, camera=in_header), *self.config.decoded_size)

    def __call__(
        self,
        scenes: Sequence[Scene],
        pictures: Sequence[np.ndarray],
        decoder: JacobiDecoder,
        run: Run,
        *,
        seconds_of_round: float,
    ) -> list[np.ndarray]:
        return list(pictures)

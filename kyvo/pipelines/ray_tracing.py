"""Rendering by the ray tracer: the exact picture of a scene of CLEVR's objects.

It takes the place of `Rendering`, which draws with the language model. No network takes part. The tracer is imported
when a picture is first asked for: most uses of a model need none.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import UInt8

from kyvo.errors import ConfigError
from kyvo.generation.language_model import Completion, LanguageModel
from kyvo.generation.sampling import GREEDY
from kyvo.pipelines.run import Run
from kyvo.scene.scene import Camera, Scene
from kyvo.scene.schema import camera_of

SIZE = (480, 320)  # px
CHUNK = 4  # scenes traced between two looks at the request's deadline


class RayTracing:
    """The pipeline of one model, whose schema and device it takes."""

    def __init__(self, model: LanguageModel, *, size: tuple[int, int] = SIZE) -> None:
        """`size` is the pictures' width and height in px; the width keeps the view."""
        self.schema = model.processor.schema
        self.device = model.model.device.type
        self.width, self.height = size

    def __call__(
        self, scenes: Sequence[Scene], run: Run, *, closed_loop: bool = True, last: bool = True
    ) -> list[Completion]:
        """A picture of each scene; one without a camera gets CLEVR's. There is nothing for a closed loop to correct.

        Raises SceneError for an object that lacks an attribute or a place, and ConfigError for a schema of other
        objects than CLEVR's and for sampling, since nothing is drawn by chance.
        """
        from kyvo.data.clevr.sampling import ClevrRules

        if run.sampling != GREEDY:
            raise ConfigError("the ray tracer draws nothing by chance; leave out temperature, top_p, top_k and seed.")
        ClevrRules.of(self.schema)
        parts = [scenes[start : start + CHUNK] for start in range(0, len(scenes), CHUNK)]
        pictures = [picture for part in parts for picture in run.call(partial(self._trace, part))]
        return [Completion(image=picture) for picture in pictures]

    def _trace(self, scenes: Sequence[Scene]) -> UInt8[np.ndarray, "batch height width 3"]:
        from kyvo.data.clevr.sampling import render_scenes

        return render_scenes(scenes, width=self.width, height=self.height, device=self.device)

    def rendering_camera(self, scene: Scene) -> Camera | None:
        """The camera that the picture of a scene has."""
        return camera_of(scene, self.width, self.height)

    def as_drawn(self, scene: Scene) -> Scene:
        """The scene with its picture's camera; all else is drawn as it is."""
        return replace(scene, camera=self.rendering_camera(scene) or scene.camera)

"""Recognition: pictures -> scenes.

    read -> encode -> decode -> refine

The language model says which objects there are; the refiner, where the folder has one, reads each of them once more
from the pixels. `decode` calibrates the confidences as it builds the scenes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kyvo.errors import ConfigError
from kyvo.generation.language_model import Completion, LanguageModel, Picture, read_pictures
from kyvo.models.heads.refined_scenes import refine_scenes
from kyvo.pipelines.run import Run
from kyvo.scene.scene import Camera, Scene
from kyvo.tokenizers.image import fit
from kyvo.tokenizers.scene import SceneForm
from kyvo.tokenizers.tasks import Segments


class Recognition:
    """The pipeline of one model."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.refine = Refinement(model) if model.processor.refiner is not None else NoRefinement(model)

    def __call__(
        self,
        images: Sequence[Picture],
        run: Run,
        *,
        refine: bool = True,
        cameras: Sequence[Camera | None] | None = None,
        last: bool = True,
    ) -> list[Completion]:
        """The scene in each picture.

        Args:
            refine: read the objects once more from the pixels; else scenes are as the language model wrote them.
            cameras: that took the pictures, where they are known; places are exact then. A language model whose schema
                has a camera is told them, as far as a header holds them.
            last: the request ends here (`Run.complete`).

        Raises ConfigError for cameras that nothing reads: neither the language model nor, with `refine`, a refiner.
        """
        if cameras is not None and not refine and not self.model.processor.schema.camera:
            raise ConfigError("cameras place what the refiner reads; leave out refine=False, or the cameras.")
        pictures = self.read(images)
        found = self.decode(self.encode(pictures, run), run, cameras=cameras, last=last)
        if not refine:
            return found
        scenes = self.refine([one.scene for one in found if one.scene is not None], pictures, run, cameras=cameras)
        return [replace(one, scene=scene) for one, scene in zip(found, scenes, strict=True)]

    def read(self, images: Sequence[Picture]) -> list[np.ndarray]:
        """Pictures at the model's size: uint8 [height, width, 3]."""
        config = self.model.processor.image.config
        return [fit(picture, config.width, config.height) for picture in read_pictures(images)]

    def encode(self, pictures: Sequence[np.ndarray], run: Run) -> np.ndarray:
        """Their image codes [pictures, codes]."""
        if not pictures:
            return np.zeros((0, 0), dtype=np.int64)
        return run.call(lambda: self.model.encode_images(pictures))

    def decode(
        self, codes: np.ndarray, run: Run, *, cameras: Sequence[Camera | None] | None = None, last: bool
    ) -> list[Completion]:
        """What the language model says of the codes, with calibrated confidences. It writes the cameras that it is not
        told, where its schema has them."""
        if not len(codes):
            return []
        schema = self.model.processor.schema
        told = [schema.snap_camera(camera) for camera in cameras or [None] * len(codes)]
        forms = [SceneForm(camera=camera or True) for camera in told]
        return run.complete("recognition", [Segments(image=own) for own in codes], last=last, forms=forms)


class Refinement:
    """Recognised objects, read once more from the pixels (`kyvo.models.heads.refined_scenes`)."""

    def __init__(self, model: LanguageModel) -> None:
        self.refiner = model.processor.refiner
        self.schema = model.processor.schema

    def __call__(
        self,
        scenes: Sequence[Scene],
        pictures: Sequence[np.ndarray],
        run: Run,
        *,
        cameras: Sequence[Camera | None] | None = None,
    ) -> list[Scene]:
        """The scenes with refined places and words. A picture tells little of which way its camera was turned, and so
        of where in the scene its objects stand: `cameras` make places exact."""
        assert self.refiner is not None
        refiner = self.refiner
        return run.call(lambda: refine_scenes(refiner, scenes, pictures, self.schema, cameras=cameras))


class NoRefinement:
    """Of a folder without a refiner: scenes stay as they are."""

    def __init__(self, model: LanguageModel) -> None:
        self.schema = model.processor.schema

    def __call__(
        self,
        scenes: Sequence[Scene],
        pictures: Sequence[np.ndarray],
        run: Run,
        *,
        cameras: Sequence[Camera | None] | None = None,
    ) -> list[Scene]:
        if cameras is not None and any(cameras) and not self.schema.camera:
            raise ConfigError("the model has no refiner, which places objects by cameras; leave them out.")
        return list(scenes)

"""Recognition: pictures -> scenes.

    read -> expose -> encode -> decode -> refine -> check -> turn

Pictures of another brightness than the model's are brought to it. The language model says which objects there are; the
refiner, where the folder has one, reads each of them once more from the pixels. `decode` calibrates the confidences as
it builds the scenes. `check` scores how like the picture is to those that the model knows; it comes after, because it
compares the picture with what was recognised. `turn` reads from the picture in detail how its cubes are turned, where
the folder has a network for it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from kyvo.errors import ConfigError
from kyvo.generation.exposure import Exposure
from kyvo.generation.in_domain import InDomain, gather
from kyvo.generation.language_model import Completion, LanguageModel, Picture, read_one
from kyvo.models.heads.cube_turns import read_turns
from kyvo.models.heads.refined_scenes import refine_scenes
from kyvo.pipelines.run import Run
from kyvo.scene.scene import Camera, Scene
from kyvo.scene.source import Source, source_of, with_source
from kyvo.tokenizers.image import Fitted
from kyvo.tokenizers.scene import OptionalParts
from kyvo.tokenizers.tasks import Segments

PASSES = 2  # of a refiner: the second begins where the first ended, which helps pictures that were cut or compressed


class Recognition:
    """The pipeline of one model."""

    def __init__(
        self, model: LanguageModel, *, exposure: Exposure | None = None, in_domain: InDomain | None = None
    ) -> None:
        """
        Args:
            exposure: of the model's pictures; by default pictures keep their brightness.
            in_domain: scores pictures; by default they are not checked.
        """
        self.model = model
        self.expose = ExposureCorrection(exposure) if exposure is not None else NoExposureCorrection()
        self.refine = Refinement(model) if model.processor.refiner is not None else NoRefinement(model)
        self.check = InDomainCheck(in_domain) if in_domain is not None else NoInDomainCheck()
        self.turn = CubeTurning(model) if model.processor.cube_turns is not None else NoCubeTurning()

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
            refine: read the objects once more from the pixels, and turns of cubes; else scenes are as the language
                model wrote them, and pictures are not checked.
            cameras: that took the pictures, where they are known; places are exact then. A language model whose schema
                has a camera gets them in its prompt, as far as a header holds them.
            last: the request ends here (`Run.complete`).

        Raises ConfigError for cameras that nothing reads: neither the language model nor, with `refine`, a refiner.
        """
        if cameras is not None and not refine and not self.model.processor.schema.camera:
            raise ConfigError("cameras place what the refiner reads; leave out refine=False, or the cameras.")
        fitted = self.expose(self.read(images))
        pictures = [one.pixels for one in fitted]
        codes, code_errors = self.encode(pictures, run)
        found = self.decode(codes, run, cameras=cameras, last=last)
        scenes = [
            with_source(one.scene, Source(notes=picture.notes))
            for one, picture in zip(found, fitted, strict=True)
            if one.scene is not None
        ]
        if refine:
            scenes = self.refine(scenes, pictures, run, cameras=cameras)
            scenes = self.check(scenes, pictures, code_errors, run)
            scenes = self.turn(scenes, [one.fine for one in fitted], run)
        return [replace(one, scene=scene) for one, scene in zip(found, scenes, strict=True)]

    def read(self, images: Sequence[Picture]) -> list[Fitted]:
        """Pictures at the model's size."""
        config = self.model.processor.image.config
        return [
            image if isinstance(image, Fitted) else Fitted.of(read_one(image), config.width, config.height)
            for image in images
        ]

    def encode(self, pictures: Sequence[np.ndarray], run: Run) -> tuple[np.ndarray, np.ndarray]:
        """Their image codes [pictures, codes], and how far these are off (`ImageTokenizer.quantize`) [pictures]."""
        if not pictures:
            return np.zeros((0, 0), dtype=np.int64), np.zeros(0, dtype=np.float32)
        return run.call(lambda: self.model.processor.image.quantize(pictures))

    def decode(
        self, codes: np.ndarray, run: Run, *, cameras: Sequence[Camera | None] | None = None, last: bool
    ) -> list[Completion]:
        """What the language model says of the codes, with calibrated confidences. Where its schema has cameras, it
        writes those that are not given."""
        if not len(codes):
            return []
        schema = self.model.processor.schema
        known = [schema.snap_camera(camera) for camera in cameras or [None] * len(codes)]
        optionals = [OptionalParts(camera=camera or True) for camera in known]
        return run.complete("recognition", [Segments(image=own) for own in codes], last=last, optionals=optionals)


class ExposureCorrection:
    """Pictures at the brightness that the model knows (`kyvo.generation.exposure`)."""

    def __init__(self, exposure: Exposure) -> None:
        self.exposure = exposure

    def __call__(self, pictures: Sequence[Fitted]) -> list[Fitted]:
        return [self._exposed(picture) for picture in pictures]

    def _exposed(self, picture: Fitted) -> Fitted:
        pixels, note = self.exposure.apply(picture.pixels)
        if note is None:
            return picture
        fine, _ = self.exposure.apply(picture.fine)
        return Fitted(pixels=pixels, fine=fine, notes=(*picture.notes, note))


class NoExposureCorrection:
    """Of a folder without an exposure: pictures keep their brightness."""

    def __call__(self, pictures: Sequence[Fitted]) -> list[Fitted]:
        return list(pictures)


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
        for _ in range(PASSES):
            scenes = run.call(partial(self._pass, scenes, pictures, cameras))
        return list(scenes)

    def _pass(
        self, scenes: Sequence[Scene], pictures: Sequence[np.ndarray], cameras: Sequence[Camera | None] | None
    ) -> list[Scene]:
        assert self.refiner is not None
        return refine_scenes(self.refiner, scenes, pictures, self.schema, cameras=cameras)


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


class InDomainCheck:
    """Says of each scene how like its picture is to those that the model knows (`kyvo.generation.in_domain`)."""

    def __init__(self, in_domain: InDomain) -> None:
        self.in_domain = in_domain

    def __call__(
        self, scenes: Sequence[Scene], pictures: Sequence[np.ndarray], code_errors: np.ndarray, run: Run
    ) -> list[Scene]:
        """The scenes with the score in their `source`, and a warning where it is too low."""
        if not scenes:
            return []
        scores = self.in_domain.scores(run.call(lambda: gather(pictures, code_errors, scenes)))
        return [self._with_score(scene, round(score, 4)) for scene, score in zip(scenes, scores, strict=True)]

    def _with_score(self, scene: Scene, score: float) -> Scene:
        return with_source(scene, replace(source_of(scene), in_domain=score, warnings=self.in_domain.warnings(score)))


class NoInDomainCheck:
    """Of a folder without a score: scenes stay as they are."""

    def __call__(
        self, scenes: Sequence[Scene], pictures: Sequence[np.ndarray], code_errors: np.ndarray, run: Run
    ) -> list[Scene]:
        return list(scenes)


class CubeTurning:
    """How cubes are turned, read from the pixels (`kyvo.models.heads.cube_turns`)."""

    def __init__(self, model: LanguageModel) -> None:
        self.network = model.processor.cube_turns

    def __call__(self, scenes: Sequence[Scene], pictures: Sequence[np.ndarray], run: Run) -> list[Scene]:
        """The scenes with `rotation` of their cubes. Pictures are fine ones (`Fitted`)."""
        assert self.network is not None
        return run.call(partial(read_turns, self.network, scenes, pictures))


class NoCubeTurning:
    """Of a folder without such a network: nothing is said of turns, but for what the language model says."""

    def __call__(self, scenes: Sequence[Scene], pictures: Sequence[np.ndarray], run: Run) -> list[Scene]:
        return list(scenes)

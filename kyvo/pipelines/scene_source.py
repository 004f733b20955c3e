"""`SceneSource`: the methods of scene generation and the segmenter of a command or server, loaded when asked for."""

import threading
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kyvo.errors import CheckpointError, ConfigError
from kyvo.pipelines.object_source import ObjectSource

if TYPE_CHECKING:
    from kyvo.models.segmenter import Segmenter
    from kyvo.pipelines.recognition import Recognition
    from kyvo.pipelines.scenes import SceneMethod
    from kyvo.scene.scene import Camera


class MethodName(StrEnum):
    SCENEGEN = "scenegen"
    ISCENE = "iscene"
    TOKENS = "tokens"
    INDEPENDENT = "independent"  # a baseline, as the next
    RETRIEVAL = "retrieval"

    @property
    def label(self) -> str:
        """For people."""
        return LABELS[self]

    @property
    def has_camera(self) -> bool:
        """Whether it places objects by a camera."""
        return self in (MethodName.INDEPENDENT, MethodName.RETRIEVAL)

    @property
    def needs_masks(self) -> bool:
        """Whether somebody has to say where the objects are."""
        return self is not MethodName.TOKENS


LABELS = {
    MethodName.SCENEGEN: "SceneGen",
    MethodName.ISCENE: "I-Scene",
    MethodName.TOKENS: "shape tokens of a language model",
    MethodName.INDEPENDENT: "independent objects",
    MethodName.RETRIEVAL: "retrieval from a library",
}

NO_MODEL = "Tokens need a model whose schema has shapes; docs/scenes.md says how one is trained."


class SceneSource:
    """For any thread. What a method needs is imported with it: most uses of a model make no scenes."""

    def __init__(
        self,
        *,
        flows: Path | str = "mini",
        objects: ObjectSource | None = None,
        library: Path | None = None,
        resolution: int = 32,
        library_count: int | None = None,
        segmenter: Path | None = None,
        geometry: Path | None = None,
        recognition: "Recognition | Callable[[], Recognition] | None" = None,
    ) -> None:
        """
        Args:
            flows: a folder of scene flows, or a bundled one's name.
            objects: the generator of objects; by default the bundled one.
            library: for retrieval, a set of `kyvo data objects`.
            resolution: of the library's grid.
            library_count: the library's first rows alone.
            segmenter: a folder of SAM, which makes masks of points and boxes.
            geometry: a folder of VGGT, for flows that were trained with it.
            recognition: of the model that writes scenes of shapes as tokens, or what loads it when it is asked for.
        """
        self._flows = flows
        self._objects = objects or ObjectSource()
        self._library = library
        self._resolution = resolution
        self._library_count = library_count
        self._segmenter = segmenter
        self._geometry = geometry
        self._recognition = recognition
        self._network: Segmenter | None = None
        self._loaded: dict[MethodName, SceneMethod] = {}
        self._from_text: SceneMethod | None = None
        self._lock = threading.Lock()

    def get(self, name: MethodName, *, camera: "Camera | None" = None) -> "SceneMethod":
        """The method.

        Args:
            camera: of the picture, for the baselines; by default a usual one.

        Raises:
            CheckpointError: there are no weights of it.
            ConfigError: there is no library to retrieve from, or the method takes no camera.
        """
        if camera is not None and not name.has_camera:
            raise ConfigError(f"a camera goes with the baselines; {name.value} finds places without one.")
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            method: Any = self._loaded[name]
        return method if camera is None else replace(method, camera=camera)

    def from_text(self) -> "SceneMethod":
        """I-Scene under texts. Raises CheckpointError where there are no weights of it."""
        from kyvo.pipelines.scene_flows import ISceneFromText

        with self._lock:
            if self._from_text is None:
                self._from_text = ISceneFromText.from_pretrained(self._flows, objects=self._objects.get())
            return self._from_text

    @property
    def lacks_text(self) -> str | None:
        """Why there are no scenes of texts, without loading the method; None where there are."""
        from kyvo.pipelines.scene_flows import find_text_flow

        try:
            find_text_flow(self._flows)
        except CheckpointError as error:
            return str(error)
        return self._objects.lacks

    def lacks(self, name: MethodName) -> str | None:
        """Why there is no such method, without loading it; None where there is one."""
        if name is MethodName.TOKENS:
            return self._lacks_shapes()
        if name is MethodName.RETRIEVAL:
            return None if self._library is not None else "there is no library to retrieve objects from."
        if name is not MethodName.INDEPENDENT:
            from kyvo.pipelines.scene_flows import find_scene_flow

            try:
                find_scene_flow(self._flows, name.value)
            except CheckpointError as error:
                return str(error)
        return self._objects.lacks

    @property
    def segments(self) -> bool:
        """Whether there is a segmenter."""
        return self._segmenter is not None

    @property
    def segmenter(self) -> "Segmenter | None":
        """None where no folder was given. Raises CheckpointError where it holds another network."""
        from kyvo.models.segmenter import Segmenter

        with self._lock:
            if self._network is None and self._segmenter is not None:
                self._network = Segmenter.from_folder(self._segmenter)
            return self._network

    def _load(self, name: MethodName) -> "SceneMethod":
        from kyvo.pipelines.scene_baselines import IndependentObjects, Retrieval
        from kyvo.pipelines.scene_flows import IScene, SceneGen

        if name is MethodName.TOKENS:
            return self._load_tokens()
        if name is MethodName.RETRIEVAL:
            if self._library is None:
                raise ConfigError("retrieval needs a library, a set of `kyvo data objects`; give --library.")
            return Retrieval.from_set(self._library, resolution=self._resolution, count=self._library_count)
        if name is MethodName.INDEPENDENT:
            return IndependentObjects(objects=self._objects.get())
        owner = SceneGen if name is MethodName.SCENEGEN else IScene
        return owner.from_pretrained(self._flows, objects=self._objects.get(), geometry=self._geometry)

    def _lacks_shapes(self) -> str | None:
        """What a model lacks that is loaded when asked for, is known then."""
        from kyvo.pipelines.recognition import Recognition
        from kyvo.pipelines.scene_tokens import lacks_shapes

        if self._recognition is None:
            return NO_MODEL
        return lacks_shapes(self._recognition) if isinstance(self._recognition, Recognition) else None

    def _load_tokens(self) -> "SceneMethod":
        from kyvo.pipelines.recognition import Recognition
        from kyvo.pipelines.scene_tokens import SceneTokens

        found = self._recognition
        if found is None:
            raise ConfigError(NO_MODEL)
        if not isinstance(found, Recognition):
            try:
                found = found()
            except CheckpointError as error:
                raise CheckpointError(f"{error} {NO_MODEL}") from error
        return SceneTokens(recognition=found)

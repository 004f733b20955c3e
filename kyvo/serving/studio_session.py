"""What the studio's page does: a `Session` of one visitor, and what is shown after each act."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kyvo.conversation import Conversation, name_object
from kyvo.data.meshes.object_meshes import object_meshes
from kyvo.errors import ConfigError, SceneError
from kyvo.export.formats import export_scene
from kyvo.export.sheet import draw_scene
from kyvo.scene.files import save_scene
from kyvo.scene.scene import Scene
from kyvo.scene.schema import camera_of
from kyvo.serving.body import parse_json
from kyvo.serving.errors import RequestError
from kyvo.serving.inputs import Inputs, picture_of_bytes, png_bytes
from kyvo.serving.worker import Job, Worker
from kyvo.tokenizers.image import fit

FACTOR = 4  # the picture is shown so many times as large as the model sees it
UNCHANGED = "Nothing has been changed yet."
COLUMNS = ["object", "x", "y", "z", "sure"]  # of the table


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """What stands on the page."""

    marked: Image.Image  # the picture with the objects' boxes over it
    status: str
    messages: list[dict[str, str]]
    before: Image.Image | None
    after: Image.Image | None
    changes: str  # markdown
    objects: list[list[Any]]
    json: str
    files: tuple[str, str, str]  # scene.json, scene.glb, picture.png


class Session:
    """The conversation of one visitor about one scene; its files go when it does."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._inputs = Inputs.of(worker.model.processor, worker.limits)
        self._talk: Conversation | None = None
        self._messages: list[dict[str, str]] = []
        self._before: np.ndarray | None = None  # the picture before the last change
        self._changes = UNCHANGED
        self._folder = tempfile.TemporaryDirectory(prefix="kyvo-studio-")

    def recognise(self, picture: str | None) -> Shown:
        """Begins anew with a picture, a file that the page took."""
        if picture is None:
            raise ConfigError("There is no picture yet: drop one, or choose a sample.")
        pixels = self._read(picture)
        done = self._worker.run(Job(task="recognition", picture=pixels))
        assert done.completion.scene is not None
        self._begin(done.completion.scene, pixels)
        cut = " The list was cut at its limit." if done.completion.truncated else ""
        return self._show(f"**{_count(done.completion.scene)} recognised.**{cut} Now ask about it, or change it.")

    def open(self, file: str, picture: str | None) -> Shown:
        """Begins anew with a scene file, and its picture where there is one; else the model draws it."""
        limits = self._worker.limits
        if Path(file).stat().st_size > limits.body:
            raise SceneError(f"The file is larger than {limits.body:,} bytes.")
        try:
            data = parse_json(Path(file).read_bytes(), limits)
        except RequestError as refusal:
            raise SceneError(str(refusal.detail)) from None
        if not isinstance(data, dict):
            raise SceneError("A scene file holds one JSON object; this holds none.")
        scene = self._inputs.scene(data)
        self._begin(scene, None if picture is None else self._read(picture))
        return self._show(f"**{_count(scene)} read.** Now ask about it, or change it.")

    def say(self, text: str, keep_others: bool) -> Shown:
        """A question or an instruction."""
        if not text.strip():
            raise ConfigError("There is no text: ask something, or say what to change.")
        talk = self._talked()
        talk.keep_others = keep_others
        before = talk.image
        turn = talk.say(self._inputs.text(text))
        self._messages += [{"role": "user", "content": turn.text}, {"role": "assistant", "content": turn.describe()}]
        if turn.answer is not None:
            return self._show("**Answered**, in the talk below.")
        self._before, self._changes = before, _listed(turn.describe())
        return self._show(f"**Changed.** The scene has {_count(turn.scene)} now.")

    def undo(self) -> Shown:
        turn = self._talked().undo()
        return self._stepped("Nothing to take back." if turn is None else f"Taken back: {turn.text}")

    def redo(self) -> Shown:
        turn = self._talked().redo()
        return self._stepped("Nothing to bring back." if turn is None else f"Brought back: {turn.text}")

    def render(self) -> Shown:
        """Has the model draw the scene as it is, in place of its picture. What was said cannot be taken back then."""
        talk = self._talked()
        image = self._worker.run(Job(task="rendering", scene=talk.scene)).completion.image
        self._before, self._changes = talk.image, "The same scene, drawn anew."
        self._talk = Conversation(talk.model, talk.scene, image=image, drawn=True)
        return self._show("**Drawn** by the model from the scene alone.")

    def _begin(self, scene: Scene, picture: np.ndarray | None) -> None:
        self._talk = Conversation(self._worker.model, scene, image=picture)
        self._messages, self._before, self._changes = [], None, UNCHANGED

    def _talked(self) -> Conversation:
        if self._talk is None:
            raise ConfigError("There is no scene yet: recognise a picture, or open scene JSON.")
        return self._talk

    def _stepped(self, status: str) -> Shown:
        self._before, self._changes = None, status
        return self._show(status)

    def _read(self, path: str) -> np.ndarray:
        return fit(picture_of_bytes(Path(path).read_bytes(), self._worker.limits), *self._size)

    @property
    def _size(self) -> tuple[int, int]:
        """Width and height of pictures on the page."""
        width, height = self._inputs.size
        return width * FACTOR, height * FACTOR

    def _large(self, picture: np.ndarray) -> Image.Image:
        return Image.fromarray(picture).resize(self._size, Image.Resampling.BICUBIC)

    def _show(self, status: str) -> Shown:
        talk = self._talked()
        files = self._write_files(talk.scene, talk.image)
        large = self._large(talk.image)
        return Shown(
            marked=_marked(large, replace(talk.scene, camera=talk.camera)),
            status=status,
            messages=list(self._messages),
            before=None if self._before is None else self._large(self._before),
            after=large,
            changes=self._changes,
            objects=_table(talk.scene),
            json=Path(files[0]).read_text(encoding="utf-8"),
            files=files,
        )

    def _write_files(self, scene: Scene, image: np.ndarray) -> tuple[str, str, str]:
        folder = Path(self._folder.name)
        save_scene(scene, folder / "scene.json")
        export_scene(scene, folder / "scene.glb", meshes=object_meshes(scene))
        (folder / "picture.png").write_bytes(png_bytes(image))
        return str(folder / "scene.json"), str(folder / "scene.glb"), str(folder / "picture.png")


def _marked(picture: Image.Image, scene: Scene) -> Image.Image:
    """The picture with boxes; without, where no camera says where objects are in it."""
    camera = camera_of(scene, *picture.size)
    if camera is None:
        return picture
    return draw_scene(np.asarray(picture), scene, camera, factor=1)


def _count(scene: Scene) -> str:
    return f"{len(scene)} object{'' if len(scene) == 1 else 's'}"


def _listed(lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines.splitlines())


def _table(scene: Scene) -> list[list[Any]]:
    """A row an object, as COLUMNS says."""
    rows = []
    for item in scene.objects:
        place = ["" if item.location is None else f"{value:.2f}" for value in item.location or ("",) * 3]
        rows.append([name_object(item), *place, "" if item.confidence is None else f"{item.confidence:.2f}"])
    return rows

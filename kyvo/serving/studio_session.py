"""What the studio's page does: a `Session` of one visitor, and what is shown after each act."""

import tempfile
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kyvo.conversation import Conversation, Turn, name_object
from kyvo.errors import ConfigError, KyvoError, SceneError
from kyvo.export.formats import export_scene
from kyvo.export.view import draw_outlines
from kyvo.files import write_bytes
from kyvo.programs.errors import AmbiguousReference
from kyvo.scene.files import save_scene
from kyvo.scene.scene import Scene
from kyvo.scene.schema import camera_of
from kyvo.scene.source import source_of
from kyvo.serving import jobs
from kyvo.serving.body import parse_json
from kyvo.serving.errors import RequestError
from kyvo.serving.inputs import Inputs, picture_of_bytes, png_bytes
from kyvo.serving.worker import Job, Worker
from kyvo.tokenizers.image import fit

FACTOR = 4  # the picture is shown so many times as large as the model sees it
UNCHANGED = "Nothing has been changed yet."
MAX_SAID = 500  # texts of a talk: each keeps its picture
COLUMNS = ["object", "x", "y", "z", "sure"]  # of the table


@dataclass(frozen=True, kw_only=True, eq=False)
class PageState:
    """What stands on the page."""

    marked: Image.Image  # the picture with the objects' outlines over it
    status: str
    messages: list[dict[str, str]]
    before: Image.Image | None
    after: Image.Image | None
    changes: str  # markdown
    objects: list[list[Any]]
    json: str
    files: tuple[str, str, str]  # scene.json, scene.glb, picture.png
    banner: str  # what is to be said of the picture that the scene was recognised in; empty for most
    fault: bool = False  # the status tells what did not work


@dataclass(frozen=True, kw_only=True, eq=False)
class StudioReply:
    """A text of the visitor's and its reply. `turn` is None where it was refused or asked back."""

    text: str
    reply: str
    turn: Turn | None = None

    def stands(self, turns: Collection[Turn]) -> bool:
        """Whether it was not taken back: what it did is among these turns, or it did nothing."""
        return self.turn is None or any(self.turn.result is turn.result for turn in turns)

    def messages(self, turns: Collection[Turn]) -> list[dict[str, str]]:
        """As the talk shows it while these turns stand; what was taken back is struck through."""
        text, reply = self.text, self.reply
        if not self.stands(turns):
            text, reply = f"~~{text}~~", f"~~{reply}~~ (taken back)"
        return [{"role": "user", "content": text}, {"role": "assistant", "content": reply}]


class Session:
    """The conversation of one visitor about one scene; its files go when it does."""

    def __init__(self, worker: Worker, *, uploads: Path) -> None:
        """`uploads` is the folder of uploaded files; no other file is read."""
        self._worker = worker
        self._inputs = Inputs.of(worker.model.processor, worker.limits)
        self._uploads = uploads
        self.lock = threading.Lock()  # held by one act at a time
        self._talk: Conversation | None = None
        self._said: list[StudioReply] = []
        self._before: np.ndarray | None = None  # the picture before the last change
        self._changes = UNCHANGED
        self._folder = tempfile.TemporaryDirectory(prefix="kyvo-studio-")

    def recognise(self, picture: str | None) -> PageState:
        """Begins anew with a picture, a file that the page took."""
        if picture is None:
            raise ConfigError("There is no picture yet: drop one, or choose a sample.")
        pixels = self._read(picture)
        found = self._worker.run(jobs.recognition(self._worker.model, self._inputs.fit(pixels))).result
        self._begin(found.scene, fit(pixels, *self._size))
        if not len(found.scene):
            return self._show("**No object was found.** The model knows scenes like the samples, not photographs.")
        cut = " The list was cut at its limit." if found.truncated else ""
        return self._show(f"**{_count(found.scene)} recognised.**{cut} Now ask about it, or change it.")

    def open(self, file: str, picture: str | None) -> PageState:
        """Begins anew with a scene file. `picture` is taken where the scene names it as its own; else the model draws
        one."""
        limits = self._worker.limits
        try:
            data = parse_json(self._content(file), limits)
        except RequestError as refusal:
            raise SceneError(str(refusal.detail)) from None
        if not isinstance(data, dict):
            raise SceneError("A scene file holds one JSON object; this holds none.")
        scene = self._inputs.scene(data)
        own = picture is not None and Path(picture).name == scene.image
        self._begin(scene, fit(self._read(picture), *self._size) if own and picture is not None else None)
        if not len(scene):
            return self._show("**The scene has no objects.** Say what to add.")
        return self._show(f"**{_count(scene)} read.** Now ask about it, or change it.")

    def say(self, text: str) -> PageState:
        """A question, an instruction, or the answer to "which one do you mean?"."""
        if not text.strip():
            raise ConfigError("There is no text: ask something, or say what to change.")
        talk, text = self._talked(), self._inputs.text(text)
        if len(self._said) >= MAX_SAID:
            raise ConfigError(f"The talk has {MAX_SAID} texts, and no more may be: download its JSON and open that.")
        self._draw(talk)
        before, waiting = talk.image, talk.clarification
        try:
            turn = self._worker.run(Job(task="dialogue", work=lambda run: talk.say(text, run=run))).result
        except AmbiguousReference as error:
            self._said.append(StudioReply(text=text, reply=str(error)))
            return self._show("**Which one do you mean?** Say its number, or describe it.", error.candidates)
        except KyvoError as error:
            self._said.append(StudioReply(text=text, reply=str(error)))
            if waiting is not None and waiting.is_declined(text):
                return self._show("**Nothing was done.** The scene is as it was.")
            return self._show("**That did not work.** The scene is as it was.", fault=True)
        self._said.append(StudioReply(text=text, reply=turn.describe(), turn=turn))
        if turn.answer is not None:
            return self._show("**Answered**, in the talk below.", turn.objects)
        self._before, self._changes = before, _listed(turn.describe())
        return self._show(f"**Changed.** The scene has {_count(turn.scene)} now.")

    def _draw(self, talk: Conversation) -> None:
        """Renders the scene where nobody has yet, at the cost of a job of its own."""
        self._worker.run(Job(task="rendering", work=talk.draw))

    def undo(self) -> PageState:
        return self._step(Conversation.undo, "Taken back", "Nothing to take back.")

    def redo(self) -> PageState:
        return self._step(Conversation.redo, "Brought back", "Nothing to bring back.")

    def _step(self, step: Callable[[Conversation], Turn | None], done: str, nothing: str) -> PageState:
        talk = self._talked()
        self._draw(talk)
        before = talk.image
        turn = step(talk)
        if turn is None:
            return self._show(nothing)
        self._before, self._changes = before, f"{done}:\n\n{_listed(turn.describe())}"
        return self._show(f"**{done}:** {turn.text}")

    def render(self) -> PageState:
        """Draws the scene as it is, in place of its picture. What was said cannot be taken back then."""
        talk = self._talked()
        image = self._worker.run(jobs.rendering(talk.model.rendering, talk.scene)).result.image
        self._before, self._changes = talk.image, "The same scene, drawn anew."
        self._said = [replace(said, turn=None) if said.stands(talk.turns) else said for said in self._said]
        self._talk = Conversation(talk.model, talk.scene, image=image, drawn=True)
        return self._show("**Drawn** from the scene alone.")

    def _begin(self, scene: Scene, picture: np.ndarray | None) -> None:
        self._talk = Conversation(self._worker.model, scene, image=picture)
        self._said, self._before, self._changes = [], None, UNCHANGED

    def _talked(self) -> Conversation:
        if self._talk is None:
            raise ConfigError("There is no scene yet: recognise a picture, or open scene JSON.")
        return self._talk

    def _read(self, path: str) -> np.ndarray:
        return picture_of_bytes(self._content(path), self._worker.limits)

    def _content(self, path: str) -> bytes:
        """What an uploaded file holds. Raises ConfigError for another file, and for one that is too large."""
        file, limit = Path(path).resolve(), self._worker.limits.body
        if not (file.is_relative_to(self._uploads) and file.is_file()):
            raise ConfigError("The file is not one that was uploaded here, or it was removed; upload it again.")
        if file.stat().st_size > limit:
            raise ConfigError(f"The file is larger than {limit:,} bytes.")
        return file.read_bytes()

    @property
    def _size(self) -> tuple[int, int]:
        """Width and height of pictures on the page."""
        width, height = self._inputs.size
        return width * FACTOR, height * FACTOR

    def _large(self, picture: np.ndarray) -> Image.Image:
        return Image.fromarray(picture).resize(self._size, Image.Resampling.BICUBIC)

    def _show(self, status: str, named: Sequence[int] = (), *, fault: bool = False) -> PageState:
        """`named` are indices of objects that are marked more strongly."""
        talk = self._talked()
        self._draw(talk)
        files, source = self._write_files(talk.scene, talk.image), source_of(talk.scene)
        large = self._large(talk.image)
        return PageState(
            marked=_marked(large, talk.shown, named, meshes=talk.model.meshes(talk.scene)),
            status=status,
            messages=[message for said in self._said for message in said.messages(talk.turns)],
            before=None if self._before is None else self._large(self._before),
            after=large,
            changes=self._changes,
            objects=_table(talk.scene),
            json=Path(files[0]).read_text(encoding="utf-8"),
            files=files,
            banner="\n\n".join((*(f"**{warning}**" for warning in source.warnings), *source.notes)),
            fault=fault,
        )

    def _write_files(self, scene: Scene, image: np.ndarray) -> tuple[str, str, str]:
        folder = Path(self._folder.name)
        save_scene(scene, folder / "scene.json")
        export_scene(scene, folder / "scene.glb", meshes=self._worker.model.meshes(scene))
        write_bytes(folder / "picture.png", png_bytes(image))
        return str(folder / "scene.json"), str(folder / "scene.glb"), str(folder / "picture.png")


def _marked(picture: Image.Image, scene: Scene, named: Sequence[int], *, meshes: Mapping[int, Any]) -> Image.Image:
    """The picture with the objects' outlines; without, where no camera says where objects are in it."""
    if camera_of(scene, *picture.size) is None:
        return picture
    return draw_outlines(np.asarray(picture), scene, named=named, meshes=meshes)


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

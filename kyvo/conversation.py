"""`Conversation`: a scene and its picture, changed and asked about turn by turn.

```python
talk = Conversation(Kyvo.from_pretrained("mini"), load_scene("room.json"))
turn = talk.say("Make the red cube blue.")
print(turn.describe())
```
Scenes change by what the model changed and nothing else: an object that it left alone keeps its exact numbers and its
unknown keys, though the model sees it on its grid.
"""

import base64
import binascii
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kyvo.api import Kyvo, Picture
from kyvo.data.language.edit_phrases import parse
from kyvo.data.language.referents import resolve
from kyvo.errors import ImageError, KyvoError, SceneError
from kyvo.export.formats import export_scene
from kyvo.scene.diff import SceneDiff, diff
from kyvo.scene.files import read_json, scene_from_json, scene_to_json, write_json
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.pictures import read_picture

FORMAT = "kyvo-chat"
VERSION = 1

_REQUEST = re.compile(r"please\b|(?:can|could|would|will) (?:you|i|we)\b")
_ASKS = re.compile(
    r".*\?$|(?:what|which|who|where|when|why|how|is|are|was|were|do|does|did|has|have|name)\b"
    r"|.*\b(?:count the|count all|tell me|like to know|how many|give its|give the number)\b"
)


@dataclass(frozen=True, kw_only=True)
class Concern:
    """What an instruction is about, where its wording says so: the object that goes or changes, and what comes."""

    target: int | None  # index in the scene before; None where nothing that is there changes
    num_removed: int
    num_added: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """What was said, and what came of it. `before` and `scene` are the same scene after a question."""

    text: str
    before: Scene
    scene: Scene
    image: np.ndarray | None  # uint8 [height, width, 3], of `scene`
    answer: str | None = None  # to a question; None for an instruction
    truncated: bool = False  # the model did not come to an end
    concern: Concern | None = None  # None where the wording does not tell

    @cached_property
    def diff(self) -> SceneDiff:
        """What changed from `before` to `scene`."""
        return diff(self.before, self.scene)

    @cached_property
    def others(self) -> SceneDiff:
        """The part of `diff` that the instruction does not ask for; empty where its wording does not tell."""
        found, concern = self.diff, self.concern
        if concern is None:
            return SceneDiff(added=(), removed=(), moved=(), changed=())
        # An object that is changed much goes and comes again.
        come = concern.num_added if concern.target is None or concern.target in found.removed else 0
        return SceneDiff(
            added=found.added[come:],
            removed=tuple(index for index in found.removed if index != concern.target),
            moved=tuple(move for move in found.moved if move.before != concern.target),
            changed=tuple(change for change in found.changed if change.before != concern.target),
        )

    def describe(self) -> str:
        """The answer, or in words what changed: a line each, what was not asked for below "also"."""
        if self.answer is not None:
            return self.answer
        lines = describe_diff(self.diff, self.before, self.scene)
        also = describe_diff(self.others, self.before, self.scene)
        asked = [line for line in lines if line not in also]
        if not asked:
            asked = ["what was asked for did not happen" if lines else "nothing changed: the scene is the same"]
        if self.truncated:
            asked.append("the answer was cut at its limit")
        return "\n".join([*asked, *(f"also {line}" for line in also)])


class Conversation:
    """Turns on one scene, which can be taken back and saved."""

    def __init__(
        self,
        model: Kyvo,
        scene: Scene,
        *,
        image: Picture | None = None,
        drawn: bool = False,
        keep_others: bool = True,
    ) -> None:
        """Raises SceneError for a scene that the model's schema cannot hold, ImageError for a picture unread.

        Args:
            image: a picture of the scene; without one the model renders it when it is needed.
            drawn: the image was rendered by the model.
            keep_others: one object changes, goes or comes, and all others stay as they are. Where the wording does not
                say which one, the model does.
        """
        model.processor.schema.snap(scene)
        self.model = model
        self.keep_others = keep_others
        self._start = scene
        self._start_image = read_picture(image) if isinstance(image, str | Path) else image
        self._start_drawn = drawn or image is None
        self._turns: list[Turn] = []
        self._undone: list[list[Turn]] = []  # each an edit and the questions after it, the last taken back last

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Those that stand, in order."""
        return tuple(self._turns)

    @property
    def scene(self) -> Scene:
        """As it is now."""
        return self._turns[-1].scene if self._turns else self._start

    @property
    def image(self) -> np.ndarray:
        """The picture of the scene as it is now, uint8 [height, width, 3]."""
        image = self._last_image
        if image is None:
            image = self.model.render([self.scene])[0]
            if self._turns:
                self._turns[-1] = replace(self._turns[-1], image=image)
            else:
                self._start_image = image
        return image

    @property
    def is_drawn(self) -> bool:
        """Whether the picture is one that the model rendered."""
        return self._start_drawn or any(turn.answer is None for turn in self._turns)

    @property
    def camera(self) -> Camera | None:
        """The camera that the picture has; None where nothing says it."""
        return (self.model.rendering_camera(self.scene) if self.is_drawn else None) or self.scene.camera

    @property
    def _last_image(self) -> np.ndarray | None:
        return self._turns[-1].image if self._turns else self._start_image

    def say(self, text: str) -> Turn:
        """`ask` for a question, `edit` for anything else (`is_question`)."""
        return self.ask(text) if is_question(text) else self.edit(text)

    def ask(self, question: str) -> Turn:
        """A question about the scene, which stays."""
        scene = self.scene
        answer = self.model.ask(scene, question)
        return self._add(Turn(text=question, before=scene, scene=scene, image=self._last_image, answer=answer))

    def edit(self, instruction: str) -> Turn:
        """An instruction: the model writes the new scene, and its picture."""
        before = self.scene
        concern = find_concern(before, instruction)
        known = None if concern is None else [] if concern.target is None else [concern.target]
        done = self.model.edit(before, instruction, keep_others=self.keep_others, about=known)
        if done.scene is None:
            raise SceneError(f"the model came to no scene for {instruction!r}; the scene stays as it was.")
        after = merge(before, done.scene, self.model.processor.schema)
        return self._add(
            Turn(
                text=instruction,
                before=before,
                scene=after,
                image=done.image,
                truncated=done.truncated,
                concern=concern,
            )
        )

    def undo(self) -> Turn | None:
        """Takes back the last edit, with the questions asked since; it is returned, or None where there is none."""
        place = max((index for index, turn in enumerate(self._turns) if turn.answer is None), default=None)
        if place is None:
            return None
        self._undone.append(self._turns[place:])
        del self._turns[place:]
        return self._undone[-1][0]

    def redo(self) -> Turn | None:
        """Brings back the edit taken back last; it is returned, or None where there is none, or a turn came since."""
        if not self._undone:
            return None
        turns = self._undone.pop()
        self._turns += turns
        return turns[0]

    def export(self, path: str | Path, *, format: str | None = None) -> None:
        """The scene as a file of any format of `kyvo.export.formats`, or its picture as a .png."""
        path = Path(path)
        if format is None and path.suffix.lower() == ".png":
            try:
                Image.fromarray(self.image).save(path)
            except OSError as error:
                raise ImageError(f"{path}: cannot be written ({error.strerror or error}).") from error
            return
        from kyvo.data.meshes.object_meshes import object_meshes

        export_scene(self.scene, path, format=format, meshes=object_meshes(self.scene))

    def save(self, path: str | Path) -> None:
        """Writes the whole conversation, with what was undone, as JSON; pictures are PNGs in it."""
        turns = [*self._turns, *(turn for turns in reversed(self._undone) for turn in turns)]
        write_json(
            {
                "format": FORMAT,
                "version": VERSION,
                "keep_others": self.keep_others,
                "start": {
                    "scene": scene_to_json(self._start),
                    "image": _to_text(self._start_image),
                    "drawn": self._start_drawn,
                },
                "turns": [_turn_to_json(turn) for turn in turns],
                "standing": len(self._turns),  # of the turns; those after were undone
            },
            path,
        )

    @classmethod
    def load(cls, model: Kyvo, path: str | Path) -> "Conversation":
        """Inverse of `save`. Raises SceneError with the place of what does not fit."""
        data = read_json(path)
        if not is_conversation(data) or data.get("version") != VERSION:
            raise SceneError(f'{path}: a conversation has "format": "{FORMAT}" and "version": {VERSION}; this has not.')
        try:
            start = scene_from_json(data["start"]["scene"], f"{path}: start")
            talk = cls(
                model,
                start,
                image=_from_text(data["start"]["image"]),
                drawn=bool(data["start"].get("drawn", False)),
                keep_others=bool(data["keep_others"]),
            )
            for number, row in enumerate(data["turns"]):
                where = f"{path}: turns[{number}]"
                talk._turns.append(_turn_from_json(row, talk.scene, talk._last_image, where))
            standing = data["standing"]
            while len(talk._turns) > standing and talk.undo():
                pass
        except KyvoError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise SceneError(f"{path}: not a whole conversation ({type(error).__name__}: {error}).") from error
        return talk

    def _add(self, turn: Turn) -> Turn:
        self._turns.append(turn)
        self._undone.clear()
        return turn


def is_conversation(data: object) -> bool:
    """Whether the content of a JSON file is a saved conversation."""
    return isinstance(data, Mapping) and data.get("format") == FORMAT


def is_question(text: str) -> bool:
    """Whether a turn asks rather than tells.

    It does where it ends with a question mark, begins with a question word or asks for a count or a name, unless it is
    an instruction in a wording of `kyvo.data.language.edit_phrases`, or a polite one: "Could you move the cube?"
    """
    words = " ".join(text.lower().split())
    if _parsed(text) is not None or _REQUEST.match(words):
        return False
    return _ASKS.match(words) is not None


def find_concern(scene: Scene, instruction: str) -> Concern | None:
    """What the instruction is about; None where its wording is none of ours, or describes no one object."""
    program = _parsed(instruction)
    if program is None:
        return None
    if program["operation"] == "add":
        return Concern(target=None, num_removed=0, num_added=1)
    try:
        target = resolve(program["target"], scene)
    except SceneError:
        return None
    return Concern(target=target, num_removed=1, num_added=0 if program["operation"] == "remove" else 1)


def merge(before: Scene, written: Scene, schema: SceneSchema) -> Scene:
    """The scene before with what differs in the one that the model wrote: all else stays as it was, to the last digit.

    The picture's name and the relationships, which hold for the scene before, go where anything changed.
    """
    order = schema.token_order(before)
    old = schema.snap(before)
    found = diff(old, written)
    names = [field.name for field in schema.fields]
    pairs = {change.after: change.before for change in (*found.moved, *found.changed)}
    idle = [index for index in range(len(old)) if index not in found.removed and index not in pairs.values()]
    kept: dict[int, SceneObject] = {}
    for index, item in enumerate(written.objects):
        if index in found.added:
            continue
        if index not in pairs:
            pairs[index] = max(idle, key=lambda i: sum(old.objects[i].get(n) == item.get(n) for n in names))
            idle.remove(pairs[index])
        seen, place = old.objects[pairs[index]], order[pairs[index]]
        exact = before.objects[place]
        values = {name: item.get(name) for name in names if item.get(name) != seen.get(name)}
        kept[place] = _changed(exact, values, item.confidence) if values else exact
    objects = (*(kept[place] for place in sorted(kept)), *(written.objects[index] for index in found.added))
    if objects == before.objects:
        return before
    extra = {key: value for key, value in before.extra.items() if key != "relationships"}
    return replace(before, objects=objects, image=None, extra=extra)


def describe_diff(found: SceneDiff, before: Scene, after: Scene) -> list[str]:
    """The difference in words, a line each: "moved: large red metal cube, by 1.5 to 0.5 1 0.7"."""
    lines = [f"removed: {name_object(before.objects[index])}" for index in found.removed]
    for index in found.added:
        item = after.objects[index]
        lines.append(f"added: {name_object(item)}" + (f" at {_shown(item.location)}" if item.location else ""))
    for move in found.moved:
        item, there = before.objects[move.before], after.objects[move.after].location
        lines.append(f"moved: {name_object(item)}, by {move.distance:.3g} to {_shown(there)}")
    for change in found.changed:
        item = before.objects[change.before]
        lines.append(
            f"changed: {change.attribute} of {name_object(item)}, {_shown(change.old)} to {_shown(change.new)}"
        )
    return lines


def name_object(item: SceneObject) -> str:
    """Its words: "large red metal cube"; "object" where it has none."""
    words = (item.size, item.color, item.material, item.shape or item.category)
    return " ".join(word for word in words if word) or "object"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{number:.3g}" for number in value[:6]) + (" ..." if len(value) > 6 else "")
    return "none" if value is None else str(value)


def _parsed(instruction: str) -> dict[str, Any] | None:
    try:
        return parse(instruction)
    except SceneError:
        return None


def _changed(exact: SceneObject, values: Mapping[str, Any], confidence: float | None) -> SceneObject:
    """The object with new values; its place in the picture, which was the old one's, goes."""
    extra = {key: value for key, value in exact.extra.items() if key != "pixel_coords"}
    return replace(exact, confidence=confidence, extra=extra).with_values(**values)


def _turn_to_json(turn: Turn) -> dict[str, Any]:
    row: dict[str, Any] = {"text": turn.text}
    if turn.answer is not None:
        return row | {"answer": turn.answer}
    return row | {"scene": scene_to_json(turn.scene), "image": _to_text(turn.image), "truncated": turn.truncated}


def _turn_from_json(row: Any, before: Scene, image: np.ndarray | None, where: str) -> Turn:
    if "answer" in row:
        return Turn(text=row["text"], before=before, scene=before, image=image, answer=row["answer"])
    return Turn(
        text=row["text"],
        before=before,
        scene=scene_from_json(row["scene"], where),
        image=_from_text(row["image"]),
        truncated=bool(row["truncated"]),
        concern=find_concern(before, row["text"]),
    )


def _to_text(image: np.ndarray | None) -> str | None:
    if image is None:
        return None
    png = io.BytesIO()
    Image.fromarray(image).save(png, "png")
    return base64.b64encode(png.getvalue()).decode()


def _from_text(text: str | None) -> np.ndarray | None:
    if text is None:
        return None
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as image:
            return np.asarray(image.convert("RGB"))
    except (binascii.Error, OSError) as error:
        raise SceneError(f"a picture is no PNG in base64 ({error}).") from error

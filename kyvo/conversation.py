"""`Conversation`: a scene and its picture, changed and asked about turn by turn.

```python
talk = Conversation(Kyvo.from_pretrained("mini"), load_scene("room.json"))
turn = talk.say("Make the red cube blue.")
print(turn.describe())
```
A turn changes what it names and nothing else. Where a text fits several objects, `say` raises AmbiguousReference with
numbered candidates, and takes "2", "the left one" or "both" as the answer to it.
"""

import base64
import binascii
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kyvo.api import AnswerResult, EditResult, Interpretation, Kyvo, Picture
from kyvo.errors import KyvoError, SceneError
from kyvo.export.formats import export_scene
from kyvo.files import write_picture
from kyvo.generation.language_model import read_one
from kyvo.pipelines.run import Run
from kyvo.pipelines.understanding import expect, read
from kyvo.programs import parsing
from kyvo.programs.clarification import Clarification
from kyvo.programs.errors import ProgramError
from kyvo.programs.json_form import from_json, to_json
from kyvo.programs.parsing import Parsed
from kyvo.programs.pending import Pending
from kyvo.programs.program import Edit, Program, Query
from kyvo.programs.turns import REDO, UNDO
from kyvo.scene.diff import SceneDiff, diff
from kyvo.scene.files import read_json, save_scene, scene_from_json, scene_to_json, write_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.tokenizers.picture_decoding import decode_picture

FORMAT = "kyvo-chat"
VERSION = 2  # 1 had no programs


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """What was said, and what came of it. `before` and `scene` are the same scene after a question."""

    text: str
    result: EditResult | AnswerResult
    image: np.ndarray | None  # uint8 [height, width, 3], of `scene`; None until somebody asks for it

    @property
    def before(self) -> Scene:
        return self.result.before if isinstance(self.result, EditResult) else self.result.scene

    @property
    def scene(self) -> Scene:
        return self.result.scene

    @property
    def answer(self) -> str | None:
        """To a question; None for an instruction."""
        return self.result.text if isinstance(self.result, AnswerResult) else None

    @property
    def understood(self) -> Interpretation | None:
        """The program of the text, and its reading in words."""
        return self.result.understood

    @property
    def objects(self) -> tuple[int, ...]:
        """Indices, in the scene before, of the objects that the turn rests on."""
        return self.result.objects

    def describe(self) -> str:
        """The answer, or in words what changed, a line each; then what was repaired or chosen on the way."""
        if isinstance(self.result, AnswerResult):
            lines = [self.result.text]
        else:
            lines = describe_diff(self.result.diff, self.before, self.scene)
            lines = lines or ["nothing changed: the scene is the same"]
        if self.result.truncated:
            lines.append("the output was cut at its limit")
        notes = () if self.understood is None else self.understood.notes
        return "\n".join([*lines, *(f"note: {note}" for note in notes)])


class Conversation:
    """Turns on one scene, which can be taken back and saved."""

    def __init__(self, model: Kyvo, scene: Scene, *, image: Picture | None = None, drawn: bool = False) -> None:
        """Raises ImageError for a picture that cannot be read.

        Args:
            image: a picture of the scene; without one the model renders it when it is needed.
            drawn: the image was rendered by the model.
        """
        self.model = model
        self._start = scene
        self._start_image = None if image is None else read_one(image)
        self._start_drawn = drawn or image is None
        self._turns: list[Turn] = []
        self._pending = Pending()
        self._undone: list[list[Turn]] = []  # each an edit and the questions after it, the last taken back last

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Those that stand, in order."""
        return tuple(self._turns)

    @property
    def clarification(self) -> Clarification | None:
        """The question that waits for an answer."""
        return self._pending.clarification

    @property
    def scene(self) -> Scene:
        """As it is now."""
        return self._turns[-1].scene if self._turns else self._start

    @property
    def dialogue(self) -> tuple[parsing.Turn, ...]:
        """What "it" and "the one you just moved" refer to."""
        turns = (*(turn.result.turn() for turn in self._turns), self._pending.refused)
        return tuple(turn for turn in turns if turn is not None)

    @property
    def image(self) -> np.ndarray:
        """The picture of the scene as it is now, uint8 [height, width, 3]."""
        return self.draw(self.model.run())

    def draw(self, run: Run) -> np.ndarray:
        """`image`, where it has to be rendered at the cost of this run."""
        image = self._last_image
        if image is None:
            image = self.model.rendering([self.scene], run)[0].image
            assert image is not None
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
    def shown(self) -> Scene:
        """The scene as the picture shows it, with the picture's camera where something says it."""
        return self.model.rendering.as_drawn(self.scene) if self.is_drawn else self.scene

    @property
    def _last_image(self) -> np.ndarray | None:
        return self._turns[-1].image if self._turns else self._start_image

    def say(self, text: str, *, run: Run | None = None) -> Turn:
        """A question, an instruction, or the answer to what the last turn left open.

        Raises ProgramError for what is not understood or does not fit; the scene stays as it was. After an
        AmbiguousReference the next text may pick one of its candidates.

        Args:
            run: the request that pays for it (a server's); without one there are no limits.
        """
        return self._take(text, self._understood(text), run)

    def ask(self, question: str, *, run: Run | None = None) -> Turn:
        """As `say`, for a text that has to be a question."""
        understood = self._understood(question)
        expect(understood, Query)
        return self._take(question, understood, run)

    def edit(self, instruction: str, *, run: Run | None = None) -> Turn:
        """As `say`, for a text that has to be an instruction."""
        understood = self._understood(instruction)
        expect(understood, Edit)
        return self._take(instruction, understood, run)

    def _understood(self, text: str) -> Interpretation:
        try:
            return self.model.understand(text, self.dialogue, waiting=self.clarification)
        except ProgramError as error:
            self._pending.not_understood(text, error)
            raise

    def _take(self, text: str, understood: Interpretation, run: Run | None) -> Turn:
        if understood.program == REDO and self._undone and (turn := self.redo()) is not None:
            self._pending.clear()
            return turn
        try:
            result = self.model.dialogue(self.scene, understood, run or self.model.run(), dialogue=self.dialogue)
        except ProgramError as error:
            self._pending.not_done(understood.text, understood.program, self.scene, error)
            raise
        self._pending.clear()
        image = self._last_image if isinstance(result, AnswerResult) else result.image
        self._turns.append(Turn(text=text, result=result, image=image))
        self._undone.clear()
        return self._turns[-1]

    def undo(self) -> Turn | None:
        """Takes back the last edit, with the questions asked since; it is returned, or None where there is none."""
        place = max((index for index, turn in enumerate(self._turns) if turn.answer is None), default=None)
        if place is None:
            return None
        self._pending.clear()
        self._undone.append(self._turns[place:])
        del self._turns[place:]
        return self._undone[-1][0]

    def redo(self) -> Turn | None:
        """Brings back the edit taken back last; it is returned, or None where there is none, or a turn came since.

        An edit that was taken back in words comes back where that is the last turn.
        """
        if not self._undone and self._turns and _program(self._turns[-1]) == UNDO:
            self._turns.pop()
            return next(turn for turn in reversed(self._turns) if turn.answer is None)
        if not self._undone:
            return None
        turns = self._undone.pop()
        self._turns += turns
        return turns[0]

    def export(self, path: str | Path, *, format: str | None = None) -> None:
        """The scene as scene JSON or a file of any format of `kyvo.export.formats`, or its picture as a .png."""
        path = Path(path)
        ending = path.suffix.lower() if format is None else None
        if ending == ".png":
            write_picture(path, Image.fromarray(self.image))
            return
        if ending == ".json":
            save_scene(self.scene, path)
            return
        export_scene(self.scene, path, format=format, meshes=self.model.meshes(self.scene))

    def save(self, path: str | Path) -> None:
        """Writes the whole conversation, with what was undone, as JSON; pictures are PNGs in it."""
        turns = [*self._turns, *(turn for turns in reversed(self._undone) for turn in turns)]
        write_json(
            {
                "format": FORMAT,
                "version": VERSION,
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
        if not is_conversation(data) or data.get("version") not in (1, VERSION):
            raise SceneError(f'{path}: a conversation has "format": "{FORMAT}" and "version": {VERSION}; this has not.')
        try:
            start = data["start"]
            talk = cls(
                model,
                scene_from_json(start["scene"], f"{path}: start"),
                image=_from_text(start["image"]),
                drawn=bool(start.get("drawn", False)),
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


def _program(turn: Turn) -> Program | None:
    return None if turn.understood is None else turn.understood.program


def is_conversation(data: object) -> bool:
    """Whether the content of a JSON file is a saved conversation."""
    return isinstance(data, Mapping) and data.get("format") == FORMAT


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


def _turn_to_json(turn: Turn) -> dict[str, Any]:
    row: dict[str, Any] = {"text": turn.text, "objects": list(turn.objects)}
    if turn.understood is not None:
        row |= {"program": to_json(turn.understood.program), "notes": list(turn.understood.notes)}
    if isinstance(turn.result, AnswerResult):
        return row | {"answer": turn.result.text}
    touched = {name: list(getattr(turn.result, name)) for name in ("changed", "removed", "added")}
    return row | touched | {"scene": scene_to_json(turn.scene), "image": _to_text(turn.image)}


def _turn_from_json(row: Any, before: Scene, image: np.ndarray | None, where: str) -> Turn:
    understood = None
    if "program" in row:
        understood = read(row["text"], Parsed(program=from_json(row["program"])))
        understood = replace(understood, notes=tuple(row["notes"]))
    objects = tuple(row.get("objects", ()))
    if "answer" in row:
        result = AnswerResult(text=row["answer"], scene=before, understood=understood, objects=objects)
        return Turn(text=row["text"], result=result, image=image)
    after = scene_from_json(row["scene"], where)
    edited = EditResult(
        before=before,
        scene=after,
        diff=diff(before, after),
        understood=understood,
        objects=objects,
        changed=tuple(row.get("changed", ())),
        removed=tuple(row.get("removed", ())),
        added=tuple(row.get("added", ())),
    )
    return Turn(text=row["text"], result=edited, image=_from_text(row["image"]))


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
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise SceneError(f"a picture is no PNG in base64 ({error}).") from error
    return decode_picture(data, "a picture of the conversation", formats=("PNG",))

"""`Case`: a text about a scene, and what is right for it; and files of cases.

A file is JSON Lines. A row has a `text`, a `scene` and one expectation:

```json
{"text": "how many cubes are there", "scene": {...}, "answer": "2"}
{"text": "remove the cube", "scene": {...}, "scene_after": {...}}
{"text": "remove the dog", "scene": {...}, "refused": true}
```
A scene is scene JSON, CLEVR's, or a list of CLEVR's objects. Optional are `source` and `construct` (a name or a list of
names), `dialogue` (earlier texts, carried out on the scene first) and `id`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kyvo.errors import KyvoError, SceneError
from kyvo.metrics.release import clean_answer
from kyvo.programs.program import Query
from kyvo.scene.clevr import from_clevr, is_clevr
from kyvo.scene.files import parse_json, read_lines, scene_from_json
from kyvo.scene.scene import Scene

KINDS = ("answer", "scene_after", "refused")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row."""

    text: str
    scene: Scene
    answer: str | None = None
    scene_after: Scene | None = None
    refused: bool = False
    source: str = ""
    constructs: tuple[str, ...] = ()
    dialogue: tuple[str, ...] = ()
    stored: Query | None = None  # the program that the file has for the answer

    @property
    def kind(self) -> str:
        if self.refused:
            return "refused"
        return "answer" if self.scene_after is None else "scene_after"


def read_cases(path: Path) -> tuple[dict[str, Case], dict[str, str]]:
    """The cases of a file, by their `id` or line, and the faults of other lines. Raises SceneError for a file without
    any case."""
    items: dict[str, Case] = {}
    faults: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        key = f"line {number}"
        try:
            row = parse_json(line, f"{path}: {key}")
            if isinstance(row, Mapping) and isinstance(row.get("questions"), list):
                raise SceneError("is a file of CLEVR's questions, which are read with their scenes (--scenes).")
            key = str(row.get("id", key))
            if key in items:
                raise SceneError(f"{path}: the id {key!r} stands twice; each case has its own.")
            items[key] = _case(row)
        except KyvoError as error:
            faults[key] = str(error)
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            faults[key] = f"not a case ({type(error).__name__}: {error})."
    if not items:
        why = f" The first fault: {next(iter(faults.values()))}" if faults else ""
        raise SceneError(f"{path}: holds no case; a line is an object with text, scene and one of {KINDS}.{why}")
    return items, faults


def _case(row: Mapping[str, Any]) -> Case:
    expected = [name for name in KINDS if row.get(name) not in (None, False)]
    if len(expected) != 1:
        raise SceneError(
            f"has {' and '.join(expected) or 'no expectation'}; exactly one of {', '.join(KINDS)} is needed."
        )
    constructs = row.get("construct") or row.get("constructs") or ()
    return Case(
        text=str(row["text"]),
        scene=_scene(row.get("scene")),
        answer=None if expected[0] != "answer" else word(row["answer"]),
        scene_after=None if expected[0] != "scene_after" else _scene(row["scene_after"]),
        refused=expected[0] == "refused",
        source=str(row.get("source") or ""),
        constructs=(constructs,) if isinstance(constructs, str) else tuple(map(str, constructs)),
        dialogue=tuple(map(str, row.get("dialogue") or ())),
    )


def _scene(data: Any) -> Scene:
    if not isinstance(data, list | Mapping):
        raise SceneError(f"has no scene ({data!r:.40}); it is scene JSON, CLEVR's, or a list of CLEVR's objects.")
    if isinstance(data, list):
        data = {"objects": data}
    return from_clevr(data) if is_clevr(data) or "format" not in data else scene_from_json(data)


def word(value: Any) -> str:
    """An answer as text: a truth value is yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def plain_answer(text: str) -> str:
    """An answer as answers are compared."""
    return clean_answer(text).lower().rstrip(".")

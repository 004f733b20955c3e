"""What a run leaves in its folder: scene files of one format, or one file of lines; and the manifest of all inputs.

    manifest.jsonl    a line for each input as it went; of one input the last that is done counts
    .in_flight.json   the outputs of the batch that is being written; gone at the end of the run

What is written is whole after `kill -9` at any moment: files are renamed into place, lines are appended in one write,
and half a line at the end is nobody's. An output that the manifest does not know and that was not in flight is not
ours, and is never replaced unasked.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from kyvo.errors import ConfigError
from kyvo.export.formats import FORMATS
from kyvo.export.omni3d import write_omni3d
from kyvo.files import append_line, make_folder, replacing
from kyvo.scene.clevr import to_clevr
from kyvo.scene.files import scene_to_json, write_json
from kyvo.scene.scene import Scene

MANIFEST = "manifest.jsonl"
IN_FLIGHT = ".in_flight.json"
LINES = "scenes.jsonl"
FORMAT_NAMES = ("kyvo", "clevr", "omni3d", "jsonl")


@dataclass(frozen=True, kw_only=True)
class ManifestLine:
    """How one input went."""

    input: str  # absolute path
    output: str | None = None  # below the manifest's folder
    status: str = "done"  # or "failed"; a line of status "skipped" is reported, not written
    seconds: float = 0.0  # this picture's share of its batch
    objects: int | None = None
    confidence: float | None = None  # mean over the objects; None without any
    lowest_confidence: float | None = None
    dropped: int = 0  # objects below the least confidence asked for
    truncated: bool = False
    error: str | None = None
    note: str | None = None  # what was done to the picture to fit the model's shape and brightness
    in_domain: float | None = None  # how like the picture is to those that the model knows; None where it does not tell
    warnings: list[str] = field(default_factory=list)  # of a picture that is like none of them
    size: int | None = None  # of the input, bytes
    mtime_ns: int | None = None  # of the input
    settings: dict[str, Any] = field(default_factory=dict)  # all else that the output follows from


class Manifest:
    """`manifest.jsonl` of a folder: what is there, and lines after it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MANIFEST
        self.done: dict[str, ManifestLine] = {}  # input -> its last line of this status
        names = {entry.name for entry in fields(ManifestLine)}
        for row in _rows(self.path):
            if row.get("status") == "done" and isinstance(row.get("input"), str):
                self.done[row["input"]] = ManifestLine(**{key: row[key] for key in row.keys() & names})

    def append(self, line: ManifestLine) -> None:
        append_line(self.path, asdict(line))


class InFlight:
    """The outputs that a killed run may have written without a line of the manifest."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / IN_FLIGHT
        try:
            self.found = frozenset(json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # none, or a folder that was killed in its first moment
            self.found = frozenset()

    def begin(self, keys: Iterable[str]) -> None:
        """Before a batch is written; what an earlier run left stays until this one is at its end."""
        write_json(sorted({*self.found, *keys}), self.path)

    def close(self) -> None:
        self.path.unlink(missing_ok=True)


class SceneFiles:
    """One JSON a picture, in folders like those of the pictures."""

    def __init__(self, folder: Path, format: str) -> None:
        self.folder = folder
        self.format = format
        self.suffix = ".json" if format == "kyvo" else FORMATS[format].suffixes[0]

    def output(self, key: str) -> str:
        return f"{key}{self.suffix}"

    def holds(self, key: str) -> bool:
        return (self.folder / self.output(key)).exists()

    def save(self, key: str, scene: Scene) -> None:
        """Raises SceneError for a scene that the format cannot hold, FileError where it cannot be written."""
        path = self.folder / self.output(key)
        make_folder(path.parent)
        if self.format == "omni3d":
            write_omni3d(scene, path)
        else:
            write_json(scene_to_json(scene) if self.format == "kyvo" else to_clevr(scene), path)

    def close(self) -> None:
        """Nothing is left to do."""


class SceneLines:
    """`scenes.jsonl`, a line `{"key": ..., "scene": ...}` a picture, as `kyvo evaluate scenes` reads it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LINES
        keys = [str(row.get("key")) for row in _rows(self.path)]
        self.keys = set(keys)
        self.replaced = len(self.keys) < len(keys)  # by a run that was killed before its end

    def output(self, key: str) -> str:
        return LINES

    def holds(self, key: str) -> bool:
        return key in self.keys

    def save(self, key: str, scene: Scene) -> None:
        """Raises SceneError for values that JSON cannot hold."""
        self.replaced |= key in self.keys
        append_line(self.path, {"key": key, "scene": scene_to_json(scene)})
        self.keys.add(key)

    def close(self) -> None:
        """Leaves the last line of each key."""
        if not self.replaced:
            return
        last = {str(row.get("key")): number for number, row in enumerate(_rows(self.path))}
        with replacing(self.path) as draft, draft.open("w", encoding="utf-8") as file:
            for number, row in enumerate(_rows(self.path)):
                if last[str(row.get("key"))] == number:
                    file.write(json.dumps(row) + "\n")


def open_outputs(folder: Path, format: str) -> SceneFiles | SceneLines:
    """Where scenes go. Raises ConfigError for an unknown format."""
    if format not in FORMAT_NAMES:
        raise ConfigError(f"format is {format!r}; known are {', '.join(FORMAT_NAMES)}.")
    return SceneLines(folder) if format == "jsonl" else SceneFiles(folder, format)


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    """The whole lines of a file of JSON objects; none where there is no file."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:  # half a line of a run that was killed
                continue
            if isinstance(row, dict):
                yield row

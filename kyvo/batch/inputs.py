"""Which pictures a run takes and where each one's scene goes: files, folders, patterns and lists -> `Item`s.

Outputs mirror the folders below the deepest one that holds all inputs; a folder that is given holds itself:

    photos/day1/a.png photos/day2/a.png  ->  day1/a, day2/a
    photos                               ->  day1/a, day2/a
"""

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kyvo.errors import ConfigError
from kyvo.tokenizers.pictures import SUFFIXES


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture that was asked for, or what stands in its way."""

    path: Path  # absolute
    key: str = ""  # its place below the common folder, without its ending: "day1/a"
    fault: str | None = None


def find_pictures(inputs: Iterable[str | Path]) -> list[Item]:
    """The pictures of files, folders and patterns (`photos/**/*.png`), in that order, each once.

    Folders are searched to their bottom, hidden files and linked folders left out; of folders and patterns pictures
    alone are taken, by their ending. What is missing, or would be written where another is, is an item with a fault.
    """
    pictures: dict[Path, None] = {}
    holders: list[Path] = []
    faults: list[Item] = []
    for given in inputs:
        found, fault = _look_up(str(given))
        if fault is not None:
            faults.append(Item(path=_absolute(given), fault=fault))
        for holder, paths in found:
            holders.append(holder)
            pictures |= dict.fromkeys(paths)
    root = Path(os.path.commonpath(holders)) if holders else Path()
    owners: dict[str, Path] = {}
    items = []
    for path in pictures:
        key = path.relative_to(root).with_suffix("").as_posix()
        first = owners.setdefault(key, path)
        fault = None
        if first is not path:
            fault = f"{path}: {first} is written to {key} already; rename one, or recognise it into another folder."
        items.append(Item(path=path, key=key, fault=fault))
    return [*items, *faults]


def read_list(path: Path) -> list[str]:
    """The lines of a text file, without blank ones; `-` is standard input. Raises ConfigError for no such file."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a readable text file ({error}); a list has one path a line.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _look_up(given: str) -> tuple[list[tuple[Path, list[Path]]], str | None]:
    """Pictures with the folder that holds them, and what is wrong with the input."""
    path = _absolute(given)
    if path.is_dir():
        pictures = list(_walk(path))
        return [(path, pictures)], None if pictures else f"{path} holds no picture ({' '.join(SUFFIXES)})."
    if path.exists():
        return [(path.parent, [path])], None
    if not glob.has_magic(given):
        return [], f"{path} does not exist."
    found: list[tuple[Path, list[Path]]] = []
    for match in map(_absolute, sorted(glob.glob(given, recursive=True))):
        if match.is_dir():
            found.append((match, list(_walk(match))))
        elif _is_picture(match.name):
            found.append((match.parent, [match]))
    return found, None if any(paths for _, paths in found) else f"{given} matches no picture ({' '.join(SUFFIXES)})."


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if _is_picture(name))


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(path))  # links stay: they are the user's names

"""Files that a mesh file names, as people's exporters write such names, and text files in any of their encodings."""

import codecs
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import unquote

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_ABSOLUTE = re.compile(r"^([A-Za-z]:)?/")
_SELF_CONTAINED: ContextVar[bool] = ContextVar("self_contained", default=False)


@contextmanager
def self_contained() -> Iterator[None]:
    """Mesh files that are read here may name no other file: it would be this machine's, and not their sender's."""
    token = _SELF_CONTAINED.set(True)
    try:
        yield
    finally:
        _SELF_CONTAINED.reset(token)


def decode_text(data: bytes) -> str:
    """UTF-8, with or without its mark, UTF-16 with its mark, else Latin-1; lines end in a line feed."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding)
            break
    else:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def find_referenced(folders: Sequence[Path], name: str) -> Path | None:
    """The file of that name in the first of the folders that has it; None where there is none.

    Back slashes part folders too. A name that differs in case alone is found, one that is percent-encoded, and the last
    part of an absolute path that is not there: it is that of the machine that wrote the file.

    Raises ValueError inside of `self_contained`.
    """
    if _SELF_CONTAINED.get():
        raise ValueError(f"it names the file {name[:100]!r}, and comes alone; send one .glb that holds everything")
    plain = name.strip().strip('"').replace("\\", "/")
    for wanted in (name, plain):
        for folder in folders:
            if (folder / wanted).is_file():
                return folder / wanted
    for relative in (plain, unquote(plain)):
        relative = relative.rpartition("/")[2] if _ABSOLUTE.match(relative) else relative
        for folder in folders:
            found = _whatever_case(folder, [part for part in relative.split("/") if part not in ("", ".")])
            if found is not None:
                return found
    return None


def _whatever_case(folder: Path, parts: Sequence[str]) -> Path | None:
    if not parts:
        return folder if folder.is_file() else None
    if parts[0] == "..":
        return _whatever_case(folder / "..", parts[1:])
    if not folder.is_dir():
        return None
    alike = [entry for entry in sorted(folder.iterdir()) if _folded(entry.name) == _folded(parts[0])]
    alike.sort(key=lambda entry: entry.name != parts[0])
    for entry in alike:
        found = _whatever_case(entry, parts[1:])
        if found is not None:
            return found
    return None


def _folded(name: str) -> str:
    """The same for names that differ in case, or in how their accents are composed."""
    return unicodedata.normalize("NFC", name).casefold()

"""Files that a mesh file names, as people's exporters write such names, and text files in any of their encodings."""

import codecs
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import unquote

import numpy as np

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_ABSOLUTE = re.compile(r"^([A-Za-z]:|file://)?/")
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
    """UTF-8 or UTF-16, with or without their marks, else Latin-1; lines end in a line feed."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding)
            break
    else:
        zeros = [data[:1] == b"\0", data[1:2] == b"\0"]  # every second byte of UTF-16 in ASCII's letters
        encoding = "utf-16-be" if zeros == [True, False] else "utf-16-le" if zeros == [False, True] else "utf-8"
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def statements(text: str) -> list[str]:
    """The lines of an OBJ or MTL; one that ends in a back slash goes on in the next.

    Not so a comment, which may end in a folder's name, and a letter beyond ASCII with a back slash behind it: that is
    the second byte of a Japanese or Chinese letter.
    """
    lines = text.split("\n")
    if "\\" not in text:
        return lines
    found, goes_on = [], False
    for line in lines:
        if goes_on:
            found[-1] += " " + line
        else:
            found.append(line)
        bare = line.rstrip(" \t")
        goes_on = bare.endswith("\\") and bare[-2:-1] < "\x80" and not found[-1].lstrip().startswith("#")
        if goes_on:
            found[-1] = found[-1].rstrip(" \t")[:-1]
    return found


def parse_numbers(text: bytes, kind: type[np.generic], where: str) -> np.ndarray:
    """The numbers of an ASCII text, parted by blanks. Raises ValueError with the word that is none.

    Args:
        where: for messages: "a vertex".
    """
    try:
        return np.fromstring(text, dtype=kind, sep=" ")
    except ValueError as error:
        number = int if np.issubdtype(kind, np.integer) else float
        for word in text.split():
            try:
                number(word)
            except ValueError:
                shown = word[:40].decode("ascii", errors="replace")
                raise ValueError(f"{where} has {shown!r} in the place of a number") from error
        raise


def without_comment(text: str) -> str:
    """What stands before a # that follows a blank; names may have one within."""
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()


def find_referenced(folders: Sequence[Path], name: str) -> Path | None:
    """The file of that name in the first of the folders that has it; None where there is none.

    Back slashes part folders too. A name that differs in case alone is found, one that is percent-encoded, and the last
    folders or the name of an absolute path that is not there: it is that of the machine that wrote the file.

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
        parts = [part for part in relative.split("/") if part not in ("", ".")]
        ends = range(1, len(parts)) if _ABSOLUTE.match(relative) else ()
        for start in (0, *ends):
            for folder in folders:
                found = _whatever_case(folder, parts[start:])
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

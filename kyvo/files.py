"""Files: each is written whole or not at all, is on the disk when the call returns, and is read with its name.

A file is written beside its place, synced and renamed into it; a line is appended whole, or the file is cut back to
what it was. Whatever stops a write (a full disk, a quota, a folder that is read-only) is a `FileError` that names the
file. Everything in Kyvo that writes goes through here; `tests/test_files.py` checks it.
"""

import errno
import fcntl
import io
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from kyvo.errors import CheckpointError, FileError, KyvoError

DRAFT = re.compile(r"\..+\.(?P<process>\d+)-\d+\.part(\.\w+)?")  # what a killed run leaves of a file or folder


@runtime_checkable
class Picture(Protocol):
    """A PIL image."""

    def save(self, fp: Any, format: str | None = None) -> None: ...


@contextmanager
def replacing(path: str | Path, *, suffix: str = "", faults: tuple[type[Exception], ...] = ()) -> Iterator[Path]:
    """A path beside `path` that takes its place at the end of the block, and goes where it fails.

    Args:
        path: of the file; one that is there stays until the end, and where the block fails.
        suffix: of the path beside it, for a library that goes by it.
        faults: further exceptions by which the library that writes tells of a fault of the disk.

    Raises:
        FileError: the file cannot be written.
    """
    path = Path(path)
    if _takes_a_stream(path):
        with _streaming(path, suffix) as draft:
            yield draft
        return
    draft = _draft(path, suffix)
    try:
        draft.unlink(missing_ok=True)
        draft.touch(exist_ok=False)  # so that an unwritable folder is found before any work
        yield draft
        _sync(draft)
        os.replace(draft, path)
        _sync(path.parent)
    except (OSError, *faults) as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _takes_a_stream(path: Path) -> bool:
    """Whether a path is a device or a pipe, as /dev/stdout is: nothing can take its place."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def _streaming(path: Path, suffix: str) -> Iterator[Path]:
    """A path whose content goes into a device or a pipe at the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / f"draft{suffix}"
        draft.touch()
        yield draft
        try:
            with draft.open("rb") as content, path.open("wb") as stream:
                shutil.copyfileobj(content, stream)
        except OSError as error:
            raise cannot_write(path, error) from error


@contextmanager
def replacing_folder(folder: str | Path, *, faults: tuple[type[Exception], ...] = ()) -> Iterator[Path]:
    """As `replacing`, for a new folder with all its files; one that is there must be empty."""
    folder = Path(folder)
    draft = _draft(folder)
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        yield draft
        for path in [*draft.rglob("*"), draft]:
            _sync(path)
        os.replace(draft, folder)
        _sync(folder.parent)
    except (OSError, *faults) as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Raises FileError where the file cannot be written."""
    with replacing(path) as draft:
        draft.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """UTF-8; half a surrogate pair, which UTF-8 cannot hold, becomes its escape. Raises FileError."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_plain_json(path: str | Path, data: Any, *, indent: int | None = 1) -> None:
    """JSON of settings and cards; that of scenes is `kyvo.scene.files.write_json`. Raises FileError."""
    write_text(path, json.dumps(data, indent=indent) + "\n")


def write_picture(path: str | Path, picture: Picture, *, format: str = "PNG") -> None:
    """Raises FileError where the file cannot be written."""
    data = io.BytesIO()
    picture.save(data, format)
    write_bytes(path, data.getvalue())


def write_arrays(path: str | Path, **arrays: Any) -> None:
    """A compressed `.npz` of numpy's. Raises FileError where the file cannot be written."""
    from numpy import savez_compressed  # `import kyvo` needs no numpy for this

    with replacing(path) as draft, draft.open("wb") as file:
        savez_compressed(file, **arrays)


def write_figure(path: str | Path, figure: Any, *, dpi: int) -> None:
    """A figure of matplotlib's as a PNG. Raises FileError where the file cannot be written."""
    data = io.BytesIO()
    figure.savefig(data, dpi=dpi, format="png")
    write_bytes(path, data.getvalue())


def copy_file(source: str | Path, path: str | Path) -> None:
    """Raises FileError where the copy cannot be written."""
    with replacing(path) as draft:
        shutil.copyfile(source, draft)


def append_line(path: str | Path, row: Any) -> None:
    """Adds one line of JSON; half a line that a killed run left is closed first.

    Raises:
        FileError: the line cannot be written whole; the file is as it was.
    """
    line = json.dumps(row, allow_nan=False).encode() + b"\n"
    try:
        with Path(path).open("ab+", buffering=0) as file:
            end = file.tell()
            if end:
                file.seek(end - 1)
                line = line if file.read(1) == b"\n" else b"\n" + line
            try:
                _write_all(file, line)
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):  # a device has no end
                    file.truncate(end)
                raise
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Around the reading of a model's file: whatever a library raises on a damaged one is a CheckpointError with its
    name."""
    try:
        yield
    except KyvoError as error:
        if str(path) in str(error):
            raise
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:  # parsers raise anything: RecursionError, IndexError, UnpicklingError, ...
        said = getattr(error, "strerror", None) or (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise CheckpointError(f"{path}: cannot be read ({said}). Copy it again, or write it anew.") from error


def read_json_object(path: str | Path) -> dict[str, Any]:
    """The JSON object in a model's file. Raises CheckpointError where it is damaged or something else."""
    with reading(path):
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: a JSON object is needed, not a {type(data).__name__}. Copy it again.")
    return data


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path that should stand in the folder leads elsewhere, by a link or by `..`."""
    return not path.resolve().is_relative_to(folder.resolve())


def make_folder(folder: str | Path) -> Path:
    """Makes the folder and those above it, unless they are there. Raises FileError where it cannot be made."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return Path(folder)


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """The folder for this process alone; the system takes the lock back when the process ends, however it ends.

    Drafts of killed runs are removed. A file system without locks is used without.

    Raises:
        FileError: another process has the folder.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise FileError(
                    f"{folder} is being written by another process; wait for its end, or name another folder."
                ) from error
        remove_drafts(Path(folder))
        try:
            yield
        finally:  # those of worker processes that were stopped
            remove_drafts(Path(folder))
    finally:
        os.close(handle)


def remove_drafts(folder: Path) -> None:
    """Removes what killed runs left half-written, here and in the folders below; drafts of living ones stay."""
    for path in list(folder.rglob(".*.part*")):
        found = DRAFT.fullmatch(path.name)
        if found is None or _lives(int(found["process"])):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's process
        pass
    return True


def cannot_write(path: str | Path, error: Exception) -> FileError:
    """The error to raise for a path that a library could not write."""
    reason = getattr(error, "strerror", None) or error
    return FileError(f"{path}: cannot be written ({reason}).")


def _draft(path: Path, suffix: str = "") -> Path:
    name = path.name.encode()[:150].decode(errors="ignore")  # names have 255 bytes at most
    return path.with_name(f".{name}.{os.getpid()}-{threading.get_ident()}.part{suffix}")


def _write_all(file: io.RawIOBase | io.FileIO, data: bytes) -> None:
    """A raw write may take a part only, as at the edge of a quota; the next one then says why."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) or 0 :]


def _sync(path: Path) -> None:
    """Waits until the disk has the file, or the folder's names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that do not sync folders
            raise
    finally:
        os.close(handle)

"""Writing a file whole or not at all: beside its place, then renamed into it."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kyvo.errors import SceneError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path beside `path`, with its suffix, that takes its place when the block is done, and goes where it fails.

    Raises SceneError where the folder cannot be written.
    """
    draft = path.with_name(f".{path.stem[:100]}.{os.getpid()}.{threading.get_ident()}.tmp{path.suffix}")
    try:
        draft.touch()  # so that an unwritable folder is found before any work
        yield draft
        os.replace(draft, path)
    except OSError as error:
        raise SceneError(f"{path}: cannot be written ({error.strerror or error}).") from error
    finally:
        with suppress(OSError):
            draft.unlink()

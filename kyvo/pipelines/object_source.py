"""`ObjectSource`: the generator of objects that a model or a server has, loaded when it is first asked for."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from kyvo.errors import CheckpointError

if TYPE_CHECKING:
    from kyvo.pipelines.objects import ObjectGenerator


class ObjectSource:
    """For any thread. What a generator needs is imported with it: most uses of a model make no objects."""

    def __init__(self, generator: "ObjectGenerator | Path | str" = "mini") -> None:
        """`generator` may be a bundled one's name, or a folder."""
        self._generator = generator
        self._lock = threading.Lock()

    def get(self) -> "ObjectGenerator":
        """Raises CheckpointError where there is none, each time that it is asked for."""
        with self._lock:
            if isinstance(self._generator, str | Path):
                from kyvo.pipelines.objects import ObjectGenerator

                self._generator = ObjectGenerator.from_pretrained(self._generator)
            return self._generator

    @property
    def lacks(self) -> str | None:
        """Why there is none, without loading it; None where there is one."""
        if not isinstance(self._generator, str | Path):
            return None
        from kyvo.pipelines.object_folders import find_folder

        try:
            find_folder(self._generator)
        except CheckpointError as error:
            return str(error)
        return None

"""`ObjectSource`: the generator of objects that a model or a server has, loaded when it is first asked for."""

import threading
from pathlib import Path

from kyvo.errors import CheckpointError
from kyvo.pipelines.object_folders import find_folder
from kyvo.pipelines.objects import ObjectGenerator


class ObjectSource:
    """For any thread."""

    def __init__(self, generator: ObjectGenerator | Path | str = "mini") -> None:
        """`generator` may be a bundled one's name, or a folder."""
        self._generator = generator
        self._lock = threading.Lock()

    def get(self) -> ObjectGenerator:
        """Raises CheckpointError where there is none, each time that it is asked for."""
        with self._lock:
            if not isinstance(self._generator, ObjectGenerator):
                self._generator = ObjectGenerator.from_pretrained(self._generator)
            return self._generator

    @property
    def lacks(self) -> str | None:
        """Why there is none, without loading it; None where there is one."""
        if isinstance(self._generator, ObjectGenerator):
            return None
        try:
            find_folder(self._generator)
        except CheckpointError as error:
            return str(error)
        return None

"""Programs that are run by path, loaded as modules so that a test can call their `main`."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def program(path: str) -> Iterator[ModuleType]:
    """The module of `path`, from the repository's root; known to `sys.modules` while it is in use. What stands beside
    it can be imported, as when it is run."""
    name = Path(path).stem
    beside = str((ROOT / path).parent)
    sys.path.insert(0, beside)
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(beside)
        del sys.modules[name]

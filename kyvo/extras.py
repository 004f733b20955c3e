"""Packages of the extras, which are imported only where they are used, and what to do where one does not import.

Open3D, of the extra `mesh`, needs libraries of the system besides. The message of the loader names one of them; the
line below installs them all, so that nobody meets them one by one.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from kyvo.errors import KyvoError

OPEN3D_SYSTEM_PACKAGES = "libusb-1.0-0 libgl1 libegl1 libx11-6 libudev1 libidn2-0"  # Debian's and Ubuntu's names


class MissingDependency(KyvoError, ImportError):
    """A package, or a system library it needs, is not installed; the message has the command that installs it."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """A block of imports that need an extra of the package, as `pip install "kyvo[NAME]"` brings it.

    Raises:
        MissingDependency: one of the imported packages is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise MissingDependency(
            f'The Python package {package} is not installed; it is part of an extra. Run: pip install "kyvo[{name}]"'
        ) from error


def import_open3d() -> ModuleType:
    """The `open3d` module.

    Raises:
        MissingDependency: it is not installed, or a system library that it needs is missing.
    """
    try:
        with extra("mesh"):
            import open3d
    except MissingDependency:
        raise
    except (ImportError, OSError) as error:  # ctypes, by which Open3D loads its own libraries, raises OSError
        raise explain_open3d(error) from error
    return open3d


def explain_open3d(error: ImportError | OSError) -> MissingDependency:
    """What to do about an `error` of `import open3d`."""
    return explain_import(error, name="Open3D", package="open3d", system_packages=OPEN3D_SYSTEM_PACKAGES)


def explain_import(error: ImportError | OSError, *, name: str, package: str, system_packages: str) -> MissingDependency:
    """What to do where something is installed and does not import: a library that the loader names, or else anew."""
    library = re.search(r"\blib[\w.+-]+\.so[\w.]*", str(error))
    if library is None:
        return MissingDependency(
            f"{name} is installed but does not import: {error}. Try: pip install --force-reinstall {package}"
        )
    return MissingDependency(
        f"{name} needs the system library {library.group()}, which this machine lacks. "
        f"Run: apt-get install -y {system_packages}"
    )

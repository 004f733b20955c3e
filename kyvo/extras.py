"""Packages that are imported only where they are used, and what to do where one does not import.

Open3D is a hard dependency that still fails on a bare machine: its wheel needs libraries of the system. The message of
the loader names one of them; the line below installs them all, so that nobody meets them one by one.
"""

import re
from types import ModuleType

from kyvo.errors import KyvoError

OPEN3D_SYSTEM_PACKAGES = "libusb-1.0-0 libgl1 libegl1 libx11-6 libudev1 libidn2-0"  # Debian's and Ubuntu's names


class MissingDependency(KyvoError, ImportError):
    """A package, or a system library it needs, is not installed; the message has the command that installs it."""


def import_open3d() -> ModuleType:
    """The `open3d` module.

    Raises:
        MissingDependency: it is not installed, or a system library that it needs is missing.
    """
    try:
        import open3d
    except (ImportError, OSError) as error:  # ctypes, by which Open3D loads its own libraries, raises OSError
        raise explain_open3d(error) from error
    return open3d


def explain_open3d(error: ImportError | OSError) -> MissingDependency:
    """What to do about an `error` of `import open3d`."""
    if isinstance(error, ModuleNotFoundError) and error.name == "open3d":
        return MissingDependency("Open3D is not installed; meshes and point clouds need it. Run: pip install open3d")
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

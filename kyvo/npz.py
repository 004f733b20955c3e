"""Arrays of `.npz` files by their headers: what one claims to be is known before any of it is read."""

from typing import IO
from zipfile import ZipExtFile

import numpy as np

from kyvo.errors import KyvoError


def read_header(file: IO[bytes] | ZipExtFile, *, what: str, error: type[KyvoError]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array; leaves `file`, a member of the archive, at its data.

    Raises:
        KyvoError: of the kind `error`, where the array holds pickled objects. `what` names it in the message.
        ValueError: no array of numpy's.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise error(
            f"{what} holds pickled Python objects, which can run any code when read; they are refused. "
            "Save it again as plain numbers."
        )
    return shape, dtype

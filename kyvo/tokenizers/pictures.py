"""Reading a picture file of unknown origin: any common format -> uint8 [H, W, 3], or an ImageError.

Every picture of the package goes through `read_picture` or, where it is no file, `decode_picture`.
"""

from pathlib import Path

import numpy as np

from kyvo.errors import ImageError
from kyvo.tokenizers.picture_decoding import decode_picture

MAX_BYTES = 2**30  # of a file


def read_picture(path: Path | str) -> np.ndarray:
    """The picture as `decode_picture` gives it. Raises ImageError, which names the file, for whatever is wrong."""
    path = Path(path)
    try:
        if path.is_dir():
            raise ImageError(f"{path} is a directory; give the picture files in it.")
        if not path.is_file():
            raise ImageError(f"{path} does not exist.")
        size = path.stat().st_size
        if size == 0:
            raise ImageError(f"{path} is empty (0 bytes).")
        if size > MAX_BYTES:
            raise ImageError(f"{path} has {size:,} bytes; a picture file may have {MAX_BYTES:,}.")
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror or error}).") from error
    return decode_picture(data, str(path))

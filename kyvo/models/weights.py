"""Weight files: safetensors that are written whole, known by their checksums, and read with errors that name the file.

`checksums.sha256` in a model folder has a line for each weight file, as `sha256sum -c` reads it. A file that differs
from its line is refused. Files without a line, as those of older folders and of other programs, are read unchecked.
The tokenizers' weights are not listed: their own JSON has their hash.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kyvo.errors import CheckpointError
from kyvo.files import reading, replacing, write_text

CHECKSUMS = "checksums.sha256"


def write_weights(path: Path, weights: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None) -> None:
    """Writes contiguous tensors and records their checksum. Raises FileError where the file cannot be written."""
    with replacing(path, faults=(SafetensorError, RuntimeError)) as draft:
        save_file(dict(weights), draft, metadata=None if metadata is None else dict(metadata))
    record_checksums(path.parent, [path.name])


def read_weights(path: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a file whose names begin with `prefix`, named without it; no others are read.

    Raises CheckpointError where it is damaged, missing or not the one that was written.
    """
    check_weights([path])
    with reading(path), safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118  # it is no mapping
        return {name.removeprefix(prefix): file.get_tensor(name) for name in names}


def record_checksums(folder: Path, names: Iterable[str]) -> None:
    """Puts the files' checksums into the folder's list, in the place of older ones."""
    paths = [folder / name for name in names]
    known = {**_recorded(folder), **{path.name: digest for path, digest in zip(paths, _hashes(paths), strict=True)}}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(known.items()) if (folder / name).is_file()]
    write_text(folder / CHECKSUMS, "".join(lines))


def check_weights(paths: Iterable[Path]) -> None:
    """Raises CheckpointError for a file that is not the one its folder has recorded."""
    paths = list(paths)
    recorded = {folder: _recorded(folder) for folder in {path.parent for path in paths}}
    known = [path for path in paths if path.name in recorded[path.parent] and path.is_file()]
    for path, digest in zip(known, _hashes(known), strict=True):
        if digest != recorded[path.parent][path.name]:
            raise CheckpointError(
                f"{path}: the file is not what was written: its sha256 differs from that in {CHECKSUMS}. Copy it "
                f"again; if it was changed on purpose, remove its line from {CHECKSUMS}."
            )


def _recorded(folder: Path) -> dict[str, str]:
    """File name -> sha256, of the folder's list; empty where there is none."""
    path = folder / CHECKSUMS
    if not path.is_file():
        return {}
    with reading(path):
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        if any(len(row) != 2 or len(row[0]) != 64 for row in rows):
            raise CheckpointError(f"{path}: each line needs a sha256 and a file name. Copy the file again.")
        return {name: digest for digest, name in rows}


def _hashes(paths: list[Path]) -> list[str]:
    """In order; several files at a time, as hashing leaves Python's lock."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(_sha256, paths))


def _sha256(path: Path) -> str:
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

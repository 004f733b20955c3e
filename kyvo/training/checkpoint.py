"""Checkpoints of a training run: written whole or not at all, known by their checksum, and found again by a pointer.

```
output_dir/latest                        the newest one's name
output_dir/step_000500/state.pt          weights, optimizer, position in the data, random state
output_dir/step_000500/state.pt.sha256   its checksum, as `sha256sum -c` reads it
output_dir/step_000500/model/            the folded model with its processor: what a user loads
```
"""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from kyvo.deprecated import CHECKPOINT_KEYS, current_names
from kyvo.errors import CheckpointError

LOG = logging.getLogger(__name__)
STATE = "state.pt"


def save_checkpoint(
    output_dir: Path, *, step: int, state: dict[str, Any], write_model: Callable[[Path], None], keep_last: int
) -> Path:
    """Writes `step_<step>`, points `latest` at it and removes all but the `keep_last` newest.

    Everything is written under another name first and renamed when complete: a run killed at any moment leaves the
    previous checkpoint and its pointer.

    Raises:
        CheckpointError: it cannot be written, as when the disk is full. What was half-written is removed.
    """
    name = f"step_{step:06d}"
    folder = output_dir / name
    partial = output_dir / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        torch.save(state, partial / STATE)
        (partial / f"{STATE}.sha256").write_text(f"{_sha256(partial / STATE)}  {STATE}\n")
        write_model(partial / "model")
    except (OSError, RuntimeError) as error:  # torch's writer says a full disk by a RuntimeError
        shutil.rmtree(partial, ignore_errors=True)
        last = _names(output_dir)
        raise CheckpointError(
            f"{folder} cannot be written ({error}); {shutil.disk_usage(output_dir).free / 1e9:.1f} GB are free. "
            + (f"The last good checkpoint is {last[-1]}. " if last else "There is no earlier checkpoint. ")
            + "Free space or lower train.keep_last, then go on with train.resume=true."
        ) from error
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    pointer = output_dir / ".latest.partial"
    pointer.write_text(name + "\n")
    os.replace(pointer, output_dir / "latest")
    older = [entry for entry in _names(output_dir) if entry != name]
    for entry in older[: max(0, len(older) + 1 - keep_last)]:
        shutil.rmtree(output_dir / entry)
    return folder


def load_checkpoint(output_dir: Path) -> dict[str, Any]:
    """The state of the newest checkpoint that is whole: `latest`, or the next older one; skipped ones are logged.

    Raises CheckpointError when there is none.
    """
    pointer = output_dir / "latest"
    if not pointer.is_file():
        raise CheckpointError(
            f"{output_dir} has no checkpoint to resume from (no file `latest`). Set train.resume=false, or output_dir "
            "to the folder of an earlier run."
        )
    latest = pointer.read_text().strip()
    faults = []
    for name in [latest, *reversed([entry for entry in _names(output_dir) if entry < latest])]:
        try:
            return _load(output_dir / name / STATE)
        except CheckpointError as error:
            LOG.warning("skipped %s", error)
            faults.append(str(error))
    raise CheckpointError(f"{output_dir} has no whole checkpoint: {'; '.join(faults)}")


def _load(path: Path) -> dict[str, Any]:
    checksum = path.with_name(f"{STATE}.sha256")
    try:
        if checksum.is_file() and checksum.read_text().split()[0] != _sha256(path):  # older runs wrote none
            raise CheckpointError(f"{path}: cannot be read, as it is not what was written (its sha256 differs).")
        return current_names(torch.load(path, map_location="cpu", weights_only=True), CHECKPOINT_KEYS)
    except UnpicklingError as error:
        raise CheckpointError(f"{path}: cannot be read, as it holds more than tensors and plain values.") from error
    except (OSError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}).") from error


def _names(output_dir: Path) -> list[str]:
    """Of the checkpoints in the folder, oldest first."""
    return sorted(path.name for path in output_dir.iterdir() if re.fullmatch(r"step_\d{6,}", path.name))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

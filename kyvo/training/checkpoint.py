"""Checkpoints of a training run: written whole or not at all, known by their checksum, and found through `latest`.

```
output_dir/latest                        the newest one's name
output_dir/step_000500/state.pt          weights, optimizer, position in the data, random state
output_dir/step_000500/state.pt.sha256   its checksum, as `sha256sum -c` reads it
output_dir/step_000500/model/            the folded model with its processor: what a user loads
```
"""

import hashlib
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from kyvo.deprecated import CHECKPOINT_KEYS, current_names
from kyvo.errors import CheckpointError, FileError
from kyvo.files import replacing_folder, write_text
from kyvo.tokenizers.training import write_state

LOG = logging.getLogger(__name__)
STATE = "state.pt"


def save_checkpoint(
    output_dir: Path, *, step: int, state: dict[str, Any], write_model: Callable[[Path], None], keep_last: int
) -> Path:
    """Writes `step_<step>`, points `latest` at it and removes all but the `keep_last` newest.

    Everything is written under another name first and renamed when complete: a run killed at any moment leaves the
    previous checkpoint, and `latest` names it.

    Raises:
        CheckpointError: it cannot be written, as when the disk is full. What was half-written is removed.
    """
    name = f"step_{step:06d}"
    folder = output_dir / name
    try:
        with replacing_folder(folder) as draft:
            write_state(state, draft / STATE)
            write_text(draft / f"{STATE}.sha256", f"{_sha256(draft / STATE)}  {STATE}\n")
            write_model(draft / "model")
            shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed before it pointed here
        write_text(output_dir / "latest", name + "\n")
    except FileError as error:
        last = _names(output_dir)
        raise CheckpointError(
            f"{folder} cannot be written ({error}){_free(output_dir)} "
            + (f"The last good checkpoint is {last[-1]}. " if last else "There is no earlier checkpoint. ")
            + "Free space or lower train.keep_last, then go on with train.resume=true."
        ) from error
    older = [entry for entry in _names(output_dir) if entry != name]
    for entry in older[: max(0, len(older) + 1 - keep_last)]:
        shutil.rmtree(output_dir / entry)
    return folder


def check_free(output_dir: Path) -> None:
    """Raises CheckpointError for a folder that has the checkpoints of another run."""
    if found := _names(output_dir):
        raise CheckpointError(
            f"{output_dir} already has the checkpoints {', '.join(found)}; a second run would replace some of them. "
            "Go on with that run by train.resume=true, or set another output_dir."
        )


def load_checkpoint(output_dir: Path) -> dict[str, Any] | None:
    """The state of the newest checkpoint that is whole: `latest`, or the next older one; skipped ones are logged.

    None, with a warning, for a folder without checkpoints, as of a run that was killed before its first one.

    Raises CheckpointError when there are some and none is whole.
    """
    latest_file, names = output_dir / "latest", _names(output_dir)
    if latest_file.is_file():
        latest = latest_file.read_text().strip()
        names = [*(entry for entry in names if entry < latest), latest]
    if not names:
        LOG.warning("%s has no checkpoint yet: the run begins at step 0", output_dir)
        return None
    faults = []
    for name in reversed(names):
        try:
            return _load(output_dir / name / STATE)
        except CheckpointError as error:
            LOG.warning("skipped %s", error)
            faults.append(str(error))
    raise CheckpointError(f"{output_dir} has no whole checkpoint: {'; '.join(faults)}")


def _free(folder: Path) -> str:
    try:
        return f"; {shutil.disk_usage(folder).free / 1e9:.1f} GB are free."
    except OSError:  # no such folder
        return "."


def _load(path: Path) -> dict[str, Any]:
    checksum = path.with_name(f"{STATE}.sha256")
    try:
        if checksum.is_file() and checksum.read_text().split()[0] != _sha256(path):  # older runs wrote none
            raise CheckpointError(f"{path}: cannot be read, as it is not what was written (its sha256 differs).")
        return current_names(torch.load(path, map_location="cpu", weights_only=True), CHECKPOINT_KEYS)
    except CheckpointError:
        raise
    except UnpicklingError as error:
        raise CheckpointError(f"{path}: cannot be read, as it holds more than tensors and plain values.") from error
    except Exception as error:  # an unpickler raises anything on a damaged file
        raise CheckpointError(f"{path}: cannot be read ({error}).") from error


def _names(output_dir: Path) -> list[str]:
    """Of the checkpoints in the folder, oldest first."""
    if not output_dir.is_dir():
        return []
    return sorted(path.name for path in output_dir.iterdir() if re.fullmatch(r"step_\d{6,}", path.name))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

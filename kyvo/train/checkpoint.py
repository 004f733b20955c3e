"""Checkpoints of a training run: written whole or not at all, and found again by a pointer.

```
output_dir/latest                 the newest one's name
output_dir/step_000500/state.pt   weights, optimizer, position in the data, random state
output_dir/step_000500/model/     the folded model with its processor: what a user loads
```
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from kyvo.errors import CheckpointError


def save_checkpoint(
    output_dir: Path, *, step: int, state: dict[str, Any], write_model: Callable[[Path], None], keep: int
) -> Path:
    """Writes `step_<step>`, points `latest` at it and removes all but `keep` older ones.

    Everything is written under another name first and renamed when complete: a run killed at any moment leaves the
    previous checkpoint and its pointer.
    """
    name = f"step_{step:06d}"
    partial = output_dir / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    torch.save(state, partial / "state.pt")
    write_model(partial / "model")
    folder = output_dir / name
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    pointer = output_dir / ".latest.partial"
    pointer.write_text(name + "\n")
    os.replace(pointer, output_dir / "latest")
    older = sorted(path for path in output_dir.iterdir() if re.fullmatch(r"step_\d{6,}", path.name) and path != folder)
    for path in older[: max(0, len(older) - keep)]:
        shutil.rmtree(path)
    return folder


def load_checkpoint(output_dir: Path) -> dict[str, Any]:
    """The state of the newest checkpoint. Raises CheckpointError when there is none."""
    pointer = output_dir / "latest"
    if not pointer.is_file():
        raise CheckpointError(
            f"{output_dir} has no checkpoint to resume from (no file `latest`). Set train.resume=false, or output_dir "
            "to the folder of an earlier run."
        )
    path = output_dir / pointer.read_text().strip() / "state.pt"
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(f"{path}: cannot be read, as it holds more than tensors and plain values.") from error
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error}). {pointer} can name an older folder beside it."
        ) from error

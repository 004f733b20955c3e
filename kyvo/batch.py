"""Many pictures -> one scene file each, and a manifest that says how each of them went.

Bad input never loses other work: whatever is wrong with one picture is a line in the manifest, and the rest goes on.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from kyvo.api import Kyvo
from kyvo.errors import ImageError, KyvoError
from kyvo.scene.files import save_scene
from kyvo.tokenizers.pictures import read_picture


@dataclass(frozen=True, kw_only=True)
class ManifestLine:
    """How one input went; `DIR/manifest.jsonl` holds one such object a line, in the order in which they were done."""

    input: str
    output: str | None = None
    status: str = "done"  # or "failed"
    seconds: float = 0.0  # this picture's share of its batch
    objects: int | None = None
    truncated: bool = False
    error: str | None = None


def recognize_files(
    model: Kyvo,
    inputs: Sequence[Path],
    out: Path,
    *,
    batch_size: int = 32,
    overwrite: bool = False,
    report: Callable[[ManifestLine], None] = lambda line: None,
) -> list[ManifestLine]:
    """Recognises `inputs` in batches and writes `out/<stem>.json` and `out/manifest.jsonl` (lines are appended).

    Args:
        overwrite: replace scene files that exist; without it such an input fails and the file stays.
        report: called with each line as it is written.
    """
    out.mkdir(parents=True, exist_ok=True)
    lines: list[ManifestLine] = []
    with (out / "manifest.jsonl").open("a") as manifest:

        def write(line: ManifestLine) -> None:
            manifest.write(json.dumps(asdict(line)) + "\n")
            manifest.flush()
            lines.append(line)
            report(line)

        readable = _read_all(inputs, out, overwrite, write)
        while batch := list(islice(readable, batch_size)):
            for line in _recognize_batch(model, batch, out):
                write(line)
    return lines


def _read_all(
    inputs: Sequence[Path], out: Path, overwrite: bool, write: Callable[[ManifestLine], None]
) -> Iterator[tuple[Path, np.ndarray]]:
    """The pictures that can be read, one after another; writes a line for each that cannot."""
    owner: dict[str, Path] = {}
    for path in inputs:
        try:
            _check_output(path, out, owner, overwrite)
            pixels = read_picture(path)
        except KyvoError as error:
            write(ManifestLine(input=str(path), status="failed", error=str(error)))
            continue
        yield path, pixels


def _check_output(path: Path, out: Path, owner: dict[str, Path], overwrite: bool) -> None:
    """Raises ImageError when the scene file of `path` is another input's, or exists."""
    first = owner.setdefault(path.stem, path)
    target = out / f"{path.stem}.json"
    if first is not path:
        raise ImageError(
            f"{path}: {first} is written to {target} already; rename one, or recognise it into another folder."
        )
    if target.exists() and not overwrite:
        raise ImageError(f"{path}: {target} exists; pass --overwrite to replace it, or name another folder.")


def _recognize_batch(model: Kyvo, batch: list[tuple[Path, np.ndarray]], out: Path) -> Iterator[ManifestLine]:
    start = time.perf_counter()
    scenes = model.recognize([pixels for _, pixels in batch])
    seconds = round((time.perf_counter() - start) / len(batch), 4)
    for (path, _), scene in zip(batch, scenes, strict=True):
        target = out / f"{path.stem}.json"
        try:
            save_scene(replace(scene, image=path.name), target)
        except KyvoError as error:
            yield ManifestLine(input=str(path), status="failed", seconds=seconds, error=str(error))
            continue
        yield ManifestLine(
            input=str(path),
            output=str(target),
            seconds=seconds,
            objects=len(scene),
            truncated=bool(scene.extra.get("truncated", False)),
        )

"""Sets of pictures with their scenes as Arrow files: made in blocks, read memory-mapped.

A set is a folder of `data-<block>-of-<blocks>.arrow` files (Hugging Face `datasets`' own format) and `settings.json`,
which says what was asked for. Once it is complete it has a data card (`README.md`, `card.json`) and the two files by
which `datasets.load_from_disk` knows it (`state.json`, `dataset_info.json`). `open_set` reads it, finished or not, and
the Parquet files that `kyvo.data.interchange` makes of it.

A block is set by the settings and its number alone, and appears under its name only when it is whole: workers share
out blocks as they like, a run that was killed goes on where it stopped, and the bytes are always the same. Workers are
processes of one machine, or Ray's of many.
"""

import hashlib
import io
import json
import multiprocessing
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image

from kyvo.clusters import cluster
from kyvo.data.data_card import SHOWN, card_of, readme
from kyvo.errors import ConfigError, KyvoError
from kyvo.extras import extra
from kyvo.files import locked, make_folder, replacing, write_plain_json, write_text
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene

with extra("data"):
    import datasets
    import pyarrow as pa
    from datasets.arrow_writer import ArrowWriter
    from datasets.exceptions import DatasetGenerationError


@dataclass(frozen=True, kw_only=True)
class SkippedItem:
    """A sample of the sources that makes no row."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SetSettings(ABC):
    """What sets the bytes of a set: the settings of one kind of set, which also knows how to make its rows."""

    count: int  # rows
    block: int = 500  # rows a file; a killed run loses at most one such block a worker
    batch: int = 50  # rows made at a time

    kind: ClassVar[str]  # as in `kyvo data KIND`
    what: ClassVar[str]  # the card's title
    columns: ClassVar[dict[str, str]]  # name -> what it holds, for the card
    features: ClassVar[datasets.Features]
    license: ClassVar[str] = "apache-2.0"  # of the rows, for the card: what Kyvo draws is as free as Kyvo

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in vars(self).items() if name != "seed" and type(value) is int}
        if min(numbers.values()) < 1:
            raise ConfigError(
                f"{', '.join(f'{name} {value}' for name, value in numbers.items())}: all must be at least 1."
            )

    @property
    def left_out(self) -> frozenset[str]:
        """Columns of the kind that this set does without."""
        return frozenset()

    @abstractmethod
    def rows(self, indices: Sequence[int]) -> Iterator["dict[str, Any] | SkippedItem"]:
        """The rows of some indices, in order; each batch is set by the settings and its indices alone.

        Where sources are read, a row that is no good is left out with its reason.
        """

    @abstractmethod
    def about(self) -> str:
        """How the rows are made: a paragraph of the card."""

    def figures(self, rows: datasets.Dataset, missing: Sequence[SkippedItem]) -> dict[str, Any]:
        """What the card says of the finished set besides its settings: nothing, where the kind has nothing to add."""
        return {}

    def source_notes(self) -> list[str]:
        """What the reader of the sources has to tell of what it left out: nothing, where nothing is read."""
        return []

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}

    @property
    def num_blocks(self) -> int:
        return -(-self.count // self.block)

    def indices(self, block: int) -> range:
        """The rows of a block."""
        return range(block * self.block, min((block + 1) * self.block, self.count))

    def block_path(self, out: Path, block: int) -> Path:
        return out / f"data-{block:05d}-of-{self.num_blocks:05d}.arrow"


def write_set(
    out: Path,
    settings: SetSettings,
    *,
    workers: int = 1,
    engine: str = "processes",
    command: str = "",
    progress: Callable[[int], object] = lambda rows: None,
) -> dict[str, Any]:
    """Makes the blocks that `out` lacks, then its card; returns the card.

    Args:
        out: folder of the set; with Ray on several machines, one that all of them see.
        settings: of the set.
        workers: blocks made at a time.
        engine: "processes", of this machine, or "ray": the cluster that `RAY_ADDRESS` or `ray start` names, else a
            local one.
        command: for the card.
        progress: called with the number of rows of each finished block, those found finished first.

    Raises:
        ConfigError: `out` holds a set of other settings, or files that are no set, or the engine is unknown; or every
            sample of the sources was left out.
        MissingDependency: Ray is asked for and not installed.
        FileError: a file cannot be written, or another process is making this set.
    """
    if engine not in ENGINES:
        raise ConfigError(f"engine is {engine!r}; known are {', '.join(ENGINES)}.")
    _claim(out, settings)
    with locked(out):
        for left in out.glob("data-*.part"):  # of a run of Kyvo 0.1 that was killed
            left.unlink()
        return _write_blocks(out, settings, workers=workers, engine=engine, command=command, progress=progress)


def _write_blocks(
    out: Path,
    settings: SetSettings,
    *,
    workers: int,
    engine: str,
    command: str,
    progress: Callable[[int], object],
) -> dict[str, Any]:
    waiting = []
    for block in range(settings.num_blocks):
        if settings.block_path(out, block).exists():
            progress(len(settings.indices(block)))
        else:
            waiting.append((out, settings, block))
    with closing(ENGINES[engine](waiting, workers)) as finished:  # also where `progress` raises
        for num_rows in finished:
            progress(num_rows)
    if not len(open_set(out)):
        reasons = _left_out(out, settings)
        for block in range(settings.num_blocks):  # so that the same command tries again
            settings.block_path(out, block).unlink()
        lines = [f"none of {settings.count} samples makes a row", *(f"{one.name}: {one.reason}" for one in reasons)]
        if len(reasons) > SHOWN:
            lines[SHOWN + 1 :] = [f"and {len(reasons) - SHOWN} more"]
        raise ConfigError("\n  ".join(lines))
    return _write_card(out, settings, command)


def open_set(path: Path) -> datasets.Dataset:
    """The finished blocks of a set, in order, memory-mapped; or the rows of a folder of Parquet files.

    Raises ConfigError where there are none, or where the folder holds several splits.
    """
    path = Path(path)
    if blocks := sorted(path.glob("data-*.arrow")):
        return datasets.concatenate_datasets([_open_block(block) for block in blocks])
    if shards := sorted(path.glob("*.parquet")):
        return _open_parquet(shards)
    splits = sorted({shard.parent for shard in path.glob("*/*.parquet")})
    if len(splits) == 1:
        return open_set(splits[0])
    if splits:
        names = ", ".join(split.name for split in splits)
        raise ConfigError(f"{path} holds the splits {names}; give the folder of one, as {splits[0]}.")
    raise ConfigError(
        f"{path} holds no data-*.arrow and no *.parquet files; make a set there with `kyvo data clevr --out {path}`."
    )


def is_set(path: Path) -> bool:
    """Whether `open_set` finds rows there."""
    return any(next(path.glob(pattern), None) for pattern in ("data-*.arrow", "*.parquet", "*/*.parquet"))


def _open_parquet(shards: Sequence[Path]) -> datasets.Dataset:
    """By `datasets`, which makes Arrow files of them in its cache, so that they are memory-mapped too."""
    try:
        rows = datasets.Dataset.from_parquet([str(shard) for shard in shards])
    except (DatasetGenerationError, pa.ArrowInvalid, OSError) as error:
        raise ConfigError(f"{shards[0].parent} holds a file that is no whole Parquet file ({error}).") from error
    assert isinstance(rows, datasets.Dataset)
    return rows


def _open_block(path: Path) -> datasets.Dataset:
    """Raises ConfigError for a file that was cut, even where a batch of rows ends."""
    try:
        rows = datasets.Dataset.from_file(str(path))
        with path.open("rb") as file:
            file.seek(-len(_END), os.SEEK_END)
            whole = file.read() == _END
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(f"{path} is no whole Arrow file ({error}). {_AGAIN}") from error
    if not whole:
        raise ConfigError(f"{path} is no whole Arrow file (its end is missing). {_AGAIN}")
    return rows


_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # of an Arrow stream
_AGAIN = "Delete it and run the command that made the set again: only this file is made anew."


def _claim(out: Path, settings: SetSettings) -> None:
    """Leaves the settings in a folder that has no block yet, or compares them with those of its blocks."""
    record = out / "settings.json"
    asked = json.loads(json.dumps(settings.to_dict()))
    if record.exists() and any(out.glob("data-*.arrow")):
        found = json.loads(record.read_text())
        if differing := [key for key in asked | found if found.get(key) != asked.get(key)]:  # older sets lack some
            other = ", ".join(f"{key} {found.get(key)}" for key in differing)
            raise ConfigError(f"{out} holds a set with other settings ({other}); use those, or choose another --out.")
        return
    if out.exists() and not (out.is_dir() and all(path.suffix in (".part", ".json") for path in out.iterdir())):
        raise ConfigError(f"{out} is not empty and holds no set of ours; choose another --out.")
    make_folder(out)
    write_plain_json(record, asked)


Task = tuple[Path, SetSettings, int]  # a block of a set


def _write_block(task: Task) -> int:
    """Makes one block; returns its number of rows."""
    out, settings, block = task
    path = settings.block_path(out, block)
    all_indices = settings.indices(block)
    kept = [name for name in settings.features if name not in settings.left_out]
    features = datasets.Features({name: settings.features[name] for name in kept})
    missing: list[SkippedItem] = []
    with (
        replacing(path, faults=(pa.ArrowException,)) as draft,
        ArrowWriter(path=str(draft), features=features, writer_batch_size=settings.batch) as writer,
    ):
        for start in range(0, len(all_indices), settings.batch):
            for row in settings.rows(all_indices[start : start + settings.batch]):
                if isinstance(row, SkippedItem):
                    missing.append(row)
                else:
                    writer.write({name: row[name] for name in kept})
        writer.finalize()
        left_out = _left_out_path(path)  # written first: where the block is, so is what it leaves out
        if missing:
            write_plain_json(left_out, [asdict(row) for row in missing])
        else:
            left_out.unlink(missing_ok=True)
    return len(all_indices)


def _left_out_path(block: Path) -> Path:
    return block.with_suffix(".left_out.json")


def _left_out(out: Path, settings: SetSettings) -> list[SkippedItem]:
    """What the blocks of a set left out, in the sources' order."""
    paths = (_left_out_path(settings.block_path(out, block)) for block in range(settings.num_blocks))
    return [SkippedItem(**row) for path in paths if path.is_file() for row in json.loads(path.read_text())]


def _write_state(out: Path, what: str, rows: datasets.Dataset, files: Sequence[str], content: str) -> None:
    """What `datasets.load_from_disk` reads first: the files, and a name of their content for its caches."""
    state = {
        "_data_files": [{"filename": name} for name in files],
        "_fingerprint": content[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": "train",
    }
    datasets.DatasetInfo(description=what, features=rows.features).write_to_directory(str(out))
    write_plain_json(out / "state.json", state)


def _share_among_processes(tasks: Sequence[Task], workers: int) -> Generator[int, None, None]:
    """The rows of each block as it is done."""
    if workers == 1 or len(tasks) < 2:
        yield from map(_write_block, tasks)
        return
    # Spawned, as forked processes may inherit locks of torch's threads.
    with multiprocessing.get_context("spawn").Pool(min(workers, len(tasks)), torch.set_num_threads, (1,)) as pool:
        yield from pool.imap_unordered(_write_block, tasks)


def _share_by_ray(tasks: Sequence[Task], workers: int) -> Generator[int, None, None]:
    """As `_share_among_processes`, each block by a task of one core, `workers` of them at a time."""
    with cluster() as ray:
        write = ray.remote(num_cpus=1)(_write_block)
        # A worker of Ray has its own working folder.
        waiting = [(out.absolute(), settings, block) for out, settings, block in reversed(tasks)]
        running = [write.remote(waiting.pop()) for _ in range(min(workers, len(waiting)))]
        while running:
            done, running = ray.wait(running)
            try:
                yield ray.get(done[0])
            except ray.exceptions.RayTaskError as error:
                # What a user can mend is said as elsewhere, without Ray's account of where it happened.
                raise error.cause if isinstance(error.cause, KyvoError) else error from None
            if waiting:
                running.append(write.remote(waiting.pop()))


ENGINES = {"processes": _share_among_processes, "ray": _share_by_ray}


def _write_card(out: Path, settings: SetSettings, command: str) -> dict[str, Any]:
    rows, hashes = open_set(out), {}
    for block in range(settings.num_blocks):
        path = settings.block_path(out, block)
        with path.open("rb") as file:
            hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    card = card_of(settings, rows, hashes=hashes, missing=_left_out(out, settings), command=command)
    _write_state(out, settings.what, rows, list(hashes), card["sha256"])
    write_plain_json(out / "card.json", card)
    write_text(out / "README.md", readme(card, settings))
    return card


def picture_cell(picture: np.ndarray, name: str) -> dict[str, Any]:
    """A picture, uint8 [H, W, 3], as a cell of an image column: PNG, the same bytes each time."""
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "png", compress_level=1)
    return {"bytes": png.getvalue(), "path": name}


def scene_cell(scene: Scene) -> str:
    """A scene as a cell of a text column."""
    return json.dumps(scene_to_json(scene), separators=(",", ":"))

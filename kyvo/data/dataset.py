"""Sets of pictures with their scenes as Arrow files: made in blocks, read memory-mapped.

A set is a folder of `data-<block>-of-<blocks>.arrow` files (Hugging Face `datasets`' own format), a data card
(`README.md`, `card.json`) once it is complete, and `settings.json`, which says what was asked for. `open_set` reads
it, finished or not; so does `datasets.load_dataset("arrow", data_files=".../*.arrow")`.

A block is set by the settings and its number alone, and appears under its name only when it is whole: workers share
out blocks as they like, a run that was killed goes on where it stopped, and the bytes are always the same.
"""

import hashlib
import io
import json
import multiprocessing
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasets
import torch
from datasets.arrow_writer import ArrowWriter
from PIL import Image

import kyvo
from kyvo.data.clevr import ClevrRules, render_scenes, sample_scenes
from kyvo.errors import ConfigError
from kyvo.scene.files import scene_to_json

FEATURES = datasets.Features(
    {"image": datasets.Image(), "scene": datasets.Value("string"), "name": datasets.Value("string")}
)


@dataclass(frozen=True, kw_only=True)
class SetSettings:
    """What sets the bytes of a ray-traced CLEVR set."""

    count: int
    seed: int
    width: int  # px
    height: int
    samples: int = 2  # rays a pixel, along each axis
    rules: ClevrRules = field(default_factory=ClevrRules)
    block: int = 500  # scenes a file; a killed run loses at most one such block a worker
    batch: int = 50  # scenes drawn and rendered at a time

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in asdict(self).items() if name not in ("seed", "rules")}
        if min(numbers.values()) < 1:
            raise ConfigError(
                f"{', '.join(f'{name} {value}' for name, value in numbers.items())}: all must be at least 1."
            )

    @property
    def num_blocks(self) -> int:
        return -(-self.count // self.block)

    def indices(self, block: int) -> range:
        """The scenes of a block."""
        return range(block * self.block, min((block + 1) * self.block, self.count))

    def block_path(self, out: Path, block: int) -> Path:
        return out / f"data-{block:05d}-of-{self.num_blocks:05d}.arrow"


def write_clevr(
    out: Path,
    settings: SetSettings,
    *,
    workers: int = 1,
    command: str = "",
    progress: Callable[[int], object] = lambda scenes: None,
) -> dict[str, Any]:
    """Makes the blocks that `out` lacks, then its card; returns the card.

    `progress` is called with the number of scenes of each finished block, those found finished first. Raises
    ConfigError where `out` holds a set of other settings, or files that are no set.
    """
    _claim(out, settings)
    waiting = []
    for block in range(settings.num_blocks):
        if settings.block_path(out, block).exists():
            progress(len(settings.indices(block)))
        else:
            waiting.append((out, settings, block))
    if workers == 1 or len(waiting) < 2:
        for task in waiting:
            progress(_write_block(task))
    else:
        # Spawned, as forked processes may inherit locks of torch's threads.
        with multiprocessing.get_context("spawn").Pool(min(workers, len(waiting)), torch.set_num_threads, (1,)) as pool:
            for num_scenes in pool.imap_unordered(_write_block, waiting):
                progress(num_scenes)
    return _write_card(out, settings, command)


def open_set(path: Path) -> datasets.Dataset:
    """The finished blocks of a set, in order, memory-mapped. Raises ConfigError where there are none."""
    blocks = sorted(Path(path).glob("data-*.arrow"))
    if not blocks:
        raise ConfigError(f"{path} holds no data-*.arrow files; make a set there with `kyvo data clevr --out {path}`.")
    return datasets.concatenate_datasets([datasets.Dataset.from_file(str(block)) for block in blocks])


def _claim(out: Path, settings: SetSettings) -> None:
    """Leaves the settings in a folder that has no block yet, or compares them with those of its blocks."""
    record = out / "settings.json"
    asked = asdict(settings)
    if record.exists() and any(out.glob("data-*.arrow")):
        found = json.loads(record.read_text())
        if found != asked:
            other = ", ".join(f"{key} {found.get(key)}" for key in asked if found.get(key) != asked[key])
            raise ConfigError(f"{out} holds a set with other settings ({other}); use those, or choose another --out.")
        return
    if out.exists() and not (out.is_dir() and all(path.suffix in (".part", ".json") for path in out.iterdir())):
        raise ConfigError(f"{out} is not empty and holds no set of ours; choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    _write_whole(record, json.dumps(asked, indent=1).encode())


def _write_block(task: tuple[Path, SetSettings, int]) -> int:
    out, settings, block = task
    path = settings.block_path(out, block)
    part = path.with_suffix(".part")
    all_indices = settings.indices(block)
    with ArrowWriter(path=str(part), features=FEATURES, writer_batch_size=settings.batch) as writer:
        for start in range(0, len(all_indices), settings.batch):
            indices = all_indices[start : start + settings.batch]
            scenes = sample_scenes(
                indices, seed=settings.seed, width=settings.width, height=settings.height, rules=settings.rules
            )
            pictures = render_scenes(scenes, width=settings.width, height=settings.height, samples=settings.samples)
            for index, scene, picture in zip(indices, scenes, pictures, strict=True):
                name = f"clevr_{settings.seed}_{index:06d}.png"
                png = io.BytesIO()
                Image.fromarray(picture).save(png, "png", compress_level=1)
                writer.write(
                    {
                        "image": {"bytes": png.getvalue(), "path": name},
                        "scene": json.dumps(scene_to_json(scene), separators=(",", ":")),
                        "name": name,
                    }
                )
        writer.finalize()
    os.replace(part, path)
    return len(all_indices)


def _write_card(out: Path, settings: SetSettings, command: str) -> dict[str, Any]:
    hashes = {}
    for block in range(settings.num_blocks):
        path = settings.block_path(out, block)
        with path.open("rb") as file:
            hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    lines = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    card = {
        "what": "Ray-traced CLEVR scenes with their pictures",
        "command": command,
        "settings": asdict(settings),
        "columns": {"image": "PNG, RGB", "scene": "Kyvo scene JSON", "name": "file name of the picture"},
        "versions": {name: version(name) for name in ("torch", "numpy", "pillow", "datasets")}
        | {"python": platform.python_version(), "kyvo": kyvo.__version__, "kyvo_commit": _commit()},
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),  # of `sha256sum`'s list of the files
        "files": hashes,
    }
    _write_whole(out / "card.json", json.dumps(card, indent=1).encode())
    _write_whole(out / "README.md", _README.format(**card, **asdict(settings), rule_lines=_rules(settings)).encode())
    return card


_README = """# {what}

{count} pictures of {width}x{height} px and their scenes, seed {seed}, made by

    {command}

Columns: `image` (PNG), `scene` (Kyvo scene JSON: objects, camera, the lamps' positions), `name`.
Read it with `kyvo.data.dataset.open_set(folder)`, or with `datasets.load_dataset("arrow", data_files="*.arrow")`.

Scenes are drawn under CLEVR v1.0's rules (https://arxiv.org/abs/1612.06890) and rendered by `kyvo.data.raytracer`
with {samples}x{samples} rays a pixel; each scene is set by the seed and its number alone.

{rule_lines}

Hash of the data (sha256 of the list of the files' sha256): {sha256}. Hashes of the files and versions of the
programs are in `card.json`.
"""


def _rules(settings: SetSettings) -> str:
    return "\n".join(f"- {name}: {value:g}" for name, value in asdict(settings.rules).items())


def _commit() -> str | None:
    """The commit of the checkout that this package runs from; None outside one."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def _write_whole(path: Path, data: bytes) -> None:
    """The file appears whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)

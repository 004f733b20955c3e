"""Training and test data of image tokenizers: the pictures of a set or folder, and its scenes' objects."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader

from kyvo.data.dataset import is_set, open_set
from kyvo.errors import ConfigError, ImageError
from kyvo.extras import extra
from kyvo.scene.builtin_schemas import SCHEMAS
from kyvo.scene.files import scene_from_json
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.image import fit
from kyvo.tokenizers.objects import ObjectMaps, object_maps
from kyvo.tokenizers.picture_decoding import decode_picture
from kyvo.tokenizers.pictures import SUFFIXES, read_picture
from kyvo.tokenizers.turn_maps import turn_maps
from kyvo.tokenizers.vqgan import VQGANConfig

with extra("data"):
    from datasets import Dataset, Image, load_from_disk


def load_pictures(
    folder: Path, *, width: int, height: int, limit: int | None, workers: int = 0
) -> UInt8[Tensor, "pictures height width 3"]:
    """All pictures of an Arrow set (column "image") or a folder of files, fitted and decoded once into memory.

    Args:
        workers: processes that read a set's; 0: this one.
    """
    if is_set(folder):
        rows = _column(folder, "image", limit)
        count = len(rows)

        def fitted(part: Dataset) -> Tensor:
            return torch.from_numpy(np.stack([fit(picture, width, height) for picture in set_pictures(part)]))

        found: Iterable[Tensor] = _parts(rows, fitted, workers=workers)
    else:
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        paths = [path for path in files if path.suffix.lower() in SUFFIXES][:limit]
        count = len(paths)
        found = (torch.from_numpy(fit(read_picture(path), width, height).copy())[None] for path in paths)
    if count == 0:
        raise ImageError(f"{folder} has no pictures; expected an Arrow set or files of {', '.join(SUFFIXES)}.")
    pictures = torch.empty((count, height, width, 3), dtype=torch.uint8)
    start = 0
    for part in found:
        pictures[start : start + len(part)] = part
        start += len(part)
    return pictures


def load_objects(
    folder: Path, config: VQGANConfig, *, limit: int | None, workers: int = 0
) -> tuple[SceneSchema, ObjectMaps]:
    """The schema of a set's scenes, and where their objects stand on the grid of codes.

    Raises ConfigError where there are no scenes, or their schema is not one that comes with Kyvo.
    """
    if not is_set(folder):
        raise ConfigError(f"objects are read from scenes, and {folder} is no Arrow set.")
    rows = _column(folder, "scene", limit)
    if "scene" not in rows.column_names:
        raise ConfigError(f"objects are read from scenes, and {folder} has none.")
    name = scene_from_json(json.loads(rows[0]["scene"])).schema
    if name not in SCHEMAS:
        raise ConfigError(
            f"objects are read by a schema that comes with Kyvo ({', '.join(SCHEMAS)}), and the scenes of {folder} "
            f"have {name!r}."
        )
    schema = SCHEMAS[name]()

    def drawn(part: Dataset) -> dict[str, Tensor]:
        scenes = [scene_from_json(json.loads(row)) for row in part["scene"]]
        return vars(object_maps(scenes, schema, rows=config.rows, columns=config.columns))

    parts = list(_parts(rows, drawn, workers=workers))
    return schema, ObjectMaps(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def load_turns(
    folder: Path, config: VQGANConfig, *, limit: int | None = None, workers: int = 0
) -> UInt8[Tensor, "pictures 3 height width"]:
    """Which faces of cubes the pictures of a set's scenes show where (`kyvo.tokenizers.turn_maps`).

    Raises ConfigError for a set without scenes, and for a scene without a camera.
    """
    width, height = config.decoded_size
    rows = _column(folder, "scene", limit) if is_set(folder) else None
    if rows is None or "scene" not in rows.column_names:
        raise ConfigError(f"turns are read from scenes, and {folder} has none.")

    def drawn(part: Dataset) -> Tensor:
        scenes = [scene_from_json(json.loads(row)) for row in part["scene"]]
        if any(scene.camera is None for scene in scenes):
            raise ConfigError(f"a scene of {folder} has no camera, which says how its cubes are seen.")
        return torch.from_numpy(turn_maps(scenes, width=width, height=height).astype(np.uint8))

    return torch.cat(list(_parts(rows, drawn, workers=workers)))


def load_written(folder: Path, config: VQGANConfig) -> tuple[Float[Tensor, "pictures dim rows columns"], Tensor]:
    """What a model wrote for scenes, and their pictures (`tokenizers/encode_written.py`).

    Raises ConfigError for another set, and for vectors or pictures of another tokenizer's size.
    """
    if not is_set(folder) or "vectors" not in (rows := load_from_disk(folder)).column_names:
        raise ConfigError(f"{folder} does not hold what a model wrote; tokenizers/encode_written.py makes such a set.")
    vectors = torch.from_numpy(np.asarray(rows.with_format("numpy")["vectors"][:], dtype=np.float16))
    wanted = config.num_codes * config.embed_dim
    if vectors.shape[1] != wanted:
        raise ConfigError(
            f"{folder} has {vectors.shape[1]} numbers a picture, the tokenizer {wanted}; it is another's."
        )
    assert isinstance(rows, Dataset)  # which `is_set` says
    pictures = np.stack(list(set_pictures(rows)))
    height, width = pictures.shape[1:3]
    if (width, height) != config.decoded_size:
        wanted_size = "{}x{}".format(*config.decoded_size)
        raise ConfigError(
            f"{folder} has pictures of {width}x{height} px and the tokenizer draws {wanted_size}; make the set with "
            f"--upscale {config.upscale}."
        )
    grid = vectors.unflatten(1, (config.rows, config.columns, config.embed_dim))
    return grid.movedim(-1, 1), torch.from_numpy(pictures)


def set_pictures(rows: Dataset) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The column "image" of a set's rows, decoded as all pictures are. Raises ImageError with the row's number."""
    for number, row in enumerate(rows.select_columns(["image"]).cast_column("image", Image(decode=False))):
        stored: Any = row["image"]  # type: ignore[call-overload]
        if stored["bytes"] is None:
            yield read_picture(stored["path"])
        else:
            yield decode_picture(stored["bytes"], f"the picture of row {number}")


def _column(folder: Path, name: str, limit: int | None) -> Dataset:
    """A set's rows with this column alone, where it has it."""
    rows = open_set(folder)
    rows = rows.select(range(min(limit or len(rows), len(rows))))
    return rows.select_columns([name]) if name in rows.column_names else rows


class _Parts(torch.utils.data.Dataset):
    """Rows beside one another, as something is made of them."""

    size = 500

    def __init__(self, rows: Dataset, make: Callable[[Dataset], Any]) -> None:
        self.rows = rows
        self.make = make

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def __getitem__(self, number: int) -> Any:
        stop = min((number + 1) * self.size, len(self.rows))
        return self.make(self.rows.select(range(number * self.size, stop)))


def _parts(rows: Dataset, make: Callable[[Dataset], Any], *, workers: int) -> DataLoader:
    """What is made of the rows' parts, in order."""
    # Forked, as `make` is no function of a module; nothing has begun with CUDA yet.
    context = "fork" if workers else None
    return DataLoader(_Parts(rows, make), batch_size=None, num_workers=workers, multiprocessing_context=context)

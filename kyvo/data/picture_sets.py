"""What an image tokenizer is trained and measured on: the pictures of a set or folder, and its scenes' objects."""

import json
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from kyvo.data.dataset import open_set
from kyvo.errors import ConfigError, ImageError
from kyvo.scene.files import scene_from_json
from kyvo.scene.schema import SCHEMAS, SceneSchema
from kyvo.tokenizers.image import fit
from kyvo.tokenizers.objects import ObjectMaps, object_maps
from kyvo.tokenizers.pictures import read_picture
from kyvo.tokenizers.vqgan import VQGANConfig

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


def load_pictures(
    folder: Path, *, width: int, height: int, limit: int | None
) -> UInt8[Tensor, "pictures height width 3"]:
    """All pictures of an Arrow set (column "image") or a folder of files, fitted and decoded once into memory."""
    if is_set(folder):
        data = open_set(folder)
        column = data.select(range(min(limit or len(data), len(data))))["image"]
        found = (np.asarray(image.convert("RGB")) for image in column)
        count = len(column)
    else:
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        paths = [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES][:limit]
        found = (read_picture(path) for path in paths)
        count = len(paths)
    if count == 0:
        raise ImageError(f"{folder} has no pictures; expected an Arrow set or files of {sorted(PICTURE_SUFFIXES)}.")
    pictures = torch.empty((count, height, width, 3), dtype=torch.uint8)
    for i, picture in enumerate(found):
        pictures[i] = torch.from_numpy(fit(picture, width, height).copy())
    return pictures


def load_objects(folder: Path, config: VQGANConfig, *, limit: int | None) -> tuple[SceneSchema, ObjectMaps]:
    """The schema of a set's scenes, and where their objects stand on the grid of codes.

    Raises ConfigError where there are no scenes, or their schema is not one that comes with Kyvo.
    """
    if not is_set(folder):
        raise ConfigError(f"objects are read from scenes, and {folder} is no Arrow set.")
    data = open_set(folder)
    if "scene" not in data.column_names:
        raise ConfigError(f"objects are read from scenes, and {folder} has none.")
    rows = data.select(range(min(limit or len(data), len(data))))["scene"]
    scenes = [scene_from_json(json.loads(row)) for row in rows]
    if scenes[0].schema not in SCHEMAS:
        raise ConfigError(
            f"objects are read by a schema that comes with Kyvo ({', '.join(SCHEMAS)}), and the scenes of {folder} "
            f"have {scenes[0].schema!r}."
        )
    schema = SCHEMAS[scenes[0].schema]()
    return schema, object_maps(scenes, schema, rows=config.rows, columns=config.columns)


def is_set(folder: Path) -> bool:
    """Whether the folder holds an Arrow set, and no files of pictures."""
    return any(folder.glob("*.arrow"))

"""What scene flows are trained on: rows of `kyvo data scenes` as batches of items, one an asset or a scene.

SceneGen's items are the assets, each in its own cube, with poses relative to a query asset or to the scene's cube.
I-Scene's are each scene and its instances, all in the scene's cube, with pictures or with texts. Which rows make a
batch is said by `kyvo.shapes.flow_data.Packs`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kyvo.data.dataset import open_set
from kyvo.data.scene_pictures import ScenePicture
from kyvo.errors import ConfigError
from kyvo.extras import extra
from kyvo.scene.files import scene_from_json
from kyvo.scene.pose import Pose
from kyvo.scene.scene import Camera
from kyvo.shapes.scene_sets import poses_of
from kyvo.shapes.scene_texts import row_texts, scene_words

with extra("train"):
    import datasets

MAX_ASSETS = 7  # of a scene in SceneGen's training; of more, some are drawn
MASKS = ("visible", "full")
NUM_POINTS = 512  # of each asset's surface, for the collision loss


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneRow:
    """One scene: everything of its objects in their order."""

    picture: ScenePicture
    categories: tuple[str, ...]
    on: tuple[int | None, ...]  # the object that each stands on; None: the floor
    camera: Camera | None
    poses: tuple[Pose, ...]  # in the scene's frame
    shown: tuple[float, ...]  # share of each object that others do not hide
    cube: Pose  # around the scene, in the same frame
    cells: tuple[Int[Tensor, "_ 3"], ...]  # of each object's own cube
    feats: tuple[Float[Tensor, "_ channels"], ...]
    scene_cells: tuple[Int[Tensor, "_ 3"], ...]  # of the scene's cube

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def turns(self) -> tuple[float, ...]:
        """Of each object about the up axis, rad, in axes that follow the camera."""
        return tuple(pose.relative_to(self.cube).euler[2] for pose in self.poses)


@dataclass(frozen=True, kw_only=True, eq=False)
class Items:
    """A batch of items; those of a scene follow one another."""

    occupancy: Float[Tensor, "items one x y z"]
    scene_of: Int[Tensor, " items"]  # the first item of each one's scene


@dataclass(frozen=True, kw_only=True, eq=False)
class TextItems(Items):
    """I-Scene's batch where texts are the condition."""

    texts: tuple[str, ...]  # of each scene and of its instances


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneItems(Items):
    """A batch where pictures are the condition."""

    crops: Float[Tensor, "items 3 crop crop"]  # of I-Scene's scenes, the whole picture
    pictures: Float[Tensor, "items 3 size size"]
    masks: Bool[Tensor, "items size size"]  # of I-Scene's scenes, everything


@dataclass(frozen=True, kw_only=True, eq=False)
class AssetItems(SceneItems):
    """SceneGen's batch."""

    is_query: Bool[Tensor, " items"]
    poses: Float[Tensor, "items 8"]  # in the frame of the scene's query, or of its cube
    scene_size: Float[Tensor, " items"]  # side of the scene's cube, in the same frame
    points: Float[Tensor, "items points 3"]  # of each asset's surface, in its cube


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneRows:
    """The scenes of some sets on one grid."""

    rows: datasets.Dataset
    resolution: int

    @classmethod
    def open(cls, folders: Sequence[Path], *, resolution: int) -> "SceneRows":
        """Raises ConfigError for a folder that is no set of scenes, or is on another grid."""
        sets = [open_set(folder) for folder in folders]
        for folder, rows in zip(folders, sets, strict=True):
            if not {"scene_cells", "visible", "cube"} <= set(rows.column_names):
                raise ConfigError(f"{folder} is no set of scenes; make one with `kyvo data scenes`.")
            found = json.loads((folder / "settings.json").read_text(encoding="utf-8"))["resolution"]
            if found != resolution:
                raise ConfigError(
                    f"{folder} has scenes on a grid of {found}, and the flow is over a grid of {resolution}. Make the "
                    f"set with --resolution {resolution}."
                )
        return cls(rows=datasets.concatenate_datasets(sets), resolution=resolution)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def num_objects(self) -> list[int]:
        """Of each scene."""
        return list(self.rows["num_objects"])

    def __getitem__(self, index: int) -> SceneRow:
        row: Any = self.rows[index]
        scene = scene_from_json(json.loads(row["scene"]))
        masks, full = (np.stack([np.asarray(mask.convert("L")) > 127 for mask in row[name]]) for name in MASKS)
        picture = ScenePicture(
            rgb=np.asarray(row["image"].convert("RGB")),
            masks=masks,
            names=tuple(f"{number} {item.category}" for number, item in enumerate(scene.objects)),
        )
        x, y, z, side = row["cube"]
        cells = tuple(_cells(data) for data in row["cells"])
        return SceneRow(
            picture=picture,
            categories=tuple(str(item.category) for item in scene.objects),
            on=tuple(item.extra.get("on") for item in scene.objects),
            camera=scene.camera,
            poses=tuple(poses_of(scene)),
            shown=tuple((masks.sum((1, 2)) / full.sum((1, 2))).tolist()),
            cube=Pose(translation=(x, y, z), scale=side),
            cells=cells,
            feats=tuple(
                torch.from_numpy(np.frombuffer(data, np.float16).reshape(len(own), -1).astype(np.float32))
                for data, own in zip(row["feats"], cells, strict=True)
            ),
            scene_cells=tuple(_cells(data) for data in row["scene_cells"]),
        )

    def __iter__(self) -> Iterator[SceneRow]:
        return (self[index] for index in range(len(self)))

    def assets(
        self,
        indices: Sequence[int],
        rng: np.random.Generator,
        *,
        crop_size: int,
        picture_size: int,
        pose_frame: str = "query",
    ) -> AssetItems:
        """SceneGen's items of some scenes: at most MAX_ASSETS of each, one of them drawn as the query.

        Args:
            pose_frame: as in `SceneGenConfig`.
        """
        parts: list[dict[str, Any]] = []
        for index in indices:
            row = self[index]
            chosen = sorted(rng.permutation(len(row))[:MAX_ASSETS].tolist())
            query = row.poses[chosen[int(rng.integers(len(chosen)))]]
            frame = query if pose_frame == "query" else row.cube
            pictures, masks = row.picture.pixels(picture_size), row.picture.mask_pixels(picture_size)
            first = len(parts)
            for item in chosen:
                cells = row.cells[item]
                drawn = torch.from_numpy(rng.integers(len(cells), size=NUM_POINTS))
                parts.append(
                    {
                        "occupancy": self._occupancy(cells),
                        "crops": row.picture.crop(item).pixels(crop_size),
                        "pictures": pictures,
                        "masks": masks[item],
                        "scene_of": torch.tensor(first),
                        "is_query": torch.tensor(row.poses[item] is query),
                        "poses": torch.from_numpy(row.poses[item].relative_to(frame).vector).float(),
                        "scene_size": torch.tensor(row.cube.scale / frame.scale, dtype=torch.float32),
                        "points": (cells[drawn].float() + 0.5) / self.resolution - 0.5,
                    }
                )
        return AssetItems(**_stacked(parts))

    def instances(self, indices: Sequence[int], *, crop_size: int, picture_size: int) -> SceneItems:
        """I-Scene's items of some scenes: each scene, then its instances."""
        parts: list[dict[str, Any]] = []
        for index in indices:
            row = self[index]
            picture, masks = row.picture.pixels(picture_size), row.picture.mask_pixels(picture_size)
            scene = torch.tensor(len(parts))
            shared = {"pictures": picture, "scene_of": scene}
            parts.append(
                {
                    "occupancy": self._occupancy(torch.cat(row.scene_cells)),
                    "crops": row.picture.pixels(crop_size),
                    "masks": torch.ones_like(masks[0]),
                    **shared,
                }
            )
            parts += [
                {
                    "occupancy": self._occupancy(cells),
                    "crops": row.picture.crop(number).pixels(crop_size),
                    "masks": masks[number],
                    **shared,
                }
                for number, cells in enumerate(row.scene_cells)
            ]
        return SceneItems(**_stacked(parts))

    def described(self, indices: Sequence[int], rng: np.random.Generator) -> TextItems:
        """I-Scene's items of some scenes with their texts: each scene, then its instances."""
        parts: list[dict[str, Any]] = []
        texts: list[str] = []
        for index in indices:
            row = self[index]
            scene = torch.tensor(len(parts))
            grids = (torch.cat(row.scene_cells), *row.scene_cells)
            parts += [{"occupancy": self._occupancy(cells), "scene_of": scene} for cells in grids]
            texts += row_texts(row, rng)
        return TextItems(**_stacked(parts), texts=tuple(texts))

    @property
    def words(self) -> list[str]:
        """Of the texts of all scenes."""
        scenes = (json.loads(text)["objects"] for text in self.rows["scene"])
        return scene_words({str(item["category"]) for objects in scenes for item in objects})

    def _occupancy(self, cells: Int[Tensor, "_ 3"]) -> Float[Tensor, "one x y z"]:
        grid = torch.zeros(1, *[self.resolution] * 3)
        grid[0, cells[:, 0], cells[:, 1], cells[:, 2]] = 1
        return grid


def _cells(data: bytes) -> Int[Tensor, "cells 3"]:
    return torch.from_numpy(np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int64))


def _stacked(parts: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    return {name: torch.stack([part[name] for part in parts]) for name in parts[0]}

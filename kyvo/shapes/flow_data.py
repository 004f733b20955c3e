"""Training data of flow models: rows of `kyvo data objects`, packed into batches of a bounded number of cells.

Which rows make batch number i follows from the seed and i alone, and so do the batch's random numbers. A training that
goes on needs no more than the number of its step.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kyvo.data.dataset import open_set
from kyvo.data.object_pictures import ObjectPicture
from kyvo.errors import ConfigError
from kyvo.extras import extra
from kyvo.models.flow.small_encoders import split_words
from kyvo.models.slat.latent import StructuredLatent
from kyvo.models.slat.sparse import SparseTensor, Voxels
from kyvo.shapes.symmetry import mirror

with extra("train"):
    import datasets

LEFT_RIGHT = 0  # axis of objects that face along y
MEASURED = 2000  # objects, about, that set the scale of features


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectRows:
    """The objects of some sets on one grid.

    Args:
        mirrored: every object is there a second time with left and right swapped, and its pictures likewise. Object
            number i of n is then number n + i, too.
    """

    rows: datasets.Dataset
    resolution: int
    mirrored: bool = False

    @classmethod
    def open(cls, folders: Sequence[Path], *, resolution: int, mirrored: bool = False) -> "ObjectRows":
        """Raises ConfigError for a folder that is no such set, or is on another grid."""
        sets = [open_set(folder) for folder in folders]
        for folder, rows in zip(folders, sets, strict=True):
            if not {"coords", "feats", "captions", "pictures"} <= set(rows.column_names):
                raise ConfigError(f"{folder} is no set of objects; make one with `kyvo data objects`.")
            found = json.loads((folder / "settings.json").read_text(encoding="utf-8"))["resolution"]
            if found != resolution:
                raise ConfigError(
                    f"{folder} has objects on a grid of {found}, and the flow is over a grid of {resolution}. Make the "
                    f"set with --resolution {resolution}."
                )
        return cls(rows=datasets.concatenate_datasets(sets), resolution=resolution, mirrored=mirrored)

    def __len__(self) -> int:
        return len(self.rows) * self._times

    @property
    def _times(self) -> int:
        """How often a row is there."""
        return 2 if self.mirrored else 1

    @cached_property
    def sizes(self) -> list[int]:
        """Cells of each object."""
        return list(self.rows["num_cells"]) * self._times

    @cached_property
    def names(self) -> list[str]:
        """Of each object; a mirrored one has the same."""
        return list(self.rows["name"]) * self._times

    @cached_property
    def _views(self) -> dict[str, datasets.Dataset]:
        """A row reads, and decodes, all columns of its set: each use has a set of what it needs."""
        views = {name: self.rows.select_columns(["name", name]) for name in ("captions", "pictures")}
        return {**views, "cells": self.rows.select_columns(["coords", "feats"])}

    def cells(self, index: int) -> tuple[Tensor, Tensor]:
        """Coordinates, int64 [cells, 3], and features, float32."""
        row: Any = self._views["cells"][index % len(self.rows)]
        coords = np.frombuffer(row["coords"], np.uint8).reshape(-1, 3).astype(np.int64)
        feats = np.frombuffer(row["feats"], np.float16).reshape(len(coords), -1).astype(np.float32)
        coords, feats = torch.from_numpy(coords), torch.from_numpy(feats)
        if not self._is_mirrored(index):
            return coords, feats
        latent = mirror(StructuredLatent(coords=coords, feats=feats, resolution=self.resolution), axis=LEFT_RIGHT)
        return latent.coords, latent.feats

    def _is_mirrored(self, index: int) -> bool:
        return index >= len(self.rows)

    def sparse(self, indices: Sequence[int]) -> SparseTensor:
        """These objects, packed."""
        parts = [self.cells(index) for index in indices]
        coords = torch.cat(
            [torch.nn.functional.pad(part, (1, 0), value=number) for number, (part, _) in enumerate(parts)]
        )
        voxels = Voxels(coords=coords, resolution=self.resolution, batch_size=len(parts))
        return SparseTensor(voxels=voxels, feats=torch.cat([feats for _, feats in parts]))

    def occupancy(self, indices: Sequence[int]) -> Float[Tensor, "batch one x y z"]:
        """1 where a cell is active."""
        x = self.sparse(indices)
        return x.replace(torch.ones(len(x.voxels), 1)).dense()

    @property
    def words(self) -> list[str]:
        """Of all captions."""
        return sorted({word for said in self.rows["captions"] for text in said for word in split_words(text)})

    def captions(self, indices: Sequence[int], rng: np.random.Generator) -> list[str]:
        """One of each object's captions. Raises ConfigError for an object without any."""
        return [str(rng.choice(self._some(index, "captions"))) for index in indices]

    def pictures(
        self, indices: Sequence[int], rng: np.random.Generator, *, size: int
    ) -> Float[Tensor, "batch 3 size size"]:
        """One of each object's pictures, on black. Raises ConfigError for an object without any."""
        found = []
        for index in indices:
            pictures = self._some(index, "pictures")
            rgba = np.array(pictures[int(rng.integers(len(pictures)))].convert("RGBA"))
            pixels = ObjectPicture(rgba=rgba).pixels(size)
            found.append(pixels.flip(2) if self._is_mirrored(index) else pixels)
        return torch.stack(found)

    def _some(self, index: int, column: str) -> list[Any]:
        row: Any = self._views[column][index % len(self.rows)]
        if not row[column]:
            raise ConfigError(f"The object {row['name']!r} has no {column}; leave that condition out, or its set.")
        return row[column]

    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel, of objects from all over the sets.

        Every object counts the same, as in TRELLIS's own figures.
        """
        means, squares = [], []
        for index in range(0, len(self), max(1, len(self) // MEASURED)):
            _, feats = self.cells(index)
            means.append(feats.mean(0))
            squares.append(feats.square().mean(0))
        mean = torch.stack(means).mean(0)
        deviation = (torch.stack(squares).mean(0) - mean.square()).clamp(min=1e-6).sqrt()
        return mean.tolist(), deviation.tolist()


@dataclass(frozen=True, kw_only=True)
class Packs:
    """Batches of rows in an order drawn anew for each epoch, each within a budget.

    Raises:
        ConfigError: there is nothing to pack, or a row exceeds the budget alone.
    """

    sizes: Sequence[int]  # cells of each row; or ones, for a number of rows
    budget: int
    seed: int

    def __post_init__(self) -> None:
        if not self.sizes:
            raise ConfigError("The sets hold no object.")
        if max(self.sizes) > self.budget:
            raise ConfigError(
                f"An object has {max(self.sizes):,} cells and train.max_voxels is {self.budget:,}; raise it."
            )

    def epoch(self, number: int) -> list[list[int]]:
        """The packs of an epoch: rows in their drawn order, a new pack where the next row does not fit."""
        order = np.random.default_rng([self.seed, number]).permutation(len(self.sizes)).tolist()
        packs: list[list[int]] = [[]]
        filled = 0
        for row in order:
            if filled + self.sizes[row] > self.budget:
                packs.append([])
                filled = 0
            packs[-1].append(row)
            filled += self.sizes[row]
        return packs


@dataclass
class PackPosition:
    """Where a training is in its packs: an epoch, and a pack in it."""

    packs: Packs
    epoch: int = 0
    index: int = 0
    _cached: tuple[int, list[list[int]]] | None = None

    def take(self, count: int) -> list[list[int]]:
        """The next `count` packs, into the next epochs where one ends."""
        taken: list[list[int]] = []
        while len(taken) < count:
            if self._cached is None or self._cached[0] != self.epoch:
                self._cached = (self.epoch, self.packs.epoch(self.epoch))
            packs = self._cached[1]
            part = packs[self.index : self.index + count - len(taken)]
            taken += part
            self.index += len(part)
            if self.index == len(packs):
                self.epoch, self.index = self.epoch + 1, 0
        return taken

"""`StructuredLatent`: an object as features at the cells its surface crosses, and TRELLIS's file of it.

The object is normalised: its bounding box is centred at the origin and its longest side is 1, so that it lies in
[-1/2, 1/2]^3, **z up**, right-handed. Cell (i, j, k) of a grid of `resolution` covers [i, i + 1] / resolution - 1/2
along x and likewise along y and z. https://arxiv.org/abs/2412.01506, section 3.
"""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from kyvo.errors import CheckpointError, KyvoError
from kyvo.files import write_arrays
from kyvo.models.slat.sparse import SparseTensor, Voxels
from kyvo.npz import read_header

RESOLUTION = 64  # of the published latents

# Published beside the flow model (`slat_normalization` of TRELLIS-image-large's pipeline.json), one value a channel.
PUBLISHED_MEAN = (
    -2.1687545776367188,
    -0.004347046371549368,
    -0.13352349400520325,
    -0.08418072760105133,
    -0.5271206498146057,
    0.7238689064979553,
    -1.1414450407028198,
    1.2039363384246826,
)
PUBLISHED_STD = (
    2.377650737762451,
    2.386378288269043,
    2.124418020248413,
    2.1748552322387695,
    2.663944721221924,
    2.371192216873169,
    2.6217446327209473,
    2.684523105621338,
)


class LatentError(KyvoError):
    """A structured latent, or a file of one, that does not hold together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StructuredLatent:
    """Active cells and their features.

    `normalized` says which of two scales the features have: False, what the encoder gives and the decoders take (and
    what a file holds); True, (feats - mean) / std with the published statistics, which generative models work in.

    Raises:
        LatentError: no cells, cells outside the grid or listed twice, another number of features, or values that are
            not finite.
    """

    coords: Int[Tensor, "cells 3"]
    feats: Float[Tensor, "rows channels"]  # one row a cell
    resolution: int = RESOLUTION
    normalized: bool = False

    def __post_init__(self) -> None:
        if len(self.coords) != len(self.feats):
            raise LatentError(
                f"{len(self.coords)} cells and {len(self.feats)} rows of features; each cell has one row."
            )
        if len(self.coords) == 0:
            raise LatentError("A structured latent without cells is no object; its surface crosses at least one cell.")
        low, high = int(self.coords.min()), int(self.coords.max())
        if low < 0 or high >= self.resolution:
            raise LatentError(
                f"Cells run from {low} to {high}; a grid of {self.resolution} has 0 to {self.resolution - 1}. "
                "Give the grid's resolution, or scale the cells to it."
            )
        cells = self.coords.long() @ self.coords.new_tensor([self.resolution**2, self.resolution, 1], dtype=torch.long)
        repeated = len(cells) - len(cells.unique())
        if repeated:
            raise LatentError(f"{repeated} cells are listed more than once; each active cell has one row.")
        if not bool(self.feats.isfinite().all()):
            row = int((~self.feats.isfinite()).any(1).nonzero()[0])
            raise LatentError(f"The features of cell {row} are {self.feats[row].tolist()}; they must be finite.")

    @property
    def centers(self) -> Float[Tensor, "cells 3"]:
        """Centres of the cells in the object's frame, in [-1/2, 1/2]."""
        return (self.coords.float() + 0.5) / self.resolution - 0.5

    def normalize(self) -> "StructuredLatent":
        """To the scale of the generative models; itself where it has that scale."""
        if self.normalized:
            return self
        mean, std = self._statistics()
        return replace(self, feats=(self.feats - mean) / std, normalized=True)

    def denormalize(self) -> "StructuredLatent":
        """To the scale of encoder, decoders and files; itself where it has that scale."""
        if not self.normalized:
            return self
        mean, std = self._statistics()
        return replace(self, feats=self.feats * std + mean, normalized=False)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        if self.feats.shape[1] != len(PUBLISHED_MEAN):
            raise LatentError(
                f"The latent has {self.feats.shape[1]} channels; the published statistics are of {len(PUBLISHED_MEAN)}."
            )
        return self.feats.new_tensor(PUBLISHED_MEAN), self.feats.new_tensor(PUBLISHED_STD)

    def to_sparse(self, device: torch.device | str | None = None) -> SparseTensor:
        """As the decoders take it: one object, features not normalised."""
        latent = self.denormalize()
        voxels = Voxels.of_one(latent.coords.to(device), resolution=latent.resolution)
        return SparseTensor(voxels=voxels, feats=latent.feats.to(device))

    @classmethod
    def from_sparse(cls, x: SparseTensor) -> "list[StructuredLatent]":
        """One latent for each object of a batch, as the encoder gives them."""
        latents = []
        for index in range(x.voxels.batch_size):
            rows = x.voxels.coords[:, 0] == index
            coords = x.voxels.coords[rows, 1:]
            latents.append(cls(coords=coords, feats=x.feats[rows], resolution=x.voxels.resolution))
        return latents

    def save(self, path: Path | str) -> None:
        """Writes TRELLIS's file: `coords` uint8 [L, 3] and `feats` float32 [L, channels], not normalised."""
        path = Path(path)
        if self.resolution > 256:
            raise LatentError(f"{path}: the file's cells are bytes; a grid of {self.resolution} does not fit.")
        latent = self.denormalize()
        arrays = {
            "feats": latent.feats.detach().float().cpu().numpy(),
            "coords": latent.coords.cpu().numpy().astype(np.uint8),
        }
        write_arrays(path, **arrays)

    @classmethod
    def load(cls, path: Path | str, *, resolution: int = RESOLUTION) -> "StructuredLatent":
        """Reads TRELLIS's file.

        Nothing is unpickled, and nothing larger than a full grid is read, whatever the file claims.

        Raises:
            CheckpointError: no such file, not an `.npz`, arrays missing or of another kind, pickled objects.
            LatentError: arrays that are no latent.
        """
        path = Path(path)
        if not path.is_file():
            raise CheckpointError(f"{path} does not exist; a latent file is written by StructuredLatent.save.")
        try:
            with zipfile.ZipFile(path) as archive:
                for name in ("coords", "feats"):
                    _check_array(archive, name, path=path, max_rows=resolution**3)
            with np.load(path, allow_pickle=False) as file:
                coords, feats = file["coords"], file["feats"]
        except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
            if isinstance(error, KyvoError):
                raise
            raise CheckpointError(f"{path} is no readable .npz of a latent: {error}. Encode the mesh again.") from error
        try:
            return cls(
                coords=torch.from_numpy(coords.astype(np.int64)),
                feats=torch.from_numpy(feats.astype(np.float32)),
                resolution=resolution,
            )
        except LatentError as error:
            raise LatentError(f"{path}: {error}") from error


def _check_array(archive: zipfile.ZipFile, name: str, *, path: Path, max_rows: int) -> None:
    """The header of an array, read before its data are."""
    if f"{name}.npy" not in archive.namelist():
        known = ", ".join(Path(member).stem for member in archive.namelist())
        raise CheckpointError(f"{path} has no array {name!r} but {known or 'none'}; a latent has coords and feats.")
    with archive.open(f"{name}.npy") as member:
        shape, dtype = read_header(member, what=f"{path}: {name}", error=CheckpointError)
    kinds, width, what = ("iu", 3, "integers [L, 3]") if name == "coords" else ("f", None, "floats [L, channels]")
    if dtype.kind not in kinds or len(shape) != 2 or (width is not None and shape[1] != width):
        raise CheckpointError(f"{path}: {name} is {dtype} {list(shape)}; a latent has {what} there.")
    if shape[0] > max_rows or shape[1] > 4096:
        raise CheckpointError(f"{path}: {name} claims to be {list(shape)}; the grid has {max_rows} cells.")

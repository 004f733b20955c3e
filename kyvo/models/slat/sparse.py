"""Sparse voxels in plain torch: where the cells are, who neighbours whom, and convolution over them.

A convolution is, for each tap of its kernel, a gather of the input rows that the tap meets, one matrix product, and an
addition to the output rows (https://arxiv.org/abs/1706.01307). Neighbours are found by searching sorted cell numbers,
so that no memory grows with the volume of the grid. Maps are made once for a set of cells and kept with it.
"""

import itertools
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kyvo.errors import ConfigError

Backend = Literal["auto", "torch", "spconv"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Voxels:
    """Active cells of a batch of cubic grids, and what was computed of them before."""

    coords: Int[Tensor, "voxels 4"]  # int64: index in the batch, x, y, z; all different
    resolution: int  # cells along a side
    batch_size: int
    _memo: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of_one(cls, coords: Int[Tensor, "voxels 3"], *, resolution: int) -> "Voxels":
        """The cells of one object."""
        coords = torch.nn.functional.pad(coords.long(), (1, 0))
        return cls(coords=coords, resolution=resolution, batch_size=1)

    @classmethod
    def full(cls, *, resolution: int, batch_size: int, device: torch.device | str | None = None) -> "Voxels":
        """Every cell of each grid, x-major with z running fastest."""
        sides = (batch_size, resolution, resolution, resolution)
        coords = torch.ones(sides, dtype=torch.bool, device=device).nonzero()
        return cls(coords=coords, resolution=resolution, batch_size=batch_size)

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """`make()`, called once for this set of cells and `key`."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]

    def __len__(self) -> int:
        return len(self.coords)

    def subdivide(self) -> "Voxels":
        """Each cell as its 8 halves: child 8 i + 4 dx + 2 dy + dz of cell i."""
        return self.memo("subdivide", self._subdivide)

    def _subdivide(self) -> "Voxels":
        halves = torch.tensor(list(itertools.product((0, 1), repeat=3)), device=self.coords.device)
        coords = self.coords[:, None].repeat(1, 8, 1)
        coords[..., 1:] = 2 * coords[..., 1:] + halves
        return Voxels(coords=coords.flatten(0, 1), resolution=2 * self.resolution, batch_size=self.batch_size)


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseTensor:
    """One row of features for each cell."""

    voxels: Voxels
    feats: Float[Tensor, "voxels channels"]

    def replace(self, feats: Float[Tensor, "voxels other_channels"]) -> "SparseTensor":
        """The same cells with other features."""
        return SparseTensor(voxels=self.voxels, feats=feats)

    def dense(self) -> Float[Tensor, "batch channels x y z"]:
        """Zero where no cell is active. For small grids."""
        voxels = self.voxels
        grid = self.feats.new_zeros(voxels.batch_size, *[voxels.resolution] * 3, self.feats.shape[1])
        return grid.index_put(tuple(voxels.coords.T), self.feats).permute(0, 4, 1, 2, 3)


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelMap:
    """For each tap (x-major), the input rows it meets and the output rows they go to."""

    taps: tuple[tuple[Tensor, Tensor], ...]  # int64, as many inputs as outputs
    num_outputs: int

    @property
    def num_pairs(self) -> int:
        return sum(len(inputs) for inputs, _ in self.taps)

    def transpose(self) -> "tuple[tuple[Tensor, Tensor], ...]":
        return tuple((outputs, inputs) for inputs, outputs in self.taps)


def flatten_coords(coords: Int[Tensor, "rows 4"], side: int) -> Int[Tensor, " rows"]:
    """Numbers of cells in grids of `side`, batch outermost and z innermost."""
    batch, x, y, z = coords.unbind(1)
    return ((batch * side + x) * side + y) * side + z


def submanifold_map(voxels: Voxels, kernel_size: int) -> KernelMap:
    """Cells to themselves: the output is active exactly where the input is. `kernel_size` is odd."""
    if kernel_size % 2 == 0:
        raise ConfigError(f"kernel_size is {kernel_size}; a convolution that keeps its cells needs an odd one.")
    return voxels.memo(("submanifold", kernel_size), lambda: _submanifold_map(voxels, kernel_size))


def _submanifold_map(voxels: Voxels, kernel_size: int) -> KernelMap:
    half = kernel_size // 2
    side = voxels.resolution + half  # a margin, so that stepping over an edge never meets the next row's cells
    numbers, rows = flatten_coords(voxels.coords, side).sort()
    taps: list[tuple[Tensor, Tensor]] = []
    steps = [(dx * side + dy) * side + dz for dx, dy, dz in itertools.product(range(-half, half + 1), repeat=3)]
    for step in steps[: len(steps) // 2]:
        target = numbers + step
        found = torch.searchsorted(numbers, target).clamp_(max=len(numbers) - 1)
        hit = (numbers[found] == target).nonzero()[:, 0]
        taps.append((rows[found[hit]], rows[hit]))
    every = torch.arange(len(voxels), device=rows.device)
    # The taps after the centre are those before it, seen from the other cell.
    mirrored = [(outputs, inputs) for inputs, outputs in reversed(taps)]
    return KernelMap(taps=(*taps, (every, every), *mirrored), num_outputs=len(voxels))


def strided_map(voxels: Voxels, kernel_size: int, stride: int, padding: int) -> tuple[Voxels, KernelMap]:
    """Output cells, in the order of their numbers, are those whose window holds an active cell."""
    key = ("strided", kernel_size, stride, padding)
    return voxels.memo(key, lambda: _strided_map(voxels, kernel_size, stride, padding))


def _strided_map(voxels: Voxels, kernel_size: int, stride: int, padding: int) -> tuple[Voxels, KernelMap]:
    resolution = (voxels.resolution + 2 * padding - kernel_size) // stride + 1
    inputs, numbers = [], []
    for tap in itertools.product(range(kernel_size), repeat=3):
        origin = voxels.coords[:, 1:] + padding - torch.tensor(tap, device=voxels.coords.device)
        cell = origin.div(stride, rounding_mode="floor")
        fits = ((cell * stride == origin) & (cell >= 0) & (cell < resolution)).all(1).nonzero()[:, 0]
        inputs.append(fits)
        numbers.append(flatten_coords(torch.cat([voxels.coords[fits, :1], cell[fits]], 1), resolution))
    active, rows = torch.cat(numbers).unique(return_inverse=True)
    outputs = rows.split([len(part) for part in numbers])
    axes = [active // resolution**3, active // resolution**2, active // resolution, active]
    coords = torch.stack([axes[0], *(axis % resolution for axis in axes[1:])], 1)
    coarse = Voxels(coords=coords, resolution=resolution, batch_size=voxels.batch_size)
    return coarse, KernelMap(taps=tuple(zip(inputs, outputs, strict=True)), num_outputs=len(active))


class _GatherMatmulScatter(torch.autograd.Function):
    """feats [inputs, in], weight [taps, in, out] -> [outputs, out]. Autograd's own graph keeps all gathered rows."""

    @staticmethod
    def forward(ctx: Any, feats: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(feats, weight)
        ctx.kernel_map = kernel_map
        return _apply_taps(feats, weight, kernel_map.taps, kernel_map.num_outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (grad,) = grads
        feats, weight = ctx.saved_tensors
        to_feats = to_weight = None
        if ctx.needs_input_grad[0]:
            to_feats = _apply_taps(grad, weight.mT, ctx.kernel_map.transpose(), len(feats))
        if ctx.needs_input_grad[1]:
            taps = ctx.kernel_map.taps
            to_weight = torch.stack([feats[inputs].T @ grad[outputs] for inputs, outputs in taps])
        return to_feats, to_weight, None


def _apply_taps(feats: Tensor, weight: Tensor, taps: tuple[tuple[Tensor, Tensor], ...], num_outputs: int) -> Tensor:
    out = feats.new_zeros(num_outputs, weight.shape[2])
    for (inputs, outputs), matrix in zip(taps, weight, strict=True):
        out.index_add_(0, outputs, feats.index_select(0, inputs) @ matrix)
    return out


def submanifold_convolution(
    x: SparseTensor,
    weight: Float[Tensor, "out kx ky kz in"],
    bias: Float[Tensor, " out"] | None = None,
    *,
    backend: Backend = "auto",
) -> SparseTensor:
    """out[p] = bias + sum over o of weight[:, o, :] x[p + o - centre] at active p (cross-correlation, as in torch).

    `backend` "auto" takes spconv on CUDA where it is installed. Kernels of one tap are a plain matrix product here; how
    the published checkpoints store those differs, see `decoders.SkipConnection`.
    """
    if use_spconv(x.feats.device, backend):
        from kyvo.models.slat.spconv_backend import spconv_submanifold

        return x.replace(spconv_submanifold(x, weight, bias))
    kernel_map = submanifold_map(x.voxels, weight.shape[1])
    return x.replace(_convolve(x.feats, weight, bias, kernel_map))


def strided_convolution(
    x: SparseTensor,
    weight: Float[Tensor, "out kx ky kz in"],
    bias: Float[Tensor, " out"] | None = None,
    *,
    stride: int,
    padding: int = 0,
) -> SparseTensor:
    """A dense strided convolution, evaluated where its window holds an active cell; its cells are sorted."""
    coarse, kernel_map = strided_map(x.voxels, weight.shape[1], stride, padding)
    return SparseTensor(voxels=coarse, feats=_convolve(x.feats, weight, bias, kernel_map))


def _convolve(feats: Tensor, weight: Tensor, bias: Tensor | None, kernel_map: KernelMap) -> Tensor:
    # One tap after another, input before output, so that a tap's matrix is ready for the product.
    matrices = weight.flatten(1, 3).permute(1, 2, 0).contiguous()
    kind = feats.device.type
    if torch.is_autocast_enabled(kind):  # autocast does not see into a custom function
        feats, matrices = feats.to(torch.get_autocast_dtype(kind)), matrices.to(torch.get_autocast_dtype(kind))
    out = _GatherMatmulScatter.apply(feats, matrices, kernel_map)
    assert isinstance(out, Tensor)
    return out if bias is None else out + bias


def use_spconv(device: torch.device, backend: Backend) -> bool:
    """Whether `device` convolves by spconv. Raises MissingDependency where it was asked for and is missing."""
    if backend == "torch" or (backend == "auto" and device.type != "cuda"):
        return False
    from kyvo.models.slat.spconv_backend import has_spconv, require_spconv

    if backend == "spconv":
        require_spconv()
        return True
    return has_spconv()


def downsample(x: SparseTensor, factor: int, *, include_self: bool = False) -> SparseTensor:
    """The mean over the active cells of each block of `factor`^3.

    Args:
        include_self: counts the zero that the sum starts from as one more cell, as torch's `scatter_reduce` does by
            default. TRELLIS's flow models were trained so.
    """
    coarse, kernel_map = strided_map(x.voxels, factor, factor, 0)
    parents = _parents(kernel_map, len(x.voxels))
    total = x.feats.new_zeros(len(coarse), x.feats.shape[1]).index_add(0, parents, x.feats)
    count = torch.bincount(parents, minlength=len(coarse))[:, None] + int(include_self)
    return SparseTensor(voxels=coarse, feats=(total / count).to(x.feats.dtype))


def upsample(x: SparseTensor, fine: Voxels, factor: int) -> SparseTensor:
    """Each cell of `fine` takes the features of its block: the way back from `downsample(of fine, factor)`."""
    coarse, kernel_map = strided_map(fine, factor, factor, 0)
    if len(coarse) != len(x.voxels):
        raise ConfigError(
            f"{len(x.voxels)} coarse cells, but the fine cells lie in {len(coarse)} blocks of {factor}^3: "
            "give the cells that were downsampled."
        )
    return SparseTensor(voxels=fine, feats=x.feats[_parents(kernel_map, len(fine))])


def subdivide(x: SparseTensor) -> SparseTensor:
    """Each cell's features, repeated for its 8 halves."""
    return SparseTensor(voxels=x.voxels.subdivide(), feats=x.feats.repeat_interleave(8, 0))


def _parents(kernel_map: KernelMap, num_inputs: int) -> Int[Tensor, " inputs"]:
    """The one output row of each input row, where windows do not overlap."""
    parents = kernel_map.taps[0][0].new_empty(num_inputs)
    for inputs, outputs in kernel_map.taps:
        parents[inputs] = outputs
    return parents


def group_norm(
    x: SparseTensor, weight: Float[Tensor, " channels"], bias: Float[Tensor, " channels"], *, num_groups: int
) -> SparseTensor:
    """Group normalisation over all cells of each object, computed in float32 (epsilon 1e-5)."""
    batch = x.voxels.coords[:, 0]
    feats = x.feats.float().unflatten(1, (num_groups, -1))
    size = math.prod(feats.shape[2:]) * torch.bincount(batch, minlength=x.voxels.batch_size)[:, None]
    zeros = feats.new_zeros(x.voxels.batch_size, num_groups)
    mean = zeros.index_add(0, batch, feats.sum(2)) / size
    centred = feats - mean[batch][..., None]
    variance = zeros.index_add(0, batch, centred.square().sum(2)) / size
    normed = (centred * (variance + 1e-5).rsqrt()[batch][..., None]).flatten(1)
    return x.replace((normed * weight + bias).to(x.feats.dtype))

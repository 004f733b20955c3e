"""The submanifold convolution by spconv, behind the call of `sparse.submanifold_convolution`.

Its CPU build is not used: its forward pass races between threads, and its backward pass wants CUDA.
"""

import importlib.util
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from kyvo.extras import MissingDependency
from kyvo.models.slat.sparse import SparseTensor


def has_spconv() -> bool:
    return importlib.util.find_spec("spconv") is not None


def require_spconv() -> None:
    """Raises MissingDependency where spconv is not installed."""
    if not has_spconv():
        raise MissingDependency(
            "spconv is not installed; backend='torch' computes the same without it. Run: pip install 'kyvo[spconv]'"
        )


def spconv_submanifold(
    x: SparseTensor, weight: Float[Tensor, "out kx ky kz in"], bias: Float[Tensor, " out"] | None
) -> Float[Tensor, "voxels out"]:
    """spconv's layout of weights is ours, [out, kx, ky, kz, in]; its maps are kept with the cells."""
    import spconv.pytorch as spconv  # type: ignore[import-not-found]

    out_channels, kernel_size, in_channels = weight.shape[0], weight.shape[1], weight.shape[4]
    voxels = x.voxels
    if kernel_size == 1:  # spconv reads the memory of a one-tap weight as [in, out] (spconv issue 450)
        out = x.feats @ weight.flatten(1).T
        return out if bias is None else out + bias
    layer = voxels.memo(
        ("spconv layer", out_channels, kernel_size, in_channels),
        lambda: spconv.SubMConv3d(
            in_channels, out_channels, kernel_size, bias=False, indice_key=f"kernel {kernel_size}"
        ).to(weight.device),
    )
    maps: dict[str, Any] = voxels.memo("spconv maps", dict)
    indices = voxels.memo("spconv indices", lambda: voxels.coords.int().contiguous())
    given = spconv.SparseConvTensor(x.feats, indices, [voxels.resolution] * 3, voxels.batch_size, indice_dict=maps)
    # The weight belongs to our module: lend it to the layer for this call, so that gradients reach it.
    result = torch.func.functional_call(layer, {"weight": weight}, (given,))
    maps.update(result.indice_dict)  # spconv adds to a copy of what it was given
    return result.features if bias is None else result.features + bias

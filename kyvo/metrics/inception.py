"""The Inception network that FID is defined by, from the weights that pytorch-fid distributes.

The graph is TensorFlow's of 2015-12-05, whose figures FID papers report: unlike torchvision's, its average pools leave
the padding out, and the last block pools by the maximum. It is evaluated from the tensors alone: the file gives the
widths, the code the connections.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SIZE = 299  # px, to which pictures are resized
EPSILON = 1e-3  # of the batch norms
STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")

# Branches of each kind of block: convolutions in a row; a tuple in a row is two side by side, their outputs joined.
_WIDE = ("branch1x1", ("branch5x5_1", "branch5x5_2"), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"))
_LONG = (
    "branch1x1",
    ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
    tuple(f"branch7x7dbl_{number}" for number in range(1, 6)),
)
_SPLIT = (
    "branch1x1",
    ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
    ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
)
BLOCKS = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), (*_WIDE, "branch_pool")),
    "Mixed_6a": ("branch3x3", ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")),
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), (*_LONG, "branch_pool")),
    "Mixed_7a": (("branch3x3_1", "branch3x3_2"), tuple(f"branch7x7x3_{number}" for number in range(1, 5))),
    **dict.fromkeys(("Mixed_7b", "Mixed_7c"), (*_SPLIT, "branch_pool")),
}
_STRIDED = {"Conv2d_1a_3x3", "Mixed_6a.branch3x3", "Mixed_6a.branch3x3dbl_3"} | {
    f"Mixed_7a.{name}" for name in ("branch3x3_2", "branch7x7x3_4")
}
_UNPADDED = _STRIDED | {"Conv2d_2a_3x3", "Conv2d_4a_3x3"}


def convolution_names() -> list[str]:
    """Every convolution of the network, as the file names it."""

    def flat(branch: object) -> list[str]:
        return [branch] if isinstance(branch, str) else [name for part in branch for name in flat(part)]  # type: ignore

    return [*STEM, *(f"{block}.{name}" for block, branches in BLOCKS.items() for name in flat(branches))]


def pooled_features(
    weights: Mapping[str, Tensor], pictures: Float[Tensor, "batch 3 _ _"]
) -> Float[Tensor, "batch features"]:
    """The last average pool (2,048 features in the published file) of pictures in [0, 1] of any size."""
    x = F.interpolate(pictures, size=(SIZE, SIZE), mode="bilinear", align_corners=False) * 2 - 1
    for name in STEM:
        if name in ("Conv2d_3b_1x1",):
            x = F.max_pool2d(x, 3, stride=2)
        x = _convolved(weights, name, x)
    x = F.max_pool2d(x, 3, stride=2)
    for block, branches in BLOCKS.items():
        x = torch.cat([_branch(weights, block, branch, x) for branch in branches] + _bare_pool(block, x), dim=1)
    return x.mean(dim=(2, 3))


def _branch(weights: Mapping[str, Tensor], block: str, branch: str | tuple, x: Tensor) -> Tensor:
    if branch == "branch_pool":
        pooled = (
            F.max_pool2d(x, 3, stride=1, padding=1)
            if block == "Mixed_7c"
            else F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        )
        return _convolved(weights, f"{block}.branch_pool", pooled)
    for part in (branch,) if isinstance(branch, str) else branch:
        if isinstance(part, str):
            x = _convolved(weights, f"{block}.{part}", x)
        else:
            x = torch.cat([_convolved(weights, f"{block}.{name}", x) for name in part], dim=1)
    return x


def _bare_pool(block: str, x: Tensor) -> list[Tensor]:
    """The blocks that halve the size pass a maximum pool on without a convolution."""
    return [F.max_pool2d(x, 3, stride=2)] if block in ("Mixed_6a", "Mixed_7a") else []


def _convolved(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    kernel = weights[f"{name}.conv.weight"]
    padding = (0, 0) if name in _UNPADDED else (kernel.shape[2] // 2, kernel.shape[3] // 2)
    x = F.conv2d(x, kernel, stride=2 if name in _STRIDED else 1, padding=padding)
    mean, variance, gain, bias = (
        weights[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return F.relu(F.batch_norm(x, mean, variance, gain, bias, eps=EPSILON))

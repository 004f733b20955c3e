"""Front-to-back blending of samples of many rays at once, differentiable.

Samples come as one list sorted by ray and, within a ray, by depth. Transmittance is a running sum of log(1 - alpha)
over the whole list, taken relative to where each ray begins.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def blend(
    rays: Int[Tensor, " samples"],
    alphas: Float[Tensor, " samples"],
    colors: Float[Tensor, "samples channels"],
    *,
    num_rays: int,
    stop_below: float,
    keep_last: bool,
) -> tuple[Float[Tensor, "rays channels"], Float[Tensor, " rays"]]:
    """Colour, premultiplied, and opacity of each ray.

    Args:
        rays: index of each sample's ray, not decreasing.
        alphas: in [0, 1).
        stop_below: once less than this transmittance is left, what lies behind is dropped.
        keep_last: whether the sample that takes it below is blended or dropped too.
    """
    logs = torch.log1p(-alphas.double())  # in double: the sum runs over all rays, the difference is within one
    passed = logs.cumsum(0)
    first = torch.searchsorted(rays, rays)  # the first sample of the same ray
    start = (passed - logs)[first]
    before = (passed - logs - start).exp()
    left = before if keep_last else (passed - start).exp()
    weights = (alphas * before).to(alphas.dtype) * (left >= stop_below)
    color = colors.new_zeros(num_rays, colors.shape[1]).index_add(0, rays, weights[:, None] * colors)
    return color, alphas.new_zeros(num_rays).index_add(0, rays, weights)

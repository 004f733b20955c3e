"""Gaussians -> pictures in plain torch, differentiable with respect to every parameter of the Gaussians.

Each Gaussian is projected to the plane (https://arxiv.org/abs/2308.04079, section 4; EWA splatting, Zwicker et al.
2001), widened by a filter of a pixel's size with its opacity lowered to match (https://arxiv.org/abs/2311.16493,
section 5.2), and listed with every pixel in which its alpha reaches 1/255. The list, sorted by pixel and depth, is
blended at once. No tiles: the picture does not depend on how the work was divided.
"""

import importlib.util
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kyvo.extras import MissingDependency
from kyvo.models.slat.compositing import blend
from kyvo.models.slat.gaussians import Camera, Gaussians

NEAR = 0.2  # Gaussians whose centre is nearer to the camera's plane are left out
MIN_ALPHA = 1 / 255
MAX_ALPHA = 0.99
STOP_BELOW = 1e-4  # of transmittance
MAX_PAIRS = 1 << 22  # of Gaussians and pixels, held at once; a larger picture is done in bands of rows

Backend = Literal["auto", "torch", "gsplat"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rendering:
    color: Float[Tensor, "height width 3"]  # over the background
    opacity: Float[Tensor, "height width"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Splats:
    """What is in front of the camera, projected, nearest first."""

    centers: Float[Tensor, "splats 2"]  # px
    precisions: Float[Tensor, "splats 3"]  # inverse covariance: xx, xy, yy; 1 / px^2
    opacities: Float[Tensor, " splats"]
    colors: Float[Tensor, "splats 3"]
    low: Int[Tensor, "splats 2"]  # first column and row in which alpha may reach MIN_ALPHA
    high: Int[Tensor, "splats 2"]  # and one past the last


def rasterize(
    gaussians: Gaussians,
    camera: Camera,
    *,
    background: Float[Tensor, " 3"],
    filter_variance: float = 0.1,
    backend: Backend = "auto",
) -> Rendering:
    """A picture of the Gaussians.

    Args:
        filter_variance: of the pixel filter, px^2; `2d_filter_kernel_size` of a published decoder.
        backend: "auto" takes gsplat on CUDA where it is installed. It rounds a few epsilons differently.

    Raises:
        MissingDependency: gsplat was asked for and is not installed.
    """
    if _use_gsplat(gaussians.positions.device, backend):
        return _rasterize_gsplat(gaussians, camera, background, filter_variance)
    splats = project(gaussians, camera, filter_variance=filter_variance)
    color, opacity = _rasterize_rows(splats, camera.width, 0, camera.height)
    color = color + (1 - opacity)[:, None] * background
    shape = (camera.height, camera.width)
    return Rendering(color=color.unflatten(0, shape), opacity=opacity.unflatten(0, shape))


def project(gaussians: Gaussians, camera: Camera, *, filter_variance: float) -> Splats:
    rotation, shift = camera.world_to_camera[:3, :3], camera.world_to_camera[:3, 3]
    with torch.no_grad():
        depth = gaussians.positions @ rotation[2] + shift[2]
        visible = (depth > NEAR).nonzero()[:, 0]
        rows = visible[depth[visible].argsort(stable=True)]
    x, y, z = (gaussians.positions[rows] @ rotation.T + shift).unbind(1)
    focal, middle, size = camera.focal, camera.center, (camera.width, camera.height)
    centers = torch.stack([focal[0] * x / z + middle[0], focal[1] * y / z + middle[1]], 1)

    # The projection is linearised at the centre; far outside the picture, at its margin, where that still holds.
    slopes = []
    for slope, length, pixels, offset in zip((x / z, y / z), focal, size, middle, strict=True):
        margin = 0.15 * pixels / length
        slopes.append(slope.clamp(-offset / length - margin, (pixels - offset) / length + margin))
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [focal[0] / z, zero, -focal[0] * slopes[0] / z, zero, focal[1] / z, -focal[1] * slopes[1] / z], 1
    )
    axes = jacobian.unflatten(1, (2, 3)) @ rotation
    covariance = axes @ Gaussians.covariances(gaussians)[rows] @ axes.mT
    xx, xy, yy = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    sharp = (xx * yy - xy * xy).clamp(min=1e-6)
    xx, yy = xx + filter_variance, yy + filter_variance
    blurred = (xx * yy - xy * xy).clamp(min=1e-6)
    lowered = torch.where(sharp > 1e-6, (sharp / (blurred + 1e-6) + 1e-6).sqrt(), 0.0)
    opacities = gaussians.opacities[rows] * lowered
    precisions = torch.stack([yy, -xy, xx], 1) / blurred[:, None]

    with torch.no_grad():
        # Alpha falls to MIN_ALPHA where half the squared distance is log(opacity / MIN_ALPHA): that ellipse's box.
        reach = 2 * (opacities / MIN_ALPHA).clamp(min=1).log()
        half = torch.stack([(reach * xx).sqrt(), (reach * yy).sqrt()], 1)
        limit = torch.tensor(size, device=rows.device)
        low = (centers - half - 0.5).ceil().long().clamp(min=0)
        high = ((centers + half - 0.5).floor().long() + 1).minimum(limit)
        high[opacities < MIN_ALPHA] = 0
    return Splats(
        centers=centers,
        precisions=precisions,
        opacities=opacities,
        colors=gaussians.colors[rows],
        low=low,
        high=high,
    )


def _rasterize_rows(splats: Splats, width: int, top: int, bottom: int) -> tuple[Tensor, Tensor]:
    """Premultiplied colour [pixels, 3] and opacity [pixels] of the rows from `top` up to `bottom`."""
    with torch.no_grad():
        low = splats.low.clone()
        low[:, 1].clamp_(min=top)
        high = splats.high.clone()
        high[:, 1].clamp_(max=bottom)
        extent = (high - low).clamp(min=0)
        counts = extent.prod(1)
        num_pairs = int(counts.sum())
    if num_pairs > MAX_PAIRS and bottom - top > 1:
        middle = (top + bottom) // 2
        parts = [_rasterize_rows(splats, width, *band) for band in ((top, middle), (middle, bottom))]
        color, opacity = zip(*parts, strict=True)
        return torch.cat(color), torch.cat(opacity)

    with torch.no_grad():
        splat = torch.repeat_interleave(counts, output_size=num_pairs)
        place = torch.arange(num_pairs, device=counts.device) - (counts.cumsum(0) - counts)[splat]
        columns = extent[splat, 0]
        down = place.div(columns.clamp(min=1), rounding_mode="floor")
        x, y = low[splat, 0] + place - down * columns, low[splat, 1] + down
        seen = (_alphas(splats, splat, x, y) >= MIN_ALPHA).nonzero()[:, 0]
        pixel = (y[seen] - top) * width + x[seen]
        # Pairs are nearest first; a stable sort keeps that order within a pixel.
        pixel, order = pixel.sort(stable=True)
        seen = seen[order]
        splat, x, y = splat[seen], x[seen], y[seen]
    alphas = _alphas(splats, splat, x, y)
    num_pixels = (bottom - top) * width
    colors = splats.colors[splat]
    return blend(pixel, alphas, colors, num_rays=num_pixels, stop_below=STOP_BELOW, keep_last=False)


def _alphas(splats: Splats, splat: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Of each splat at the centre of its pixel."""
    centers, precisions = splats.centers.index_select(0, splat), splats.precisions.index_select(0, splat)
    dx, dy = x + 0.5 - centers[:, 0], y + 0.5 - centers[:, 1]
    xx, xy, yy = precisions.unbind(1)
    distance = xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy
    return (splats.opacities.index_select(0, splat) * (-0.5 * distance).exp()).clamp(max=MAX_ALPHA)


def _use_gsplat(device: torch.device, backend: Backend) -> bool:
    if backend == "torch" or (backend == "auto" and device.type != "cuda"):
        return False
    installed = importlib.util.find_spec("gsplat") is not None
    if backend == "gsplat" and not installed:
        raise MissingDependency(
            "gsplat is not installed; backend='torch' computes the same without it. Run: pip install 'kyvo[gsplat]'"
        )
    return installed


def _rasterize_gsplat(gaussians: Gaussians, camera: Camera, background: Tensor, filter_variance: float) -> Rendering:
    from gsplat import rasterization  # type: ignore[import-not-found]

    intrinsics = torch.tensor(
        [[camera.focal[0], 0.0, camera.center[0]], [0.0, camera.focal[1], camera.center[1]], [0.0, 0.0, 1.0]],
        device=gaussians.positions.device,
    )
    color, opacity, _ = rasterization(
        gaussians.positions,
        gaussians.rotations_wxyz,
        gaussians.scales,
        gaussians.opacities,
        gaussians.colors,
        camera.world_to_camera[None],
        intrinsics[None],
        camera.width,
        camera.height,
        near_plane=NEAR,
        eps2d=filter_variance,
        rasterize_mode="antialiased",
        packed=False,
        backgrounds=background[None],
    )
    return Rendering(color=color[0], opacity=opacity[0, ..., 0])

"""`RadianceField`: density and colour inside each active cell as a sum of products of lines, and its pictures.

A cell holds `rank` triples of lines with `dim` values (Strivec, https://arxiv.org/abs/2307.13226): a point's weight for
a triple is the product of the three lines, read linearly. https://arxiv.org/abs/2412.01506, section 3.2 (decoder of
radiance fields).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from kyvo.models.slat.compositing import blend
from kyvo.models.slat.gaussians import Camera
from kyvo.models.slat.rasterizer import Rendering
from kyvo.models.slat.sparse import flatten_coords

SH_CONSTANT = 0.28209479177387814  # the constant spherical harmonic, 1 / (2 sqrt(pi))
MAX_ALPHA = 0.999
STOP_BELOW = 1e-3
RAYS_AT_ONCE = 2048


@dataclass(frozen=True, kw_only=True, eq=False)
class RadianceField:
    """In the object's frame (z up, [-1/2, 1/2]^3). Zero outside its cells."""

    coords: Int[Tensor, "cells 3"]
    lines: Float[Tensor, "cells rank 3 dim"]  # x, y, z
    densities: Float[Tensor, "cells rank"]
    colors: Float[Tensor, "cells rank 3"]
    resolution: int

    def query(
        self, cells: Int[Tensor, " points"], points: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, " points"], Float[Tensor, "points 3"]]:
        """Density (an inverse length) and RGB at `points`, each inside its cell (an index of `coords`)."""
        dim = self.lines.shape[3]
        local = (points + 0.5) * self.resolution - self.coords[cells]  # within the cell, 0 to 1
        place = local * dim - 0.5
        first = place.floor().long().clamp(0, dim - 2)
        share = (place - first)[:, None, :]  # outside 0 to 1 in the outer half steps: extrapolated
        lines = self.lines[cells]  # points rank 3 dim
        index = first[:, None, :, None].expand(-1, lines.shape[1], -1, 1)
        left, right = lines.gather(3, index)[..., 0], lines.gather(3, index + 1)[..., 0]
        weights = (left + (right - left) * share).prod(2)  # points rank
        density = F.softplus((self.densities[cells] * weights).sum(1))
        color = torch.sigmoid(SH_CONSTANT * (self.colors[cells] * weights[..., None]).sum(1))
        return density, color

    def render(self, camera: Camera, *, background: Float[Tensor, " 3"]) -> Rendering:
        """Marches along each pixel's ray in steps of half a line's value."""
        origin, directions = camera.rays()
        color, opacity = zip(
            *(self._march(origin, part) for part in directions.split(RAYS_AT_ONCE)),
            strict=True,
        )
        flat = torch.cat(opacity)
        shape = (camera.height, camera.width)
        over = torch.cat(color) + (1 - flat)[:, None] * background
        return Rendering(color=over.unflatten(0, shape), opacity=flat.unflatten(0, shape))

    def _march(self, origin: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        step = 0.5 / (self.resolution * self.lines.shape[3])
        with torch.no_grad():
            near, far = _cross_unit_cube(origin, directions)
            counts = ((far - near) / step).ceil().clamp(min=0).long()
            rays = torch.repeat_interleave(counts)
            ordinal = torch.arange(len(rays), device=rays.device) - (counts.cumsum(0) - counts)[rays]
            points = origin + directions[rays] * (near[rays] + (ordinal + 0.5) * step)[:, None]
            cells = self._cells_at(points)
            inside = (cells >= 0).nonzero()[:, 0]
            rays, points, cells = rays[inside], points[inside], cells[inside]
        density, color = self.query(cells, points)
        alphas = (-torch.expm1(-density * step)).clamp(max=MAX_ALPHA)
        return blend(rays, alphas, color, num_rays=len(directions), stop_below=STOP_BELOW, keep_last=True)

    def _cells_at(self, points: Tensor) -> Tensor:
        """Index of the active cell that holds each point, -1 for none."""
        cell = ((points + 0.5) * self.resolution).floor().long().clamp(0, self.resolution - 1)
        numbers, order = flatten_coords(F.pad(self.coords, (1, 0)), self.resolution).sort()
        wanted = flatten_coords(F.pad(cell, (1, 0)), self.resolution)
        found = torch.searchsorted(numbers, wanted).clamp_(max=len(numbers) - 1)
        return torch.where(numbers[found] == wanted, order[found], -1)


def _cross_unit_cube(origin: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Distances at which rays enter and leave [-1/2, 1/2]^3; a ray that misses leaves before it enters."""
    planes = origin.new_tensor([[-0.5], [0.5]]) - origin  # 2 3
    distances = planes[:, None] / torch.where(directions == 0, 1e-20, directions)
    return distances.amin(0).amax(1).clamp(min=0), distances.amax(0).amin(1)

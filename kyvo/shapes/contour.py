"""Surface features: what the bundled tokenizer knows of each active cell, and the mesh and Gaussians they are.

Each cell that the surface crosses holds one vertex and says which of three grid edges the surface crosses; an edge
that is crossed is a quad of the vertices of the four cells around it (dual contouring without signs; Ju et al. 2002,
https://doi.org/10.1145/566654.566586). So the autoencoder of the bundled tokenizer is the identity, needs no weights,
and takes any mesh: open, not manifold, thinner than a cell, with both sides facing out. Signed distances
(kyvo/models/slat/flexicubes.py) need an inside, which scanned and modelled meshes often lack, and unsigned ones give
each wall twice. A cell without a quad, as along a wire, becomes an octahedron of its own, so that nothing is lost.

Channels: the nine of `kyvo.shapes.features` (offset of the vertex from the cell's centre in cells, unit normal, sRGB
color in [-1, 1]), and 1 or -1 for whether the surface crosses the edge along x, y and z that starts at the cell's
lowest corner.
"""

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kyvo.models.slat.flexicubes import Surface
from kyvo.models.slat.gaussians import Gaussians
from kyvo.models.slat.latent import StructuredLatent
from kyvo.models.slat.sparse import SparseTensor

CHANNELS = 12
OFFSET, NORMAL, COLOR, CROSSED = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 12)
CROSSED_ABOVE = -0.6  # of a predicted edge: a quad too many hides among its neighbours, one that is missed is a hole
KEEP = 0.1  # weight of a vertex's own place beside the planes around it
FLAT = 0.1  # cells; a plane whose neighbours lie this far from it counts half
REACH = 0.25  # cells; half axis of a lonely cell's octahedron
THICKNESS = 0.1  # cells; standard deviation of a Gaussian along the normal
SPREAD = 0.5  # cells; and across it: neighbours' Gaussians overlap to a closed surface
OPACITY = 0.95


def extract_mesh(latent: StructuredLatent) -> Surface:
    """Triangles in the object's frame, facing along their cells' normals; attributes are sRGB in [0, 1].

    A predicted edge whose four cells are not all active gives no quad.
    """
    feats = latent.feats.detach().float()
    quads = crossed_quads(latent.coords.long(), feats[:, CROSSED] > CROSSED_ABOVE, resolution=latent.resolution)
    offsets = sharpened(feats[:, OFFSET].clamp(-0.5, 0.5), feats[:, NORMAL], latent.coords, quads)
    vertices = latent.centers + offsets / latent.resolution
    corners = vertices[quads]
    # Both diagonals' cross product: the normal of a quad that need not be flat.
    facing = torch.linalg.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    wrong = (facing * feats[:, NORMAL][quads].sum(1)).sum(1) < 0
    quads = torch.where(wrong[:, None], quads.flip(1), quads)
    # The shorter diagonal bends the surface less.
    corners = vertices[quads]
    short = (corners[:, 0] - corners[:, 2]).norm(dim=1) <= (corners[:, 1] - corners[:, 3]).norm(dim=1)
    cut = torch.where(short[:, None], quads.new_tensor([0, 1, 2, 0, 2, 3]), quads.new_tensor([1, 2, 3, 1, 3, 0]))
    faces = quads.gather(1, cut).unflatten(1, (2, 3)).flatten(0, 1)

    used = torch.zeros(len(vertices), dtype=torch.bool, device=vertices.device)
    used[faces.flatten()] = True
    colors = (feats[:, COLOR].clamp(-1, 1) + 1) / 2
    lonely, tips = octahedra(vertices[~used], REACH / latent.resolution)
    compact = used.cumsum(0) - 1
    return Surface(
        vertices=torch.cat([vertices[used], tips]),
        faces=torch.cat([compact[faces], lonely + int(used.sum())]),
        attributes=torch.cat([colors[used], colors[~used].repeat_interleave(6, 0)]),
    )


def sharpened(
    offsets: Float[Tensor, "cells 3"],
    normals: Float[Tensor, "cells 3"],
    coords: Int[Tensor, "cells 3"],
    quads: Int[Tensor, "quads 4"],
) -> Float[Tensor, "cells 3"]:
    """Offsets that put each vertex where the planes of the cells around it meet.

    The mean of the surface in a cell lies behind an edge or a corner. The planes through the vertices that share a quad
    with it, across their normals, meet at the edge; the vertex moves towards the point nearest to them in squared
    distance (Kobbelt et al. 2001, https://doi.org/10.1145/383259.383265), and stays in its cell. Where the planes
    agree, they smooth. A plane counts as much as its own neighbours lie in it, so those of edges count little.
    """
    one, other = (quads[:, list(pair)].flatten() for pair in zip(*itertools.permutations(range(4), 2), strict=True))
    normals, points = F.normalize(normals, dim=1), coords + offsets

    def mean(values: Tensor, weights: Tensor) -> Tensor:
        """Over the neighbours of each cell."""
        flat = values.flatten(1) * weights[:, None]
        total = weights.new_zeros(len(offsets), flat.shape[1]).index_add_(0, one, flat)
        share = weights.new_zeros(len(offsets)).index_add_(0, one, weights).clamp(min=1e-6)
        return (total / share[:, None]).unflatten(1, values.shape[1:])

    bend = (normals[one] * (points[other] - points[one])).sum(1, keepdim=True).square()
    weights = 1 / (mean(bend, torch.ones_like(bend[:, 0]))[other, 0] + FLAT**2)
    normal = normals[other]
    pull = mean(normal * (normal * (points[other] - points[one])).sum(1, keepdim=True), weights)
    planes = mean(normal[:, :, None] * normal[:, None], weights)
    moved = offsets + torch.linalg.solve(planes + KEEP * torch.eye(3).to(offsets), pull)
    return moved.clamp(-0.5, 0.5)


def crossed_quads(
    coords: Int[Tensor, "cells 3"], crossed: Bool[Tensor, "cells 3"], *, resolution: int
) -> Int[Tensor, "quads 4"]:
    """Rows of the four cells around each crossed edge, in a circle."""
    side = resolution + 1  # a margin, so that a step over an edge of the grid meets no cell
    strides = coords.new_tensor([side * side, side, 1])
    numbers, order = (coords @ strides).sort()
    found = []
    for axis in range(3):
        cell = crossed[:, axis].nonzero()[:, 0]
        first, second = strides[(axis + 1) % 3], strides[(axis + 2) % 3]
        steps = torch.stack([0 * first, -first, -first - second, -second])
        # Cells at the rim have no neighbours below; their numbers would be those of other cells.
        inner = (coords[cell][:, [(axis + 1) % 3, (axis + 2) % 3]] > 0).all(1)
        wanted = (coords[cell[inner]] @ strides)[:, None] + steps
        place = torch.searchsorted(numbers, wanted).clamp(max=len(numbers) - 1)
        whole = (numbers[place] == wanted).all(1)
        found.append(order[place[whole]])
    return torch.cat(found)


def octahedra(
    centers: Float[Tensor, "cells 3"], reach: float
) -> tuple[Int[Tensor, "faces 3"], Float[Tensor, "tips 3"]]:
    """Faces, counter-clockwise from outside, and the six tips +-x, +-y, +-z of each."""
    axes = reach * torch.eye(3, dtype=centers.dtype, device=centers.device)
    tips = centers[:, None] + torch.stack([axes, -axes], 1).flatten(0, 1)
    faces = []
    for signs in itertools.product((0, 1), repeat=3):
        face = [2 * axis + sign for axis, sign in enumerate(signs)]
        faces.append(face if sum(signs) % 2 == 0 else face[::-1])
    own = torch.tensor(faces, device=centers.device)
    first = 6 * torch.arange(len(centers), device=centers.device)
    return (first[:, None, None] + own).flatten(0, 1), tips.flatten(0, 1)


class SurfaceSplats(nn.Module):
    """One flat Gaussian a cell, at its vertex and along its normal: a Gaussian decoder without weights.

    Gradients reach offsets, normals and colours, so it serves as the frozen decoder of the rendering loss.
    """

    filter_variance = 0.1  # px^2

    def forward(self, x: SparseTensor) -> list[Gaussians]:
        coords, resolution = x.voxels.coords, x.voxels.resolution
        feats = x.feats.float()
        positions = (coords[:, 1:] + 0.5 + feats[:, OFFSET].clamp(-0.5, 0.5)) / resolution - 0.5
        scales = positions.new_tensor([SPREAD, SPREAD, THICKNESS]) / resolution
        rotations = turn_z_to(feats[:, NORMAL])
        colors = (feats[:, COLOR].clamp(-1, 1) + 1) / 2
        objects = []
        for index in range(x.voxels.batch_size):
            rows = coords[:, 0] == index
            count = int(rows.sum())
            objects.append(
                Gaussians(
                    positions=positions[rows],
                    scales=scales.expand(count, 3),
                    rotations_wxyz=rotations[rows],
                    opacities=positions.new_full((count,), OPACITY),
                    colors=colors[rows],
                )
            )
        return objects


def turn_z_to(normals: Float[Tensor, "cells 3"]) -> Float[Tensor, "cells 4"]:
    """Unit quaternions (w, x, y, z) that turn the z axis to a normal, or to the opposite one if that lies below.

    Half way round from z the shortest turn is not unique; a flat Gaussian is the same both ways.
    """
    upright = torch.where(normals[:, 2:] < 0, -normals, normals)
    normal = F.normalize(upright, dim=1)
    x, y, z = normal.unbind(1)
    return F.normalize(torch.stack([1 + z, -y, x, torch.zeros_like(z)], 1), dim=1)

"""The ray tracer's geometry: scenes as tensors, and where rays meet cubes, spheres, cylinders and cones.

All solids are convex, so a ray is inside one between two distances. Rays that leave one point are first tested
against each solid as a cone from that point; only the few (ray, solid) pairs inside their cone are intersected.

A solid is worked on in its own frame: moved to the origin, turned back about z and scaled to radius 1. Solids are
numbered through a batch: solid = row * objects + object. Vectors of a flat list are [3, n].
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

KINDS = CUBE, SPHERE, CYLINDER, CONE = range(4)
ENCLOSING = (
    math.sqrt(3),
    1.0,
    math.sqrt(2),
    math.sqrt(2),
)  # radius of the enclosing sphere over the solid's own radius
CHAMFER = 0.1  # how far the edges of cubes are cut, over half their side
BEVEL = 0.12  # width of the rounded edges, over the radius; only normals are rounded
NOTHING = -1  # the object index of rays that meet none

Pairs = tuple[Tensor, Tensor, Tensor]  # ray, solid, distance at which the ray enters it; [n] each


@dataclass(frozen=True, kw_only=True)
class SceneBatch:
    """Scenes as tensors, padded to the same number of objects."""

    shape: Int[Tensor, "batch objects"]  # one of KINDS
    radius: Float[Tensor, "batch objects"]  # of the sphere; half the side of the cube; both of cylinder and cone
    color: Float[Tensor, "batch objects 3"]  # linear RGB in [0, 1]
    metal: Bool[Tensor, "batch objects"]  # mirror-like metal, else rubber
    position: Float[Tensor, "batch objects 3"]  # centre
    rotation: Float[Tensor, "batch objects"]  # about z, radians
    valid: Bool[Tensor, "batch objects"]  # False for padding
    camera: Float[Tensor, "batch 3"]
    axes: Float[Tensor, "batch 3 3"]  # rows: the camera's right, down and forward axes
    focal: Float[Tensor, " batch"]  # focal length over picture width; the principal point is the centre
    lamps: Float[Tensor, "batch 3 3"]  # positions of key, fill and back lamp

    @property
    def num_objects(self) -> int:
        return self.shape.shape[1]

    @property
    def enclosing(self) -> Float[Tensor, "batch objects"]:
        """Radii of the enclosing spheres."""
        return self.radius * torch.tensor(ENCLOSING, device=self.radius.device)[self.shape]

    def __len__(self) -> int:
        return len(self.shape)

    def split(self, size: int) -> Iterator["SceneBatch"]:
        """The batch in parts of at most `size` scenes."""
        for start in range(0, len(self), size):
            yield SceneBatch(**{f.name: getattr(self, f.name)[start : start + size] for f in fields(self)})

    def repeat(self, times: int) -> "SceneBatch":
        """Each scene `times` times in a row."""
        return SceneBatch(**{f.name: getattr(self, f.name).repeat_interleave(times, dim=0) for f in fields(self)})

    def to(self, device: torch.device | str) -> "SceneBatch":
        return SceneBatch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def pairs_from_point(scenes: SceneBatch, origin: Tensor, rays: Tensor) -> Iterator[Pairs]:
    """The rays of each row that leave the row's `origin` and meet a solid, one kind of solid after the other.

    `origin` is [rows, 3], `rays` [rows, 3, rays] of unit length; a ray is numbered row * rays + its place.
    """
    away = scenes.position - origin[:, None]
    distance = away.norm(dim=2)
    cosine = (1 - (scenes.enclosing / distance).square()).clamp_min(0).sqrt()
    cosine = torch.where(scenes.valid, cosine, 2.0)
    x, y, z = (away / distance[..., None])[..., None].unbind(2)  # a matrix product this thin is slower than its terms
    near = (x * rays[:, :1]).addcmul_(y, rays[:, 1:2]).addcmul_(z, rays[:, 2:]) > cosine[..., None]  # rows objects rays
    near, kind = near.flatten(0, 1), scenes.shape.flatten()
    # Once for each solid, not for each pair. All solids but cubes look the same from all sides.
    turn = torch.where(kind == CUBE, scenes.rotation.flatten(), 0.0)
    start = turned(-away.flatten(0, 1).T, turn) / scenes.radius.flatten()
    directions = rays.transpose(0, 1).reshape(3, -1)
    for shape in KINDS:
        primitives = (kind == shape).nonzero()[:, 0]
        which, ray = near[primitives].nonzero().unbind(1)
        primitive = primitives[which]
        ray = ray + (primitive // scenes.num_objects) * rays.shape[2]
        direction = directions[:, ray]
        if shape == CUBE:
            direction = turned(direction, turn[primitive])
        yield _entered(scenes, ray, primitive, *span(shape, start[:, primitive], direction))


def pairs_from_surfaces(scenes: SceneBatch, row: Tensor, own: Tensor, start: Tensor, ray: Tensor) -> Iterator[Pairs]:
    """Rays [3, n] that leave points `start` [3, n] of the solids `own`, and meet another solid of their row."""
    away = scenes.position[row] - start.T[:, None]  # n objects 3
    along = (away * ray.T[:, None]).sum(2)
    near = (away.square().sum(2) - along.square() < scenes.enclosing.square()[row]) & (along > 0) & scenes.valid[row]
    near[torch.arange(len(row), device=ray.device), own % scenes.num_objects] = False
    which, primitive = near.nonzero().unbind(1)
    primitive = row[which] * scenes.num_objects + primitive
    kind = scenes.shape.flatten()[primitive]
    for shape in KINDS:
        chosen = (kind == shape).nonzero()[:, 0]
        target, source = primitive[chosen], which[chosen]
        local = in_primitives(scenes, target, start[:, source])
        direction = turned(ray[:, source], scenes.rotation.flatten()[target])
        yield _entered(scenes, source, target, *span(shape, local, direction))


def _entered(scenes: SceneBatch, ray: Tensor, primitive: Tensor, enter: Tensor, leave: Tensor) -> Pairs:
    inside = ((enter < leave) & (enter > 0)).nonzero()[:, 0]
    primitive = primitive[inside]
    return ray[inside], primitive, enter[inside] * scenes.radius.flatten()[primitive]


def nearest(pairs: Iterable[Pairs], distance: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """The solid that each ray meets first, or NOTHING; `distance`, so far the farthest, becomes the distance to it."""
    found = list(pairs)
    for ray, _, enter in found:
        distance.scatter_reduce_(0, ray, enter, "amin")
    primitives = torch.full_like(distance, NOTHING, dtype=torch.long)
    for ray, primitive, enter in found:
        first = (enter == distance[ray]).nonzero()[:, 0]
        primitives[ray[first]] = primitive[first]
    return primitives


def turned(vectors: Float[Tensor, "3 n"], angle: Float[Tensor, " n"]) -> Float[Tensor, "3 n"]:
    """Vectors of the scene's frame in the frame of solids that are rotated by `angle` about z."""
    x, y, z = vectors
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * x + sin * y, cos * y - sin * x, z])


def in_primitives(
    scenes: SceneBatch, primitive: Int[Tensor, " n"], points: Float[Tensor, "3 n"]
) -> Float[Tensor, "3 n"]:
    """Points in the frames of their solids."""
    moved = points - scenes.position.flatten(0, 1)[primitive].T
    return turned(moved, scenes.rotation.flatten()[primitive]) / scenes.radius.flatten()[primitive]


def span(shape: int, start: Float[Tensor, "3 n"], direction: Float[Tensor, "3 n"]) -> tuple[Tensor, Tensor]:
    """Distances at which rays enter and leave the solid of radius 1 at the origin; entry > exit where they miss."""
    if shape == CUBE:
        start, direction = (
            torch.cat([v, v[[0, 0, 1]] + v[[1, 2, 2]], v[[0, 0, 1]] - v[[1, 2, 2]]]) for v in (start, direction)
        )
        middle, half = _slab(start, direction)
        half[3:] *= 2 - CHAMFER
        return (middle - half).amax(0), (middle + half).amin(0)
    if shape == CONE:
        return _cone_span(start, direction)
    flat = slice(0, 3 if shape == SPHERE else 2)
    a = direction[flat].square().sum(0)
    b = (start[flat] * direction[flat]).sum(0)
    c = start[flat].square().sum(0) - 1
    root = (b.square() - a * c).sqrt()  # NaN where the ray misses; every comparison with it is false
    enter, leave = (-b - root) / a, (-b + root) / a
    if shape == SPHERE:
        return enter, leave
    middle, half = _slab(start[2], direction[2])
    return torch.maximum(enter, middle - half), torch.minimum(leave, middle + half)


def _cone_span(start: Float[Tensor, "3 n"], direction: Float[Tensor, "3 n"]) -> tuple[Tensor, Tensor]:
    """`span` of the cone with radius 1 at z = -1 and its tip at z = 1: x^2 + y^2 = ((1 - z) / 2)^2 between the two."""
    below, fall = (1 - start[2]) / 2, -direction[2] / 2  # the radius at the start, and how it grows along the ray
    a = direction[:2].square().sum(0) - fall.square()
    a = torch.where(a.abs() < 1e-7, 1e-7, a)  # a ray along the wall
    b = (start[:2] * direction[:2]).sum(0) - below * fall
    c = start[:2].square().sum(0) - below.square()
    root = (b.square() - a * c).sqrt()  # NaN where the ray misses; every comparison with it is false
    first, last = torch.minimum((-b - root) / a, (-b + root) / a), torch.maximum((-b - root) / a, (-b + root) / a)
    # A ray steeper than the wall is outside between the two: it is in the cone on the side that leads down.
    steep, down = a < 0, direction[2] < 0
    enter = torch.where(steep, torch.where(down, last, -torch.inf), first)
    leave = torch.where(steep, torch.where(down, torch.inf, first), last)
    middle, half = _slab(start[2], direction[2])
    return torch.maximum(enter, middle - half), torch.minimum(leave, middle + half)


def _slab(start: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays cross from -1 to 1 along one axis: the middle of the way, and half its length."""
    inverse = 1 / torch.where(direction.abs() < 1e-12, 1e-12, direction)  # parallel rays: no 0 * inf
    return -start * inverse, inverse.abs()


def normals(scenes: SceneBatch, primitive: Tensor, place: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
    """Unit normals at points on solids; near the edges of cubes and cylinders they turn as on a rounded edge."""
    local = in_primitives(scenes, primitive, place)
    shape = scenes.shape.flatten()[primitive]
    side = length(local[:2], 0).clamp_min(1e-6)
    over = local.sign() * (local.abs() - (1 - BEVEL)).clamp_min(0)
    wall = (side - (1 - BEVEL)).clamp_min(0) / side * local[:2]
    normal = torch.where(shape == SPHERE, local, over)
    normal = torch.cat([torch.where(shape == CYLINDER, wall, normal[:2]), normal[2:]])
    slope = torch.cat([local[:2] / side, torch.full_like(local[2:], 0.5)])  # a cone's wall falls by 2 over 1
    normal = torch.where(shape == CONE, slope, normal)
    return turned(normal / length(normal, 0).clamp_min(1e-6), -scenes.rotation.flatten()[primitive])


def length(vectors: Tensor, dim: int) -> Tensor:
    """Lengths of vectors along `dim`."""
    return vectors.square().sum(dim).sqrt()  # torch's norm is many times slower over a leading dimension

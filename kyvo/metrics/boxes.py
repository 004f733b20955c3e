"""IoU of boxes: of upright rectangles in a picture, and exactly of oriented cuboids in space.

The volume that two cuboids share is computed from the edges of their intersection, as follows. It is a convex body
bounded by at most 12 planes n.x = b (unit n). Its volume is a third of the sum over faces of b times the face's area,
and an area is half the sum over the face's edges of their distance from the foot of the origin times their length. An
edge lies on two planes i, j, so each pair of planes, with c = n_i.n_j and the length L of their line inside all others,
adds L (2 b_i b_j - c (b_i^2 + b_j^2)) / (6 sqrt(1 - c^2)) (Lasserre, JOTA 39, 1983). The length is an intersection of
intervals: no polygon is cut, and all pairs are computed at once.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float

_GROWN = 1.2e-9  # of the size: planes that coincide would count a face twice
_PARALLEL = 1e-18  # squared sine below which two planes have no line
_CHUNK = 20_000  # pairs at a time: a few MB a temporary
_CORNERS = np.array(
    [(-1, -1, -1), (1, -1, -1), (1, 1, -1), (-1, 1, -1), (-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)]
)


@dataclass(frozen=True, kw_only=True)
class Cuboids:
    """Boxes of any orientation, in one frame and unit."""

    center: Float[np.ndarray, " n 3"]
    extent: Float[np.ndarray, " n 3"]  # full lengths along the boxes' own axes
    rotation: Float[np.ndarray, " n 3 3"]  # columns: the boxes' own axes

    def __len__(self) -> int:
        return len(self.center)

    def take(self, indices: np.ndarray) -> "Cuboids":
        """The boxes of these indices, or of this mask."""
        return Cuboids(center=self.center[indices], extent=self.extent[indices], rotation=self.rotation[indices])

    def corners(self) -> Float[np.ndarray, " n 8 3"]:
        """In Omni3D's order: (---)(+--)(++-)(-+-)(--+)(+-+)(+++)(-++)."""
        local = _CORNERS * self.extent[:, None] / 2
        return local @ self.rotation.transpose(0, 2, 1) + self.center[:, None]


def cuboids_from_corners(
    corners: Float[np.ndarray, " n 8 3"], *, tolerance: float = 1e-2
) -> tuple[Cuboids, Bool[np.ndarray, " n"]]:
    """Boxes from their corners in Omni3D's order, and which of them are boxes.

    Args:
        corners: of all boxes.
        tolerance: how far a corner may lie from the box's, over its longest side (files round).
    """
    corners = np.asarray(corners, dtype=float)
    center = corners.mean(1)
    # mean of the four parallel edges along each axis: they agree in a box
    edges = np.einsum("nkc,ka->nac", corners, _CORNERS.astype(float)) / 4
    extent = np.linalg.norm(edges, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        axes = (edges / extent[..., None]).transpose(0, 2, 1)
        u, _, v = np.linalg.svd(np.nan_to_num(axes))
    boxes = Cuboids(center=center, extent=extent, rotation=u @ v)
    apart = np.abs(boxes.corners() - corners).max((1, 2))
    return boxes, (extent > 0).all(1) & (apart <= tolerance * extent.max(1))


def iou_3d(first: Cuboids, second: Cuboids) -> Float[np.ndarray, " n"]:
    """Exact IoU of boxes paired by position, in [0, 1]; 0 where either has no volume."""
    return np.concatenate(
        [
            _iou_3d(first.take(part), second.take(part))
            for part in np.array_split(np.arange(len(first)), len(first) // _CHUNK + 1)
        ]
    )


def iou_2d(first: Float[np.ndarray, " n 4"], second: Float[np.ndarray, " n 4"]) -> Float[np.ndarray, " n"]:
    """IoU of rectangles (x, y, width, height) paired by position, in [0, 1]."""
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    shared = np.maximum(high - low, 0).prod(1)
    union = first[:, 2:].prod(1) + second[:, 2:].prod(1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _iou_3d(first: Cuboids, second: Cuboids) -> np.ndarray:
    shared = np.zeros(len(first))
    reach = (np.linalg.norm(first.extent, axis=1) + np.linalg.norm(second.extent, axis=1)) / 2
    apart = np.linalg.norm(first.center - second.center, axis=1)
    near = np.flatnonzero((apart < reach) & (first.extent > 0).all(1) & (second.extent > 0).all(1))
    if len(near):
        shared[near] = shared_volume(first.take(near), second.take(near))
    volumes = [boxes.extent.prod(1) for boxes in (first, second)]
    shared = np.minimum(shared, np.minimum(*volumes))
    union = volumes[0] + volumes[1] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def shared_volume(first: Cuboids, second: Cuboids) -> Float[np.ndarray, " n"]:
    """The volume that boxes, paired by position and with extents above 0, have in common."""
    half = first.extent.T / 2  # 3 n: the first box is the frame, its centre the origin
    size = half.max(0)
    other_half = second.extent.T / 2 + _GROWN * size
    turn = np.einsum("nij,nik->jkn", first.rotation, second.rotation)  # columns: the second's axes
    away = np.einsum("nij,ni->jn", first.rotation, second.center - first.center)
    other_away = np.einsum("jkn,jn->kn", turn, away)

    unit = np.broadcast_to(np.eye(3)[:, :, None], (3, 3, half.shape[1]))
    # (box, axis, sign) of each plane, its normal [3, n] and its offset [n]
    planes = [
        (box, axis, sign * normals[:, axis], offset[axis] + sign * shift[axis])
        for box, normals, offset, shift in ((0, unit, half, 0 * half), (1, turn, other_half, other_away))
        for axis, sign in product(range(3), (1.0, -1.0))
    ]
    volume = np.zeros(half.shape[1])
    for index, (box_i, axis_i, normal_i, offset_i) in enumerate(planes):
        for box_j, axis_j, normal_j, offset_j in planes[index + 1 :]:
            if (box_i, axis_i) == (box_j, axis_j):
                continue  # opposite faces
            line = _cross(normal_i, normal_j)
            sine = (line**2).sum(0)
            cuts = sine > _PARALLEL
            sine = np.sqrt(np.where(cuts, sine, 1.0))
            line = line / sine
            point = (offset_i * _cross(normal_j, line) + offset_j * _cross(line, normal_i)) / sine
            start, end = np.full_like(volume, -np.inf), np.full_like(volume, np.inf)
            slabs = (
                (0, point, line, half),
                (1, np.einsum("jkn,jn->kn", turn, point) - other_away, np.einsum("jkn,jn->kn", turn, line), other_half),
            )
            for box, at, along, bound in slabs:
                for axis in range(3):
                    if (box, axis) not in ((box_i, axis_i), (box_j, axis_j)):
                        start, end = _within(start, end, at[axis], along[axis], bound[axis])
            inside = cuts & (end > start)
            length = np.subtract(end, start, out=np.zeros_like(volume), where=inside)
            cosine = (normal_i * normal_j).sum(0)
            volume += length / sine * (2 * offset_i * offset_j - cosine * (offset_i**2 + offset_j**2))
    return np.maximum(volume / 6, 0.0)


def _within(
    start: np.ndarray, end: np.ndarray, at: np.ndarray, along: np.ndarray, bound: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a line, start to end, where abs(at + t along) <= bound."""
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (-bound - at) / along, (bound - at) / along
    # a line along the slab, and on its edge, gives 0/0: fmin and fmax pass over it
    return np.fmax(start, np.fmin(one, two)), np.fmin(end, np.fmax(one, two))


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])

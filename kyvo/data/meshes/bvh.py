"""A bounding volume hierarchy (BVH) of triangles, in numpy: many rays or points walk down it together, level by level.

Triangles are sorted along a Morton curve, so that those of a node stand side by side and the tree is a table of boxes
for each level (Lauterbach et al. 2009, https://doi.org/10.1111/j.1467-8659.2009.01377.x).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

LEAF = 2  # triangles of a leaf
TOGETHER = 1 << 11  # rays or points that walk together: as many as the caches of a core hold
MORTON_BITS = 10  # of each coordinate
EDGE = 1e-9  # how far outside its edges a triangle is still met, as a weight: no ray slips between two neighbours


@dataclass(frozen=True, kw_only=True, eq=False)
class SurfacePoints:
    """One point of the surface for each ray or point: its triangle, and where it lies in it."""

    distance: Float[np.ndarray, " points"]  # in lengths of the ray's direction, or from the point; inf: nothing is met
    triangle: Int[np.ndarray, " points"]
    uv: Float[np.ndarray, "points 2"]  # weights of the second and third corner; the first has the rest

    @property
    def weights(self) -> Float[np.ndarray, "points 3"]:
        """Of the triangle's three corners."""
        return np.concatenate([1 - self.uv.sum(1, keepdims=True), self.uv], axis=1)


class BVH:
    """Over at least one triangle."""

    def __init__(self, triangles: Float[np.ndarray, "faces 3 3"]) -> None:
        self.triangles = triangles.astype(np.float64)
        leaves = 1 << max(0, (-(-len(triangles) // LEAF) - 1).bit_length())
        order = np.argsort(_morton(self.triangles.mean(1)), kind="stable")
        self.order = np.pad(order, (0, leaves * LEAF - len(order)), mode="edge").reshape(leaves, LEAF)
        corners = self.triangles[self.order].reshape(leaves, -1, 3)
        self.levels = [(corners.min(1), corners.max(1))]  # lowest and highest corners of boxes, from the root down
        while len(self.levels[0][0]) > 1:
            low, high = self.levels[0]
            self.levels.insert(0, (np.minimum(low[::2], low[1::2]), np.maximum(high[::2], high[1::2])))

    def first_hits(self, starts: Float[np.ndarray, "rays 3"], directions: Float[np.ndarray, "rays 3"]) -> SurfacePoints:
        """What each ray meets first; its distance is infinite where it meets nothing."""
        return _in_parts(self._first_hits, starts.astype(np.float64), directions.astype(np.float64))

    def occluded(
        self, starts: Float[np.ndarray, "rays 3"], directions: Float[np.ndarray, "rays 3"]
    ) -> Bool[np.ndarray, " rays"]:
        """Whether a ray meets anything."""
        return np.isfinite(self.first_hits(starts, directions).distance)

    def nearest(self, points: Float[np.ndarray, "points 3"]) -> SurfacePoints:
        """The place nearest to each point."""
        corners = KDTree(self.triangles.reshape(-1, 3))  # no farther than the nearest corner
        return _in_parts(self._nearest, points.astype(np.float64), corners.query(points)[0])

    def _first_hits(self, starts: np.ndarray, directions: np.ndarray) -> SurfacePoints:
        with np.errstate(divide="ignore"):
            inverse = 1 / directions

        def meets(ray: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
            with np.errstate(invalid="ignore"):  # 0 * inf, of a ray in the plane of a side: fmin and fmax pass over it
                one, two = (low - starts[ray]) * inverse[ray], (high - starts[ray]) * inverse[ray]
            enters, leaves = np.fmin(one, two).max(1), np.fmax(one, two).min(1)
            return leaves >= np.maximum(enters, 0)

        ray, triangle = self._walk(len(starts), meets)
        distance, u, v = _intersect(starts[ray], directions[ray], self.triangles[triangle])
        return _smallest(len(starts), ray, triangle, distance, np.stack([u, v], axis=1))

    def _nearest(self, points: np.ndarray, reach: np.ndarray) -> SurfacePoints:
        def near(point: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
            aside = np.maximum(0, np.maximum(low - points[point], points[point] - high))
            return (aside**2).sum(1) <= reach[point] ** 2 * (1 + 1e-9)

        point, triangle = self._walk(len(points), near)
        corners = self.triangles[triangle]
        nearest_points = trimesh.triangles.closest_point(corners, points[point])
        distance = np.linalg.norm(nearest_points - points[point], axis=1)
        uv = trimesh.triangles.points_to_barycentric(corners, nearest_points)[:, 1:]
        return _smallest(len(points), point, triangle, distance, uv)

    def _walk(
        self, count: int, passes: Callable[[np.ndarray, np.ndarray, np.ndarray], Bool[np.ndarray, " pairs"]]
    ) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
        """All pairs of a query and a triangle of a leaf whose boxes let the query pass, from the root down."""
        query, node = np.arange(count), np.zeros(count, dtype=np.int64)
        for level, (low, high) in enumerate(self.levels):
            if level:
                query, node = np.repeat(query, 2), (2 * node[:, None] + (0, 1)).reshape(-1)
            passed = passes(query, low[node], high[node])
            query, node = query[passed], node[passed]
        return np.repeat(query, LEAF), self.order[node].reshape(-1)


def _in_parts(
    ask: Callable[[np.ndarray, np.ndarray], SurfacePoints], first: np.ndarray, second: np.ndarray
) -> SurfacePoints:
    """The answers of `ask` for so many queries at a time that memory stays small."""
    starts = range(0, max(1, len(first)), TOGETHER)
    parts = [ask(first[start : start + TOGETHER], second[start : start + TOGETHER]) for start in starts]
    return SurfacePoints(
        distance=np.concatenate([part.distance for part in parts]),
        triangle=np.concatenate([part.triangle for part in parts]),
        uv=np.concatenate([part.uv for part in parts]),
    )


def _smallest(
    count: int, query: np.ndarray, triangle: np.ndarray, distance: np.ndarray, uv: np.ndarray
) -> SurfacePoints:
    """Of each query its pair with the smallest finite distance."""
    best, face, place = np.full(count, np.inf), np.zeros(count, dtype=np.int64), np.zeros((count, 2))
    kept = np.flatnonzero(np.isfinite(distance))
    kept = kept[np.lexsort((distance[kept], query[kept]))]
    kept = kept[np.diff(query[kept], prepend=-1) > 0]
    best[query[kept]], face[query[kept]], place[query[kept]] = distance[kept], triangle[kept], uv[kept]
    return SurfacePoints(distance=best, triangle=face, uv=place)


def _intersect(
    starts: Float[np.ndarray, "pairs 3"],
    directions: Float[np.ndarray, "pairs 3"],
    triangles: Float[np.ndarray, "pairs 3 3"],
) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Distance, u and v where a ray meets a triangle, from either side; infinite where it does not.

    Möller and Trumbore, 1997, https://doi.org/10.1080/10867651.1997.10487468.
    """
    corner = triangles[:, 0]
    one, two = triangles[:, 1] - corner, triangles[:, 2] - corner
    across = np.cross(directions, two)
    determinant = (one * across).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):  # a ray in the triangle's plane, or no area
        shift = starts - corner
        u = (shift * across).sum(1) / determinant
        turned = np.cross(shift, one)
        v = (directions * turned).sum(1) / determinant
        distance = (two * turned).sum(1) / determinant
        met = (u >= -EDGE) & (v >= -EDGE) & (u + v <= 1 + EDGE) & (distance >= 0)
    return np.where(met, distance, np.inf), u, v


def _morton(points: Float[np.ndarray, "points 3"]) -> Int[np.ndarray, " points"]:
    """The place of each point along a Morton curve through the points' box."""
    low, high = points.min(0), points.max(0)
    cells = ((points - low) / np.maximum(high - low, 1e-12) * (2**MORTON_BITS - 1)).astype(np.int64)
    bits = cells[:, None, :] >> np.arange(MORTON_BITS)[:, None] & 1
    return (bits << (3 * np.arange(MORTON_BITS)[:, None] + np.arange(3))).sum((1, 2))

"""Rays on triangles: what each ray meets first, whether something blocks it, and the surface nearest to a point.

Open3D, of the extra `mesh`, answers where it imports. Elsewhere a tree in numpy gives the same answers more slowly.
"""

import logging
from functools import cache
from types import ModuleType
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from kyvo.data.meshes.bvh import BVH, SurfacePoints
from kyvo.extras import MissingDependency, import_open3d

Triangles = Float[np.ndarray, "faces 3 3"]
Rays = Float[np.ndarray, "rays 3"]


@runtime_checkable
class RayScene(Protocol):
    """Triangles ready for rays."""

    def first_hits(self, starts: Rays, directions: Rays) -> SurfacePoints:
        """What each ray meets first."""
        ...

    def occluded(self, starts: Rays, directions: Rays) -> Bool[np.ndarray, " rays"]:
        """Whether a ray meets anything."""
        ...

    def nearest(self, points: Float[np.ndarray, "points 3"]) -> SurfacePoints:
        """The place of the surface that is nearest to each point."""
        ...


def ray_scene(triangles: Triangles) -> RayScene:
    """These triangles, at least one, behind Open3D or behind the tree in numpy."""
    open3d = _open3d()
    return BVH(triangles) if open3d is None else Open3DScene(triangles, open3d)


@cache
def _open3d() -> ModuleType | None:
    """Open3D; where it does not import, None, and one warning with what would bring it."""
    try:
        return import_open3d()
    except MissingDependency as error:
        logging.getLogger(__name__).warning("Rays are cast in numpy, some 100 times slower than by Open3D. %s", error)
        return None


class Open3DScene:
    """By Open3D's RaycastingScene, in float32 and one thread: the answers are those of any number of threads."""

    def __init__(self, triangles: Triangles, open3d: ModuleType) -> None:
        self._tensor = open3d.core.Tensor
        self._scene = open3d.t.geometry.RaycastingScene(nthreads=1)
        corners = triangles.reshape(-1, 3).astype(np.float32)
        faces = np.arange(len(corners), dtype=np.uint32).reshape(-1, 3)
        self._scene.add_triangles(self._tensor(corners), self._tensor(faces))

    def first_hits(self, starts: Rays, directions: Rays) -> SurfacePoints:
        found = self._scene.cast_rays(self._rays(starts, directions), nthreads=1)
        return SurfacePoints(
            distance=found["t_hit"].numpy().astype(np.float64),
            triangle=found["primitive_ids"].numpy().astype(np.int64),
            uv=found["primitive_uvs"].numpy().astype(np.float64),
        )

    def occluded(self, starts: Rays, directions: Rays) -> Bool[np.ndarray, " rays"]:
        return self._scene.test_occlusions(self._rays(starts, directions), nthreads=1).numpy()

    def nearest(self, points: Float[np.ndarray, "points 3"]) -> SurfacePoints:
        found = self._scene.compute_closest_points(self._tensor(points.astype(np.float32)), nthreads=1)
        return SurfacePoints(
            distance=np.linalg.norm(found["points"].numpy() - points, axis=1),
            triangle=found["primitive_ids"].numpy().astype(np.int64),
            uv=found["primitive_uvs"].numpy().astype(np.float64),
        )

    def _rays(self, starts: Rays, directions: Rays):
        return self._tensor(np.concatenate([starts, directions], axis=1).astype(np.float32))

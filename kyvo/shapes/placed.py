"""Generated objects where they stand, and the scene that they are."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from kyvo.models.slat.flexicubes import Surface
from kyvo.models.slat.latent import StructuredLatent
from kyvo.scene.pose import Pose


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacedObject:
    """A shape and where it stands."""

    name: str  # of its mask, or told by the method
    surface: Surface  # in its cube
    pose: Pose
    latent: StructuredLatent | None = None  # of its own cube; none where it was made in the scene's
    category: str | None = None  # where the method says it
    shape_codes: tuple[int, ...] | None = None  # of its surface, where it was made of codes

    @classmethod
    def of_scene_surface(cls, surface: Surface, *, name: str, scene: Pose) -> "PlacedObject":
        """Of a surface in the scene's cube, which stands at `scene`: moved into a cube of its own."""
        low, high = surface.vertices.min(0).values, surface.vertices.max(0).values
        center, side = (low + high) / 2, float((high - low).max())
        x, y, z = center.tolist()
        own = replace(surface, vertices=(surface.vertices - center) / side)
        return cls(name=name, surface=own, pose=scene @ Pose(translation=(x, y, z), scale=side))

    @property
    def triangles(self) -> Float[np.ndarray, "faces 3 3"]:
        """In the scene's frame."""
        return self.pose.apply(self.cube_triangles)

    @property
    def cube_triangles(self) -> Float[np.ndarray, "faces 3 3"]:
        """In the object's cube."""
        return self.surface.vertices.detach().cpu().double().numpy()[self.surface.faces.cpu().numpy()]


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratedScene:
    """The objects of one picture, and how they were made."""

    objects: tuple[PlacedObject, ...]
    method: str
    axes: str  # "view": x to the camera's right, y away from it; "query": those of the query object's cube
    seed: int
    seconds: float
    schema: str = "objaworld-shapes"  # of its scene JSON
    query: str | None = None  # name of the object that poses are relative to
    warnings: tuple[str, ...] = ()

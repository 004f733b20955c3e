"""`Gaussians`: an object as coloured 3D Gaussians, and `Camera`, from which they are seen."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kyvo.errors import ConfigError


@dataclass(frozen=True, kw_only=True, eq=False)
class Gaussians:
    """Activated parameters, in the object's frame (z up, [-1/2, 1/2]^3); colours do not depend on the view."""

    positions: Float[Tensor, "gaussians 3"]
    scales: Float[Tensor, "gaussians 3"]  # standard deviations along the Gaussian's own axes
    rotations_wxyz: Float[Tensor, "gaussians 4"]  # unit quaternions, own axes -> object
    opacities: Float[Tensor, " gaussians"]  # in (0, 1)
    colors: Float[Tensor, "gaussians 3"]  # RGB, 0 and above

    def __len__(self) -> int:
        return len(self.positions)

    def covariances(self) -> Float[Tensor, "gaussians 3 3"]:
        axes = rotation_matrices(self.rotations_wxyz) * self.scales[:, None, :]
        return axes @ axes.mT


def rotation_matrices(wxyz: Float[Tensor, "rows 4"]) -> Float[Tensor, "rows 3 3"]:
    """Of unit quaternions: v + 2 w (q x v) + 2 q x (q x v), written out."""
    w, x, y, z = wxyz.unbind(1)
    entries = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(entries, 1).unflatten(1, (3, 3))


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """A pinhole. The camera's frame is OpenCV's: x right, y down, z forward. Pixel i covers [i, i + 1]."""

    world_to_camera: Float[Tensor, "4 4"]
    focal: tuple[float, float]  # x and y, px
    center: tuple[float, float]  # principal point, px
    width: int  # px
    height: int  # px

    @classmethod
    def look_at_origin(
        cls,
        position: Float[Tensor, " 3"],
        *,
        field_of_view: float = math.radians(40),
        size: int = 128,
    ) -> "Camera":
        """A square picture with the origin in its middle and z upwards.

        Args:
            field_of_view: of the whole picture, radians.
            size: px.
        """
        forward = -F.normalize(position, dim=0)
        up = position.new_tensor([0.0, 0.0, 1.0])
        if float(torch.linalg.cross(forward, up).norm()) < 1e-6:  # straight from above or below: y is up
            up = position.new_tensor([0.0, 1.0, 0.0])
        right = F.normalize(torch.linalg.cross(forward, up), dim=0)
        rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
        matrix = torch.eye(4, dtype=position.dtype, device=position.device)
        matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ position
        if not 0 < field_of_view < math.pi:
            raise ConfigError(f"field_of_view is {field_of_view:g} rad; a pinhole sees between 0 and pi.")
        focal = size / 2 / math.tan(field_of_view / 2)
        return cls(world_to_camera=matrix, focal=(focal, focal), center=(size / 2, size / 2), width=size, height=size)

    def rays(self) -> tuple[Float[Tensor, " 3"], Float[Tensor, "pixels 3"]]:
        """Origin, and unit directions of the pixels' centres, row-major; in the world's frame."""
        rotation, shift = self.world_to_camera[:3, :3], self.world_to_camera[:3, 3]
        rows = torch.arange(self.height, device=shift.device, dtype=shift.dtype) + 0.5
        columns = torch.arange(self.width, device=shift.device, dtype=shift.dtype) + 0.5
        y, x = torch.meshgrid(
            (rows - self.center[1]) / self.focal[1], (columns - self.center[0]) / self.focal[0], indexing="ij"
        )
        directions = torch.stack([x, y, torch.ones_like(x)], -1).flatten(0, 1)
        return -rotation.T @ shift, F.normalize(directions @ rotation, dim=1)

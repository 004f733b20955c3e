"""`Pose`: where an object's cube stands in a scene, and the frames of one object seen from another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from kyvo.errors import SceneError
from kyvo.scene.scene import Vector

NUMBERS = 8  # of a pose as a vector


@dataclass(frozen=True, kw_only=True)
class Pose:
    """A point p of the object's cube, [-1/2, 1/2]^3, stands at translation + scale * R(quaternion) p.

    Raises:
        SceneError: a number is not finite, the scale is not above 0, or the quaternion is zero.
    """

    translation: Vector = (0.0, 0.0, 0.0)
    quaternion_wxyz: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # w is kept at 0 or above
    scale: float = 1.0  # of the cube's side

    def __post_init__(self) -> None:
        quaternion = np.array(self.quaternion_wxyz, dtype=float)
        length = float(np.linalg.norm(quaternion))
        if not np.isfinite([*self.translation, length]).all() or not 0 < self.scale < np.inf or not length:
            raise SceneError(
                f"A pose of translation {self.translation}, quaternion {self.quaternion_wxyz} and scale {self.scale}: "
                "it takes finite numbers, a quaternion other than zero, and a scale above 0."
            )
        unit = quaternion / length * (-1 if quaternion[0] < 0 else 1)
        object.__setattr__(self, "quaternion_wxyz", tuple(unit.tolist()))
        object.__setattr__(self, "translation", tuple(float(value) for value in self.translation))
        object.__setattr__(self, "scale", float(self.scale))

    @classmethod
    def of_turn(cls, turn: float, *, translation: Vector = (0.0, 0.0, 0.0), scale: float = 1.0) -> "Pose":
        """Turned about the up axis, z, by `turn` rad."""
        return cls(translation=translation, quaternion_wxyz=(np.cos(turn / 2), 0.0, 0.0, np.sin(turn / 2)), scale=scale)

    @classmethod
    def from_vector(cls, values: Sequence[float] | np.ndarray) -> "Pose":
        """Inverse of `vector`."""
        x, y, z, qw, qx, qy, qz, scale = (float(value) for value in values)
        return cls(translation=(x, y, z), quaternion_wxyz=(qw, qx, qy, qz), scale=scale)

    @property
    def vector(self) -> Float[np.ndarray, "8"]:
        """Translation, quaternion (w, x, y, z) and scale: SceneGen's order."""
        return np.array([*self.translation, *self.quaternion_wxyz, self.scale])

    @property
    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """It maps columns."""
        w, x, y, z = self.quaternion_wxyz
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )

    @property
    def euler(self) -> Vector:
        """Rotation about the scene's x, then y, then z, rad: `SceneObject.pose`."""
        turned = self.rotation
        y = math.asin(float(np.clip(-turned[2, 0], -1, 1)))
        if abs(turned[2, 0]) > 1 - 1e-9:  # x and z turn about one axis: all of it is written as z
            return 0.0, y, math.atan2(-turned[0, 1], turned[1, 1])
        return math.atan2(turned[2, 1], turned[2, 2]), y, math.atan2(turned[1, 0], turned[0, 0])

    def apply(self, points: Float[np.ndarray, "*rows 3"]) -> Float[np.ndarray, "*rows 3"]:
        """Points of the cube in the scene."""
        return np.asarray(points) @ (self.scale * self.rotation.T) + np.array(self.translation)

    def inverse(self) -> "Pose":
        w, x, y, z = self.quaternion_wxyz
        moved = -(self.rotation.T @ np.array(self.translation)) / self.scale
        return Pose(translation=_vector(moved), quaternion_wxyz=(w, -x, -y, -z), scale=1 / self.scale)

    def __matmul__(self, other: "Pose") -> "Pose":
        """First `other`, then this one: (a @ b).apply(p) is a.apply(b.apply(p))."""
        (w, *own), (v, *others) = self.quaternion_wxyz, other.quaternion_wxyz
        axis, other_axis = np.array(own), np.array(others)
        x, y, z = (w * other_axis + v * axis + np.cross(axis, other_axis)).tolist()
        return Pose(
            translation=_vector(self.apply(np.array(other.translation))),
            quaternion_wxyz=(w * v - float(axis @ other_axis), x, y, z),
            scale=self.scale * other.scale,
        )

    def relative_to(self, query: "Pose") -> "Pose":
        """This pose in the frame of another object's cube; that object's own is the identity (SceneGen's 8-vector)."""
        return query.inverse() @ self


def _vector(values: np.ndarray) -> Vector:
    x, y, z = values.tolist()
    return x, y, z

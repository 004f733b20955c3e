"""`Scene`, `SceneObject` and `Camera`: what stands where, as plain frozen data.

Nothing here knows of tokens, files or models. Lengths are in the scene's `units`, angles in radians.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Vector = tuple[float, float, float]
Rotation = tuple[Vector, Vector, Vector]


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """One object. Attributes that a data set does not have are None.

    `extra` holds what the standard names do not cover: a user schema's own fields, and unknown JSON keys.
    """

    category: str | None = None
    shape: str | None = None
    size: str | None = None
    color: str | None = None
    material: str | None = None
    location: Vector | None = None  # centre, in the scene's frame
    dimensions: Vector | None = None  # width, height, length (Omni3D's order)
    pose: Vector | None = None  # rotation about x, y, z of the scene's frame, radians
    shape_codes: tuple[int, ...] | None = None  # 512 codes of the 3D VQ-VAE, z-fastest
    confidence: float | None = None  # in [0, 1], for predictions
    extra: Mapping[str, Any] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        """The attribute called `name`, standard or extra; None when the object has none."""
        return getattr(self, name) if name in STANDARD_ATTRIBUTES else self.extra.get(name)

    @property
    def turn(self) -> float | None:
        """Its `rotation` about the up axis, rad; None where it has none that is a finite number.

        CLEVR's, whose number was drawn from 0 to 360 and yet read as radians: its pictures bear it out.
        """
        turn = self.extra.get("rotation")
        if not isinstance(turn, int | float) or isinstance(turn, bool) or not math.isfinite(turn):
            return None
        return float(turn)

    def with_values(self, **values: Any) -> "SceneObject":
        """A copy with these attributes; names that are not standard go to `extra`."""
        standard = {name: value for name, value in values.items() if name in STANDARD_ATTRIBUTES}
        other = {name: value for name, value in values.items() if name not in STANDARD_ATTRIBUTES}
        return replace(self, **standard, extra={**self.extra, **other})


def turn_error(first: SceneObject, second: SceneObject) -> float | None:
    """How far two objects are turned apart, rad, modulo their symmetry: a quarter for cubes, none for round shapes.

    None where one has no `turn`, or a turn of such a shape is not to be seen.
    """
    if first.turn is None or second.turn is None or {first.shape, second.shape} & {"sphere", "cylinder"}:
        return None
    period = math.pi / 2 if first.shape == second.shape == "cube" else 2 * math.pi
    return abs((first.turn - second.turn + period / 2) % period - period / 2)


STANDARD_ATTRIBUTES = tuple(name for name in SceneObject.__dataclass_fields__ if name != "extra")


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera. Its own axes are OpenCV's: x right, y down, z forward."""

    width: int  # px
    height: int  # px
    focal: float  # px, the same along both axes
    center: tuple[float, float]  # principal point, px from the top left corner
    location: Vector  # in the scene's frame
    rotation: Rotation  # rows: the camera's right, down and forward axes in the scene's frame

    @classmethod
    def look_at(
        cls,
        *,
        location: Vector,
        target: Vector = (0.0, 0.0, 0.0),
        up: Vector = (0.0, 0.0, 1.0),
        focal: float,
        width: int,
        height: int,
    ) -> "Camera":
        """The camera at `location` that sees `target` at the picture's centre, `up` upwards."""
        forward = np.subtract(target, location)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, up)
        right = right / np.linalg.norm(right)
        axes = (right, np.cross(forward, right), forward)
        return cls(
            width=width,
            height=height,
            focal=focal,
            center=(width / 2, height / 2),
            location=location,
            rotation=tuple(tuple(float(value) for value in axis) for axis in axes),  # type: ignore[arg-type]
        )

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 3] of the scene's frame -> [N, 3]: column and row in px, and depth along the axis."""
        seen = (np.asarray(points, dtype=float).reshape(-1, 3) - np.asarray(self.location)) @ np.asarray(
            self.rotation
        ).T
        pixels = seen[:, :2] / seen[:, 2:] * self.focal + np.asarray(self.center)
        return np.concatenate([pixels, seen[:, 2:]], axis=1)

    def at_heights(self, pixels: np.ndarray, heights: np.ndarray) -> np.ndarray:
        """Inverse of `project` for points of known heights: where [N, 3] the rays through pixels [N, 2] come to them.

        A ray that never does ends far off.
        """
        steps = (np.asarray(pixels, dtype=float).reshape(-1, 2) - np.asarray(self.center)) / self.focal
        rays = np.concatenate([steps, np.ones((len(steps), 1))], axis=1) @ np.asarray(self.rotation)
        way = np.asarray(heights, dtype=float) - self.location[2]
        reach = np.abs(way) / np.maximum(rays[:, 2] * np.sign(way), 1e-6)
        return np.column_stack([np.asarray(self.location)[:2] + rays[:, :2] * reach[:, None], way + self.location[2]])

    def turned(self, *, roll: float, zoom: float) -> "Camera":
        """From the same place in the same direction, with the picture rolled about its principal point.

        Args:
            roll: rad; what is seen turns counterclockwise.
            zoom: what is seen grows by this factor, as a picture does that is cropped and enlarged again.
        """
        right, down, forward = np.asarray(self.rotation)
        cos, sin = math.cos(roll), math.sin(roll)
        axes = (cos * right + sin * down, cos * down - sin * right, forward)
        return replace(self, focal=self.focal * zoom, rotation=tuple(tuple(map(float, axis)) for axis in axes))  # type: ignore[arg-type]

    def resized(self, width: int, height: int) -> "Camera":
        """The same view on a picture `width` px wide: the width fixes the focal length, the height is cut or grown."""
        scale = width / self.width
        center = (self.center[0] * scale, (self.center[1] - self.height / 2) * scale + height / 2)
        return replace(self, width=width, height=height, focal=self.focal * scale, center=center)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A list of objects and how their numbers are to be read.

    `frame` is "world" or "camera" (OpenCV axes); `up_axis` is "+z" for world frames and "-y" for camera frames.
    """

    objects: tuple[SceneObject, ...]
    schema: str = "clevr"
    frame: str = "world"
    up_axis: str = "+z"
    units: str = "clevr"  # CLEVR's own unit, or "m"
    camera: Camera | None = None
    image: str | None = None  # file name of the picture that shows this scene
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.objects)

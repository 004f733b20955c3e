"""What a camera sees of each object, and what others hide: by projection of the objects' colliders, in numpy alone.

One ray a pixel meets spheres, upright cylinders and boxes (`kyvo.scene.colliders`). An object's hidden share is the
part of its own picture, as if it stood alone, that other objects cover.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from kyvo.errors import SceneError
from kyvo.scene.colliders import Collider, ViewFrame, collider_of
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema, camera_of

WIDTH, HEIGHT = 240, 160  # px in which it is looked; a small object of CLEVR covers some 150


@dataclass(frozen=True, kw_only=True)
class Visibility:
    """For one object: the part of the picture it would cover alone, and the part of that which others cover."""

    covers: float  # in [0, 1]
    hidden: float  # in [0, 1]; 0 for an object outside of the picture


def visibility(scene: Scene, schema: SceneSchema) -> list[Visibility]:
    """Raises SceneError for a scene without a camera, unless it is in CLEVR's units, whose camera is known; and for an
    object without a location."""
    camera = camera_of(scene, WIDTH, HEIGHT)
    if camera is None:
        raise SceneError("the scene has no camera, so what it sees is not known; give it one.")
    for index, item in enumerate(scene.objects):
        if item.location is None:
            raise SceneError(f"objects[{index}].location is missing; what hides it is not known.")
    frame = ViewFrame(scene)
    eye = frame.axes @ np.asarray(camera.location)
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    steps = np.stack([columns - camera.center[0], rows - camera.center[1]], axis=-1) / camera.focal
    rays = np.concatenate([steps, np.ones((HEIGHT, WIDTH, 1))], axis=-1).reshape(-1, 3)
    rays = rays @ np.asarray(camera.rotation) @ frame.axes.T
    colliders = [collider_of(item, schema, frame) for item in scene.objects]
    shapes = [item.shape for item in scene.objects]
    return _shares(eye, rays, colliders, frame.points(scene.objects), shapes)


def _shares(
    eye: Float[np.ndarray, "3"],
    rays: Float[np.ndarray, "pixels 3"],
    colliders: Sequence[Collider],
    locations: Float[np.ndarray, "objects 3"],
    shapes: Sequence[str | None],
) -> list[Visibility]:
    if not colliders:
        return []
    pairs = zip(colliders, shapes, strict=True)
    depths = np.stack([_depth(eye - place, rays, *pair) for place, pair in zip(locations, pairs, strict=True)])
    alone = np.isfinite(depths)
    seen = alone & (depths <= depths.min(0))
    covered, shown = alone.sum(1), seen.sum(1)
    return [
        Visibility(covers=float(whole / len(rays)), hidden=float(1 - part / whole) if whole else 0.0)
        for whole, part in zip(covered, shown, strict=True)
    ]


def _depth(
    eye: Float[np.ndarray, "3"], rays: Float[np.ndarray, "pixels 3"], collider: Collider, shape: str | None
) -> Float[np.ndarray, " pixels"]:
    """How far along each ray it meets the collider, whose centre is the origin; infinite where it does not."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if shape == "sphere":
            near, far = _round(eye, rays, collider.radius)
        else:
            near, far = _slab(eye[2], rays[:, 2], collider.half_height)
            if collider.is_round:
                walls = [_round(eye[:2], rays[:, :2], collider.radius)]
            else:
                cos, sin = np.cos(collider.turn), np.sin(collider.turn)
                turn = np.array([[cos, -sin], [sin, cos]])  # to the collider's own axes, for rows
                own_eye, own_rays = eye[:2] @ turn, rays[:, :2] @ turn
                extents = (collider.half_length, collider.half_width)
                walls = [_slab(own_eye[axis], own_rays[:, axis], extents[axis]) for axis in (0, 1)]
            for enter, leave in walls:
                near, far = np.fmax(near, enter), np.fmin(far, leave)
    return np.where((near < far) & (far > 0), np.maximum(near, 0), np.inf)


def _slab(eye: float, rays: np.ndarray, half: float) -> tuple[np.ndarray, np.ndarray]:
    """Where rays are within `half` of the origin along one axis."""
    first, second = (-half - eye) / rays, (half - eye) / rays
    return np.fmin(first, second), np.fmax(first, second)


def _round(eye: np.ndarray, rays: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Where rays are within `radius` of the origin, in two dimensions or three."""
    square, half = (rays**2).sum(1), rays @ eye
    root = half**2 - square * ((eye**2).sum() - radius**2)
    middle, reach = -half / square, np.sqrt(np.maximum(root, 0)) / square
    return np.where(root > 0, middle - reach, np.inf), np.where(root > 0, middle + reach, -np.inf)

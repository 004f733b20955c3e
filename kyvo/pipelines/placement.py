"""Places and sizes of made objects, fitted to their masks together with the camera.

A position head says about where each object stands; its mask says where it shows, to the pixel. Least squares brings
both together: the boxes of the objects' pictures become those of the masks, objects stay near to where the head put
them, most of them stand on one floor, and the camera stays near to the usual ones. Turns and shapes are kept.

The deviations were chosen on 40 development scenes (docs/dev/log.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import least_squares
from scipy.spatial import ConvexHull, QhullError

from kyvo.scene.pose import Pose
from kyvo.scene.scene import Camera
from kyvo.shapes.placed import PlacedObject
from kyvo.shapes.scene_layouts import USUAL_FIELD_OF_VIEW, USUAL_PITCH, near_side_camera

# Deviations of what is brought together. Lengths are in sides of the scene's cube.
BOX = 0.02  # of the picture's width, a side of a mask's box
PLACE = 0.04  # the head's translation
SIZE = 0.12  # the logarithm of its scale
FLOOR = 0.03  # how far an object's lowest point is from the floor
OFF_FLOOR = 2.0  # times FLOOR, from which on an object may as well stand on another one
PITCH = 0.12  # rad
FIELD_OF_VIEW = 0.06  # rad
TARGET = 0.15  # what the camera looks at, from the middle of the scene's cube
BEYOND = 0.5  # how much it counts that an object reaches beyond its mask where another object hides it

DISTANCE = 2.2  # of the camera at first
CAMERA_STEPS, STEPS = 40, 30  # evaluations at most, of the camera alone and of everything
NEAR = 0.05  # least depth of a point


def fit_to_masks(
    objects: Sequence[PlacedObject], masks: Bool[np.ndarray, "objects height width"]
) -> list[PlacedObject]:
    """The objects moved and scaled.

    Args:
        objects: in the scene's cube, [-1/2, 1/2]^3, in axes that follow the camera.
        masks: of the same objects, each with a pixel at least.
    """
    fit = _Fit.of(objects, masks)
    start = fit.start
    camera = least_squares(
        lambda found: fit.residuals(np.concatenate([found, start[_CAMERA:]])), start[:_CAMERA], max_nfev=CAMERA_STEPS
    ).x
    found = least_squares(fit.residuals, np.concatenate([camera, start[_CAMERA:]]), max_nfev=STEPS).x
    places, scales = fit.placement(found)
    return [
        replace(item, pose=replace(item.pose, translation=tuple(place), scale=scale))
        for item, place, scale in zip(objects, places.tolist(), scales.tolist(), strict=True)
    ]


def mask_boxes(masks: Bool[np.ndarray, "objects height width"]) -> Float[np.ndarray, "objects 4"]:
    """First column and row, and those after the last; px."""
    ends = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        ends.append([columns.min(), rows.min(), columns.max() + 1.0, rows.max() + 1.0])
    return np.array(ends)


def hidden_sides(masks: Bool[np.ndarray, "objects height width"]) -> Bool[np.ndarray, "objects 4"]:
    """Whether a side of a mask's box lies at another mask or at the picture's edge: the object may go on there."""
    taken = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    edge = np.ones(taken.shape[1:], dtype=bool)
    edge[1:-1, 1:-1] = False
    found = []
    for index, (mask, box) in enumerate(zip(taken, mask_boxes(masks).astype(int), strict=True)):
        blocked = edge | np.delete(taken, index, axis=0).any(0)
        left, top, right, bottom = box  # in `taken`, one pixel before the first and the last of the mask
        found.append(
            [
                (mask[:, left + 1] & blocked[:, left]).any(),
                (mask[top + 1] & blocked[top]).any(),
                (mask[:, right] & blocked[:, right + 1]).any(),
                (mask[bottom] & blocked[bottom + 1]).any(),
            ]
        )
    return np.array(found)


_CAMERA = 6  # pitch, field of view, logarithm of the distance, target


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fit:
    """Unknowns: the camera's, the floor's height, translations, and logarithms of scales."""

    points: Float[np.ndarray, "points 3"]  # of all objects' hulls, turned, in their cubes
    counts: Sequence[int]  # of each object
    places: Float[np.ndarray, "objects 3"]  # that the head says
    log_scales: Float[np.ndarray, " objects"]
    boxes: Float[np.ndarray, "objects 4"]  # of the masks, px
    hidden: Bool[np.ndarray, "objects 4"]
    width: int  # of the picture, px
    height: int

    @classmethod
    def of(cls, objects: Sequence[PlacedObject], masks: Bool[np.ndarray, "objects height width"]) -> "_Fit":
        hulls = [_hull(item) for item in objects]
        return cls(
            points=np.concatenate(hulls),
            counts=[len(hull) for hull in hulls],
            places=np.array([item.pose.translation for item in objects]),
            log_scales=np.log([item.pose.scale for item in objects]),
            boxes=mask_boxes(masks),
            hidden=hidden_sides(masks),
            width=masks.shape[2],
            height=masks.shape[1],
        )

    @cached_property
    def first(self) -> np.ndarray:
        """Row of each object's first point."""
        return np.cumsum([0, *self.counts[:-1]])

    @cached_property
    def lowest(self) -> Float[np.ndarray, " objects"]:
        """Of each object in its cube."""
        return np.minimum.reduceat(self.points[:, 2], self.first)

    @property
    def start(self) -> np.ndarray:
        floor = np.median(self.places[:, 2] + np.exp(self.log_scales) * self.lowest)
        return np.concatenate([USUAL, [math.log(DISTANCE), 0.0, 0.0, 0.0, floor], self.places.ravel(), self.log_scales])

    def placement(self, unknowns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Translations and scales."""
        count = len(self.places)
        places, log_scales = np.split(unknowns[_CAMERA + 1 :], [3 * count])
        return places.reshape(count, 3), np.exp(log_scales)

    def camera(self, unknowns: np.ndarray) -> Camera:
        pitch, field, log_distance, *target = unknowns[:_CAMERA].tolist()
        return near_side_camera(
            np.array(target),
            distance=math.exp(log_distance),
            pitch=pitch,
            field=field,
            width=self.width,
            height=self.height,
        )

    def residuals(self, unknowns: np.ndarray) -> np.ndarray:
        """Each in its deviation."""
        places, scales = self.placement(unknowns)
        camera, floor = self.camera(unknowns), unknowns[_CAMERA]
        seen = _projected(camera, self.points * self._each(scales)[:, None] + self._each(places))
        found = np.hstack([np.minimum.reduceat(seen, self.first), np.maximum.reduceat(seen, self.first)])
        outwards = (found - self.boxes) * [-1, -1, 1, 1]
        outwards = np.where(self.hidden & (outwards > 0), BEYOND * outwards, outwards)
        above = (places[:, 2] + scales * self.lowest - floor) / FLOOR
        return np.concatenate(
            [
                outwards.ravel() / (BOX * self.width),
                (places - self.places).ravel() / PLACE,
                (np.log(scales) - self.log_scales) / SIZE,
                OFF_FLOOR * np.sign(above) * np.sqrt(np.log1p((above / OFF_FLOOR) ** 2)),  # Cauchy's loss
                (unknowns[:2] - USUAL) / [PITCH, FIELD_OF_VIEW],
                unknowns[3:_CAMERA] / TARGET,
            ]
        )

    def _each(self, of_objects: np.ndarray) -> np.ndarray:
        """For each point what its object has."""
        return np.repeat(of_objects, self.counts, axis=0)


USUAL = np.array([USUAL_PITCH, USUAL_FIELD_OF_VIEW])


def _projected(camera: Camera, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 2"]:
    """As `Camera.project`, with points behind the camera kept in front of it: a step of the fit may put some there."""
    seen = (points - np.array(camera.location)) @ np.array(camera.rotation).T
    return seen[:, :2] / np.maximum(seen[:, 2:], NEAR) * camera.focal + np.array(camera.center)


def _hull(item: PlacedObject) -> Float[np.ndarray, "points 3"]:
    """Corners of the object's convex hull, turned: no others are at the ends of a picture."""
    points = item.surface.vertices.detach().cpu().double().numpy()
    turned = Pose(quaternion_wxyz=item.pose.quaternion_wxyz).apply(points)
    try:
        return turned[ConvexHull(turned).vertices]
    except QhullError:  # all points in one plane
        return turned

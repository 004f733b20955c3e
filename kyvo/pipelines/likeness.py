"""How much a made object looks like a picture: both as small thumbnails, compared by color and outline."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from kyvo.data.object_pictures import ObjectPicture, cut_out
from kyvo.errors import ImageError
from kyvo.models.slat.flexicubes import Surface
from kyvo.models.slat.gaussians import Camera
from kyvo.shapes.surfaces import surface_asset
from kyvo.shapes.views import MeshViews, sphere_cameras

THUMBNAIL = 24  # px along a side
VIEW = 3 * THUMBNAIL  # px along the side of a picture before it is cut out and reduced
NUM_VIEWS = 48  # of an object from all around, as far as the side that a picture shows is not known

Thumbnail = Float[np.ndarray, "side side 4"]


@torch.inference_mode()
def picture_distance(surface: Surface, picture: ObjectPicture) -> float:
    """Squared difference of the picture's thumbnail from the object's, from the side where it is least."""
    seen = thumbnails(surface, sphere_cameras(NUM_VIEWS, size=VIEW))
    return float(((seen - thumbnail(picture.rgba)) ** 2).sum((1, 2, 3)).min())


def thumbnails(surface: Surface, cameras: Sequence[Camera]) -> Float[np.ndarray, "cameras side side 4"]:
    """The object as these cameras see it, cut out; nothing at all where a camera misses it."""
    views = MeshViews(surface_asset(surface))
    return np.stack([_thumbnail_of(views, camera) for camera in cameras])


def thumbnail(rgba: np.ndarray) -> Thumbnail:
    """Color times opacity, and opacity, in [0, 1], of a picture that is cut out."""
    small = np.array(Image.fromarray(rgba).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), dtype=float) / 255
    return np.concatenate([small[..., :3] * small[..., 3:], small[..., 3:]], axis=2)


def _thumbnail_of(views: MeshViews, camera: Camera) -> Thumbnail:
    rgba = np.round(255 * views.picture(camera, samples=1)).astype(np.uint8)
    rgba[..., 3] = np.where(rgba[..., 3] > 0, 255, 0)  # a thin pole fills no pixel
    try:
        return thumbnail(cut_out(rgba).rgba)
    except ImageError:
        return np.zeros((THUMBNAIL, THUMBNAIL, 4))

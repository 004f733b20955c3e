"""Pictures of generated scenes from the true camera, against the given picture and against the true objects.

As SceneGen compares (https://arxiv.org/abs/2508.15769): with the picture where its objects show, white elsewhere, and
with a rendering of the true objects ("of shapes"). The ray caster and its light are Kyvo's, not Blender's, so figures
are comparable among methods that are measured here alone.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import UInt8

from kyvo.errors import SceneError
from kyvo.evaluation.perceptual import PerceptualScores
from kyvo.metrics.images import psnr, ssim
from kyvo.models.slat.gaussians import Camera as ObjectCamera
from kyvo.scene.scene import Camera
from kyvo.shapes.placed import PlacedObject
from kyvo.shapes.scene_files import scene_mesh
from kyvo.shapes.scene_flow_data import SceneRow
from kyvo.shapes.views import MeshViews

Picture = UInt8[np.ndarray, "height width 3"]
PEAK = 100.0  # dB; PSNR of equal pictures, which has no bound
COMPARED = ("", " of shapes")  # endings of figures: with the given picture, and with a rendering of the true objects


def rendering_scores(
    made: Sequence[PlacedObject],
    place: Callable[[np.ndarray], np.ndarray],
    truth: Sequence[PlacedObject],
    row: SceneRow,
    *,
    perceptual: Mapping[str, PerceptualScores] | None = None,
) -> dict[str, float]:
    """PSNR (dB), SSIM and, with their networks, LPIPS, CLIP and DINO.

    Args:
        place: puts points of the made scene where they stand in the true one.
        perceptual: by the endings of COMPARED.

    Raises:
        SceneError: the row has no camera.
    """
    if row.camera is None:
        raise SceneError("the scene has no camera to render it from.")
    ours = scene_picture(made, row.camera, place=place)
    given = np.where(np.any(row.picture.masks, axis=0)[..., None], row.picture.rgb, 255).astype(np.uint8)
    found: dict[str, float] = {}
    for ending, theirs in zip(COMPARED, (given, scene_picture(truth, row.camera)), strict=True):
        found[f"PSNR{ending}"] = min(psnr(ours, theirs), PEAK)
        found[f"SSIM{ending}"] = ssim(ours, theirs)
        if perceptual is not None:
            found |= {f"{name.upper()}{ending}": value for name, value in perceptual[ending].add(ours, theirs).items()}
    return found


def scene_picture(
    objects: Sequence[PlacedObject], camera: Camera, *, place: Callable[[np.ndarray], np.ndarray] | None = None
) -> Picture:
    """The objects on white, lit from the camera's upper side."""
    rgba = MeshViews(scene_mesh(objects, place=place)).picture(as_object_camera(camera))
    color = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
    return np.round(255 * color).astype(np.uint8)


def as_object_camera(camera: Camera) -> ObjectCamera:
    """The same pinhole as object views take it."""
    rotation = np.array(camera.rotation)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ np.array(camera.location)
    return ObjectCamera(
        world_to_camera=torch.from_numpy(matrix).float(),
        focal=(camera.focal, camera.focal),
        center=camera.center,
        width=camera.width,
        height=camera.height,
    )

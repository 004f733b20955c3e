"""TRELLIS's way from a mesh to its latent: DINOv2's features of many views, averaged in each cell, then the encoder.

The network is DINOv2 ViT-L/14 with registers, as transformers keeps it (`facebook/dinov2-with-registers-large`), from a
folder of the user's; nothing is fetched. Each cell's centre is looked up in the patches of every view, seen or not: the
authors found a test of visibility to make no difference (https://arxiv.org/abs/2412.01506, section 3.2).
"""

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from kyvo.data.meshes.assets import Asset
from kyvo.errors import CheckpointError
from kyvo.models.dinov2 import DinoPatches
from kyvo.models.slat.encoder import SLatEncoder
from kyvo.models.slat.gaussians import Camera
from kyvo.models.slat.latent import RESOLUTION, StructuredLatent
from kyvo.models.slat.sparse import SparseTensor, Voxels
from kyvo.shapes.views import MeshViews, sphere_cameras
from kyvo.shapes.voxelize import voxelize

NUM_VIEWS = 150
PICTURE_SIZE = 518  # px; 37 patches of 14


def mean_features(
    centers: Float[Tensor, "cells 3"], views: Iterable[tuple[Camera, Float[Tensor, "channels rows columns"]]]
) -> Float[Tensor, "cells channels"]:
    """Each point's features, looked up between patches in every view, and their mean; zero outside a picture."""
    total, count = None, 0
    for camera, patches in views:
        seen = centers @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        pixels = seen[:, :2] / seen[:, 2:] * seen.new_tensor(camera.focal) + seen.new_tensor(camera.center)
        place = 2 * pixels / seen.new_tensor([camera.width, camera.height]) - 1
        found = F.grid_sample(patches[None], place[None, None].to(patches), align_corners=False)[0, :, 0].T
        total, count = found if total is None else total + found, count + 1
    assert total is not None
    return total / count


def dino_features(
    mesh: Asset,
    patches: DinoPatches,
    *,
    num_views: int = NUM_VIEWS,
    resolution: int = RESOLUTION,
    picture_size: int = PICTURE_SIZE,
    rng: np.random.Generator | None = None,
) -> tuple[Int[np.ndarray, "cells 3"], Float[Tensor, "cells channels"]]:
    """The active cells of a mesh in the cube and their mean features; what TRELLIS's encoder takes.

    Its authors' pictures are Cycles', 512 px and resized; these are ray cast at the size that the network sees.

    Args:
        rng: draws the shift of the views; without one there is none.
    """
    coords = voxelize(mesh.triangles, resolution=resolution)
    device = next(patches.parameters()).device
    centers = ((torch.from_numpy(coords) + 0.5) / resolution - 0.5).float()
    u, v = (0.0, 0.0) if rng is None else rng.random(2).tolist()
    caster = MeshViews(mesh)

    def views() -> Iterable[tuple[Camera, Tensor]]:
        for camera in sphere_cameras(num_views, size=picture_size, offset=(u, v)):
            rgba = torch.from_numpy(caster.picture(camera)).float()
            picture = (rgba[..., :3] * rgba[..., 3:]).permute(2, 0, 1)
            yield camera, patches(picture[None].to(device))[0].float().cpu()

    return coords, mean_features(centers, views())


def encode_mesh(
    mesh: Asset,
    *,
    patches: DinoPatches,
    encoder: SLatEncoder,
    num_views: int = NUM_VIEWS,
    picture_size: int = PICTURE_SIZE,
    rng: np.random.Generator | None = None,
) -> StructuredLatent:
    """The latent of a mesh in the cube, as TRELLIS's files hold it.

    Raises:
        CheckpointError: the encoder takes another number of features than the network gives.
    """
    width, wanted = patches.width, encoder.input_layer.in_features
    if width != wanted:
        raise CheckpointError(
            f"DINOv2 gives {width} features and the encoder takes {wanted}; one of them is another size."
        )
    resolution = encoder.config.resolution
    coords, feats = dino_features(
        mesh, patches, num_views=num_views, resolution=resolution, picture_size=picture_size, rng=rng
    )
    device = next(encoder.parameters()).device
    voxels = Voxels.of_one(torch.from_numpy(coords).to(device), resolution=resolution)
    with torch.inference_mode():
        (latent,) = StructuredLatent.from_sparse(encoder.encode(SparseTensor(voxels=voxels, feats=feats.to(device))))
    return latent

"""TRELLIS's way from a mesh to its latent: DINOv2's features of many views, averaged in each cell, then the encoder.

The network is DINOv2 ViT-L/14 with registers, as transformers keeps it (`facebook/dinov2-with-registers-large`), from a
folder of the user's; nothing is fetched. Each cell's centre is looked up in the patches of every view, seen or not: the
authors found a test of visibility to make no difference (https://arxiv.org/abs/2412.01506, section 3.2).
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn

from kyvo.data.meshes.assets import Asset
from kyvo.errors import CheckpointError
from kyvo.models.slat.encoder import SLatEncoder
from kyvo.models.slat.gaussians import Camera
from kyvo.models.slat.latent import RESOLUTION, StructuredLatent
from kyvo.models.slat.sparse import SparseTensor, Voxels
from kyvo.shapes.views import MeshViews, sphere_cameras
from kyvo.shapes.voxelize import voxelize

NUM_VIEWS = 150
PICTURE_SIZE = 518  # px; 37 patches of 14
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
MODEL_TYPE = "dinov2_with_registers"


class DinoPatches(nn.Module):
    """Features of a picture's patches before the network's last normalisation, which the encoder was trained on."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        network.layernorm = nn.Identity()
        self.network = network.eval().requires_grad_(False)
        self.width: int = network.config.hidden_size
        self.patch_size: int = network.config.patch_size
        self.num_registers: int = network.config.num_register_tokens

    @classmethod
    def from_folder(cls, path: Path | str, *, device: torch.device | str = "cpu") -> "DinoPatches":
        """The network of a folder with `config.json` and `model.safetensors`.

        Raises:
            CheckpointError: there is no such folder, or it holds another network.
        """
        import transformers

        path = Path(path)
        try:
            about = json.loads((path / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{path} has no readable config.json ({error}). Give the folder of "
                "facebook/dinov2-with-registers-large, as transformers saves it."
            ) from error
        if about.get("model_type") != MODEL_TYPE:
            raise CheckpointError(
                f"{path} is a {about.get('model_type')!r}; TRELLIS's encoder needs DINOv2 with registers, a "
                f"{MODEL_TYPE!r}."
            )
        try:
            kind: Any = transformers.Dinov2WithRegistersModel
            network, loading = kind.from_pretrained(
                path, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(f"{path}: its weights cannot be read ({error}). Fetch them again.") from error
        if loading["missing_keys"]:
            raise CheckpointError(f"{path}: its weights lack {sorted(loading['missing_keys'])[:3]}. Fetch them again.")
        return cls(network).to(device)

    @torch.inference_mode()
    def forward(self, pictures: Float[Tensor, "views 3 height width"]) -> Float[Tensor, "views channels rows columns"]:
        """Of pictures in [0, 1], black where nothing is, whose sides are whole numbers of patches."""
        mean, std = (pictures.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        tokens = self.network((pictures - mean) / std).last_hidden_state
        patches = tokens[:, 1 + self.num_registers :]
        rows, columns = (side // self.patch_size for side in pictures.shape[2:])
        return patches.mT.unflatten(2, (rows, columns))


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

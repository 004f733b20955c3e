"""A mesh's views through DINOv2 to TRELLIS's encoder, with small networks of the same kind."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kyvo.data.meshes.procedural import procedural_library
from kyvo.errors import CheckpointError
from kyvo.models.slat.gaussians import Camera
from kyvo.models.slat.load import build_network
from kyvo.models.slat.published import PUBLISHED
from kyvo.shapes.dino import DinoPatches, dino_features, encode_mesh, mean_features
from kyvo.shapes.mesh import normalized
from kyvo.shapes.voxelize import voxelize

WIDTH, PATCH = 16, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    config = Dinov2WithRegistersConfig(
        hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=PATCH
    )
    path = tmp_path_factory.mktemp("dino")
    Dinov2WithRegistersModel(config).save_pretrained(path)
    return path


def test_patches_are_those_before_the_last_normalisation(folder: Path) -> None:
    from transformers import Dinov2WithRegistersModel

    pictures = torch.rand(2, 3, 20, 28, generator=torch.Generator().manual_seed(1))
    patches = DinoPatches.from_folder(folder)(pictures)
    assert patches.shape == (2, WIDTH, 5, 7)
    whole = Dinov2WithRegistersModel.from_pretrained(folder, local_files_only=True).eval()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        normed = whole((pictures - mean[:, None, None]) / std[:, None, None]).last_hidden_state[:, 1 + 4 :]
        ours = whole.layernorm(patches.flatten(2).mT)
    torch.testing.assert_close(ours, normed)
    assert not torch.allclose(patches.flatten(2).mT, normed, atol=1e-3)


def test_a_point_finds_the_patch_that_shows_it() -> None:
    """Patches that hold their own centre's place in the picture, looked up, give the point's projection."""
    size, side = 64, 16
    along = (torch.arange(side) + 0.5) * (size / side)
    patches = torch.stack(torch.meshgrid(along, along, indexing="xy"))
    camera = Camera.look_at_origin(torch.tensor([0.0, -2.0, 0.0]), size=size)
    points = torch.tensor([[0.0, 0, 0], [0.2, 0, 0], [0, 0, 0.3], [0.1, 0.4, -0.2]])
    # From -y, x is to the right and z up; a point is y + 2 away.
    away = 2 + points[:, 1]
    expected = torch.stack([points[:, 0] / away, -points[:, 2] / away], 1) * camera.focal[0] + size / 2
    torch.testing.assert_close(mean_features(points, [(camera, patches)]), expected, rtol=1e-4, atol=1e-3)
    twice = mean_features(points, [(camera, patches), (camera, 3 * patches)])
    torch.testing.assert_close(twice, 2 * expected, rtol=1e-4, atol=1e-3)


def test_a_point_outside_a_picture_adds_nothing() -> None:
    camera = Camera.look_at_origin(torch.tensor([0.0, -2.0, 0.0]), size=64)
    assert not mean_features(torch.tensor([[5.0, 0.0, 0.0]]), [(camera, torch.ones(3, 4, 4))]).any()


def test_a_mesh_becomes_a_latent_of_the_cells_it_crosses(folder: Path) -> None:
    pytest.importorskip("open3d")
    mesh = normalized(procedural_library(variants=1).assets["chair-0"])
    about = dict(PUBLISHED["slat_enc_swin8_B_64l8_fp16"])
    small = {"resolution": 16, "model_channels": 32, "num_blocks": 2, "num_heads": 2, "use_fp16": False}
    about["args"] = {**about["args"], **small, "in_channels": WIDTH}
    torch.manual_seed(0)
    encoder = build_network(about)
    patches = DinoPatches.from_folder(folder)
    settings = {"num_views": 3, "picture_size": 28}
    latent = encode_mesh(mesh, patches=patches, encoder=encoder, rng=np.random.default_rng(0), **settings)
    np.testing.assert_array_equal(latent.coords.numpy(), voxelize(mesh.triangles, resolution=16))
    assert latent.feats.shape == (len(latent.coords), 8)
    assert latent.resolution == 16
    again = encode_mesh(mesh, patches=patches, encoder=encoder, rng=np.random.default_rng(0), **settings)
    torch.testing.assert_close(again.feats, latent.feats, rtol=0, atol=0)
    _, feats = dino_features(mesh, patches, resolution=16, **settings)
    assert feats.std(0).min() > 0  # cells differ

    about["args"]["in_channels"] = WIDTH + 1
    with pytest.raises(CheckpointError, match=rf"DINOv2 gives {WIDTH} features and the encoder takes {WIDTH + 1}"):
        encode_mesh(mesh, patches=patches, encoder=build_network(about), **settings)


def test_a_folder_of_another_network_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no readable config\.json"):
        DinoPatches.from_folder(tmp_path)
    about = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**about, "model_type": "dinov2"}))
    with pytest.raises(CheckpointError, match=r"is a 'dinov2'; TRELLIS needs DINOv2 with registers"):
        DinoPatches.from_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match=r"its weights cannot be read"):
        DinoPatches.from_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match=r"its weights cannot be read"):
        DinoPatches.from_folder(tmp_path)

"""What a small flow has beside the published ones: patches of latents, and the object itself as the prediction."""

import pytest
import torch

from kyvo.errors import ConfigError
from kyvo.models.flow.path import add_noise, velocity_target
from kyvo.models.flow.slat_flow import SLatFlowConfig, SLatFlowModel
from kyvo.models.flow.structure_flow import (
    SparseStructureFlowModel,
    StructureFlowConfig,
    from_patches,
    to_patches,
)
from kyvo.models.slat.sparse import SparseTensor, Voxels

SHARED = {
    "in_channels": 3,
    "out_channels": 3,
    "model_channels": 24,
    "cond_channels": 8,
    "num_blocks": 1,
    "num_heads": 2,
}


@pytest.mark.parametrize("side", [1, 2, 4])
def test_patches_are_the_grids_blocks_and_go_back(side):
    grid = torch.randn(2, 3, 8, 8, 8)
    patches = to_patches(grid, side)
    assert torch.equal(from_patches(patches, side), grid)
    count = 8 // side
    x, y, z = 1, 0, count - 1
    block = grid[1, :, x * side : (x + 1) * side, y * side : (y + 1) * side, z * side : (z + 1) * side]
    assert torch.equal(patches[1, (x * count + y) * count + z], block.flatten())


def test_a_prediction_of_the_object_is_the_velocity_that_leads_to_it():
    config = StructureFlowConfig(**SHARED, resolution=4, patch_size=2, prediction="data")
    model = SparseStructureFlowModel(config)
    data, noise = torch.randn(2, 2, 3, 4, 4, 4)
    t = torch.tensor([0.3, 0.9])
    spread = t[:, None, None, None, None]
    x = add_noise(data, noise, spread)
    torch.testing.assert_close(model.velocity(data, x, spread), velocity_target(data, noise), rtol=1e-3, atol=1e-3)
    # One step of that velocity, from any time to 0, is at the object.
    torch.testing.assert_close(x - spread * model.velocity(data, x, spread), data)
    model.initialize()  # predicts zeros
    found = model(x, t, torch.randn(2, 5, 8))
    torch.testing.assert_close(found, x / spread)


def test_the_sparse_flow_predicts_the_object_too():
    config = SLatFlowConfig(**SHARED, resolution=8, patch_size=2, io_block_channels=(8,), prediction="data")
    model = SLatFlowModel(config)
    model.initialize()
    coords = torch.tensor([[0, 1, 1, 1], [0, 2, 1, 1], [1, 4, 4, 4]])
    x = SparseTensor(voxels=Voxels(coords=coords, resolution=8, batch_size=2), feats=torch.randn(3, 3))
    t = torch.tensor([0.5, 0.01])
    times = torch.tensor([[0.5], [0.5], [0.05]])  # never divided by less
    torch.testing.assert_close(model(x, t, torch.randn(2, 5, 8)), x.feats / times)


def test_predictions_that_are_not_known_are_refused():
    with pytest.raises(ConfigError, match="prediction is 'noise'"):
        StructureFlowConfig(**SHARED, resolution=4, prediction="noise")
    with pytest.raises(ConfigError, match="as many of both"):
        StructureFlowConfig(**{**SHARED, "out_channels": 4}, resolution=4, prediction="data")

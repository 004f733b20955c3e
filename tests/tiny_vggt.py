"""A folder of a tiny VGGT with random weights, under the names of facebook/VGGT-1B."""

from pathlib import Path

import torch

from kyvo.models.vggt import PREFIX, VggtAggregator, VggtConfig
from kyvo.models.weights import write_weights

TINY = VggtConfig(
    width=16,
    head_width=8,
    num_blocks=2,
    num_backbone_blocks=1,
    patch_size=4,
    patches_along=3,
    num_registers=2,
    num_backbone_registers=1,
)


def write_tiny_vggt(folder: Path) -> VggtAggregator:
    """Beside the aggregator's, a tensor of a head, which is not read."""
    torch.manual_seed(0)
    network = VggtAggregator(TINY).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.5)
    folder.mkdir()
    state = {f"{PREFIX}{name}": value for name, value in network.state_dict().items()}
    write_weights(folder / "model.safetensors", {**state, "camera_head.token_norm.weight": torch.ones(16)})
    return network

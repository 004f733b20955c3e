"""Generators of objects with random weights: 4^3 latents, a grid of 16, as small as they can be."""

from pathlib import Path

import torch
from torch import nn

from kyvo.generation.flow_sampler import FlowSampler
from kyvo.models.flow.small_encoders import (
    SmallPictureEncoder,
    SmallPictureEncoderConfig,
    SmallTextEncoder,
    SmallTextEncoderConfig,
)
from kyvo.models.slat.load import build_network
from kyvo.models.slat.published import PUBLISHED
from kyvo.pipelines.objects import ObjectGenerator

SIDE, COND = 16, 8
WORDS = ("a", "red", "blue", "chair", "table", "with", "legs")
FLOW = {"model_channels": 24, "cond_channels": COND, "num_blocks": 2, "num_heads": 2, "qk_rms_norm": True}


def random(about: dict, *, std: float = 0.15) -> nn.Module:
    """A network whose output depends on all that goes in."""
    network = build_network(about)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=std, generator=generator)
    return network.eval().requires_grad_(False)


def tiny_generator(
    *, channels: int = 12, trellis_decoders: bool = False, cond_channels: int = COND, **changes
) -> ObjectGenerator:
    """`channels` 12: surface features, which need no decoder; 8 with TRELLIS's decoders."""
    shared = {**FLOW, "cond_channels": cond_channels}
    structure = {"latent_channels": 3, "num_res_blocks": 1, "num_res_blocks_middle": 1}
    decoder = random({"name": "SparseStructureDecoder", "args": {**structure, "channels": [8, 8, 4]}}, std=0.25)
    logits = decoder(torch.randn(8, 3, 4, 4, 4, generator=torch.Generator().manual_seed(2)))
    decoder.out_layer[2].bias -= logits.quantile(0.85)  # few cells
    parts = {
        "structure_decoder": decoder,
        "structure_encoder": random({"name": "SparseStructureEncoder", "args": {**structure, "channels": [4, 8, 8]}}),
        "structure_flow": random(
            {
                "name": "SparseStructureFlowModel",
                "args": {**shared, "resolution": 4, "in_channels": 3, "out_channels": 3},
            }
        ),
        "slat_flow": random(
            {
                "name": "SLatFlowModel",
                "args": {
                    **shared,
                    "resolution": SIDE,
                    "in_channels": channels,
                    "out_channels": channels,
                    "patch_size": 2,
                    "io_block_channels": [8],
                },
            }
        ),
        "slat_mean": [0.1] * channels,
        "slat_std": [0.5] * channels,
        "structure_sampler": FlowSampler(steps=3, guidance=1.0),
        "slat_sampler": FlowSampler(steps=2, guidance=1.0),
    }
    if trellis_decoders:
        trunk = {"resolution": SIDE, "num_blocks": 1, "num_heads": 2, "mlp_ratio": 1, "use_fp16": False}
        for name, published, width in (
            ("mesh_decoder", "slat_dec_mesh_swin8_B_64l8m256c_fp16", 256),
            ("gaussian_decoder", "slat_dec_gs_swin8_B_64l8gs32_fp16", 32),
        ):
            about = PUBLISHED[published]
            args = {**about["args"], **trunk, "model_channels": width, "latent_channels": channels}
            torch.manual_seed(0)
            parts[name] = build_network({**about, "args": args}).eval().requires_grad_(False)
    torch.manual_seed(0)
    encoders = {
        "picture": SmallPictureEncoder(
            SmallPictureEncoderConfig(channels=COND, num_blocks=1, picture_size=32, patch_size=8)
        ),
        "text": SmallTextEncoder(SmallTextEncoderConfig(channels=COND, num_blocks=1, words=WORDS)),
    }
    for encoder in encoders.values():
        encoder.eval().requires_grad_(False)
    return ObjectGenerator(**{**parts, "encoders": encoders, **changes})


def write_tiny_pipeline(folder: Path, **changes) -> Path:
    """The folder of such a generator."""
    tiny_generator(**changes).save_pretrained(folder)
    return folder

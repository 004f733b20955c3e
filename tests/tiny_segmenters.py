"""SAM with random weights, as small as its configuration lets it be."""

from pathlib import Path

import torch
from transformers import (
    SamConfig,
    SamImageProcessorPil,
    SamMaskDecoderConfig,
    SamModel,
    SamProcessor,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

SIDE, PATCH = 64, 16  # px


def write_tiny_sam(folder: Path) -> Path:
    """A folder as transformers saves it."""
    size = {"image_size": SIDE, "patch_size": PATCH}
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 16}
    vision = SamVisionConfig(
        hidden_size=16, output_channels=16, window_size=2, global_attn_indexes=[0], num_pos_feats=8, **size, **layers
    )
    decoder = SamMaskDecoderConfig(hidden_size=16, iou_head_depth=2, iou_head_hidden_dim=16, **layers)
    config = SamConfig(
        vision_config=vision.to_dict(),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=16, mask_input_channels=4, **size).to_dict(),
        mask_decoder_config=decoder.to_dict(),
    )
    torch.manual_seed(0)
    SamModel(config).save_pretrained(folder)
    pictures = SamImageProcessorPil(size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE})
    SamProcessor(pictures).save_pretrained(folder)
    return folder

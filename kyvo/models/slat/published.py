"""The configurations of TRELLIS's published autoencoders: the JSON beside each file of microsoft/TRELLIS-image-large.

For building a network of the same kind without the files. `load_network` reads the JSON that the user has.
"""

from typing import Any

_TRUNK: dict[str, Any] = {
    "resolution": 64,
    "model_channels": 768,
    "latent_channels": 8,
    "num_blocks": 12,
    "num_heads": 12,
    "mlp_ratio": 4,
    "attn_mode": "swin",
    "window_size": 8,
    "pe_mode": "ape",
    "qk_rms_norm": False,
    "use_fp16": True,
}
_GAUSSIANS: dict[str, Any] = {
    "lr": {"_xyz": 1.0, "_features_dc": 1.0, "_opacity": 1.0, "_scaling": 1.0, "_rotation": 0.1},
    "perturb_offset": True,
    "voxel_size": 1.5,
    "num_gaussians": 32,
    "2d_filter_kernel_size": 0.1,
    "3d_filter_kernel_size": 9e-4,
    "scaling_bias": 4e-3,
    "opacity_bias": 0.1,
    "scaling_activation": "softplus",
}
_STRUCTURE: dict[str, Any] = {"latent_channels": 8, "num_res_blocks": 2, "num_res_blocks_middle": 2, "use_fp16": True}

PUBLISHED: dict[str, dict[str, Any]] = {
    "slat_enc_swin8_B_64l8_fp16": {"name": "SLatEncoder", "args": {**_TRUNK, "in_channels": 1024}},
    "slat_dec_gs_swin8_B_64l8gs32_fp16": {
        "name": "SLatGaussianDecoder",
        "args": {**_TRUNK, "representation_config": _GAUSSIANS},
    },
    "slat_dec_rf_swin8_B_64l8r16_fp16": {
        "name": "SLatRadianceFieldDecoder",
        "args": {**_TRUNK, "representation_config": {"rank": 16, "dim": 8}},
    },
    "slat_dec_mesh_swin8_B_64l8m256c_fp16": {
        "name": "SLatMeshDecoder",
        "args": {**_TRUNK, "representation_config": {"use_color": True}},
    },
    "ss_enc_conv3d_16l8_fp16": {
        "name": "SparseStructureEncoder",
        "args": {**_STRUCTURE, "in_channels": 1, "channels": [32, 128, 512]},
    },
    "ss_dec_conv3d_16l8_fp16": {
        "name": "SparseStructureDecoder",
        "args": {**_STRUCTURE, "out_channels": 1, "channels": [512, 128, 32]},
    },
}

"""The configurations of TRELLIS's published flow models: the JSON beside each file of its repositories.

`microsoft/TRELLIS-image-large` holds the pair for pictures; `TRELLIS-text-base`, `-large` and `-xlarge` hold those for
texts. For building a network of the same kind without the files; `load_network` reads the JSON that the user has.
"""

from typing import Any

_STRUCTURE: dict[str, Any] = {"resolution": 16, "patch_size": 1}
_SLAT: dict[str, Any] = {"resolution": 64, "patch_size": 2, "num_io_res_blocks": 2, "io_block_channels": [128]}
_SIZES: dict[str, dict[str, Any]] = {
    "B": {"model_channels": 768, "num_blocks": 12, "num_heads": 12},
    "L": {"model_channels": 1024, "num_blocks": 24, "num_heads": 16},
    "XL": {"model_channels": 1280, "num_blocks": 28, "num_heads": 16},
}
_XL_STRUCTURE: dict[str, Any] = {"qk_rms_norm_cross": True}
_XL_SLAT: dict[str, Any] = {"num_io_res_blocks": 3, "io_block_channels": [256]}


def _describe(name: str, size: str, cond_channels: int, stage: dict[str, Any]) -> dict[str, Any]:
    args = {"in_channels": 8, "out_channels": 8, "cond_channels": cond_channels, "mlp_ratio": 4, "pe_mode": "ape"}
    return {"name": name, "args": args | {"qk_rms_norm": True, "use_fp16": True} | _SIZES[size] | stage}


def _pair(kind: str, size: str, cond_channels: int) -> dict[str, dict[str, Any]]:
    structure, slat = (_STRUCTURE | _XL_STRUCTURE, _SLAT | _XL_SLAT) if size == "XL" else (_STRUCTURE, _SLAT)
    return {
        f"ss_flow_{kind}_dit_{size}_16l8_fp16": _describe("SparseStructureFlowModel", size, cond_channels, structure),
        f"slat_flow_{kind}_dit_{size}_64l8p2_fp16": _describe("ElasticSLatFlowModel", size, cond_channels, slat),
    }


PUBLISHED_FLOWS: dict[str, dict[str, Any]] = {
    **_pair("img", "L", 1024),  # tokens of DINOv2 ViT-L/14 with registers
    **_pair("txt", "B", 768),  # tokens of CLIP ViT-L/14's text encoder
    **_pair("txt", "L", 768),
    **_pair("txt", "XL", 768),
}

"""The networks at their published configurations have the published files' sizes, without a weight being allocated."""

import json
from collections.abc import Mapping

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from kyvo.models.flow.published import PUBLISHED_FLOWS
from kyvo.models.slat.load import build_network
from kyvo.models.slat.published import PUBLISHED

# tensors, parameters, bytes of the published file
SIZES = {
    "slat_enc_swin8_B_64l8_fp16": (100, 85_817_104, 173_242_816),
    "slat_dec_gs_swin8_B_64l8gs32_fp16": (101, 85_369_120, 171_450_952),
    "slat_dec_rf_swin8_B_64l8r16_fp16": (100, 85_369_024, 171_450_488),
    "slat_dec_mesh_swin8_B_64l8m256c_fp16": (120, 90_926_693, 181_903_412),
    "ss_enc_conv3d_16l8_fp16": (74, 59_298_192, 119_068_016),
    "ss_dec_conv3d_16l8_fp16": (74, 73_671_201, 147_591_972),
    "ss_flow_img_dit_L_16l8_fp16": (489, 559_737_864, 1_130_770_840),
    "slat_flow_img_dit_L_64l8p2_fp16": (526, 600_432_520, 1_203_755_136),
    # Those for texts are computed from the published code; their files were not at hand.
    "ss_flow_txt_dit_B_16l8_fp16": (249, None, 327_736_456),
    "ss_flow_txt_dit_L_16l8_fp16": (489, None, 1_105_604_976),
    "ss_flow_txt_dit_XL_16l8_fp16": (625, None, 1_976_327_512),
    "slat_flow_txt_dit_B_64l8p2_fp16": (286, None, 372_419_896),
    "slat_flow_txt_dit_L_64l8p2_fp16": (526, None, 1_178_589_272),
    "slat_flow_txt_dit_XL_64l8p2_fp16": (624, None, 2_151_142_688),
}
EVERY = {**PUBLISHED, **PUBLISHED_FLOWS}
CODES = {torch.float32: "F32", torch.float16: "F16"}


def serialized_size(state: Mapping[str, Tensor]) -> int:
    """Bytes of a safetensors file: a length of 8 bytes, a JSON header padded to a multiple of 8, and the data.

    The data stand by falling width of their dtype and then by name; the header names them in that order.
    """
    header, offset = {}, 0
    for name, tensor in sorted(state.items(), key=lambda item: (-item[1].element_size(), item[0])):
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    length = len(json.dumps(header, separators=(",", ":")))
    return 8 + -(-length // 8) * 8 + offset


@pytest.mark.parametrize("name", SIZES)
def test_a_network_at_its_published_configuration_has_the_published_number_of_bytes(name):
    num_tensors, num_values, num_bytes = SIZES[name]
    state = build_network(EVERY[name], device="meta").state_dict()
    assert all(tensor.is_meta for tensor in state.values())
    assert len(state) == num_tensors
    if num_values is not None:
        assert sum(tensor.numel() for tensor in state.values()) == num_values
    assert serialized_size(state) == num_bytes


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_size_computed_is_the_size_safetensors_writes(name):
    about = PUBLISHED[name]
    if name.startswith("ss"):
        small = {**about["args"], "channels": [8, 12, 4]}
    else:
        small = {**about["args"], "model_channels": 256, "num_blocks": 1, "num_heads": 2, "mlp_ratio": 1}
        small = {key: value if key != "in_channels" else 5 for key, value in small.items()}
    state = build_network({"name": about["name"], "args": small}).state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.float16, torch.float32}
    assert serialized_size(state) == len(save(state))


def state_of(name: str) -> dict[str, Tensor]:
    return build_network(PUBLISHED[name], device="meta").state_dict()


def test_the_trunk_has_the_published_names_shapes_and_dtypes():
    state = state_of("slat_enc_swin8_B_64l8_fp16")
    half, single = torch.float16, torch.float32
    expected = {
        "input_layer.weight": ([768, 1024], single),
        "input_layer.bias": ([768], single),
        "out_layer.weight": ([16, 768], single),
        "out_layer.bias": ([16], single),
    }
    for index in range(12):
        for layer, rows, columns in (
            ("attn.to_qkv", 2304, 768),
            ("attn.to_out", 768, 768),
            ("mlp.mlp.0", 3072, 768),
            ("mlp.mlp.2", 768, 3072),
        ):
            expected[f"blocks.{index}.{layer}.weight"] = ([rows, columns], half)
            expected[f"blocks.{index}.{layer}.bias"] = ([rows], half)
    assert {name: (list(tensor.shape), tensor.dtype) for name, tensor in state.items()} == expected


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("slat_dec_gs_swin8_B_64l8gs32_fp16", 448),
        ("slat_dec_rf_swin8_B_64l8r16_fp16", 448),
        ("slat_dec_mesh_swin8_B_64l8m256c_fp16", 101),
    ],
)
def test_the_decoders_have_the_published_output_layers(name, width):
    state = state_of(name)
    columns = 96 if "mesh" in name else 768
    assert list(state["out_layer.weight"].shape) == [width, columns]
    assert state["out_layer.weight"].dtype == torch.float32


def test_the_mesh_decoder_has_the_published_upsampling():
    state = state_of("slat_dec_mesh_swin8_B_64l8m256c_fp16")
    half, single = torch.float16, torch.float32
    expected = {}
    for index, (wide, narrow) in enumerate([(768, 192), (192, 96)]):
        for layer, shape, dtype in (
            ("act_layers.0", [wide], single),
            ("out_layers.0.conv", [narrow, 3, 3, 3, wide], half),
            ("out_layers.1", [narrow], single),
            ("out_layers.3.conv", [narrow, 3, 3, 3, narrow], half),
            ("skip_connection.conv", [narrow, 1, 1, 1, wide], half),
        ):
            expected[f"upsample.{index}.{layer}.weight"] = (shape, dtype)
            expected[f"upsample.{index}.{layer}.bias"] = ([shape[0]], dtype)
    found = {name: (list(tensor.shape), tensor.dtype) for name, tensor in state.items() if name.startswith("upsample")}
    assert found == expected


def test_the_gaussian_decoder_holds_its_offsets():
    state = state_of("slat_dec_gs_swin8_B_64l8gs32_fp16")
    assert list(state["offset_perturbation"].shape) == [32, 3]
    assert state["offset_perturbation"].dtype == torch.float32


def test_the_structure_networks_keep_norms_and_ends_in_single_precision():
    for name in ("ss_enc_conv3d_16l8_fp16", "ss_dec_conv3d_16l8_fp16"):
        for tensor_name, tensor in state_of(name).items():
            parts = tensor_name.split(".")
            half = parts[0] in ("blocks", "middle_block") and parts[-2].startswith("conv")
            assert tensor.dtype == (torch.float16 if half else torch.float32), tensor_name
        assert {"out_layer.0.weight", "out_layer.2.weight", "blocks.2.conv.weight"} <= state_of(name).keys()

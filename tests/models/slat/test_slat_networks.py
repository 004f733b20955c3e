"""TRELLIS's networks compute what their description says, and come back from their files."""

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.slat.decoders import SkipConnection, SubdivideBlock, spread_offsets
from kyvo.models.slat.load import build_network, load_network, save_network
from kyvo.models.slat.published import PUBLISHED
from kyvo.models.slat.sparse import SparseTensor, Voxels
from kyvo.models.slat.structure import ChannelLayerNorm, shuffle_voxels

SMALL_TRUNK = {"resolution": 8, "num_blocks": 2, "num_heads": 2, "mlp_ratio": 1, "window_size": 4}
ENCODER = "slat_enc_swin8_B_64l8_fp16"
GAUSSIANS = "slat_dec_gs_swin8_B_64l8gs32_fp16"
MESH = "slat_dec_mesh_swin8_B_64l8m256c_fp16"
FIELD = "slat_dec_rf_swin8_B_64l8r16_fp16"
STRUCTURE = ("ss_enc_conv3d_16l8_fp16", "ss_dec_conv3d_16l8_fp16")


def small(name: str, **changes) -> dict:
    """A published description, made small."""
    about = copy.deepcopy(PUBLISHED[name])
    if name in STRUCTURE:
        return {**about, "args": {**about["args"], "channels": [4, 8, 6], **changes}}
    about["args"] |= {**SMALL_TRUNK, "model_channels": 256 if name == MESH else 32}
    if name == ENCODER:
        about["args"]["in_channels"] = 5
    return {**about, "args": about["args"] | changes}


def small_network(name: str, **changes) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(small(name, **{"use_fp16": False, **changes}))


def some_input(name: str, *, batch_size: int = 2) -> SparseTensor | torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    if name in STRUCTURE:
        side, channels = (8, 1) if "enc" in name else (2, 8)
        return torch.rand(batch_size, channels, side, side, side, generator=generator).round()
    coords = (torch.rand(batch_size, 8, 8, 8, generator=generator) < 0.15).nonzero()
    voxels = Voxels(coords=coords, resolution=8, batch_size=batch_size)
    return SparseTensor(voxels=voxels, feats=torch.randn(len(voxels), 5 if name == ENCODER else 8, generator=generator))


def tensors_of(output) -> list[torch.Tensor]:
    """All tensors of what a network gives."""
    if isinstance(output, torch.Tensor):
        return [output]
    if isinstance(output, (tuple, list)):
        return [tensor for part in output for tensor in tensors_of(part)]
    return [value for value in vars(output).values() if isinstance(value, torch.Tensor)]


def the_same(one, other, **tolerance) -> None:
    for first, second in zip(tensors_of(one), tensors_of(other), strict=True):
        torch.testing.assert_close(first, second, **tolerance)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_comes_back_from_its_files(name, tmp_path):
    network = small_network(name)
    save_network(network, tmp_path / "network")
    x = some_input(name)
    for path in ("network", "network.json", "network.safetensors"):
        the_same(load_network(tmp_path / path)(x), network(x), rtol=0, atol=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checksums.sha256",
        "network.json",
        "network.safetensors",
    ]


@pytest.mark.parametrize("name", PUBLISHED)
def test_half_precision_files_are_computed_in_single_precision_on_a_cpu(name, tmp_path):
    network = small_network(name, use_fp16=True)
    save_network(network, tmp_path / "network")
    loaded = load_network(tmp_path / "network")
    assert network.dtype == torch.float16
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    x = some_input(name)
    assert all(tensor.isfinite().all() for tensor in tensors_of(loaded(x)))
    bfloat = load_network(tmp_path / "network", dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in bfloat.parameters()} == {torch.float32, torch.bfloat16}
    if name != MESH:  # whose number of triangles may differ
        the_same(bfloat(x), loaded(x), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_gradients_reach_every_weight(name):
    network = small_network(name)
    torch.manual_seed(3)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    output = network(some_input(name))
    sum(tensor.square().sum() for tensor in tensors_of(output) if tensor.requires_grad).backward()
    without = [key for key, parameter in network.named_parameters() if parameter.grad is None]
    assert not without


@pytest.mark.parametrize("name", [ENCODER, GAUSSIANS, FIELD, MESH])
def test_objects_of_a_batch_are_decoded_as_if_alone(name):
    network, x = small_network(name), some_input(name)
    together = network(x)
    for index in range(2):
        rows = x.voxels.coords[:, 0] == index
        voxels = Voxels.of_one(x.voxels.coords[rows, 1:], resolution=8)
        alone = network(SparseTensor(voxels=voxels, feats=x.feats[rows]))
        expected = [part[rows] for part in together] if name == ENCODER else together[index]
        the_same(alone if name == ENCODER else alone[0], expected, rtol=1e-4, atol=1e-5)


def test_the_encoder_is_the_transformer_of_its_description():
    network, x = small_network(ENCODER), some_input(ENCODER, batch_size=1)
    state, coords = network.state_dict(), x.voxels.coords[:, 1:]

    def linear(name, feats):
        return feats @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(feats, epsilon):
        centred = feats - feats.mean(1, keepdim=True)
        return centred / (centred.square().mean(1, keepdim=True) + epsilon).sqrt()

    positions = torch.zeros(len(coords), 32)
    for axis in range(3):
        for k in range(5):  # 32 // 3 // 2 frequencies; two channels stay zero
            angle = coords[:, axis] / 10_000 ** (k / 5)
            positions[:, 10 * axis + k], positions[:, 10 * axis + 5 + k] = angle.sin(), angle.cos()
    hidden = linear("input_layer", x.feats) + positions
    for index, shift in enumerate((0, 2)):
        window = (coords + shift) // 4
        apart = (window[:, None] != window).any(2)
        qkv = linear(f"blocks.{index}.attn.to_qkv", norm(hidden, 1e-6)).unflatten(1, (3, 2, 16))
        scores = torch.einsum("ihc,jhc->hij", qkv[:, 0], qkv[:, 1]) / 4
        attention = scores.masked_fill(apart, -torch.inf).softmax(-1)
        mixed = torch.einsum("hij,jhc->ihc", attention, qkv[:, 2]).flatten(1)
        hidden = hidden + linear(f"blocks.{index}.attn.to_out", mixed)
        inner = F.gelu(linear(f"blocks.{index}.mlp.mlp.0", norm(hidden, 1e-6)), approximate="tanh")
        hidden = hidden + linear(f"blocks.{index}.mlp.mlp.2", inner)
    expected = linear("out_layer", norm(hidden, 1e-5))
    the_same(network(x), (expected[:, :8], expected[:, 8:]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.encode(x).feats, network(x)[0])


def test_gaussians_of_zero_outputs_are_small_faint_and_spread_over_their_cell():
    network, x = small_network(GAUSSIANS), some_input(GAUSSIANS, batch_size=1)
    torch.nn.init.zeros_(network.out_layer.weight)
    torch.nn.init.zeros_(network.out_layer.bias)
    (gaussians,) = network(x)
    spread = torch.tensor([[i / 32, int(f"{i:05b}"[::-1], 2) / 32] for i in range(32)])
    expected = (x.voxels.coords[:, None, 1:3] + spread) / 8 - 0.5
    torch.testing.assert_close(gaussians.positions.unflatten(0, (-1, 32))[..., :2], expected)
    offset = (gaussians.positions.unflatten(0, (-1, 32))[..., 2] + 0.5) * 8 - x.voxels.coords[:, 3:]
    torch.testing.assert_close(offset[0, :5], torch.tensor([0, 1 / 3, 2 / 3, 1 / 9, 4 / 9]), rtol=0, atol=1e-5)
    torch.testing.assert_close(gaussians.scales, torch.full_like(gaussians.scales, (4e-3**2 + 9e-4**2) ** 0.5))
    torch.testing.assert_close(gaussians.opacities, torch.full_like(gaussians.opacities, 0.1))
    torch.testing.assert_close(gaussians.colors, torch.full_like(gaussians.colors, 0.5))
    assert torch.equal(gaussians.rotations_wxyz[0], torch.tensor([1.0, 0, 0, 0]))


def test_each_output_of_the_gaussian_decoder_stands_at_its_published_channels():
    network, x = small_network(GAUSSIANS), some_input(GAUSSIANS, batch_size=1)
    torch.nn.init.zeros_(network.out_layer.weight)
    neutral = network(x)[0]
    # Of the second Gaussian of a cell.
    channels = {"positions": 3, "colors": 96 + 3, "scales": 192 + 3, "rotations_wxyz": 288 + 4, "opacities": 416 + 1}
    for name, channel in channels.items():
        with torch.no_grad():
            network.out_layer.bias[channel] += 1.0
        moved = network(x)[0]
        with torch.no_grad():
            network.out_layer.bias[channel] -= 1.0
        for other in channels:
            changed = (getattr(moved, other) != getattr(neutral, other)).reshape(
                -1, 32, getattr(moved, other).numel() // len(moved)
            )
            assert changed.any((0, 2)).nonzero().flatten().tolist() == ([1] if other == name else [])


def test_offsets_are_finite_and_within_the_cell():
    offsets = spread_offsets(32, 1.5)
    assert offsets.isfinite().all()
    assert ((0.75 * offsets.tanh()).abs() <= 0.5 + 1e-6).all()


def test_a_radiance_field_of_zero_outputs_is_grey_fog_in_its_cells():
    network, x = small_network(FIELD), some_input(FIELD, batch_size=1)
    torch.nn.init.zeros_(network.out_layer.weight)
    torch.nn.init.zeros_(network.out_layer.bias)
    (field,) = network(x)
    assert torch.equal(field.lines, torch.ones(len(x.voxels), 16, 3, 8))
    centers = (field.coords + 0.5) / 8 - 0.5
    density, color = field.query(torch.arange(len(centers)), centers)
    torch.testing.assert_close(density, torch.full_like(density, 2.0).log())
    torch.testing.assert_close(color, torch.full_like(color, 0.5))


def test_the_skip_connection_reads_its_memory_as_in_by_out():
    skip = SkipConnection(2, 3, device=None, dtype=torch.float32)
    with torch.no_grad():
        skip.conv.weight.copy_(torch.arange(6.0).reshape(3, 1, 1, 1, 2))
        skip.conv.bias.copy_(torch.tensor([0.0, 0.0, 100.0]))
    voxels = Voxels.of_one(torch.zeros(1, 3, dtype=torch.long), resolution=1)
    out = skip(SparseTensor(voxels=voxels, feats=torch.tensor([[1.0, 10.0]])))
    # Memory 0 1 2 | 3 4 5 as two rows of three: 1 * (0, 1, 2) + 10 * (3, 4, 5).
    assert out.feats.tolist() == [[30.0, 41.0, 152.0]]


def test_subdividing_is_its_dense_twin():
    torch.manual_seed(0)
    block = SubdivideBlock(64, 32, device=None, dtype=torch.float32)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    coords = torch.stack(torch.meshgrid(*[torch.arange(3)] * 3, indexing="ij"), -1).flatten(0, 2)
    x = SparseTensor(voxels=Voxels.of_one(coords, resolution=3), feats=torch.randn(27, 64))
    state = block.state_dict()

    def double(grid):
        for axis in (2, 3, 4):
            grid = grid.repeat_interleave(2, axis)
        return grid

    def convolve(name, grid):
        return F.conv3d(grid, state[f"{name}.weight"].permute(0, 4, 1, 2, 3), state[f"{name}.bias"], padding=1)

    hidden = double(F.silu(F.group_norm(x.dense(), 32, state["act_layers.0.weight"], state["act_layers.0.bias"])))
    hidden = convolve("out_layers.0.conv", hidden)
    hidden = F.silu(F.group_norm(hidden, 32, state["out_layers.1.weight"], state["out_layers.1.bias"]))
    matrix = state["skip_connection.conv.weight"].reshape(64, 32)
    around = (x.dense().movedim(1, -1) @ matrix + state["skip_connection.conv.bias"]).movedim(-1, 1)
    expected = convolve("out_layers.3.conv", hidden) + double(around)
    torch.testing.assert_close(block(x).dense(), expected, rtol=1e-4, atol=1e-4)


def test_voxel_shuffling_puts_channel_8c_plus_421_into_the_child():
    x = torch.arange(2 * 8 * 27.0).reshape(1, 16, 3, 3, 3)
    out = shuffle_voxels(x)
    assert out.shape == (1, 2, 6, 6, 6)
    for channel, dx, dy, dz in ((0, 0, 0, 1), (0, 1, 0, 0), (1, 0, 1, 0), (1, 1, 1, 1)):
        expected = x[0, channel * 8 + dx * 4 + dy * 2 + dz]
        assert torch.equal(out[0, channel, dx::2, dy::2, dz::2], expected)


def test_the_channel_norm_is_over_channels_alone():
    norm, x = ChannelLayerNorm(4), torch.randn(2, 4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = F.layer_norm(x[1, :, 2, 0, 1], (4,))
    torch.testing.assert_close(norm(x)[1, :, 2, 0, 1], expected)


def test_the_structure_vae_halves_twice_and_doubles_twice():
    encoder, decoder = (small_network(name) for name in STRUCTURE)
    mean, log_variance = encoder(torch.ones(1, 1, 8, 8, 8))
    assert mean.shape == log_variance.shape == (1, 8, 2, 2, 2)
    logits = decoder(mean)
    assert logits.shape == (1, 1, 8, 8, 8)
    voxels = decoder.decode(mean)
    assert torch.equal(voxels.coords, (logits[:, 0] > 0).nonzero())
    assert voxels.resolution == 8


@pytest.fixture
def files(tmp_path):
    save_network(small_network(ENCODER), tmp_path / "network")
    return tmp_path


def test_missing_and_unknown_tensors_are_named(files):
    state = load_file(files / "network.safetensors")
    state["surplus"] = state.pop("input_layer.bias")
    save_file(state, files / "network.safetensors")
    with pytest.raises(CheckpointError, match=r"missing \['input_layer.bias'\] \(1 in all\), unknown \['surplus'\]"):
        load_network(files / "network")


def test_a_tensor_of_another_shape_is_named(files):
    state = load_file(files / "network.safetensors")
    state["out_layer.bias"] = torch.zeros(3)
    save_file(state, files / "network.safetensors")
    with pytest.raises(CheckpointError, match=r"out_layer.bias is \[3\]; by the JSON .* it should be \[16\]"):
        load_network(files / "network")


def test_a_damaged_file_of_weights_is_named(files):
    (files / "network.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(CheckpointError, match=r"network\.safetensors is no readable safetensors file"):
        load_network(files / "network")


def test_a_damaged_json_is_named(files):
    (files / "network.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"network\.json is no JSON"):
        load_network(files / "network")


def test_a_missing_file_is_named(files):
    (files / "network.json").unlink()
    with pytest.raises(CheckpointError, match=r"network\.json does not exist; a network is network\.json and"):
        load_network(files / "network")


def test_a_description_that_fits_no_network_says_where_it_stands(files):
    (files / "network.json").write_text(json.dumps({"name": "SLatDreamer", "args": {}}))
    with pytest.raises(ConfigError, match=r"network\.json: name is 'SLatDreamer'; the networks known here are SLatEnc"):
        load_network(files / "network")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_block": 3}, "SLatEncoder has no argument 'num_block'; did you mean 'num_blocks'"),
        ({"attn_mode": "shift_order"}, "attn_mode is 'shift_order'"),
        ({"pe_mode": "rope"}, "pe_mode is 'rope'"),
        ({"model_channels": 30, "num_heads": 4}, "30 channels do not divide into 4 heads"),
    ],
)
def test_arguments_that_are_not_built_here_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        build_network(small(ENCODER, **change))


def test_a_missing_argument_is_named():
    about = small(ENCODER)
    del about["args"]["in_channels"]
    with pytest.raises(ConfigError, match="SLatEncoder needs the argument 'in_channels'"):
        build_network(about)


def test_representations_are_checked():
    about = small(GAUSSIANS)
    del about["args"]["representation_config"]["opacity_bias"]
    with pytest.raises(ConfigError, match="representation_config lacks 'opacity_bias'"):
        build_network(about)
    about = small(FIELD, representation_config={"rank": 16})
    with pytest.raises(ConfigError, match=r"representation_config\.dim is None"):
        build_network(about)


def test_voxels_of_another_grid_or_width_are_refused():
    x = some_input(GAUSSIANS)
    with pytest.raises(ConfigError, match="Voxels have 8 features on a grid of 8; this network takes 5 on a grid of 8"):
        small_network(ENCODER)(x)

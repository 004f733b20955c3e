"""The flow models compute what their description says; slow, plain twins say it again."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F

from kyvo.errors import ConfigError
from kyvo.models.flow.block import ModulatedCrossBlock, TimestepEmbedder
from kyvo.models.flow.published import PUBLISHED_FLOWS
from kyvo.models.flow.slat_flow import SLatFlowConfig, SLatFlowModel, SparseResBlock3d
from kyvo.models.flow.structure_flow import StructureFlowConfig
from kyvo.models.slat.load import build_network, load_network, save_network
from kyvo.models.slat.sparse import SparseTensor, Voxels, strided_map

SIDE, WIDTH, HEADS, COND = 4, 24, 2, 10
SMALL = {"model_channels": WIDTH, "num_blocks": 2, "num_heads": HEADS, "cond_channels": COND, "use_fp16": False}


def small(name: str, **changes) -> dict:
    """A published description, made small."""
    about = copy.deepcopy(PUBLISHED_FLOWS[name])
    about["args"] |= SMALL | {"resolution": SIDE if name.startswith("ss") else 2 * SIDE}
    if name.startswith("slat"):
        about["args"]["io_block_channels"] = [6]
    about["args"] |= changes
    return about


def random_network(name: str, **changes) -> torch.nn.Module:
    network = build_network(small(name, **changes))
    return randomized(network)


def randomized(network: torch.nn.Module) -> torch.nn.Module:
    """No weight is left at zero, where a block would be the identity."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=generator)
    return network.eval()


def some_voxels(batch_size: int = 2, side: int = 2 * SIDE, seed: int = 1) -> Voxels:
    """Objects of different sizes, their rows shuffled."""
    generator = torch.Generator().manual_seed(seed)
    share = torch.linspace(0.3, 0.1, batch_size)[:, None, None, None]
    coords = (torch.rand(batch_size, side, side, side, generator=generator) < share).nonzero()
    coords = coords[torch.randperm(len(coords), generator=generator)]
    return Voxels(coords=coords, resolution=side, batch_size=batch_size)


def normal(*shape: int, seed: int = 2) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# The twins: one object at a time, tensors by their published names, no shared code.


def linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def layer_norm(x, epsilon):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + epsilon).sqrt()


def rms_norm(x, gamma):
    return x / x.norm(dim=-1, keepdim=True) * gamma * x.shape[-1] ** 0.5


def attention(query, key, value):
    heads = []
    for head in range(query.shape[1]):
        scores = query[:, head] @ key[:, head].T / query.shape[2] ** 0.5
        heads.append(scores.softmax(-1) @ value[:, head])
    return torch.cat(heads, dim=1)


def embedded_time(state, t):
    waves = [10_000 ** -(k / 128) for k in range(128)]
    features = [torch.tensor(1000 * t * wave).cos() for wave in waves] + [
        torch.tensor(1000 * t * w).sin() for w in waves
    ]
    return linear(state, "mlp.2", F.silu(linear(state, "mlp.0", torch.stack(features)[None])))


def plain_block(state, x, time, context, *, cross_norm: bool):
    parts = linear(state, "adaLN_modulation.1", F.silu(time))[0].split(x.shape[1])
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = parts
    qkv = linear(state, "self_attn.to_qkv", layer_norm(x, 1e-6) * (1 + scale) + shift)
    query, key, value = (part.reshape(len(x), HEADS, -1) for part in qkv.chunk(3, dim=1))
    query = rms_norm(query, state["self_attn.q_rms_norm.gamma"])
    key = rms_norm(key, state["self_attn.k_rms_norm.gamma"])
    x = x + gate * linear(state, "self_attn.to_out", attention(query, key, value))
    normed = layer_norm(x, 1e-6) * state["norm2.weight"] + state["norm2.bias"]
    query = linear(state, "cross_attn.to_q", normed).reshape(len(x), HEADS, -1)
    key, value = (
        part.reshape(len(context), HEADS, -1) for part in linear(state, "cross_attn.to_kv", context).chunk(2, dim=1)
    )
    if cross_norm:
        query = rms_norm(query, state["cross_attn.q_rms_norm.gamma"])
        key = rms_norm(key, state["cross_attn.k_rms_norm.gamma"])
    x = x + linear(state, "cross_attn.to_out", attention(query, key, value))
    inner = linear(state, "mlp.mlp.0", layer_norm(x, 1e-6) * (1 + mlp_scale) + mlp_shift)
    return x + mlp_gate * linear(state, "mlp.mlp.2", F.gelu(inner, approximate="tanh"))


def dense_convolution(state, name, feats, cells, side):
    """A convolution over the whole grid, read at the active cells."""
    grid = torch.zeros(1, feats.shape[1], side, side, side)
    x, y, z = cells.T
    grid[0, :, x, y, z] = feats.T
    weight = state[f"{name}.conv.weight"].permute(0, 4, 1, 2, 3)
    return F.conv3d(grid, weight, state[f"{name}.conv.bias"], padding=1)[0, :, x, y, z].T


def plain_res_block(state, feats, cells, side, time):
    hidden = F.silu(layer_norm(feats, 1e-6) * state["norm1.weight"] + state["norm1.bias"])
    hidden = dense_convolution(state, "conv1", hidden, cells, side)
    scale, shift = linear(state, "emb_layers.1", F.silu(time))[0].chunk(2)
    hidden = dense_convolution(state, "conv2", F.silu(layer_norm(hidden, 1e-6) * (1 + scale) + shift), cells, side)
    return hidden + (linear(state, "skip_connection", feats) if "skip_connection.weight" in state else feats)


def part_of(state, prefix):
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def positions(cells, width):
    found = torch.zeros(len(cells), width)
    count = width // 6
    for axis, k in itertools.product(range(3), range(count)):
        angle = cells[:, axis] / 10_000 ** (k / count)
        found[:, 2 * count * axis + k], found[:, 2 * count * axis + count + k] = angle.sin(), angle.cos()
    return found


@pytest.mark.parametrize("cross_norm", [False, True])
def test_the_block_is_its_plain_twin_for_each_object_of_a_pack(cross_norm):
    config = StructureFlowConfig(
        **{**SMALL, "resolution": SIDE, "in_channels": 8, "out_channels": 8, "qk_rms_norm": True},
        qk_rms_norm_cross=cross_norm,
    )
    block = randomized(ModulatedCrossBlock(config, device=None))
    voxels = some_voxels(3)
    feats, time, context = normal(len(voxels), WIDTH), normal(3, WIDTH, seed=3), normal(3, 5, COND, seed=4)
    found = block(feats, voxels, time, context)
    for index in range(3):
        rows = voxels.coords[:, 0] == index
        expected = plain_block(
            block.state_dict(), feats[rows], time[index : index + 1], context[index], cross_norm=cross_norm
        )
        torch.testing.assert_close(found[rows], expected, rtol=1e-5, atol=1e-5)


def test_time_is_embedded_as_cosines_then_sines_of_a_thousand_t():
    embedder = randomized(TimestepEmbedder(WIDTH, device=None))
    for t in (0.0, 0.37, 1.0):
        expected = embedded_time(embedder.state_dict(), t)
        torch.testing.assert_close(embedder(torch.tensor([t])), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("resize", [None, "down", "up"])
def test_the_residual_block_is_its_plain_twin(resize):
    voxels = some_voxels(1)
    coarse, _ = strided_map(voxels, 2, 2, 0)
    given = coarse if resize == "up" else voxels
    block = randomized(SparseResBlock3d(5, 6, time_channels=WIDTH, resize=resize, device=None, dtype=torch.float32))
    feats, time = normal(len(given), 5), normal(1, WIDTH)
    found = block(SparseTensor(voxels=given, feats=feats), time, voxels)
    cells, side = voxels.coords[:, 1:], voxels.resolution
    if resize == "down":
        # A block's sum over its cells is divided by one more than their number.
        parents = {tuple(cell): [] for cell in coarse.coords[:, 1:].tolist()}
        for row, cell in enumerate(cells.tolist()):
            parents[tuple(value // 2 for value in cell)].append(row)
        feats = torch.stack([feats[rows].sum(0) / (len(rows) + 1) for rows in parents.values()])
        cells, side = coarse.coords[:, 1:], side // 2
    elif resize == "up":
        place = {tuple(cell): row for row, cell in enumerate(coarse.coords[:, 1:].tolist())}
        feats = torch.stack([feats[place[tuple(value // 2 for value in cell)]] for cell in cells.tolist()])
    expected = plain_res_block(block.state_dict(), feats, cells, side, time)
    assert torch.equal(found.voxels.coords[:, 1:], cells)
    torch.testing.assert_close(found.feats, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["ss_flow_img_dit_L_16l8_fp16", "ss_flow_txt_dit_XL_16l8_fp16"])
def test_the_structure_flow_is_its_plain_twin(name):
    network = random_network(name)
    state = network.state_dict()
    assert torch.equal(build_network(small(name)).pos_emb, state["pos_emb"])
    x, t, context = normal(2, 8, SIDE, SIDE, SIDE), torch.tensor([0.9, 0.2]), normal(2, 7, COND, seed=5)
    found = network(x, t, context)
    cells = torch.tensor(list(itertools.product(range(SIDE), repeat=3)))
    for index in range(2):
        tokens = torch.stack([x[index, :, i, j, k] for i, j, k in cells.tolist()])
        hidden = linear(state, "input_layer", tokens) + positions(cells, WIDTH)
        time = embedded_time(part_of(state, "t_embedder."), float(t[index]))
        for number in range(2):
            block = part_of(state, f"blocks.{number}.")
            hidden = plain_block(block, hidden, time, context[index], cross_norm="XL" in name)
        out = linear(state, "out_layer", layer_norm(hidden, 1e-5))
        for row, (i, j, k) in zip(out, cells.tolist(), strict=True):
            torch.testing.assert_close(found[index, :, i, j, k], row, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["slat_flow_img_dit_L_64l8p2_fp16", "slat_flow_txt_dit_XL_64l8p2_fp16"])
def test_the_slat_flow_is_its_plain_twin(name):
    network = random_network(name)
    state, num_blocks = network.state_dict(), network.config.num_io_res_blocks
    voxels = some_voxels(1)
    coarse, _ = strided_map(voxels, 2, 2, 0)
    fine_cells, coarse_cells = voxels.coords[:, 1:], coarse.coords[:, 1:]
    feats, context = normal(len(voxels), 8), normal(1, 7, COND, seed=5)
    time = embedded_time(part_of(state, "t_embedder."), 0.6)
    found = network(SparseTensor(voxels=voxels, feats=feats), torch.tensor([0.6]), context)

    member = (fine_cells[:, None] // 2 == coarse_cells).all(-1).float()  # fine coarse
    hidden, skips = linear(state, "input_layer", feats), []
    for number in range(num_blocks):
        block = part_of(state, f"input_blocks.{number}.")
        cells, side = fine_cells, 2 * SIDE
        if number == num_blocks - 1:
            hidden = member.T @ hidden / (member.sum(0)[:, None] + 1)
            cells, side = coarse_cells, SIDE
        hidden = plain_res_block(block, hidden, cells, side, time)
        skips.append(hidden)
    hidden = hidden + positions(coarse_cells, WIDTH)
    for number in range(2):
        hidden = plain_block(part_of(state, f"blocks.{number}."), hidden, time, context[0], cross_norm=False)
    for number in range(num_blocks):
        hidden = torch.cat([hidden, skips.pop()], dim=1)
        if number == 0:
            hidden = member @ hidden
        hidden = plain_res_block(part_of(state, f"out_blocks.{number}."), hidden, fine_cells, 2 * SIDE, time)
    expected = linear(state, "out_layer", layer_norm(hidden, 1e-5))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_objects_of_a_pack_flow_as_if_alone():
    network = random_network("slat_flow_img_dit_L_64l8p2_fp16")
    voxels = some_voxels(3)
    feats, t, context = normal(len(voxels), 8), torch.tensor([0.1, 0.5, 0.9]), normal(3, 7, COND)
    together = network(SparseTensor(voxels=voxels, feats=feats), t, context)
    for index in range(3):
        rows = voxels.coords[:, 0] == index
        alone = Voxels.of_one(voxels.coords[rows, 1:], resolution=voxels.resolution)
        one = slice(index, index + 1)
        found = network(SparseTensor(voxels=alone, feats=feats[rows]), t[one], context[one])
        torch.testing.assert_close(found, together[rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PUBLISHED_FLOWS)
def test_half_precision_files_come_back_in_single_precision_on_a_cpu(name, tmp_path):
    network = random_network(name, use_fp16=True)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float16, torch.float32}
    save_network(network, tmp_path / name)
    loaded = load_network(tmp_path / name)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    bfloat = load_network(tmp_path / name, dtype=torch.bfloat16)
    voxels, context = some_voxels(2), normal(2, 7, COND)
    x = normal(2, 8, SIDE, SIDE, SIDE)
    if name.startswith("slat"):
        x = SparseTensor(voxels=voxels, feats=normal(len(voxels), 8))
    one, other = (model(x, torch.tensor([0.3, 0.8]), context) for model in (loaded, bfloat))
    assert one.dtype == other.dtype == torch.float32
    assert (one - other).norm() < 0.1 * one.norm()


@pytest.mark.parametrize("name", ["ss_flow_txt_dit_XL_16l8_fp16", "slat_flow_img_dit_L_64l8p2_fp16"])
def test_gradients_reach_every_weight_and_checkpointing_changes_none(name):
    network = random_network(name).train()
    voxels, context = some_voxels(2), normal(2, 7, COND)
    x = normal(2, 8, SIDE, SIDE, SIDE)
    if name.startswith("slat"):
        x = SparseTensor(voxels=voxels, feats=normal(len(voxels), 8))
    gradients = []
    for checkpointing in (False, True):
        network.gradient_checkpointing = checkpointing
        network.zero_grad()
        network(x, torch.tensor([0.3, 0.8]), context).square().sum().backward()
        assert not [key for key, parameter in network.named_parameters() if parameter.grad is None]
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    for plain, again in zip(*gradients, strict=True):
        assert torch.equal(plain, again)


def test_a_network_initialized_for_training_starts_at_zero_velocity():
    for name in ("ss_flow_img_dit_L_16l8_fp16", "slat_flow_img_dit_L_64l8p2_fp16"):
        network = build_network(small(name))
        network.initialize()
        voxels = some_voxels(1)
        x = normal(1, 8, SIDE, SIDE, SIDE)
        if name.startswith("slat"):
            x = SparseTensor(voxels=voxels, feats=normal(len(voxels), 8))
        assert not network(x, torch.tensor([0.5]), normal(1, 7, COND)).any()


def test_inputs_of_another_size_are_refused():
    network = random_network("ss_flow_img_dit_L_16l8_fp16")
    x, t, context = normal(1, 8, SIDE, SIDE, SIDE), torch.tensor([0.5]), normal(1, 7, COND)
    with pytest.raises(ConfigError, match="8 channels on a grid of 8; this network takes 8 on a grid of 4"):
        network(normal(1, 8, 8, 8, 8), t, context)
    with pytest.raises(ConfigError, match="tokens have 9 channels; this network takes 10"):
        network(x, t, normal(1, 7, 9))
    voxels = some_voxels(1)
    cells = SparseTensor(voxels=voxels, feats=normal(len(voxels), 8))
    with pytest.raises(ConfigError, match="1 objects need as many times and conditions, not 2 and 2"):
        random_network("slat_flow_img_dit_L_64l8p2_fp16")(cells, torch.tensor([0.5, 0.6]), normal(2, 7, COND))


def test_arguments_that_no_published_network_has_are_refused():
    for name, changes, match in (
        ("ss_flow_img_dit_L_16l8_fp16", {"pe_mode": "rope"}, "pe_mode is 'rope'"),
        ("ss_flow_img_dit_L_16l8_fp16", {"patch_size": 5}, "does not divide into patches of 5"),
        ("ss_flow_img_dit_L_16l8_fp16", {"num_heads": 7}, "model_channels is 24 and num_heads 7"),
        ("ss_flow_img_dit_L_16l8_fp16", {"share_mod": True}, "has no argument 'share_mod'"),
        ("slat_flow_img_dit_L_64l8p2_fp16", {"io_block_channels": [6, 6]}, "io_block_channels has 2 values"),
        ("slat_flow_img_dit_L_64l8p2_fp16", {"use_skip_connection": False}, "use_skip_connection is false"),
        ("slat_flow_img_dit_L_64l8p2_fp16", {"resolution": 7}, "grid of 7 does not divide"),
    ):
        with pytest.raises(ConfigError, match=match):
            build_network(small(name, **changes))


def test_a_flow_without_residual_blocks_has_tokens_of_one_cell():
    config = SLatFlowConfig(**SMALL, resolution=8, in_channels=3, out_channels=3, patch_size=1, io_block_channels=[])
    voxels = some_voxels(1)
    x = SparseTensor(voxels=voxels, feats=normal(len(voxels), 3))
    assert randomized(SLatFlowModel(config))(x, torch.tensor([0.5]), normal(1, 2, COND)).shape == (len(voxels), 3)

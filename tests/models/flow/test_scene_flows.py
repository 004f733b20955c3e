"""SceneGen's and I-Scene's additions compute what their descriptions say; slow, plain twins say it again."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kyvo.errors import ConfigError
from kyvo.metrics import geometry
from kyvo.metrics.geometry import collision_ratio
from kyvo.models.flow import scene_losses
from kyvo.models.flow.iscene import scene_context_attention
from kyvo.models.flow.scene_losses import collision_loss, collision_share, place_points, pose_loss
from kyvo.models.slat.load import build_network, load_network, save_network
from kyvo.scene.pose import Pose

FLOW = {
    "resolution": 4,
    "in_channels": 3,
    "out_channels": 3,
    "model_channels": 24,
    "cond_channels": 8,
    "num_blocks": 2,
    "num_heads": 2,
    "patch_size": 2,
    "qk_rms_norm": True,
}
OBJECT = {"name": "SparseStructureFlowModel", "args": FLOW}
ISCENE = {"name": "ISceneFlowModel", "args": FLOW}
SCENEGEN = {
    "name": "SceneGenFlowModel",
    "args": {**FLOW, "scene_channels": 6, "num_registers": 2, "num_head_blocks": 2},
}
TOKENS = 8  # of an item


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def randomized(about: dict, std: float = 0.2) -> torch.nn.Module:
    network = build_network(about)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=std, generator=generator)
    return network.eval().requires_grad_(False)


def inputs(items: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return normal(items, 3, 4, 4, 4), torch.linspace(0.2, 0.9, items), normal(items, 5, 8, seed=1)


# I-Scene


def test_scene_context_attention_is_one_softmax_over_the_keys_of_both():
    qkv, scene_of = normal(3 * TOKENS, 3, 2, 6), torch.tensor([0, 0, 0])
    found = scene_context_attention(qkv, scene_of=scene_of, num_tokens=TOKENS)
    query, key, value = qkv.unbind(1)
    for item in range(3):
        own, scene = range(item * TOKENS, (item + 1) * TOKENS), range(TOKENS)
        for head in range(2):
            for token in own:
                scores = [float(query[token, head] @ key[other, head]) / 6**0.5 for other in (*own, *scene)]
                weights = torch.tensor(scores).softmax(0)
                expected = sum(w * value[other, head] for w, other in zip(weights, (*own, *scene), strict=True))
                torch.testing.assert_close(found[token, head], expected, atol=1e-5, rtol=1e-5)


def test_equal_instance_and_scene_are_self_attention():
    network, plain = randomized(ISCENE), randomized(OBJECT)
    x, _, context = (part[:1].repeat(2, *[1] * (part.dim() - 1)) for part in inputs(1))
    t = torch.full((2,), 0.4)
    found = network(x, t, context, torch.tensor([0, 0]))
    torch.testing.assert_close(found, plain(x, t, context), atol=1e-5, rtol=1e-5)
    # A scene alone is the object's flow, and another scene changes an instance.
    other = torch.cat([normal(1, 3, 4, 4, 4, seed=5), x[1:]])
    changed = network(other, t, context, torch.tensor([0, 0]))
    torch.testing.assert_close(changed[0], plain(other, t, context)[0], atol=1e-5, rtol=1e-5)
    assert (changed[1] - found[1]).abs().max() > 1e-3


# SceneGen


def linear(state: dict, name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    heads = [
        (query[:, head] @ key[:, head].T / query.shape[2] ** 0.5).softmax(-1) @ value[:, head]
        for head in range(query.shape[1])
    ]
    return torch.cat(heads, dim=1)


def rms(x: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
    return x / x.norm(dim=-1, keepdim=True) * gamma * x.shape[-1] ** 0.5


def twin_block(state: dict, name: str, parts: list, times: list, contexts: list, *, together: bool) -> list:
    """One block of each asset's tokens; `together`: self-attention is over those of all assets."""
    width = parts[0].shape[1]
    rows, mods = [], []
    for part, time in zip(parts, times, strict=True):
        mod = linear(state, f"{name}.adaLN_modulation.1", F.silu(time)).chunk(6)
        hidden = F.layer_norm(part, (width,), eps=1e-6) * (1 + mod[1]) + mod[0]
        rows.append(linear(state, f"{name}.self_attn.to_qkv", hidden).reshape(len(part), 3, 2, -1))
        mods.append(mod)
    out = []
    for part, own, mod, context in zip(parts, rows, mods, contexts, strict=True):
        seen = torch.cat(rows) if together else own
        gammas = [state[f"{name}.self_attn.{which}_rms_norm.gamma"] for which in "qk"]
        attended = attend(rms(own[:, 0], gammas[0]), rms(seen[:, 1], gammas[1]), seen[:, 2])
        part = part + mod[2] * linear(state, f"{name}.self_attn.to_out", attended)
        hidden = F.layer_norm(part, (width,), state[f"{name}.norm2.weight"], state[f"{name}.norm2.bias"], 1e-6)
        query = linear(state, f"{name}.cross_attn.to_q", hidden).unflatten(1, (2, -1))
        key, value = linear(state, f"{name}.cross_attn.to_kv", context).unflatten(1, (2, 2, -1)).unbind(1)
        part = part + linear(state, f"{name}.cross_attn.to_out", attend(query, key, value))
        hidden = F.layer_norm(part, (width,), eps=1e-6) * (1 + mod[4]) + mod[3]
        hidden = F.gelu(linear(state, f"{name}.mlp.mlp.0", hidden), approximate="tanh")
        out.append(part + mod[5] * linear(state, f"{name}.mlp.mlp.2", hidden))
    return out


def test_scenegen_equals_a_plain_twin_that_does_one_scene_at_a_time():
    network, plain = randomized(SCENEGEN), randomized(OBJECT)
    state = network.state_dict()
    plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    x, t, context = inputs(5)
    scene_context = normal(5, 7, 6, seed=3)
    scene_of = torch.tensor([4, 9, 4, 9, 4])
    is_query = torch.tensor([False, True, True, False, False])
    found = network(x, t, context, scene_context, scene_of, is_query)
    for scene in (4, 9):
        items = (scene_of == scene).nonzero()[:, 0].tolist()
        _, feats, time = plain.embed(x, t, context)
        tokens = [feats.unflatten(0, (5, -1))[item] for item in items]
        extra = [state["query_tokens" if is_query[item] else "other_tokens"] for item in items]
        times, contexts = [time[item] for item in items], [context[item] for item in items]
        features = [scene_context[item] for item in items]
        for block in range(2):
            tokens = twin_block(state, f"blocks.{block}", tokens, times, contexts, together=False)
            joined = [torch.cat(pair) for pair in zip(tokens, extra, strict=True)]
            joined = twin_block(state, f"global_blocks.{block}", joined, times, features, together=True)
            tokens, extra = [part[:TOKENS] for part in joined], [part[TOKENS:] for part in joined]
        for number, item in enumerate(items):
            expected = plain.project(tokens[number], x[item : item + 1], t[item : item + 1])[0]
            torch.testing.assert_close(found.velocity[item], expected, atol=1e-5, rtol=1e-4)
        others = [number for number, item in enumerate(items) if not is_query[item]]
        positions = torch.stack([extra[number][0] for number in others])
        poses = network.position_head(positions, torch.zeros(len(others), dtype=torch.long))
        for number, pose in zip(others, poses, strict=True):
            torch.testing.assert_close(found.poses[items[number]], pose, atol=1e-5, rtol=1e-4)
    identity = torch.tensor([0, 0, 0, 1, 0, 0, 0, 1.0])
    assert torch.equal(found.poses[is_query], identity.expand(2, -1))
    assert (found.poses[:, 7] > 0).all()
    torch.testing.assert_close(found.poses[:, 3:7].norm(dim=1), torch.ones(5))


def test_scenegen_begins_as_the_object_flow_with_all_assets_at_the_query():
    network, plain = build_network(SCENEGEN), randomized(OBJECT)
    network.initialize()
    missing, unknown = network.load_state_dict(plain.state_dict(), strict=False)
    assert not unknown and all(name.startswith(network.new_parts) for name in missing)
    x, t, context = inputs(3)
    scene_of, is_query = torch.zeros(3, dtype=torch.long), torch.tensor([True, False, False])
    found = network(x, t, context, normal(3, 7, 6), scene_of, is_query)
    torch.testing.assert_close(found.velocity, plain(x, t, context), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.poses, found.poses[:1].expand(3, -1))
    with pytest.raises(ConfigError, match="scene's features have 5 channels"):
        network(x, t, context, normal(3, 7, 5), scene_of, is_query)


@pytest.mark.parametrize("about", [SCENEGEN, ISCENE], ids=["scenegen", "iscene"])
def test_files_bring_the_networks_back(tmp_path, about):
    network = randomized(about)
    save_network(network, tmp_path / "flow")
    again = load_network(tmp_path / "flow")
    assert type(again) is type(network) and again.config == network.config
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


# Losses


def test_points_are_placed_as_a_pose_places_them():
    rng = np.random.default_rng(0)
    poses = [Pose.from_vector([*rng.normal(size=7), rng.uniform(0.3, 2)]) for _ in range(3)]
    points = rng.normal(size=(3, 5, 3))
    vectors = torch.tensor(np.stack([pose.vector for pose in poses])).float()
    found = place_points(torch.tensor(points).float(), vectors)
    expected = np.stack([pose.apply(part) for pose, part in zip(poses, points, strict=True)])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_the_collision_share_is_the_metric_where_points_stand_in_the_middle_of_voxels():
    # Sixteen voxels a side; the two ends pin the grid, and are moved there from the middles of the outermost voxels.
    rng = np.random.default_rng(1)
    clouds = [(rng.integers(4, 9, (40, 3)) + 0.5) / 16 for _ in range(3)]
    clouds = [np.concatenate([cloud, [[0, 0, 0]], [[1, 1, 1]]]) for cloud in clouds]
    found = collision_share(torch.tensor(np.stack(clouds)).float(), grid=16)
    assert float(found) == pytest.approx(collision_ratio(clouds, grid=16), abs=1e-5)
    assert 0.1 < float(found) < 0.9


def test_moving_an_asset_out_of_another_lowers_the_collision_loss():
    points = normal(2, 200, 3) * 0.15
    poses = torch.tensor([[0, 0, 0, 1, 0, 0, 0, 1.0], [0.1, 0, 0, 1, 0, 0, 0, 1.0]], requires_grad=True)
    scene_of = torch.zeros(2, dtype=torch.long)
    loss = collision_loss(points, poses, scene_of)
    (gradient,) = torch.autograd.grad(loss, poses)
    assert loss > 0 and gradient[1].abs().sum() > 0
    apart = torch.tensor([[0, 0, 0, 1, 0, 0, 0, 1.0], [3.0, 0, 0, 1, 0, 0, 0, 1.0]])
    assert collision_loss(points, apart, scene_of) < 1e-12
    assert collision_loss(points, poses, torch.tensor([0, 1])) < 1e-12  # of different scenes


def test_the_pose_loss_knows_no_sign_of_a_quaternion_and_is_relative_to_the_scene():
    true = torch.tensor([[1.0, 2, 0, 0.6, 0, 0, 0.8, 0.5]])
    flipped = true * torch.tensor([1, 1, 1, -1, -1, -1, -1, 1.0])
    assert pose_loss(flipped, true, torch.ones(1)) == 0
    near = true + torch.tensor([0.01, 0, 0, 0, 0, 0, 0, 0])
    assert pose_loss(near, true, torch.ones(1)) == pytest.approx(0.5 * 0.01**2 / 8, rel=1e-4)
    assert pose_loss(near, true, torch.full((1,), 10.0)) == pytest.approx(0.5 * 0.001**2 / 8, rel=1e-3)
    assert pose_loss(true[:0], true[:0], torch.ones(0)) == 0


def test_the_grid_of_the_loss_is_that_of_the_metric():
    assert scene_losses.GRID == geometry.GRID

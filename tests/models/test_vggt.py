"""VGGT's aggregator against a plain twin that works on the released names, and what it refuses."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tiny_vggt import TINY, write_tiny_vggt

from kyvo.errors import CheckpointError
from kyvo.models.vggt import VggtAggregator, VggtConfig
from kyvo.models.weights import write_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vggt") / "model"
    write_tiny_vggt(folder)
    return folder


def test_the_aggregator_agrees_with_a_plain_twin(folder):
    network = VggtAggregator.from_folder(folder)
    pictures = torch.rand(2, 3, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    found = network(pictures)
    assert found.shape == (2, 3, 1 + 2 + 9, 32)
    state = load_file(folder / "model.safetensors")
    for scene, views in enumerate(pictures):
        torch.testing.assert_close(found[scene], plain_aggregator(state, views), atol=2e-5, rtol=1e-4)


def test_the_first_view_is_the_reference_and_the_others_are_alike(folder):
    network = VggtAggregator.from_folder(folder)
    views = torch.rand(1, 3, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    found, turned, other = (network(views[:, order])[0] for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2]))
    torch.testing.assert_close(turned[[0, 2, 1]], found, atol=1e-5, rtol=1e-5)
    assert (other[[1, 0, 2]] - found).abs().max() > 0.01


def test_pictures_of_other_sizes_are_scaled(folder):
    network = VggtAggregator.from_folder(folder)
    plain = torch.full((1, 1, 3, 12, 12), 0.3)
    torch.testing.assert_close(network(torch.full((1, 1, 3, 64, 40), 0.3)), network(plain))


def test_the_published_sizes_have_the_published_weights():
    with torch.device("meta"):
        network = VggtAggregator(
            VggtConfig(
                width=1024,
                head_width=64,
                num_blocks=24,
                num_backbone_blocks=24,
                patch_size=14,
                patches_along=37,
                num_registers=4,
                num_backbone_registers=4,
            )
        )
    backbone = sum(value.numel() for value in network.patch_embed.parameters())
    assert backbone == 304_372_736  # DINOv2 ViT-L/14 with four registers
    assert (network.picture_size, network.channels) == (518, 2048)


def test_another_network_is_refused_by_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        VggtAggregator.from_folder(tmp_path)
    write_weights(tmp_path / "model.safetensors", {"aggregator.patch_embed.norm.weight": torch.ones(3)})
    with pytest.raises(CheckpointError, match=r"is no VGGT: .patch_embed\.patch_embed\.proj\.weight. does not fit"):
        VggtAggregator.from_folder(tmp_path)


def plain_aggregator(state, views):
    """Of the views of one scene, token by token where that is the plainest."""

    def of(name):
        return state[f"aggregator.{name}"]

    def norm(x, name, epsilon):
        return F.layer_norm(x, x.shape[-1:], of(f"{name}.weight"), of(f"{name}.bias"), epsilon)

    def linear(x, name):
        return x @ of(f"{name}.weight").T + of(f"{name}.bias")

    def turned(vector, place):
        """Pairs (i, i + quarter) of each half of a head's width are turned by the row or column times a frequency."""
        out = vector.clone()
        half, quarter = len(vector) // 2, len(vector) // 4
        for start, number in ((0, place[0]), (half, place[1])):
            for index in range(quarter):
                angle = torch.tensor(number / 100 ** (2 * index / half))
                a, b = vector[start + index], vector[start + quarter + index]
                out[start + index] = a * angle.cos() - b * angle.sin()
                out[start + quarter + index] = b * angle.cos() + a * angle.sin()
        return out

    def block(x, name, epsilon, places=None):
        width, head = x.shape[1], TINY.head_width
        q, k, v = linear(norm(x, f"{name}.norm1", epsilon), f"{name}.attn.qkv").split(width, dim=1)
        mixed = torch.zeros_like(x)
        for start in range(0, width, head):
            own = [part[:, start : start + head] for part in (q, k, v)]
            if places is not None:
                for index, which in ((0, "q"), (1, "k")):
                    normed = norm(own[index], f"{name}.attn.{which}_norm", 1e-5)
                    own[index] = torch.stack([turned(row, place) for row, place in zip(normed, places, strict=True)])
            weights = (own[0] @ own[1].T / head**0.5).softmax(1)
            mixed[:, start : start + head] = weights @ own[2]
        x = x + linear(mixed, f"{name}.attn.proj") * of(f"{name}.ls1.gamma")
        hidden = F.gelu(linear(norm(x, f"{name}.norm2", epsilon), f"{name}.mlp.fc1"))
        return x + linear(hidden, f"{name}.mlp.fc2") * of(f"{name}.ls2.gamma")

    along = TINY.patches_along
    places = [(0, 0)] * 3 + [(row + 1, column + 1) for row in range(along) for column in range(along)]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    tokens = []
    for number, picture in enumerate(views):
        picture = (picture - mean[:, None, None]) / std[:, None, None]
        kernel = of("patch_embed.patch_embed.proj.weight").flatten(1)
        patches = F.unfold(picture[None], TINY.patch_size, stride=TINY.patch_size)[0].T @ kernel.T
        patches = patches + of("patch_embed.patch_embed.proj.bias")
        x = torch.cat([of("patch_embed.cls_token")[0], patches]) + of("patch_embed.pos_embed")[0]
        x = torch.cat([x[:1], of("patch_embed.register_tokens")[0], x[1:]])
        x = norm(block(x, "patch_embed.blocks.0", 1e-6), "patch_embed.norm", 1e-6)[2:]
        which = min(number, 1)
        tokens.append(torch.cat([of("camera_token")[0, which], of("register_token")[0, which], x]))
    for index in range(TINY.num_blocks):
        own = [block(x, f"frame_blocks.{index}", 1e-5, places) for x in tokens]
        together = block(torch.cat(own), f"global_blocks.{index}", 1e-5, places * len(views))
        tokens = list(together.split(len(places)))
    return torch.stack([torch.cat(pair, dim=1) for pair in zip(own, tokens, strict=True)])

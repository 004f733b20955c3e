"""Perceptual figures: the Frechet distance by hand, the networks as tiny real models with random weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from kyvo.errors import CheckpointError, ConfigError, ImageError
from kyvo.metrics.inception import convolution_names, pooled_features
from kyvo.metrics.perceptual import (
    ALEX,
    VGG,
    Lpips,
    clip_encoder,
    cosine,
    dino_encoder,
    frechet_distance,
    inception_encoder,
    kernel_distance,
    load_tensors,
    to_tensor,
)

WIDTH = 4  # channels of every layer


def picture(seed, height=40, width=48):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def trunk_of(layers, kernels):
    torch.manual_seed(0)
    found, channels = {}, 3
    for index in [layer[0] for layer in layers if not isinstance(layer, str)]:
        size = kernels.get(index, 3)
        found[f"features.{index}.weight"] = torch.randn(WIDTH, channels, size, size) / size
        found[f"features.{index}.bias"] = torch.randn(WIDTH)
        channels = WIDTH
    return found


@pytest.fixture
def weights(tmp_path):
    """Random LPIPS weights in the published files' form."""
    torch.save(trunk_of(ALEX, {0: 11, 3: 5}), tmp_path / "alexnet.pth")
    save_file(trunk_of(VGG, {}), tmp_path / "vgg16.safetensors")
    heads = {f"lin{index}.model.1.weight": torch.rand(1, WIDTH, 1, 1) for index in range(5)}
    torch.save(heads, tmp_path / "heads.pth")
    return tmp_path


def lpips(weights, net):
    trunk = {"alex": "alexnet.pth", "vgg": "vgg16.safetensors"}[net]
    return Lpips(trunk=weights / trunk, heads=weights / "heads.pth", net=net)


def plain_alex(weights, ours, theirs):
    """LPIPS with AlexNet spelt out in modules."""
    found, heads = torch.load(weights / "alexnet.pth"), torch.load(weights / "heads.pth")
    sizes = {0: (11, 4, 2), 3: (5, 1, 2), 6: (3, 1, 1), 8: (3, 1, 1), 10: (3, 1, 1)}
    total, pair = 0.0, []
    for image in (ours, theirs):
        x = torch.from_numpy(image / 127.5 - 1).float().permute(2, 0, 1)[None]
        pair.append(
            (x - torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
            / torch.tensor([0.458, 0.448, 0.450])[:, None, None]
        )
    for tap, (index, (size, stride, padding)) in enumerate(sizes.items()):
        convolution = torch.nn.Conv2d(pair[0].shape[1], WIDTH, size, stride, padding)
        convolution.load_state_dict({part: found[f"features.{index}.{part}"] for part in ("weight", "bias")})
        pair = [torch.relu(convolution(x)) for x in pair]
        x, y = (each[0] / (each[0].pow(2).sum(0).sqrt() + 1e-10) for each in pair)
        total += ((x - y).pow(2) * heads[f"lin{tap}.model.1.weight"][0]).sum(0).mean().item()
        if index in (0, 3):
            pair = [torch.nn.MaxPool2d(3, 2)(x) for x in pair]
    return total


def test_lpips_equals_the_network_spelt_out(weights):
    ours, theirs = picture(0, 80, 96), picture(1, 80, 96)
    assert lpips(weights, "alex")(ours, theirs) == pytest.approx(plain_alex(weights, ours, theirs), rel=1e-5)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_is_zero_for_equal_pictures_and_symmetric(weights, net):
    measure, ours, theirs = lpips(weights, net), picture(0, 80, 96), picture(1, 80, 96)
    assert measure(ours, ours) == 0.0
    assert measure(ours, theirs) == pytest.approx(measure(theirs, ours))
    assert measure(ours, theirs) > 0


def test_lpips_of_two_networks_is_refused(weights):
    with pytest.raises(
        CheckpointError, match=r"alexnet.pth lacks 22 of 26 tensors, as features.2.weight; give torchvision's vgg"
    ):
        Lpips(trunk=weights / "alexnet.pth", heads=weights / "heads.pth", net="vgg")
    wide = {f"lin{index}.model.1.weight": torch.rand(1, 7, 1, 1) for index in range(5)}
    torch.save(wide, weights / "wide.pth")
    with pytest.raises(
        CheckpointError, match=r"its layers are \[7, 7, 7, 7, 7\] wide and those of .* \[4, 4, 4, 4, 4\]"
    ):
        Lpips(trunk=weights / "alexnet.pth", heads=weights / "wide.pth")
    with pytest.raises(ConfigError, match=r"network 'squeeze' is not known"):
        Lpips(trunk=weights / "alexnet.pth", heads=weights / "heads.pth", net="squeeze")
    with pytest.raises(ImageError, match=r"pictures of one size"):
        lpips(weights, "alex")(picture(0), picture(0, width=50))


def test_files_that_hold_no_tensors_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"does not exist; give the weights"):
        load_tensors(tmp_path / "none.pth", ["a"], "the weights")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(CheckpointError, match=r"text.pth is no file of tensors"):
        load_tensors(tmp_path / "text.pth", ["a"], "the weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(CheckpointError, match=r"text.safetensors is no file of tensors"):
        load_tensors(tmp_path / "text.safetensors", ["a"], "the weights")
    torch.save(torch.zeros(2), tmp_path / "one.pth")
    with pytest.raises(CheckpointError, match=r"holds a Tensor and no tensors by name"):
        load_tensors(tmp_path / "one.pth", ["a"], "the weights")


def test_the_frechet_distance_of_gaussians_by_hand():
    # two points at +-s around a mean have the sample variance 2 s^2
    first = np.array([[-1.0], [1.0]])
    assert frechet_distance(first, first + 3) == pytest.approx(9)
    assert frechet_distance(first, 2 * first) == pytest.approx((np.sqrt(8) - np.sqrt(2)) ** 2)
    # diagonal covariances: the sum over the axes
    corners = np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])
    stretched = corners * [1, 3] + [2, 0]
    assert frechet_distance(corners, stretched) == pytest.approx(4 + (3 - 1) ** 2 * 4 / 3)


@given(st.integers(0, 2**32 - 1))
def test_the_frechet_distance_is_symmetric_zero_for_equal_sets_and_blind_to_order(seed):
    rng = np.random.default_rng(seed)
    ours, theirs = rng.normal(size=(5, 8)), rng.normal(size=(6, 8))  # fewer pictures than features: singular
    assert frechet_distance(ours, ours[::-1]) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(ours, theirs) == pytest.approx(frechet_distance(theirs[::-1], ours), abs=1e-6)


def test_the_kernel_distance_is_that_of_a_slow_twin_and_zero_on_average_for_sets_of_one_kind():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(7, 5)), rng.normal(size=(9, 5)) + 0.5

    def mean(ones, others, same):
        pairs = [(i, j) for i in range(len(ones)) for j in range(len(others)) if not (same and i == j)]
        return np.mean([(sum(a * b for a, b in zip(ones[i], others[j], strict=True)) / 5 + 1) ** 3 for i, j in pairs])

    twin = mean(ours, ours, True) + mean(theirs, theirs, True) - 2 * mean(ours, theirs, False)
    assert kernel_distance(ours, theirs) == pytest.approx(twin)
    assert kernel_distance(ours, theirs) == pytest.approx(kernel_distance(theirs, ours))
    drawn = [kernel_distance(rng.normal(size=(20, 5)), rng.normal(size=(20, 5))) for _ in range(200)]
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / np.sqrt(200)
    with pytest.raises(ImageError, match="KD compares sets"):
        kernel_distance(ours[:1], theirs)


def test_the_frechet_distance_needs_sets():
    with pytest.raises(ImageError, match=r"1 and 3 are too few"):
        frechet_distance(np.zeros((1, 2)), np.zeros((3, 2)))


def inception_weights():
    """Random weights of the network's connections with every layer narrow."""
    torch.manual_seed(0)
    after = {"Mixed_5b": 16, "Mixed_5c": 16, "Mixed_5d": 16, "Mixed_6a": 16, "Mixed_6b": 24, "Mixed_6c": 16}
    after |= {"Mixed_6d": 16, "Mixed_6e": 16, "Mixed_7a": 16, "Mixed_7b": 24, "Mixed_7c": 24}
    found = {}
    for name in convolution_names():
        block, _, layer = name.rpartition(".")
        if name == "Conv2d_1a_3x3":
            channels = 3
        elif not block:
            channels = WIDTH
        else:
            first = layer.endswith("_1") or layer in ("branch1x1", "branch_pool", "branch3x3")
            channels = entering(block) if first else WIDTH
        size = (3, 3)
        if layer.endswith("1x1") or layer.endswith("_1") or layer == "branch_pool":
            size = (1, 1)
        elif layer == "branch5x5_2":
            size = (5, 5)
        elif layer in ("branch7x7_2", "branch7x7dbl_3", "branch7x7dbl_5", "branch7x7x3_2"):
            size = (1, 7)
        elif "7x7" in layer and layer != "branch7x7x3_4":
            size = (7, 1)
        elif layer.endswith("a") and block.startswith("Mixed_7"):
            size = (1, 3)
        elif layer.endswith("b") and block.startswith("Mixed_7"):
            size = (3, 1)
        found[f"{name}.conv.weight"] = torch.randn(WIDTH, channels, *size) * (2 / (channels * size[0] * size[1])) ** 0.5
        found[f"{name}.bn.running_mean"] = torch.randn(WIDTH) / 10
        found[f"{name}.bn.running_var"] = torch.rand(WIDTH) + 0.5
        found[f"{name}.bn.weight"] = torch.rand(WIDTH) + 0.5
        found[f"{name}.bn.bias"] = torch.randn(WIDTH) / 10
    return found


def entering(block):
    """Channels that enter a block, with branches WIDTH wide: four branches, or two and what was there."""
    if block == "Mixed_5b":
        return WIDTH
    if block in ("Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7a"):
        return 4 * WIDTH
    if block in ("Mixed_6b", "Mixed_7b"):
        return 6 * WIDTH  # two branches beside the 4 of the block before
    return 6 * WIDTH  # Mixed_7c: 1 + 2 + 2 + 1


def test_the_network_has_the_convolutions_of_inception_v3():
    assert len(set(convolution_names())) == 94  # Szegedy et al., 2016, without the auxiliary head


def test_inception_features_belong_to_the_picture_alone(tmp_path):
    weights = inception_weights()
    torch.save(weights, tmp_path / "inception.pth")
    encode = inception_encoder(tmp_path / "inception.pth")
    ours, theirs = picture(0), picture(1, 64, 64)
    together = encode([ours, theirs])
    assert together.shape == (2, 6 * WIDTH)
    assert together[1:] == pytest.approx(encode([theirs]), rel=1e-5)
    assert not np.allclose(together[0], together[1])
    assert torch.allclose(pooled_features(weights, to_tensor([ours])).double(), torch.from_numpy(together[:1]))


def test_another_networks_file_is_no_inception(weights):
    with pytest.raises(
        CheckpointError, match=r"lacks 470 of 470 tensors, as Conv2d_1a_3x3.conv.weight; give pytorch-fid"
    ):
        inception_encoder(weights / "alexnet.pth")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny CLIP and DINOv2 folders as transformers writes them."""
    from transformers import (
        BitImageProcessor,
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        Dinov2Config,
        Dinov2Model,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**size, "image_size": 32, "patch_size": 8}
    text = {**size, "vocab_size": 16, "max_position_embeddings": 8}
    CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=8)).save_pretrained(folder / "clip")
    square = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessor(**square).save_pretrained(folder / "clip")
    dino = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8)
    Dinov2Model(dino).save_pretrained(folder / "dino")
    BitImageProcessor(**square).save_pretrained(folder / "dino")
    return folder


@pytest.mark.parametrize(("encoder", "name", "width"), [(clip_encoder, "clip", 8), (dino_encoder, "dino", 16)])
def test_features_of_equal_pictures_point_the_same_way(folders, encoder, name, width):
    encode = encoder(folders / name)
    ours, theirs = encode([picture(0), picture(1)]), encode([picture(0), picture(2)])
    assert ours.shape == (2, width)
    alike = cosine(ours, theirs)
    assert alike[0] == pytest.approx(1.0)
    assert alike[1] < 1 - 1e-6


def test_folders_of_the_wrong_kind_are_refused(folders, tmp_path):
    with pytest.raises(CheckpointError, match=r"has no config.json; give a model folder"):
        clip_encoder(tmp_path)
    with pytest.raises(CheckpointError, match=r"Dinov2Model has no picture embedding; give a CLIP"):
        clip_encoder(folders / "dino")
    with pytest.raises(CheckpointError, match=r"CLIPModel is no DINO model"):
        dino_encoder(folders / "clip")


def test_the_cosine_by_hand():
    assert cosine(np.array([[1.0, 0], [3, 4]]), np.array([[0.0, 2], [4, 3]])) == pytest.approx([0, 24 / 25])

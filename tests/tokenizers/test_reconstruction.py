"""Losses of reconstructions: against hand-made pictures and the metrics of the same names."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kyvo.errors import CheckpointError
from kyvo.metrics import images, perceptual
from kyvo.tokenizers.image import to_pixels
from kyvo.tokenizers.reconstruction import VGG16_STAGES, Lpips, StructuralLoss, perceptual_loss, reconstruction_loss

WIDTH = 4  # channels of every layer


def pictures(seed: int, size: tuple[int, int] = (40, 48)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, *size, 3), dtype=np.uint8)


def trunk() -> dict[str, torch.Tensor]:
    """Random weights by torchvision's names."""
    torch.manual_seed(0)
    state, channels = {}, 3
    for index in (index for stage in VGG16_STAGES for index in stage):
        state[f"features.{index}.weight"] = torch.randn(WIDTH, channels, 3, 3) / 3
        state[f"features.{index}.bias"] = torch.randn(WIDTH)
        channels = WIDTH
    return state


def heads() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {f"lin{index}.model.1.weight": torch.rand(1, WIDTH, 1, 1) for index in range(5)}


def test_an_object_pixel_weighs_more_than_floor():
    target = torch.zeros(1, 3, 32, 32)
    target[..., 14:18, 14:18] = 1.0
    weights = {"contrast_weight": 4.0, "edge_weight": 0.0}
    on_object, on_floor = target.clone(), target.clone()
    on_object[..., 15, 15] -= 0.5
    on_floor[..., 2, 2] -= 0.5
    worse = reconstruction_loss(on_object, target, **weights)
    assert worse > 3 * reconstruction_loss(on_floor, target, **weights)


def test_the_structural_losss_ssim_is_that_of_the_metrics():
    ours, theirs = pictures(0), (pictures(0) * 0.7 + pictures(1) * 0.3).astype(np.uint8)
    expected = np.mean([images.ssim(x, y) for x, y in zip(ours, theirs, strict=True)])
    found = StructuralLoss().ssim(to_pixels(ours), to_pixels(theirs)).item()
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_structural_loss_is_the_mean_over_halved_pictures_down_to_its_window():
    loss, x, y = StructuralLoss(), to_pixels(pictures(0)), to_pixels(pictures(1))
    half_x, half_y = (pixels.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).mean((3, 5)) for pixels in (x, y))
    expected = 1 - (loss.ssim(x, y) + loss.ssim(half_x, half_y)) / 2  # a quarter would be 10 px high
    assert loss(x, y).item() == pytest.approx(expected.item(), abs=1e-5)
    assert loss(x, x).item() == pytest.approx(0.0, abs=1e-5)
    small = torch.rand(1, 3, 8, 8, requires_grad=True)
    loss(small, torch.rand(1, 3, 8, 8)).backward()
    assert small.grad.abs().max() == 0


def test_lpips_equals_the_metric_of_the_same_name(tmp_path):
    torch.save(trunk(), tmp_path / "vgg16.pth")
    save_file(heads(), tmp_path / "heads.safetensors")
    metric = perceptual.Lpips(trunk=tmp_path / "vgg16.pth", heads=tmp_path / "heads.safetensors", net="vgg")
    loss = perceptual_loss([tmp_path / "vgg16.pth", tmp_path / "heads.safetensors"])
    ours, theirs = pictures(0), pictures(1)
    expected = np.mean([metric(x, y) for x, y in zip(ours, theirs, strict=True)])
    assert loss(to_pixels(ours), to_pixels(theirs)).item() == pytest.approx(expected, rel=1e-4)
    assert loss(to_pixels(ours), to_pixels(ours)).item() == 0.0
    assert "LPIPS" in loss.about


def test_lpips_is_read_from_its_packages_and_from_tamings_checkpoint_too(tmp_path):
    stage_of = {index: number for number, stage in enumerate(VGG16_STAGES, start=1) for index in stage}
    renamed = {}
    for name, tensor in trunk().items():
        _, index, part = name.split(".")
        renamed[f"net.slice{stage_of[int(index)]}.{index}.{part}"] = tensor
    package = renamed | heads()
    torch.save(package | {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}, tmp_path / "lpips.pth")
    checkpoint = {f"loss.perceptual_loss.{name}": tensor for name, tensor in package.items()}
    torch.save({"state_dict": checkpoint | {"quant_conv.bias": torch.zeros(3)}}, tmp_path / "last.ckpt")
    x, y = to_pixels(pictures(0)), to_pixels(pictures(1))
    expected = Lpips(trunk() | heads())(x, y)
    for name in ("lpips.pth", "last.ckpt"):
        torch.testing.assert_close(perceptual_loss([tmp_path / name])(x, y), expected)


def test_lpips_has_finite_gradients_where_it_sees_nothing():
    state = {name: tensor * 0 if name.endswith("weight") else tensor * 0 - 1 for name, tensor in trunk().items()}
    pixels = torch.rand(1, 3, 32, 32, requires_grad=True)
    Lpips(state | heads())(pixels, torch.rand(1, 3, 32, 32)).backward()
    assert pixels.grad.isfinite().all()


def test_only_the_picture_gets_gradients_from_lpips():
    loss, pixels = Lpips(trunk() | heads()), torch.rand(1, 3, 32, 32, requires_grad=True)
    loss(pixels, torch.rand(1, 3, 32, 32)).backward()
    assert pixels.grad.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_weights_that_are_not_all_there_are_refused_with_what_would_fit(tmp_path):
    torch.save(trunk(), tmp_path / "vgg16.pth")
    with pytest.raises(CheckpointError, match=r"vgg16.pth: LPIPS lacks lin0.model.1.weight \(5 of 31 tensors\). Give"):
        perceptual_loss([tmp_path / "vgg16.pth"])
    with pytest.raises(CheckpointError, match=r"lin0.model.1.weight is for 7 channels and features.2 has 4"):
        Lpips(trunk() | {name: torch.rand(1, 7, 1, 1) for name in heads()})
    with pytest.raises(CheckpointError, match=r"none.safetensors is missing or no safetensors file"):
        perceptual_loss([tmp_path / "none.safetensors"])


def test_without_weights_the_structural_loss_says_that_it_stands_in():
    assert "structural loss" in perceptual_loss([]).about and "train.lpips" in perceptual_loss([]).about

"""The patch discriminator against taming's and by hand; the adversary as a thing that learns and comes back."""

import copy

import pytest
import torch

from kyvo.errors import ConfigError
from kyvo.tokenizers.adversarial import Adversary, PatchDiscriminator, adaptive_weight, hinge_loss

SETTINGS = {"weight": 1.0, "learning_rate": 2e-3, "channels": 4, "width": 32, "height": 24, "device": "cpu"}


def adversary(**changed) -> Adversary:
    torch.manual_seed(0)
    return Adversary(**(SETTINGS | changed))


def batch(seed: int) -> torch.Tensor:
    return torch.rand(4, 3, 24, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_a_logit_sees_a_patch_of_70_pixels():
    pixels = torch.rand(1, 3, 128, 128, requires_grad=True)
    logits = PatchDiscriminator(channels=2).eval()(pixels)
    logits[0, 0, 7, 7].backward()
    rows, columns = pixels.grad[0].abs().sum(0).nonzero().unbind(1)
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (70, 70)


@pytest.mark.taming
def test_the_discriminator_is_tamings():
    model = pytest.importorskip("taming.modules.discriminator.model")
    theirs = model.NLayerDiscriminator(ndf=8).apply(model.weights_init)
    ours = PatchDiscriminator(channels=8)
    ours.load_state_dict(theirs.state_dict())
    pixels = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(ours(pixels), theirs(pixels))


def test_the_hinge_loss_by_hand():
    assert hinge_loss(torch.tensor([0.5, 2.0]), torch.tensor([-3.0, 1.0])).item() == pytest.approx(0.5 * (0.25 + 1.0))
    assert hinge_loss(torch.tensor([1.0]), torch.tensor([-1.0])).item() == 0.0


def test_the_adaptive_weight_makes_both_gradients_equally_long():
    layer = torch.tensor([3.0, 4.0], requires_grad=True)
    direction = torch.tensor([1.0, 0.0])
    weight = adaptive_weight(layer.square().sum(), 0.5 * (layer * direction).sum(), layer)  # gradients of 10 and 0.5
    assert weight.item() == pytest.approx(20, rel=1e-3)
    assert not weight.requires_grad
    assert adaptive_weight(1e6 * layer.sum(), (0 * layer).sum(), layer).item() == pytest.approx(1e4)


def test_judging_moves_the_picture_and_not_the_discriminator():
    judge, layer = adversary(weight=0.5), torch.ones(4, 3, 24, 32, requires_grad=True)
    output = batch(0) * layer
    before = {name: tensor.clone() for name, tensor in judge.discriminator.named_parameters()}
    loss = judge.judge(output, output.square().mean(), layer)
    loss.backward()
    reference = torch.autograd.grad((batch(0) * layer).square().mean(), layer)[0]
    assert layer.grad.norm().item() == pytest.approx(0.5 * reference.norm().item(), rel=0.05)
    for name, parameter in judge.discriminator.named_parameters():
        assert parameter.grad is None and torch.equal(parameter, before[name]), name


def test_the_discriminator_learns_to_tell_upright_stripes_from_flat_ones():
    judge = adversary(learning_rate=5e-3)
    stripes = torch.arange(32).div(2, rounding_mode="floor") % 2 * 2.0 - 1
    upright = (stripes.expand(24, 32) + 0.3 * batch(0)).clamp(-1, 1)
    flat = (stripes[:24, None].expand(24, 32) + 0.3 * batch(1)).clamp(-1, 1)
    first = judge.learn(upright, flat, schedule=1.0)
    for _ in range(40):
        last = judge.learn(upright, flat, schedule=1.0)
    assert last < 0.5 * first


def test_a_discriminator_comes_back_with_its_optimizer():
    one, other = adversary(), adversary(learning_rate=1e-3)
    for seed in range(3):
        one.learn(batch(seed), batch(seed + 5), schedule=1.0)
    other.learning_rate = one.learning_rate
    other.load_state_dict(copy.deepcopy(one.state_dict()))  # else the two would share their optimizers' moments
    losses = [[each.learn(batch(0), batch(1), schedule=0.5).item() for _ in range(2)] for each in (one, other)]
    assert losses[0] == losses[1]


def test_pictures_that_leave_no_patch_are_refused():
    with pytest.raises(ConfigError, match=r"24 px at least; these have 32x16 px. Set train.discriminator_weight to 0"):
        adversary(height=16)

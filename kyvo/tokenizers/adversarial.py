"""The patch discriminator of the image tokenizer's training, and its adversarial losses.

As in https://arxiv.org/abs/2012.09841, equations 5 to 7: without it a network that is small for its pictures blurs what
it cannot tell. It is thrown away after the training; its names are taming-transformers'.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.devices import autocast
from kyvo.errors import ConfigError

SMALLEST = 24  # px, of a picture's side: below, the last convolution has nothing left to look at
MAX_WEIGHT = 1e4  # of the adversarial gradients, against division by nearly nothing


class PatchDiscriminator(nn.Module):
    """One logit for every patch of 70 x 70 px, positive for a real one (https://arxiv.org/abs/1611.07004, 6.1.2)."""

    def __init__(self, *, channels: int = 64) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels, 8 * channels]
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for before, width in pairwise(widths):
            stride = 1 if width == widths[-1] else 2
            layers += [
                nn.Conv2d(before, width, 4, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.LeakyReLU(0.2),
            ]
        self.main = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows columns"]:
        return self.main(pixels)


def hinge_loss(real: Tensor, fake: Tensor) -> Float[Tensor, ""]:
    """Zero once every real patch is above 1 and every other below -1."""
    return 0.5 * (F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean())


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last_layer: Tensor) -> Float[Tensor, ""]:
    """The factor that makes both losses pull equally hard at the decoder's last layer (equation 7)."""
    pull, push = (
        torch.autograd.grad(loss, last_layer, retain_graph=True)[0].norm() for loss in (reconstruction, adversarial)
    )
    return (pull / (push + 1e-4)).clamp(max=MAX_WEIGHT).detach()


class Adversary:
    """A discriminator with its optimizer.

    Unlike taming, which reconstructs a second time for it, it learns from the reconstructions that the tokenizer was
    just judged by.
    """

    def __init__(
        self, *, weight: float, learning_rate: float, channels: int, width: int, height: int, device: str
    ) -> None:
        if min(width, height) < SMALLEST:
            raise ConfigError(
                f"A discriminator needs pictures of {SMALLEST} px at least; these have {width}x{height} px. "
                "Set train.discriminator_weight to 0."
            )
        self.weight = weight
        self.learning_rate = learning_rate
        self.device = device
        self.discriminator = PatchDiscriminator(channels=channels).to(device)
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=learning_rate, betas=(0.5, 0.9))

    def judge(self, output: Tensor, reconstruction: Tensor, last_layer: Tensor) -> Float[Tensor, ""]:
        """What the tokenizer's loss gets: how surely its output is told apart, scaled by `adaptive_weight`.

        Args:
            output: of the decoder, [B, 3, H, W].
            reconstruction: the losses that `output` already has, with their graph.
            last_layer: the decoder's last weight.
        """
        self.discriminator.requires_grad_(False)
        with autocast(self.device):
            loss = -self.discriminator(output).float().mean()
        return self.weight * adaptive_weight(reconstruction, loss, last_layer) * loss

    def learn(self, pixels: Tensor, output: Tensor, *, schedule: float) -> Float[Tensor, ""]:
        """One step at `schedule` times the learning rate; returns the hinge loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * schedule
        self.discriminator.requires_grad_(True)
        with autocast(self.device):
            real, fake = (self.discriminator(pictures).float() for pictures in (pixels, output.detach()))
        loss = hinge_loss(real, fake)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        return {"discriminator": self.discriminator.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])

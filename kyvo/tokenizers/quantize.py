"""A learned codebook: latent vectors <-> indices of codes, and the care that keeps its codes in use.

Two quantizers choose a code, each under the tensor names that taming-transformers gives it: the nearest one, as in
VQ-VAE (https://arxiv.org/abs/1711.00937, equation 3), or the one a projection scores highest, as its Gumbel-softmax
models were trained (https://arxiv.org/abs/1611.01144). `DeadCodeRestart` and `MovingAverage` are training-only state
and are kept out of the modules, so that a tokenizer's weights have exactly taming's names.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class Quantized(NamedTuple):
    """What the quantizer made of a batch of latent maps."""

    values: Tensor  # [B, D, h, w]: the chosen codes; gradients pass straight through to the latents
    indices: Tensor  # [B, h, w]: int64
    loss: Tensor  # scalar: codebook + beta * commitment


class VectorQuantizer(nn.Module):
    """Replaces each latent vector by the nearest of `n_embed` codes (squared distance, always in float32)."""

    def __init__(self, *, n_embed: int, embed_dim: int, beta: float = 0.25) -> None:
        super().__init__()
        self.beta = beta
        self.embedding = nn.Embedding(n_embed, embed_dim)
        nn.init.uniform_(self.embedding.weight, -1.0 / n_embed, 1.0 / n_embed)

    def forward(self, latents: Float[Tensor, "batch dim height width"]) -> Quantized:
        # bf16 has 8 bits: distances of neighbouring codes would tie and indices would depend on the device.
        with torch.autocast(latents.device.type, enabled=False):
            flat = latents.permute(0, 2, 3, 1).float()
            indices = self.nearest(flat)
            values = self.embedding(indices)
            loss = F.mse_loss(values, flat.detach()) + self.beta * F.mse_loss(flat, values.detach())
            values = flat + (values - flat).detach()
        return Quantized(values.permute(0, 3, 1, 2).contiguous(), indices, loss)

    @torch.no_grad()
    def nearest(self, vectors: Float[Tensor, "*points dim"]) -> Int[Tensor, "*points"]:
        """Index of the nearest code; `|v|^2` is left out because it does not change which code wins."""
        codes = self.embedding.weight.float()
        flat = vectors.reshape(-1, codes.shape[1])
        distances = torch.addmm(codes.square().sum(1), flat, codes.T, alpha=-2.0)
        return distances.argmin(1).reshape(vectors.shape[:-1])

    def choose(self, latents: Float[Tensor, "batch dim height width"]) -> Int[Tensor, "batch height width"]:
        return self.nearest(latents.permute(0, 2, 3, 1).float())

    def lookup(self, indices: Int[Tensor, "batch height width"]) -> Float[Tensor, "batch dim height width"]:
        return self.embedding(indices).permute(0, 3, 1, 2).contiguous()


class GumbelQuantizer(nn.Module):
    """Scores every code by a 1x1 convolution of the latents; the highest is chosen. For inference only.

    taming adds Gumbel noise to the scores in evaluation too, so that its codes differ from call to call; without it
    a picture has one row of codes, the likeliest.
    """

    def __init__(self, *, n_embed: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(embed_dim, n_embed, 1)
        self.embed = nn.Embedding(n_embed, embed_dim)

    @property
    def embedding(self) -> nn.Embedding:
        """The codebook, by the name that `VectorQuantizer` has for it."""
        return self.embed

    @torch.no_grad()
    def choose(self, latents: Float[Tensor, "batch dim height width"]) -> Int[Tensor, "batch height width"]:
        return self.proj(latents).argmax(1)

    def lookup(self, indices: Int[Tensor, "batch height width"]) -> Float[Tensor, "batch dim height width"]:
        return self.embed(indices).permute(0, 3, 1, 2).contiguous()


class DeadCodeRestart:
    """Moves codes nobody chose for `patience` steps onto random latents of the current batch.

    Gradients reach only chosen codes, so one that starts far from the data stays unused for ever
    (https://arxiv.org/abs/2005.00341, section 3.1, restarts them likewise). A latent is chosen by its squared distance
    to its code: where codes are dense already, none is added.
    """

    def __init__(self, quantizer: VectorQuantizer, *, patience: int, generator: torch.Generator) -> None:
        self.quantizer = quantizer
        self.patience = patience
        self.generator = generator
        self.idle_steps = torch.zeros_like(quantizer.embedding.weight[:, 0], dtype=torch.long)  # [n_embed]

    @torch.no_grad()
    def before(self, latents: Float[Tensor, "batch dim height width"]) -> int:
        """Restarts dead codes on the latents about to be quantized; returns how many."""
        dead = (self.idle_steps >= self.patience).nonzero()[:, 0]
        if len(dead):
            flat = latents.detach().permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).float()
            error = (flat - self.quantizer.embedding(self.quantizer.nearest(flat))).square().sum(1).cpu()
            chosen = torch.multinomial(error + 1e-9, len(dead), replacement=True, generator=self.generator)
            self.quantizer.embedding.weight[dead] = flat[chosen]
            self.idle_steps[dead] = 0
        return len(dead)

    def after(self, indices: Int[Tensor, "batch height width"]) -> None:
        """Notes which codes the batch chose."""
        self.idle_steps += 1
        self.idle_steps[indices.unique()] = 0


class MovingAverage:
    """Moves codes to the running mean of the latents that chose them, in place of a gradient.

    With N the running count of a code e, and n latents x of a step that chose it, N <- decay N + (1 - decay) n and
    e <- e + (1 - decay) (sum of x - n e) / N: the averages of VQ-VAE (https://arxiv.org/abs/1711.00937, appendix A.1),
    whose running sum is N e and needs no place of its own. So a code that is put elsewhere takes its past with it.
    """

    def __init__(self, quantizer: VectorQuantizer, *, decay: float) -> None:
        self.quantizer = quantizer
        self.decay = decay
        self.counts = torch.zeros_like(quantizer.embedding.weight[:, 0])  # [n_embed]

    def start(self, num_latents: int) -> None:
        """As if each code had been chosen as often as in a step of so many latents on average: it keeps its place."""
        self.counts.fill_(num_latents / len(self.counts))

    @torch.no_grad()
    def after(
        self, latents: Float[Tensor, "batch dim height width"], indices: Int[Tensor, "batch height width"]
    ) -> None:
        """Takes in the latents of a step, and the codes that they chose."""
        codes = self.quantizer.embedding.weight
        flat, chosen = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).float(), indices.flatten()
        found = torch.bincount(chosen, minlength=len(codes)).float()
        sums = torch.zeros_like(codes).index_add_(0, chosen, flat)
        self.counts = self.decay * self.counts + (1 - self.decay) * found
        change = (sums - found[:, None] * codes) * (1 - self.decay)
        codes += change / self.counts.clamp(min=torch.finfo(codes.dtype).tiny)[:, None]

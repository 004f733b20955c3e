"""The 3D VQ-VAE: the features of an object's cells <-> a short row of codes.

The cells' features are set into a dense grid, zero where no cell is active; convolutions take it to a grid an eighth as
wide (in the paper), whose vectors are replaced by codes, and back (https://arxiv.org/abs/2506.08002, section on shapes;
blocks are those of TRELLIS's sparse-structure VAE, without skips across the codes). The paper says how features come
back, not which cells are active: `occupancy` is that choice.

Codes stand x-major, z running fastest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.models.slat.latent import PUBLISHED_MEAN, PUBLISHED_STD, RESOLUTION, LatentError, StructuredLatent
from kyvo.models.slat.structure import ChannelLayerNorm, Downsample, ResBlock, Upsample, shuffle_voxels
from kyvo.shapes.contour import CHANNELS as SURFACE_CHANNELS
from kyvo.shapes.contour import COLOR
from kyvo.shapes.corrections import Corrections, full_blocks, remaining_errors
from kyvo.tokenizers.quantize import Quantized, VectorQuantizer

# By kind of occupancy. A cell too many hardly shows; one that is missed takes the quads around it away.
ACTIVE_ABOVE = {"logit": -2.0, "norm": 0.0}


@dataclass(frozen=True, kw_only=True)
class ShapeVQVAEConfig:
    """Sizes of the network and the scale of what it takes. Lists are made tuples: JSON and YAML hand lists over."""

    kind: str  # of the features: "trellis", or "surface" (kyvo/shapes/contour.py)
    resolution: int  # cells along a side of the grid
    widths: Sequence[int]  # channels of each level; the side halves from one to the next
    num_res_blocks: int  # a level
    num_res_blocks_middle: int  # at the coarsest level, besides
    embed_dim: int  # of a code
    n_embed: int  # codes to choose from
    feature_mean: Sequence[float]  # of each channel over active cells; the network sees (feature - mean) / std
    feature_std: Sequence[float]
    patch: int = 1  # cells along a side that become one vector before anything is convolved: 1, 2 or 4
    occupancy: str = "logit"  # active cells: an output of their own; or "norm": those with features long enough
    norm_threshold: float = 1.0  # for "norm": that many standard deviations; inactive cells are trained to 0
    beta: float = 0.25  # weight of the commitment
    correction_rounds: int = 0  # at most so many a surface block (kyvo/shapes/corrections.py); 0: none
    correction_rank: int = 0  # vectors that corrections are made of

    def __post_init__(self) -> None:
        for name in ("widths", "feature_mean", "feature_std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.occupancy not in ("logit", "norm"):
            raise ConfigError(f'occupancy is {self.occupancy!r}; "logit" and "norm" are known.')
        if self.patch not in (1, 2, 4):
            raise ConfigError(f"patch is {self.patch}; it is 1, 2 or 4 cells.")
        if len(self.feature_mean) != len(self.feature_std) or min(self.feature_std, default=0) <= 0:
            raise ConfigError(
                f"feature_mean has {len(self.feature_mean)} values and feature_std {len(self.feature_std)}; each "
                "channel has one of both, and deviations are above 0."
            )
        if self.correction_rounds and (self.kind != "surface" or self.occupancy != "logit" or not self.correction_rank):
            raise ConfigError(
                f"correction_rounds is {self.correction_rounds} with kind {self.kind!r}, occupancy {self.occupancy!r} "
                f"and correction_rank {self.correction_rank}; corrections are of surface features with logits, and of "
                "a rank above 0."
            )
        if not self.widths or self.resolution % self.shrinkage:
            raise ConfigError(
                f"A grid of {self.resolution} does not divide by {self.shrinkage}, which patch {self.patch} and "
                f"{len(self.widths)} widths make of it; take a multiple, or fewer widths."
            )

    @property
    def channels(self) -> int:
        """Features of a cell."""
        return len(self.feature_mean)

    @property
    def shrinkage(self) -> int:
        """Cells along a side that one code stands for."""
        return self.patch * 2 ** (len(self.widths) - 1)

    @property
    def side(self) -> int:
        """Codes along a side."""
        return self.resolution // self.shrinkage

    @property
    def num_codes(self) -> int:
        """Codes of an object."""
        return self.side**3


def shape_paper(
    *, num_res_blocks: int = 2, num_res_blocks_middle: int = 2, occupancy: str = "logit"
) -> ShapeVQVAEConfig:
    """The paper's: TRELLIS's latents, 64^3 x 8 -> 8^3 x 128, 8,192 codes; 654 million weights.

    How many blocks a level has is not stated; the defaults are those of TRELLIS's sparse-structure VAE.
    """
    return ShapeVQVAEConfig(
        kind="trellis",
        resolution=RESOLUTION,
        widths=(32, 128, 512, 1024),
        num_res_blocks=num_res_blocks,
        num_res_blocks_middle=num_res_blocks_middle,
        embed_dim=128,
        n_embed=8192,
        feature_mean=PUBLISHED_MEAN,
        feature_std=PUBLISHED_STD,
        occupancy=occupancy,
    )


def shape_mini(*, resolution: int = 32, n_embed: int = 2048, widths: Sequence[int] = (48, 128)) -> ShapeVQVAEConfig:
    """The bundled one: surface features, 32^3 x 12 -> 8^3 x 32, 2,048 codes; with a third width 4^3 x 32.

    F-score at 0.05 sees nothing finer than a cell of this grid, and each of its convolutions costs an eighth of what it
    would on a grid of 64. About 4 GMAC an object forward: a training step of 8 is 0.2 TFLOP.
    """
    return ShapeVQVAEConfig(
        kind="surface",
        resolution=resolution,
        widths=widths,
        num_res_blocks=1,
        num_res_blocks_middle=1,
        embed_dim=32,
        n_embed=n_embed,
        feature_mean=(0.0,) * SURFACE_CHANNELS,
        # Offsets lie within half a cell, colours mostly in the middle; what is left has its own scale.
        feature_std=(0.25,) * 3 + (0.6,) * 3 + (0.5,) * 3 + (1.0,) * 3,
        patch=2,
        beta=0.02,  # in an hour the paper's 0.25 pulls the latents together before they tell objects apart
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapeGrid:
    """Dense grids of a batch of objects; features are standardised, and 0 where no cell is active."""

    features: Float[Tensor, "batch channels x y z"]
    active: Bool[Tensor, "batch x y z"]

    def to(self, device: torch.device | str) -> "ShapeGrid":
        return ShapeGrid(features=self.features.to(device), active=self.active.to(device))


@dataclass(frozen=True, kw_only=True, eq=False)
class Reconstruction:
    """What the decoder says of every cell."""

    features: Float[Tensor, "batch channels x y z"]  # standardised
    scores: Float[Tensor, "batch x y z"]  # a cell is active where this is above ACTIVE_ABOVE


class ShapeEncoder(nn.Module):
    def __init__(self, config: ShapeVQVAEConfig) -> None:
        super().__init__()
        widths, patch = config.widths, config.patch
        if patch == 1:
            self.input_layer = nn.Conv3d(config.channels, widths[0], 3, padding=1)
        else:
            self.input_layer = nn.Conv3d(config.channels, widths[0], patch, stride=patch)
        blocks: list[nn.Module] = []
        for level, width in enumerate(widths):
            blocks += residual(width, config.num_res_blocks)
            if level + 1 < len(widths):
                blocks.append(Downsample(width, widths[level + 1], device=None, dtype=torch.float32))
        self.blocks = nn.Sequential(*blocks, *residual(widths[-1], config.num_res_blocks_middle))
        self.out_layer = output(widths[-1], config.embed_dim)

    def forward(self, features: Float[Tensor, "batch channels x y z"]) -> Float[Tensor, "batch dim x2 y2 z2"]:
        return self.out_layer(self.blocks(self.input_layer(features)))


class ShapeDecoder(nn.Module):
    def __init__(self, config: ShapeVQVAEConfig) -> None:
        super().__init__()
        widths = config.widths[::-1]
        self.input_layer = nn.Conv3d(config.embed_dim, widths[0], 3, padding=1)
        blocks = residual(widths[0], config.num_res_blocks_middle)
        for level, width in enumerate(widths):
            blocks += residual(width, config.num_res_blocks)
            if level + 1 < len(widths):
                blocks.append(Upsample(width, widths[level + 1], device=None, dtype=torch.float32))
        self.blocks = nn.Sequential(*blocks)
        self.num_shuffles = int(math.log2(config.patch))
        out_channels = config.channels + (config.occupancy == "logit")
        self.out_layer = output(widths[-1], out_channels * config.patch**3)

    def forward(self, codes: Float[Tensor, "batch dim x y z"]) -> Float[Tensor, "batch out x2 y2 z2"]:
        out = self.out_layer(self.blocks(self.input_layer(codes)))
        for _ in range(self.num_shuffles):
            out = shuffle_voxels(out)
        return out


def residual(channels: int, count: int) -> list[nn.Module]:
    return [ResBlock(channels, device=None, dtype=torch.float32) for _ in range(count)]


def output(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(ChannelLayerNorm(channels), nn.SiLU(), nn.Conv3d(channels, out_channels, 3, padding=1))


class ShapeVQVAE(nn.Module):
    """Encoder, codebook and decoder. Under autocast distances to codes are still compared in float32."""

    def __init__(self, config: ShapeVQVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ShapeEncoder(config)
        self.quantizer = VectorQuantizer(n_embed=config.n_embed, embed_dim=config.embed_dim, beta=config.beta)
        self.decoder = ShapeDecoder(config)
        # Codes follow the latents by running means (kyvo/tokenizers/quantize.py), never by gradients.
        self.quantizer.embedding.requires_grad_(False)
        self.corrections = (
            Corrections(
                rounds=config.correction_rounds,
                rank=config.correction_rank,
                n_embed=config.n_embed,
                embed_dim=config.embed_dim,
                channels=config.channels,
                block=config.shrinkage,
                color_scale=config.feature_std[COLOR.start],
            )
            if config.correction_rounds
            else None
        )

    def latents(self, features: Float[Tensor, "batch channels x y z"]) -> Float[Tensor, "batch dim side cells"]:
        """Before they become codes. The quantizer is made for maps: y and z share an axis."""
        return self.encoder(features).flatten(3)

    def quantize(self, latents: Float[Tensor, "batch dim side cells"]) -> Quantized:
        """With the gradient of the values passed straight through; `loss` also has the distance that no weight feels.

        The codebook takes no gradient, so the loss is (1 + beta) times the squared distance and pulls with beta.
        """
        return self.quantizer(latents)

    def decode(self, values: Float[Tensor, "batch dim side cells"]) -> Reconstruction:
        """Of codes' vectors, or of latents that skip the codebook."""
        side = self.config.side
        return self._reconstruction(self.decoder(values.unflatten(3, (side, side))))

    def encode_codes(self, features: Float[Tensor, "batch channels x y z"]) -> Int[Tensor, "batch codes"]:
        config, corrections = self.config, self.corrections
        if corrections is None:
            return self.quantizer.choose(self.latents(features).float()).flatten(1)
        active = (features != 0).any(1)  # an active cell has edges that are crossed or not, never 0
        full = full_blocks(active, config.shrinkage)
        codes = self.first_codes(self.encoder(features), full)
        errors = remaining_errors(
            self.decoder(self.seen(codes, full)).float(),
            features,
            active,
            active_above=ACTIVE_ABOVE[config.occupancy],
        )
        colors = features[:, COLOR] * corrections.color_scale
        return corrections.choose(codes, errors, colors, active, full)

    def decode_codes(self, codes: Int[Tensor, "batch codes"]) -> Reconstruction:
        side, corrections = self.config.side, self.corrections
        if corrections is None:
            return self.decode(self.quantizer.lookup(codes.unflatten(1, (side, -1))))
        full = corrections.of_surface[codes].unflatten(1, (side, side, side))
        return self._reconstruction(corrections.correct(self.decoder(self.seen(codes, full)).float(), codes, full))

    def first_codes(
        self, vectors: Float[Tensor, "batch dim x y z"], full: Bool[Tensor, "batch x y z"]
    ) -> Int[Tensor, "batch codes"]:
        """Codes of the encoder's vectors, before those of spare blocks become corrections."""
        assert self.corrections is not None
        rows = vectors.float().movedim(1, -1).flatten(0, 3)
        found = self.corrections.nearest(rows, full.flatten(), self.quantizer.embedding.weight)
        return found.unflatten(0, (len(vectors), -1))

    def seen(
        self, codes: Int[Tensor, "batch codes"], full: Bool[Tensor, "batch x y z"]
    ) -> Float[Tensor, "batch dim x y z"]:
        """What the decoder takes in where spare codes are corrections."""
        assert self.corrections is not None
        side = self.config.side
        values = self.quantizer.embedding(codes).unflatten(1, (side, side, side)).movedim(-1, 1)
        return self.corrections.hide(values, full)

    def _reconstruction(self, out: Float[Tensor, "batch out x y z"]) -> Reconstruction:
        out = out.float()
        if self.config.occupancy == "logit":
            return Reconstruction(features=out[:, 1:], scores=out[:, 0])
        return Reconstruction(features=out, scores=out.norm(dim=1) - self.config.norm_threshold)


def to_grid(latents: Sequence[StructuredLatent], config: ShapeVQVAEConfig) -> ShapeGrid:
    """Dense grids of these objects.

    Raises:
        LatentError: a latent with another grid or other features than the network's.
    """
    side = config.resolution
    features = torch.zeros(len(latents), config.channels, side, side, side)
    active = torch.zeros(len(latents), side, side, side, dtype=torch.bool)
    mean, std = torch.tensor(config.feature_mean), torch.tensor(config.feature_std)
    for index, latent in enumerate(latents):
        if latent.resolution != side or latent.feats.shape[1] != config.channels:
            raise LatentError(
                f"latents[{index}] has {latent.feats.shape[1]} features on a grid of {latent.resolution}; this "
                f"tokenizer takes {config.channels} ({config.kind}) on a grid of {side}. Encode the mesh for it."
            )
        feats = latent.denormalize().feats.detach().float().cpu()
        x, y, z = latent.coords.long().cpu().T
        features[index, :, x, y, z] = ((feats - mean) / std).T
        active[index, x, y, z] = True
    return ShapeGrid(features=features, active=active)


def from_grid(output: Reconstruction, config: ShapeVQVAEConfig) -> list[StructuredLatent]:
    """The active cells of each object; where no score is high enough, the cell with the highest."""
    mean, std = (output.features.new_tensor(values) for values in (config.feature_mean, config.feature_std))
    latents = []
    for features, scores in zip(output.features, output.scores, strict=True):
        coords = (scores > min(ACTIVE_ABOVE[config.occupancy], float(scores.max()) - 1e-6)).nonzero()
        x, y, z = coords.T
        feats = features[:, x, y, z].T * std + mean
        latents.append(StructuredLatent(coords=coords, feats=feats, resolution=config.resolution))
    return latents

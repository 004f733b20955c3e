"""TRELLIS's decoders: a structured latent -> Gaussians, a mesh, or a radiance field, for each object of a batch.

All three have the encoder's trunk; they differ in what they read from its features (https://arxiv.org/abs/2412.01506,
section 3.2). Latents are not normalised (`StructuredLatent.denormalize`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.models.slat.flexicubes import NUM_WEIGHTS, Surface, extract_surface
from kyvo.models.slat.gaussians import Gaussians
from kyvo.models.slat.radiance import SH_CONSTANT, RadianceField
from kyvo.models.slat.sparse import SparseTensor, group_norm, subdivide, submanifold_convolution
from kyvo.models.slat.transformer import SparseTransformer, SubmanifoldWeight, TransformerConfig, plain_norm

NUM_GROUPS = 32  # of the mesh decoder's normalisation


@dataclass(frozen=True, kw_only=True)
class GaussianDecoderConfig(TransformerConfig):
    representation_config: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, kw_only=True)
class MeshDecoderConfig(TransformerConfig):
    representation_config: Mapping[str, Any] = field(hash=False)  # use_color


@dataclass(frozen=True, kw_only=True)
class RadianceFieldDecoderConfig(TransformerConfig):
    representation_config: Mapping[str, Any] = field(hash=False)  # rank and dim


@dataclass(frozen=True, kw_only=True)
class GaussianSettings:
    """What the numbers of a cell mean: `representation_config`, with names that Python takes."""

    num_gaussians: int  # a cell
    voxel_size: float  # a Gaussian stays within half of this many cells of its cell's centre
    filter_variance: float  # of the pixel filter its pictures need, px^2
    smallest_scale: float  # added in quadrature to every scale
    scale_bias: float  # scale for an output of zero
    opacity_bias: float  # opacity for an output of zero
    learning_rates: Mapping[str, float]  # factor of each output
    perturb_offset: bool

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "GaussianSettings":
        """Raises ConfigError for a missing name or an activation other than softplus."""
        activation = config.get("scaling_activation", "softplus")
        if activation != "softplus":
            raise ConfigError(f"scaling_activation is {activation!r}; the published decoder has 'softplus'.")
        try:
            return cls(
                num_gaussians=config["num_gaussians"],
                voxel_size=config["voxel_size"],
                filter_variance=config["2d_filter_kernel_size"],
                smallest_scale=config["3d_filter_kernel_size"],
                scale_bias=config["scaling_bias"],
                opacity_bias=config["opacity_bias"],
                learning_rates=config["lr"],
                perturb_offset=config["perturb_offset"],
            )
        except KeyError as error:
            raise ConfigError(f"representation_config lacks {error.args[0]!r}.") from error


def spread_offsets(count: int, voxel_size: float) -> Float[Tensor, "count 3"]:
    """Where a cell's Gaussians start, before the tanh: a Hammersley set over the cell.

    Point i is (i / count, bits of i mirrored at the point, the same in base 3), in [0, 1]^3.
    """
    unit = [(i / count, _radical_inverse(i, 2), _radical_inverse(i, 3)) for i in range(count)]
    return torch.atanh((2 * torch.tensor(unit, dtype=torch.float64) - 1) / voxel_size).float()


def _radical_inverse(index: int, base: int) -> float:
    inverse, scale = 0.0, 1.0
    while index:
        index, digit = divmod(index, base)
        scale /= base
        inverse += digit * scale
    return inverse


class SLatGaussianDecoder(SparseTransformer):
    """`num_gaussians` Gaussians a cell."""

    OUTPUTS = (("_xyz", 3), ("_features_dc", 3), ("_scaling", 3), ("_rotation", 4), ("_opacity", 1))  # in this order

    offset_perturbation: Tensor

    def __init__(self, config: GaussianDecoderConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__(config, config.latent_channels, device=device)
        self.settings = GaussianSettings.from_config(config.representation_config)
        count = self.settings.num_gaussians
        width = count * sum(size for _, size in self.OUTPUTS)
        self.out_layer = nn.Linear(config.model_channels, width, device=device)
        spread = torch.zeros(count, 3)
        if self.settings.perturb_offset:
            spread = spread_offsets(count, self.settings.voxel_size)
        self.register_buffer("offset_perturbation", spread.to(device))

    def forward(self, x: SparseTensor) -> list[Gaussians]:
        feats = self.out_layer(plain_norm(self.trunk(x).feats.float(), 1e-5))
        batch = x.voxels.coords[:, 0]
        objects = range(x.voxels.batch_size)
        return [self._activate(feats[batch == index], x.voxels.coords[batch == index, 1:]) for index in objects]

    def _activate(self, feats: Tensor, coords: Tensor) -> Gaussians:
        settings, resolution = self.settings, self.config.resolution
        sizes = [settings.num_gaussians * size for _, size in self.OUTPUTS]
        offset, color, scale, rotation, opacity = (
            settings.learning_rates[name] * part.unflatten(1, (settings.num_gaussians, size))
            for (name, size), part in zip(self.OUTPUTS, feats.split(sizes, 1), strict=True)
        )
        reach = 0.5 * settings.voxel_size / resolution
        centers = ((coords + 0.5) / resolution - 0.5)[:, None]
        softplus = F.softplus(scale + math.log(math.expm1(settings.scale_bias)))
        identity = rotation.new_tensor([1.0, 0.0, 0.0, 0.0])
        bias = math.log(settings.opacity_bias / (1 - settings.opacity_bias))
        return Gaussians(
            positions=(centers + reach * (offset + self.offset_perturbation).tanh()).flatten(0, 1),
            scales=(softplus.square() + settings.smallest_scale**2).sqrt().flatten(0, 1),
            rotations_wxyz=F.normalize(rotation + identity, dim=2).flatten(0, 1),
            opacities=(opacity + bias).sigmoid().flatten(),
            colors=(0.5 + SH_CONSTANT * color).clamp(min=0).flatten(0, 1),
        )


class SLatRadianceFieldDecoder(SparseTransformer):
    """`rank` triples of lines with `dim` values a cell."""

    def __init__(self, config: RadianceFieldDecoderConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__(config, config.latent_channels, device=device)
        self.rank, self.dim = (_integer(config.representation_config, name) for name in ("rank", "dim"))
        self.out_layer = nn.Linear(config.model_channels, self.rank * (3 * self.dim + 1 + 3), device=device)

    def forward(self, x: SparseTensor) -> list[RadianceField]:
        feats = self.out_layer(plain_norm(self.trunk(x).feats.float(), 1e-5))
        lines, densities, colors = feats.split([self.rank * 3 * self.dim, self.rank, self.rank * 3], 1)
        fields = []
        for index in range(x.voxels.batch_size):
            rows = x.voxels.coords[:, 0] == index
            fields.append(
                RadianceField(
                    coords=x.voxels.coords[rows, 1:],
                    lines=1 + lines[rows].unflatten(1, (self.rank, 3, self.dim)),
                    densities=densities[rows],
                    colors=colors[rows].unflatten(1, (self.rank, 3)),
                    resolution=x.voxels.resolution,
                )
            )
        return fields


class SkipConnection(nn.Module):
    """A linear map stored as a one-tap convolution [out, 1, 1, 1, in], whose memory is read as [in, out].

    The published weights were trained through this fault of spconv (its issue 450): with the transposed reading, which
    the shape suggests, the decoder's output is noise.
    """

    def __init__(self, in_channels: int, out_channels: int, *, device: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = SubmanifoldWeight(in_channels, out_channels, 1, device=device, dtype=dtype)

    def forward(self, x: SparseTensor) -> SparseTensor:
        weight = self.conv.weight
        return x.replace(x.feats @ weight.reshape(weight.shape[-1], weight.shape[0]) + self.conv.bias)


class SparseGroupNorm(nn.GroupNorm):
    """Statistics over all cells of one object."""

    def forward(self, input: SparseTensor) -> SparseTensor:  # type: ignore[override]
        return group_norm(input, self.weight, self.bias, num_groups=self.num_groups)


class SparseSiLU(nn.Module):
    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.replace(F.silu(x.feats))


class SparseConvolution(nn.Module):
    """A submanifold convolution of 3^3 taps."""

    def __init__(self, in_channels: int, out_channels: int, *, device: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = SubmanifoldWeight(in_channels, out_channels, 3, device=device, dtype=dtype)

    def forward(self, x: SparseTensor) -> SparseTensor:
        return submanifold_convolution(x, self.conv.weight, self.conv.bias)


class SubdivideBlock(nn.Module):
    """Each cell becomes 8: normalise, subdivide, two convolutions, and a linear way around them."""

    def __init__(self, in_channels: int, out_channels: int, *, device: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.act_layers = nn.Sequential(SparseGroupNorm(NUM_GROUPS, in_channels, device=device), SparseSiLU())
        self.out_layers = nn.Sequential(
            SparseConvolution(in_channels, out_channels, device=device, dtype=dtype),
            SparseGroupNorm(NUM_GROUPS, out_channels, device=device),
            SparseSiLU(),
            SparseConvolution(out_channels, out_channels, device=device, dtype=dtype),
        )
        # Starts as the way around alone.
        last = self.out_layers[3]
        assert isinstance(last, SparseConvolution)
        nn.init.zeros_(last.conv.weight)
        self.skip_connection = SkipConnection(in_channels, out_channels, device=device, dtype=dtype)

    def forward(self, x: SparseTensor) -> SparseTensor:
        # The way around is linear and the same for the 8 children: mapped before they are made.
        around = subdivide(self.skip_connection(x))
        out = self.out_layers(subdivide(self.act_layers(x)))
        return out.replace(out.feats + around.feats)


class SLatMeshDecoder(SparseTransformer):
    """Two subdivisions, then what FlexiCubes needs at each of the cubes."""

    half_parts = ("blocks", "upsample")

    def __init__(self, config: MeshDecoderConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__(config, config.latent_channels, device=device)
        width, half = config.model_channels, config.half
        if width % (8 * NUM_GROUPS):
            raise ConfigError(f"model_channels is {width}; the mesh decoder needs a multiple of {8 * NUM_GROUPS}.")
        self.use_color = bool(config.representation_config.get("use_color", False))
        self.num_attributes = 6 if self.use_color else 0  # RGB and a normal
        self.upsample = nn.ModuleList(
            SubdivideBlock(wide, narrow, device=device, dtype=half)
            for wide, narrow in ((width, width // 4), (width // 4, width // 8))
        )
        self.out_layer = nn.Linear(width // 8, 8 * (1 + 3 + self.num_attributes) + NUM_WEIGHTS, device=device)

    def cubes(self, x: SparseTensor) -> SparseTensor:
        """Outputs of the network at cubes of a quarter cell: 8 distances, 8 deformations, 21 weights, 8 attributes."""
        x = self.trunk(x)
        for block in self.upsample:
            x = block(x)
        return x.replace(self.out_layer(x.feats.float()))

    def forward(self, x: SparseTensor) -> list[Surface]:
        cubes = self.cubes(x)
        resolution = cubes.voxels.resolution
        surfaces = []
        for index in range(cubes.voxels.batch_size):
            rows = cubes.voxels.coords[:, 0] == index
            sizes = [8, 8 * 3, NUM_WEIGHTS, 8 * self.num_attributes]
            distances, deformations, weights, attributes = cubes.feats[rows].split(sizes, 1)
            surfaces.append(
                extract_surface(
                    cubes=cubes.voxels.coords[rows, 1:],
                    distances=distances - 1 / resolution,  # starts a cube's width inside
                    deformations=deformations.unflatten(1, (8, 3)),
                    weights=weights,
                    attributes=attributes.unflatten(1, (8, self.num_attributes)),
                    resolution=resolution,
                )
            )
        return surfaces


def _integer(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    if not isinstance(value, int):
        raise ConfigError(f"representation_config.{name} is {value!r}; it is a whole number.")
    return value

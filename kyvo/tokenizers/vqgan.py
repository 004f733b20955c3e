"""The image VQGAN: pixels <-> a grid of codes, in the architecture of https://arxiv.org/abs/2012.09841.

Layers, their order and every tensor name are those of taming-transformers, so that its published checkpoints load
strictly. Pixels are float in [-1, 1], `[B, 3, H, W]`; codes are row-major, `[B, rows * columns]`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kyvo.errors import CheckpointError, ConfigError, ImageError
from kyvo.tokenizers.quantize import GumbelQuantizer, Quantized, VectorQuantizer
from kyvo.tokenizers.turn_maps import CHANNELS as TURN_CHANNELS

QUANTIZERS = ("nearest", "gumbel")


@dataclass(frozen=True, kw_only=True)
class VQGANConfig:
    """The shape of a VQGAN. Names are those of taming's `ddconfig`, plus the picture's size."""

    width: int  # pixels; also taming's nominal `resolution`
    height: int  # pixels
    ch: int  # channels at full resolution; GroupNorm has 32 groups, so a multiple of 32
    ch_mult: Sequence[int]  # one factor of `ch` a level; every level but the first halves the picture
    num_res_blocks: int  # a level, in the encoder; the decoder has one more
    attn_resolutions: Sequence[int]  # levels of this nominal width attend; the middle always does
    z_channels: int
    embed_dim: int  # of a code
    n_embed: int  # codes
    in_channels: int = 3
    out_ch: int = 3
    beta: float = 0.25  # weight of the commitment loss
    quantizer: str = "nearest"  # one of QUANTIZERS; "gumbel" is read from published weights and not trained here
    upscale: int = 1  # sides of a decoded picture, in those of an encoded one; ours
    turns: bool = False  # the decoder takes maps of cubes' faces (`kyvo.tokenizers.turn_maps`); ours

    def __post_init__(self) -> None:
        # YAML and JSON hand over lists; a frozen value must hash and compare.
        object.__setattr__(self, "ch_mult", tuple(self.ch_mult))
        object.__setattr__(self, "attn_resolutions", tuple(self.attn_resolutions))
        if self.ch % 32:
            raise ConfigError(f"ch is {self.ch}; group normalisation needs a multiple of 32.")
        if self.quantizer not in QUANTIZERS:
            raise ConfigError(f"quantizer is {self.quantizer!r}; known are {', '.join(QUANTIZERS)}.")
        if self.upscale < 1:
            raise ConfigError(f"upscale is {self.upscale}; a decoded picture is at least as large as an encoded one.")
        if self.width % self.factor or self.height % self.factor:
            raise ConfigError(
                f"{self.width}x{self.height} px cannot be halved {len(self.ch_mult) - 1} times: "
                f"width and height must be multiples of {self.factor}."
            )

    @property
    def factor(self) -> int:
        """Pixels a code spans in each direction."""
        return 2 ** (len(self.ch_mult) - 1)

    @property
    def decoded_size(self) -> tuple[int, int]:
        """Width and height of a decoded picture, px."""
        return self.upscale * self.width, self.upscale * self.height

    @property
    def rows(self) -> int:
        return self.height // self.factor

    @property
    def columns(self) -> int:
        return self.width // self.factor

    @property
    def num_codes(self) -> int:
        """Codes a picture takes."""
        return self.rows * self.columns


def image_mini(*, upscale: int = 1, turns: bool = False) -> VQGANConfig:
    """The bundled tokenizer: 120x80 px -> 15x10 codes of 8,192.

    CLEVR's 3:2 format keeps every pixel of its pictures; f8 because a small CLEVR object is only 8 px wide here.
    Codes have 32 dimensions: a low-dimensional lookup keeps more codes in use (https://arxiv.org/abs/2110.04627),
    and an object's words and place take about 20 to be read from linearly.
    """
    return VQGANConfig(
        width=120,
        height=80,
        ch=32,
        ch_mult=(1, 1, 2, 4),
        num_res_blocks=2,
        attn_resolutions=(),
        z_channels=32,
        embed_dim=32,
        n_embed=8192,
        upscale=upscale,
        turns=turns,
    )


def image_paper() -> VQGANConfig:
    """The paper's tokenizer and taming's `vqgan_imagenet_f16_1024`: 256x256 px -> 16x16 codes of 1,024 x 256."""
    return VQGANConfig(
        width=256,
        height=256,
        ch=128,
        ch_mult=(1, 1, 2, 2, 4),
        num_res_blocks=2,
        attn_resolutions=(16,),
        z_channels=256,
        embed_dim=256,
        n_embed=1024,
    )


class VQGAN(nn.Module):
    """Encoder, codebook and decoder. `decode` is not clamped: it may leave [-1, 1] a little."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize: VectorQuantizer | GumbelQuantizer
        if config.quantizer == "gumbel":
            self.quantize = GumbelQuantizer(n_embed=config.n_embed, embed_dim=config.embed_dim)
        else:
            self.quantize = VectorQuantizer(n_embed=config.n_embed, embed_dim=config.embed_dim, beta=config.beta)
        self.quant_conv = nn.Conv2d(config.z_channels, config.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.z_channels, 1)

    def latents(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim rows columns"]:
        """What the quantizer is given. Raises ImageError for pictures of another size."""
        height, width = pixels.shape[-2:]
        if (height, width) != (self.config.height, self.config.width):
            raise ImageError(
                f"The picture is {width}x{height} px; this tokenizer takes "
                f"{self.config.width}x{self.config.height} px. Fit it first (kyvo.tokenizers.image.fit)."
            )
        return self.quant_conv(self.encoder(pixels))

    def encode(self, pixels: Float[Tensor, "batch 3 height width"]) -> Quantized:
        """What training needs; a "gumbel" tokenizer has only `encode_codes`."""
        assert isinstance(self.quantize, VectorQuantizer)
        return self.quantize(self.latents(pixels))

    def decode(
        self,
        values: Float[Tensor, "batch dim rows columns"],
        turns: Float[Tensor, "batch 3 height width"] | None = None,
    ) -> Float[Tensor, "batch 3 height width"]:
        """Pixels of `decoded_size`.

        Args:
            turns: maps of cubes' faces, of `decoded_size`, for a decoder that takes them; None says nothing.
        """
        return self.decoder(self.post_quant_conv(values), turns)

    def encode_codes(self, pixels: Float[Tensor, "batch 3 height width"]) -> Int[Tensor, "batch codes"]:
        return self.quantize.choose(self.latents(pixels)).flatten(1)

    def decode_codes(
        self, codes: Int[Tensor, "batch codes"], turns: Float[Tensor, "batch 3 height width"] | None = None
    ) -> Float[Tensor, "batch 3 height width"]:
        return self.decode(self.quantize.lookup(codes.unflatten(1, (self.config.rows, self.config.columns))), turns)

    def load_taming(self, state: Mapping[str, Tensor]) -> None:
        """Loads a taming-transformers state dict; its `loss.*` (discriminator, LPIPS) is no part of a tokenizer."""
        state = {name: tensor for name, tensor in state.items() if not name.startswith("loss.")}
        own = self.state_dict()
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unknown:
            raise CheckpointError(
                f"Not the weights of this VQGAN: missing {missing[:3]} ({len(missing)} in all), "
                f"unknown {unknown[:3]} ({len(unknown)} in all). Check the configuration beside the checkpoint."
            )
        for name, tensor in own.items():
            if tensor.shape != state[name].shape:
                raise CheckpointError(
                    f"{name} is {list(state[name].shape)} in the checkpoint and {list(tensor.shape)} by the "
                    "configuration. Check the configuration beside the checkpoint."
                )
        self.load_state_dict(state)


class Encoder(nn.Module):
    """Pixels -> latents, halving the picture between levels."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(config.in_channels, config.ch, 3, padding=1)
        self.down = nn.ModuleList()
        channels, resolution = config.ch, config.width
        for i, factor in enumerate(config.ch_mult):
            is_last = i == len(config.ch_mult) - 1
            level = Level(
                channels,
                config.ch * factor,
                num_blocks=config.num_res_blocks,
                attends=resolution in config.attn_resolutions,
            )
            channels = config.ch * factor
            if not is_last:
                level.add_module("downsample", Downsample(channels))
                resolution //= 2
            self.down.append(level)
        self.mid = Middle(channels)
        self.norm_out = group_norm(channels)
        self.conv_out = nn.Conv2d(channels, config.z_channels, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        h = self.conv_in(pixels)
        for level in self.down:
            h = level(h)
        return self.conv_out(F.silu(self.norm_out(self.mid(h))))


class Decoder(nn.Module):
    """Latents -> pixels. `up[0]` is the full resolution, as in taming, so levels run backwards.

    With `upscale` the last convolution gives several pixels for each place (https://arxiv.org/abs/1609.05158). With
    `turns` each level adds what a convolution makes of the map of turns; it begins as nothing.
    """

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        channels = config.ch * config.ch_mult[-1]
        resolution = config.width // config.factor
        self.conv_in = nn.Conv2d(config.z_channels, channels, 3, padding=1)
        self.mid = Middle(channels)
        levels, turns = [], []
        for i, factor in reversed(list(enumerate(config.ch_mult))):
            if config.turns:
                turns.append(nn.Conv2d(TURN_CHANNELS, channels, 3, padding=1, bias=False))
            level = Level(
                channels,
                config.ch * factor,
                num_blocks=config.num_res_blocks + 1,
                attends=resolution in config.attn_resolutions,
            )
            channels = config.ch * factor
            if i > 0:
                level.add_module("upsample", Upsample(channels))
                resolution *= 2
            levels.append(level)
        self.up = nn.ModuleList(reversed(levels))
        self.turns = nn.ModuleList(reversed(turns))
        for weights in self.turns.parameters():
            nn.init.zeros_(weights)
        self.norm_out = group_norm(channels)
        self.conv_out = nn.Conv2d(channels, config.out_ch * config.upscale**2, 3, padding=1)
        self.upscale = config.upscale

    def forward(self, latents: Tensor, turns: Tensor | None = None) -> Tensor:
        h = self.mid(self.conv_in(latents))
        for i, level in reversed(list(enumerate(self.up))):
            if turns is not None:
                h = h + self.turns[i](F.interpolate(turns, size=h.shape[-2:], mode="area"))
            h = level(h)
        return F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(h))), self.upscale)


class Level(nn.Module):
    """The residual blocks of one resolution, each followed by attention where the level attends.

    All but the last level get a `downsample` (encoder) or an `upsample` (decoder), which goes to the next one.
    """

    def __init__(self, in_channels: int, out_channels: int, *, num_blocks: int, attends: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            ResnetBlock(in_channels if i == 0 else out_channels, out_channels) for i in range(num_blocks)
        )
        self.attn = nn.ModuleList(AttnBlock(out_channels) for _ in range(num_blocks if attends else 0))

    def forward(self, h: Tensor) -> Tensor:
        for i, block in enumerate(self.block):
            h = block(h)
            if len(self.attn):
                h = self.attn[i](h)
        for name, resample in self.named_children():
            if name in ("downsample", "upsample"):
                h = resample(h)
        return h


class Middle(nn.Module):
    """The lowest resolution: the one place where every position sees every other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels)
        self.attn_1 = AttnBlock(channels)
        self.block_2 = ResnetBlock(channels, channels)

    def forward(self, h: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(h)))


class ResnetBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = group_norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class AttnBlock(nn.Module):
    """One-headed attention over all positions; 1x1 convolutions are its projections, as in taming."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (projection(h).flatten(2).transpose(1, 2) for projection in (self.q, self.k, self.v))  # [B, hw, C]
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(h.transpose(1, 2).reshape(x.shape))


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        # Padded right and below only: taming's checkpoints were trained so.
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)

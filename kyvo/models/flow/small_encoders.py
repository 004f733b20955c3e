"""Small encoders of conditions: of pictures by patches, and of texts by whole words.

A text's words are those of the captions it was trained on. Others are named by `unknown_words`: the encoder cannot know
what they mean.
"""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.models.flow.conditions import ConditionError, checked_text

WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")


@dataclass(frozen=True, kw_only=True)
class SmallEncoderConfig:
    """Sizes that both encoders have."""

    channels: int  # of a token; the flow's cond_channels
    num_blocks: int = 3
    num_heads: int = 4

    def __post_init__(self) -> None:
        if self.channels % self.num_heads:
            raise ConfigError(f"{self.channels} channels do not divide into {self.num_heads} heads.")


@dataclass(frozen=True, kw_only=True)
class SmallPictureEncoderConfig(SmallEncoderConfig):
    picture_size: int = 128  # px
    patch_size: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.picture_size % self.patch_size:
            raise ConfigError(f"Pictures of {self.picture_size} px do not divide into patches of {self.patch_size}.")
        if self.patch_size < 2 or self.patch_size & (self.patch_size - 1):
            raise ConfigError(
                f"patch_size is {self.patch_size}; it is a power of two, since each stage halves a picture."
            )


@dataclass(frozen=True, kw_only=True)
class SmallTextEncoderConfig(SmallEncoderConfig):
    words: Sequence[str]  # that it was trained on
    num_places: int = 32  # words of the longest text

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "words", tuple(self.words))  # JSON hands over a list


class _SmallEncoder(nn.Module):
    """A pre-norm transformer over embedded tokens."""

    def __init__(self, config: SmallEncoderConfig, *, num_tokens: int, device: torch.device | str | None) -> None:
        super().__init__()
        self.channels = config.channels
        self.positions = nn.Parameter(torch.zeros(num_tokens, config.channels, device=device))
        nn.init.normal_(self.positions, std=0.02)
        layer = nn.TransformerEncoderLayer(
            config.channels,
            config.num_heads,
            4 * config.channels,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
            device=device,
        )
        last = nn.LayerNorm(config.channels, device=device)
        self.transformer = nn.TransformerEncoder(layer, config.num_blocks, norm=last, enable_nested_tensor=False)

    def set_compute_dtype(self, dtype: torch.dtype) -> None:
        """They are small: they stay in float32."""

    def negative(self, condition: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, "batch tokens channels"]:
        return torch.zeros_like(condition)


class _Halving(nn.Module):
    """A picture of half the size: a convolution with stride 2, and a residual block after it."""

    def __init__(self, in_channels: int, channels: int, *, device: torch.device | str | None) -> None:
        super().__init__()
        self.down = nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, device=device)
        groups = math.gcd(8, channels)
        self.block = nn.Sequential(
            nn.GroupNorm(groups, channels, device=device),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1, device=device),
            nn.GroupNorm(groups, channels, device=device),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1, device=device),
        )

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch channels rows columns"]:
        x = self.down(x)
        return x + self.block(x)


class SmallPictureEncoder(_SmallEncoder):
    """One token a patch, which convolutions read (https://arxiv.org/abs/2106.14881)."""

    def __init__(self, config: SmallPictureEncoderConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__(config, num_tokens=(config.picture_size // config.patch_size) ** 2, device=device)
        self.config = config
        self.picture_size = config.picture_size
        halvings = config.patch_size.bit_length() - 1
        widths = [3, *(max(min(8, config.channels), config.channels >> left) for left in reversed(range(halvings)))]
        self.patches = nn.Sequential(*(_Halving(a, b, device=device) for a, b in itertools.pairwise(widths)))

    def forward(self, pictures: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch tokens channels"]:
        """Of pictures of `picture_size` in [0, 1], black outside the object."""
        patches = self.patches(2 * pictures - 1).flatten(2).mT
        return self.transformer(patches + self.positions)


class SmallTextEncoder(_SmallEncoder):
    """One token a word; places after the text hold a word of their own."""

    def __init__(self, config: SmallTextEncoderConfig, *, device: torch.device | str | None = None) -> None:
        super().__init__(config, num_tokens=config.num_places, device=device)
        self.config = config
        self.ids = {word: number for number, word in enumerate(config.words, start=1)}  # 0: no word
        self.embedding = nn.Embedding(len(config.words) + 1, config.channels, device=device)

    def forward(self, texts: Sequence[str]) -> Float[Tensor, "batch tokens channels"]:
        """Unknown words are left out; `unknown_words` names them.

        Raises:
            ConditionError: a text is empty, has no word that is known, or has too many words.
        """
        rows = torch.zeros(len(texts), self.config.num_places, dtype=torch.long)
        for row, text in zip(rows, texts, strict=True):
            found = split_words(checked_text(text))
            known = [self.ids[word] for word in found if word in self.ids]
            if not known:
                raise ConditionError(f"The model has never seen a word of {text[:40]!r}. Say it in other words.")
            if len(known) > len(row):
                raise ConditionError(
                    f"The text {text[:40]!r}... has {len(known)} words and the encoder takes at most {len(row)}. "
                    "Shorten it."
                )
            row[: len(known)] = torch.tensor(known)
        return self.transformer(self.embedding(rows.to(self.positions.device)) + self.positions)

    def unknown_words(self, text: str) -> list[str]:
        """Words that it was not trained on, in their order."""
        return [word for word in dict.fromkeys(split_words(text)) if word not in self.ids]


def load_encoder(encoder: nn.Module, first: nn.Module) -> bool:
    """Gives an encoder another's weights; False, and nothing is changed, where the two differ in more than their words.

    Words that the other does not know keep the rows that they have.
    """
    if isinstance(encoder, SmallTextEncoder) and isinstance(first, SmallTextEncoder):
        if replace(first.config, words=encoder.config.words) != encoder.config:
            return False
        encoder.load_state_dict(first.state_dict() | {"embedding.weight": _embedding_from(encoder, first)})
        return True
    if first.config != encoder.config:
        return False
    encoder.load_state_dict(first.state_dict())
    return True


def _embedding_from(encoder: SmallTextEncoder, first: SmallTextEncoder) -> Float[Tensor, "words channels"]:
    rows, known = encoder.embedding.weight.detach().clone(), first.embedding.weight.detach()
    rows[0] = known[0]
    for word, number in first.ids.items():
        if word in encoder.ids:
            rows[encoder.ids[word]] = known[number]
    return rows


def split_words(text: str) -> list[str]:
    """Words in lower case, without punctuation; a hyphen parts two words."""
    return WORD.findall(text.lower())

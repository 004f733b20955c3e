"""`Llama`: the language model as it decodes. Tensor names and outputs are those of transformers' `LlamaForCausalLM`.

transformers imports its generation loop, torch.distributed and a compiler with every model, which is more than half of
what a cold start takes. A folder is therefore run by this network; whoever wants a transformers object, to train, to
adapt or to generate, loads the same folder there (docs/transformers.md). https://arxiv.org/abs/2407.21783
"""

import math
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kyvo.models.llama.config import LlamaConfig

Waves = tuple[Float[Tensor, "rows 1 width head"], Float[Tensor, "rows 1 width head"]]  # cosines and sines


@runtime_checkable
class Cache(Protocol):
    """What attention asks of a cache."""

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Stores what is new [rows, heads, width, head] and returns all that the mask speaks of."""
        ...


class Llama(nn.Module):
    """Layers and head. `KyvoForCausalLM` is the same for transformers."""

    def __init__(self, config: LlamaConfig, *, name_or_path: str = "") -> None:
        """`name_or_path` is the folder it was loaded from."""
        super().__init__()
        self.config = config
        self.name_or_path = name_or_path
        self.model = LlamaLayers(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def get_input_embeddings(self) -> nn.Embedding:
        return self.model.embed_tokens

    @property
    def dtype(self) -> torch.dtype:
        return self.lm_head.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.lm_head.weight.device


class LlamaLayers(nn.Module):
    """Embeddings in, the states before the head out."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        # Weights are loaded. Drawing them, on meta too, would import torch's compiler for a second.
        rows, dim = config.vocab_size, config.hidden_size
        self.embed_tokens = nn.Embedding(rows, dim, _weight=torch.empty(rows, dim))
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.frequencies: Tensor
        self.register_buffer("frequencies", rope_frequencies(config), persistent=False)

    def forward(
        self,
        embedded: Float[Tensor, "rows width dim"],
        *,
        mask: Float[Tensor, "rows 1 width length"],
        positions: Int[Tensor, "rows width"],
        cache: Cache,
    ) -> Float[Tensor, "rows width dim"]:
        """`mask` is added to the scores of the `length` ids that the cache then has."""
        angles = positions[:, None, :, None] * self.frequencies.float()
        angles = torch.cat([angles, angles], dim=-1)
        waves = angles.cos().to(embedded.dtype), angles.sin().to(embedded.dtype)
        states = embedded
        for layer in self.layers:
            states = layer(states, mask=mask, waves=waves, cache=cache)
        return self.norm(states)


class Layer(nn.Module):
    """Attention, then the gated feed-forward; each reads normed states and adds to them."""

    def __init__(self, config: LlamaConfig, index: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, index)
        self.mlp = FeedForward(config)
        self.input_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(
        self, states: Float[Tensor, "rows width dim"], *, mask: Tensor, waves: Waves, cache: Cache
    ) -> Float[Tensor, "rows width dim"]:
        states = states + self.self_attn(self.input_layernorm(states), mask=mask, waves=waves, cache=cache)
        return states + self.mlp(self.post_attention_layernorm(states))


class Attention(nn.Module):
    """Rotary attention; several heads may share one of keys and values."""

    def __init__(self, config: LlamaConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.head_dim = config.head_dim
        width, shared = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
        self.share = config.num_attention_heads // config.num_key_value_heads
        self.q_proj = nn.Linear(config.hidden_size, width, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, shared, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, shared, bias=False)
        self.o_proj = nn.Linear(width, config.hidden_size, bias=False)

    def forward(
        self, states: Float[Tensor, "rows width dim"], *, mask: Tensor, waves: Waves, cache: Cache
    ) -> Float[Tensor, "rows width dim"]:
        queries, keys, values = (
            projected(states).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projected in (self.q_proj, self.k_proj, self.v_proj)
        )
        keys, values = cache.update(rotate(keys, waves), values, self.index)
        if self.share > 1:
            keys, values = (states.repeat_interleave(self.share, dim=1) for states in (keys, values))
        mixed = F.scaled_dot_product_attention(rotate(queries, waves), keys, values, attn_mask=mask)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU (https://arxiv.org/abs/2002.05202)."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, states: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return self.down_proj(F.silu(self.gate_proj(states)) * self.up_proj(states))


def rotate(states: Float[Tensor, "rows heads width head"], waves: Waves) -> Float[Tensor, "rows heads width head"]:
    """Turns entry i of a head with entry i + head / 2 by the position's angle (https://arxiv.org/abs/2104.09864)."""
    cosines, sines = waves
    first, second = states.chunk(2, dim=-1)
    return states * cosines + torch.cat([-second, first], dim=-1) * sines


def rope_frequencies(config: LlamaConfig) -> Float[Tensor, " half"]:
    """Angles per position, of each pair of a head's entries. On the CPU, also where a model is made on meta."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device="cpu") / config.head_dim
    frequencies = 1.0 / config.rope_theta**exponents
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    # Waves that turn often in the original context stay; those that turn seldom become longer by the factor.
    turns = scaling.original_max_position_embeddings * frequencies / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - kept) * frequencies / scaling.factor + kept * frequencies

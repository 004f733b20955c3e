"""`LlamaConfig`: what `config.json` says of a Llama, under its names there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kyvo.errors import CheckpointError

_DTYPES = (None, "float32", "float16", "bfloat16")  # of the weights as they were saved
_FIXED = {"model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False}


@dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """Llama 3.1's longer waves (https://arxiv.org/abs/2407.21783), for a context beyond the first one trained."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int  # ids


@dataclass(frozen=True, kw_only=True)
class LlamaConfig:
    """The sizes of a Llama."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int  # a divisor of num_attention_heads
    head_dim: int
    max_position_embeddings: int  # ids
    rms_norm_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None = None
    tie_word_embeddings: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "LlamaConfig":
        """Of the keys that transformers 4 or 5 writes. Raises CheckpointError for what is no plain Llama, and
        KeyError, TypeError or ValueError for a size that is missing or no number."""
        for name, value in _FIXED.items():
            if data.get(name, value) != value:
                raise CheckpointError(f"{name} is {data[name]!r}; only {value!r} is known.")
        dtype = data.get("dtype", data.get("torch_dtype"))
        if dtype not in _DTYPES:
            raise CheckpointError(f"dtype is {dtype!r}; {', '.join(filter(None, _DTYPES))} are known.")
        rope = data.get("rope_parameters") or data.get("rope_scaling") or {}
        kind = rope.get("rope_type", "default")
        if kind not in ("default", "llama3"):
            raise CheckpointError(f"rope_type is {kind!r}; default and llama3 are known.")
        heads, dim = int(data["num_attention_heads"]), int(data["hidden_size"])
        return cls(
            vocab_size=int(data["vocab_size"]),
            hidden_size=dim,
            intermediate_size=int(data["intermediate_size"]),
            num_hidden_layers=int(data["num_hidden_layers"]),
            num_attention_heads=heads,
            num_key_value_heads=int(data.get("num_key_value_heads") or heads),
            head_dim=int(data.get("head_dim") or dim // heads),
            max_position_embeddings=int(data["max_position_embeddings"]),
            rms_norm_eps=float(data["rms_norm_eps"]),
            rope_theta=float(rope["rope_theta"] if "rope_theta" in rope else data["rope_theta"]),
            rope_scaling=_scaling(rope) if kind == "llama3" else None,
            tie_word_embeddings=bool(data.get("tie_word_embeddings", False)),
        )


def _scaling(rope: Mapping[str, Any]) -> RopeScaling:
    return RopeScaling(
        factor=float(rope["factor"]),
        low_freq_factor=float(rope["low_freq_factor"]),
        high_freq_factor=float(rope["high_freq_factor"]),
        original_max_position_embeddings=int(rope["original_max_position_embeddings"]),
    )

"""Sizes of the language model. A size is a value: the training side builds a decoder from it, folding writes it down.

The Llama-3.2 figures are those of the published 1B and 3B models.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DecoderSize:
    """Everything about a Llama decoder except its vocabulary."""

    dim: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    ffn_dim: int  # width inside the gated feed-forward
    max_seq_len: int  # tokens
    rope_base: float
    rope_scaling: float | None = None  # Llama-3.2's factor (32) over an original context of 8,192; None for plain rope
    norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        return self.dim // self.num_heads


def kyvo_tiny() -> DecoderSize:
    """For tests: width 32, two layers."""
    return DecoderSize(
        dim=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=64, max_seq_len=1024, rope_base=10_000.0
    )


def kyvo_cookbook() -> DecoderSize:
    """For runs of half a minute on two CPU cores (eval/cookbook.py): 0.7 million parameters besides the two tables."""
    return DecoderSize(
        dim=128, num_layers=4, num_heads=4, num_kv_heads=4, ffn_dim=256, max_seq_len=1024, rope_base=500.0
    )


def kyvo_mini() -> DecoderSize:
    """The bundled model: 10.6 million parameters besides embedding and head, as many as two CPU cores run in time.

    The rope base is low because sequences are short; at 10,000 half the waves would not turn once in them.
    """
    return DecoderSize(
        dim=320, num_layers=8, num_heads=5, num_kv_heads=5, ffn_dim=960, max_seq_len=1024, rope_base=500.0
    )


def kyvo_small() -> DecoderSize:
    """What a CPU still trains: 29 million parameters besides embedding and head. The benchmark's size."""
    return DecoderSize(
        dim=512, num_layers=8, num_heads=8, num_kv_heads=8, ffn_dim=1536, max_seq_len=2048, rope_base=500.0
    )


def kyvo_1b() -> DecoderSize:
    """Llama-3.2-1B."""
    return DecoderSize(
        dim=2048, num_layers=16, num_heads=32, num_kv_heads=8, ffn_dim=8192, max_seq_len=131_072,
        rope_base=500_000.0, rope_scaling=32.0,
    )  # fmt: skip


def kyvo_3b() -> DecoderSize:
    """Llama-3.2-3B."""
    return DecoderSize(
        dim=3072, num_layers=28, num_heads=24, num_kv_heads=8, ffn_dim=8192, max_seq_len=131_072,
        rope_base=500_000.0, rope_scaling=32.0,
    )  # fmt: skip


SIZES = {size.__name__: size for size in (kyvo_tiny, kyvo_cookbook, kyvo_mini, kyvo_small, kyvo_1b, kyvo_3b)}

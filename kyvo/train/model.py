"""The language model while it is trained: torchtune's decoder with the composite embedding and a head of its own.

The head spans the whole vocabulary and is not tied to the embedding. Its text rows start as the text embedding, the
others at the same scale, so that no kind of token is favoured before the first step.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torchtune.models.llama3_1 import Llama3ScaledRoPE
from torchtune.modules import (
    FeedForward,
    MultiHeadAttention,
    RMSNorm,
    RotaryPositionalEmbeddings,
    TransformerDecoder,
    TransformerSelfAttentionLayer,
)

from kyvo.errors import ConfigError
from kyvo.models.embedding import CompositeEmbedding, Numbers
from kyvo.models.presets import SIZES, DecoderSize
from kyvo.tokenizers.vocabulary import Vocabulary


class KyvoDecoder(TransformerDecoder):
    """torchtune's decoder, which also stops short of the head: the loss needs it at few positions only."""

    tok_embeddings: CompositeEmbedding
    output: nn.Linear
    size: DecoderSize

    def hidden(
        self, ids: Int[Tensor, "batch seq"], *, mask: Bool[Tensor, "batch seq seq"] | None = None
    ) -> Float[Tensor, "batch seq dim"]:
        """Normalised states before the head. Attention is causal without a mask."""
        states = self.tok_embeddings(ids)
        for layer in self.layers:
            states = layer(states, mask=mask)
        return self.norm(states)


def decoder(
    vocabulary: Vocabulary,
    image_codebook: Tensor | None = None,
    shape_codebook: Tensor | None = None,
    *,
    size: str = "kyvo_mini",
    numbers: Numbers = "hybrid",
    freeze_text: bool = False,
    scale: float = 0.02,
) -> KyvoDecoder:
    """The decoder of a preset, with new weights from torch's global generator.

    Args:
        vocabulary: the id space; gives the sizes of the embedding's parts and of the head.
        image_codebook: [codes, width] of the image tokenizer.
        shape_codebook: [codes, width] of the shape tokenizer.
        size: a name in `kyvo.models.presets.SIZES`.
        numbers: how numbers are embedded.
        freeze_text: keep the text table as it is; for pretrained tables.
        scale: standard deviation of the embedding's and the head's entries.
    """
    if size not in SIZES:
        raise ConfigError(f"model.size is {size!r}; known sizes are {', '.join(SIZES)}.")
    embedding = CompositeEmbedding(
        vocabulary=vocabulary,
        dim=SIZES[size]().dim,
        image_codebook=image_codebook,
        shape_codebook=shape_codebook,
        numbers=numbers,
        freeze_text=freeze_text,
        scale=scale,
    )
    return build_decoder(SIZES[size](), embedding)


def build_decoder(size: DecoderSize, embedding: CompositeEmbedding) -> KyvoDecoder:
    """Layers of `size` between `embedding` and a new head."""
    rope = _rope(size)
    model = KyvoDecoder(
        tok_embeddings=embedding,  # type: ignore[arg-type]  # annotated as nn.Embedding; any module serves
        layers=nn.ModuleList([_layer(size, rope) for _ in range(size.num_layers)]),
        max_seq_len=size.max_seq_len,
        num_heads=size.num_heads,
        head_dim=size.head_dim,
        norm=RMSNorm(size.dim, eps=size.norm_eps),
        output=nn.Linear(size.dim, embedding.num_embeddings, bias=False),
    )
    model.size = size
    _init_layers(model, size)
    init_head(model)
    return model


def init_head(model: KyvoDecoder) -> None:
    """Text rows from the text embedding, new rows at its scale."""
    embedding, head = model.tok_embeddings, model.output.weight
    num_text = embedding.text.num_embeddings
    with torch.no_grad():
        head[:num_text] = embedding.text.weight
        nn.init.normal_(head[num_text:], std=embedding.scale)


def attention_mask(seq_len: int, spans: list[tuple[tuple[int, int], ...]]) -> Bool[Tensor, "batch seq seq"] | None:
    """True where row i may see column j: the past, and all of its own span. None, plain causal, without any span."""
    if not any(spans):
        return None
    mask = torch.ones(seq_len, seq_len, dtype=torch.bool).tril().repeat(len(spans), 1, 1)
    for row, row_spans in enumerate(spans):
        for start, stop in row_spans:
            mask[row, start:stop, start:stop] = True
    return mask


def _rope(size: DecoderSize) -> nn.Module:
    if size.rope_scaling is None:
        return RotaryPositionalEmbeddings(size.head_dim, max_seq_len=size.max_seq_len, base=int(size.rope_base))
    return Llama3ScaledRoPE(
        size.head_dim, max_seq_len=size.max_seq_len, base=int(size.rope_base), scale_factor=int(size.rope_scaling)
    )


def _layer(size: DecoderSize, rope: nn.Module) -> TransformerSelfAttentionLayer:
    def linear(width_in: int, width_out: int) -> nn.Linear:
        return nn.Linear(width_in, width_out, bias=False)

    attention = MultiHeadAttention(
        embed_dim=size.dim,
        num_heads=size.num_heads,
        num_kv_heads=size.num_kv_heads,
        head_dim=size.head_dim,
        q_proj=linear(size.dim, size.num_heads * size.head_dim),
        k_proj=linear(size.dim, size.num_kv_heads * size.head_dim),
        v_proj=linear(size.dim, size.num_kv_heads * size.head_dim),
        output_proj=linear(size.num_heads * size.head_dim, size.dim),
        pos_embeddings=rope,
        max_seq_len=size.max_seq_len,
    )
    mlp = FeedForward(
        gate_proj=linear(size.dim, size.ffn_dim),
        down_proj=linear(size.ffn_dim, size.dim),
        up_proj=linear(size.dim, size.ffn_dim),
    )
    return TransformerSelfAttentionLayer(
        attention,
        mlp,
        sa_norm=RMSNorm(size.dim, eps=size.norm_eps),
        mlp_norm=RMSNorm(size.dim, eps=size.norm_eps),
    )


def _init_layers(model: KyvoDecoder, size: DecoderSize) -> None:
    """Normal entries at half the variance-keeping scale; what adds to the residual stream shrinks with depth."""
    for name, module in model.layers.named_modules():
        if isinstance(module, nn.Linear):
            adds = name.endswith(("output_proj", "w2"))
            nn.init.normal_(
                module.weight,
                std=0.5 / math.sqrt(module.in_features) / (math.sqrt(2 * size.num_layers) if adds else 1.0),
            )

"""The language model while it is trained: torchtune's decoder with the composite embedding and a head of its own.

The head spans the whole vocabulary and is not tied to the embedding. Its text rows start as the text embedding, the
others at the same scale, so that no kind of token is favoured before the first step.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from kyvo.errors import ConfigError
from kyvo.extras import extra
from kyvo.models.llama.embedding import CompositeEmbedding, Numbers, Positions, Projector, cosines
from kyvo.models.llama.presets import SIZES, DecoderSize
from kyvo.tokenizers.sequence import MAX_NUMBER
from kyvo.tokenizers.vocabulary import Vocabulary

with extra("train"):
    from torchtune.models.llama3_1 import Llama3ScaledRoPE
    from torchtune.modules import (
        FeedForward,
        MultiHeadAttention,
        RMSNorm,
        RotaryPositionalEmbeddings,
        TransformerDecoder,
        TransformerSelfAttentionLayer,
    )

AttentionMask = Bool[Tensor, "batch seq seq"] | BlockMask | None


def early_layer(num_layers: int) -> int:
    """After how many layers states are called early: a quarter of them, but two at least."""
    return max(2, num_layers // 4)


class HiddenStates(NamedTuple):
    """States on the way through the layers."""

    early: Float[Tensor, "batch seq dim"]  # `early_layer`
    middle: Float[Tensor, "batch seq dim"]  # after three fifths
    last: Float[Tensor, "batch seq dim"]  # normalised, before the head


class KyvoDecoder(TransformerDecoder):
    """torchtune's decoder, which also stops short of the head: the loss needs it at few positions only."""

    tok_embeddings: CompositeEmbedding
    output: "OutputHead"
    size: DecoderSize
    positions: Positions | None

    def hidden(
        self,
        ids: Int[Tensor, "batch seq"],
        *,
        grid_positions: Int[Tensor, "batch seq"] | None = None,
        mask: AttentionMask = None,
        input_pos: Int[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq dim"]:
        """Normalised states before the head. Attention is causal without a mask, positions count from 0 without them.

        `grid_positions` (`SequenceBuilder.grid_positions`) are needed where the model has positions.
        """
        return self.hidden_states(ids, grid_positions=grid_positions, mask=mask, input_pos=input_pos).last

    def hidden_states(
        self,
        ids: Int[Tensor, "batch seq"],
        *,
        grid_positions: Int[Tensor, "batch seq"] | None = None,
        mask: AttentionMask = None,
        input_pos: Int[Tensor, "batch seq"] | None = None,
    ) -> HiddenStates:
        """`hidden`, and on the way to it the states after some of the layers, as they are."""
        states = self.tok_embeddings(ids)
        if self.positions is not None:
            assert grid_positions is not None
            states = states + self.positions(grid_positions)
        count = len(self.layers)
        after = [states]
        for layer in self.layers:
            after.append(layer(after[-1], mask=mask, input_pos=input_pos))
        early, middle = after[early_layer(count)], after[round(0.6 * count)]
        return HiddenStates(early=early, middle=middle, last=self.norm(after[-1]))


NUM_WAVES = 32  # of the smooth part: humps as narrow as a sixteenth of the range


class OutputHead(nn.Linear):
    """A linear head whose number rows may share a smooth part: a learned linear map of their `cosines`.

    With rows of their own only, each of 121 numbers has to be seen many times before it is ever predicted; what the
    map learns from one number holds for its neighbours too. As an embedding numbers are hybrid in the same way.

    Its first rows, the text's, may be frozen. They are then a parameter of their own, so that neither gradients nor
    an optimizer's state exist for them; weights of either form load into the other.
    """

    def __init__(self, dim: int, num_rows: int, *, first_number: int, num_numbers: int, num_frozen: int = 0) -> None:
        """`num_numbers` rows from `first_number` on get the smooth part; 0 of them make it a plain linear head."""
        super().__init__(dim, num_rows - num_frozen, bias=False)
        self.frozen = nn.Parameter(torch.zeros(num_frozen, dim), requires_grad=False) if num_frozen else None
        self.first_number = first_number - num_frozen  # in `weight`
        self.num_numbers = num_numbers
        self.number_map = nn.Linear(NUM_WAVES, dim, bias=False) if num_numbers else None
        self.waves: Tensor | None
        self.register_buffer("waves", None, persistent=False)
        self.rope_init()

    def rope_init(self) -> None:
        """Fills the waves. torchtune calls a method of this name on every module it has made on the meta device."""
        if self.num_numbers:
            self.waves = cosines(self.num_numbers, NUM_WAVES, device=self.weight.device)

    def table(self) -> Float[Tensor, "vocab dim"]:
        """The weight of the plain head this one amounts to."""
        rows = self.trained_rows()
        return rows if self.frozen is None else torch.cat([self.frozen, rows])

    def trained_rows(self) -> Float[Tensor, "rows dim"]:
        """The rows of `table()` after the frozen ones."""
        if self.number_map is None:
            return self.weight
        start, stop = self.first_number, self.first_number + self.num_numbers
        numbers = self.weight[start:stop] + self.number_map(self.waves)
        return torch.cat([self.weight[:start], numbers, self.weight[stop:]])

    def forward(self, input: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch vocab"]:
        return F.linear(input, self.table())

    def _load_from_state_dict(self, state_dict, prefix, *args):  # type: ignore[no-untyped-def]
        rows, frozen = (state_dict.get(prefix + name) for name in ("weight", "frozen"))
        alone = frozen is None and self.frozen is not None and rows is not None and len(rows) == len(self.weight)
        if rows is not None and not alone:  # alone: the trained rows of an adapter's checkpoint
            if frozen is not None:
                rows = torch.cat([frozen, rows])
            num_frozen = 0 if self.frozen is None else len(self.frozen)
            state_dict.pop(prefix + "frozen", None)
            if self.frozen is not None:
                state_dict[prefix + "frozen"] = rows[:num_frozen]
            state_dict[prefix + "weight"] = rows[num_frozen:]
        super()._load_from_state_dict(state_dict, prefix, *args)


def decoder(
    vocabulary: Vocabulary,
    image_codebook: Tensor | None = None,
    shape_codebook: Tensor | None = None,
    *,
    size: str = "kyvo_mini",
    numbers: Numbers = "hybrid",
    projector: Projector = "linear",
    image_grid: tuple[int, int] | None = None,
    image_order: Int[np.ndarray, " codes"] | None = None,
    positions: bool = False,
    smooth_numbers: bool = False,
    freeze_text: bool = False,
    freeze_head_text: bool = False,
    scale: float = 0.02,
) -> KyvoDecoder:
    """The decoder of a preset, with new weights from torch's global generator.

    Args:
        vocabulary: the id space; gives the sizes of the embedding's parts and of the head.
        image_codebook: [codes, width] of the image tokenizer.
        shape_codebook: [codes, width] of the shape tokenizer.
        size: a name in `kyvo.models.llama.presets.SIZES`.
        numbers: how numbers are embedded.
        projector: how codes are embedded: by one matrix, or by an MLP of two.
        image_grid: rows and columns of a picture's codes.
        image_order: their row-major places in the order in which they are written (`SequenceBuilder.order`).
        positions: add a learned vector for its place in the picture to each image code, and for the object's number in
            the scene to each token of an object.
        smooth_numbers: give the head's number rows a part that neighbouring numbers share.
        freeze_text: keep the text table as it is; for pretrained tables.
        freeze_head_text: the same for the head's text rows.
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
        projector=projector,
        freeze_text=freeze_text,
        scale=scale,
    )
    if positions and image_grid is None:
        raise ConfigError("model.positions is true, but no image_grid was given; its rows and columns are needed.")
    return build_decoder(
        SIZES[size](),
        embedding,
        image_grid=image_grid if positions else None,
        image_order=image_order,
        smooth_numbers=smooth_numbers,
        freeze_head_text=freeze_head_text,
    )


def build_decoder(
    size: DecoderSize,
    embedding: CompositeEmbedding,
    *,
    image_grid: tuple[int, int] | None = None,
    image_order: Int[np.ndarray, " codes"] | None = None,
    smooth_numbers: bool = False,
    freeze_head_text: bool = False,
) -> KyvoDecoder:
    """Layers of `size` between `embedding` and a new head; with positions where a grid is given."""
    rope = _rope(size)
    head = OutputHead(
        size.dim,
        embedding.num_embeddings,
        first_number=embedding.text.num_embeddings,
        num_numbers=embedding.num_number_rows if smooth_numbers else 0,
        num_frozen=embedding.text.num_embeddings if freeze_head_text else 0,
    )
    model = KyvoDecoder(
        tok_embeddings=embedding,  # type: ignore[arg-type]  # annotated as nn.Embedding; any module serves
        layers=nn.ModuleList([_layer(size, rope) for _ in range(size.num_layers)]),
        max_seq_len=size.max_seq_len,
        num_heads=size.num_heads,
        head_dim=size.head_dim,
        norm=RMSNorm(size.dim, eps=size.norm_eps),
        output=head,
    )
    model.size = size
    model.positions = None
    if image_grid is not None:
        model.positions = Positions(
            *image_grid, size.dim, num_objects=MAX_NUMBER, order=image_order, scale=embedding.scale
        )
    _init_layers(model, size)
    init_head(model)
    return model


def init_head(model: KyvoDecoder) -> None:
    """Text rows from the text embedding, new rows at its scale."""
    embedding, head = model.tok_embeddings, model.output
    num_text = embedding.text.num_embeddings
    with torch.no_grad():
        (head.weight if head.frozen is None else head.frozen)[:num_text] = embedding.text.weight
        nn.init.normal_(head.weight[num_text:] if head.frozen is None else head.weight, std=embedding.scale)
        if model.output.number_map is not None:
            nn.init.normal_(model.output.number_map.weight, std=0.06 / math.sqrt(embedding.dim))


@contextmanager
def attention_kernel(device: torch.device) -> Iterator[None]:
    """What a step's forward and backward, which may compute a forward again, should run in on a device.

    A CPU's flash attention takes three times as long as plain products with softmax in bf16.
    """
    if device.type != "cpu":
        yield
        return
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()  # of all devices, whatever its name says
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)


def attention_mask(
    spans: Int[Tensor, "batch seq"],
    branches: Int[Tensor, "batch seq"],
    documents: Int[Tensor, "batch seq"] | None = None,
) -> Bool[Tensor, "batch seq seq"] | BlockMask:
    """True where row i may see column j: its past, less the branches beside its own, and all of its two-way span.

    Args:
        spans: the number of each token's two-way span in its row; -1 outside.
        branches: the number of each token's branch in its row; -1 for what all branches of a sequence see.
        documents: where rows hold several sequences, the number of each token's sequence in its row; each sees itself
            alone. -1 for padding.

    Returns:
        With documents on CUDA, FlexAttention's block mask: blocks between sequences are skipped. Else a tensor.
    """

    def sees(row: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        span, branch = spans[row, query], branches[row, key]
        both_ways = (span >= 0) & (span == spans[row, key])
        same = (branch < 0) | (branch == branches[row, query])
        if documents is not None:
            same = same & (documents[row, query] == documents[row, key])
        return same & ((key <= query) | both_ways)

    num_rows, length = spans.shape
    if documents is not None and spans.is_cuda:
        return create_block_mask(sees, num_rows, None, length, length, device=spans.device)
    rows = torch.arange(num_rows, device=spans.device)[:, None, None]
    positions = torch.arange(length, device=spans.device)
    return sees(rows, rows, positions[:, None], positions)


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

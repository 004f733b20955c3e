"""`SequenceCache`: keys and values of many sequences in one buffer, a row each, with a length of its own.

The buffer is written in place and grows seldom, so a step copies no past; rows that decode stand at its head, so that
a forward sees a plain slice of it. transformers' StaticCache has one length for all rows and so cannot let rows join.
"""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kyvo.models.llama.config import LlamaConfig

if TYPE_CHECKING:
    from transformers import LlamaConfig as PretrainedLlamaConfig

STRIDE = 64  # the buffer's length grows by so many ids
KEPT = 64 * 2**20  # bytes of a buffer that stays where no row is left
States = Float[Tensor, "layers both heads length width"]  # keys and values of one row


class SequenceCache:
    """What layers ask of a cache (transformers' also `get_seq_length`), and what the engine needs of its rows."""

    def __init__(
        self,
        config: "LlamaConfig | PretrainedLlamaConfig",
        *,
        max_sequences: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        heads = config.num_key_value_heads or config.num_attention_heads
        self.max_sequences = max_sequences
        # layers both rows heads length width
        self._states = torch.zeros((config.num_hidden_layers, 2, 0, heads, 0, width), dtype=dtype, device=device)
        self._aim: tuple[slice, int, Tensor, Tensor, Tensor] | None = None

    def reserve(self, rows: int, length: int) -> None:
        """Makes room for so many rows of so many ids; what is there stays."""
        old = self._states
        num_rows, num_ids = old.shape[2], old.shape[4]
        if rows <= num_rows and length <= num_ids:
            return
        if rows > num_rows:
            rows = min(self.max_sequences, 1 << (rows - 1).bit_length())
        length = max(num_ids, -(-length // STRIDE) * STRIDE)
        # Zeros, for what is masked still enters a product, and memory as it comes may hold NaN.
        self._states = old.new_zeros(*old.shape[:2], max(rows, num_rows), old.shape[3], length, old.shape[5])
        self._states[:, :, :num_rows, :, :num_ids] = old

    def shrink(self) -> None:
        """Frees a large buffer that no row needs any more."""
        if self._states.nbytes > KEPT:
            self._states = self._states.new_zeros(
                *self._states.shape[:2], 0, self._states.shape[3], 0, self._states.shape[5]
            )

    def aim(self, start: int, positions: Int[Tensor, "rows width"], real: Bool[Tensor, "rows width"]) -> None:
        """Says where the next forward writes: row `start` onwards, at `positions` where `real`. On the CPU."""
        row, column = real.nonzero(as_tuple=True)
        place = positions[row, column]
        device = self._states.device
        rows = slice(start, start + len(positions))
        self._aim = rows, int(place.max()) + 1, row.to(device), place.to(device), column.to(device)

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Called by each attention layer: stores what is new [rows, heads, width of the batch, width]; returns all."""
        assert self._aim is not None
        rows, length, row, place, column = self._aim
        own = self._states[layer, :, rows]
        own[0][row, :, place] = keys[row, :, column]
        own[1][row, :, place] = values[row, :, column]
        return own[0, :, :, :length], own[1, :, :, :length]

    def get_seq_length(self, layer: int = 0) -> int:
        """Asked by transformers of a model that gets no positions."""
        return 0

    def move(self, source: int, target: int, length: int) -> None:
        self._states[:, :, target, :, :length] = self._states[:, :, source, :, :length]

    def read(self, row: int, length: int) -> States:
        return self._states[:, :, row, :, :length].clone()

    def write(self, row: int, states: States) -> None:
        self._states[:, :, row, :, : states.shape[3]] = states

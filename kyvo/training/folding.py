"""From a training state to what others load: the composite's plain tables, and the folded model's folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kyvo.models.llama.fold import save_llama
from kyvo.models.llama.presets import DecoderSize
from kyvo.processor import Processor
from kyvo.training.model import KyvoDecoder


def tables(state: Mapping[str, Tensor], build: Callable[[], KyvoDecoder]) -> dict[str, Any]:
    """The plain embedding `table`, `head` and image `positions` (or None) of a whole state.

    Args:
        state: the decoder's, on one device; its layers are not looked at.
        build: makes a decoder of the same form. It is called on the meta device, where weights take no memory.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = build()
    outside = {name: tensor for name, tensor in state.items() if not name.startswith("layers.")}
    model.load_state_dict(outside, assign=True, strict=False)
    for module in (model.tok_embeddings, model.output):
        module.rope_init()
    positions = model.positions
    with torch.no_grad():
        return {
            "table": model.tok_embeddings.table(),
            "head": model.output.table(),
            "positions": None if positions is None else positions.table(),
        }


def save_folded(
    folder: Path,
    state: Mapping[str, Tensor],
    build: Callable[[], KyvoDecoder],
    processor: Processor,
    *,
    size: DecoderSize,
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Writes the folded model of a whole state without adapters, with the processor's files beside it."""
    text = processor.text
    save_llama(
        folder,
        state,
        **tables(state, build),
        size=size,
        bos_id=text.bos_id,
        eos_id=text.eos_id,
        pad_id=text.pad_id,
        dtype=dtype,
    )
    processor.save(folder)

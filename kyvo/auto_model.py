"""`KyvoForCausalLM`: a model folder as transformers' `generate`, PEFT and Trainers take it, positions and all.

A folder is a plain Llama, but for what plain transformers does not do: vectors of places that are added to the
embeddings (`positions.safetensors`), and spans of the prompt that attend both ways (`two_way` in `sequence.json`).
Where a folder has neither, this class is `LlamaForCausalLM`.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from kyvo.errors import TokenError
from kyvo.models.llama.embedding import position_vectors
from kyvo.models.llama.fold import load_positions
from kyvo.processor import Processor
from kyvo.tokenizers.sequence import SequenceBuilder


class KyvoForCausalLM(LlamaForCausalLM):
    """Takes ids as any Llama. An id's vector depends on those before it, so `forward` needs sequences from their
    beginning, padded on the left; `generate` takes care of that."""

    builder: SequenceBuilder | None = None
    positions: Tensor | None  # [places, dim]
    loaded: set[Path] = set()  # noqa: RUF012  # the folders that this class was made of, in all of the process

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.register_buffer("positions", None, persistent=False)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *args: Any, **kwargs: Any) -> "KyvoForCausalLM":  # type: ignore[override]
        """As transformers', with the folder's positions and spans."""
        model: KyvoForCausalLM = super().from_pretrained(folder, *args, **kwargs)  # type: ignore[assignment]
        model.builder = Processor.from_pretrained(folder).builder
        positions = load_positions(Path(folder))
        if positions is not None:
            model.positions = positions.to(model.device, model.dtype)
        cls.loaded.add(Path(folder).resolve())
        return model

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]: transformers names the cache differently by version
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """As a Llama's. Raises TokenError for ids without those before them, of which only a cache is given."""
        if input_ids is not None and inputs_embeds is None and self.builder is not None:
            cache = kwargs.get("cache") or kwargs.get(
                "past_key_values"
            )  # its name in newer and in older versions of transformers
            if cache is not None and cache.get_seq_length():
                raise TokenError("ids after a cache have no known places; give whole sequences, or use `generate`.")
            given = _mask_of(input_ids, attention_mask)
            inputs_embeds = self._embed(input_ids, given, input_ids.shape[1])
            if position_ids is None:
                position_ids = (given.long().cumsum(-1) - 1).clamp(min=0)
            attention_mask, input_ids = self._visible(input_ids, given, attention_mask), None
        return super().forward(
            input_ids=input_ids,  # type: ignore[arg-type]
            attention_mask=attention_mask,
            position_ids=position_ids,  # type: ignore[arg-type]
            inputs_embeds=inputs_embeds,  # type: ignore[arg-type]
            **kwargs,
        )

    def prepare_inputs_for_generation(self, input_ids: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As a Llama's, with embeddings in place of the ids that are new."""
        inputs = super().prepare_inputs_for_generation(input_ids, *args, **kwargs)  # type: ignore[misc]
        new = inputs.get("input_ids")
        if new is None or self.builder is None:
            return inputs
        given = _mask_of(input_ids, kwargs.get("attention_mask"))
        inputs["inputs_embeds"] = self._embed(input_ids, given, new.shape[1])
        if new.shape[1] == input_ids.shape[1]:  # the prompt; what follows it is causal
            inputs["attention_mask"] = self._visible(input_ids, given, inputs.get("attention_mask"))
        inputs["input_ids"] = None
        return inputs

    def _embed(
        self, ids: Int[Tensor, "batch seq"], given: Bool[Tensor, "batch seq"], num_new: int
    ) -> Float[Tensor, "batch new dim"]:
        """Embeddings of the last ids, with the vectors of their places."""
        embedded = self.get_input_embeddings()(ids[:, -num_new:])
        if self.positions is None:
            return embedded
        assert self.builder is not None
        indices = torch.full(ids.shape, -1)
        for row, (own, real) in enumerate(zip(ids.cpu(), given.cpu(), strict=True)):
            indices[row, real] = torch.from_numpy(self.builder.grid_positions(own[real].numpy()))
        return embedded + position_vectors(self.positions, indices[:, -num_new:].to(embedded.device))

    def _visible(
        self, ids: Int[Tensor, "batch seq"], given: Bool[Tensor, "batch seq"], otherwise: Tensor | None
    ) -> Tensor | None:
        """Which ids each id sees, bool [batch, 1, seq, seq]; where all is causal, the mask as it came."""
        assert self.builder is not None
        if not self.builder.two_way:
            return otherwise
        length = ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=ids.device).tril()
        sees = causal & given[:, None, :]
        for row, (own, real) in enumerate(zip(ids.cpu(), given.cpu(), strict=True)):
            first = length - int(real.sum())
            for start, stop in self.builder.spans(own[real].numpy()):
                sees[row, first + start : first + stop, first + start : first + stop] = True
        sees |= torch.eye(length, dtype=torch.bool, device=ids.device)  # padding sees itself: no row is empty
        return sees[:, None]


def _mask_of(ids: Tensor, mask: Tensor | None) -> Tensor:
    """Which ids are no padding, bool [batch, seq]."""
    return torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()

"""`hidden_states`: one forward through a language model's layers and a `SequenceCache`.

The model is a `Llama`, or transformers' `LlamaForCausalLM`, which may carry adapters.
"""

from functools import cache as remember
from inspect import signature
from typing import TYPE_CHECKING

from jaxtyping import Float, Int
from torch import Tensor

from kyvo.generation.cache import SequenceCache
from kyvo.models.llama.network import Llama

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    CausalLM = Llama | LlamaForCausalLM


def hidden_states(
    model: "CausalLM",
    embedded: Float[Tensor, "rows width dim"],
    *,
    mask: Float[Tensor, "rows 1 width length"],
    positions: Int[Tensor, "rows width"],
    cache: SequenceCache,
) -> Float[Tensor, "rows width dim"]:
    """The states before the head. The cache is aimed (`SequenceCache.aim`) at what goes in."""
    if isinstance(model, Llama):
        return model.model(embedded, mask=mask, positions=positions, cache=cache)
    return model.model(
        inputs_embeds=embedded,
        attention_mask=mask,
        position_ids=positions,
        use_cache=True,
        **{_cache_argument(type(model.model)): cache},
    ).last_hidden_state


@remember
def _cache_argument(layers: type) -> str:
    """transformers 5.24 has a new name for it, and warns of the old one at every forward."""
    return "cache" if "cache" in signature(layers.forward).parameters else "past_key_values"

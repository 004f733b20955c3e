"""The decoding loop: a batch of prompts through a plain Llama with a KV cache, each row obeying its grammar.

Rows need not be in step. Each forward takes every row's *pending* ids: the one chosen last and those that the
grammar forces after it, padded on the left to the longest row's; padding is masked in the cache and takes no position.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM

from kyvo.generation.grammar import Grammar
from kyvo.models.embedding import place_vectors

Spans = Sequence[tuple[int, int]]  # [start, stop) of ids that attend both ways
NEAR = 3  # bins: 0.15 of CLEVR's units, the middle of the distances that are scored


@dataclass(kw_only=True, eq=False)
class Decoded:
    """One completed output."""

    ids: list[int] = field(default_factory=list)  # from the id after the prompt to EOS
    probabilities: list[float] = field(default_factory=list)  # among the ids allowed, of a number with its neighbours
    truncated: bool = False  # something was closed because it reached its limit


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePlaces:
    """What a model that was trained with image positions adds to the embedding of image codes."""

    vectors: Float[Tensor, "places dim"]
    places: Callable[[Sequence[int]], np.ndarray]  # `SequenceBuilder.places`


class _Row:
    """One prompt on its way: where it is in its grammar, and the ids the model has not seen."""

    def __init__(self, prompt: Sequence[int], grammar: Grammar) -> None:
        self.grammar = grammar
        self.state = grammar.START
        self.pending = list(prompt)
        self.seen: list[int] = []
        self.out = Decoded()
        self._append_forced()

    @property
    def done(self) -> bool:
        return self.state == self.grammar.end

    def choose(self, token: int, probability: float) -> None:
        self.seen += self.pending
        self.pending = []
        self._append(token, probability)
        self._append_forced()

    def _append_forced(self) -> None:
        while (token := self.grammar.forced(self.state)) is not None:
            self._append(token, 1.0)

    def _append(self, token: int, probability: float) -> None:
        self.out.truncated |= self.state in self.grammar.limits
        self.pending.append(token)
        self.out.ids.append(token)
        self.out.probabilities.append(probability)
        self.state = self.grammar.step(self.state, token)


@torch.inference_mode()
def decode(
    model: LlamaForCausalLM,
    prompts: Sequence[Sequence[int]],
    grammars: Sequence[Grammar],
    *,
    spans: Sequence[Spans] | None = None,
    image_places: ImagePlaces | None = None,
    near: int = NEAR,
) -> list[Decoded]:
    """Completes every prompt greedily within its grammar.

    Of numbers the one is taken that has most probability near it (`likeliest_number`): what counts is that it is close.

    Args:
        model: a folded model; its weights decide, the grammar only removes what cannot come.
        prompts: ids of each row, without padding; lengths may differ.
        grammars: one a row; rows may share one.
        spans: of each prompt, what attends both ways (`SequenceBuilder.spans`); without them all is causal.
        image_places: of a model that was trained with image positions.
        near: how far a number's neighbours reach, in bins; 0 takes the likeliest number alone.
    """
    rows = [_Row(prompt, grammar) for prompt, grammar in zip(prompts, grammars, strict=True)]
    active = [row for row in rows if not row.done]
    cache = DynamicCache(config=model.config)
    seen = torch.zeros(len(active), 0, dtype=torch.long, device=model.device)  # 1 where the cache holds a real id
    masks = _Masks(model.config.vocab_size, model.device)
    two_way = [own for row, own in zip(rows, spans or [()] * len(rows), strict=True) if not row.done]
    while active:
        ids, valid, positions = _pad(active, model.device)
        seen = torch.cat([seen, valid], dim=1)
        visible = _two_way_mask(valid, [len(row.pending) for row in active], two_way) if any(two_way) else seen
        two_way = []  # prompts are seen whole in the first forward
        embedded = model.get_input_embeddings()(ids)
        if image_places is not None:
            embedded = embedded + place_vectors(image_places.vectors, _places(active, image_places, ids))
        hidden = model.model(
            inputs_embeds=embedded,
            attention_mask=visible,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        logits = model.lm_head(hidden).float()  # rows vocab
        logits.masked_fill_(~masks.stack([(row.grammar, row.state) for row in active]), -torch.inf)
        probabilities = logits.softmax(dim=-1)
        best, tokens = (found.tolist() for found in probabilities.max(dim=-1))
        for index, row in enumerate(active):
            if row.state in row.grammar.numbers:
                numbers = row.grammar.allowed(row.state)
                place, best[index] = likeliest_number(probabilities[index, torch.from_numpy(numbers)], near=near)
                tokens[index] = int(numbers[place])
            row.choose(tokens[index], best[index])
        keep = [index for index, row in enumerate(active) if not row.done]
        if len(keep) < len(active):
            chosen = torch.tensor(keep, dtype=torch.long, device=model.device)
            cache.batch_select_indices(chosen)
            seen = seen[chosen]
            active = [active[index] for index in keep]
    return [row.out for row in rows]


def likeliest_number(probabilities: Float[Tensor, " numbers"], *, near: int) -> tuple[int, float]:
    """The place with most probability around it, and how much: that of numbers up to `near` bins off counts, falling
    with their distance.

    A scene is scored by how close its numbers are, and the likeliest bin of a broad hump is any of its middle ones.
    """
    hump = torch.hann_window(2 * near + 3, periodic=False, device=probabilities.device)[1:-1]
    mass, place = F.conv1d(probabilities[None, None].float(), hump[None, None], padding=near).flatten().max(dim=0)
    return int(place), float(mass)


def _pad(rows: list[_Row], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Pending ids, padded on the left -> ids, 1 where they are real, positions: each int64 [rows, width]."""
    width = max(len(row.pending) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    valid = torch.zeros_like(ids)
    positions = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        count = len(row.pending)
        ids[index, width - count :] = torch.tensor(row.pending)
        valid[index, width - count :] = 1
        positions[index, width - count :] = torch.arange(len(row.seen), len(row.seen) + count)
    return ids.to(device), valid.to(device), positions.to(device)


def _two_way_mask(valid: Tensor, counts: list[int], spans: Sequence[Spans]) -> Tensor:
    """True where a query may see a key, of prompts padded on the left: bool [rows, 1, width, width]."""
    width = valid.shape[1]
    mask = torch.ones(width, width, dtype=torch.bool, device=valid.device).tril().repeat(len(counts), 1, 1)
    for index, (count, own) in enumerate(zip(counts, spans, strict=True)):
        for start, stop in own:
            place = slice(width - count + start, width - count + stop)
            mask[index, place, place] = True
    padding = torch.eye(width, dtype=torch.bool, device=valid.device)  # sees itself, for a softmax needs something
    return (mask & valid.bool()[:, None] | padding)[:, None]


def _places(rows: list[_Row], image_places: ImagePlaces, ids: Tensor) -> Tensor:
    """Places of the pending ids, int64 [rows, width]; -1 for padding."""
    places = np.full(ids.shape, -1, dtype=np.int64)
    for index, row in enumerate(rows):
        count = len(row.pending)
        places[index, ids.shape[1] - count :] = image_places.places([*row.seen, *row.pending])[-count:]
    return torch.from_numpy(places).to(ids.device)


class _Masks:
    """Allowed ids as boolean rows. States share a row where the same ids may come: a shape has 512 alike."""

    def __init__(self, vocab_size: int, device: torch.device) -> None:
        self.vocab_size = vocab_size
        self.device = device
        self._by_state: dict[tuple[int, int], Tensor] = {}
        self._by_ids: dict[bytes, Tensor] = {}

    def stack(self, states: list[tuple[Grammar, int]]) -> Tensor:
        """[rows, vocab], true where an id may come."""
        return torch.stack([self._mask(grammar, state) for grammar, state in states])

    def _mask(self, grammar: Grammar, state: int) -> Tensor:
        key = (id(grammar), state)
        if key not in self._by_state:
            allowed = grammar.allowed(state)
            self._by_state[key] = self._by_ids.setdefault(allowed.tobytes(), self._row(torch.from_numpy(allowed)))
        return self._by_state[key]

    def _row(self, allowed: Tensor) -> Tensor:
        mask = torch.zeros(self.vocab_size, dtype=torch.bool)
        mask[allowed] = True
        return mask.to(self.device)

"""`JacobiDecoder`: draws all codes of a picture at once.

The engine decodes a picture code by code, each from those before it. Here all codes go in together, and one forward
pass predicts each of them from those before it. The predictions go in again. After as many sweeps as there are codes
nothing changes any more: that is the picture the engine would decode (Jacobi's iteration,
https://arxiv.org/abs/2305.10427). From nothing, FIRST_SWEEPS come near to it; where objects move by a tenth of a unit
after that, SWEEPS do.

The model takes in vectors: for a code the mean of those that it expects (`kyvo.generation.token_selection`), and for a
value between two numbers the interpolation of their vectors. So a scene's values need not be those of the vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kyvo.generation.cache import SequenceCache
from kyvo.generation.engine import Engine, additive_mask, visible_ids
from kyvo.generation.hidden_states import hidden_states
from kyvo.generation.prefix import Spans
from kyvo.generation.prompts import check_context_length, checked_prompt
from kyvo.generation.token_selection import expected_vectors, nearest_codes
from kyvo.scene.fields import Axis
from kyvo.scene.scene import Scene
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.scene import OptionalParts
from kyvo.tokenizers.sequence import MARKERS, SequenceBuilder
from kyvo.tokenizers.tasks import TASKS, Segment, Segments

TASK = TASKS["rendering"]
FIRST_SWEEPS = 8  # of 150 codes: pixels are then off by 0.6 levels of 256 from what the engine writes (docs/dev/log.md)
SWEEPS = 2  # each time after that
MAX_SCENES = 8  # that are drawn together


def call_directly(network: Callable[[], Any]) -> Any:
    return network()


class JacobiDecoder:
    """Pictures of some scenes on their way from one drawing to the next."""

    def __init__(
        self,
        engine: Engine,
        builder: SequenceBuilder,
        image: ImageTokenizer,
        *,
        count: int,
        max_tokens: int | None = None,
        call: Callable[[Callable[[], Any]], Any] = call_directly,
    ) -> None:
        """
        Args:
            count: of the scenes, at most MAX_SCENES; the fewer, the sooner others have their turn.
            max_tokens: ids that a picture may have.
            call: runs each sweep, as `Engine.call` does between two of its steps.
        """
        self._engine = engine
        self._builder = builder
        self._image = image
        self._max_tokens = max_tokens
        self._call = call
        codes = builder.vocabulary.ranges["image"]
        self._codes = slice(codes.start, codes.stop)  # of the model's tables
        table = engine.model.get_input_embeddings()
        assert isinstance(table, torch.nn.Embedding)
        self._table = table.weight.detach()
        self._codebook = image.codebook.to(self._table.device)
        self._num_codes = len(builder.order)
        # The probabilities of the codes in each place, as written. At first all are alike.
        shape = (count, self._num_codes, len(codes))
        self._expected = torch.full(shape, 1 / len(codes), device=self._table.device)
        self.num_sweeps = 0  # since the start
        self.num_prompt = [0] * count  # ids of each scene's prompt in the last drawing

    @property
    def num_output(self) -> int:
        """Ids of a picture, as the engine counts them: with both markers and the end."""
        return self._num_codes + 3

    def draw(
        self, scenes: Sequence[Scene], *, shown: Sequence[Scene] | None = None
    ) -> list[UInt8[np.ndarray, "height width 3"]]:
        """The pictures, or the last ones anew: one of each scene, which has the words of the first, at places on bins
        or between.

        Args:
            shown: the scenes that the pictures are to show, where objects were moved to have them there
                (`ImageTokenizer.decode_vectors`); by default `scenes`.

        Raises TokenError for a scene that the model cannot see as a whole, or outside of its numbers, and ConfigError
        where the picture does not fit after it.
        """
        state = self._call(lambda: self._read_prompts(scenes))
        for _ in range(min(SWEEPS if self.num_sweeps else FIRST_SWEEPS, self._num_codes)):
            self._call(lambda: self._sweep(state))
            self.num_sweeps += 1
        return self._call(lambda: self._decode(scenes if shown is None else shown))

    def probabilities(self) -> list[float]:
        """Of each picture of the last drawing, how probable its codes are together."""
        return self._call(self._probabilities)

    @torch.inference_mode()
    def _read_prompts(self, scenes: Sequence[Scene]) -> "_PromptState":
        """Sends the prompts through the model; each sweep goes on from them."""
        model, device = self._engine.model, self._table.device
        marker = self._builder.vocabulary.marker_id(MARKERS[Segment.IMAGE][0])
        prompts = [self._prompt(scene) for scene in scenes]
        self.num_prompt = [len(prompt) for prompt in prompts]
        # Any codes: of their places all have the same vectors. Nothing comes after the last.
        rows = [[*prompt, marker, *[self._codes.start] * (self._num_codes - 1)] for prompt in prompts]
        starts = torch.tensor(self.num_prompt)
        columns = torch.arange(int(starts.max()))
        real = columns < starts[:, None]
        embedded = self._table.new_zeros(*real.shape, self._table.shape[1])
        for row, (scene, prompt) in enumerate(zip(scenes, prompts, strict=True)):
            embedded[row, : len(prompt)] = self._table[torch.tensor(prompt, device=device)]
            for place, vector in self._between(scene, prompt):
                embedded[row, place] = vector
        embedded = self._with_positions(embedded, prompts, seen=[0] * len(rows))
        cache = SequenceCache(model.config, max_sequences=len(rows), dtype=self._table.dtype, device=device)
        cache.reserve(len(rows), max(map(len, rows)))
        grid_vectors = self._table.new_zeros(len(rows), self._num_codes, self._table.shape[1])
        state = _PromptState(
            cache=cache,
            spans=[self._builder.spans(prompt) for prompt in prompts],
            positions=starts[:, None] + torch.arange(self._num_codes),
            grid_vectors=self._with_positions(grid_vectors, rows, seen=self.num_prompt),
            marker=self._table[marker],
        )
        self._forward(embedded, state, positions=columns.expand(len(rows), -1), real=real)
        return state

    @torch.inference_mode()
    def _sweep(self, state: "_PromptState") -> None:
        """Predicts the code of each place from those before it."""
        embedded = state.grid_vectors.clone()
        embedded[:, 0] += state.marker
        embedded[:, 1:] += self._expected[:, :-1].to(self._table.dtype) @ self._table[self._codes]
        real = torch.ones_like(state.positions, dtype=torch.bool)
        states = self._forward(embedded, state, positions=state.positions, real=real)
        outputs = self._engine.model.lm_head.weight[self._codes]
        self._expected = F.linear(states, outputs).float().softmax(-1)

    @torch.inference_mode()
    def _decode(self, scenes: Sequence[Scene]) -> list[UInt8[np.ndarray, "height width 3"]]:
        vectors = np.stack([self._builder.raster(own) for own in self._vectors().cpu().numpy()])
        return list(self._image.decode_vectors(vectors, scenes=scenes))

    @torch.inference_mode()
    def _probabilities(self) -> list[float]:
        codes = nearest_codes(self._vectors(), codebook=self._codebook)
        return self._expected.gather(2, codes[..., None])[..., 0].prod(1).tolist()

    def _vectors(self) -> Float[Tensor, "scenes codes width"]:
        return expected_vectors(self._expected, codebook=self._codebook)

    def _forward(
        self,
        embedded: Float[Tensor, "scenes width dim"],
        state: "_PromptState",
        *,
        positions: Int[Tensor, "scenes width"],
        real: Tensor,
    ) -> Float[Tensor, "scenes width dim"]:
        """Through the model's layers; keys and values stay in the cache, in the place of those that were there."""
        state.cache.aim(0, positions, real)
        device = embedded.device
        visible = visible_ids(positions, state.spans, length=int(positions[real].max()) + 1)
        return hidden_states(
            self._engine.model,
            embedded,
            mask=additive_mask(visible.to(device), embedded.dtype),
            positions=positions.to(device),
            cache=state.cache,
        )

    def _prompt(self, scene: Scene) -> list[int]:
        optional = OptionalParts.of(scene, self._builder.scenes.schema)
        prompt = checked_prompt(self._engine, self._builder, TASK, Segments(scene=scene), optional)
        check_context_length(
            self._engine, "picture", num_prompt=len(prompt), num_output=self.num_output, max_tokens=self._max_tokens
        )
        return prompt

    def _with_positions(self, embedded: Tensor, rows: Sequence[Sequence[int]], *, seen: Sequence[int]) -> Tensor:
        table = self._engine.position_table
        return embedded if table is None else table.add(embedded, rows, seen=seen)

    def _between(self, scene: Scene, ids: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        """Where a location's number stands in the prompt, and the vector that goes in there."""
        vocabulary, schema = self._builder.vocabulary, self._builder.scenes.schema
        if all(entry.name != "location" for entry in schema.fields):
            return
        field = schema.field("location")
        marked = [place for place, token in enumerate(ids) if token == vocabulary.marker_id(field.marker)]
        for marker, index in zip(marked, schema.token_order(scene, clamp=True), strict=True):
            location = scene.objects[index].location
            assert location is not None
            for number, (axis, value) in enumerate(zip(field.axes, location, strict=True), start=1):
                low, high, share = bracket(axis, value)
                ends = self._table[[vocabulary.number_id(low), vocabulary.number_id(high)]]
                yield marker + number, torch.lerp(ends[0], ends[1], share)


def bracket(axis: Axis, value: float) -> tuple[float, float, float]:
    """The two numbers of an axis that a value lies between, and its share of the way from the first to the second;
    beyond the axis its end."""
    values = np.asarray(axis.values)
    value = float(np.clip(value, values[0], values[-1]))
    place = max(int(np.searchsorted(values, value, side="right")) - 1, 0)
    low, high = axis.values[place], axis.values[min(place + 1, len(values) - 1)]
    return low, high, (value - low) / (high - low) if high > low else 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class _PromptState:
    """Prompts that were read, and what is known of their codes' positions."""

    cache: SequenceCache
    spans: list[Spans]
    positions: Int[Tensor, "scenes codes"]  # of the ids before each code, in the sequences
    grid_vectors: Float[Tensor, "scenes codes dim"]  # vectors of the grid
    marker: Float[Tensor, " dim"]  # [IMAGE-START], before the first code

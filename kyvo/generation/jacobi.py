"""`JacobiDecoder`: decodes all codes of a picture at once, for scenes that differ little from a known picture.

The engine decodes a picture code by code, each from those before it. Where the picture is nearly known, all codes go
in together, and one forward pass predicts each of them from those before it. The predictions go in again. After as many
sweeps as there are codes nothing changes any more: that is the picture the engine would decode (Jacobi's iteration,
https://arxiv.org/abs/2305.10427). Where objects move by a tenth of a unit, two sweeps come near to it.

What goes in are vectors: of a code the mean of those that the model expects, as in `kyvo.generation.choice`, and of a
place between two numbers what lies between theirs. So objects can be asked for more finely than the vocabulary counts.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from kyvo.generation.engine import Engine, additive, visible_ids
from kyvo.scene.fields import Axis
from kyvo.scene.scene import Scene
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.sequence import MARKERS, SequenceBuilder
from kyvo.tokenizers.tasks import TASKS, Segment, Segments

TASK = TASKS["rendering"]
SWEEPS = 2  # through the model, each time that pictures are drawn
ROWS = 8  # scenes that go through it together


class JacobiDecoder:
    """Pictures on their way from one drawing to the next."""

    def __init__(
        self,
        engine: Engine,
        builder: SequenceBuilder,
        image: ImageTokenizer,
        pictures: Sequence[UInt8[np.ndarray, "height width 3"]],
    ) -> None:
        self._engine = engine
        self._builder = builder
        self._image = image
        codes = builder.vocabulary.ranges["image"]
        self._codes = slice(codes.start, codes.stop)  # of the model's tables
        table = engine.model.get_input_embeddings()
        assert isinstance(table, torch.nn.Embedding)
        self._table = table.weight.detach()
        self._codebook = image.codebook.to(self._table.device)
        written = torch.from_numpy(image.encode(pictures)[:, builder.order])
        self._embedded = self._table[codes.start + written.to(self._table.device)]  # [pictures, codes, dim], as written

    @torch.inference_mode()
    def draw(self, scenes: Sequence[Scene]) -> list[UInt8[np.ndarray, "height width 3"]]:
        """The pictures anew, one of each scene: objects with the words of the first, at places on bins or between."""
        drawn = []
        for start in range(0, len(scenes), ROWS):
            rows = slice(start, start + ROWS)
            vectors = self._sweep(scenes[rows], rows)
            drawn += list(self._image.decode_vectors(np.stack([self._builder.raster(own) for own in vectors])))
        return drawn

    def _sweep(self, scenes: Sequence[Scene], rows: slice) -> Float[np.ndarray, "rows codes width"]:
        """Draws these; returns the means of their codes' vectors, as written."""
        model, codes = self._engine.model, self._embedded[rows]
        given, mask, starts = self._given(scenes, count=codes.shape[1])
        outputs = model.lm_head.weight[self._codes]
        for _ in range(SWEEPS):
            embedded = given.clone()
            for row, start in enumerate(starts):
                embedded[row, start : start + codes.shape[1] - 1] += codes[row, :-1]  # nothing comes after the last
            states = model.model(inputs_embeds=embedded, attention_mask=mask, use_cache=False).last_hidden_state
            before = [states[row, start - 1 : start - 1 + codes.shape[1]] for row, start in enumerate(starts)]
            expected = F.linear(torch.stack(before), outputs).float().softmax(-1)
            codes = expected.to(codes.dtype) @ self._table[self._codes]
        self._embedded[rows] = codes
        return (expected @ self._codebook).cpu().numpy()  # pyright: ignore[reportPossiblyUnboundVariable]: SWEEPS is not 0

    def _given(self, scenes: Sequence[Scene], *, count: int) -> tuple[Tensor, Tensor, list[int]]:
        """The model's input, in which `count` codes have positions and no content [rows, length, dim]; what
        is visible, as `additive`; and where the codes of each row start."""
        marker = self._builder.vocabulary.marker_id(MARKERS[Segment.IMAGE][0])
        prompts = [[*self._builder.prompt(TASK, Segments(scene=scene), clamp=True), marker] for scene in scenes]
        rows = [[*prompt, *[self._codes.start] * (count - 1)] for prompt in prompts]  # any codes: their places are one
        given = self._table.new_zeros(len(rows), max(map(len, rows)), self._table.shape[1])
        for row, (scene, prompt) in enumerate(zip(scenes, prompts, strict=True)):
            given[row, : len(prompt)] = self._table[torch.tensor(prompt, device=given.device)]
            for place, vector in self._between(scene, prompt):
                given[row, place] = vector
        if self._engine.position_table is not None:
            given = self._engine.position_table.add(given, rows, seen=[0] * len(rows))
        positions = torch.arange(given.shape[1]).expand(len(rows), -1)
        visible = visible_ids(positions, [self._builder.spans(ids) for ids in rows], length=given.shape[1])
        return given, additive(visible.to(given.device), given.dtype), [len(prompt) for prompt in prompts]

    def _between(self, scene: Scene, ids: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        """Where a location's number stands in the prompt, and the vector that goes in there."""
        vocabulary, schema = self._builder.vocabulary, self._builder.scenes.schema
        field = schema.field("location")
        marked = [place for place, token in enumerate(ids) if token == vocabulary.marker_id(field.marker)]
        for marker, index in zip(marked, schema.token_order(scene, clamp=True), strict=True):
            location = scene.objects[index].location
            assert location is not None
            for number, (axis, value) in enumerate(zip(field.axes, location, strict=True), start=1):
                low, high, share = around(axis, value)
                ends = self._table[[vocabulary.number_id(low), vocabulary.number_id(high)]]
                yield marker + number, torch.lerp(ends[0], ends[1], share)


def around(axis: Axis, value: float) -> tuple[float, float, float]:
    """The two numbers of an axis that a value lies between, and its share of the way from the first to the second;
    beyond the axis its end."""
    values = np.asarray(axis.values)
    value = float(np.clip(value, values[0], values[-1]))
    place = max(int(np.searchsorted(values, value, side="right")) - 1, 0)
    low, high = axis.values[place], axis.values[min(place + 1, len(values) - 1)]
    return low, high, (value - low) / (high - low) if high > low else 0.0

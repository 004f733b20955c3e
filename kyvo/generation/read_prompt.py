"""`ReadPrompt`: a prompt that the model has read, before anything is written after it.

What it has read says which object a text is about (`Pointer`), what is asked (`Planner`, `QuestionPlanner`), and how
likely outputs are, id by id.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache

from kyvo.generation.constraint import Constraint
from kyvo.generation.engine import CACHE, Engine
from kyvo.generation.keep_objects import KeepObjectsConstraint, object_ids
from kyvo.models.heads.pointer import Pointer, early_depth
from kyvo.scene.scene import Scene
from kyvo.tokenizers.sequence import MARKERS, SequenceBuilder
from kyvo.tokenizers.tasks import Task
from kyvo.tokenizers.vocabulary import TEXT_START

TRIED = 3  # objects that a model without a pointer would least copy


class ReadPrompt:
    """A prompt without pictures that the model has read once, for many outputs after it."""

    @torch.inference_mode()
    def __init__(self, engine: Engine, builder: SequenceBuilder, task: Task, ids: Sequence[int]) -> None:
        self.engine = engine
        self.builder = builder
        self.task = task
        self.ids = list(ids)
        start, _ = MARKERS[task.outputs[0]]
        self._cache = DynamicCache()
        states = self._states([[*ids, builder.vocabulary.marker_id(start)]], self._cache)
        self._cache.crop(-1)
        self.early: Float[Tensor, "ids dim"] = states[early_depth(len(states) - 1)][0]  # to where the output begins

    def text_states(self) -> Float[Tensor, "ids dim"]:
        """The early states from the text's first id on."""
        return self.early[self.ids.index(self.builder.vocabulary.marker_id(TEXT_START)) :]

    @torch.inference_mode()
    def log_masses(
        self, outputs: Sequence[Sequence[int]], constraints: Sequence[Constraint]
    ) -> list[Float[Tensor, " ids"]]:
        """Of each id of each output, in nats, how probable all are that its grammar allows in its place.

        The first id is the same in all outputs, and told as sure.
        """
        cache = deepcopy(self._cache)
        cache.batch_repeat_interleave(len(outputs))
        hidden = self._states([[*self.ids, *output[:-1]] for output in outputs], cache)[-1]
        told = self.engine.model.lm_head(hidden).float().log_softmax(-1).cpu()
        return [
            torch.stack([told.new_zeros(()), *_masses(logs, output, constraint)])
            for logs, output, constraint in zip(told, outputs, constraints, strict=True)
        ]

    def meant(self, scene: Scene, pointer: Pointer | None) -> list[int]:
        """The object of a snapped scene that is pointed at; without a pointer those that would least be copied."""
        if pointer is None or not scene.objects:
            return self.least_copied(scene, count=TRIED)
        return [int(pointer(self.early[-1])[: len(scene)].argmax())]

    def least_copied(self, scene: Scene, *, count: int) -> list[int]:
        """The objects of a snapped scene that the model would least write again as they are."""
        objects = object_ids(self.builder, scene)
        same = [*self.builder.scenes.encode(scene), self.builder.text.eos_id]
        constraint = KeepObjectsConstraint(self.task, self.builder, scene)
        sure = self.log_masses([same], [constraint])[0][1:-2].split([len(item) for item in objects])
        return sorted(range(len(objects)), key=lambda index: float(sure[index].sum()))[:count]

    def _states(
        self, rows: Sequence[Sequence[int]], cache: DynamicCache
    ) -> tuple[Float[Tensor, "rows width dim"], ...]:
        """The states of all ids that are not in the cache yet, after no layer, one, ..., all and the norm."""
        model, seen = self.engine.model, cache.get_seq_length()
        ids = pad_sequence([torch.tensor(row[seen:]) for row in rows], batch_first=True)
        embedded = model.get_input_embeddings()(ids.to(model.device))
        if self.engine.position_table is not None:
            embedded = self.engine.position_table.add(embedded, rows, seen=[seen] * len(rows))
        return model.model(
            inputs_embeds=embedded, use_cache=True, output_hidden_states=True, **{CACHE: cache}
        ).hidden_states


def _masses(logs: Float[Tensor, "width vocab"], output: Sequence[int], constraint: Constraint) -> Iterator[Tensor]:
    """Of each id after the first: what the grammar allows there, by the logs in the place before it."""
    state = constraint.step(constraint.START, output[0])
    for place, token in enumerate(output[1:]):
        yield logs[place, torch.from_numpy(constraint.allowed(state))].logsumexp(0)
        state = constraint.step(state, token)

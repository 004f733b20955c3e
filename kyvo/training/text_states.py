"""What the trainings on the early states of texts about scenes share (`recipes/planner.py`,
`recipes/question_planner.py`): their model, which is trained already and stays as it is, and the states."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from kyvo.api import Kyvo
from kyvo.data.configs import from_section
from kyvo.devices import choose_device
from kyvo.errors import ConfigError
from kyvo.models.heads.pointer import early_depth
from kyvo.scene.files import scene_from_json
from kyvo.tokenizers.sequence import MARKERS, MAX_NUMBER
from kyvo.tokenizers.tasks import Segment, Segments, Task
from kyvo.training.head_trainer import HeadTrainerArgs, options_of, sections_of

Args = TypeVar("Args", bound=HeadTrainerArgs)


@dataclass(frozen=True, kw_only=True)
class Given(Generic[Args]):
    """What such a program is called with."""

    options: argparse.Namespace
    sections: Mapping[str, Any]  # of the config
    args: Args
    kyvo: Kyvo

    @property
    def known(self) -> dict[str, Any]:
        """Of the network's config, what the model sets."""
        schema = self.kyvo.processor.schema
        return {
            "dim": self.kyvo.model.config.hidden_size,
            "num_objects": MAX_NUMBER,
            "words": schema.word_counts,
        }

    def check_enough(self, count: int, items: str) -> None:
        """Raises ConfigError where nothing would be left to train on."""
        if count <= self.args.held_out:
            raise ConfigError(f"--data has {count} {items} and train.held_out is {self.args.held_out}.")


def read_given(description: str | None, argv: list[str] | None, args: type[Args]) -> Given[Args]:
    """Raises ConfigError for settings that are unknown, and a model whose scenes have no places."""
    parser = options_of(description)
    parser.add_argument("--model", required=True, help="a model's folder, or the name of a bundled one")
    options = parser.parse_args(argv)
    sections = sections_of(options)
    settings = from_section(args, sections["train"], prefix="train.")
    settings = replace(settings, device=choose_device(settings.device))
    kyvo = Kyvo.from_pretrained(options.model, device=settings.device)
    schema = kyvo.processor.schema
    if not schema.has_locations:
        raise ConfigError(f"the schema {schema.name!r} has no locations in a world frame, which a planner reads of.")
    return Given(options=options, sections=sections, args=settings, kyvo=kyvo)


@dataclass(frozen=True, kw_only=True)
class TextStates:
    """The states of texts, one after the other."""

    states: Tensor  # bfloat16 [ids, dim]
    lengths: Tensor  # [texts]

    @cached_property
    def ends(self) -> Tensor:
        """Of each text in the states, [texts]."""
        return self.lengths.cumsum(0)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, chosen: Tensor, device: str) -> tuple[Tensor, Tensor]:
        """Padded states [texts, ids, dim], and which of them are texts' [texts, ids]."""
        lengths, ends = self.lengths[chosen], self.ends[chosen]
        texts = [self.states[end - length : end] for end, length in zip(ends, lengths, strict=True)]
        states = pad_sequence(texts, batch_first=True)
        valid = torch.arange(states.shape[1]) < lengths[:, None]
        return states.to(device).float(), valid.to(device)


def prompt_of(kyvo: Kyvo, task: Task, row: Mapping[str, Any], text: str) -> list[int]:
    """The ids of a set's row with one of its texts, and on to the first of the output."""
    builder = kyvo.processor.builder
    given = Segments(scene=scene_from_json(json.loads(row["scene"])), text=text)
    start, _ = MARKERS[task.outputs[0]]
    return [*builder.prompt(task, given, clamp=True), builder.vocabulary.marker_id(start)]


def read_text_states(kyvo: Kyvo, prompts: Sequence[Sequence[int]], *, chunk: int = 64) -> TextStates:
    """The early states of each prompt from its text on; of the model only the layers that make them are left."""
    depth = early_depth(len(kyvo.model.model.layers))
    kyvo.model.model.layers = kyvo.model.model.layers[: depth + 1]  # what comes after the last one is normed
    text = kyvo.processor.vocabulary.marker_id(MARKERS[Segment.TEXT][0])
    begins = [prompt.index(text) for prompt in prompts]
    lengths = torch.tensor([len(prompt) - begin for prompt, begin in zip(prompts, begins, strict=True)])
    states = torch.empty(int(lengths.sum()), kyvo.model.config.hidden_size, dtype=torch.bfloat16)
    read = TextStates(states=states, lengths=lengths)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for first in tqdm(range(0, len(order), chunk), desc="states", unit="batch", disable=None):
        part = order[first : first + chunk]
        for index, found in zip(part, _states_after(depth, kyvo, [prompts[index] for index in part]), strict=True):
            end = read.ends[index]
            states[end - lengths[index] : end] = found[begins[index] : len(prompts[index])]
    return read


@torch.inference_mode()
def _states_after(depth: int, kyvo: Kyvo, rows: Sequence[Sequence[int]]) -> list[Tensor]:
    """The states [ids, dim] of prompts after so many layers, padded to the longest."""
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    embedded = kyvo.model.get_input_embeddings()(ids.to(kyvo.model.device))
    if kyvo.position_table is not None:
        embedded = kyvo.position_table.add(embedded, rows, seen=[0] * len(rows))
    with torch.autocast(kyvo.model.device.type, torch.bfloat16):
        found = kyvo.model.model(inputs_embeds=embedded, use_cache=False, output_hidden_states=True)
    return list(found.hidden_states[depth])

"""python recipes/planner.py --config configs/planner.yaml --model DIR --data DIR [DIR ...] --out DIR

Trains a planner (`kyvo.models.heads.planner`), which reads what an instruction asks of a scene from the states of a
model that is trained already and stays as it is. `--data` are Arrow sets of edits (`kyvo data edits --no-pictures`). It
serves this model alone: copy `OUT/planner.safetensors` into its folder.
`--minutes M` bounds the time instead of the steps. `--resume` goes on from `OUT/training.pt`; `--init FOLDER` starts
from the network in a model's folder. One JSON line per report goes to stdout and to `OUT/log.jsonl`. OMP_NUM_THREADS
sets the CPU threads.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from kyvo.api import Kyvo
from kyvo.data.configs import from_section
from kyvo.data.dataset import open_set
from kyvo.data.language.edits import concerned, origin
from kyvo.errors import ConfigError
from kyvo.generation.one_change import TASK
from kyvo.models.heads.planner import OPERATIONS, PlanLogits, Planner, PlannerConfig, load_planner, save_planner
from kyvo.scene.files import scene_from_json
from kyvo.scene.schema import SceneSchema
from kyvo.training.head_trainer import HeadTrainer, HeadTrainerArgs
from kyvo.training.text_states import TextStates, prompt_of, read_given, read_text_states

NONE = -1  # a target that an instruction has not


@dataclass(frozen=True, kw_only=True)
class PlannerArgs(HeadTrainerArgs):
    """The `train` section."""

    batch_size: int = 128  # instructions
    held_out: int = 1000
    report_every: int = 250


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What each instruction asks; NONE where it asks nothing of the kind. Objects by their number in the tokens."""

    operation: Tensor  # [texts]
    about: Tensor  # [texts]
    of: Tensor  # [texts]
    way: Tensor  # [texts, 2], units
    words: Tensor  # [texts, fields]: 0 for a field that stays, else its word's place from 1 on

    def __getitem__(self, chosen: Tensor) -> "Targets":
        return Targets(**{name: value[chosen] for name, value in vars(self).items()})

    def to(self, device: str) -> "Targets":
        return Targets(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The states of instructions, and what they ask."""

    texts: TextStates
    targets: Targets

    def batch(self, chosen: Tensor, device: str) -> tuple[Tensor, Tensor, Targets]:
        """Padded states, which of them are texts', and targets."""
        return *self.texts.batch(chosen, device), self.targets[chosen].to(device)


def main(argv: list[str] | None = None) -> Path:
    """Trains and returns the folder."""
    given = read_given(__doc__, argv, PlannerArgs)
    config = from_section(PlannerConfig, given.sections["model"], prefix="model.", **given.known)
    samples = read_samples(given.options.data, given.kyvo)
    given.check_enough(len(samples.texts), "instructions")
    trainer = Trainer(config, given.args, samples, minutes=given.options.minutes)
    trainer.run_from(given.options, load_planner)
    save_planner(given.options.out, trainer.model.cpu())
    return given.options.out


def read_samples(folders: Sequence[Path], kyvo: Kyvo) -> Samples:
    """All instructions of the sets. Raises ConfigError for sets without instructions."""
    prompts, targets = [], []
    for folder in folders:
        opened = open_set(folder)
        if "program" not in opened.column_names:
            raise ConfigError(f"{folder} is no set of edits; `kyvo data edits --no-pictures` makes one.")
        for row in tqdm(opened, desc=folder.name, unit="instruction", disable=None):
            prompts.append(prompt_of(kyvo, TASK, row, row["instruction"]))
            targets.append(target(row, kyvo.processor.schema))
    columns = {name: torch.tensor([row[name] for row in targets]) for name in targets[0]}
    return Samples(texts=read_text_states(kyvo, prompts), targets=Targets(**columns))


def target(row: Mapping[str, Any], schema: SceneSchema) -> dict[str, Any]:
    """One row of `Targets`, from an edit's program."""
    program = json.loads(row["program"])
    before, after = (scene_from_json(json.loads(row[name])) for name in ("scene", "target_scene"))
    operation, numbers = program["operation"], schema.token_order(before, clamp=True)
    about, of, way = NONE, NONE, (0.0, 0.0)
    if operation != "add":
        about = concerned(program, before)
    if operation in ("add", "move"):
        of = origin(program, before)
        start = schema.snap(replace(before, objects=(before.objects[of],)), clamp=True).objects[0].location
        there = after.objects[about].location  # the last one of all where one is new
        assert start is not None and there is not None
        way = (there[0] - start[0], there[1] - start[1])
    gets = program["object"] if operation == "add" else {}
    if operation == "change":
        gets = {program["attribute"]: program["value"]}
    words = [field.words.index(gets[field.name]) + 1 if field.name in gets else 0 for field in schema.word_fields]
    return {
        "operation": OPERATIONS.index(operation),
        "about": NONE if about == NONE else numbers.index(about),
        "of": NONE if of == NONE else numbers.index(of),
        "way": way,
        "words": words if gets else [NONE] * len(words),
    }


class Trainer(HeadTrainer[PlannerArgs]):
    """A planner on its way."""

    def __init__(
        self, config: PlannerConfig, args: PlannerArgs, samples: Samples, *, minutes: float | None = None
    ) -> None:
        torch.manual_seed(args.seed)
        super().__init__(Planner(config).to(args.device), args, minutes=minutes)
        self.samples = samples

    def losses(self) -> dict[str, Tensor]:
        args, count = self.args, len(self.samples.texts)
        chosen = torch.randint(args.held_out, count, (args.batch_size,), generator=self.generator)
        found = compare(*self.told(chosen))
        # A way that is off by half a unit is as bad as a word that is not known.
        return {"loss": sum(found.values()) + found["way"], **found}  # type: ignore[dict-item]

    def measured(self) -> dict[str, Tensor]:
        return right(*self.told(torch.arange(self.args.held_out)))

    def told(self, chosen: Tensor) -> tuple[PlanLogits, Targets]:
        """What the model says of these samples, and what is so."""
        states, valid, targets = self.samples.batch(chosen, self.args.device)
        with torch.autocast(self.args.device, torch.bfloat16):
            return self.model(states, valid), targets


def compare(told: PlanLogits, targets: Targets) -> dict[str, Tensor]:
    """Cross-entropies in nats, over what has a target; of the way the mean distance in units."""
    words = [
        F.cross_entropy(logits, targets.words[:, field], ignore_index=NONE) for field, logits in enumerate(told.words)
    ]
    return {
        "operation": F.cross_entropy(told.operation, targets.operation),
        "about": F.cross_entropy(told.about, targets.about, ignore_index=NONE),
        "of": F.cross_entropy(told.of, targets.of, ignore_index=NONE),
        "words": torch.stack(words).sum(),
        "way": way_off(told, targets),
    }


def right(told: PlanLogits, targets: Targets) -> dict[str, Tensor]:
    """Shares of what has a target that are right; of the way the mean distance in units."""
    words = torch.stack([logits.argmax(-1) for logits in told.words], dim=1)
    found = {"operation": told.operation, "about": told.about, "of": told.of}
    shares = {}
    for name, logits in found.items():
        wanted = getattr(targets, name)
        shares[name] = (logits.argmax(-1) == wanted)[wanted != NONE].float().mean()
    shares["words"] = (words == targets.words).all(1)[targets.words[:, 0] != NONE].float().mean()
    return {**shares, "way": way_off(told, targets)}


def way_off(told: PlanLogits, targets: Targets) -> Tensor:
    """The mean distance between where the ways end, in units."""
    return (told.way - targets.way)[targets.of != NONE].norm(dim=-1).mean()


if __name__ == "__main__":
    print(main(), file=sys.stderr)

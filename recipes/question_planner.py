"""python recipes/question_planner.py --config configs/question_planner.yaml --model DIR --data DIR [DIR ...] --out DIR

Trains a planner of questions (`kyvo.models.heads.question_planner`), which reads what a question asks of a scene from
the states of a model that is trained already and stays as it is. `--data` are Arrow sets of questions
(`kyvo data questions --no-pictures`). It serves this model alone: copy `OUT/question_planner.safetensors` into its
folder.
`--minutes M` bounds the time instead of the steps. `--resume` goes on from `OUT/training.pt`; `--init FOLDER` starts
from the network in a model's folder. One JSON line per report goes to stdout and to `OUT/log.jsonl`. OMP_NUM_THREADS
sets the CPU threads.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from kyvo.api import Kyvo
from kyvo.data.configs import from_section
from kyvo.data.dataset import open_set
from kyvo.data.language.question_programs import SceneIndex, operands
from kyvo.errors import ConfigError
from kyvo.generation.question_plans import questions
from kyvo.models.heads.question_planner import (
    OPERANDS,
    QuestionLogits,
    QuestionPlanner,
    QuestionPlannerConfig,
    load_question_planner,
    save_question_planner,
)
from kyvo.models.heads.refined_scenes import as_tensors
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.sequence import MAX_NUMBER
from kyvo.tokenizers.tasks import TASKS
from kyvo.training.auxiliary_heads import asked_objects
from kyvo.training.head_trainer import HeadTrainer, HeadTrainerArgs
from kyvo.training.text_states import TextStates, prompt_of, read_given, read_text_states

TASK = TASKS["scene_question_answering"]


@dataclass(frozen=True, kw_only=True)
class QuestionPlannerArgs(HeadTrainerArgs):
    """The `train` section."""

    batch_size: int = 128  # questions
    held_out: int = 1000
    report_every: int = 250


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Questions: their states, scenes and what they ask. Objects by their number in the tokens."""

    texts: TextStates
    scenes: Tensor  # of each text, among the objects below, [texts]
    objects: tuple[Tensor, Tensor, Tensor]  # words, locations and presence of each scene's
    questions: Tensor  # [texts]
    operands: Tensor  # [texts, OPERANDS, objects]: 1 for those in the set, 0 for others; -1 where there is no such set

    def batch(self, chosen: Tensor, device: str) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """What the planner takes, and its two targets."""
        objects = (tensor[self.scenes[chosen]].to(device) for tensor in self.objects)
        given = (*self.texts.batch(chosen, device), *objects)
        return given, self.questions[chosen].to(device), self.operands[chosen].to(device)


def main(argv: list[str] | None = None) -> Path:
    """Trains and returns the folder."""
    given = read_given(__doc__, argv, QuestionPlannerArgs)
    known = given.known | {"num_questions": len(questions(given.kyvo.processor.schema))}
    config = from_section(QuestionPlannerConfig, given.sections["model"], prefix="model.", **known)
    samples = read_samples(given.options.data, given.kyvo)
    given.check_enough(len(samples.texts), "questions")
    trainer = Trainer(config, given.args, samples, minutes=given.options.minutes)
    trainer.run_from(given.options, load_question_planner)
    save_question_planner(given.options.out, trainer.model.cpu())
    return given.options.out


def read_samples(folders: Sequence[Path], kyvo: Kyvo) -> Samples:
    """All questions of the sets. Raises ConfigError for sets without questions."""
    schema = kyvo.processor.schema
    kinds = questions(schema)
    prompts, scenes, owners, asked, sets = [], [], [], [], []
    for folder in folders:
        opened = open_set(folder)
        if "questions" not in opened.column_names:
            raise ConfigError(f"{folder} is no set of questions; `kyvo data questions --no-pictures` makes one.")
        for row in tqdm(opened, desc=folder.name, unit="scene", disable=None):
            scene = scene_from_json(json.loads(row["scene"]), str(folder))
            index = SceneIndex(scene)
            for question in row["questions"]:
                program = json.loads(question["program"])
                prompts.append(prompt_of(kyvo, TASK, row, question["question"]))
                owners.append(len(scenes))
                asked.append(kinds.index(program[-1]["function"]))
                sets.append(target(operands(program, index), scene, schema))
            scenes.append(schema.snap(scene, clamp=True))
    words, locations, present = (tensor[:, :MAX_NUMBER] for tensor in as_tensors(scenes, schema))
    return Samples(
        texts=read_text_states(kyvo, prompts),
        scenes=torch.tensor(owners),
        objects=(words, locations, present),
        questions=torch.tensor(asked),
        operands=torch.stack(sets)[..., : present.shape[1]],
    )


def target(sets: Sequence[int], scene: Scene, schema: SceneSchema) -> Tensor:
    """One row of `Samples.operands`."""
    found = torch.full((OPERANDS, MAX_NUMBER), -1.0)
    found[: len(sets)] = torch.from_numpy(asked_objects(scene, schema, sets))
    return found


class Trainer(HeadTrainer[QuestionPlannerArgs]):
    """A planner of questions on its way."""

    def __init__(
        self,
        config: QuestionPlannerConfig,
        args: QuestionPlannerArgs,
        samples: Samples,
        *,
        minutes: float | None = None,
    ) -> None:
        torch.manual_seed(args.seed)
        super().__init__(QuestionPlanner(config).to(args.device), args, minutes=minutes)
        self.samples = samples

    def losses(self) -> dict[str, Tensor]:
        args, count = self.args, len(self.samples.texts)
        found = compare(*self.told(torch.randint(args.held_out, count, (args.batch_size,), generator=self.generator)))
        return {"loss": found["question"] + found["operands"], **found}

    def measured(self) -> dict[str, Tensor]:
        return right(*self.told(torch.arange(self.args.held_out)))

    def told(self, chosen: Tensor) -> tuple[QuestionLogits, Tensor, Tensor]:
        """What the model says of these samples, and what is so."""
        given, asked, sets = self.samples.batch(chosen, self.args.device)
        with torch.autocast(self.args.device, torch.bfloat16):
            return self.model(*given), asked, sets


def compare(told: QuestionLogits, asked: Tensor, sets: Tensor) -> dict[str, Tensor]:
    """Cross-entropies in nats, of a mean text; of operands over all objects of all of its sets."""
    parts = F.binary_cross_entropy_with_logits(told.operands, sets.clamp(min=0), reduction="none")
    return {"question": F.cross_entropy(told.question, asked), "operands": (parts * (sets >= 0)).sum() / len(sets)}


def right(told: QuestionLogits, asked: Tensor, sets: Tensor) -> dict[str, Tensor]:
    """Shares of texts that are right: by what they ask, by their sets as a whole, and by both."""
    question = told.question.argmax(-1) == asked
    same = (((told.operands > 0) == (sets > 0)) | (sets < 0)).all((1, 2))
    return {
        name: held.float().mean()
        for name, held in {"question": question, "operands": same, "plan": question & same}.items()
    }


if __name__ == "__main__":
    print(main(), file=sys.stderr)

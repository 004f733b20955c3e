"""`QuestionPlanner`: what a question asks of a scene, read from the model's early states of its words.

It is the `Planner` of questions. A small transformer over the states of the text, and over the scene's objects, says
what is asked and of which objects: that they be counted, that a word of one be named, or two be compared. Counting and
comparing are left to arithmetic (`kyvo.generation.question_plans`): written as one word, they are learnt late.
"""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kyvo.models.heads.planner import TextReader
from kyvo.models.network_files import load_network, save_network

QUESTION_PLANNER_NAME = "question_planner.safetensors"
OPERANDS = 2  # sets of objects that a question can be about: those that it compares


@dataclass(frozen=True, kw_only=True)
class QuestionPlannerConfig:
    """What it reads and the size of the network."""

    dim: int  # of the model's states
    num_objects: int  # that are told apart by their number in the scene's tokens
    words: tuple[int, ...]  # how many each of the schema's fields of words has
    num_questions: int  # kinds (`kyvo.generation.question_plans.questions`)
    width: int = 160
    layers: int = 3


@dataclass(frozen=True, kw_only=True)
class QuestionLogits:
    """What was read of each text; objects by their number in the scene's tokens."""

    question: Float[Tensor, "texts questions"]
    operands: Float[Tensor, "texts operands objects"]  # whether each object is in the set


class QuestionPlanner(TextReader):
    """The states of texts and the objects of their scenes -> `QuestionLogits`."""

    def __init__(self, config: QuestionPlannerConfig) -> None:
        super().__init__(dim=config.dim, width=config.width, layers=config.layers)
        self.config = config
        width = config.width
        self.numbers = nn.Embedding(config.num_objects, width)
        self.words = nn.ModuleList(nn.Embedding(count, width) for count in config.words)
        self.location = nn.Linear(2, width)
        self.question = nn.Linear(width, config.num_questions)
        self.operands = nn.Linear(width, OPERANDS)

    def forward(
        self,
        states: Float[Tensor, "texts ids dim"],
        valid: Bool[Tensor, "texts ids"],
        words: Int[Tensor, "texts objects fields"],
        locations: Float[Tensor, "texts objects 3"],
        present: Bool[Tensor, "texts objects"],
    ) -> QuestionLogits:
        """
        Args:
            states, valid: as of `TextReader.read`.
            words, locations, present: of the scenes' objects in the order of the tokens, at most `num_objects`
                (`kyvo.models.heads.refined_scenes.as_tensors`).
        """
        objects = self.location(locations[..., :2]) + self.numbers.weight[: present.shape[1]]
        for embedding, of_field in zip(self.words, words.unbind(-1), strict=True):
            objects = objects + embedding(of_field)
        told, items = self.read(states, valid, objects, present)
        return QuestionLogits(
            question=self.question(told).float(), operands=self.operands(items).float().transpose(1, 2)
        )


def save_question_planner(folder: Path, planner: QuestionPlanner) -> None:
    """Writes it beside the model."""
    save_network(folder / QUESTION_PLANNER_NAME, planner)


def load_question_planner(folder: Path) -> QuestionPlanner | None:
    """The one that `save_question_planner` wrote; None for a model without one. Raises CheckpointError for another
    file."""
    return load_network(
        folder / QUESTION_PLANNER_NAME, QuestionPlanner, QuestionPlannerConfig, recipe="recipes/question_planner.py"
    )

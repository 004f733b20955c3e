"""`QuestionPlan`: what a question asks of a scene, and the answer that follows.

A `QuestionPlanner` reads it: whether there are such objects, how many, which word one has, whether two have the same,
or which of two sets is larger. What is true of these objects is arithmetic.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import eq, gt, lt

import torch
from jaxtyping import Float
from torch import Tensor

from kyvo.errors import CheckpointError
from kyvo.generation.engine import Engine
from kyvo.generation.read_prompt import ReadPrompt
from kyvo.models.heads.question_planner import OPERANDS, QuestionPlanner
from kyvo.models.heads.refined_scenes import as_tensors
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.tasks import TASKS, Segments

TASK = TASKS["scene_question_answering"]
COUNTED = ("exist", "count")  # of one set
COMPARED: dict[str, Callable[[int, int], bool]] = {"equal_integer": eq, "less_than": lt, "greater_than": gt}
SURE = 0.8  # chance of a plan from which on it is followed; below it the language model answers more rightly
NAMED, MATCHED = "query_", "equal_"  # before a field's name: its word of one object, whether that of two is the same


@dataclass(frozen=True, kw_only=True)
class QuestionPlan:
    """One question about a snapped scene; objects by their number in its tokens."""

    question: str  # of `questions`
    operands: tuple[tuple[int, ...], ...]  # the objects it is about: one set, or two that are compared
    chance: float = 1.0  # that all of it is meant, as the planner tells


def questions(schema: SceneSchema) -> tuple[str, ...]:
    """The kinds of questions about scenes of the schema, by the last function of their programs."""
    names = [field.name for field in schema.word_fields]
    return (*COUNTED, *COMPARED, *(NAMED + name for name in names), *(MATCHED + name for name in names))


def num_operands(question: str) -> int:
    return OPERANDS if question in COMPARED or question.startswith(MATCHED) else 1


def takes_one(question: str) -> bool:
    """Whether each operand is one object."""
    return question not in COMPARED and question not in COUNTED


def check_question_planner(planner: QuestionPlanner, schema: SceneSchema, *, dim: int) -> None:
    """Raises CheckpointError for a planner of other words or another model's states, and for a schema without places.

    Args:
        dim: of the model's states.
    """
    if not schema.has_locations:
        raise CheckpointError(f"the schema {schema.name!r} has no locations in a world frame, which questions are of.")
    config = planner.config
    if (config.dim, config.words, config.num_questions) != (dim, schema.word_counts, len(questions(schema))):
        raise CheckpointError(
            f"the planner of questions reads {config.dim} numbers an id and fields of {config.words} words; the model "
            f"has {dim} and {schema.word_counts}. The folder mixes two models."
        )


def planned_answer(
    engine: Engine, builder: SequenceBuilder, planner: QuestionPlanner, scene: Scene, question: str
) -> str | None:
    """The answer to a question about a scene as it follows from what is asked; None where the planner is not sure.

    Raises SceneError for a scene that the schema cannot hold.
    """
    prompt = builder.prompt(TASK, Segments(scene=scene, text=question))
    read = ReadPrompt(engine, builder, TASK, prompt)
    snapped = builder.scenes.snap(scene)
    plan = read_question(planner, read.text_states(), snapped, builder.scenes.schema)
    return answer_of(plan, snapped) if plan is not None and plan.chance >= SURE else None


@torch.inference_mode()
def read_question(
    planner: QuestionPlanner, states: Float[Tensor, "ids dim"], scene: Scene, schema: SceneSchema
) -> QuestionPlan | None:
    """The likeliest plan; None for a scene of no objects, or of too many.

    Args:
        states: of the text, as the planner takes them.
        scene: snapped.
    """
    count = len(scene)
    if not 0 < count <= planner.config.num_objects:
        return None
    device = states.device
    objects = (tensor.to(device) for tensor in as_tensors([scene], schema))
    told = planner(states[None], torch.ones(1, len(states), dtype=torch.bool, device=device), *objects)
    shares = told.question[0].softmax(-1)
    question = questions(schema)[int(shares.argmax())]
    chance, operands = float(shares.max()), []
    for logits in told.operands[0, : num_operands(question), :count]:
        found = logits > 0
        if takes_one(question):
            found = torch.arange(count, device=device) == logits.argmax()
        chance *= float(torch.where(found, logits, -logits).sigmoid().prod())
        operands.append(tuple(found.nonzero()[:, 0].tolist()))
    return QuestionPlan(question=question, operands=tuple(operands), chance=chance)


def answer_of(plan: QuestionPlan, scene: Scene) -> str:
    """The answer that the plan gives on the snapped scene, as a word: "yes", "3", "red"."""
    if plan.question in COMPARED:
        first, second = map(len, plan.operands)
        return _yes(COMPARED[plan.question](first, second))
    if plan.question == "exist":
        return _yes(bool(plan.operands[0]))
    if plan.question == "count":
        return str(len(plan.operands[0]))
    name = plan.question.partition("_")[2]
    words = [scene.objects[number].get(name) for (number,) in plan.operands]
    return words[0] if plan.question.startswith(NAMED) else _yes(words[0] == words[1])


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"

"""`Plan`: what an instruction asks of a scene, and the grammar that holds everything else.

A `Planner` reads it. What it leaves open, such as the height of a new object, the language model writes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from kyvo.errors import CheckpointError
from kyvo.generation.constraint import Constraint
from kyvo.generation.forms import any_numbers, as_it_is, fixed, form
from kyvo.generation.keep_objects import KeepObjectsConstraint
from kyvo.models.heads.planner import OPERATIONS, PlanLogits, Planner
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.tasks import Task

SURE = 0.5  # chance of a plan from which on it is followed


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One edit of a snapped scene; objects by their number in its tokens."""

    operation: str  # of OPERATIONS
    about: int | None = None  # the object that is changed, removed or moved
    words: Mapping[str, str] = field(default_factory=dict)  # that a changed or new object gets, by field
    place: tuple[float, float] | None = None  # x and y of a new or moved object, among the schema's numbers
    chance: float = 1.0  # that all of it is meant, as the planner tells


def check_planner(planner: Planner, schema: SceneSchema, *, dim: int) -> None:
    """Raises CheckpointError for a planner of other words or another model's states, and for a schema without places.

    Args:
        dim: of the model's states.
    """
    if not schema.has_locations:
        raise CheckpointError(f"the schema {schema.name!r} has no locations in a world frame, which a planner gives.")
    if (planner.config.dim, planner.config.words) != (dim, schema.word_counts):
        raise CheckpointError(
            f"the planner reads {planner.config.dim} numbers an id and fields of {planner.config.words} words; the "
            f"model has {dim} and {schema.word_counts}. The folder mixes two models."
        )


def read_plan(
    planner: Planner,
    states: Float[Tensor, "ids dim"],
    scene: Scene,
    schema: SceneSchema,
    *,
    among: Collection[int] | None = None,
) -> Plan | None:
    """The likeliest plan, or None where no whole one was read.

    Args:
        states: of the text, as the planner takes them.
        scene: snapped.
        among: numbers of the objects that may be another or gone; of none, one is new. By default all is open.
    """
    count = len(scene)
    if not 0 < count <= planner.config.num_objects:  # all that can be done begins at an object
        return None
    valid = torch.ones(1, len(states), dtype=torch.bool, device=states.device)
    with torch.inference_mode():
        told = planner(states[None], valid)
    numbers = range(planner.config.num_objects)
    sure, best = _likeliest(told.operation, [among is None or (name == "add") is (not among) for name in OPERATIONS])
    plan = Plan(operation=OPERATIONS[best], chance=sure)
    if plan.operation != "add":
        sure, about = _likeliest(told.about, [number < count and number in (among or numbers) for number in numbers])
        plan = replace(plan, about=about, chance=plan.chance * sure)
    if plan.operation in ("add", "change"):
        plan = _with_words(plan, told, schema)
    if plan.operation in ("add", "move"):
        sure, of = _likeliest(told.of, [number < count for number in numbers])
        plan = replace(plan, place=_place(scene.objects[of], told, schema), chance=plan.chance * sure)
    return plan if _does_something(plan, scene) else None


def planned(task: Task, builder: SequenceBuilder, scene: Scene, plan: Plan) -> Constraint:
    """The outputs of `task` in which all of the plan is so, and every other object of the snapped scene as it was."""
    if plan.about is None:
        values = any_numbers(builder)
        rest = scene
    else:
        item = scene.objects[plan.about]
        values = as_it_is(builder, item)
        rest = replace(scene, objects=(*scene.objects[: plan.about], *scene.objects[plan.about + 1 :]))
    if plan.operation == "remove":
        return KeepObjectsConstraint(task, builder, rest)
    values |= {name: fixed(builder, builder.scenes.schema.field(name), word) for name, word in plan.words.items()}
    x, y, *others = values["location"]
    if plan.operation == "change":  # another size may stand at another height
        others = any_numbers(builder)["location"][2:]
    if plan.place is not None:
        x, y = ([builder.vocabulary.number_id(value)] for value in plan.place)
    values["location"] = [x, y, *others]
    return KeepObjectsConstraint(task, builder, rest, num_added=1, written=form(builder, values))


def _likeliest(logits: Float[Tensor, "1 choices"], allowed: Sequence[bool]) -> tuple[float, int]:
    """The likeliest of those that are allowed, one at least, after its share among them."""
    shares = logits[0].cpu().masked_fill(~torch.tensor(allowed), -torch.inf).softmax(-1)
    return float(shares.max()), int(shares.argmax())


def _with_words(plan: Plan, told: PlanLogits, schema: SceneSchema) -> Plan:
    """With the words that the object gets; a new one gets one of every field."""
    words, chance = {}, plan.chance
    for of_field, logits in zip(schema.word_fields, told.words, strict=True):
        sure, word = _likeliest(logits, [plan.operation == "change", *[True] * len(of_field.words)])
        if word > 0:
            words[of_field.name] = of_field.words[word - 1]
        chance *= sure
    return replace(plan, words=words, chance=chance)


def _place(origin: SceneObject, told: PlanLogits, schema: SceneSchema) -> tuple[float, float]:
    """Where the way from an object ends, among the schema's numbers."""
    x, y, *_ = schema.field("location").axes
    assert origin.location is not None
    to_x, to_y = told.way[0].tolist()
    return x.snap(origin.location[0] + to_x, clamp=True), y.snap(origin.location[1] + to_y, clamp=True)


def _does_something(plan: Plan, scene: Scene) -> bool:
    """Whether any word of an object that is to change becomes another."""
    if plan.operation != "change":
        return True
    assert plan.about is not None
    item = scene.objects[plan.about]
    return any(item.get(name) != word for name, word in plan.words.items())

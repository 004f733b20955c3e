"""`Plan`: what an instruction asks of a scene, and the grammar that holds everything else.

A `Planner` reads it. What it leaves open, such as the height of a new object, the language model writes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from kyvo.errors import CheckpointError
from kyvo.generation.forms import any_numbers, as_it_is, fixed, form
from kyvo.generation.grammar import Grammar
from kyvo.generation.pinned import PinnedGrammar
from kyvo.models.planner import OPERATIONS, PlanLogits, Planner
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.tasks import Task


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
    words = tuple(len(field.words) for field in schema.word_fields)
    if not schema.has_places:
        raise CheckpointError(f"the schema {schema.name!r} has no locations in a world frame, which a planner gives.")
    if (planner.config.dim, planner.config.words) != (dim, words):
        raise CheckpointError(
            f"the planner reads {planner.config.dim} numbers an id and fields of {planner.config.words} words; the "
            f"model has {dim} and {words}. The folder mixes two models."
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
    if count > planner.config.num_objects:
        return None
    valid = torch.ones(1, len(states), dtype=torch.bool, device=states.device)
    with torch.inference_mode():
        told = planner(states[None], valid)
    allowed = torch.ones(len(OPERATIONS), dtype=torch.bool)
    if among is not None:
        allowed = torch.tensor([(name == "add") is (not among) for name in OPERATIONS])
    sure, best = _likeliest(told.operation[0], allowed)
    if best is None:
        return None
    plan = Plan(operation=OPERATIONS[best], chance=sure)
    if plan.operation != "add":
        open_to = torch.tensor([index < count and index in (among or range(count)) for index in _numbers(told)])
        sure, about = _likeliest(told.about[0], open_to)
        plan = replace(plan, about=about, chance=plan.chance * sure)
    if plan.operation in ("add", "change"):
        plan = _with_words(plan, told, scene, schema)
    if plan.operation in ("add", "move"):
        sure, of = _likeliest(told.of[0], torch.tensor([index < count for index in _numbers(told)]))
        if of is None:
            return None
        x, y, *_ = (axis for field in schema.fields if field.name == "location" for axis in field.axes)
        start, way = scene.objects[of].location, told.way[0].tolist()
        assert start is not None
        place = (x.snap(start[0] + way[0], clamp=True), y.snap(start[1] + way[1], clamp=True))
        plan = replace(plan, place=place, chance=plan.chance * sure)
    return plan if _is_whole(plan, scene, schema) else None


def planned(task: Task, builder: SequenceBuilder, scene: Scene, plan: Plan) -> Grammar:
    """The outputs of `task` in which all of the plan is so, and every other object of the snapped scene as it was."""
    if plan.about is None:
        values = any_numbers(builder)
        rest = scene
    else:
        item = scene.objects[plan.about]
        values = as_it_is(builder, item)
        rest = replace(scene, objects=(*scene.objects[: plan.about], *scene.objects[plan.about + 1 :]))
    if plan.operation == "remove":
        return PinnedGrammar(task, builder, rest)
    values |= {name: fixed(builder, name, word) for name, word in plan.words.items()}
    x, y, *others = values["location"]
    if plan.operation == "change":  # another size may stand at another height
        others = any_numbers(builder)["location"][2:]
    if plan.place is not None:
        x, y = ([builder.vocabulary.number_id(value)] for value in plan.place)
    values["location"] = [x, y, *others]
    return PinnedGrammar(task, builder, rest, num_added=1, written=form(builder, values))


def _numbers(told: PlanLogits) -> range:
    return range(told.about.shape[1])


def _likeliest(logits: Tensor, allowed: Tensor) -> tuple[float, int | None]:
    """The likeliest of those that are allowed, with its share among them; None where none is."""
    if not allowed.any():
        return 0.0, None
    shares = logits.cpu().masked_fill(~allowed, -torch.inf).softmax(-1)
    return float(shares.max()), int(shares.argmax())


def _with_words(plan: Plan, told: PlanLogits, scene: Scene, schema: SceneSchema) -> Plan:
    """With the words that the object gets; a new one gets one of every field."""
    words, chance = {}, plan.chance
    for field_, logits in zip(schema.word_fields, told.words, strict=True):
        open_to = torch.ones(logits.shape[1], dtype=torch.bool)
        open_to[0] = plan.operation == "change"
        sure, word = _likeliest(logits[0], open_to)
        assert word is not None
        if word > 0:
            words[field_.name] = field_.words[word - 1]
        chance *= sure
    return replace(plan, words=words, chance=chance)


def _is_whole(plan: Plan, scene: Scene, schema: SceneSchema) -> bool:
    """Whether it does something, to an object that is there."""
    if plan.operation == "add":
        return True
    if plan.about is None:
        return False
    item = scene.objects[plan.about]
    return plan.operation != "change" or any(item.get(name) != word for name, word in plan.words.items())

"""An edit of one object: what is meant, and the scene as the model writes it, or as it can have become.

A model with a `Planner` is asked for the whole plan, and writes what the plan leaves open; all else is held by the
grammar.
Where there is no planner, or none that is sure, the model is asked which object is meant (`Pointer`). A scene that is
then written freely is taken as it is where this object and no other is another or gone, or one is new. But most ids
are copies, and a model may copy on where it should not, or change another object, or more than one. Then every plain
thing that can have become of the one is a constraint that keeps all other objects (`KeepObjectsConstraint`): it is
gone, one of its words is another, one of its numbers is another, or there is a new object beside it. Each is written
greedily, and the one is taken within which the model finds itself most: the probability of all that the grammar
allows, id by id. A new place is likely then if any place is, however many there are.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial

from kyvo.errors import TokenError
from kyvo.generation.constraint import Constraint
from kyvo.generation.engine import Engine
from kyvo.generation.forms import changes
from kyvo.generation.keep_objects import KeepObjectsConstraint, object_ids
from kyvo.generation.plans import SURE, planned, read_plan
from kyvo.generation.read_prompt import ReadPrompt
from kyvo.generation.requests import Decoded, Request
from kyvo.models.heads.planner import Planner
from kyvo.models.heads.pointer import Pointer
from kyvo.scene.scene import Scene
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.tasks import TASKS, Segments

TASK = TASKS["scene_editing"]


def one_change(
    engine: Engine,
    builder: SequenceBuilder,
    scene: Scene,
    instruction: str,
    *,
    pointer: Pointer | None = None,
    planner: Planner | None = None,
    about: Collection[int] | None = None,
    max_tokens: int | None = None,
    deadline: float | None = None,
) -> Decoded:
    """The scene after an instruction in which one object is new, another, or gone.

    Args:
        pointer: the model's; without one the objects are tried that it would least copy.
        planner: the model's, if it has one.
        about: indices of the scene's objects that may be another or gone, for who knows them; of none, one is new.
            With them nothing is written freely.
        max_tokens, deadline: as of `Request`.

    Raises:
        SceneError: a scene that the schema cannot hold.
        TokenError: one that is too long for the model, or whose edit was cut short before anything was whole.
    """
    prompt = builder.prompt(TASK, Segments(scene=scene, text=instruction))
    read = ReadPrompt(engine, builder, TASK, prompt)
    snapped = replace(builder.scenes.snap(scene), camera=scene.camera)  # which says the objects' order
    schema = builder.scenes.schema
    among = None
    if about is not None:
        order = schema.token_order(scene)
        among = [order.index(index) for index in about]
    request = partial(Request, prompt=prompt, max_tokens=max_tokens, deadline=deadline)
    num_asked = 0
    plan = None if planner is None else read_plan(planner, read.text_states(), snapped, schema, among=among)
    followed = plan if plan is not None and plan.chance >= SURE else None
    if followed is not None:
        constraints = [planned(TASK, builder, snapped, followed)]
    else:
        tried = read.meant(snapped, pointer) if among is None else among
        if among is None:
            constraint = Constraint.for_task(TASK, builder, max_objects=len(snapped) + 1)
            free = engine.submit(request(constraint=constraint)).result()
            num_asked += free.num_asked
            if not free.truncated and changes_one(builder, snapped, free.ids, among=tried):
                return free
        constraints = list(hypotheses(builder, snapped, tried))
        if not among:
            constraints.append(KeepObjectsConstraint(TASK, builder, snapped, num_added=1))
    handles = [engine.submit(request(constraint=constraint)) for constraint in constraints]
    rows = [handle.result() for handle in handles]
    whole = [(row, constraint) for row, constraint in zip(rows, constraints, strict=True) if not row.truncated]
    if not whole:
        raise TokenError(
            f"the scene after the edit was cut ({rows[0].reason}) before it was whole; prompt and output may have "
            f"{engine.model.config.max_position_embeddings} ids. Give a scene of fewer objects, or allow more."
        )
    if followed is not None:
        row = whole[0][0]
        allowed = [followed.chance] * len(row.ids)
    else:
        told = read.log_masses([row.ids for row, _ in whole], [constraint for _, constraint in whole])
        best = max(range(len(whole)), key=lambda number: float(told[number].sum()))
        row, allowed = whole[best][0], told[best].exp().tolist()
    return Decoded(
        ids=row.ids,
        probabilities=[held * chosen for held, chosen in zip(allowed, row.probabilities, strict=True)],
        num_prompt=len(prompt),
        num_asked=num_asked + sum(row.num_asked for row in rows),
    )


def changes_one(builder: SequenceBuilder, scene: Scene, output: Sequence[int], *, among: Collection[int]) -> bool:
    """Whether in the output one of a snapped scene's objects at the places `among` is another or gone, or one is new,
    and all others are as they were."""
    after = builder.parse_output(TASK, output).scene
    assert after is not None
    was, now = ([tuple(ids) for ids in object_ids(builder, of_scene)] for of_scene in (scene, after))
    gone, new = Counter(was) - Counter(now), (Counter(now) - Counter(was)).total()
    if not gone:
        return new == 1
    return gone.total() == 1 and new <= 1 and any(was[place] in gone for place in among)


def hypotheses(builder: SequenceBuilder, scene: Scene, tried: Sequence[int]) -> Iterator[Constraint]:
    """Of each object of `tried`, by its place in a snapped scene, all that can have become of it: one grammar each."""
    for index in tried:
        items = scene.objects
        rest = replace(scene, objects=(*items[:index], *items[index + 1 :]))
        yield KeepObjectsConstraint(TASK, builder, rest)
        for form in changes(builder, items[index]):
            yield KeepObjectsConstraint(TASK, builder, rest, num_added=1, written=form)

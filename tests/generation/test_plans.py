"""A plan is what the planner reads, within what the scene allows; its grammar holds all the plan says and all else."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from kyvo.data.clevr.sampling import ClevrRules, sample_scenes
from kyvo.errors import CheckpointError
from kyvo.generation.plans import Plan, check_planner, planned, read_plan
from kyvo.models.heads.planner import OPERATIONS
from kyvo.scene.scene import Scene
from kyvo.scene.schema import load_schema
from kyvo.testing import tiny_builder, tiny_planner
from kyvo.tokenizers.tasks import TASKS

BUILDER = tiny_builder()
SCHEMA = BUILDER.scenes.schema
TASK = TASKS["scene_editing"]
STATES = torch.zeros(5, 24)
SURE = 1e3


@pytest.fixture(scope="module")
def scene() -> Scene:
    (drawn,) = sample_scenes([0], seed=4, width=32, height=24, rules=ClevrRules(min_objects=4, max_objects=4))
    return SCHEMA.snap(drawn, clamp=True)


def telling(operation: str, *, about: int = 0, of: int = 0, way=(0.0, 0.0), words=(0, 0, 0, 0)):
    """A planner that reads this from any states."""
    planner = tiny_planner(dim=24)
    for head in (planner.operation, planner.about, planner.of, planner.direction, planner.distance, planner.words):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    planner.operation.bias[OPERATIONS.index(operation)] = SURE
    planner.about.bias[about] = SURE
    planner.of.bias[of] = SURE
    planner.direction.bias.copy_(torch.tensor(way))
    planner.distance.bias.fill_(torch.tensor(way).norm())
    place = 0
    for count, word in zip(planner.config.words, words, strict=True):
        planner.words.bias[place + word] = SURE
        place += 1 + count
    return planner


def outputs(scene: Scene, plan: Plan, *, choose: int = 0) -> Scene:
    """What comes out under the plan's grammar, where the `choose`-th id is taken wherever there is a choice."""
    constraint, ids = planned(TASK, BUILDER, scene, plan), []
    state = constraint.START
    while state != constraint.end:
        allowed = constraint.allowed(state)
        ids.append(int(allowed[choose % len(allowed)]))
        state = constraint.step(state, ids[-1])
    after = BUILDER.parse_output(TASK, ids).scene
    assert after is not None
    return after


def gone_and_new(before: Scene, after: Scene):
    was, now = (Counter(map(str, scene.objects)) for scene in (before, after))
    return list((was - now).elements()), list((now - was).elements())


def test_a_new_object_stands_where_the_way_from_another_ends(scene):
    way = (0.52, -0.31)
    plan = read_plan(telling("add", of=2, way=way, words=(1, 8, 2, 3)), STATES, scene, SCHEMA)
    start = scene.objects[2].location
    assert plan.operation == "add" and plan.about is None and plan.chance > 0.99
    assert plan.words == {
        field.name: field.words[word - 1] for field, word in zip(SCHEMA.word_fields, (1, 8, 2, 3), strict=True)
    }
    assert plan.place == pytest.approx((start[0] + way[0], start[1] + way[1]), abs=0.026)
    heights = set()
    for choose in (0, 7, -1):
        after = outputs(scene, plan, choose=choose)
        assert len(after) == len(scene) + 1 and gone_and_new(scene, after)[0] == []
        (new,) = [item for item in after.objects if item not in scene.objects]
        assert {name: new.get(name) for name in plan.words} == plan.words and new.location[:2] == plan.place
        heights.add(new.location[2])
    assert len(heights) > 1  # the plan leaves them open


def test_a_moved_object_is_the_same_elsewhere(scene):
    plan = read_plan(telling("move", about=1, of=1, way=(-0.5, 0.0)), STATES, scene, SCHEMA)
    item = scene.objects[1]
    place = (pytest.approx(item.location[0] - 0.5, abs=0.026), pytest.approx(item.location[1], abs=0.026))
    assert plan.about == 1 and plan.place == place and not plan.words
    after = outputs(scene, plan)
    moved = replace(item, location=(*plan.place, item.location[2]))
    assert gone_and_new(scene, after) == ([str(item)], [str(moved)])


def test_a_place_outside_is_the_nearest_inside(scene):
    plan = read_plan(telling("add", way=(50.0, 0.0), words=(1, 1, 1, 1)), STATES, scene, SCHEMA)
    (axes,) = [field.axes for field in SCHEMA.fields if field.name == "location"]
    assert plan.place[0] == axes[0].values[-1]


def test_a_changed_object_gets_the_words_and_stays_in_its_place(scene):
    item = scene.objects[3]
    color = SCHEMA.word_fields[1]
    other = next(word for word in color.words if word != item.color)
    plan = read_plan(telling("change", about=3, words=(0, color.words.index(other) + 1, 0, 0)), STATES, scene, SCHEMA)
    assert plan.words == {"color": other} and plan.place is None
    for choose in (0, -1):
        (gone,), (_,) = gone_and_new(scene, after := outputs(scene, plan, choose=choose))
        (new,) = [one for one in after.objects if one not in scene.objects]
        there = (*item.location[:2], new.location[2])
        assert gone == str(item) and new == replace(item.with_values(color=other), location=there)


def test_a_removed_object_is_gone(scene):
    plan = read_plan(telling("remove", about=2), STATES, scene, SCHEMA)
    assert gone_and_new(scene, outputs(scene, plan)) == ([str(scene.objects[2])], [])


def test_objects_that_the_scene_has_not_are_not_read(scene):
    few = replace(scene, objects=scene.objects[:2])
    plan = read_plan(telling("move", about=3, of=9), STATES, few, SCHEMA)
    assert plan.about in (0, 1) and plan.chance == pytest.approx(0.25)


def test_who_knows_what_is_meant_narrows_the_plan(scene):
    assert read_plan(telling("move", about=1), STATES, scene, SCHEMA, among=[2]).about == 2
    assert read_plan(telling("remove", about=1), STATES, scene, SCHEMA, among=[]).operation == "add"
    assert read_plan(telling("remove", about=1), STATES, scene, SCHEMA, among=[0, 1]).about == 1


def test_what_cannot_be_done_is_no_plan(scene):
    empty = Scene(objects=())
    for operation in OPERATIONS:
        assert read_plan(telling(operation), STATES, empty, SCHEMA) is None
    same = [field.words.index(scene.objects[0].get(field.name)) + 1 for field in SCHEMA.word_fields]
    for words in ((0, 0, 0, 0), same):
        assert read_plan(telling("change", words=words), STATES, scene, SCHEMA) is None
    many = replace(scene, objects=scene.objects * 5)
    assert read_plan(telling("remove"), STATES, many, SCHEMA) is None


def test_a_planner_of_another_model_is_refused():
    planner = tiny_planner(dim=24)
    check_planner(planner, SCHEMA, dim=24)
    with pytest.raises(CheckpointError, match="mixes two models"):
        check_planner(planner, SCHEMA, dim=32)
    with pytest.raises(CheckpointError, match="mixes two models"):
        check_planner(planner, load_schema("objaworld"), dim=24)
    with pytest.raises(CheckpointError, match="'objectron' has no locations in a world frame"):
        check_planner(planner, load_schema("objectron"), dim=24)

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from kyvo.data.clevr.sampling import ClevrRules, sample_scenes
from kyvo.errors import TokenError
from kyvo.generation.constraint import Constraint
from kyvo.generation.engine import Engine, PositionTable
from kyvo.generation.keep_objects import KeepObjectsConstraint
from kyvo.generation.one_change import changes_one, one_change
from kyvo.generation.read_prompt import ReadPrompt
from kyvo.generation.requests import Request
from kyvo.models.heads.planner import OPERATIONS
from kyvo.models.heads.pointer import Pointer
from kyvo.models.llama.embedding import Positions
from kyvo.scene.scene import Scene
from kyvo.scene.schema import CLEVR_CAMERA, clevr_camera
from kyvo.testing import tiny_builder, tiny_kyvo, tiny_llama, tiny_planner
from kyvo.tokenizers.sequence import MAX_NUMBER
from kyvo.tokenizers.tasks import TASKS, Segments

BUILDER = tiny_builder()
TASK = TASKS["scene_editing"]
RULES = ClevrRules(min_objects=3, max_objects=5)
TEXT = "Remove the red cube."


def engine(*, seed=0):
    torch.manual_seed(seed)
    positions = Positions(*BUILDER.image_grid, 32, num_objects=MAX_NUMBER, order=BUILDER.order, scale=2.0)
    position_table = PositionTable(vectors=positions.table().detach(), find=BUILDER.grid_positions)
    return Engine(tiny_llama(len(BUILDER.vocabulary), seed=seed), position_table=position_table)


def drawn(count):
    return [
        BUILDER.scenes.snap(scene, clamp=True)
        for scene in sample_scenes(range(count), seed=4, width=32, height=24, rules=RULES)
    ]


def outputs(*scenes):
    return [[*BUILDER.scenes.encode(scene), BUILDER.text.eos_id] for scene in scenes]


def counted(objects):
    return Counter(map(str, objects))


def test_masses_are_those_of_each_sequence_alone():
    own, scene = engine(), drawn(1)[0]
    prompt = BUILDER.prompt(TASK, Segments(scene=scene, text=TEXT))
    wanted = outputs(scene, replace(scene, objects=scene.objects[1:]), Scene(objects=()))
    constraint = Constraint.for_task(TASK, BUILDER)
    for output, told in zip(
        wanted, ReadPrompt(own, BUILDER, TASK, prompt).log_masses(wanted, [constraint] * 3), strict=True
    ):
        ids = torch.tensor([[*prompt, *output]])
        embedded = own.model.get_input_embeddings()(ids)
        at = torch.from_numpy(BUILDER.grid_positions(ids[0].numpy()))
        embedded[0, at >= 0] += own.position_table.vectors[at[at >= 0]]
        with torch.no_grad():
            chances = own.model(inputs_embeds=embedded).logits[0, len(prompt) - 1 : -1].softmax(-1)
        state, masses = constraint.step(constraint.START, output[0]), [1.0]
        for row, token in zip(chances[1:], output[1:], strict=True):
            masses.append(float(row[constraint.allowed(state)].sum()))
            state = constraint.step(state, token)
        np.testing.assert_allclose(told.exp(), masses, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_one_object_is_another_and_it_is_the_one_that_is_pointed_at(seed):
    own = engine(seed=seed)
    for scene, index in zip(drawn(2), (0, 2), strict=True):
        pointer = Pointer(own.model.config.hidden_size, MAX_NUMBER)
        with torch.no_grad():
            pointer.objects.bias[index] = 1e3
            pointer.objects.bias[len(scene) :] = 1e6  # of no object
        row = one_change(own, BUILDER, scene, TEXT, pointer=pointer)
        before, after = counted(scene.objects), counted(BUILDER.parse_output(TASK, row.ids).scene.objects)
        assert before != after and sum((after - before).values()) <= 1
        assert before - after in (counted(()), counted([scene.objects[index]]))
        assert row.num_prompt == len(BUILDER.prompt(TASK, Segments(scene=scene, text=TEXT))) and row.num_asked > 0
        assert len(row.probabilities) == len(row.ids) and all(0 <= chance <= 1 for chance in row.probabilities)


def test_without_a_pointer_the_objects_that_it_would_least_copy_are_tried():
    own, scene = engine(), drawn(1)[0]
    read = ReadPrompt(own, BUILDER, TASK, BUILDER.prompt(TASK, Segments(scene=scene, text=TEXT)))
    tried = read.least_copied(scene, count=2)
    sure = read.log_masses(outputs(scene), [KeepObjectsConstraint(TASK, BUILDER, scene)])[0][1:-2]
    likely = sure.view(len(scene), -1).sum(1)
    assert likely[tried].max() <= np.delete(likely, tried).min()
    after = BUILDER.parse_output(TASK, one_change(own, BUILDER, scene, TEXT).ids).scene
    assert sum((counted(after.objects) - counted(scene.objects)).values()) <= 1 and after != scene


def test_what_is_written_freely_counts_where_one_object_is_new_another_or_gone():
    scene = drawn(1)[0]
    first, second, *rest = scene.objects
    other = [replace(item, color="red" if item.color != "red" else "blue") for item in (first, second)]
    after = {
        True: [(second, *rest), (other[0], second, *rest), (first, other[1], *rest), (*scene.objects, other[0])],
        False: [scene.objects, tuple(rest), (*other, *rest), (), (*scene.objects, *other), (other[0], *rest)],
    }
    for expected, cases in after.items():
        for (output,) in (outputs(Scene(objects=case)) for case in cases):
            assert changes_one(BUILDER, scene, output, among=range(len(scene))) is expected
    (changed,) = outputs(Scene(objects=(other[0], second, *rest)))
    first_place = BUILDER.scenes.schema.token_order(scene).index(0)
    assert changes_one(BUILDER, scene, changed, among=[first_place])
    assert not changes_one(
        BUILDER, scene, changed, among=[place for place in range(len(scene)) if place != first_place]
    )


def test_an_edit_is_what_the_model_writes_freely_where_that_is_one_change():
    empty = Scene(objects=())
    request = Request(
        prompt=BUILDER.prompt(TASK, Segments(scene=empty, text=TEXT)),
        constraint=Constraint.for_task(TASK, BUILDER, max_objects=1),
    )
    found = {}
    for seed in range(8):
        own = engine(seed=seed)
        free = own.submit(request).result()
        found[len(BUILDER.parse_output(TASK, free.ids).scene)] = own, free.ids
    (silent, _), (own, ids) = found[0], found[1]
    assert one_change(own, BUILDER, empty, TEXT).ids == ids
    assert len(BUILDER.parse_output(TASK, one_change(silent, BUILDER, empty, TEXT).ids).scene) == 1


def test_who_knows_what_is_meant_may_say_so():
    own, scene = engine(), drawn(1)[0]
    for index in range(len(scene)):
        row = one_change(own, BUILDER, scene, TEXT, about=[index])
        gone = counted(scene.objects) - counted(BUILDER.parse_output(TASK, row.ids).scene.objects)
        assert gone == counted([scene.objects[index]])
    more = BUILDER.parse_output(TASK, one_change(own, BUILDER, scene, TEXT, about=[]).ids).scene
    assert len(more) == len(scene) + 1 and not counted(scene.objects) - counted(more.objects)
    first = BUILDER.parse_output(TASK, one_change(own, BUILDER, Scene(objects=()), TEXT).ids).scene
    assert len(first) == 1


def test_an_edit_cut_before_anything_is_whole_says_so():
    with pytest.raises(TokenError, match=r"cut \(max_tokens\) before it was whole"):
        one_change(engine(), BUILDER, drawn(1)[0], TEXT, max_tokens=3)


def test_an_edit_has_a_picture_and_holds_others_by_default():
    kyvo, scene = tiny_kyvo(), drawn(1)[0]
    done = kyvo.edit(scene, TEXT)
    assert done.scene.objects == kyvo.change_one(scene, TEXT).scene.objects and done.image is not None
    for item in done.scene.objects:
        assert 0 <= item.confidence <= 1
    greedy = kyvo.complete("scene_editing", [Segments(scene=scene, text=TEXT)])[0].scene
    assert kyvo.edit(scene, TEXT, keep_others=False).scene.objects == greedy.objects


def test_objects_are_numbered_as_the_scenes_own_camera_sees_them():
    own, scene = engine(), drawn(1)[0]
    x, y, z = CLEVR_CAMERA
    behind = replace(scene, camera=clevr_camera(32, 24, (-x, -y, z)))  # from there the order is another
    numbers = BUILDER.scenes.schema.token_order(behind)
    assert numbers != BUILDER.scenes.schema.token_order(scene)
    for number, index in enumerate(numbers):
        pointer = Pointer(own.model.config.hidden_size, MAX_NUMBER)
        with torch.no_grad():
            pointer.objects.bias[number] = 1e3
        row = one_change(own, BUILDER, behind, TEXT, pointer=pointer)
        after = BUILDER.parse_output(TASK, row.ids).scene
        assert counted(scene.objects) - counted(after.objects) in (counted([]), counted([scene.objects[index]]))


def test_a_plan_is_followed_where_the_planner_is_sure():
    own, scene = engine(), drawn(1)[0]
    planner = tiny_planner(dim=own.model.config.hidden_size)
    for chance, asked in ((1.0, "planned"), (0.3, "free")):
        for head in (planner.operation, planner.about):
            torch.nn.init.zeros_(head.weight)
            torch.nn.init.zeros_(head.bias)
        planner.operation.bias[OPERATIONS.index("remove")] = 1e3
        planner.about.bias[1] = 1e3 if chance == 1.0 else 0.0
        pointer = Pointer(own.model.config.hidden_size, MAX_NUMBER)
        with torch.no_grad():
            pointer.objects.bias[2] = 1e3
        row = one_change(own, BUILDER, scene, TEXT, pointer=pointer, planner=planner)
        gone = counted(scene.objects) - counted(BUILDER.parse_output(TASK, row.ids).scene.objects)
        assert gone == counted([scene.objects[1]]) if asked == "planned" else gone <= counted([scene.objects[2]])
        assert all(0 <= value <= 1 for value in row.probabilities) and len(row.ids) == len(row.probabilities)
        if asked == "planned":  # as sure as the plan, however likely the model finds it
            assert min(row.probabilities) > 0.99

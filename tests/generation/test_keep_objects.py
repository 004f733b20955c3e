from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import TokenError
from kyvo.generation.engine import decode
from kyvo.generation.keep_objects import KeepObjectsConstraint
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_schema
from kyvo.testing import scenes, tiny_builder, tiny_llama
from kyvo.tokenizers.tasks import TASKS, Segment, Segments, Task

BUILDER = tiny_builder()
COPY = Task(name="copy", inputs=(), outputs=(Segment.SCENE,))
RED = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
BLUE = replace(RED, color="blue", location=(1.0, 2.0, 0.35))
GREEN = replace(RED, color="green", location=(-1.0, 0.5, 0.35), shape="sphere")
THREE = BUILDER.scenes.snap(Scene(objects=(RED, BLUE, GREEN)))
ONE, TWO, THIRD = THREE.objects  # in the schema's order


def output(*objects):
    scene = replace(THREE, objects=objects)
    return BUILDER.build(COPY, Segments(), Segments(scene=scene)).ids[2:].tolist()


def common(first, second):
    """The length of the longest common subsequence: objects that stayed, in their order."""
    table = np.zeros((len(first) + 1, len(second) + 1), dtype=int)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            table[i + 1, j + 1] = table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
    return table[-1, -1]


@given(
    scene=scenes(clevr_schema(), max_objects=4),
    seed=st.integers(0, 2**32 - 1),
    num_added=st.integers(0, 2),
    task=st.sampled_from([COPY, TASKS["editing"]]),
)
def test_every_walk_keeps_all_objects_and_adds_as_many(scene, seed, num_added, task):
    random = np.random.default_rng(seed)
    constraint = KeepObjectsConstraint(task, BUILDER, scene, num_added=num_added)
    known = set(BUILDER.scenes.encode(scene))
    state, ids = constraint.START, []
    while state != constraint.end:
        allowed = constraint.allowed(state)
        forced = constraint.forced(state)
        assert len(allowed) and (forced is None) == (len(allowed) > 1)
        if state in constraint.numbers:
            assert (np.diff(allowed) > 0).all() and len(allowed) > 100
        likely = [token for token in allowed.tolist() if token in known]
        ids.append(int(random.choice(likely if likely and random.random() < 0.9 else allowed)))
        state = constraint.step(state, ids[-1])
    before, after = BUILDER.scenes.snap(scene).objects, BUILDER.parse_output(task, ids).scene.objects
    assert common(before, after) == len(before) == len(after) - num_added


@given(scene=scenes(clevr_schema(), max_objects=4), other=scenes(clevr_schema(), max_objects=1), data=st.data())
def test_every_addition_is_accepted(scene, other, data):
    objects = list(BUILDER.scenes.snap(scene).objects)
    constraint = KeepObjectsConstraint(COPY, BUILDER, scene, num_added=len(other))
    for item in other.objects:
        objects.insert(data.draw(st.integers(0, len(objects))), item)
    assert constraint.accepts(output(*objects))


def test_neither_more_nor_fewer_objects_are_accepted():
    dark = replace(RED, color="gray")
    constraint = KeepObjectsConstraint(COPY, BUILDER, THREE, num_added=1)
    assert constraint.accepts(output(ONE, TWO, THIRD, dark)) and constraint.accepts(output(ONE, TWO, THIRD, TWO))
    assert not constraint.accepts(output(ONE, TWO, THIRD)) and not constraint.accepts(output(ONE, TWO, dark))
    assert not constraint.accepts(output(ONE, TWO, THIRD, dark, dark))


def test_what_is_added_may_have_to_have_a_form():
    form = [[token] for token in output(ONE)[1:-2]]
    numbers = [place for place, (token,) in enumerate(form) if token in BUILDER.vocabulary.ranges["number"]]
    first = numbers[0]
    form[first] = [BUILDER.vocabulary.number_id(value) for value in (-1.0, 1.0)]
    constraint = KeepObjectsConstraint(COPY, BUILDER, THREE, num_added=1, written=form)
    for x in (-1.0, 1.0, 0.5):
        moved = replace(ONE, location=(x, *ONE.location[1:]))
        assert constraint.accepts(output(ONE, TWO, THIRD, moved)) == (x != 0.5)
        assert not constraint.accepts(output(ONE, TWO, THIRD, replace(moved, color="gray")))
    alone = KeepObjectsConstraint(COPY, BUILDER, replace(THREE, objects=()), num_added=1, written=form)
    state = alone.START
    for token in output(ONE)[: 1 + first]:
        state = alone.step(state, token)
    assert state in alone.numbers and alone.allowed(state).tolist() == sorted(form[first])


def test_where_nothing_is_added_every_id_is_forced():
    constraint = KeepObjectsConstraint(COPY, BUILDER, THREE)
    state = constraint.START
    for token in output(ONE, TWO, THIRD):
        assert constraint.forced(state) == token
        with pytest.raises(TokenError, match="may not come here"):
            constraint.step(state, token + 1)
        state = constraint.step(state, token)
    assert state == constraint.end


def test_an_output_is_closed_where_all_objects_stand_and_nowhere_else():
    constraint = KeepObjectsConstraint(COPY, BUILDER, THREE, num_added=1)
    ids = output(ONE, TWO, THIRD, ONE)
    state, closings = constraint.START, []
    for token in ids:
        closings.append(constraint.closing(state))
        state = constraint.step(state, token)
    assert closings[-2:] == [ids[-2:], ids[-1:]] and constraint.closing(constraint.end) == []
    assert closings[0] is None and closings[5] is None


def test_a_model_without_any_sense_keeps_the_pinned_objects():
    model = tiny_llama(len(BUILDER.vocabulary))
    prompt = BUILDER.prompt(TASKS["rendering"], Segments(scene=THREE))
    constraints = [KeepObjectsConstraint(COPY, BUILDER, THREE, num_added=count) for count in range(3)]
    for count, row in enumerate(decode(model, [prompt] * 3, constraints)):
        after = BUILDER.parse_output(COPY, row.ids).scene.objects
        assert common(THREE.objects, after) == 3 == len(after) - count

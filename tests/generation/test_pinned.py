from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import TokenError
from kyvo.generation.engine import decode
from kyvo.generation.pinned import PinnedGrammar
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
    num_removed=st.integers(0, 2),
    num_added=st.integers(0, 2),
    task=st.sampled_from([COPY, TASKS["editing"]]),
    only_first=st.booleans(),
)
def test_every_walk_keeps_all_objects_but_a_few(scene, seed, num_removed, num_added, task, only_first):
    random = np.random.default_rng(seed)
    free = [0] if only_first else None
    grammar = PinnedGrammar(task, BUILDER, scene, num_removed=num_removed, num_added=num_added, free=free)
    known = set(BUILDER.scenes.encode(scene))
    state, ids = grammar.START, []
    while state != grammar.end:
        allowed = grammar.allowed(state)
        forced = grammar.forced(state)
        assert len(allowed) and (forced is None) == (len(allowed) > 1)
        if state in grammar.numbers:
            assert (np.diff(allowed) > 0).all() and len(allowed) > 100
        likely = [token for token in allowed.tolist() if token in known]
        ids.append(int(random.choice(likely if likely and random.random() < 0.9 else allowed)))
        state = grammar.step(state, ids[-1])
    before, after = BUILDER.scenes.snap(scene).objects, BUILDER.parse_output(task, ids).scene.objects
    stayed = common(before, after)
    assert len(before) - stayed <= num_removed and len(after) - stayed <= num_added
    if only_first:
        assert common(before[1:], after) == len(before[1:]), "the others all stayed"


@given(scene=scenes(clevr_schema(), max_objects=4), other=scenes(clevr_schema(), max_objects=1), data=st.data())
def test_every_change_of_one_object_is_accepted(scene, other, data):
    objects = list(BUILDER.scenes.snap(scene).objects)
    grammar = PinnedGrammar(COPY, BUILDER, scene)
    if objects and data.draw(st.booleans()):
        objects.pop(data.draw(st.integers(0, len(objects) - 1)))
    for item in other.objects:
        objects.insert(data.draw(st.integers(0, len(objects))), item)
    assert grammar.accepts(output(*objects))


def test_two_changes_are_refused_where_one_is_allowed():
    grammar = PinnedGrammar(COPY, BUILDER, THREE)
    dark, small = replace(RED, color="gray"), replace(GREEN, size="small")
    assert grammar.accepts(output(RED, BLUE, GREEN)) and grammar.accepts(output(dark, BLUE, GREEN))
    assert not grammar.accepts(output(dark, BLUE, small))
    assert not grammar.accepts(output(RED)) and not grammar.accepts(output(RED, BLUE, GREEN, dark, small))
    assert PinnedGrammar(COPY, BUILDER, THREE, num_removed=2, num_added=2).accepts(output(dark, BLUE, small))


def test_only_a_free_object_may_go():
    grammar = PinnedGrammar(COPY, BUILDER, THREE, free=[1])
    assert grammar.accepts(output(ONE, THIRD)) and not grammar.accepts(output(TWO, THIRD))
    added = PinnedGrammar(COPY, BUILDER, THREE, num_removed=0)
    assert added.accepts(output(ONE, TWO, THIRD, TWO)) and not added.accepts(output(ONE, THIRD))


def test_where_nothing_may_change_every_id_is_forced():
    grammar = PinnedGrammar(COPY, BUILDER, THREE, num_removed=0, num_added=0)
    state = grammar.START
    for token in output(ONE, TWO, THIRD):
        assert grammar.forced(state) == token
        with pytest.raises(TokenError, match="may not come here"):
            grammar.step(state, token + 1)
        state = grammar.step(state, token)
    assert state == grammar.end


def test_an_output_is_closed_where_all_pinned_objects_stand_and_nowhere_else():
    grammar = PinnedGrammar(COPY, BUILDER, THREE, free=[2])
    ids = output(ONE, TWO)
    state, closings = grammar.START, []
    for token in ids:
        closings.append(grammar.closing(state))
        state = grammar.step(state, token)
    assert closings[-2:] == [ids[-2:], ids[-1:]] and grammar.closing(grammar.end) == []
    assert closings[0] is None and closings[5] is None


def test_a_model_without_any_sense_keeps_the_pinned_objects():
    model = tiny_llama(len(BUILDER.vocabulary))
    prompt = BUILDER.prompt(TASKS["rendering"], Segments(scene=THREE))
    grammars = [PinnedGrammar(COPY, BUILDER, THREE, free=[index]) for index in range(3)]
    for index, row in enumerate(decode(model, [prompt] * 3, grammars)):
        after = BUILDER.parse_output(COPY, row.ids).scene.objects
        kept = [item for number, item in enumerate(THREE.objects) if number != index]
        assert common(kept, after) == 2

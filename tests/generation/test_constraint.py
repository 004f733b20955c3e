import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_scenes import scenes

from kyvo.errors import TokenError
from kyvo.generation.constraint import Constraint
from kyvo.scene.builtin_schemas import SCHEMAS, clevr_schema
from kyvo.scene.fields import Field
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import SceneSchema
from kyvo.testing import tiny_builder
from kyvo.tokenizers.scene import OptionalParts
from kyvo.tokenizers.tasks import TASKS, Segment, Segments, Task

CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
THREE_CUBES = Scene(objects=(CUBE,) * 3)
COPY = Task(name="copy", inputs=(), outputs=(Segment.SCENE,))


@given(seed=st.integers(0, 2**32 - 1), task=st.sampled_from(list(TASKS.values())))
def test_every_path_through_the_constraint_parses(seed, task):
    builder, random = tiny_builder(programs=True), np.random.default_rng(seed)
    constraint = Constraint.for_task(task, builder, max_objects=3, max_text=5)
    state, ids = Constraint.START, []
    while state != constraint.end:
        ids.append(int(random.choice(constraint.allowed(state))))
        state = constraint.step(state, ids[-1])
    assert builder.parse_output(task, ids).kinds == set(task.outputs)


@given(seed=st.integers(0, 2**32 - 1), task=st.sampled_from(list(TASKS.values())))
def test_what_is_closed_early_parses_and_what_is_begun_cannot_be_closed(seed, task):
    builder, random = tiny_builder(programs=True), np.random.default_rng(seed)
    constraint = Constraint.for_task(task, builder, max_objects=3, max_text=5)
    state, ids = Constraint.START, []
    marker = builder.vocabulary.marker_id
    while state != constraint.end:
        closing = constraint.closing(state)
        if closing is not None:
            assert constraint.accepts([*ids, *closing]) and len(closing) <= 4  # a picture's end, an empty scene, EOS
        for start, end in (("[OBJECT-START]", "[OBJECT-END]"), ("[IMAGE-START]", "[IMAGE-END]")):
            if ids.count(marker(start)) > ids.count(marker(end)) and constraint.forced(state) != marker(end):
                assert closing is None
        assert constraint.segment(state) in (*task.outputs, None)
        ids.append(int(random.choice(constraint.allowed(state))))
        state = constraint.step(state, ids[-1])


@pytest.mark.parametrize("name", ["clevr", "clevr-view", "objaworld", "objectron", "arkitscenes"])
def test_every_scene_of_the_schema_is_accepted(name):
    builder = tiny_builder(SCHEMAS[name]())

    @given(scene=scenes(builder.scenes.schema, max_objects=5))
    def accepted(scene):
        constraint = Constraint.for_task(COPY, builder, optional=OptionalParts.of(scene, builder.scenes.schema))
        ids = builder.build(COPY, Segments(), Segments(scene=scene)).ids.tolist()
        assert constraint.accepts(ids[2:])  # after BOS and [OUTPUT-START]
        assert not constraint.accepts(ids[2:-1])

    accepted()


def test_markers_are_forced_and_choices_are_not():
    builder = tiny_builder()
    constraint = Constraint.for_task(TASKS["recognition"], builder)
    marker = builder.vocabulary.marker_id
    assert constraint.forced(Constraint.START) == marker("[SCENE-START]")
    state = constraint.step(Constraint.START, marker("[SCENE-START]"))
    assert constraint.forced(state) is None
    assert set(constraint.allowed(state)) == {marker("[OBJECT-START]"), marker("[SCENE-END]")}
    state = constraint.step(constraint.step(state, marker("[OBJECT-START]")), marker("[SIZE]"))
    words = [builder.scenes.word_ids["size"][word][0] for word in ("large", "small")]
    assert sorted(constraint.allowed(state)) == sorted(words)
    with pytest.raises(TokenError, match="may not come here; 2 others may"):
        constraint.step(state, marker("[COLOR]"))


def test_words_of_several_ids_share_their_beginnings():
    schema = SceneSchema(
        name="words", fields=(Field(name="category", marker="[CATEGORY]", words=("xqa", "xqb", "cube")),)
    )
    builder = tiny_builder(schema)
    constraint = Constraint.for_task(COPY, builder)
    marker = builder.vocabulary.marker_id
    for word, spelling in builder.scenes.word_ids["category"].items():
        ids = [marker("[SCENE-START]"), marker("[OBJECT-START]"), marker("[CATEGORY]"), *spelling]
        ids += [marker("[OBJECT-END]"), marker("[SCENE-END]"), builder.text.eos_id]
        assert constraint.accepts(ids), word
    spelling = builder.scenes.word_ids["category"]["xqa"]
    broken = [marker("[SCENE-START]"), marker("[OBJECT-START]"), marker("[CATEGORY]"), *spelling[:-1]]
    assert not constraint.accepts([*broken, marker("[OBJECT-END]"), marker("[SCENE-END]"), builder.text.eos_id])


def test_the_number_of_objects_is_limited():
    builder = tiny_builder()
    constraint = Constraint.for_task(COPY, builder, max_objects=2)
    ids = builder.build(COPY, Segments(), Segments(scene=THREE_CUBES)).ids[2:].tolist()
    assert not constraint.accepts(ids)
    assert len(constraint.limits) == 1


def test_clevr_recognition_asks_the_model_for_eight_of_fourteen_ids_an_object():
    builder = tiny_builder(clevr_schema())
    constraint = Constraint.for_task(COPY, builder)
    ids = builder.build(COPY, Segments(), Segments(scene=THREE_CUBES)).ids[2:]
    state, asked = Constraint.START, 0
    for token in ids.tolist():
        asked += constraint.forced(state) is None
        state = constraint.step(state, token)
    assert asked == 3 * 8 + 1  # start or end, four words, three numbers; and the end of the scene


def test_an_answer_has_at_most_64_pieces():
    builder = tiny_builder()
    constraint = Constraint.for_task(TASKS["scene_question_answering"], builder)
    state, count = Constraint.START, 0
    while state != constraint.end:
        pieces = [token for token in constraint.allowed(state).tolist() if token < builder.vocabulary.num_text]
        pieces = [token for token in pieces if token != builder.text.eos_id]
        count += bool(pieces)
        state = constraint.step(state, pieces[0] if pieces else int(constraint.allowed(state)[0]))
    assert count == 64

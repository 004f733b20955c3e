from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_programs import Draw
from random_scenes import scenes

from kyvo.errors import ConfigError, TokenError
from kyvo.scene.builtin_schemas import SCHEMAS, clevr_schema
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_builder
from kyvo.tokenizers.sequence import IGNORE, MAX_NUMBER
from kyvo.tokenizers.tasks import REFUSED, TASKS, Segment, Segments, Task
from kyvo.tokenizers.vocabulary import OBJECT_END, OBJECT_START, OUTPUT, SCENE_END, SCENE_START
from kyvo.training.model import attention_mask

BUILDER = tiny_builder(programs=True)
SAID = ("yes", "What is it?", "größer")


def program(seed: int):
    return Draw(seed, clevr_schema()).program(nodes=4)


programs = st.integers(0, 99).map(program)
turns = st.tuples(st.sampled_from(SAID), programs)


@st.composite
def segments(draw, kinds):
    rows, columns = BUILDER.image_grid
    codes = st.lists(st.integers(0, 15), min_size=rows * columns, max_size=rows * columns)
    return Segments(
        image=np.array(draw(codes)) if Segment.IMAGE in kinds else None,
        scene=draw(scenes(clevr_schema())) if Segment.SCENE in kinds else None,
        text=draw(st.sampled_from(SAID)) if Segment.TEXT in kinds else None,
        dialogue=draw(st.lists(turns, max_size=2).map(tuple)) if Segment.DIALOGUE in kinds else None,
        program=draw(programs | st.just(REFUSED)) if Segment.PROGRAM in kinds else None,
    )


def snap(content: Segments) -> Segments:
    scene = None if content.scene is None else BUILDER.scenes.snap(content.scene)
    return replace(content, scene=scene)


@given(data=st.data(), task=st.sampled_from(list(TASKS.values())))
def test_a_sequence_comes_back_as_its_segments(data, task):
    given_, wanted = data.draw(segments(task.inputs)), data.draw(segments(task.outputs))
    sequence = BUILDER.build(task, given_, wanted)
    assert BUILDER.parse(task, sequence.ids) == (snap(given_), snap(wanted))


@given(data=st.data(), task=st.sampled_from(list(TASKS.values())))
def test_places_say_where_each_code_stands_in_its_picture(data, task):
    given_, wanted = data.draw(segments(task.inputs)), data.draw(segments(task.outputs))
    sequence = BUILDER.build(task, given_, wanted)
    pictures = [picture for picture in (given_.image, wanted.image) if picture is not None]
    codes, written = BUILDER.vocabulary.ranges["image"], BUILDER.output_grid_positions
    assert len(written) == np.prod(BUILDER.image_grid) and written.stop == BUILDER.num_grid_positions
    inside = np.flatnonzero([token in codes for token in sequence.ids])
    comes_out = inside > sequence.ids.tolist().index(BUILDER.vocabulary.marker_id(OUTPUT))
    assert (
        np.flatnonzero([place in written for place in sequence.grid_positions]).tolist() == inside[comes_out].tolist()
    )
    place = sequence.grid_positions[inside] - written.start * comes_out
    first = codes.start
    for picture, part in zip(
        pictures, np.split(np.arange(len(inside)), len(pictures)) if pictures else [], strict=True
    ):
        assert sorted(place[part]) == list(range(len(picture)))
        assert (sequence.ids[inside][part] - first == picture[place[part]]).all()
    cut = data.draw(st.integers(1, len(sequence.ids)))
    assert (BUILDER.grid_positions(sequence.ids[:cut]) == sequence.grid_positions[:cut]).all()


@given(data=st.data(), task=st.sampled_from(list(TASKS.values())))
def test_places_say_which_object_of_its_scene_each_id_belongs_to(data, task):
    sequence = BUILDER.build(task, data.draw(segments(task.inputs)), data.draw(segments(task.outputs)))
    marker, after_codes = BUILDER.vocabulary.marker_id, int(np.prod(BUILDER.image_grid))
    number, inside, expected = -1, False, []
    for token in sequence.ids:
        if token == marker(SCENE_START):
            number = -1
        if token == marker(OBJECT_START):
            number, inside = number + 1, True
        expected.append(min(number, MAX_NUMBER - 1) if inside else None)
        inside &= token != marker(OBJECT_END)
    objects = range(after_codes, after_codes + MAX_NUMBER)
    found = [place - after_codes if place in objects else None for place in sequence.grid_positions]
    assert found == expected


def test_words_of_a_text_name_the_objects_that_have_them():
    cube = SceneObject(shape="cube", size="small", color="red", material="metal", location=(0.0, -2.0, 0.35))
    ball = SceneObject(shape="sphere", size="small", color="blue", material="rubber", location=(0.0, 2.0, 0.7))
    scene = BUILDER.scenes.snap(Scene(objects=(cube, ball)))
    given_ = Segments(scene=scene, text="Is the small red green sphere so")
    ids = BUILDER.build(TASKS["scene_question_answering"], given_, Segments(text="red")).ids
    found = BUILDER.named(ids)
    has = {
        word: [float(word in (item.size, item.color, item.shape)) for item in scene.objects]
        for word in ("small", "red", "green", "sphere")
    }
    at = np.flatnonzero(found.max(axis=1) >= 0)
    assert [BUILDER.text.decode([int(token)]).strip() for token in ids[at]] == list(has)
    assert found[at, :2].tolist() == list(has.values())
    assert (found[at, 2:] == -1).all() and (np.delete(found, at, axis=0) == -1).all()


def test_of_an_edited_scene_what_does_not_go_on_as_before_is_told():
    task, end = TASKS["scene_editing"], BUILDER.vocabulary.marker_id(SCENE_END)
    row = tuple(
        SceneObject(shape="cube", size="small", color="red", material="metal", location=(0.0, place - 2.0, 0.35))
        for place in range(5)
    )
    a, new, b, c, last = BUILDER.scenes.snap(Scene(objects=row)).objects  # in the order of their tokens
    for target, expected in (
        ((a, b, c), ()),
        ((a, new, b, c), (1,)),
        ((a, c), (1,)),
        ((a, new, c), (1, 2)),
        ((a, b), ("end",)),
        ((a, b, last), (2, "end")),
        ((), ("end",)),
    ):
        given_ = Segments(scene=Scene(objects=(a, b, c)), text="Do it.")
        sequence = BUILDER.build(task, given_, Segments(scene=Scene(objects=target)))
        found = BUILDER.changed(sequence.ids)
        output = np.flatnonzero(sequence.labels != IGNORE)
        assert not found[: output[0]].any()
        length = (len(output) - 3) // max(1, len(target))  # of an object; markers and EOS beside
        parts = {place: output[1 + place * length : 1 + (place + 1) * length] for place in range(len(target))}
        parts["end"] = output[sequence.ids[output] == end]
        assert np.flatnonzero(found).tolist() == [int(at) for place in expected for at in parts[place]]


@given(data=st.data(), task=st.sampled_from(list(TASKS.values())))
def test_only_outputs_are_learnt(data, task):
    given_, wanted = data.draw(segments(task.inputs)), data.draw(segments(task.outputs))
    sequence = BUILDER.build(task, given_, wanted)
    prompt = len(BUILDER.prompt(task, given_))
    assert (sequence.labels[:prompt] == IGNORE).all() and (sequence.weights[:prompt] == 0).all()
    assert (sequence.labels[prompt:] == sequence.ids[prompt:]).all() and (sequence.weights[prompt:] >= 1).all()


def test_the_first_five_codes_of_an_output_picture_weigh_ten():
    codes = np.arange(BUILDER.image_grid[0] * BUILDER.image_grid[1]) % 16
    sequence = BUILDER.build(TASKS["rendering"], Segments(scene=Scene(objects=())), Segments(image=codes))
    start = list(sequence.ids).index(BUILDER.vocabulary.marker_id("[IMAGE-START]"))
    assert sequence.weights[start : start + 7].tolist() == [1, 10, 10, 10, 10, 10, 1]
    recognition = BUILDER.build(TASKS["recognition"], Segments(image=codes), Segments(scene=Scene(objects=())))
    assert recognition.weights.max() == 1


def test_input_pictures_stay_in_raster_order_and_outputs_start_at_the_centre():
    codes = np.arange(BUILDER.image_grid[0] * BUILDER.image_grid[1])
    first = BUILDER.vocabulary.ranges["image"].start
    given_ = BUILDER.prompt(TASKS["recognition"], Segments(image=codes))
    assert given_[2] == first
    ids = BUILDER.build(TASKS["rendering"], Segments(scene=Scene(objects=())), Segments(image=codes)).ids.tolist()
    rows, columns = BUILDER.image_grid
    assert (
        ids[ids.index(BUILDER.vocabulary.marker_id("[IMAGE-START]")) + 1]
        == first + (rows - 1) // 2 * columns + columns // 2
    )


def test_the_sequence_of_editing_reads_image_scene_text_and_writes_image_scene():
    task, codes = TASKS["editing"], np.zeros(BUILDER.image_grid[0] * BUILDER.image_grid[1], dtype=int)
    empty = Scene(objects=())
    ids = BUILDER.build(task, Segments(image=codes, scene=empty, text="yes"), Segments(image=codes, scene=empty)).ids
    kinds = [BUILDER.vocabulary.value(token) for token in ids.tolist() if BUILDER.vocabulary.kind(token) == "marker"]
    assert [kind for kind in kinds if "START" in str(kind)] == [
        "[IMAGE-START]", "[SCENE-START]", "[TEXT-START]", "[OUTPUT-START]", "[IMAGE-START]", "[SCENE-START]",
    ]  # fmt: skip


COPY = Task(name="copy", inputs=(Segment.IMAGE, Segment.SCENE), outputs=(Segment.IMAGE, Segment.SCENE))


@pytest.mark.parametrize("two_way", [(), ("shape",), ("image",), ("shape", "image")])
def test_codes_that_go_in_attend_both_ways_within_their_own_picture_or_shape(two_way):
    builder = tiny_builder(SCHEMAS["objaworld-shapes"](), two_way=two_way)
    item = SceneObject(shape_codes=tuple(i % 32 for i in range(512)), location=(0.0, 0.0, 0.0), pose=(0.0, 0.0, 0.0))
    content = Segments(image=np.zeros(12, dtype=int), scene=Scene(objects=(item, item)))
    sequence = builder.build(COPY, content, content)
    lengths = sorted(stop - start for start, stop in sequence.spans)
    assert lengths == [12] * ("image" in two_way) + [512, 512] * ("shape" in two_way)
    for start, stop in sequence.spans:
        assert len({builder.vocabulary.kind(int(token)) for token in sequence.ids[start:stop]} - set(two_way)) == 0


def test_no_label_is_seen_by_what_predicts_it():
    builder = tiny_builder(SCHEMAS["objaworld-shapes"](), two_way=("shape", "image"))
    item = SceneObject(shape_codes=(3,) * 512, location=(0.0, 0.0, 0.0), pose=(0.0, 0.0, 0.0))
    content = Segments(image=np.zeros(12, dtype=int), scene=Scene(objects=(item,)))
    sequence = builder.build(COPY, content, content)
    spans, branches = torch.full((2, 1, len(sequence.ids)), -1)
    for number, span in enumerate(sequence.spans):
        spans[0, slice(*span)] = number
    seen = attention_mask(spans, branches)[0]
    # What a place reaches through any number of layers.
    reached = seen
    for _ in range(8):
        reached = (reached.float() @ seen.float()) > 0
    labelled = np.flatnonzero(sequence.labels != IGNORE)
    assert len(labelled) > 500
    assert not any(reached[place - 1, place:].any() for place in labelled.tolist())


def test_a_kind_of_codes_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="two_way has text; codes are of the kinds image and shape"):
        tiny_builder(two_way=("text",))


def test_segments_that_do_not_fit_the_task_are_refused():
    with pytest.raises(TokenError, match="the input of recognition is image; text was given"):
        BUILDER.prompt(TASKS["recognition"], Segments(text="yes"))
    with pytest.raises(TokenError, match="codes, but 3 were given"):
        BUILDER.prompt(TASKS["recognition"], Segments(image=np.zeros(3, dtype=int)))


def test_ids_that_are_no_sequence_are_refused():
    task, codes = TASKS["rendering"], np.zeros(BUILDER.image_grid[0] * BUILDER.image_grid[1], dtype=int)
    ids = BUILDER.build(task, Segments(scene=Scene(objects=())), Segments(image=codes)).ids.tolist()
    with pytest.raises(TokenError, match="an output ends with"):
        BUILDER.parse(task, ids[:-1])
    with pytest.raises(TokenError, match="a picture has"):
        BUILDER.parse(task, [*ids[:-3], *ids[-2:]])
    with pytest.raises(TokenError, match="a sequence starts with"):
        BUILDER.parse(task, ids[1:])
    with pytest.raises(TokenError, match="1 ids are left after the last segment"):
        BUILDER.parse(task, [*ids[:-1], ids[-2], ids[-1]])

"""Edits do what they say: in words, as a program, and in the scene."""

import json
import random
import string
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.data.clevr.sampling import CLEVR_RULES, ClevrRules, all_visible, footprints, is_free, sample_scenes
from kyvo.data.language.edit_phrases import KINDS, WORDINGS, kind_of, parse, phrase, wordings_of, write
from kyvo.data.language.edits import Edit, execute, sample_edit, sample_edits
from kyvo.data.language.referents import describe, find, resolve, unique_descriptions
from kyvo.errors import ConfigError, SceneError
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.clevr import load_clevr
from kyvo.scene.relations import directions, relationships
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import CLEVR_RADIUS

SCENES = sample_scenes(range(40), seed=3, width=120, height=80)


def edit_of(number: int, seed: int, kind: str) -> Edit | None:
    return sample_edit(SCENES[number], np.random.default_rng(seed), kind=kind)


@given(number=st.integers(0, 39), seed=st.integers(0, 2**40), kind=st.sampled_from(KINDS))
def test_an_instruction_read_and_executed_gives_the_target(number, seed, kind):
    edit = edit_of(number, seed, kind)
    if edit is None:
        assert kind in ("add", "remove") or not any(unique_descriptions(SCENES[number]))
        return
    assert edit.kind == kind == kind_of(edit.program)
    assert parse(edit.instruction) == edit.program == json.loads(json.dumps(edit.program))
    assert execute(edit.program, edit.source) == edit.target != edit.source
    assert execute(parse(f"  {edit.instruction.upper()} "), edit.source) == edit.target
    assert edit == edit_of(number, seed, kind)


@given(number=st.integers(0, 39), seed=st.integers(0, 2**40), kind=st.sampled_from(KINDS))
def test_a_target_keeps_the_rules_and_all_that_was_not_named(number, seed, kind):
    edit = edit_of(number, seed, kind)
    if edit is None:
        return
    before, after = edit.source.objects, edit.target.objects
    kept = {**edit.source.extra, "relationships": relationships(edit.target)}
    assert (edit.target.camera, edit.target.extra) == (edit.source.camera, kept)
    assert CLEVR_RULES.min_objects <= len(after) <= CLEVR_RULES.max_objects
    if kind == "add":
        assert after[:-1] == before
        touched = len(before)
    elif kind == "remove":
        touched = resolve(edit.program["target"], edit.source)
        assert after == before[:touched] + before[touched + 1 :]
        return
    else:
        (touched,) = (i for i, (one, other) in enumerate(zip(before, after, strict=True)) if one != other)
        assert touched == resolve(edit.program["target"], edit.source)
    item = after[touched]
    assert max(map(abs, item.location[:2])) <= CLEVR_RULES.floor and item.location[2] == CLEVR_RADIUS[item.size]
    column, line, depth = edit.target.camera.project(np.array([item.location]))[0]
    assert item.extra["pixel_coords"] == [np.floor(column), np.floor(line), pytest.approx(depth, abs=1e-4)]
    for one, other in combinations(after, 2):
        place = np.array([one.location[:2]])
        solid = {"radius": CLEVR_RADIUS[one.size], "rotation": one.extra["rotation"], "is_cube": one.shape == "cube"}
        assert is_free(place, **solid, others=footprints([other]), gap=CLEVR_RULES.gap - 1e-4).all()
    clevr_schema().snap(edit.target)  # all within the bins


@given(number=st.integers(0, 39), seed=st.integers(0, 2**40), kind=st.sampled_from(("add", "move")))
def test_a_new_or_moved_object_stands_where_the_instruction_says(number, seed, kind):
    edit = edit_of(number, seed, kind)
    if edit is None:
        return
    moved = len(edit.source) if kind == "add" else resolve(edit.program["target"], edit.source)
    origin = resolve(edit.program["of"], edit.source) if "of" in edit.program else moved
    gone = np.subtract(edit.target.objects[moved].location, edit.source.objects[origin].location)[:2]
    way = np.array(directions(edit.source)[edit.program["direction"]][:2])
    across = np.array([-way[1], way[0]])
    half_cell = 2 * 0.025 * np.sqrt(2) + 1e-4  # of the start and of the end
    assert gone @ way == pytest.approx(edit.program["distance"], abs=half_cell)
    assert abs(gone @ across) <= half_cell
    related = relationships(edit.target)
    for index in range(len(edit.target)):
        if index == moved:
            continue
        sides = [name for name, rows in related.items() if moved in rows[index]]
        aligned = index == origin
        assert sides == [edit.program["direction"]] if aligned else len(sides) == 2


@given(number=st.integers(0, 39), seed=st.integers(0, 2**40), kind=st.sampled_from(KINDS))
def test_editing_a_scene_and_editing_its_tokens_agree(number, seed, kind):
    edit, schema = edit_of(number, seed, kind), clevr_schema()
    if edit is not None:
        source = replace(schema.snap(edit.source), camera=edit.source.camera)  # it says in which order objects stand
        assert schema.snap(execute(edit.program, source)) == schema.snap(edit.target)


@given(number=st.integers(0, 39), seed=st.integers(0, 2**40), kind=st.sampled_from(("change_related", "remove")))
def test_a_relation_is_given_where_attributes_do_not_tell(number, seed, kind):
    edit = edit_of(number, seed, kind)
    if edit is not None:
        target = edit.program["target"]
        attributes = {name: value for name, value in target.items() if name not in ("relation", "of")}
        assert len(find(attributes, edit.source)) > 1 and len(find(target, edit.source)) == 1


def test_most_scenes_allow_every_kind_and_both_kinds_of_moves_are_drawn():
    for kind in KINDS:
        edits = [edit for number in range(40) if (edit := edit_of(number, number, kind))]
        assert len(edits) >= 30
        if kind == "move":
            assert 5 <= sum("of" in edit.program for edit in edits) <= 35
    drawn = {sample_edit(SCENES[0], np.random.default_rng(seed)).kind for seed in range(60)}
    assert drawn == set(KINDS)


def test_every_wording_of_a_kind_says_the_same_program_and_no_other_kind():
    for kind, wordings in WORDINGS.items():
        assert 16 <= len(set(wordings)) == len(wordings) <= 28
        used = set()
        for number in range(40):
            edit = edit_of(number, number, kind)
            for wording in [] if edit is None else wordings_of(edit.program):
                used.add(wording)
                assert parse(write(edit.program, wording)) == edit.program
        assert used == set(wordings)
    ways = {w: {name for _, name, _, _ in string.Formatter().parse(w) if name} for w in WORDINGS["move"]}
    assert {"way" in names for names in ways.values()} == {True, False}


def test_targets_are_in_view():
    edits = sample_edits(SCENES[:12], [np.random.default_rng(i) for i in range(12)], kind="move")
    assert all(edit is not None for edit in edits)
    assert all(all_visible([edit.target for edit in edits]))
    alone = sample_edits(SCENES[5:6], [np.random.default_rng(5)], kind="move")
    assert alone == edits[5:6]


def test_the_number_of_objects_stays_within_the_rules():
    scene = next(scene for scene in SCENES if len(scene) == 6)
    rng = np.random.default_rng(0)
    assert sample_edit(scene, rng, kind="add", rules=ClevrRules(max_objects=6)) is None
    assert sample_edit(scene, rng, kind="remove", rules=ClevrRules(min_objects=6)) is None
    with pytest.raises(ConfigError, match="'paint' is no kind of edit; known are change, change_related, add"):
        sample_edit(scene, rng, kind="paint")
    assert sample_edit(Scene(objects=()), rng) is None


def test_real_scenes_are_edited_and_their_relations_kept_up_to_date(shared_data):
    scenes = load_clevr(shared_data / "clevr" / "clevr_val_scenes_100-149.json")
    for number, scene in enumerate(random.Random(0).sample(scenes, 10)):
        edit = sample_edit(scene, np.random.default_rng(number))
        assert execute(parse(edit.instruction), scene) == edit.target
        assert edit.target.extra["relationships"] == relationships(edit.target)
        assert edit.target.extra["directions"] == scene.extra["directions"]
        assert scene.image is not None and edit.target.image is None


def solid(color: str, shape: str, x: float, y: float) -> SceneObject:
    return SceneObject(shape=shape, size="small", color=color, material="metal", location=(x, y, 0.35))


ROOM = Scene(objects=(solid("red", "cube", 0, 0), solid("red", "sphere", 1, 1), solid("blue", "cube", -2, 0)))


def test_directions_are_the_scene_s_own():
    turned = Scene(
        objects=ROOM.objects,
        extra={"directions": {"left": (1, 0, 0), "right": (-1, 0, 0), "front": (0, 1, 0), "behind": (0, -1, 0)}},
    )
    moved = execute(parse("Push the blue cube 1.5 units to the left."), turned)
    assert moved.objects[2].location == (-0.5, 0.0, 0.35)
    added = execute(parse("Put a large gray rubber cube 2 units in front of the blue cube."), turned)
    assert added.objects[3].location == (-2.0, 2.0, 0.7) and added.objects[3].extra == {"rotation": 0.0}


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ({"operation": "paint"}, "operation is 'paint'; known are change, add, remove, move"),
        ({"operation": "move", "target": {}}, "move needs target, direction, distance; direction, distance is missing"),
        (
            {"operation": "remove", "target": {"color": "red"}},
            r"target: 'the red object' fits 2 objects \(0, 1\); exactly one must fit. Say more of it",
        ),
        ({"operation": "remove", "target": {"color": "gray"}}, "'the gray object' fits none of 3 objects"),
        ({"operation": "remove", "target": {"colour": "red"}}, "a description has no 'colour'; it has size, color"),
        ({"operation": "remove", "target": {"relation": "left"}}, "has `relation` and `of` both or neither"),
        (
            {"operation": "remove", "target": {"relation": "under", "of": {"color": "blue"}}},
            "relation is 'under'; known are left, right",
        ),
        (
            {"operation": "change", "target": {"color": "blue"}, "attribute": "color", "value": "pink"},
            "color can not become 'pink'; known are size: large, small; color: gray",
        ),
        (
            {"operation": "add", "object": {"size": "small"}, "direction": "left", "distance": 1, "of": {}},
            "object.color is None; known are gray",
        ),
        (
            {"operation": "move", "target": {"color": "blue"}, "direction": "left", "distance": 3},
            "direction left, distance 3: x is .* its bins cover -3 to 3",
        ),
        (
            {"operation": "move", "target": {"color": "blue"}, "direction": "up", "distance": 1},
            "direction is 'up'; known are left, right",
        ),
        (
            {"operation": "move", "target": {"color": "blue"}, "direction": "left", "distance": -1},
            "distance is -1; a number of units above 0 is needed",
        ),
    ],
)
def test_a_program_that_can_not_be_executed_says_why(program, message):
    with pytest.raises(SceneError, match=message):
        execute(program, ROOM)


def test_descriptions_nest_in_programs_though_not_in_wordings():
    target = {
        "color": "red",
        "relation": "right",
        "of": {"shape": "cube", "relation": "right", "of": {"color": "blue"}},
    }
    assert describe(target) == "the red object to the right of the cube to the right of the blue object"
    assert resolve(target, ROOM) == 1
    with pytest.raises(SceneError, match=r"no wording says .*; give each description at most the relation of its kind"):
        phrase({"operation": "remove", "target": target}, np.random.default_rng(0))
    with pytest.raises(SceneError, match="no wording says"):
        phrase({"operation": "remove", "target": {"color": "blue"}}, np.random.default_rng(0))


@pytest.mark.parametrize(
    "sentence",
    [
        "Paint everything red.",
        "Change the color of the red cube to metal.",
        "Move the cube 1 unit under the sphere.",
        "",
    ],
)
def test_a_sentence_in_no_known_wording_is_refused(sentence):
    with pytest.raises(SceneError, match="is in none of the wordings that can be read; write it like 'Remove"):
        parse(sentence)

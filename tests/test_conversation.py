import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo import Conversation
from kyvo.conversation import Concern, Turn, describe_diff, find_concern, is_question, merge
from kyvo.data.language.edit_phrases import WORDINGS
from kyvo.data.language.edits import execute, sample_edit
from kyvo.errors import SceneError
from kyvo.scene.diff import diff
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_schema
from kyvo.testing import scenes, tiny_kyvo

RED = SceneObject(
    size="large", color="red", material="metal", shape="cube", location=(0.012, 0.0, 0.7), extra={"rotation": 31.0}
)
BLUE = replace(RED, color="blue", location=(1.5, 2.0, 0.7), extra={"pixel_coords": [1, 2, 3]}, confidence=0.5)
GREEN = replace(RED, color="green", location=(-1.01, 0.5, 0.7), shape="sphere", extra={})
SCENE = Scene(objects=(RED, BLUE, GREEN), image="room.png", extra={"relationships": {}, "note": "mine"})
PICTURE = np.full((16, 24, 3), 90, dtype=np.uint8)
SCHEMA = clevr_schema()


@pytest.fixture(scope="module")
def model():
    return tiny_kyvo()


@pytest.mark.parametrize(
    "text",
    ["What color is the cube?", "how many spheres", "Is there a red thing", "Count the cubes.", "the cube is red?"],
)
def test_questions_are_told_by_their_mark_or_their_first_word(text):
    assert is_question(text)


@pytest.mark.parametrize(
    "text", ["Could you please make it blue?", "Paint everything red", "Will you remove the cube?"]
)
def test_requests_are_instructions_however_polite(text):
    assert not is_question(text)


@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(sorted(WORDINGS)))
def test_every_wording_of_an_edit_is_an_instruction_whose_target_is_found(seed, kind):
    edit = sample_edit(SCENE, np.random.default_rng(seed), kind=kind)
    if edit is None:
        return
    assert not is_question(edit.instruction)
    concern = find_concern(SCENE, edit.instruction)
    kept = [item for index, item in enumerate(SCENE.objects) if index != concern.target]
    assert len(edit.target.objects) == len(kept) + concern.num_added
    assert [item for item in edit.target.objects if item in kept] == kept


@given(before=scenes(SCHEMA, max_objects=4), seed=st.integers(0, 2**32 - 1))
def test_a_model_that_writes_what_was_there_changes_nothing(before, seed):
    before = replace(before, image="a.png", extra={"relationships": {}})
    objects = [item.with_values(rotation=1.0) for item in before.objects]
    before = replace(before, objects=tuple(objects))
    assert merge(before, SCHEMA.snap(before), SCHEMA) == before


def test_what_the_model_left_alone_stays_to_the_last_digit():
    blue = {"operation": "change", "target": {"color": "red"}, "attribute": "color", "value": "purple"}
    after = merge(SCENE, execute(blue, SCHEMA.snap(SCENE)), SCHEMA)
    assert after.objects == (replace(RED, color="purple"), BLUE, GREEN)
    assert after.image is None and after.extra == {"note": "mine"}
    gone = merge(SCENE, execute({"operation": "remove", "target": {"color": "red"}}, SCHEMA.snap(SCENE)), SCHEMA)
    assert gone.objects == (BLUE, GREEN)
    move = {"operation": "move", "target": {"color": "blue"}, "direction": "left", "distance": 1.0}
    moved = merge(SCENE, execute(move, SCHEMA.snap(SCENE)), SCHEMA)
    assert (moved.objects[0], moved.objects[2]) == (RED, GREEN)
    assert moved.objects[1].extra == {}, "its place in the picture is another"
    assert diff(SCENE, moved).moved[0].before == 1


def test_a_field_of_the_users_own_schema_is_merged_as_well():
    before = Scene(objects=(replace(RED, extra={"mood": "calm"}), GREEN))
    schema = replace(
        SCHEMA, fields=(*SCHEMA.fields, replace(SCHEMA.fields[0], name="mood", marker="[MOOD]", words=("calm", "wild")))
    )
    before = replace(before, objects=tuple(item.with_values(mood="calm") for item in before.objects))
    written = schema.snap(before)
    moods = {"red": "wild", "green": "calm"}
    written = replace(written, objects=tuple(item.with_values(mood=moods[item.color]) for item in written.objects))
    assert [item.get("mood") for item in merge(before, written, schema).objects] == ["wild", "calm"]


def test_a_turn_says_what_changed_what_else_did_and_when_nothing_did():
    concern = Concern(target=0, num_removed=1, num_added=1)

    def turn(*objects, concern=concern):
        return Turn(text="", before=SCENE, scene=replace(SCENE, objects=objects), image=None, concern=concern)

    assert turn(RED, BLUE, GREEN).describe() == "nothing changed: the scene is the same"
    purple = replace(RED, color="purple")
    assert turn(purple, BLUE, GREEN).describe() == "changed: color of large red metal cube, red to purple"
    both = turn(purple, BLUE)
    assert both.others.removed == (2,) and both.others.changed == ()
    assert both.describe().splitlines()[1] == "also removed: large green metal sphere"
    assert turn(RED, BLUE).describe().splitlines()[0] == "what was asked for did not happen"
    assert "also" not in turn(purple, BLUE, concern=None).describe()
    far = replace(RED, location=(-2.0, -2.0, 0.7), color="cyan")
    assert not turn(BLUE, GREEN, far).others, "an object that is changed much goes and comes"


def test_a_difference_in_words_has_a_line_for_each_entry():
    after = Scene(objects=(replace(RED, location=(0.012, 1.5, 0.7)), replace(GREEN, size="small")))
    assert describe_diff(diff(SCENE, after), SCENE, after) == [
        "removed: large blue metal cube",
        "moved: large red metal cube, by 1.5 to 0.012 1.5 0.7",
        "changed: size of large green metal sphere, large to small",
    ]


@pytest.mark.parametrize(
    "instruction, target, most",
    [
        ("Remove the red cube to the left of the blue cube.", 0, 1),
        ("Change the color of the green sphere to purple.", 2, 1),
        ("Add a small cyan rubber sphere 1 unit to the left of the green sphere.", None, 1),
        ("something else altogether", "any", 1),
    ],
)
def test_other_objects_stay_whatever_the_model_writes(model, instruction, target, most):
    talk = Conversation(model, SCENE, image=PICTURE)
    after = talk.edit(instruction).scene.objects
    kept = [item for item in SCENE.objects if item in after]
    if target == "any":
        assert len(kept) >= 2
    else:
        assert all(item in after for index, item in enumerate(SCENE.objects) if index != target)
    assert len(after) - len(kept) <= most


def test_turns_are_taken_back_and_brought_back_with_the_questions_between(model):
    talk = Conversation(model, SCENE, image=PICTURE)
    assert talk.undo() is None and talk.redo() is None
    assert talk.say("How many cubes are there?").answer is not None
    assert talk.scene is SCENE and not talk.turns[0].diff
    states = [talk.scene]
    for text in ("Remove the red cube.", "Paint the sphere."):
        states.append(talk.say(text).scene)
    talk.ask("What color is the sphere?")
    picture = talk.image
    assert talk.undo().text == "Paint the sphere." and talk.scene is states[1] and len(talk.turns) == 2
    assert talk.undo().text == "Remove the red cube." and talk.scene is states[0]
    assert np.array_equal(talk.image, PICTURE)
    assert talk.undo() is None and len(talk.turns) == 1
    assert talk.redo().text == "Remove the red cube." and talk.redo().text == "Paint the sphere."
    assert talk.scene is states[2] and len(talk.turns) == 4 and talk.image is picture and talk.redo() is None
    talk.undo()
    talk.edit("Remove the red cube.")
    assert talk.redo() is None, "a new turn ends what could be brought back"


def test_a_saved_conversation_comes_back_with_what_was_undone(model, tmp_path):
    talk = Conversation(model, SCENE, image=PICTURE, keep_others=False)
    for text in ("What color is the sphere?", "Remove the red cube.", "Paint the sphere.", "Is it blue?"):
        talk.say(text)
    talk.undo()
    talk.save(tmp_path / "talk.json")
    again = Conversation.load(model, tmp_path / "talk.json")
    assert not again.keep_others and np.array_equal(again.image, talk.image)
    assert scene_to_json(again.scene) == scene_to_json(talk.scene)
    assert [turn.describe() for turn in again.turns] == [turn.describe() for turn in talk.turns]
    assert again.redo().text == talk.redo().text == "Paint the sphere."
    assert scene_to_json(again.scene) == scene_to_json(talk.scene)
    assert again.turns[-1].answer == talk.turns[-1].answer
    assert len(again.turns) == len(talk.turns) == 4


def test_a_picture_is_the_models_own_after_an_edit_or_where_none_was_given(model, tmp_path):
    talk = Conversation(model, SCENE, image=PICTURE)
    talk.say("How many cubes are there?")
    assert not talk.is_drawn
    talk.say("Remove the red cube.")
    assert talk.is_drawn
    talk.undo()
    assert not talk.is_drawn
    assert Conversation(model, SCENE).is_drawn and Conversation(model, SCENE, image=PICTURE, drawn=True).is_drawn
    for drawn in (False, True):
        Conversation(model, SCENE, image=PICTURE, drawn=drawn).save(tmp_path / "talk.json")
        assert Conversation.load(model, tmp_path / "talk.json").is_drawn is drawn


def test_a_damaged_conversation_is_refused_with_its_place(model, tmp_path):
    path = tmp_path / "talk.json"
    talk = Conversation(model, SCENE, image=PICTURE)
    talk.edit("Remove the red cube.")
    talk.save(path)
    whole = json.loads(path.read_text())
    for change, message in [
        ({"format": "kyvo-scene"}, "a conversation has"),
        ({"turns": [{"text": "x"}]}, "not a whole conversation"),
        ({"standing": "all"}, "not a whole conversation"),
        ({"turns": [whole["turns"][0] | {"image": "!"}]}, "no PNG in base64"),
        ({"turns": [whole["turns"][0] | {"scene": {}}]}, r"turns\[0\]: format is missing"),
    ]:
        path.write_text(json.dumps(whole | change))
        with pytest.raises(SceneError, match=message):
            Conversation.load(model, path)


def test_a_scene_the_model_cannot_hold_is_refused_at_once(model):
    with pytest.raises(SceneError, match=r"objects\[0\]\.location: x is 30"):
        Conversation(model, Scene(objects=(replace(RED, location=(30.0, 0.0, 0.7)),)))


def test_scene_and_picture_are_exported_by_the_ending(model, tmp_path):
    talk = Conversation(model, SCENE)
    talk.export(tmp_path / "room.png")
    talk.export(tmp_path / "room.glb")
    assert (tmp_path / "room.png").read_bytes()[1:4] == b"PNG" and (tmp_path / "room.glb").read_bytes()[:4] == b"glTF"

"""Conversations: turns through the pipelines, what is asked back, undo and redo, saving and loading."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kyvo import Conversation
from kyvo.conversation import describe_diff
from kyvo.errors import SceneError
from kyvo.programs.errors import AmbiguousReference, NoSuchObject, NotUnderstood, ProgramError, UnknownWord
from kyvo.scene.diff import diff
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_kyvo

RED = SceneObject(
    size="large", color="red", material="metal", shape="cube", location=(0.012, 0.0, 0.7), extra={"rotation": 31.0}
)
BLUE = replace(RED, color="blue", location=(1.5, 2.0, 0.7), extra={"pixel_coords": [1, 2, 3]}, confidence=0.5)
GREEN = replace(RED, color="green", location=(-2.01, 0.5, 0.7), shape="sphere", extra={})
SCENE = Scene(objects=(RED, BLUE, GREEN), image="room.png", extra={"relationships": {}, "note": "mine"})
PICTURE = np.full((16, 24, 3), 90, dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    return tiny_kyvo()


def test_what_is_not_named_stays_to_the_last_digit(model):
    talk = Conversation(model, SCENE, image=PICTURE)
    turn = talk.say("paint the red cube purple")
    assert turn.scene.objects == (replace(RED, color="purple"), BLUE, GREEN)
    assert turn.scene.image is None and turn.scene.extra["note"] == "mine"
    assert turn.describe() == "changed: color of large red metal cube, red to purple"
    assert (turn.objects, turn.answer) == ((0,), None) and turn.understood.reading


def test_a_text_can_take_back_the_last_change(model):
    talk = Conversation(model, SCENE, image=PICTURE)
    talk.say("paint the red cube purple")
    talk.say("remove the sphere")
    assert talk.say("how many cubes are there").answer == "2"
    assert talk.say("undo that").scene.objects == (replace(RED, color="purple"), BLUE, GREEN)
    assert talk.say("take that back, please").scene.objects == SCENE.objects
    with pytest.raises(ProgramError, match="nothing was changed yet"):
        talk.say("undo that")
    assert talk.undo() is not None and talk.scene.objects == (replace(RED, color="purple"), BLUE, GREEN)


def test_a_text_can_bring_back_what_a_text_or_a_command_took_back(model):
    talk = Conversation(model, SCENE, image=PICTURE)
    purple = talk.say("paint the red cube purple").scene.objects
    talk.say("undo that")
    assert talk.say("how many cubes are there").answer == "2"
    assert talk.say("redo that").scene.objects == purple
    with pytest.raises(ProgramError, match="nothing was taken back"):
        talk.say("redo that")
    talk.say("undo")
    assert talk.redo().scene.objects == purple and talk.scene.objects == purple
    talk.undo()
    assert talk.say("redo").scene.objects == purple and talk.redo() is None


def test_questions_and_instructions_are_told_apart_by_what_they_ask(model):
    talk = Conversation(model, SCENE, image=PICTURE)
    assert talk.say("how many cubes are there").answer == "2"
    assert talk.say("Could you please remove the sphere?").answer is None
    with pytest.raises(NotUnderstood, match="is a question"):
        talk.edit("How many cubes are there?")
    with pytest.raises(NotUnderstood, match="is an instruction"):
        talk.ask("Remove the red cube.")
    assert len(talk.turns) == 2


@pytest.mark.parametrize(
    ("reply", "left"),
    [("2", [RED, GREEN]), ("the first one", [BLUE, GREEN]), ("the red one", [BLUE, GREEN]), ("both", [GREEN])],
)
def test_what_fits_several_is_asked_back_and_the_reply_picks(model, reply, left):
    talk = Conversation(model, SCENE, image=PICTURE)
    with pytest.raises(AmbiguousReference) as caught:
        talk.say("Remove the cube.")
    assert caught.value.candidates == (0, 1) and talk.scene is SCENE
    assert list(talk.say(reply).scene.objects) == left
    assert talk.clarification is None


def test_replies_that_pick_none_say_why(model):
    talk = Conversation(model, SCENE, image=PICTURE)
    for reply, error, words in (
        ("7", NotUnderstood, "from 1 to 2"),
        ("the yellow one", NoSuchObject, "no yellow"),
        ("the cube", AmbiguousReference, "2 objects"),
        ("neither", NotUnderstood, "nothing is done"),
    ):
        with pytest.raises(AmbiguousReference):
            talk.say("Remove the cube.")
        with pytest.raises(error, match=words):
            talk.say(reply)
        assert (talk.clarification is None) == (reply == "neither")
    assert talk.scene is SCENE


def test_a_reply_may_leave_fewer_candidates(model):
    talk = Conversation(model, SCENE, image=PICTURE)
    with pytest.raises(AmbiguousReference) as first:
        talk.say("Remove the object.")
    with pytest.raises(AmbiguousReference) as second:
        talk.say("the cube")
    assert first.value.candidates == (0, 1, 2) and second.value.candidates == (0, 1)
    assert list(talk.say("2").scene.objects) == [RED, GREEN]


def test_another_text_may_come_in_the_place_of_an_answer(model):
    talk = Conversation(model, SCENE, image=PICTURE)
    with pytest.raises(AmbiguousReference):
        talk.say("Remove the cube.")
    assert talk.say("How many spheres are there?").answer == "1"
    with pytest.raises(ProgramError):
        talk.say("2")


def test_it_is_what_the_last_turn_was_about(model):
    talk = Conversation(model, SCENE, image=PICTURE)
    talk.say("What color is the sphere?")
    assert talk.say("Remove it.").result.removed == (2,)
    talk.undo()
    talk.say("paint the red cube yellow")
    assert talk.say("make it small").scene.objects[0].size == "small"


@pytest.mark.parametrize("text", ["remove the dog", "hello", "help me", "Is it raining?", "qwertz uiop"])
def test_what_is_not_understood_changes_nothing(model, text):
    talk = Conversation(model, SCENE, image=PICTURE)
    with pytest.raises(ProgramError):
        talk.say(text)
    assert talk.scene is SCENE and not talk.turns
    with pytest.raises(UnknownWord) as caught:
        talk.say("remove the dog")
    assert caught.value.word == "dog"


def test_a_difference_in_words_has_a_line_for_each_entry():
    after = Scene(objects=(replace(RED, location=(0.012, 1.5, 0.7)), replace(GREEN, size="small")))
    assert describe_diff(diff(SCENE, after), SCENE, after) == [
        "removed: large blue metal cube",
        "moved: large red metal cube, by 1.5 to 0.012 1.5 0.7",
        "changed: size of large green metal sphere, large to small",
    ]


def test_turns_are_taken_back_and_brought_back_with_the_questions_between(model):
    talk = Conversation(model, SCENE, image=PICTURE)
    assert talk.undo() is None and talk.redo() is None
    assert talk.say("How many cubes are there?").answer == "2"
    states = [talk.scene]
    for text in ("Remove the red cube.", "Paint the sphere blue."):
        states.append(talk.say(text).scene)
    talk.ask("What color is the sphere?")
    picture = talk.image
    assert talk.undo().text == "Paint the sphere blue." and talk.scene is states[1] and len(talk.turns) == 2
    assert talk.undo().text == "Remove the red cube." and talk.scene is states[0]
    assert np.array_equal(talk.image, PICTURE)
    assert talk.undo() is None and len(talk.turns) == 1
    assert talk.redo().text == "Remove the red cube." and talk.redo().text == "Paint the sphere blue."
    assert talk.scene is states[2] and len(talk.turns) == 4 and talk.image is picture and talk.redo() is None
    talk.undo()
    talk.edit("Remove the blue cube.")
    assert talk.redo() is None, "a new turn ends what could be brought back"


def test_a_saved_conversation_comes_back_with_what_was_undone(model, tmp_path):
    talk = Conversation(model, SCENE, image=PICTURE)
    for text in ("What color is the sphere?", "Remove the red cube.", "Paint it blue.", "Is the sphere green?"):
        try:
            talk.say(text)
        except ProgramError:
            talk.say("Paint the sphere blue.")
    talk.undo()
    talk.save(tmp_path / "talk.json")
    again = Conversation.load(model, tmp_path / "talk.json")
    assert np.array_equal(again.image, talk.image)
    assert scene_to_json(again.scene) == scene_to_json(talk.scene)
    for ours, theirs in zip(again.turns, talk.turns, strict=True):
        assert ours.describe() == theirs.describe() and ours.objects == theirs.objects
        assert ours.understood.program == theirs.understood.program
    assert again.dialogue == talk.dialogue
    assert again.redo().text == talk.redo().text
    assert scene_to_json(again.scene) == scene_to_json(talk.scene)
    assert again.turns[-1].answer == talk.turns[-1].answer and len(again.turns) == len(talk.turns)


def test_a_conversation_of_the_first_version_still_loads(model, tmp_path):
    path = tmp_path / "talk.json"
    talk = Conversation(model, SCENE, image=PICTURE)
    talk.say("Remove the red cube.")
    talk.save(path)
    data = json.loads(path.read_text())
    for name in ("program", "notes", "objects", "changed", "removed", "added"):
        del data["turns"][0][name]
    path.write_text(json.dumps(data | {"version": 1, "keep_others": True}))
    again = Conversation.load(model, path)
    assert again.scene.objects == talk.scene.objects and again.turns[0].understood is None


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


def test_scene_and_picture_are_exported_by_the_ending(model, tmp_path):
    talk = Conversation(model, SCENE)
    talk.export(tmp_path / "room.png")
    talk.export(tmp_path / "room.glb")
    assert (tmp_path / "room.png").read_bytes()[1:4] == b"PNG" and (tmp_path / "room.glb").read_bytes()[:4] == b"glTF"


@pytest.mark.parametrize(("reply", "color"), [("2", "yellow"), ("the left one", "green"), ("the cyan one", "cyan")])
def test_which_one_after_objects_went_and_came_is_the_one_that_was_listed(reply, color):
    def cube(color, x):
        return SceneObject(size="large", color=color, material="metal", shape="cube", location=(x, 0.0, 0.7))

    ball = replace(cube("blue", 0.0), shape="sphere")
    talk = Conversation(tiny_kyvo(), Scene(objects=(ball, cube("green", -2.5), cube("yellow", 2.5))))
    with pytest.raises(AmbiguousReference):
        talk.say("Remove the ball, then add a small cyan metal cube, then paint the cube red.")
    changed = talk.say(reply).scene.objects
    assert (
        len(changed) == 3
        and color not in [item.color for item in changed]
        and "red" in [item.color for item in changed]
    )

"""Chat completions: the message after one that fits several objects may say which is meant."""

import pytest

from kyvo.programs.errors import AmbiguousReference
from kyvo.programs.program import Edit, Numbered, Remove
from kyvo.scene.scene import Scene, SceneObject
from kyvo.serving.chat import History
from kyvo.testing import tiny_kyvo

RED = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
BLUE = SceneObject(size="large", color="blue", material="metal", shape="cube", location=(1.5, 2.0, 0.7))
GREEN = SceneObject(size="small", color="green", material="metal", shape="cube", location=(-2.0, 0.5, 0.35))


@pytest.fixture(scope="module")
def model():
    return tiny_kyvo()


def history(model, *texts):
    found = History(scene=Scene(objects=(RED, BLUE, GREEN)), earlier=list(texts))
    found.replay(model, model.run())
    return found


@pytest.mark.parametrize(("reply", "index"), [("2", 1), ("the green one", 2), ("number 1", 0)])
def test_the_next_message_picks(model, reply, index):
    found = history(model, "Remove the cube.")
    assert found.pending.clarification is not None and len(found.scene) == 3
    assert found.understand(model, reply).program == Edit(steps=(Remove(of=Numbered(index=index)),))


def test_what_was_picked_is_done_when_it_is_replayed(model):
    found = history(model, "Remove the cube.", "the blue one")
    assert found.pending.clarification is None and found.scene.objects == (RED, GREEN)


def test_a_message_may_leave_several(model):
    found = history(model, "Remove the cube.")
    with pytest.raises(AmbiguousReference):
        found.understand(model, "the large one")
    assert found.pending.clarification.candidates == (0, 1)


def test_messages_take_back_and_bring_back(model):
    removed = history(model, "Remove the green one.").scene.objects
    assert history(model, "Remove the green one.", "undo that").scene.objects == (RED, BLUE, GREEN)
    assert history(model, "Remove the green one.", "undo that", "redo that").scene.objects == removed == (RED, BLUE)

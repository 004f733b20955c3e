"""Which task a request means: the rule of docs/serving.md."""

import pytest

from kyvo.errors import ConfigError
from kyvo.serving.task_router import task_of


@pytest.mark.parametrize("text", ["", "Describe this scene.", "recognise it", "JSON, please", "Extract the objects"])
def test_a_picture_alone_or_with_a_wish_for_its_scene_is_recognised(text):
    assert task_of(text, has_picture=True, has_scene=False) == "recognition"


@pytest.mark.parametrize("text", ["", "Render it.", "please draw the scene", "Show me a picture!"])
def test_a_scene_alone_or_with_a_wish_for_its_picture_is_rendered(text):
    assert task_of(text, has_picture=False, has_scene=True) == "rendering"


@pytest.mark.parametrize("has_picture", [True, False])
@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("How many cubes are there?", "question_answering"),
        ("There is a big ball; what color is it?", "question_answering"),
        ("Remove the red cube.", "editing"),
        ("Could you move the cylinder to the left?", "editing"),
        ("draw a red cube left of the ball", "editing"),
    ],
)
def test_with_a_scene_the_text_decides(text, task, has_picture):
    assert task_of(text, has_picture=has_picture, has_scene=True) == task


def test_a_picture_with_a_question_is_asked_about():
    assert task_of("How many cubes are there?", has_picture=True, has_scene=False) == "question_answering"
    assert task_of("Remove the red cube.", has_picture=True, has_scene=False) == "editing"


def test_what_is_missing_is_said():
    with pytest.raises(ConfigError, match="neither a picture nor a scene; add an image_url"):
        task_of("Hello", has_picture=False, has_scene=False)
    with pytest.raises(ConfigError, match="no text; add a question or an instruction"):
        task_of("", has_picture=True, has_scene=True)

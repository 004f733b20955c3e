"""Chat completions, by OpenAI's own client and by hand."""

import json

import openai
import pytest

from kyvo.scene.files import scene_from_json
from kyvo.scene.validate import json_schema
from kyvo.serving.inputs import picture_of
from kyvo.serving.limits import Limits

OTHER = {"type": "json_schema", "json_schema": {"name": "word", "schema": {"type": "string"}}}


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def image(picture):
    return {"type": "image_url", "image_url": {"url": picture}}


def say(client, *parts, **settings):
    messages = [{"role": "user", "content": list(parts)}]
    return client.chat.completions.create(model="tiny", messages=messages, **settings)


def text(words):
    return {"type": "text", "text": words}


def scene_part(scene):
    return {"type": "scene", "scene": scene}


def told(completion):
    return completion.choices[0].message.content


def test_the_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["tiny"]


def test_a_picture_alone_gives_its_scene_as_json(client, image, http, picture):
    completion = say(client, image)
    assert json.loads(told(completion)) == http.post("/v1/scenes/recognize", json={"image": picture}).json()["scene"]
    assert completion.object == "chat.completion" and completion.choices[0].finish_reason in ("stop", "length")
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 0


def test_a_part_of_hugging_faces_form_is_the_same_picture(client, image, picture):
    assert told(say(client, {"type": "image", "image": picture})) == told(say(client, image))


def test_a_scene_alone_gives_its_picture(client, scene, http):
    completion = say(client, scene_part(scene))
    expected = http.post("/v1/scenes/render", json={"scene": scene}).json()["image"]
    assert told(completion) == expected
    assert completion.choices[0].message.images[0]["image_url"]["url"] == expected


def test_a_scene_and_an_instruction_give_the_scene_and_picture_after_it(client, scene):
    message = say(client, scene_part(scene), text("Remove the cube.")).choices[0].message
    assert scene_from_json(json.loads(message.content)).schema == "clevr"
    assert picture_of(message.images[0]["image_url"]["url"], Limits()).ndim == 3


def test_a_question_streams_the_answer_it_gives_whole(client, scene, image):
    parts = (scene_part(scene), image, text("How many cubes are there?"))
    whole = say(client, *parts)
    chunks = list(say(client, *parts, stream=True, stream_options={"include_usage": True}))
    pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(pieces) == told(whole)
    assert sum(map(bool, pieces)) > 1  # it came in pieces
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in ("stop", "length")


def test_a_scene_streams_whole(client, image):
    chunks = say(client, image, stream=True)
    content = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert content == told(say(client, image))


def test_the_picture_of_an_earlier_message_is_still_meant(client, image, scene):
    history = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [image, scene_part(scene)]},
        {"role": "assistant", "content": "..."},
        {"role": "user", "content": "How many cubes are there?"},
    ]
    later = client.chat.completions.create(model="tiny", messages=history)
    assert told(later) == told(say(client, image, scene_part(scene), text("How many cubes are there?")))


def test_the_task_can_be_said(client, scene, image):
    parts = (scene_part(scene), image, text("How many cubes are there?"))
    edited = say(client, *parts, extra_body={"kyvo": {"task": "editing"}})
    assert json.loads(told(edited))["format"] == "kyvo-scene"


@pytest.mark.parametrize("schema", [json_schema(), {"$ref": "urn:kyvo:scene:1"}])
def test_the_scenes_json_schema_is_kept_to(client, image, schema):
    form = {"type": "json_schema", "json_schema": {"name": "scene", "schema": schema}}
    assert json.loads(told(say(client, image, response_format=form)))["format"] == "kyvo-scene"


def test_an_output_of_few_tokens_says_that_it_was_cut(client, image):
    completion = say(client, image, max_tokens=3)
    assert completion.choices[0].finish_reason == "length"
    assert json.loads(told(completion))["objects"] == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"response_format": OTHER}, "is not the scenes'"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"n": 2}, "n: Input should be 1"),
        ({"temperature": 9}, "temperature: Input should be less than or equal to 2"),
        ({"logprobs": True}, "logprobs: Extra inputs are not permitted"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools: Extra inputs are not permitted"),
        ({"extra_body": {"kyvo": {"task": "rendering"}}}, "rendering needs a scene; add a scene part"),
        ({"extra_body": {"kyvo": {"task": "editing"}}}, "editing needs a text"),
        ({"extra_body": {"kyvo": {"task": "singing"}}}, "kyvo.task: Input should be"),
    ],
)  # fmt: skip
def test_what_cannot_be_obeyed_is_refused(client, image, settings, reason):
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        say(client, image, **settings)
    assert reason in caught.value.body["message"]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([text("Hello")], "neither a picture nor a scene"),
        ([], "neither a picture nor a scene"),
        ([{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}], "opens no URL"),
        ([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}], "opens no URL"),
        ([{"type": "audio", "audio": "x"}], "does not match any of the expected tags"),
        ([{"type": "scene", "scene": {"format": "x"}}], "'version' is a required property"),
    ],
)
def test_messages_that_mean_nothing_are_refused(client, parts, reason):
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        say(client, *parts)
    assert reason in caught.value.body["message"]


def test_two_pictures_are_one_too_many(client, image):
    with pytest.raises(openai.UnprocessableEntityError, match="a message has 2 pictures; it may have one"):
        say(client, image, image)


def test_json_is_not_promised_where_none_comes(client, scene):
    with pytest.raises(openai.UnprocessableEntityError, match="rendering answers with no JSON"):
        say(client, scene_part(scene), response_format={"type": "json_object"})


def test_another_model_is_not_here(client):
    with pytest.raises(openai.NotFoundError, match="no model is called 'gpt' here; there is 'tiny'"):
        client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "Hello"}])


def test_the_last_word_must_be_the_users(client):
    with pytest.raises(openai.UnprocessableEntityError, match="the last message is of the role assistant"):
        client.chat.completions.create(model="tiny", messages=[{"role": "assistant", "content": "Hello"}])

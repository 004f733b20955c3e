"""Chat completions, by OpenAI's own client and by hand."""

import json
import time

import httpx
import openai
import pytest

from kyvo.scene.validate import json_schema
from kyvo.serving.app import create_app
from kyvo.serving.chat import task_of
from kyvo.serving.inputs import picture_of
from kyvo.serving.limits import Limits
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

TOOL = {"type": "function", "function": {"name": "f"}}
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


def name_of(scene, index):
    return " ".join(scene["objects"][index][name] for name in ("size", "color", "material", "shape"))


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
    message = say(client, scene_part(scene), text(f"remove the {name_of(scene, 0)}")).choices[0].message
    assert json.loads(message.content)["objects"] == scene["objects"][1:]
    assert picture_of(message.images[0]["image_url"]["url"], Limits()).ndim == 3
    assert message.kyvo["program"]["op"] == "edit" and message.kyvo["objects"] == [0]


def test_a_question_streams_the_answer_it_gives_whole(client, scene, image):
    parts = (scene_part(scene), image, text("How many cubes are there?"))
    whole = say(client, *parts)
    chunks = list(say(client, *parts, stream=True, stream_options={"include_usage": True}))
    pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(pieces) == told(whole)
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


def test_the_newest_scene_counts_whoever_sent_it(client, scene, image):
    question = f"how many {scene['objects'][0]['color']} things are there"
    history = [{"role": "user", "content": [scene_part(scene), image, text(f"remove the {name_of(scene, 0)}")]}]
    after = told(client.chat.completions.create(model="tiny", messages=history))
    history += [{"role": "assistant", "content": after}, {"role": "user", "content": "how many things are there"}]
    assert told(client.chat.completions.create(model="tiny", messages=history)) == "1"
    history[-1] = {"role": "user", "content": [scene_part(scene), text("how many things are there")]}
    assert told(client.chat.completions.create(model="tiny", messages=history)) == "2", question


def test_it_is_what_an_earlier_message_was_about(client, scene):
    history = [
        {"role": "user", "content": [scene_part(scene), text(f"what shape is the {name_of(scene, 0)}")]},
        {"role": "assistant", "content": scene["objects"][0]["shape"]},
        {"role": "user", "content": "remove it"},
    ]
    after = json.loads(told(client.chat.completions.create(model="tiny", messages=history)))
    assert after["objects"] == scene["objects"][1:]


@pytest.mark.parametrize("form", ["{}", "Here it is:\n```json\n{}\n```\nAnything else?"], ids=["bare", "fenced"])
@pytest.mark.parametrize("role", ["assistant", "tool"])
def test_scene_json_counts_in_any_message(client, scene, image, form, role):
    fewer = json.dumps(scene | {"objects": scene["objects"][:1]})
    call = {"id": "a", "type": "function", "function": {"name": "edit", "arguments": "{}"}}
    history = [
        {"role": "user", "content": [scene_part(scene), image, text("how many things are there")]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "2"},
        {"role": role, "content": form.replace("{}", fewer)} | ({"tool_call_id": "a"} if role == "tool" else {}),
        {"role": "user", "content": "how many things are there"},
    ]
    assert told(client.chat.completions.create(model="tiny", messages=history)) == "1"


@pytest.mark.parametrize(
    "words",
    [
        "What is in this picture?",
        "What's in the image?",
        "What is this?",
        "what do you see in the photo",
        "What does this picture show?",
        "What are the objects in the image?",
        "Can you tell me what is shown here?",
        "describe the image",
        "Please describe all objects in the scene.",
        "Recognise the scene.",
        "Extract the scene as JSON with positions",
        "Caption this image",
    ],
)
def test_who_asks_for_all_that_is_in_a_picture_gets_its_scene(words):
    assert task_of(words, has_picture=True, has_scene=False) == "recognition"


@pytest.mark.parametrize(
    "words",
    [
        "Is there a red cube in the scene?",
        "How many cubes are in this picture?",
        "Remove the cube from the scene.",
        "What colour is the cube in the image?",
        "What objects are there?",
        "Detect the cube's colour",
        "Make the scene brighter",
    ],
)
def test_who_names_something_in_a_picture_is_no_such(words):
    assert task_of(words, has_picture=True, has_scene=False) == "dialogue"


def test_a_picture_to_be_described_is_recognised(client, image):
    assert told(say(client, image, text("What is in this picture?"))) == told(say(client, image))


def test_the_task_can_be_said(client, scene, image):
    parts = (scene_part(scene), image, text("How many cubes are there?"))
    with pytest.raises(openai.UnprocessableEntityError, match="is a question, not an instruction"):
        say(client, *parts, extra_body={"kyvo": {"task": "editing"}})
    answered = say(client, *parts, extra_body={"kyvo": {"task": "question_answering"}})
    assert told(answered) == told(say(client, *parts))


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
        ({"n": 2}, "n is not a setting of this server; leave it out, or give 1"),
        ({"temperature": 9}, "temperature: Input should be less than or equal to 2"),
        ({"logprobs": True}, "logprobs is not a setting of this server; leave it out, or give False"),
        ({"tools": [TOOL]}, "tools is not a setting of this server"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice is not a setting of this server"),
        ({"presence_penalty": 1.5, "stop": "x"}, "presence_penalty is not a setting of this server"),
        ({"stop": ["x"]}, "stop is not a setting"),
        ({"logit_bias": {"5": 1}}, "logit_bias is not a setting"),
        ({"store": True}, "store is not a setting"),
        ({"reasoning_effort": "high"}, "reasoning_effort is not a setting"),
        ({"modalities": ["text", "audio"]}, "modalities is not a setting"),
        ({"extra_body": {"sharpen": 1}}, "sharpen: Extra inputs are not permitted"),
        ({"extra_body": {"kyvo": {"task": "rendering"}}}, "rendering needs a scene; add a scene part"),
        ({"extra_body": {"kyvo": {"task": "editing"}}}, "editing needs a text"),
        ({"extra_body": {"kyvo": {"task": "singing"}}}, "kyvo.task: Input should be"),
    ],
)  # fmt: skip
def test_what_cannot_be_obeyed_is_refused(client, image, settings, reason):
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        say(client, image, **settings)
    assert reason in caught.value.body["message"]


NEUTRAL_SETTINGS = [
    {"stop": None}, {"stop": []}, {"presence_penalty": 0}, {"presence_penalty": 0.0, "frequency_penalty": 0},
    {"tools": [], "tool_choice": "auto"}, {"tools": [TOOL], "tool_choice": "none"}, {"tool_choice": "none"},
    {"functions": [], "function_call": "none"}, {"parallel_tool_calls": True}, {"logit_bias": {}}, {"store": False},
    {"logprobs": False, "top_logprobs": None}, {"n": 1}, {"n": None}, {"user": "x", "safety_identifier": "y"},
    {"metadata": {"a": "b"}, "service_tier": "auto"}, {"modalities": ["text"], "audio": None, "prediction": None},
    {"verbosity": "medium", "reasoning_effort": None}, {"prompt_cache_key": "k", "stream": None},
    {"seed": None, "temperature": None, "top_p": None, "max_tokens": None, "response_format": None},
    {"stream_options": None}, {"repetition_penalty": 1.0, "min_p": 0}, {"kyvo": None},
    {"max_tokens": -1, "seed": -1}, {"stream_options": {"continuous_usage_stats": False}, "chat_template_kwargs": {}},
]  # fmt: skip


@pytest.mark.parametrize("settings", [*NEUTRAL_SETTINGS, {k: v for s in NEUTRAL_SETTINGS for k, v in s.items()}])
def test_settings_that_ask_for_nothing_change_nothing(http, scene, settings):
    """Sent as they are: OpenAI's own client leaves nulls out."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": [scene_part(scene), text("How many cubes?")]}]}
    plain, found = (http.post("/v1/chat/completions", json=body | extra) for extra in ({}, settings))
    assert found.status_code == plain.status_code == 200, found.text
    assert found.json()["choices"] == plain.json()["choices"]


HISTORY = [
    {"role": "user", "content": "Look first."},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]},
    {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "done"}]},
    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}, "refusal": None},
    {"role": "function", "name": "f", "content": "done"},
    {"role": "assistant", "content": "Done.", "cache_control": {"type": "ephemeral"}},
]


def test_calls_of_tools_in_the_history_are_history(http, scene):
    last = {"role": "user", "content": [scene_part(scene), text("How many cubes?")]}
    plain, found = (
        http.post("/v1/chat/completions", json={"model": "tiny", "messages": messages})
        for messages in ([last], [*HISTORY, last])
    )
    assert found.status_code == 200 and found.json()["choices"] == plain.json()["choices"]
    lone = http.post("/v1/chat/completions", json={"model": "tiny", "messages": HISTORY[:3]})
    assert lone.status_code == 422 and "the last message is of the role tool" in lone.text


@pytest.mark.parametrize("place", ["text", "scene", "image", "message"])
def test_hints_for_caches_change_nothing(client, scene, image, place):
    parts = {"scene": scene_part(scene), "image": image, "text": text("How many cubes?")}
    message = {
        "role": "user",
        "content": [parts[k] | ({"cache_control": {"type": "x"}} if k == place else {}) for k in parts],
    }
    message |= {"cache_control": {"type": "x"}} if place == "message" else {}
    found = client.chat.completions.create(model="tiny", messages=[message])
    assert told(found) == told(say(client, *parts.values()))


def test_fields_of_other_parts_that_are_empty_change_nothing(http, scene):
    """As clients in typed languages write a message."""
    parts = [scene_part(scene), text("How many cubes?")]
    wide = [part | {"image_url": None, "annotations": []} for part in parts]
    message = {"role": "user", "content": wide, "tool_calls": [], "function_call": None, "refusal": None}
    plain, found = (
        http.post("/v1/chat/completions", json={"model": "tiny", "messages": [one]})
        for one in ({"role": "user", "content": parts}, message)
    )
    assert found.status_code == 200 and found.json()["choices"] == plain.json()["choices"], found.text
    wide[0]["loop"] = 5
    refused = http.post("/v1/chat/completions", json={"model": "tiny", "messages": [message]})
    said = "messages[0].user.content[0].scene.loop: Extra inputs are not permitted."
    assert refused.status_code == 422 and refused.json()["error"]["message"] == said


@pytest.mark.parametrize("form", ["text", "format", "lines", "URLs", "bare", "percent"])
def test_a_picture_comes_in_the_forms_of_clients(client, image, picture, form):
    head, _, letters = picture.partition(",")
    written = {
        "lines": f" {head},{letters}\n",
        "URLs": f"{head},{letters.replace('+', '-').replace('/', '_')}",
        "bare": f"{head},{letters.rstrip('=')}",
        "percent": f"{head},{letters.replace('+', '%2B').replace('=', '%3D')}",
    }.get(form, picture)
    url = written if form == "text" else {"url": written, **({"format": "image/png"} if form == "format" else {})}
    assert told(say(client, {"type": "image_url", "image_url": url})) == told(say(client, image))


def test_a_model_is_found_by_its_name(client):
    assert client.models.retrieve("tiny") == client.models.list().data[0]
    with pytest.raises(openai.NotFoundError, match="no model is called 'other/one' here; there is 'tiny'"):
        client.models.retrieve("other/one")


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


DEEP = '{"objects": ' + "[" * 900 + "]" * 900 + "}"


@pytest.mark.parametrize(
    "content",
    [
        DEEP,
        '{"objects": [' + '{"a":' * 450 + "1" + "}" * 450 + "]}",
        '{"objects": [NaN, 1e999]}',
        '{"objects": [{"color": "\\ud800"}]}',
        '{"format": "kyvo-scene", "objects": [{"color": "\\ud800"}], "version": 1}',
        '{"objects": [1' + "0" * 5000 + "]}",
    ],
)
@pytest.mark.parametrize("form", [str, lambda content: [{"type": "text", "text": content}]])
def test_an_assistants_text_that_is_nearly_a_scene_hurts_nobody(http, scene, content, form):
    messages = [
        {"role": "user", "content": [scene_part(scene)]},
        {"role": "assistant", "content": form(content)},
        {"role": "user", "content": "How many objects are there?"},
    ]
    answer = http.post("/v1/chat/completions", json={"model": "tiny", "messages": messages})
    assert answer.status_code in (200, 422)


@pytest.mark.slow
def test_a_long_history_of_costly_texts_ends_with_the_time(scene):
    costly = (
        "How many things are left of " + "the thing that is right of the thing that is left of " * 5 + "the red cube?"
    )
    user = {"role": "user", "content": costly}
    messages = [{"role": "user", "content": [scene_part(scene), text(costly)]}, *[user] * 190]
    app = create_app(tiny_kyvo(), name="tiny", limits=Limits(seconds=1.0))
    with serving(app) as url:
        start = time.process_time()
        answer = httpx.post(f"{url}/v1/chat/completions", json={"model": "tiny", "messages": messages}, timeout=300)
        assert answer.status_code == 503 and answer.headers["retry-after"]
        assert time.process_time() - start < 30  # all of them take minutes

"""OpenAI's chat messages -> a job, and its result -> a message, whole or in pieces.

The request is the last message, which is the user's. Where it has neither picture nor scene, those of the latest
message before it that has some are taken: "and what colour is the cube?". Nothing else of the history is read.
"""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

from kyvo.errors import ConfigError
from kyvo.generation.sampling import Sampling
from kyvo.scene.files import scene_to_json
from kyvo.scene.validate import json_schema
from kyvo.serving.inputs import Inputs, data_uri
from kyvo.serving.schemas import (
    ChatCompletion,
    ChatRequest,
    Choice,
    ImageOut,
    ImagePart,
    ImageURLPart,
    MessageOut,
    ResponseFormat,
    ScenePart,
    TextPart,
    Usage,
    UserMessage,
    scene_schema,
)
from kyvo.serving.task_router import task_of
from kyvo.serving.worker import Done, Job
from kyvo.tokenizers.tasks import TASKS, Segment


def job_of(request: ChatRequest, inputs: Inputs) -> Job:
    """What a chat asks for. Raises ConfigError, ImageError or SceneError saying what is missing or too much."""
    last = request.messages[-1]
    if not isinstance(last, UserMessage):
        raise ConfigError(f"the last message is of the role {last.role}; it must be the user's.")
    text = _text_of(last)
    pictures, scenes = _parts(last)
    for earlier in reversed(request.messages[:-1]):
        if pictures or scenes:
            break
        if isinstance(earlier, UserMessage):
            pictures, scenes = _parts(earlier)
    for found, name in ((pictures, "pictures"), (scenes, "scenes")):
        if len(found) > 1:
            raise ConfigError(f"a message has {len(found)} {name}; it may have one.")
    wish = request.kyvo
    task = (wish and wish.task) or task_of(text, has_picture=bool(pictures), has_scene=bool(scenes))
    _check_needs(task, pictures=bool(pictures), scenes=bool(scenes), text=bool(text))
    _check_format(task, request.response_format)
    return Job(
        task=task,
        picture=inputs.picture(pictures[0]) if pictures else None,
        scene=inputs.scene(scenes[0]) if scenes else None,
        text=inputs.text(text) if text else None,
        sampling=sampling_of(request.temperature, request.top_p, wish and wish.top_k, request.seed),
        max_tokens=request.max_completion_tokens or request.max_tokens,
    )


def sampling_of(temperature: float | None, top_p: float | None, top_k: int | None, seed: int | None) -> Sampling:
    """What is not given is as in `Sampling`: greedy."""
    given = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "seed": seed}
    return Sampling(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def completion_of(done: Done, *, model: str) -> ChatCompletion:
    """The whole answer."""
    return ChatCompletion(
        id=_new_id(),
        created=int(time.time()),
        model=model,
        choices=[
            Choice(
                message=MessageOut(content=_text(done), images=_images(done)),
                finish_reason="length" if done.completion.truncated else "stop",
            )
        ],
        usage=usage_of(done),
    )


def usage_of(done: Done) -> Usage:
    return Usage(
        prompt_tokens=done.num_prompt,
        completion_tokens=done.num_output,
        total_tokens=done.num_prompt + done.num_output,
    )


class Chunks:
    """The answer in pieces: the lines of a stream of server-sent events."""

    def __init__(self, *, model: str, with_usage: bool) -> None:
        self._head = {"id": _new_id(), "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
        self._with_usage = with_usage

    def first(self) -> str:
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> str:
        return self._chunk({"content": text})

    def last(self, done: Done, *, sent: str) -> Iterator[str]:
        """What is left to say after `sent`, the pieces so far."""
        left = _text(done).removeprefix(sent)
        delta: dict[str, Any] = {"content": left} if left else {}
        if images := _images(done):
            delta["images"] = [image.model_dump() for image in images]
        if delta:
            yield self._chunk(delta)
        yield self._chunk({}, finish_reason="length" if done.completion.truncated else "stop")
        if self._with_usage:
            yield event({**self._head, "choices": [], "usage": usage_of(done).model_dump()})
        yield "data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event({**self._head, "choices": [choice]})


def event(data: dict[str, Any]) -> str:
    """One server-sent event; JSON has no line breaks of its own."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _new_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def _text_of(message: UserMessage) -> str:
    if isinstance(message.content, str):
        return message.content.strip()
    texts = [part.text.strip() for part in message.content if isinstance(part, TextPart)]
    return "\n".join(filter(None, texts))


def _parts(message: UserMessage) -> tuple[list[str], list[dict[str, Any]]]:
    """The pictures and the scenes, as they came."""
    parts = [] if isinstance(message.content, str) else message.content
    pictures = [part.image_url.url for part in parts if isinstance(part, ImageURLPart)]
    pictures += [part.image for part in parts if isinstance(part, ImagePart)]
    return pictures, [part.scene for part in parts if isinstance(part, ScenePart)]


def _check_needs(task: str, *, pictures: bool, scenes: bool, text: bool) -> None:
    inputs = TASKS[task].inputs
    if Segment.TEXT in inputs and not text:
        raise ConfigError(f"{task} needs a text; add a text part.")
    if inputs == (Segment.SCENE,) and not scenes:
        raise ConfigError(f"{task} needs a scene; add a scene part.")
    if inputs == (Segment.IMAGE,) and not pictures:
        raise ConfigError(f"{task} needs a picture; add an image_url or image part.")
    if not (pictures or scenes):
        raise ConfigError(f"{task} needs a scene or a picture; add a scene, image_url or image part.")


def _check_format(task: str, wanted: ResponseFormat | None) -> None:
    if wanted is None or wanted.type == "text":
        return
    if Segment.SCENE not in TASKS[task].outputs:
        raise ConfigError(f"response_format is {wanted.type}, but {task} answers with no JSON; leave it out.")
    if wanted.type == "json_object":
        return
    schema = wanted.json_schema.schema_ if wanted.json_schema else None
    if schema not in (json_schema(), scene_schema(), {"$ref": json_schema()["$id"]}):
        raise ConfigError(
            "response_format has a JSON Schema that is not the scenes'; this model writes scene JSON alone. "
            f'GET /v1/scenes/schema has it, and {{"$ref": "{json_schema()["$id"]}"}} stands for it.'
        )


def _text(done: Done) -> str:
    completion = done.completion
    if completion.scene is not None:
        return json.dumps(scene_to_json(completion.scene), ensure_ascii=False)
    if completion.text is not None:
        return completion.text
    assert completion.image is not None
    return data_uri(completion.image)


def _images(done: Done) -> list[ImageOut]:
    image = done.completion.image
    return [] if image is None else [ImageOut(image_url={"url": data_uri(image)})]

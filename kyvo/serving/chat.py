"""OpenAI's chat messages -> a job, and its result -> a message, whole or in pieces.

The request is the last message, which is the user's. The scene and picture it is about are the newest in the history,
whoever sent them: scene JSON in the message of an assistant or a tool counts. Earlier texts are what "it" refers to.
"""

import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kyvo.api import AnswerResult, Completion, EditResult, Interpretation, Kyvo
from kyvo.errors import ConfigError, KyvoError
from kyvo.generation.sampling import Sampling
from kyvo.pipelines.run import Run
from kyvo.programs.execute import answer
from kyvo.programs.json_form import to_json
from kyvo.programs.parsing import Turn
from kyvo.programs.pending import Pending
from kyvo.programs.program import Edit
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene
from kyvo.scene.source import source_of
from kyvo.scene.validate import json_schema
from kyvo.serving import jobs
from kyvo.serving.body import parse_json
from kyvo.serving.errors import RequestError
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
from kyvo.serving.worker import Job, JobOutput
from kyvo.tokenizers.tasks import TASKS, Segment

# A text asks for the whole picture where it has a word of DESCRIBE, or "what", and otherwise words of OF_ALL alone.
DESCRIBE = frozenset(
    re.findall(
        r"\w+",
        "analyse analyze caption convert describe description detect extract interpret parse recognise recognize scene",
    )
)
OF_ALL = frozenset(
    re.findall(
        r"\w+",
        "a all am an and are as at can contain contains content contents could depict depicts detail do does each "
        "every everything find full give graph here i image in into is it its list looking me my of objects on photo "
        "photograph picture please s see seen show showing shown shows tell that the their there things this to "
        "visible what with would you",
    )
)
_DRAW = re.compile(
    r"\s*(please\s+)?(render|draw|show)(\s+me)?(\s+(it|this|(the|this|a|an)\s+(scene|picture|image)))?\W*",
    re.IGNORECASE,
)


@dataclass(kw_only=True)
class History:
    """What the messages before the last one leave: the newest picture or scene, and the turns about it.

    Earlier texts are noted as they are read, and executed in the job (`replay`): they cost time.
    """

    picture: str | None = None  # base64 or a data URI, as it came
    scene: Scene | None = None
    turns: list[Turn] = field(default_factory=list)
    earlier: list[str | Scene] = field(default_factory=list)  # a user's texts, and scenes of the assistant's
    pending: Pending = field(default_factory=Pending)

    @property
    def has_scene(self) -> bool:
        return self.scene is not None or any(isinstance(one, Scene) for one in self.earlier)

    @property
    def dialogue(self) -> list[Turn]:
        """What the next text can refer to."""
        refused = self.pending.refused
        return self.turns if refused is None else [*self.turns, refused]

    def show(self, picture: str | None, scene: Scene | None) -> None:
        """A message with a picture or a scene: what was there before counts no more."""
        if picture is not None or scene is not None:
            self.picture, self.scene, self.turns, self.earlier = picture, scene, [], []
            self.pending.clear()

    def replay(self, model: Kyvo, run: Run) -> None:
        """Executes the earlier texts as long as the run may take."""
        for one in self.earlier:
            run.check()
            if isinstance(one, Scene):
                self.scene = one
                self.pending.clear()
            else:
                self._say(model, one, run)
        self.earlier = []

    def understand(self, model: Kyvo, text: str) -> Interpretation:
        """What a text asks; it may be the answer to "which one?"."""
        try:
            return model.understand(text, self.dialogue, waiting=self.pending.clarification)
        except KyvoError as error:
            self.pending.not_understood(text, error)
            raise

    def _say(self, model: Kyvo, text: str, run: Run) -> None:
        """A user's earlier text, executed again without a picture, so that later ones can refer to it."""
        if self.scene is None or not text:
            return
        schema = model.processor.schema
        try:
            understood = self.understand(model, text)
        except KyvoError:  # it was refused then, too
            return
        try:
            if isinstance(understood.program, Edit):
                edited = model.editing(self.scene, understood, run, dialogue=self.turns, render=False)
                turn, self.scene = edited.turn(), edited.scene
            else:
                found = answer(understood.program, self.scene, schema, dialogue=self.turns)
                turn = AnswerResult(
                    text=found.text, scene=self.scene, understood=understood, objects=found.objects
                ).turn()
        except KyvoError as error:
            self.pending.not_done(understood.text, understood.program, self.scene, error)
            return
        self.pending.clear()
        if turn is not None:
            self.turns.append(turn)


def job_of(request: ChatRequest, inputs: Inputs, model: Kyvo) -> Job:
    """What a chat asks for. Raises ConfigError, ImageError or SceneError saying what is missing or too much."""
    last = request.messages[-1]
    if not isinstance(last, UserMessage):
        raise ConfigError(f"the last message is of the role {last.role}; it must be the user's.")
    history = History()
    for message in request.messages[:-1]:
        if isinstance(message, UserMessage):
            history.show(*_shown(message, inputs))
            history.earlier.append(_text_of(message))
        elif (
            message.role in ("assistant", "tool", "function")
            and (scene := _scene_in(message.content, inputs)) is not None
        ):
            history.earlier.append(scene)
    history.show(*_shown(last, inputs))
    text, wish = _text_of(last), request.kyvo
    shown, has_scene = history.picture, history.has_scene
    task = (wish and wish.task) or task_of(text, has_picture=shown is not None, has_scene=has_scene)
    _check_needs(task, picture=shown is not None, scene=has_scene, text=bool(text))
    _check_format(task, request.response_format)
    sampling = sampling_of(request.temperature, request.top_p, wish and wish.top_k, request.seed)
    max_tokens = request.max_completion_tokens or request.max_tokens
    if task == "recognition":
        assert shown is not None
        return jobs.recognition(model, inputs.picture(shown), max_tokens=max_tokens)
    picture = inputs.picture(shown) if shown is not None and not has_scene else None
    text = inputs.text(text)

    def job() -> Job:
        scene = history.scene
        if task == "rendering" and scene is not None:
            model.processor.schema.snap(scene)  # refuses what the model cannot read
            return jobs.rendering(model.rendering, scene, sampling=sampling, max_tokens=max_tokens)
        if task == "question_answering":
            return jobs.answering(model, scene, text, picture=picture)
        if task == "editing" and scene is not None:
            return jobs.editing(model, scene, text, sampling=sampling)
        said = text if history.pending.clarification is None else history.understand(model, text)
        return jobs.dialogue(model, scene, said, picture=picture, earlier=history.dialogue, sampling=sampling)

    if not history.earlier:
        return job()

    def work(run: Run) -> Any:
        history.replay(model, run)
        return job().work(run)

    last_tokens = max_tokens if task == "rendering" else None
    return Job(task=task, work=work, sampling=sampling, max_tokens=last_tokens, renders=task == "editing")


def sampling_of(temperature: float | None, top_p: float | None, top_k: int | None, seed: int | None) -> Sampling:
    """What is not given is as in `Sampling`: greedy."""
    given = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "seed": seed}
    return Sampling(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def understood_of(result: EditResult | AnswerResult) -> dict[str, Any]:
    """How a text was understood, as plain data."""
    understood = result.understood
    if understood is None:
        return {"program": None, "reading": None, "probability": None, "objects": result.objects}
    return {
        "program": to_json(understood.program),
        "reading": understood.reading,
        "probability": understood.probability,
        "alternatives": list(understood.alternatives),
        "notes": list(understood.notes),
        "objects": list(result.objects),
    }


def completion_of(done: JobOutput, *, model: str) -> ChatCompletion:
    """The whole answer."""
    return ChatCompletion(
        id=_new_id(),
        created=int(time.time()),
        model=model,
        choices=[
            Choice(
                message=MessageOut(content=_text(done), images=_images(done), kyvo=_understood(done)),
                finish_reason="length" if done.result.truncated else "stop",
            )
        ],
        usage=usage_of(done),
    )


def usage_of(done: JobOutput) -> Usage:
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

    def last(self, done: JobOutput, *, sent: str) -> Iterator[str]:
        """What is left to say after `sent`, the pieces so far."""
        left = _text(done).removeprefix(sent)
        delta: dict[str, Any] = {"content": left} if left else {}
        if images := _images(done):
            delta["images"] = [image.model_dump() for image in images]
        if understood := _understood(done):
            delta["kyvo"] = understood
        if delta:
            yield self._chunk(delta)
        yield self._chunk({}, finish_reason="length" if done.result.truncated else "stop")
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


def _shown(message: UserMessage, inputs: Inputs) -> tuple[str | None, Scene | None]:
    """The picture, as it came, and the scene of a message."""
    parts = [] if isinstance(message.content, str) else message.content
    pictures = [part.image_url.url for part in parts if isinstance(part, ImageURLPart)]
    pictures += [part.image for part in parts if isinstance(part, ImagePart)]
    scenes = [part.scene for part in parts if isinstance(part, ScenePart)]
    for found, name in ((pictures, "pictures"), (scenes, "scenes")):
        if len(found) > 1:
            raise ConfigError(f"a message has {len(found)} {name}; it may have one.")
    return (pictures[0] if pictures else None), (inputs.scene(scenes[0]) if scenes else None)


def _scene_in(content: Any, inputs: Inputs) -> Scene | None:
    """The scene JSON in a message's text, bare or in Markdown's fences. None for any other text."""
    texts = [content] if isinstance(content, str) else [part.get("text") for part in content or () if _is_text(part)]
    for text in texts:
        if not isinstance(text, str) or "{" not in text:
            continue
        try:
            data = parse_json(text[text.index("{") : text.rindex("}") + 1].encode(), inputs.limits)
        except (ValueError, RequestError):
            continue
        if isinstance(data, dict) and "objects" in data:
            return inputs.scene(data)
    return None


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in ("text", "output_text")


def task_of(text: str, *, has_picture: bool, has_scene: bool) -> str:
    """The task that a message means where it does not say so; docs/serving.md has the table. `dialogue` is for texts,
    of which the parser says whether they ask or instruct."""
    if not has_picture and not has_scene:
        raise ConfigError("there is neither a picture nor a scene; add an image_url, image or scene part.")
    if not has_scene and (not text or _describes(text)):
        return "recognition"
    if not text or (not has_picture and _DRAW.fullmatch(text.strip())):
        if has_picture:
            raise ConfigError("there are a scene and its picture, but no text; add a question or an instruction.")
        return "rendering"
    return "dialogue"


def _describes(text: str) -> bool:
    """Whether a text asks for the whole picture, and for no object of it."""
    words = re.findall(r"\w+", text.lower())
    if "json" in words:
        return True
    if re.search(r"\bwhat (objects|things)\b", text, re.IGNORECASE):
        return False  # their names answer it
    asks = "what" in words or not DESCRIBE.isdisjoint(words)
    return asks and DESCRIBE.union(OF_ALL).issuperset(words)


def _check_needs(task: str, *, picture: bool, scene: bool, text: bool) -> None:
    if task == "dialogue":
        return
    inputs = TASKS[task].inputs
    if Segment.TEXT in inputs and not text:
        raise ConfigError(f"{task} needs a text; add a text part.")
    if inputs == (Segment.SCENE,) and not scene:
        raise ConfigError(f"{task} needs a scene; add a scene part.")
    if inputs == (Segment.IMAGE,) and not picture:
        raise ConfigError(f"{task} needs a picture; add an image_url or image part.")
    if not (picture or scene):
        raise ConfigError(f"{task} needs a scene or a picture; add a scene, image_url or image part.")


def _check_format(task: str, wanted: ResponseFormat | None) -> None:
    if wanted is None or wanted.type == "text" or task == "dialogue":
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


def _text(done: JobOutput) -> str:
    result: Completion | EditResult | AnswerResult = done.result
    if isinstance(result, AnswerResult):
        return result.text
    if result.scene is not None:
        return json.dumps(scene_to_json(result.scene), ensure_ascii=False)
    assert result.image is not None
    return data_uri(result.image)


def _images(done: JobOutput) -> list[ImageOut]:
    image = None if isinstance(done.result, AnswerResult) else done.result.image
    return [] if image is None else [ImageOut(image_url={"url": data_uri(image)})]


def _understood(done: JobOutput) -> dict[str, Any] | None:
    if isinstance(done.result, EditResult | AnswerResult):
        return understood_of(done.result)
    return None if done.result.scene is None else source_of(done.result.scene).to_json() or None

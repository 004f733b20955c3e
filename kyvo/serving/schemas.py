"""Models of requests and responses (pydantic): the source of the OpenAPI description, and the first check of a body.

Unknown fields are refused where they would be obeyed elsewhere: a setting that does nothing is worse than an error.
"""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from kyvo.pipelines.rendering import RendererName
from kyvo.scene.validate import json_schema
from kyvo.serving.openai_settings import without_defaults

Role = Literal["recognition", "rendering", "editing", "question_answering"]


@cache
def scene_schema() -> dict[str, Any]:
    """The JSON Schema of scenes, with its definitions in their places."""
    whole = json_schema()

    def fill(node: Any) -> Any:
        if isinstance(node, list):
            return [fill(entry) for entry in node]
        if not isinstance(node, dict):
            return node
        filled = {key: fill(value) for key, value in node.items() if key not in ("$ref", "$defs", "$schema", "$id")}
        name = node.get("$ref", "").rpartition("/")[2]
        return filled | fill(whole["$defs"][name]) if name else filled

    return fill(whole)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


SceneJSON = Annotated[dict[str, Any], WithJsonSchema(scene_schema())]
Picture = Annotated[str, Field(min_length=1, description="Base64 of a picture file, or a data URI of it.")]
Text = Annotated[str, Field(min_length=1, pattern=r"\S")]


class Sampling(_Strict):
    """How a picture's codes are drawn; temperature 0 takes the likeliest, as scenes and answers always do."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    seed: int | None = Field(None, ge=0, lt=2**63)


class RecognizeRequest(_Strict):
    image: Picture
    camera: dict[str, Any] | None = Field(
        None, description="The camera that took it, as in scene JSON; without it the camera is read from the picture."
    )


class RenderRequest(Sampling):
    scene: SceneJSON
    renderer: RendererName | None = Field(
        None, description="Who draws: the model, or the ray tracer, which is exact. By default the server's choice."
    )


class EditRequest(Sampling):
    scene: SceneJSON
    instruction: Text
    image: Picture | None = Field(None, description="The scene's picture before. Accepted, and not needed.")
    render: bool = Field(True, description="Whether the scene after is rendered.")


class AskRequest(_Strict):
    scene: SceneJSON | None = None
    question: Text
    image: Picture | None = Field(
        None, description="A picture: recognised and asked about where there is no scene, else compared with it."
    )


class Usage(BaseModel):
    """In tokens, pictures and scenes included; forced tokens are counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TaskResponse(BaseModel):
    """What every response of /v1/scenes has beside its result."""

    truncated: bool = Field(description="The output stopped at a limit; `reason` says at which.")
    reason: str | None
    usage: Usage


class RecognizeResponse(TaskResponse):
    scene: SceneJSON
    in_domain: float | None = Field(
        None, description="How like the picture is to those that the model knows, in [0, 1]; null: not measured."
    )
    notes: list[str] = Field([], description="What was done to the picture to fit the model's shape and brightness.")
    warnings: list[str] = Field([], description="Why the scene should not be relied on.")


class RenderResponse(TaskResponse):
    image: str = Field(description="A data URI of a PNG.")


class TextResponse(TaskResponse):
    """How the text was understood, and what the result rests on."""

    program: dict[str, Any] | None = Field(description="What the text asks, as a program.")
    reading: str | None = Field(description="The program in plain English.")
    probability: float | None = Field(description="That this is what the text means, as the parser says.")
    alternatives: list[str] = Field([], description="Other readings, likelier first.")
    notes: list[str] = Field([], description="What was repaired or chosen on the way.")
    objects: list[int] = Field([], description="Indices of the objects that it rests on, in the scene before.")


class EditResponse(TextResponse):
    scene: SceneJSON
    image: str | None = Field(description="A data URI of a PNG; null where none was rendered.")
    diff: dict[str, Any] = Field(description="Objects added, removed, moved and changed.")
    changed: list[int] = Field([], description="Indices of objects with other values, in the scene after.")
    removed: list[int] = Field([], description="Indices of objects that went, in the scene before.")
    added: list[int] = Field([], description="Indices of new objects, in the scene after.")


class AskResponse(TextResponse):
    answer: str


class _CachedPart(_Strict):
    """What may carry a hint for caches, as clients of other servers send it."""

    cache_control: dict[str, Any] | None = Field(None, description="Not read.")

    @model_validator(mode="before")
    @classmethod
    def drop_empty(cls, data: Any) -> Any:
        """Typed clients write each field that a message or part of any kind may have, null or empty."""
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if name in cls.model_fields or value not in (None, [])}


class TextPart(_CachedPart):
    type: Literal["text"]
    text: str


class ImageURL(_Strict):
    url: Picture
    detail: str | None = Field(None, description="Not read.")
    format: str | None = Field(None, description="Not read: the picture says it.")

    @model_validator(mode="before")
    @classmethod
    def of_text(cls, data: Any) -> Any:
        """Some clients write the URL itself."""
        return {"url": data} if isinstance(data, str) else data


class ImageURLPart(_CachedPart):
    type: Literal["image_url"]
    image_url: ImageURL


class ImagePart(_CachedPart):
    """Hugging Face's form."""

    type: Literal["image"]
    image: Picture


class ScenePart(_CachedPart):
    type: Literal["scene"]
    scene: SceneJSON


Part = Annotated[TextPart | ImageURLPart | ImagePart | ScenePart, Field(discriminator="type")]


class UserMessage(_CachedPart):
    role: Literal["user"]
    content: str | list[Part]
    name: str | None = None


class OtherMessage(BaseModel):
    """Accepted as history, and not read."""

    role: Literal["system", "developer", "assistant", "tool", "function"]
    content: str | list[Any] | None = None


Message = Annotated[UserMessage | OtherMessage, Field(discriminator="role")]


class SchemaName(BaseModel):
    name: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(_Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaName | None = None


class StreamOptions(_Strict):
    include_usage: bool | None = False
    continuous_usage_stats: Literal[False] | None = Field(None, description="vLLM's; it is not kept.")
    include_obfuscation: bool | None = Field(None, description="Not read.")


class KyvoOptions(_Strict):
    """Ours: what OpenAI's fields cannot say."""

    task: Role | None = Field(None, description="By default what the message's parts and text mean.")
    top_k: int | None = Field(None, ge=0, le=1_000_000)


class ChatRequest(_Strict):
    """Other settings of OpenAI's are taken where they ask for nothing; see `kyvo.serving.openai_settings`."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=200)
    stream: bool = False
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2, description="Of pictures.")
    top_p: float | None = Field(None, gt=0, le=1, description="Of pictures.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="Of pictures.")
    kyvo: KyvoOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def drop_neutral(cls, body: Any) -> Any:
        return without_defaults(body) if isinstance(body, dict) else body


class ImageOut(BaseModel):
    type: Literal["image_url"] = "image_url"
    image_url: dict[str, str]


class MessageOut(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str = Field(description="The scene as JSON, the answer, or the picture as a data URI.")
    images: list[ImageOut] = Field([], description="The picture of a rendering or an editing.")
    kyvo: dict[str, Any] | None = Field(
        None,
        description="How a text was understood, as in /v1/scenes/edit and ask; of a recognised scene its `source`.",
    )


class Choice(BaseModel):
    index: Literal[0] = 0
    message: MessageOut
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "kyvo"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    model: str
    version: str
    waiting: int
    running: int


class ErrorBody(BaseModel):
    """The body of every answer that is not a result."""

    class Detail(BaseModel):
        message: str
        type: str
        param: str | None
        code: str | None
        candidates: list[int] | None = None
        near: list[str] | None = None

    error: Detail

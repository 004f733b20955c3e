"""What requests and answers look like: the source of the OpenAPI description, and the first check of a body.

Unknown fields are refused where they would be obeyed elsewhere: a setting that does nothing is worse than an error.
"""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from kyvo.scene.validate import json_schema

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


class EditRequest(Sampling):
    scene: SceneJSON
    instruction: Text
    image: Picture | None = Field(None, description="The scene's picture; without it one is rendered first.")


class AskRequest(_Strict):
    scene: SceneJSON
    question: Text
    image: Picture | None = Field(None, description="The scene's picture; without it one is rendered first.")


class Usage(BaseModel):
    """In tokens, pictures and scenes included; forced tokens are counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Answer(BaseModel):
    """What every answer of /v1/scenes says beside its result."""

    truncated: bool = Field(description="The output stopped at a limit; `reason` says at which.")
    reason: str | None
    usage: Usage


class Recognized(Answer):
    scene: SceneJSON


class Rendered(Answer):
    image: str = Field(description="A data URI of a PNG.")


class Edited(Answer):
    scene: SceneJSON
    image: str = Field(description="A data URI of a PNG.")
    diff: dict[str, Any] = Field(description="Objects added, removed, moved and changed.")


class Answered(Answer):
    answer: str


class TextPart(_Strict):
    type: Literal["text"]
    text: str


class ImageURL(_Strict):
    url: Picture
    detail: str | None = None


class ImageURLPart(_Strict):
    type: Literal["image_url"]
    image_url: ImageURL


class ImagePart(_Strict):
    """Hugging Face's form."""

    type: Literal["image"]
    image: Picture


class ScenePart(_Strict):
    type: Literal["scene"]
    scene: SceneJSON


Part = Annotated[TextPart | ImageURLPart | ImagePart | ScenePart, Field(discriminator="type")]


class UserMessage(_Strict):
    role: Literal["user"]
    content: str | list[Part]
    name: str | None = None


class OtherMessage(BaseModel):
    """Accepted as history, and not read."""

    role: Literal["system", "developer", "assistant"]
    content: str | list[Any] | None = None


Message = Annotated[UserMessage | OtherMessage, Field(discriminator="role")]


class SchemaName(BaseModel):
    name: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(_Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaName | None = None


class StreamOptions(_Strict):
    include_usage: bool = False


class Wish(_Strict):
    """Ours: what OpenAI's fields cannot say."""

    task: Role | None = Field(None, description="By default what the message's parts and text mean.")
    top_k: int | None = Field(None, ge=0, le=1_000_000)


class ChatRequest(_Strict):
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
    n: Literal[1] = 1
    user: str | None = Field(None, description="Not read.")
    kyvo: Wish | None = None


class ImageOut(BaseModel):
    type: Literal["image_url"] = "image_url"
    image_url: dict[str, str]


class MessageOut(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str = Field(description="The scene as JSON, the answer, or the picture as a data URI.")
    images: list[ImageOut] = Field([], description="The picture of a rendering or an editing.")


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


class Fault(BaseModel):
    """The body of every answer that is not a result."""

    class Detail(BaseModel):
        message: str
        type: str
        param: str | None
        code: str | None

    error: Detail

"""The task router: which task a request means, where it does not say so. docs/serving.md states the rule.

| there is | the text | task |
|---|---|---|
| a picture | none, or asks for a scene or a description | recognition |
| a picture | a question or an instruction | recognition first, then as with a scene |
| a scene | none, or asks to draw it | rendering |
| a scene, with or without a picture | a question (`kyvo.conversation.is_question`) | question_answering |
| a scene, with or without a picture | anything else | editing |
"""

import re

from kyvo.conversation import is_question
from kyvo.errors import ConfigError

_DESCRIBE = re.compile(r"\b(describe|description|scene|recogni[sz]e|detect|extract|json)\b", re.IGNORECASE)
_DRAW = re.compile(
    r"\s*(please\s+)?(render|draw|show)(\s+me)?(\s+(it|this|(the|this|a|an)\s+(scene|picture|image)))?\W*",
    re.IGNORECASE,
)


def task_of(text: str | None, *, has_picture: bool, has_scene: bool) -> str:
    """The task's name. Raises ConfigError where nothing fits, saying what to add."""
    if not has_picture and not has_scene:
        raise ConfigError("there is neither a picture nor a scene; add an image_url, image or scene part.")
    if not has_scene and (not text or _DESCRIBE.search(text)):
        return "recognition"
    if not text or (not has_picture and _DRAW.fullmatch(text.strip())):
        if has_picture:
            raise ConfigError("there are a scene and its picture, but no text; add a question or an instruction.")
        return "rendering"
    return "question_answering" if is_question(text) else "editing"

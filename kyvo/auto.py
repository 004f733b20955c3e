"""`KyvoProcessor`: our processor behind transformers' `AutoProcessor`, with a chat template.

Importing this module makes the name known; a folded folder says in `config.json` that it wants it.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoProcessor, BatchFeature, PretrainedConfig

from kyvo.auto_model import KyvoForCausalLM
from kyvo.errors import TokenError
from kyvo.models.llama.fold import POSITIONS_NAME
from kyvo.processor import Processor
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Scene
from kyvo.tokenizers.pictures import decode_base64, decode_picture, load_picture
from kyvo.tokenizers.tasks import TASKS, Segment, Segments

_KINDS = {"image_url": Segment.IMAGE.value}  # OpenAI's part
_WITHOUT_EFFECT = {"return_attention_mask": True, "verbose": True}  # keywords with what is done anyhow
_IMAGE_KEYS = ("image", "path", "url", "base64")  # transformers'
Message = Mapping[str, Any]  # {"role": "user", "content": [{"type": "image", "image": ...}, ...]}


class KyvoProcessor(Processor):
    """Messages -> ids of a task's prompt; ids -> what came out."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, **_: object) -> "KyvoProcessor":
        """As `Processor.from_pretrained`; what `AutoProcessor` passes besides is for downloads.

        Warns of a folder that a plain `LlamaForCausalLM` runs without a part of it.
        """
        found: KyvoProcessor = super().from_pretrained(folder)  # type: ignore[assignment]
        place = Path(folder)
        lacks = ["positions.safetensors"] if (place / POSITIONS_NAME).is_file() else []
        lacks += ["two_way in sequence.json"] if "image" in found.two_way else []
        if lacks and place.resolve() not in KyvoForCausalLM.loaded:
            warnings.warn(
                f"{folder} has {' and '.join(lacks)}, which AutoModelForCausalLM leaves out: what it generates is "
                "worth nothing. Load the model by kyvo.auto.KyvoForCausalLM.from_pretrained, before the processor.",
                stacklevel=2,
            )
        return found

    def apply_chat_template(
        self,
        conversation: Sequence[Message] | Sequence[Sequence[Message]],
        chat_template: str | None = None,
        *,
        task: str | None = None,
        tokenize: bool | None = True,
        add_generation_prompt: bool | None = True,
        return_dict: bool | None = True,
        return_tensors: str | None = "pt",
        padding: bool | str | None = True,
        padding_side: str | None = "left",
        max_length: int | None = None,
        truncation: bool | str | None = False,
        **other: object,
    ) -> Any:
        """Prompts of one conversation or of several: `input_ids` and `attention_mask` [batch, seq], padded on the left.

        Of each conversation the last message counts, which is the user's. Its content has at most one part of each
        kind, in any order:

        ```python
        [{"type": "image", "image": picture}, {"type": "scene", "scene": scene}, {"type": "text", "text": "..."}]
        ```

        A picture is what `load_picture` reads, under one of the keys `image`, `path`, `url`, `base64`; OpenAI's part
        `{"type": "image_url", "image_url": {"url": ...}}` is one too.

        Args:
            conversation: one, or several of them.
            chat_template: None alone: a prompt's form is the task's.
            task: a name in TASKS; needed where the parts fit several, as a question and an instruction do.
            tokenize: prompts are ids and have no text, so True alone.
            add_generation_prompt: what follows a prompt is the answer either way.
            return_dict: else the ids alone.
            return_tensors: "pt", "np", or None for lists.
            padding: True or "longest"; "max_length" pads to `max_length`; False leaves rows as long as they are.
            padding_side: "left" alone, as what is generated follows on the right.
            max_length: the length that `padding` and `truncation` speak of.
            truncation: a prompt is never cut; where one is longer than `max_length`, this is an error.
            other: further settings of transformers, taken where they ask for nothing (None, False or empty) or for
                what is done anyhow.

        Raises:
            TokenError: the parts fit no task, or several and `task` is not given; a setting cannot be obeyed.
            ImageError: a picture cannot be read.
        """
        other["chat_template"] = chat_template
        asked = [
            name for name, value in other.items() if value not in (None, False, [], {}, (), _WITHOUT_EFFECT.get(name))
        ]
        if tokenize is False:
            asked.append("tokenize=False")
        if padding_side not in (None, "left"):
            asked.append(f"padding_side={padding_side!r}")
        if return_tensors not in ("pt", "np", None):
            asked.append(f"return_tensors={return_tensors!r}")
        if asked:
            raise TokenError(
                f"apply_chat_template has no {', '.join(asked)}; prompts are ids with pictures and scenes in them, "
                'padded on the left, as return_tensors="pt", "np" or None.'
            )
        if task is not None and task not in TASKS:
            raise TokenError(f"task is {task!r}; it is one of {', '.join(TASKS)}.")
        prompts = [self._prompt(one[-1], task) for one in _conversations(conversation)]
        longest = max(map(len, prompts))
        if max_length is not None and truncation not in (None, False, "do_not_truncate") and longest > max_length:
            raise TokenError(f"a prompt has {longest} ids, and max_length is {max_length}; a prompt is never cut.")
        length = _padded_length(padding, longest, max_length)
        if length is None and return_tensors is not None and len({*map(len, prompts)}) > 1:
            raise TokenError("prompts of several lengths make no tensor without padding; give padding=True.")
        gaps = [max((length or 0) - len(prompt), 0) for prompt in prompts]
        rows: dict[str, Any] = {
            "input_ids": [[self.text.pad_id] * gap + prompt for gap, prompt in zip(gaps, prompts, strict=True)],
            "attention_mask": [[0] * gap + [1] * len(prompt) for gap, prompt in zip(gaps, prompts, strict=True)],
        }
        done = BatchFeature(rows, tensor_type=return_tensors)
        return done if return_dict is not False else done["input_ids"]

    def parse(self, ids: Iterable[Sequence[int] | torch.Tensor], *, task: str) -> list[Segments]:
        """What `generate` wrote in each row: ids after the prompt, with EOS and padding. Raises TokenError."""
        found = []
        for row in ids:
            row = [int(token) for token in row]
            end = row.index(self.text.eos_id) + 1 if self.text.eos_id in row else len(row)
            found.append(self.builder.parse_output(TASKS[task], row[:end]))
        return found

    def _prompt(self, message: Message, task: str | None) -> list[int]:
        if message.get("role", "user") != "user":
            raise TokenError(f"the last message is of the role {message['role']!r}; it must be the user's.")
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, Sequence) or not all(isinstance(part, Mapping) and "type" in part for part in parts):
            raise TokenError("the content of the last message is a text, or a list of parts with a `type` each.")
        kinds = [_KINDS.get(part["type"], part["type"]) for part in parts]
        if len(set(kinds)) < len(kinds) or not set(kinds) <= set(Segment):
            raise TokenError(
                f"a message has the parts {', '.join(part['type'] for part in parts)}; "
                f"it may have one of each of {', '.join(Segment)}."
            )
        values: dict[str, Any] = {kind: _value_of(part, kind) for kind, part in zip(kinds, parts, strict=True)}
        fitting = [name for name, known in TASKS.items() if set(known.inputs) == values.keys()]
        if task is None and len(fitting) != 1:
            raise TokenError(
                f"{', '.join(values) or 'nothing'} fits {' and '.join(fitting) or 'no task'}; "
                f"name one of {', '.join(TASKS)}."
            )
        if Segment.IMAGE in values:
            values["image"] = self.image.encode([values["image"]])[0]
        if Segment.SCENE in values and not isinstance(values["scene"], Scene):
            values["scene"] = scene_from_json(values["scene"])
        return self.builder.prompt(TASKS[task or fitting[0]], Segments(**values))


def _conversations(given: Any) -> list[Sequence[Message]]:
    """One conversation or several as a list of them. Raises TokenError for what is none."""
    one = list(given) if isinstance(given, Iterable) and not isinstance(given, Mapping | str) else []
    several: list[Sequence[Message]] = [one] if one and isinstance(one[0], Mapping) else one
    for messages in several:
        if not isinstance(messages, Sequence) or not messages or not all(isinstance(m, Mapping) for m in messages):
            several = []
    if not several:
        raise TokenError("a conversation is a list with a message at least; give [{'role': 'user', ...}].")
    return several


def _value_of(part: Message, kind: str) -> Any:
    """What a part holds; a picture as pixels."""
    if kind != Segment.IMAGE:
        if kind not in part:
            raise TokenError(f"a part of the type {kind} has its content under {kind!r}; it has {', '.join(part)}.")
        return part[kind]
    named = part.get("image_url")
    given = named if isinstance(named, Mapping) else part
    found = {name: given[name] for name in (*_IMAGE_KEYS, "image_url") if given.get(name) is not None}
    if len(found) != 1:
        raise TokenError(
            f"a picture stands under one of {', '.join(_IMAGE_KEYS)}; this part has "
            f"{', '.join(name for name in given if name != 'type') or 'none'}."
        )
    [(name, value)] = found.items()
    return decode_picture(decode_base64(value)) if name == "base64" else load_picture(value)


def _padded_length(padding: bool | str | None, longest: int, max_length: int | None) -> int | None:
    """The length of every row; None where rows stay as they are."""
    if padding in (True, "longest"):
        return longest
    if padding in (False, None, "do_not_pad"):
        return None
    if padding == "max_length" and max_length is not None:
        return max(longest, max_length)
    raise TokenError(f"padding is {padding!r}; True, 'longest', False, or 'max_length' with a max_length is needed.")


class _KyvoConfig(PretrainedConfig):
    """Never written: `AutoProcessor` finds a class by its name among those registered, and registers by a config."""

    model_type = "kyvo"


AutoProcessor.register(_KyvoConfig, KyvoProcessor, exist_ok=True)

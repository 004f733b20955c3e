"""`KyvoProcessor`: our processor behind transformers' `AutoProcessor`, with a chat template.

Importing this module makes the name known; a folded folder says in `config.json` that it wants it.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoProcessor, BatchFeature, PretrainedConfig

from kyvo.errors import TokenError
from kyvo.processor import Processor
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Scene
from kyvo.tokenizers.pictures import read_picture
from kyvo.tokenizers.tasks import TASKS, Segment, Segments

Message = Mapping[str, Any]  # {"role": "user", "content": [{"type": "image", "image": ...}, ...]}


class KyvoProcessor(Processor):
    """Messages -> ids of a task's prompt; ids -> what came out."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, **_: object) -> "KyvoProcessor":
        """As `Processor.from_pretrained`; what `AutoProcessor` passes besides is for downloads."""
        return super().from_pretrained(folder)  # type: ignore[return-value]

    def apply_chat_template(
        self, conversations: Sequence[Message] | Sequence[Sequence[Message]], *, task: str | None = None
    ) -> BatchFeature:
        """Prompts of one conversation or of several: `input_ids` and `attention_mask` [batch, seq], padded on the left.

        Of each conversation the last message counts. Its content has at most one part of each kind, in any order:

        ```python
        [{"type": "image", "image": path_or_pixels}, {"type": "scene", "scene": scene}, {"type": "text", "text": "..."}]
        ```

        Args:
            task: a name in TASKS; needed where the parts fit several, as a question and an instruction do.

        Raises:
            TokenError: the parts fit no task, or several and `task` is not given.
        """
        if conversations and isinstance(conversations[0], Mapping):
            conversations = [conversations]  # type: ignore[list-item]
        prompts = [self._prompt(conversation[-1], task) for conversation in conversations]  # type: ignore[index]
        ids = np.full((len(prompts), max(map(len, prompts), default=0)), self.text.pad_id)
        mask = np.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, ids.shape[1] - len(prompt) :] = prompt
            mask[row, ids.shape[1] - len(prompt) :] = 1
        return BatchFeature({"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)})

    def parse(self, ids: Iterable[Sequence[int] | torch.Tensor], *, task: str) -> list[Segments]:
        """What `generate` wrote in each row: ids after the prompt, with EOS and padding. Raises TokenError."""
        found = []
        for row in ids:
            row = [int(token) for token in row]
            end = row.index(self.text.eos_id) + 1 if self.text.eos_id in row else len(row)
            found.append(self.builder.parse_output(TASKS[task], row[:end]))
        return found

    def _prompt(self, message: Message, task: str | None) -> list[int]:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        values: dict[str, Any] = {part["type"]: part[part["type"]] for part in parts}
        if len(values) < len(parts) or not values.keys() <= set(Segment):
            raise TokenError(
                f"a message has the parts {', '.join(part['type'] for part in parts)}; "
                f"it may have one of each of {', '.join(Segment)}."
            )
        fitting = [name for name, known in TASKS.items() if set(known.inputs) == values.keys()]
        if task is None and len(fitting) != 1:
            raise TokenError(
                f"{', '.join(values) or 'nothing'} fits {' and '.join(fitting) or 'no task'}; "
                f"name one of {', '.join(TASKS)}."
            )
        if Segment.IMAGE in values:
            image = values["image"]
            pixels = read_picture(image) if isinstance(image, str | Path) else np.asarray(image)
            values["image"] = self.image.encode([pixels])[0]
        if Segment.SCENE in values and not isinstance(values["scene"], Scene):
            values["scene"] = scene_from_json(values["scene"])
        return self.builder.prompt(TASKS[task or fitting[0]], Segments(**values))


class _KyvoConfig(PretrainedConfig):
    """Never written: `AutoProcessor` finds a class by its name among those registered, and registers by a config."""

    model_type = "kyvo"


AutoProcessor.register(_KyvoConfig, KyvoProcessor, exist_ok=True)

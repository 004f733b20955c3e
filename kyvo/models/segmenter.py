"""SAM from a folder of the user's, as transformers keeps it: points or a box on an object -> its mask.

https://arxiv.org/abs/2304.02643. Nothing is fetched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from kyvo.errors import CheckpointError
from kyvo.models.transformers_folder import load_transformers

MODEL_TYPE = "sam"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """Where an object is: a box around it, or points on it. In px, x to the right and y down."""

    box: tuple[float, float, float, float] | None = None  # x0, y0, x1, y1
    points: tuple[tuple[float, float], ...] = ()


class Segmenter:
    """The network and its processor."""

    def __init__(self, network: Any, processor: Any) -> None:
        self.network = network.eval().requires_grad_(False)
        self.processor = processor

    @classmethod
    def from_folder(cls, path: Path | str, *, device: torch.device | str = "cpu") -> "Segmenter":
        """The network of a folder as `facebook/sam-vit-base` is.

        Raises:
            CheckpointError: there is no such folder, or it holds another network.
        """
        from transformers import SamProcessor

        path = Path(path)
        network = load_transformers(
            path,
            "SamModel",
            model_type=MODEL_TYPE,
            needed="masks are made by SAM",
            example="a local copy of facebook/sam-vit-base, -large or -huge",
        )
        try:
            processor = SamProcessor.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path}: SAM's processor cannot be read ({error}). Fetch it again.") from error
        return cls(network.to(device), processor)

    @torch.inference_mode()
    def __call__(
        self, rgb: UInt8[np.ndarray, "height width 3"], prompts: Sequence[Prompt]
    ) -> Bool[np.ndarray, "prompts height width"]:
        """The mask of each prompt. Of one point, which may mean a part or a whole, the surest of SAM's three masks."""
        device = self.network.device
        embedding = None
        found = []
        for prompt in prompts:
            given: dict[str, Any] = {}
            if prompt.box is not None:
                given["input_boxes"] = [[list(prompt.box)]]
            if prompt.points:
                given["input_points"] = [[[list(point) for point in prompt.points]]]
            inputs = self.processor(images=rgb, **given, return_tensors="pt")
            if embedding is None:  # one picture: its part is the same for all
                embedding = self.network.get_image_embeddings(inputs["pixel_values"].to(device))
            said = self.network(
                image_embeddings=embedding,
                **{name: inputs[name].float().to(device) for name in given},
                multimask_output=prompt.box is None and len(prompt.points) == 1,
            )
            (masks,) = self.processor.image_processor.post_process_masks(
                said.pred_masks.cpu(), inputs["original_sizes"], inputs["reshaped_input_sizes"]
            )
            found.append(masks[0, int(said.iou_scores[0, 0].argmax())].numpy())
        return np.stack(found)

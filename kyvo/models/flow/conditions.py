"""What the flows are conditioned on: tokens of a picture or of a text, and the negative that guidance leads away from.

TRELLIS's are DINOv2 ViT-L/14 with registers and CLIP ViT-L/14's text encoder, from local folders as transformers keeps
them (https://arxiv.org/abs/2412.01506, section 3.3). The small encoders of `kyvo.models.flow.small_encoders` have the
same two calls.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn

from kyvo.errors import CheckpointError, KyvoError
from kyvo.models.dinov2 import DinoPatches

PATCHES_ALONG = 37  # of a picture's side: 518 px in patches of 14


class ConditionError(KyvoError):
    """A text or a picture that no encoder here can take."""


class PictureCondition(nn.Module):
    """Pictures -> all tokens of DINOv2, each normalised without weights. The negative is zeros."""

    def __init__(self, network: DinoPatches) -> None:
        super().__init__()
        self.network = network
        self.picture_size = PATCHES_ALONG * network.patch_size
        self.channels = network.width

    @classmethod
    def from_folder(cls, path: Path | str) -> "PictureCondition":
        """Raises CheckpointError as `DinoPatches.from_folder` does."""
        return cls(DinoPatches.from_folder(path))

    def forward(self, pictures: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch tokens channels"]:
        """Of pictures of `picture_size` in [0, 1], black outside the object."""
        tokens = self.network.tokens(pictures)
        return F.layer_norm(tokens, tokens.shape[-1:])

    def negative(self, condition: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, "batch tokens channels"]:
        return torch.zeros_like(condition)


class TextCondition(nn.Module):
    """Texts -> the hidden states of CLIP's text encoder at all of its places. The negative is the empty text."""

    def __init__(self, network: Any, tokenizer: Any) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.channels: int = network.config.hidden_size
        self.max_tokens: int = network.config.max_position_embeddings

    @classmethod
    def from_folder(cls, path: Path | str) -> "TextCondition":
        """CLIP's text encoder and tokenizer, as transformers saves them.

        Raises:
            CheckpointError: there is no such folder, or it holds another network.
        """
        import transformers

        path = Path(path)
        if not (path / "config.json").is_file():
            raise CheckpointError(
                f"{path} has no config.json. Give the folder of openai/clip-vit-large-patch14, as transformers saves "
                "it."
            )
        try:
            kind: Any = transformers.CLIPTextModel
            network, loading = kind.from_pretrained(
                path, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            tokenizer = transformers.CLIPTokenizer.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
            raise CheckpointError(f"{path}: no readable CLIP text encoder ({error}). Fetch it again.") from error
        if loading["missing_keys"]:
            raise CheckpointError(f"{path}: its weights lack {sorted(loading['missing_keys'])[:3]}. Fetch them again.")
        return cls(network, tokenizer)

    @torch.no_grad()
    def forward(self, texts: Sequence[str]) -> Float[Tensor, "batch tokens channels"]:
        """Raises ConditionError for an empty text, or one longer than the encoder's places."""
        return self._encode([checked_text(text) for text in texts])

    def negative(self, condition: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, "batch tokens channels"]:
        return self._encode([""]).expand(len(condition), -1, -1)

    def unknown_words(self, text: str) -> list[str]:
        """None: its tokenizer spells every word."""
        return []

    def _encode(self, texts: list[str]) -> Tensor:
        ids = self.tokenizer(texts)["input_ids"]  # with begin and end
        for text, row in zip(texts, ids, strict=True):
            if len(row) > self.max_tokens:
                raise ConditionError(
                    f"The text {text[:40]!r}... has {len(row)} tokens and the encoder takes at most {self.max_tokens}. "
                    "Shorten it."
                )
        # As TRELLIS does, places after the text are filled with the end token and are not masked.
        fill = self.tokenizer.pad_token_id
        padded = [row + [fill] * (self.max_tokens - len(row)) for row in ids]
        device = next(self.network.parameters()).device
        return self.network(input_ids=torch.tensor(padded, device=device)).last_hidden_state


def checked_text(text: str) -> str:
    """The text without spaces around it. Raises ConditionError where nothing is left."""
    stripped = text.strip()
    if not stripped:
        raise ConditionError("The text is empty; say what to make, as 'a round wooden table with three legs'.")
    return stripped

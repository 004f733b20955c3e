"""DINOv2 with registers from a folder of the user's, as transformers keeps it; nothing is fetched.

TRELLIS takes its features before the network's last normalisation: patches for its encoder, and all tokens as the
condition of its flows (https://arxiv.org/abs/2412.01506, sections 3.2 and 3.3).
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.models.transformers_folder import load_transformers

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
MODEL_TYPE = "dinov2_with_registers"


class DinoPatches(nn.Module):
    """Features of a picture's patches before the network's last normalisation, which the encoder was trained on."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        network.layernorm = nn.Identity()
        self.network = network.eval().requires_grad_(False)
        self.width: int = network.config.hidden_size
        self.patch_size: int = network.config.patch_size
        self.num_registers: int = network.config.num_register_tokens

    @classmethod
    def from_folder(cls, path: Path | str, *, device: torch.device | str = "cpu") -> "DinoPatches":
        """The network of a folder with `config.json` and `model.safetensors`.

        Raises:
            CheckpointError: there is no such folder, or it holds another network.
        """
        network = load_transformers(
            Path(path),
            "Dinov2WithRegistersModel",
            model_type=MODEL_TYPE,
            needed="TRELLIS needs DINOv2 with registers",
            example="the folder of facebook/dinov2-with-registers-large",
        )
        return cls(network).to(device)

    @torch.no_grad()
    def tokens(self, pictures: Float[Tensor, "views 3 height width"]) -> Float[Tensor, "views tokens channels"]:
        """The class token, the registers and the patches, before the last normalisation.

        Pictures are in [0, 1] and black where nothing is; their sides are whole numbers of patches.
        """
        mean, std = (pictures.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        return self.network((pictures - mean) / std).last_hidden_state

    def forward(self, pictures: Float[Tensor, "views 3 height width"]) -> Float[Tensor, "views channels rows columns"]:
        """The patches of such pictures."""
        patches = self.tokens(pictures)[:, 1 + self.num_registers :]
        rows, columns = (side // self.patch_size for side in pictures.shape[2:])
        return patches.mT.unflatten(2, (rows, columns))

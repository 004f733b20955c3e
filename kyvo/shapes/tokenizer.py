"""The shape tokenizer: structured latents of objects <-> codes, and its folder on disk.

A folder holds `shape_tokenizer.safetensors` and `shape_tokenizer.json` (the `ShapeVQVAEConfig`, and the hash of the
weights' file, by which a model knows that it was trained on these very codes). Bundled ones lie in
`kyvo/assets/shape_<name>`, and `ShapeTokenizer.from_pretrained(name)` finds them.
"""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialize

from kyvo.errors import CheckpointError, ConfigError, TokenError
from kyvo.files import make_folder, read_json_object, write_bytes, write_plain_json
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.vqvae import ShapeVQVAE, ShapeVQVAEConfig, from_grid, to_grid

WEIGHTS_NAME = "shape_tokenizer.safetensors"
CONFIG_NAME = "shape_tokenizer.json"
BATCH_SIZE = 8  # objects that go through the network together


class ShapeTokenizer:
    """A trained 3D VQ-VAE that takes and gives structured latents."""

    def __init__(self, model: ShapeVQVAE, *, dtype: torch.dtype = torch.float32) -> None:
        """`dtype` is that of the weights in a file; in memory they are float32."""
        self.model = model.float().eval().requires_grad_(False)
        self.dtype = dtype

    @property
    def config(self) -> ShapeVQVAEConfig:
        return self.model.config

    @property
    def codebook(self) -> Float[torch.Tensor, "codes dim"]:
        """The codes' vectors, float32."""
        return self.model.quantizer.embedding.weight

    @torch.inference_mode()
    def encode(self, latents: Sequence[StructuredLatent]) -> Int[np.ndarray, "objects codes"]:
        """Codes of the objects, int64, x-major with z running fastest.

        Raises:
            LatentError: a latent with another grid or other features than the tokenizer's.
        """
        codes = [np.empty((0, self.config.num_codes), np.int64)]
        for start in range(0, len(latents), BATCH_SIZE):
            grid = to_grid(latents[start : start + BATCH_SIZE], self.config)
            codes.append(self.model.encode_codes(grid.features.to(self._device)).cpu().numpy())
        return np.concatenate(codes)

    @torch.inference_mode()
    def decode(self, codes: Int[np.ndarray, "*shape"] | Sequence[Sequence[int]]) -> list[StructuredLatent]:
        """The objects of the codes [B, num_codes]. Raises TokenError for codes that do not exist."""
        config = self.config
        codes = np.asarray(codes, dtype=np.int64)
        if codes.ndim != 2 or codes.shape[1] != config.num_codes:
            raise TokenError(
                f"Codes are {list(codes.shape)}; this tokenizer takes [B, {config.num_codes}] "
                f"({config.side} along each side)."
            )
        if codes.size and not 0 <= codes.min() <= codes.max() < config.n_embed:
            raise TokenError(f"Codes run from {codes.min()} to {codes.max()}; there are 0 to {config.n_embed - 1}.")
        latents: list[StructuredLatent] = []
        for start in range(0, len(codes), BATCH_SIZE):
            chunk = torch.from_numpy(codes[start : start + BATCH_SIZE]).to(self._device)
            latents += from_grid(self.model.decode_codes(chunk), config)
        return latents

    @torch.inference_mode()
    def autoencode(self, latents: Sequence[StructuredLatent]) -> list[StructuredLatent]:
        """Through the network and back without becoming codes: what of an error is not the codes'."""
        found: list[StructuredLatent] = []
        for start in range(0, len(latents), BATCH_SIZE):
            grid = to_grid(latents[start : start + BATCH_SIZE], self.config)
            values = self.model.latents(grid.features.to(self._device))
            found += from_grid(self.model.decode(values), self.config)
        return found

    @property
    def _device(self) -> torch.device:
        return self.codebook.device

    def save(self, folder: Path | str, *, dtype: torch.dtype | None = None) -> None:
        """Writes both files.

        Args:
            dtype: of the weights in the file, as torch.float16, which halves it; by default as they were read. Another
                one makes another hash, and may change a few codes: models are trained on the codes of the saved one.
        """
        if dtype not in (None, self.dtype):
            ShapeTokenizer(self.model, dtype=dtype).save(folder)
            return
        folder = Path(folder)
        make_folder(folder)
        write_bytes(folder / WEIGHTS_NAME, self._to_bytes())
        write_plain_json(folder / CONFIG_NAME, self.about, indent=2)

    @classmethod
    def from_pretrained(cls, name_or_folder: Path | str = "mini") -> "ShapeTokenizer":
        """A folder's tokenizer, or the bundled one of this name.

        Raises CheckpointError if a file is missing or damaged, or the weights are not those the JSON is of.
        """
        folder = _find(name_or_folder)
        for name in (WEIGHTS_NAME, CONFIG_NAME):
            if not (folder / name).is_file():
                raise CheckpointError(
                    f"{folder} has no {name}; a tokenizer's folder is written by ShapeTokenizer.save."
                )
        about, path = _read_about(folder / CONFIG_NAME), folder / WEIGHTS_NAME
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != about["sha256"]:
            raise CheckpointError(
                f"{path} has sha256 {found[:12]}..., {CONFIG_NAME} says {about['sha256'][:12]}...: the two are not of "
                "one tokenizer, or the file is cut off. Copy both from the same folder."
            )
        try:
            config = ShapeVQVAEConfig(**about["config"])
            with torch.device("meta"):
                model = ShapeVQVAE(config)
            state = load_file(path)
            dtype = state["quantizer.embedding.weight"].dtype
            model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
        except (ConfigError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(f"{folder / CONFIG_NAME} does not describe {WEIGHTS_NAME}: {error}") from error
        return cls(model, dtype=dtype)

    @property
    def about(self) -> dict[str, Any]:
        """What `shape_tokenizer.json` holds, and the card of a set of its codes."""
        return {"config": asdict(self.config), "sha256": self.sha256}

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the weights' file; a model names by it the tokenizer that it was trained with."""
        return hashlib.sha256(self._to_bytes()).hexdigest()

    def _to_bytes(self) -> bytes:
        state = self.model.state_dict()
        return serialize({name: tensor.to(self.dtype).contiguous().cpu() for name, tensor in state.items()})


def _find(name_or_folder: Path | str) -> Path:
    """The folder, or that of the bundled tokenizer of this name."""
    assets = Path(str(files("kyvo"))) / "assets"
    for folder in (Path(name_or_folder), assets / f"shape_{name_or_folder}"):
        if (folder / CONFIG_NAME).is_file():
            return folder
    if Path(name_or_folder).is_dir():
        return Path(name_or_folder)  # the caller says which file it lacks
    names = sorted(path.parent.name.removeprefix("shape_") for path in assets.glob(f"shape_*/{CONFIG_NAME}"))
    raise CheckpointError(
        f"{name_or_folder}: neither a folder of a shape tokenizer nor a bundled one; bundled are "
        f"{', '.join(names) or 'none'}."
    )


def _read_about(path: Path) -> dict[str, Any]:
    about = read_json_object(path)
    if not isinstance(about.get("config"), dict) or not isinstance(about.get("sha256"), str):
        raise CheckpointError(f"{path} has no config and sha256; it is written by ShapeTokenizer.save.")
    return about

"""The image tokenizer: uint8 pictures <-> codes, and its folder on disk.

A folder holds `image_tokenizer.safetensors` (tensor names of taming-transformers) and `image_tokenizer.json`
(the `VQGANConfig`, quantizer included, the hash of the weights, and that of the weights which codes come from, by which
a model knows that it was trained on these very codes).
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor

from kyvo.errors import CheckpointError, ImageError
from kyvo.files import make_folder, read_json_object, reading, write_bytes, write_plain_json
from kyvo.scene.scene import Scene
from kyvo.tokenizers.taming import read_taming
from kyvo.tokenizers.turn_maps import turn_maps
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig

WEIGHTS_NAME = "image_tokenizer.safetensors"
CONFIG_NAME = "image_tokenizer.json"
CODING = ("encoder.", "quant_conv.", "quantize.")  # how the tensors are named that codes come from
BATCH_SIZE = {"cpu": 32, "cuda": 512}  # pictures that go through the network together
FINE = 2  # sides of a picture in detail, in those of the model's
FIT_TOLERANCE = 0.02  # of the height, that is cut off or added without a word


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A picture at a model's size, and at FINE times it for what reads details."""

    pixels: np.ndarray  # uint8 [height, width, 3]
    fine: np.ndarray  # uint8 [FINE height, FINE width, 3]
    notes: tuple[str, ...] = ()  # what was done to it on the way

    @classmethod
    def of(cls, picture: np.ndarray, width: int, height: int) -> "Fitted":
        """`picture` (uint8 [H, W, 3]) at `width` x `height` px, with a note where its shape is another."""
        note = fit_note((picture.shape[1], picture.shape[0]), width, height)
        return cls(
            pixels=fit(picture, width, height),
            fine=fit(picture, FINE * width, FINE * height),
            notes=() if note is None else (note,),
        )


def fit(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """`picture` (uint8 [H, W, 3]) at `width` x `height` px with its perspective kept.

    The width alone fixes the focal length, so the picture is scaled by width; then rows are cut evenly from top
    and bottom, or the edge rows are repeated there. Nothing is ever stretched.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ImageError(f"A picture is uint8 [H, W, 3]; found {picture.dtype} {list(picture.shape)}.")
    if picture.size == 0:
        raise ImageError(f"A picture has pixels; found {list(picture.shape)}.")
    rows = height * picture.shape[1] / width  # of the picture, that are shown: a fraction of one may be
    if picture.shape[0] < rows:
        return _padded(picture, width, height)
    if picture.shape[:2] == (height, width):
        return np.ascontiguousarray(picture)
    above = (picture.shape[0] - rows) / 2
    first = math.floor(above)
    shown = Image.fromarray(picture[first : picture.shape[0] - first])
    box = (0, above - first, picture.shape[1], above - first + rows)
    # Reducing by whole boxes first costs no visible quality with a gap of 3 and is many times faster.
    return np.asarray(shown.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))


def _padded(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture that is too low, scaled by its width; its edge rows are repeated at the top and the bottom."""
    scaled_height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    if picture.shape[:2] != (scaled_height, width):
        scaled = Image.fromarray(picture).resize((width, scaled_height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        picture = np.asarray(scaled)
    above = (height - scaled_height) // 2
    return np.pad(picture, ((above, height - scaled_height - above), (0, 0), (0, 0)), mode="edge")


def fit_note(size: tuple[int, int], width: int, height: int) -> str | None:
    """What `fit` cuts off or adds, where it is more than 2 % of the height; None for pictures of the right shape.

    Args:
        size: of the picture: width and height, px.
        width: that it is fitted to, px.
        height: px.
    """
    share = height / width * size[0] / size[1]  # of the picture's rows that fit
    shape = f"it has {size[0]}x{size[1]} px, the model sees {width}x{height}"
    if share < 1 - FIT_TOLERANCE:
        return f"{shape}: {1 - share:.0%} of its rows, at the top and the bottom, are cut off"
    if share > 1 + FIT_TOLERANCE:
        return f"{shape}: its top and bottom rows are repeated to fill {1 - 1 / share:.0%} of the height"
    return None


def to_pixels(pictures: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in [-1, 1]."""
    return torch.as_tensor(pictures).permute(0, 3, 1, 2).float().div(127.5).sub(1.0).contiguous()


def from_pixels(pixels: torch.Tensor) -> np.ndarray:
    """float [B, 3, H, W] -> uint8 [B, H, W, 3]; values outside [-1, 1] are clamped."""
    return pixels.float().add(1.0).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


class ImageTokenizer:
    """A trained VQGAN that takes and gives uint8 pictures."""

    def __init__(self, model: VQGAN) -> None:
        self.model = model.eval().requires_grad_(False)

    @property
    def config(self) -> VQGANConfig:
        return self.model.config

    @property
    def codebook(self) -> torch.Tensor:
        """The codes' vectors, float32 [n_embed, embed_dim]."""
        return self.model.quantize.embedding.weight

    def encode(self, pictures: np.ndarray | Sequence[np.ndarray | Image.Image]) -> np.ndarray:
        """Codes of the pictures, int64 [B, rows * columns], row-major; each picture is fitted first."""
        return self.quantize(pictures)[0]

    @torch.inference_mode()
    def quantize(self, pictures: np.ndarray | Sequence[np.ndarray | Image.Image]) -> tuple[np.ndarray, np.ndarray]:
        """As `encode`, and for each picture, float32 [B], how far its latents are from the codes' vectors: the mean
        over the codes of the root mean square over the dimensions."""
        config = self.config
        codes = [np.empty((0, config.num_codes), np.int64)]
        errors = [np.empty(0, np.float32)]
        size = BATCH_SIZE[self._device.type]
        for start in range(0, len(pictures), size):
            chunk = [_as_array(picture) for picture in pictures[start : start + size]]
            pixels = to_pixels(np.stack([fit(picture, config.width, config.height) for picture in chunk]))
            latents = self.model.latents(pixels.to(self._device))
            chosen = self.model.quantize.choose(latents)
            apart = (latents - self.model.quantize.lookup(chosen)).float()
            codes.append(chosen.flatten(1).cpu().numpy())
            errors.append(apart.square().mean(1).sqrt().mean((1, 2)).cpu().numpy())
        return np.concatenate(codes), np.concatenate(errors)

    @torch.inference_mode()
    def decode(self, codes: np.ndarray, *, scenes: Sequence[Scene] | None = None) -> np.ndarray:
        """Pictures of the codes, uint8 [B, height, width, 3], of `decoded_size`; `scenes` as of `decode_vectors`.

        Raises ImageError for codes that do not exist.
        """
        config = self.config
        codes = np.asarray(codes, dtype=np.int64)
        if codes.ndim != 2 or codes.shape[1] != config.num_codes:
            raise ImageError(
                f"Codes are {list(codes.shape)}; this tokenizer takes [B, {config.num_codes}] "
                f"({config.rows} rows of {config.columns})."
            )
        if codes.size and not 0 <= codes.min() <= codes.max() < config.n_embed:
            raise ImageError(f"Codes run from {codes.min()} to {codes.max()}; there are 0 to {config.n_embed - 1}.")
        return self._pictures([codes, *self._turns(scenes)], self.model.decode_codes)

    @torch.inference_mode()
    def decode_vectors(
        self, vectors: Float[np.ndarray, "batch codes width"], *, scenes: Sequence[Scene] | None = None
    ) -> UInt8[np.ndarray, "batch height columns 3"]:
        """Pictures of vectors in the place of codes, row-major: the codes' own, or what lies between them.

        Args:
            scenes: that the pictures show, where they are known: a decoder with `turns` draws their cubes turned.
        """
        grid = (self.config.rows, self.config.columns)

        def decode(chunk: Tensor, *turns: Tensor) -> Tensor:
            return self.model.decode(chunk.unflatten(1, grid).movedim(-1, 1), *turns)

        return self._pictures([vectors, *self._turns(scenes)], decode)

    def _turns(self, scenes: Sequence[Scene] | None) -> list[np.ndarray]:
        """The maps of the scenes' turns, for a decoder that takes them."""
        if scenes is None or not self.config.turns:
            return []
        width, height = self.config.decoded_size
        return [turn_maps(scenes, width=width, height=height)]

    def _pictures(self, inputs: Sequence[np.ndarray], decode: Callable[..., Tensor]) -> np.ndarray:
        """What is decoded of inputs that have a row for each picture."""
        width, height = self.config.decoded_size
        pictures = [np.empty((0, height, width, 3), np.uint8)]
        size = BATCH_SIZE[self._device.type]
        for start in range(0, len(inputs[0]), size):
            chunks = (torch.from_numpy(rows[start : start + size]).to(self._device) for rows in inputs)
            pictures.append(from_pixels(decode(*chunks)))
        return np.concatenate(pictures)

    @property
    def _device(self) -> torch.device:
        return self.codebook.device

    def save(self, folder: Path | str) -> None:
        """Weights that were rounded to 16 bits (`model.half().float()`) take half of the space."""
        folder = Path(folder)
        make_folder(folder)
        write_bytes(folder / WEIGHTS_NAME, serialize(in_16_bits(self.model.state_dict())))
        write_plain_json(folder / CONFIG_NAME, self.about, indent=2)

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> "ImageTokenizer":
        """Raises CheckpointError if a file is missing, or if the weights are not those the JSON was written with."""
        folder = Path(folder)
        for name in (WEIGHTS_NAME, CONFIG_NAME):
            if not (folder / name).is_file():
                raise CheckpointError(
                    f"{folder} has no {name}; a tokenizer's folder is written by ImageTokenizer.save."
                )
        about = read_json_object(folder / CONFIG_NAME)
        with reading(folder / CONFIG_NAME):
            model, written = VQGAN(VQGANConfig(**about["config"])), str(about["sha256"])
        with reading(folder / WEIGHTS_NAME):
            model.load_taming(load_file(folder / WEIGHTS_NAME))
        tokenizer = cls(model)
        if tokenizer.sha256 != written:
            raise CheckpointError(
                f"The tensors in {folder / WEIGHTS_NAME} have sha256 {tokenizer.sha256[:12]}..., {CONFIG_NAME} says "
                f"{written[:12]}...: the two are not of one tokenizer. Copy both from the same folder."
            )
        return tokenizer

    @property
    def about(self) -> dict[str, Any]:
        """What `image_tokenizer.json` holds, and the card of a set of its codes."""
        return {"config": asdict(self.config), "sha256": self.sha256, "codes_sha256": self.codes_sha256}

    @property
    def sha256(self) -> str:
        """Hash of the weights, as a safetensors file of 32 bits."""
        return hashlib.sha256(self._to_bytes()).hexdigest()

    @property
    def codes_sha256(self) -> str:
        """Hash of the weights that codes come from: tokenizers that differ in their decoders alone share it."""
        return hashlib.sha256(self._to_bytes(CODING)).hexdigest()

    def _to_bytes(self, beginnings: tuple[str, ...] = ("",)) -> bytes:
        """The tensors whose names begin so, as a safetensors file."""
        state = self.model.state_dict().items()
        return serialize({name: tensor.contiguous() for name, tensor in state if name.startswith(beginnings)})

    @classmethod
    def from_taming(cls, config: Path | str, checkpoint: Path | str) -> "ImageTokenizer":
        """Reads taming-transformers' `project.yaml` and `last.ckpt` (see kyvo/tokenizers/taming.py)."""
        return cls(read_taming(config, checkpoint))


def in_16_bits(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in float16 where that holds each of their numbers, else as they are."""
    halves = {name: tensor.half() for name, tensor in state.items()}
    is_exact = all(torch.equal(halves[name].to(tensor.dtype), tensor) for name, tensor in state.items())
    return {name: tensor.contiguous() for name, tensor in (halves if is_exact else state).items()}


def _as_array(picture: np.ndarray | Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")) if isinstance(picture, Image.Image) else picture

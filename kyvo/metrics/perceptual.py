"""Perceptual metrics: LPIPS, cosine similarity of CLIP and DINO features, and FID of two sets.

The weights are the user's, given by path; nothing is downloaded. Without them these figures do not exist.

| figure | files |
|---|---|
| LPIPS | torchvision's `vgg16` or `alexnet` state dict, and `vgg.pth` or `alex.pth` of the package lpips, version 0.1 |
| CLIP, DINO | a model folder of transformers, with its `preprocessor_config.json` |
| FID | pytorch-fid's `pt_inception-2015-12-05-6726825d.pth` |
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kyvo.errors import CheckpointError, ConfigError, ImageError
from kyvo.metrics.inception import convolution_names, pooled_features

BATCH = 16  # pictures that go through a network together

Picture = UInt8[np.ndarray, "_ _ 3"]
Layers = Sequence[tuple[int, int, int] | str]

# LPIPS' trunks, as torchvision numbers their `features`: (index, stride, padding) of a convolution, each followed by
# ReLU; "tap" is where LPIPS reads, "pool" a maximum pool.
VGG: Layers = (
    (0, 1, 1), (2, 1, 1), "tap", "pool", (5, 1, 1), (7, 1, 1), "tap", "pool", (10, 1, 1), (12, 1, 1), (14, 1, 1),
    "tap", "pool", (17, 1, 1), (19, 1, 1), (21, 1, 1), "tap", "pool", (24, 1, 1), (26, 1, 1), (28, 1, 1), "tap",
)  # fmt: skip
ALEX: Layers = (
    (0, 4, 2),
    "tap",
    "pool",
    (3, 1, 2),
    "tap",
    "pool",
    (6, 1, 1),
    "tap",
    (8, 1, 1),
    "tap",
    (10, 1, 1),
    "tap",
)
TRUNKS = {"vgg": (VGG, 2), "alex": (ALEX, 3)}  # and the size of their pools, whose stride is 2
# LPIPS' own normalisation of pictures in [-1, 1]
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class Lpips:
    """Learned perceptual distance of two pictures of one size, version 0.1 (Zhang et al., CVPR 2018, equation 1)."""

    def __init__(self, *, trunk: Path, heads: Path, net: str = "alex") -> None:
        """Loads the weights.

        Args:
            trunk: torchvision's state dict of `net`.
            heads: lpips' linear layers for it.
            net: "alex" (SceneGen's) or "vgg" (TRELLIS').

        Raises:
            ConfigError: `net` is not known.
            CheckpointError: a file is missing, unreadable, or of another network.
        """
        if net not in TRUNKS:
            raise ConfigError(f"LPIPS' network {net!r} is not known; known are {', '.join(TRUNKS)}.")
        self._layers, self._pool = TRUNKS[net]
        convolutions = [layer[0] for layer in self._layers if not isinstance(layer, str)]
        names = [f"features.{index}.{part}" for index in convolutions for part in ("weight", "bias")]
        taps = [f"lin{index}.model.1.weight" for index in range(self._layers.count("tap"))]
        self._trunk = load_tensors(trunk, names, f"torchvision's {net} state dict")
        self._heads = [load_tensors(heads, taps, f"lpips' {net}.pth")[name] for name in taps]
        widths = [len(self._trunk[f"features.{index}.bias"]) for index in self._tapped()]
        found = [head.shape[1] for head in self._heads]
        if widths != found:
            raise CheckpointError(
                f"{heads}: its layers are {found} wide and those of {trunk} {widths}; they belong to two networks."
            )

    def __call__(self, ours: Picture, theirs: Picture) -> float:
        """0 for equal pictures. Raises ImageError where the sizes differ."""
        if ours.shape != theirs.shape:
            raise ImageError("LPIPS compares pictures of one size.")
        with torch.inference_mode():
            pair = (to_tensor([ours, theirs]) * 2 - 1 - _channels(SHIFT)) / _channels(SCALE)
            total = 0.0
            for features, head in zip(self._taps(pair), self._heads, strict=True):
                unit = features / (features.norm(dim=1, keepdim=True) + 1e-10)
                total += float(F.conv2d((unit[:1] - unit[1:]) ** 2, head).mean())
        return total

    def _taps(self, x: Tensor) -> Iterator[Tensor]:
        for layer in self._layers:
            if layer == "tap":
                yield x
            elif layer == "pool":
                x = F.max_pool2d(x, self._pool, stride=2)
            else:
                index, stride, padding = layer
                kernel, bias = (self._trunk[f"features.{index}.{part}"] for part in ("weight", "bias"))
                x = F.relu(F.conv2d(x, kernel, bias, stride=stride, padding=padding))

    def _tapped(self) -> Iterator[int]:
        """The convolution before each tap."""
        for layer, after in zip(self._layers, self._layers[1:], strict=False):
            if after == "tap":
                assert not isinstance(layer, str)
                yield layer[0]


Encoder = Callable[[Sequence[Picture]], Float[np.ndarray, "_ _"]]


def clip_encoder(folder: Path) -> Encoder:
    """CLIP's projected picture embeddings. Raises CheckpointError where the folder holds no CLIP model."""
    model, processor = _load_folder(folder)
    if not hasattr(model, "get_image_features"):
        raise CheckpointError(
            f"{folder}: a {type(model).__name__} has no picture embedding; give a CLIP model's folder."
        )

    def encode(pixels: Tensor) -> Tensor:
        found = model.get_image_features(pixel_values=pixels)
        return found if isinstance(found, Tensor) else found.pooler_output  # transformers 4 and 5

    return _encoder(encode, processor)


def clip_text_encoder(folder: Path) -> Callable[[Sequence[str]], Float[np.ndarray, "_ _"]]:
    """CLIP's projected text embeddings; longer texts are cut. Raises CheckpointError as `clip_encoder` does."""
    from transformers import AutoTokenizer

    model, _ = _load_folder(folder)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} has no tokenizer: {str(error).splitlines()[0]}") from error
    if not hasattr(model, "get_text_features"):
        raise CheckpointError(f"{folder}: a {type(model).__name__} has no text embedding; give a CLIP model's folder.")

    max_tokens = model.config.text_config.max_position_embeddings

    def encode(texts: Sequence[str]) -> Float[np.ndarray, "_ _"]:
        with torch.inference_mode():
            ids = tokenizer(list(texts), padding=True, truncation=True, max_length=max_tokens, return_tensors="pt")
            found = model.get_text_features(**ids)
            return (found if isinstance(found, Tensor) else found.pooler_output).double().numpy()

    return encode


def dino_encoder(folder: Path) -> Encoder:
    """DINO's class token after the last norm. Raises CheckpointError where the folder holds no vision transformer."""
    model, processor = _load_folder(folder)
    if getattr(model.config, "model_type", "") not in ("dinov2", "dinov2_with_registers", "dinov3_vit", "vit"):
        raise CheckpointError(f"{folder}: a {type(model).__name__} is no DINO model; give DINO's or DINOv2's folder.")
    return _encoder(lambda pixels: model(pixel_values=pixels).last_hidden_state[:, 0], processor)


def inception_encoder(file: Path) -> Encoder:
    """FID's features. Raises CheckpointError where the file is another network's."""
    norm = ("running_mean", "running_var", "weight", "bias")
    parts = ["conv.weight", *(f"bn.{part}" for part in norm)]
    names = [f"{layer}.{part}" for layer in convolution_names() for part in parts]
    weights = load_tensors(file, names, "pytorch-fid's pt_inception-2015-12-05-6726825d.pth")

    def encode(pictures: Sequence[Picture]) -> Float[np.ndarray, "_ _"]:
        with torch.inference_mode():
            # one by one: they are resized each from its own size
            return np.concatenate([pooled_features(weights, to_tensor([picture])).double() for picture in pictures])

    return encode


def cosine(ours: Float[np.ndarray, "_ _"], theirs: Float[np.ndarray, "_ _"]) -> Float[np.ndarray, " _"]:
    """Cosine of the angle between features, row by row."""
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return (ours * theirs).sum(1) / norms


def frechet_distance(ours: Float[np.ndarray, "_ _"], theirs: Float[np.ndarray, "_ _"]) -> float:
    """FID of two sets of features [pictures, features] (Heusel et al., NeurIPS 2017, equation 6).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of their means and covariances. It is biased upwards for few pictures,
    so that only figures of as many pictures compare. Raises ImageError for fewer than two.
    """
    if min(len(ours), len(theirs)) < 2:
        raise ImageError(f"FID compares sets of pictures; {len(ours)} and {len(theirs)} are too few, give 2 or more.")
    (mean, covariance), (other_mean, other_covariance) = (
        (features.mean(0), np.atleast_2d(np.cov(features, rowvar=False))) for features in (ours, theirs)
    )
    # tr (C1 C2)^(1/2) is that of (C1^(1/2) C2 C1^(1/2))^(1/2), which is symmetric, and so real, even if C1 is singular.
    spread, axes = np.linalg.eigh(covariance)
    root = (axes * np.sqrt(np.maximum(spread, 0))) @ axes.T
    values = np.linalg.eigvalsh(root @ other_covariance @ root)
    shared = np.sqrt(np.maximum(values, 0)).sum()
    distance = ((mean - other_mean) ** 2).sum() + np.trace(covariance) + np.trace(other_covariance) - 2 * shared
    return float(max(distance, 0.0))


def kernel_distance(ours: Float[np.ndarray, "_ _"], theirs: Float[np.ndarray, "_ _"]) -> float:
    """Squared maximum mean discrepancy of two sets of features under the kernel (x y / d + 1)^3, of d features.

    The estimate of Binkowski et al., ICLR 2018 (https://arxiv.org/abs/1801.01401, section 2.1 and appendix D), over
    whole sets. It has no bias, so that it may be below 0 for sets of one kind. Raises ImageError for fewer than two.
    """
    if min(len(ours), len(theirs)) < 2:
        raise ImageError(f"KD compares sets of pictures; {len(ours)} and {len(theirs)} are too few, give 2 or more.")

    def kernel(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
        return (ones @ others.T / ones.shape[1] + 1) ** 3

    within = 0.0
    for features in (ours, theirs):
        values, count = kernel(features, features), len(features)
        within += (values.sum() - np.trace(values)) / (count * (count - 1))
    return float(within - 2 * kernel(ours, theirs).mean())


def load_tensors(path: Path, names: Sequence[str], what: str) -> dict[str, Tensor]:
    """The named tensors of a safetensors or a torch file, as float32; others in it are ignored.

    Raises CheckpointError where the file is missing, unreadable, holds more than tensors, or lacks one of them.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give {what}.")
    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is no file of tensors ({str(error).splitlines()[0]}); give {what}.") from error
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} holds a {type(found).__name__} and no tensors by name; give {what}.")
    lacking = [name for name in names if not isinstance(found.get(name), Tensor)]
    if lacking:
        raise CheckpointError(f"{path} lacks {len(lacking)} of {len(names)} tensors, as {lacking[0]}; give {what}.")
    return {name: found[name].float() for name in names}


def to_tensor(pictures: Sequence[Picture]) -> Float[Tensor, "batch 3 _ _"]:
    """Pictures of one size in [0, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def _load_folder(folder: Path):
    from transformers import AutoImageProcessor, AutoModel

    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} has no config.json; give a model folder of transformers.")
    try:
        model = AutoModel.from_pretrained(folder, local_files_only=True)
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder} does not load: {str(error).splitlines()[0]}") from error
    return model.eval(), processor


def _encoder(encode: Callable[[Tensor], Tensor], processor: Callable) -> Encoder:
    def run(pictures: Sequence[Picture]) -> Float[np.ndarray, "_ _"]:
        rows = []
        with torch.inference_mode():
            for start in range(0, len(pictures), BATCH):
                pixels = processor(images=list(pictures[start : start + BATCH]), return_tensors="pt")["pixel_values"]
                rows.append(encode(pixels).double().numpy())
        return np.concatenate(rows)

    return run


def _channels(values: Sequence[float]) -> Tensor:
    return torch.tensor(values)[:, None, None]

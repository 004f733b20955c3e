"""`Refiner`: a small network that corrects attributes and positions of recognised objects from the picture's pixels.

Codes of a picture tell an object's place to a quarter of a pixel or so, which is a tenth of a unit on the floor. The
pixels tell more. Around each object's expected place a patch is cut out of the picture, as large as the object looks
there; a convolutional network, which also gets the object's words, reads it; and a small transformer over all objects
and the picture seen coarsely says where in the picture each centre lies, what the words are, where the camera stands,
and by how much the picture is tilted and cropped. The rest is geometry: the ray through a centre meets the plane of the
object's height in its place.

It is for scenes in a world frame whose camera looks at the origin, as CLEVR's and ObjaWorld's do.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kyvo.errors import CheckpointError
from kyvo.models.network_files import load_network, save_network
from kyvo.scene.scene import Vector
from kyvo.scene.schema import CLEVR_CAMERA, CLEVR_FOCAL

REFINER_NAME = "refiner.safetensors"
COARSE = 4  # px of the picture to one of what the transformer sees of all of it
HEADS = 4  # of the transformer's attention

Given = ParamSpec("Given")


@dataclass(frozen=True, kw_only=True)
class RefinerConfig:
    """The pictures, the objects and the size of the network."""

    words: tuple[int, ...]  # how many each of the schema's fields of words has
    width: int = 120  # px
    height: int = 80
    camera: Vector = CLEVR_CAMERA  # where it stands on average; it looks at the origin
    focal: float = CLEVR_FOCAL  # over the picture's width
    side: int = 32  # samples along a patch
    span: float = 2.8  # the scene's units along a patch
    channels: tuple[int, int] = (64, 128)  # at half and a quarter of the patch's resolution
    blocks: int = 2  # at each of them
    dim: int = 192  # of the transformer
    layers: int = 3
    frames: bool = False  # whether it reads how the picture is tilted and cropped; older files do not


@dataclass(frozen=True, kw_only=True)
class Refined:
    """What was read of each object, and of the camera."""

    centers: Float[Tensor, "batch objects 2"]  # px, in the picture
    cameras: Float[Tensor, "batch 3"]
    frames: Float[Tensor, "batch 2"]  # roll (rad) and zoom (a factor's logarithm) of the picture: `Camera.turned`
    locations: Float[Tensor, "batch objects 3"]
    words: tuple[Float[Tensor, "batch objects _"], ...]  # logits, field by field


class Refiner(nn.Module):
    """Pictures and rough objects -> `Refined`."""

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        fine, coarse = config.channels
        self.stem = nn.Conv2d(3 * 4, fine, 3, padding=1)
        self.fine = nn.Sequential(*(Block(fine) for _ in range(config.blocks)))
        self.down = nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
        self.coarse = nn.Sequential(*(Block(coarse) for _ in range(config.blocks)))
        self.asked = nn.ModuleList(nn.Embedding(count, fine + coarse) for count in config.words)
        self.squeeze = nn.Conv2d(coarse, 32, 1)
        self.patch = nn.Linear(32 * (config.side // 4) ** 2, config.dim)
        self.picture = _Picture(config)
        self.words = nn.ModuleList(nn.Embedding(count, config.dim) for count in config.words)
        self.place = nn.Sequential(nn.Linear(6, config.dim), nn.GELU(), nn.Linear(config.dim, config.dim))
        layer = nn.TransformerEncoderLayer(
            config.dim, HEADS, 4 * config.dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(config.dim)
        self.camera = nn.Linear(config.dim, 3)
        self.frame = nn.Linear(config.dim, 2) if config.frames else None
        self.moved = nn.Linear(config.dim, 2)
        self.height = nn.Linear(config.dim, 1)
        self.named = nn.Linear(config.dim, sum(config.words))
        for table in (*self.asked, *self.words):
            nn.init.normal_(table.weight, std=0.1)  # type: ignore[arg-type]
        for head in (self.camera, self.frame, self.moved, self.height):  # it begins with the objects as they are given
            if head is not None:
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)

    def forward(
        self,
        pixels: Float[Tensor, "batch 3 height width"],
        words: Int[Tensor, "batch objects fields"],
        locations: Float[Tensor, "batch objects 3"],
        valid: Bool[Tensor, "batch objects"],
    ) -> Refined:
        """
        Args:
            pixels: in [0, 1].
            words: each a place among its field's words.
            locations: where objects are expected, in the scene's units.
            valid: which rows are objects, one at least; the others' results mean nothing.
        """
        config = self.config
        size = pixels.new_tensor([config.width, config.height])
        mean_camera = pixels.new_tensor(config.camera)
        seen = project(mean_camera.expand(len(pixels), 3), locations, focal=config.focal)
        scale = config.span * config.focal / seen[..., 2:].clamp(min=1)  # of a patch's side, in widths of the picture
        patch = self._read_patches(self._patches(pixels, seen[..., :2], scale, valid), words[valid])

        middle = seen[..., :2] * config.width / size
        known = torch.cat([locations / 3, 4 * middle, 4 * (10 / seen[..., 2:].clamp(min=1) - 1)], dim=-1)
        states = self.place(known) + _vectors(self.words, words)
        states = states.masked_scatter(valid[..., None], (states[valid] + patch).to(states.dtype))
        states = torch.cat([self.picture(pixels)[:, None].to(states.dtype), states], dim=1)
        states = self.layers(states, src_key_padding_mask=F.pad(~valid, (1, 0), value=False))
        whole, objects = self.norm(states).split([1, valid.shape[1]], dim=1)

        cameras = mean_camera + self.camera(whole[:, 0]).float()
        heights = locations[..., 2] + self.height(objects)[..., 0].float()
        centers = seen[..., :2] + scale * self.moved(objects).float()
        frames = cameras.new_zeros(len(pixels), 2) if self.frame is None else self.frame(whole[:, 0]).float()
        found = unproject(cameras, from_frames(frames, centers), heights, focal=config.focal)
        return Refined(
            centers=centers * config.width + size / 2,
            cameras=cameras,
            frames=frames,
            locations=found,
            words=self.named(objects).float().split(config.words, dim=-1),
        )

    def _patches(self, pixels: Tensor, centers: Tensor, scale: Tensor, valid: Tensor) -> Float[Tensor, "n 3 side side"]:
        """What the picture shows around each object; its edge is repeated outside."""
        config = self.config
        steps = (torch.arange(config.side, device=pixels.device) + 0.5) / config.side - 0.5
        square = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
        points = centers[valid][:, None, None] + scale[valid][:, None, None] * square  # in widths, from the middle
        points = 2 * points * points.new_tensor([1, config.width / config.height])
        return F.grid_sample(pixels[valid.nonzero()[:, 0]], points, padding_mode="border", align_corners=False)

    def _read_patches(
        self, patches: Float[Tensor, "n 3 side side"], words: Int[Tensor, "n fields"]
    ) -> Float[Tensor, "n dim"]:
        """What is in the patches, as states; the words say which of the objects in them is meant."""
        asked = _vectors(self.asked, words)[..., None, None]
        asked_fine, asked_coarse = asked.split(self.config.channels, dim=1)
        pixels = F.pixel_unshuffle(patches, 2).to(memory_format=torch.channels_last)
        fine = self.fine(self.stem(pixels) + asked_fine)
        coarse = self.coarse(self.down(F.relu(fine)) + asked_coarse)
        return self.patch(F.relu(self.squeeze(F.relu(coarse))).flatten(1))


def _vectors(tables: nn.ModuleList, words: Int[Tensor, "*objects fields"]) -> Float[Tensor, "*objects width"]:
    """The sum of the words' vectors, each field's from its own table."""
    return sum(table(word) for table, word in zip(tables, words.unbind(-1), strict=True))  # type: ignore[return-value]


class Block(nn.Module):
    """Two convolutions beside a straight way; at first the straight way alone (https://arxiv.org/abs/2003.04887)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, x: Float[Tensor, "n channels side side"]) -> Float[Tensor, "n channels side side"]:
        return x + self.share * self.second(F.relu(self.first(F.relu(x))))


class _Picture(nn.Sequential):
    """The whole picture, seen coarsely -> a state [batch, dim]: light and horizon, which tell of the camera."""

    def __init__(self, config: RefinerConfig) -> None:
        rows, columns = (-(-size // (4 * COARSE)) for size in (config.height, config.width))
        super().__init__(
            nn.AvgPool2d(COARSE),
            nn.Conv2d(3, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * rows * columns, config.dim),
        )


def camera_axes(cameras: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 3 3"]:
    """Rows: right, down and forward of cameras that look at the origin, as `Camera.look_at` has them."""
    forward = F.normalize(-cameras, dim=1)
    right = F.normalize(torch.linalg.cross(forward, forward.new_tensor([0.0, 0.0, 1.0]).expand_as(forward)), dim=1)
    return torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)


def _exactly(function: Callable[Given, Tensor]) -> Callable[Given, Tensor]:
    """Outside autocast: eight bits of a number place it to a quarter of a pixel."""

    @wraps(function)
    def exact(*args: Given.args, **kwargs: Given.kwargs) -> Tensor:
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            return function(*args, **kwargs)

    return exact


@_exactly
def project(
    cameras: Float[Tensor, "batch 3"], points: Float[Tensor, "batch objects 3"], *, focal: float
) -> Float[Tensor, "batch objects 3"]:
    """Where the points are seen, to the right and down of the picture's middle in its widths, and their depths."""
    seen = torch.einsum("boi,bji->boj", points - cameras[:, None], camera_axes(cameras))
    return torch.cat([focal * seen[..., :2] / seen[..., 2:], seen[..., 2:]], dim=-1)


@_exactly
def unproject(
    cameras: Float[Tensor, "batch 3"],
    seen: Float[Tensor, "batch objects 2"],
    heights: Float[Tensor, "batch objects"],
    *,
    focal: float,
) -> Float[Tensor, "batch objects 3"]:
    """Inverse of `project` for points of known heights: where the rays through `seen` come to them."""
    rays = torch.cat([seen / focal, torch.ones_like(seen[..., :1])], dim=-1)
    rays = torch.einsum("boj,bji->boi", rays, camera_axes(cameras))
    reach = (heights - cameras[:, None, 2]) / rays[..., 2].clamp(max=-0.1)  # a ray to the horizon ends before it
    points = cameras[:, None, :2] + rays[..., :2] * reach[..., None]
    return torch.cat([points, heights[..., None]], dim=-1)


@_exactly
def to_frames(
    frames: Float[Tensor, "batch 2"], seen: Float[Tensor, "batch objects 2"]
) -> Float[Tensor, "batch objects 2"]:
    """Where points of a picture are in the picture rolled and zoomed, both from the middle (`Camera.turned`)."""
    return torch.exp(frames[:, None, 1:]) * _rolled(frames[:, 0], seen)


@_exactly
def from_frames(
    frames: Float[Tensor, "batch 2"], seen: Float[Tensor, "batch objects 2"]
) -> Float[Tensor, "batch objects 2"]:
    """Inverse of `to_frames`."""
    return torch.exp(-frames[:, None, 1:]) * _rolled(-frames[:, 0], seen)


def _rolled(roll: Float[Tensor, " batch"], seen: Float[Tensor, "batch objects 2"]) -> Float[Tensor, "batch objects 2"]:
    """Points to the right and down, turned counterclockwise."""
    cos, sin, (right, down) = roll.cos()[:, None], roll.sin()[:, None], seen.unbind(-1)
    return torch.stack([cos * right + sin * down, cos * down - sin * right], dim=-1)


def extended(refiner: Refiner, words: tuple[int, ...], *, frames: bool) -> Refiner:
    """A refiner for fields that have these many words: the first of each are the refiner's own, the others are fresh.

    Args:
        frames: it reads them as well; one that does not yet begins with pictures that are not tilted or cropped.

    Raises CheckpointError for other fields, or fewer words.
    """
    old = refiner.config.words
    if len(old) != len(words) or any(new < count for count, new in zip(old, words, strict=True)):
        raise CheckpointError(
            f"the refiner has fields of {', '.join(map(str, old))} words and the schema of "
            f"{', '.join(map(str, words))}; words can be added at a field's end, and not be taken away."
        )
    grown = Refiner(replace(refiner.config, words=words, frames=frames or refiner.config.frames))
    state, known = grown.state_dict(), refiner.state_dict()
    for name, tensor in known.items():
        kind, _, rest = name.partition(".")
        if kind == "named":
            parts = zip(state[name].split(words), tensor.split(old), strict=True)
            state[name] = torch.cat([_begun(new, own) for new, own in parts])
        elif kind in ("asked", "words") and rest.endswith("weight"):
            state[name] = _begun(state[name], tensor)
        else:
            state[name] = tensor
    grown.load_state_dict(state)
    return grown


def _begun(rows: Tensor, first: Tensor) -> Tensor:
    """Rows that begin with `first`."""
    return torch.cat([first, rows[len(first) :]])


def save_refiner(folder: Path, refiner: Refiner) -> None:
    """Writes it beside the model."""
    save_network(folder / REFINER_NAME, refiner)


def load_refiner(folder: Path) -> Refiner | None:
    """The refiner that `save_refiner` wrote; None for a model without one. Raises CheckpointError for another file."""
    return load_network(folder / REFINER_NAME, Refiner, RefinerConfig, recipe="recipes/refiner.py")

"""`CubeTurns`: how the cubes of a picture are turned about the up axis, from the pixels around each.

A cube is cut out of the picture at a scale where all cubes look equally large. A convolutional network says the cosine
and sine of four times its turn: a cube looks alike after a quarter. The turn is relative to the direction on the floor
in which the camera sees the cube, since a crop does not tell where the camera stands. The scene's camera does.

It is for scenes in a world frame with cubes of CLEVR's two sizes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from kyvo.models.heads.refiner import Block
from kyvo.models.network_files import load_network, save_network
from kyvo.scene.cube_views import cube_views, is_seen_cube, viewing_directions
from kyvo.scene.scene import Scene

CUBE_TURNS_NAME = "cube_turns.safetensors"
QUARTER = math.pi / 2
NUM_VIEW = 4  # numbers of how a cube is seen
DIGITS = 4  # of a turn, rad


@dataclass(frozen=True, kw_only=True)
class CubeTurnsConfig:
    """The pictures and the size of the network."""

    width: int = 240  # px
    height: int = 160
    side: int = 48  # samples along a crop
    span: float = 4.0  # of a crop, in half sides of the cube
    channels: tuple[int, int, int] = (32, 64, 96)  # at a half, a quarter and an eighth of the crop's resolution
    dim: int = 128


class CubeTurns(nn.Module):
    """Crops of cubes -> cosine and sine of four times their turns, relative to the camera's direction."""

    def __init__(self, config: CubeTurnsConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, fine, 5, stride=2, padding=2),
            Block(fine),
            nn.ReLU(),
            nn.Conv2d(fine, middle, 3, stride=2, padding=1),
            Block(middle),
            Block(middle),
            nn.ReLU(),
            nn.Conv2d(middle, coarse, 3, stride=2, padding=1),
            Block(coarse),
            nn.ReLU(),
            nn.Conv2d(coarse, coarse // 2, 1),
            nn.ReLU(),
        )
        self.crop = nn.Linear(coarse // 2 * (config.side // 8) ** 2, config.dim)
        self.view = nn.Linear(NUM_VIEW, config.dim)
        self.turn = nn.Sequential(nn.ReLU(), nn.Linear(config.dim, config.dim), nn.ReLU(), nn.Linear(config.dim, 2))

    def forward(
        self,
        pixels: Float[Tensor, "pictures 3 height width"],
        picture_of: Int[Tensor, " cubes"],
        views: Float[Tensor, "cubes 4"],
    ) -> Float[Tensor, "cubes 2"]:
        """
        Args:
            pixels: in [0, 1].
            picture_of: which picture shows each cube.
            views: how each is seen, as `cube_views` has it.
        """
        config = self.config
        steps = (torch.arange(config.side, device=pixels.device) + 0.5) / config.side - 0.5
        square = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
        centers, sides = views[:, None, None, :2], views[:, None, None, 2:3].exp()
        points = 2 * (centers + config.span * sides * square)
        points = points * points.new_tensor([1, config.width / config.height])
        crops = F.grid_sample(pixels[picture_of], points, padding_mode="border", align_corners=False)
        seen = self.convolutions((2 * crops - 1).to(memory_format=torch.channels_last)).flatten(1)
        return self.turn(self.crop(seen) + self.view(views)).float()


@torch.inference_mode()
def read_turns(
    network: CubeTurns, scenes: Sequence[Scene], pictures: Sequence[UInt8[np.ndarray, "height width 3"]]
) -> list[Scene]:
    """The scenes with `rotation` of their cubes, rad, in [-pi/4, pi/4). A scene without a camera stays as it is.

    Args:
        pictures: that each was recognised in, at the network's size.
    """
    device = network.view.weight.device
    turned = list(scenes)
    for number, (scene, picture) in enumerate(zip(scenes, pictures, strict=True)):
        cubes = [index for index, item in enumerate(scene.objects) if is_seen_cube(item)]
        if scene.camera is None or not cubes:
            continue
        shown = [scene.objects[index] for index in cubes]
        pixels = torch.tensor(picture, device=device).permute(2, 0, 1)[None].float() / 255
        views = torch.from_numpy(cube_views(scene.camera, shown)).float().to(device)
        cosine, sine = network(pixels, torch.zeros(len(cubes), dtype=torch.long, device=device), views).cpu().numpy().T
        turns = np.arctan2(sine, cosine) / 4 + viewing_directions(scene.camera, shown)
        turns = (turns + QUARTER / 2) % QUARTER - QUARTER / 2
        objects = list(scene.objects)
        for index, turn in zip(cubes, turns.tolist(), strict=True):
            objects[index] = objects[index].with_values(rotation=round(turn, DIGITS))
        turned[number] = replace(scene, objects=tuple(objects))
    return turned


def save_cube_turns(folder: Path, network: CubeTurns) -> None:
    """Writes it beside the model."""
    save_network(folder / CUBE_TURNS_NAME, network)


def load_cube_turns(folder: Path) -> CubeTurns | None:
    """What `save_cube_turns` wrote; None for a model without one. Raises CheckpointError for another file."""
    return load_network(folder / CUBE_TURNS_NAME, CubeTurns, CubeTurnsConfig, recipe="recipes/cube_turns.py")

"""python recipes/cube_turns.py --config configs/cube_turns.yaml --data DIR [DIR ...] --out DIR

Trains `kyvo.models.heads.cube_turns`, which tells how recognised cubes are turned. `--data` are Arrow sets of pictures
and scenes with cameras and turned cubes, as of `kyvo data clevr --size 240x160`. Places are moved at random, as a model
would mistake them, so it needs no model and serves any that knows cubes: copy `OUT/cube_turns.safetensors` into the
model's folder. `--minutes M` bounds the time instead of the steps. `--resume` goes on from `OUT/training.pt`; `--init
FOLDER` starts from the network in a model's folder. One JSON line per report goes to stdout and to `OUT/log.jsonl`.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from kyvo.data.clevr.augment import augment_share, degrade_share
from kyvo.data.configs import from_section
from kyvo.data.dataset import open_set
from kyvo.data.picture_sets import load_pictures
from kyvo.devices import autocast, choose_device
from kyvo.errors import ConfigError
from kyvo.models.heads.cube_turns import (
    CubeTurns,
    CubeTurnsConfig,
    load_cube_turns,
    save_cube_turns,
)
from kyvo.models.heads.refined_scenes import to_unit
from kyvo.scene.cube_views import cube_views, is_seen_cube, viewing_directions
from kyvo.scene.files import scene_from_json
from kyvo.training.head_trainer import HeadTrainer, HeadTrainerArgs, options_of, sections_of


@dataclass(frozen=True, kw_only=True)
class CubeTurnsArgs(HeadTrainerArgs):
    """The `train` section."""

    batch_size: int = 24  # pictures
    held_out: int = 400  # pictures
    report_every: int = 200
    augment: float = 0.5  # share of pictures as another camera would have taken them
    degrade: float = 0.0  # share of pictures that were compressed, reduced or noisy
    offset: float = 0.08  # of a cube's place in its picture: standard deviation, in its half sides
    scale: float = 0.05  # of its size there: standard deviation of the logarithm
    workers: int = 0  # processes that read the sets; 0: this one


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Pictures, and their cubes one after another."""

    pictures: Tensor  # uint8 [pictures, height, width, 3]
    picture_of: Tensor  # [cubes]
    views: Tensor  # [cubes, 4], as `cube_views` has them
    turns: Tensor  # [cubes], rad, relative to the direction in which the camera sees them

    def __len__(self) -> int:
        return len(self.pictures)

    def of(self, chosen: Tensor) -> "Samples":
        """Those of some pictures, each of which is there once."""
        number = torch.full((len(self),), -1)
        number[chosen] = torch.arange(len(chosen))
        shown = (number[self.picture_of] >= 0).nonzero()[:, 0]
        return Samples(
            pictures=self.pictures[chosen],
            picture_of=number[self.picture_of[shown]],
            views=self.views[shown],
            turns=self.turns[shown],
        )

    def to(self, device: str) -> "Samples":
        return Samples(**{name: value.to(device) for name, value in vars(self).items()})


def main(argv: list[str] | None = None) -> Path:
    """Trains and returns the folder."""
    options = options_of(__doc__).parse_args(argv)
    sections = sections_of(options, known=("model", "train"))
    config = from_section(CubeTurnsConfig, sections["model"], prefix="model.")
    args = from_section(CubeTurnsArgs, sections["train"], prefix="train.")
    args = replace(args, device=choose_device(args.device))
    samples = read_samples(options.data, config, args)
    if len(samples) <= args.held_out:
        raise ConfigError(f"--data has {len(samples)} pictures with cubes and train.held_out is {args.held_out}.")
    trainer = Trainer(config, args, samples, minutes=options.minutes)
    trainer.run_from(options, load_cube_turns)
    save_cube_turns(options.out, trainer.model.cpu())
    return options.out


def read_samples(folders: Sequence[Path], config: CubeTurnsConfig, args: CubeTurnsArgs) -> Samples:
    """All pictures of the sets that show a cube. Raises ConfigError for none, for scenes without a camera, and for
    cubes without a turn."""
    size = {"width": config.width, "height": config.height}
    pictures = torch.cat([load_pictures(folder, **size, limit=None, workers=args.workers) for folder in folders])
    picture_of, views, turns = [], [], []
    scenes = [scene_from_json(json.loads(row), str(folder)) for folder in folders for row in open_set(folder)["scene"]]
    for number, scene in enumerate(scenes):
        cubes = [item for item in scene.objects if is_seen_cube(item)]
        if not cubes:
            continue
        if scene.camera is None or any(cube.turn is None for cube in cubes):
            raise ConfigError(f"scene {number} of --data has no camera, or a cube without `rotation`; both are needed.")
        picture_of += [number] * len(cubes)
        views.append(torch.from_numpy(cube_views(scene.camera, cubes)).float())
        true = torch.tensor([cube.turn for cube in cubes], dtype=torch.float64)
        turns.append((true - torch.from_numpy(viewing_directions(scene.camera, cubes))).float())
    if not views:
        raise ConfigError("--data shows no cube of CLEVR's sizes; make a set with `kyvo data clevr --size 240x160`.")
    shown, picture_of = torch.tensor(picture_of).unique(return_inverse=True)
    return Samples(pictures=pictures[shown], picture_of=picture_of, views=torch.cat(views), turns=torch.cat(turns))


class Trainer(HeadTrainer[CubeTurnsArgs]):
    """A network on its way. The first pictures are held out."""

    def __init__(
        self, config: CubeTurnsConfig, args: CubeTurnsArgs, samples: Samples, *, minutes: float | None = None
    ) -> None:
        torch.manual_seed(args.seed)
        model = CubeTurns(config).to(args.device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(model, args, minutes=minutes)
        self.samples = samples

    def losses(self) -> dict[str, Tensor]:
        args = self.args
        count = len(self.samples) - args.held_out
        chosen = args.held_out + torch.randperm(count, generator=self.generator)[: args.batch_size]
        truth = self.samples.of(chosen).to(args.device)
        pixels = to_unit(degrade_share(truth.pictures, args.degrade, self.chance))
        pixels = augment_share(pixels, args.augment, self.chance)
        noise = torch.randn(truth.views.shape, generator=self.chance, device=args.device)
        views = truth.views.clone()
        views[:, :2] += args.offset * views[:, 2:3].exp() * noise[:, :2]
        views[:, 2] += args.scale * noise[:, 2]
        return {"loss": self._loss(self._said(pixels, truth.picture_of, views), truth.turns)}

    @torch.no_grad()
    def measured(self) -> dict[str, Tensor]:
        """The loss, and the median of how far turns are off, degrees."""
        args, said, turns = self.args, [], []
        for part in torch.arange(args.held_out).split(args.batch_size):
            truth = self.samples.of(part).to(args.device)
            said.append(self._said(to_unit(truth.pictures), truth.picture_of, truth.views))
            turns.append(truth.turns)
        found, true = torch.cat(said), torch.cat(turns)
        apart = torch.atan2(found[:, 1], found[:, 0]) - 4 * true
        off = torch.atan2(apart.sin(), apart.cos()).abs() / 4
        return {"loss": self._loss(found, true), "degrees": off.median() * 180 / math.pi}

    def _said(self, pixels: Tensor, picture_of: Tensor, views: Tensor) -> Tensor:
        with autocast(self.args.device):
            return self.model(pixels, picture_of, views)

    def _loss(self, said: Tensor, turns: Tensor) -> Tensor:
        """Squared error of cosine and sine: of what a crop does not tell, the mean says little of either."""
        return F.mse_loss(said, torch.stack([(4 * turns).cos(), (4 * turns).sin()], dim=1))


if __name__ == "__main__":
    print(main(), file=sys.stderr)

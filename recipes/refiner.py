"""python recipes/refiner.py --config configs/refiner.yaml --data DIR [DIR ...] --out DIR

Trains a refiner (`kyvo.models.heads.refiner`), which reads recognised objects once more from the pixels. `--data` are
Arrow sets of pictures and scenes with cameras. Its objects are the true ones, moved and renamed at random as a model
would mistake them, so it needs no model and serves any of the same schema: copy `OUT/refiner.safetensors` into the
model's folder.
`--minutes M` bounds the time instead of the steps. `--resume` goes on from `OUT/training.pt`; `--init FOLDER` starts
from the refiner in a model's folder, which may know fewer words. One JSON line per report goes to stdout and to
`OUT/log.jsonl`. OMP_NUM_THREADS sets the CPU threads.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kyvo.data.clevr.augment import augment_share, degrade_share
from kyvo.data.clevr.occlusion import with_contact_shadows
from kyvo.data.clevr.sampling import scene_batch
from kyvo.data.configs import from_section
from kyvo.data.dataset import open_set
from kyvo.data.picture_sets import load_pictures
from kyvo.devices import autocast, choose_device
from kyvo.errors import ConfigError
from kyvo.models.heads.refined_scenes import as_tensors, to_unit
from kyvo.models.heads.refiner import (
    Refined,
    Refiner,
    RefinerConfig,
    camera_axes,
    extended,
    load_refiner,
    project,
    save_refiner,
    to_frames,
    unproject,
)
from kyvo.scene.builtin_schemas import load_schema
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Camera
from kyvo.scene.schema import SceneSchema
from kyvo.training.head_trainer import HeadTrainer, HeadTrainerArgs, options_of, sections_of

SHADED = 16  # pictures that get their shadows at a time
FRAME = 1e-3  # rad, and of a zoom's logarithm: less is rounding
LOOK = 0.01  # widths of the picture that a camera may miss the origin by, in the sets


@dataclass(frozen=True, kw_only=True)
class RefinerArgs(HeadTrainerArgs):
    """The `train` section."""

    batch_size: int = 48  # pictures
    held_out: int = 480
    report_every: int = 200
    augment: float = 0.5  # share of pictures as another camera would have taken them
    contact_shadows: float = (
        0.0  # share of pictures that get them: `kyvo.data.clevr.occlusion`, for ray-traced CLEVR scenes
    )
    degrade: float = 0.0  # share of pictures that were compressed, reduced or noisy
    workers: int = 0  # processes that read the sets; 0: this one


@dataclass(frozen=True, kw_only=True)
class Mistakes:
    """How a recognised scene differs from the true one, as far as the refiner's inputs are concerned."""

    spread: tuple[float, float] = (0.04, 0.25)  # units: standard deviation of a scene's places, drawn between
    far: tuple[float, float] = (0.04, 0.4)  # share of objects, and how much farther off they are
    height: tuple[float, float] = (0.06, 0.2)  # likewise, of heights
    word: float = 0.12  # share of words that are drawn anew
    missing: float = 0.03  # share of objects


MISTAKES = Mistakes()


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Pictures and what is true of them."""

    pictures: Tensor  # uint8 [pictures, height, width, 3]
    words: Tensor  # [pictures, objects, fields]
    locations: Tensor  # [pictures, objects, 3]
    valid: Tensor  # bool [pictures, objects]
    cameras: Tensor  # [pictures, 3]
    frames: Tensor  # [pictures, 2], as `Refined` has them

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, chosen: Tensor | slice) -> "Samples":
        return Samples(**{name: value[chosen] for name, value in vars(self).items()})

    def to(self, device: str) -> "Samples":
        return Samples(**{name: value.to(device) for name, value in vars(self).items()})


def main(argv: list[str] | None = None) -> Path:
    """Trains and returns the folder."""
    options = options_of(__doc__).parse_args(argv)

    sections = sections_of(options)
    schema = load_schema(sections["schema"])
    if not schema.has_locations:
        raise ConfigError(f"the schema {schema.name!r} has no locations in a world frame; a refiner reads those.")
    config = from_section(RefinerConfig, sections["model"], prefix="model.", words=schema.word_counts)
    args = from_section(RefinerArgs, sections["train"], prefix="train.")
    args = replace(args, device=choose_device(args.device))
    samples = read_samples(options.data, schema, config, args)
    if len(samples) <= args.held_out:
        raise ConfigError(f"--data has {len(samples)} pictures with objects and train.held_out is {args.held_out}.")
    trainer = Trainer(config, args, samples, minutes=options.minutes)
    trainer.run_from(options, lambda folder: _load(folder, config))
    save_refiner(options.out, trainer.model.cpu())
    return options.out


def _load(folder: Path, config: RefinerConfig) -> Refiner | None:
    """A model's refiner, with room for the words that the schema has and it has not, and for what `config` reads."""
    found = load_refiner(folder)
    return None if found is None else extended(found, config.words, frames=config.frames).requires_grad_(True)


def read_samples(folders: Sequence[Path], schema: SceneSchema, config: RefinerConfig, args: RefinerArgs) -> Samples:
    """All pictures of the sets that show an object. Raises ConfigError for scenes without a camera, or whose camera
    looks elsewhere than at the origin."""
    pictures, scenes = [], []
    for folder in folders:
        pictures.append(
            load_pictures(folder, width=config.width, height=config.height, limit=None, workers=args.workers)
        )
        scenes += [scene_from_json(json.loads(row), str(folder)) for row in open_set(folder)["scene"]]
    shown = torch.tensor([len(scene) > 0 for scene in scenes])
    words, locations, valid = as_tensors(scenes, schema)
    cameras, frames = torch.zeros(len(scenes), 3), torch.zeros(len(scenes), 2)
    for number, scene in enumerate(scenes):
        camera = scene.camera
        if camera is None:
            raise ConfigError(f"scene {number} of --data has no camera, which says where its objects are seen.")
        column, row = camera.project(np.zeros((1, 3)))[0, :2]
        if math.hypot(column - camera.width / 2, row - camera.height / 2) > LOOK * camera.width:
            raise ConfigError(f"the camera of scene {number} of --data does not look at the origin.")
        cameras[number] = torch.tensor(camera.location)
        frames[number] = _frame(camera, config)
    if not config.frames and frames.abs().max() > FRAME:
        raise ConfigError("--data has pictures that are tilted or cropped; set model.frames to true for them.")
    taken = torch.cat(pictures)
    darkened = torch.rand(len(scenes), generator=torch.Generator().manual_seed(args.seed)) < args.contact_shadows
    chosen = (darkened & shown).nonzero()[:, 0]
    for part in chosen.split(SHADED) if len(chosen) else ():
        taken[part] = with_contact_shadows(taken[part], scene_batch([scenes[index] for index in part.tolist()]))
    samples = Samples(pictures=taken, words=words, locations=locations, valid=valid, cameras=cameras, frames=frames)
    return samples[shown]


def _frame(camera: Camera, config: RefinerConfig) -> Tensor:
    """How a camera that looks at the origin is rolled and zoomed, [2]."""
    right, down, _ = camera_axes(torch.tensor([camera.location]))[0]
    own = torch.tensor(camera.rotation[0])
    roll = torch.atan2(own @ down, own @ right)
    return torch.stack([roll, torch.tensor(math.log(camera.focal / camera.width / config.focal))])


def mistaken(
    truth: Samples, config: RefinerConfig, generator: torch.Generator, mistakes: Mistakes = MISTAKES
) -> tuple[Tensor, Tensor, Tensor]:
    """Words, locations and valid rows as a model could have recognised them; at least one object is left, and none
    whose centre is outside the picture, where there are others.

    Objects stand where another picture's camera would have to see them for this picture: whoever recognises a scene
    knows it as little where its camera stood, and true places would give it away.
    """
    batch, objects, fields = truth.words.shape
    device = truth.words.device

    def drawn(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    low, high = map(math.log, mistakes.spread)
    spread = torch.exp(low + (high - low) * drawn(batch, 1, 1))
    share, distance = mistakes.far
    far = (drawn(batch, objects, 1) < share) * distance * normal(batch, objects, 2)
    floor = spread * normal(batch, objects, 2) + far
    share, distance = mistakes.height
    height = (drawn(batch, objects, 1) < share) * distance * normal(batch, objects, 1)
    others = [torch.randint(count, (batch, objects), generator=generator, device=device) for count in config.words]
    renamed = drawn(batch, objects, fields) < mistakes.word
    seen = _seen(truth, config)
    others_cameras = truth.cameras[torch.randperm(batch, generator=generator, device=device)]
    places = unproject(others_cameras, seen, truth.locations[..., 2], focal=config.focal)
    inside = (seen.abs() < seen.new_tensor([0.5, 0.5 * config.height / config.width])).all(-1)
    left = truth.valid & inside & (drawn(batch, objects) >= mistakes.missing)
    return (
        torch.where(renamed, torch.stack(others, dim=-1), truth.words),
        places + torch.cat([floor, height], dim=-1),
        torch.where(left.any(1, keepdim=True), left, truth.valid),
    )


def _seen(truth: Samples, config: RefinerConfig) -> Tensor:
    """Where objects' centres are in their pictures, in widths from the middle, [batch, objects, 2]."""
    return to_frames(truth.frames, project(truth.cameras, truth.locations, focal=config.focal)[..., :2])


class Trainer(HeadTrainer[RefinerArgs]):
    """A refiner on its way."""

    def __init__(
        self, config: RefinerConfig, args: RefinerArgs, samples: Samples, *, minutes: float | None = None
    ) -> None:
        torch.manual_seed(args.seed)
        model = Refiner(config).to(args.device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(model, args, minutes=minutes)
        self.held_out, self.samples = samples[: args.held_out], samples[args.held_out :]

    def losses(self) -> dict[str, Tensor]:
        args = self.args
        chosen = torch.randint(len(self.samples), (args.batch_size,), generator=self.generator)
        truth = self.samples[chosen].to(args.device)
        pixels = to_unit(degrade_share(truth.pictures, args.degrade, self.chance))
        pixels = augment_share(pixels, args.augment, self.chance)
        found, _ = self.compared(truth, pixels, self.chance)
        # A place is uncertain by which way the camera looks around; where it is seen is not, and is learnt sooner.
        loss = 5 * found["place"] + found["pixels"] + 2 * found["camera"] + 10 * found["frame"] + found["words"]
        return {"loss": loss, **found}

    def measured(self) -> dict[str, Tensor]:
        """Of the held-out pictures, under mistakes that are always the same."""
        args = self.args
        chance = torch.Generator(args.device).manual_seed(0)
        found, counts = [], []
        for part in range(0, len(self.held_out), args.batch_size):
            truth = self.held_out[slice(part, part + args.batch_size)].to(args.device)
            of_part, count = self.compared(truth, to_unit(truth.pictures), chance)
            found.append(of_part)
            counts.append(count)
        weights = torch.stack(counts) / sum(counts)
        return {name: (torch.stack([part[name] for part in found]) * weights).sum() for name in found[0]}

    def compared(self, truth: Samples, pixels: Tensor, chance: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """What the model makes of mistaken scenes against the true ones, and of how many objects."""
        words, locations, valid = mistaken(truth, self.model.config, chance)
        with autocast(self.args.device):
            found = self.model(pixels, words, locations, valid)
        return compare(found, truth, valid, self.model.config), valid.sum()


def compare(found: Refined, truth: Samples, valid: Tensor, config: RefinerConfig) -> dict[str, Tensor]:
    """Means over objects: distance on the floor and in height (units), of centres (px), of the camera's numbers
    (units), of roll and zoom (rad, and a factor's logarithm), and the cross-entropy of words (nats, summed over
    fields)."""
    size = found.centers.new_tensor([config.width, config.height])
    seen = _seen(truth, config) * config.width + size / 2
    words = [F.cross_entropy(logits[valid], truth.words[..., field][valid]) for field, logits in enumerate(found.words)]
    return {
        "place": (found.locations - truth.locations)[valid].norm(dim=-1).mean(),
        "pixels": (found.centers - seen)[valid].norm(dim=-1).mean(),
        "camera": (found.cameras - truth.cameras).abs().mean(),
        "frame": (found.frames - truth.frames).abs().mean(),
        "words": torch.stack(words).sum(),
    }


if __name__ == "__main__":
    print(main(), file=sys.stderr)

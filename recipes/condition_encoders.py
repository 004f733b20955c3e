"""python recipes/condition_encoders.py --config configs/flow/conditions_mini.yaml --data data/objects --out runs/cond

Trains the small encoders of pictures and texts that condition flow models, before the flows: a flow that starts from
random encoders learns for long what its objects have in common, and nothing from its conditions. Here a decoder has to
tell each object's form and colors, on coarse grids, from the tokens of a picture or of a caption alone; and the two
have to find one another among those of other objects (https://arxiv.org/abs/2103.00020).

`--data` are sets of `kyvo data objects` of pictures and captions; a set that is named twice counts twice. `--minutes M`
bounds the time instead of the steps, `--resume` goes on from OUT/training.pt. `--init FOLDER` begins with the encoders
of such a folder, or of a generator's `ckpts`, and keeps their words; give it again with `--resume`. OUT/picture_encoder
and OUT/text_encoder are networks for `conditions` of `recipes/flow.py`. One JSON line a report goes to stdout and to
OUT/log.jsonl.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.data.configs import from_section
from kyvo.devices import autocast, choose_device
from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.flow.load import ConditionKind, load_condition
from kyvo.models.flow.small_encoders import (
    SmallPictureEncoder,
    SmallPictureEncoderConfig,
    SmallTextEncoder,
    SmallTextEncoderConfig,
    load_encoder,
)
from kyvo.models.flow.structure_flow import from_patches
from kyvo.models.slat.load import save_network
from kyvo.shapes.contour import COLOR
from kyvo.shapes.flow_data import ObjectRows
from kyvo.shapes.losses import occupancy_loss
from kyvo.training.head_trainer import HeadTrainer, HeadTrainerArgs, options_of, sections_of

KINDS: tuple[ConditionKind, ...] = get_args(ConditionKind)
GRID = 16  # cells along a side of the coarse occupancy
BLOCK = 4  # of them along a side that one query tells
COLORS = 8  # cells along a side of the grid of colors
RESOLUTION = 32  # of the sets


@dataclass(frozen=True, kw_only=True)
class ConditionArgs(HeadTrainerArgs):
    """The `train` section."""

    mirror: bool = False  # every object also with left and right swapped


@dataclass(frozen=True, kw_only=True)
class ConditionConfig:
    """Sizes of both encoders."""

    picture: SmallPictureEncoderConfig
    text: SmallTextEncoderConfig

    def __post_init__(self) -> None:
        # A checkpoint hands over plain dictionaries.
        for name, kind in (("picture", SmallPictureEncoderConfig), ("text", SmallTextEncoderConfig)):
            if isinstance(getattr(self, name), dict):
                object.__setattr__(self, name, kind(**getattr(self, name)))
        if self.picture.channels != self.text.channels:
            raise ConfigError(
                f"picture.channels is {self.picture.channels} and text.channels {self.text.channels}; a flow takes one "
                "number of channels."
            )


def main(argv: list[str] | None = None) -> Path:
    """Trains and returns the folder."""
    options = options_of(__doc__).parse_args(argv)
    sections = sections_of(options, known=("picture", "text", "train"))
    args = from_section(ConditionArgs, sections["train"], prefix="train.")
    objects = ObjectRows.open(options.data, resolution=RESOLUTION, mirrored=args.mirror)
    if len(objects) <= args.held_out:
        raise ConfigError(f"--data has {len(objects)} objects and train.held_out is {args.held_out}.")
    first: dict[ConditionKind, Any] = {}
    if options.init:
        first = {kind: load_condition(kind, options.init / f"{kind}_encoder").float() for kind in KINDS}
    words = objects.words if not first else sorted({*objects.words, *first["text"].config.words})
    config = ConditionConfig(
        picture=from_section(SmallPictureEncoderConfig, sections["picture"], prefix="picture."),
        text=from_section(SmallTextEncoderConfig, sections["text"], prefix="text.", words=words),
    )
    trainer = Trainer(config, replace(args, device=choose_device(args.device)), objects, minutes=options.minutes)
    trainer.run_from(options, lambda folder: begun_with(trainer.model, first))
    for kind in KINDS:
        save_network(getattr(trainer.model, kind).cpu(), options.out / f"{kind}_encoder")
    return options.out


def begun_with(model: "ConditionModel", first: Mapping[ConditionKind, nn.Module]) -> "ConditionModel":
    """The model with these encoders' weights. Raises CheckpointError where the sizes differ."""
    for kind, encoder in first.items():
        if not load_encoder(getattr(model, kind), encoder):
            raise CheckpointError(f"--init: its {kind} encoder has other sizes than the {kind} section of the config.")
    return model


class CoarseDecoder(nn.Module):
    """Tokens of a condition -> logits of a coarse occupancy, and colors."""

    def __init__(self, channels: int, *, num_layers: int = 2, num_heads: int = 4) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn((GRID // BLOCK) ** 3, channels) / channels**0.5)
        layer = nn.TransformerDecoderLayer(
            channels, num_heads, 4 * channels, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerDecoder(layer, num_layers, norm=nn.LayerNorm(channels))
        self.occupancy = nn.Linear(channels, BLOCK**3)
        self.colors = nn.Linear(channels, 3 * (BLOCK * COLORS // GRID) ** 3)

    def forward(
        self, tokens: Float[Tensor, "batch tokens channels"]
    ) -> tuple[Float[Tensor, "batch 16 16 16"], Float[Tensor, "batch 3 8 8 8"]]:
        hidden = self.transformer(self.queries.expand(len(tokens), -1, -1), tokens)
        occupancy = from_patches(self.occupancy(hidden), BLOCK)[:, 0]
        return occupancy, from_patches(self.colors(hidden), BLOCK * COLORS // GRID)


class ConditionModel(nn.Module):
    """Both encoders, and what they are trained by."""

    def __init__(self, config: ConditionConfig) -> None:
        super().__init__()
        self.config = config
        self.picture = SmallPictureEncoder(config.picture)
        self.text = SmallTextEncoder(config.text)
        self.decoder = CoarseDecoder(config.picture.channels)
        self.temperature = nn.Parameter(torch.tensor(0.07).log())


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Conditions and what is true of their objects."""

    pictures: Float[Tensor, "batch 3 height width"]
    texts: list[str]
    occupancy: Float[Tensor, "batch 16 16 16"]  # 1 where a cell of the fine grid is active
    colors: Float[Tensor, "batch 3 8 8 8"]  # mean of the active cells


class Trainer(HeadTrainer[ConditionArgs]):
    """Encoders on their way."""

    def __init__(
        self, config: ConditionConfig, args: ConditionArgs, objects: ObjectRows, *, minutes: float | None = None
    ) -> None:
        torch.manual_seed(args.seed)
        super().__init__(ConditionModel(config).to(args.device), args, minutes=minutes)
        self.objects = objects
        # Rows of several sets stand one set after another: what is held out is from all of them.
        order = np.random.default_rng(args.seed).permutation(len(objects))
        self.held_out = order[: args.held_out]
        # Neither is a held-out object trained on as its mirror image, or from a set that is named twice.
        kinds = list(zip(objects.names, objects.sizes, strict=True))
        held_out = {kinds[row] for row in self.held_out}
        self.rows = np.array([row for row in order if kinds[row] not in held_out])

    def losses(self) -> dict[str, Tensor]:
        chosen = torch.randint(len(self.rows), (self.args.batch_size,), generator=self.generator)
        rng = np.random.default_rng([self.args.seed, self.step])
        return self.losses_of(self.batch(self.rows[chosen.numpy()].tolist(), rng))

    @torch.no_grad()
    def measured(self) -> dict[str, Tensor]:
        """Of the held-out objects: the losses, and how often a picture finds its caption among the batch's."""
        size, rng = self.args.batch_size, np.random.default_rng(0)
        starts = range(0, len(self.held_out) - size + 1, size) or [0]
        found = [self.losses_of(self.batch(self.held_out[start : start + size].tolist(), rng)) for start in starts]
        return {name: torch.stack([each[name] for each in found]).mean() for name in found[0]}

    def batch(self, rows: Sequence[int], rng: np.random.Generator) -> Batch:
        x, device = self.objects.sparse(rows), self.args.device
        occupancy = x.replace(torch.ones(len(x.voxels), 1)).dense()
        colors = x.replace(x.feats[:, COLOR]).dense()
        fold = RESOLUTION // COLORS
        count = F.avg_pool3d(occupancy, fold)
        return Batch(
            pictures=self.objects.pictures(rows, rng, size=self.model.config.picture.picture_size).to(device),
            texts=self.objects.captions(rows, rng),
            occupancy=F.max_pool3d(occupancy, RESOLUTION // GRID)[:, 0].to(device),
            colors=(F.avg_pool3d(colors, fold) / count.clamp(min=1e-6)).to(device),
        )

    def losses_of(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch, and the share of pictures whose own caption is the nearest."""
        model = self.model
        with autocast(self.args.device):
            tokens = {"picture": model.picture(batch.pictures), "text": model.text(batch.texts)}
            decoded = {kind: model.decoder(vectors) for kind, vectors in tokens.items()}
        there = (F.max_pool3d(batch.occupancy[:, None], GRID // COLORS) > 0).float()
        losses = {}
        for kind, (occupancy, colors) in decoded.items():
            losses[kind] = occupancy_loss(occupancy.float(), batch.occupancy > 0)
            off = (colors.float() - batch.colors).abs() * there
            losses[f"{kind}_colors"] = off.sum() / (3 * there.sum())
        picture_vectors, text_vectors = (
            F.normalize(tokens[kind].float().mean(1), dim=1) for kind in ("picture", "text")
        )
        similarity = picture_vectors @ text_vectors.T / model.temperature.exp()
        labels = torch.arange(len(similarity), device=similarity.device)
        losses["contrast"] = (F.cross_entropy(similarity, labels) + F.cross_entropy(similarity.T, labels)) / 2
        total = sum(losses.values(), start=torch.zeros(())) - 0.8 * losses["contrast"]
        return {"loss": total, **losses, "found": (similarity.argmax(1) == labels).float().mean()}


if __name__ == "__main__":
    print(main(), file=sys.stderr)

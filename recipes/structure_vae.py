"""python recipes/structure_vae.py --config configs/flow/structure_vae_mini.yaml --data data/objects --out runs/ss_vae

Trains the VAE whose latents a structure flow is over: occupancy of a grid <-> a small dense grid of vectors, by
cross-entropy, Dice and KL (https://arxiv.org/abs/2412.01506, appendix). `--data` and `--held-out` are sets of `kyvo
data objects`. `--set train.steps=100` changes a setting, and `--resume` goes on from OUT's newest checkpoint.

OUT/step_<n>/model holds `ss_enc` and `ss_dec`, averaged over the steps and scaled so that latents have deviation 1. One
JSON line a report goes to stdout and to OUT/log.jsonl. OMP_NUM_THREADS sets the CPU threads.
"""

import argparse
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.data.configs import from_section
from kyvo.devices import autocast, choose_device
from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.slat.load import build_network, save_network
from kyvo.models.slat.structure import SparseStructureDecoder, SparseStructureEncoder
from kyvo.shapes.flow_data import ObjectRows, PackPosition, Packs
from kyvo.shapes.losses import occupancy_loss
from kyvo.tokenizers.train_args import schedule
from kyvo.tokenizers.training import log
from kyvo.training.checkpoint import load_checkpoint, save_checkpoint
from kyvo.training.head_trainer import sections_of

SECTIONS = ("encoder", "decoder", "train")
SCALED_BY = 256  # objects that the latents' deviation is measured on


@dataclass(frozen=True, kw_only=True)
class StructureArgs:
    """The `train` section."""

    steps: int
    resolution: int = 32  # cells along a side of the grid
    batch_size: int = 16  # objects
    learning_rate: float = 1e-3  # its peak: a short warm-up, then a cosine down to 2 % of it
    kl_weight: float = 1e-3
    clip_grad_norm: float = 1.0
    ema_decay: float = 0.999  # of the averaged weights; lower in the first steps
    report_every: int = 100  # steps
    checkpoint_every: int = 500  # steps
    keep_last: int = 2
    seed: int = 0
    device: str = "cpu"


def main(argv: list[str] | None = None) -> Path:
    """Trains and returns the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, nargs="+")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="sets whose IoU is reported")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], metavar="SETTING", help="as train.batch_size=64")
    options = parser.parse_args(argv)

    config = sections_of(options, known=SECTIONS)
    args = from_section(StructureArgs, config["train"], prefix="train.")
    trainer = Trainer(config, args, options.data, held_out=options.held_out, out=options.out)
    if options.resume:
        trainer.resume()
    trainer.run()
    return options.out


class StructureVAE(nn.Module):
    """Encoder and decoder, which are two networks of a published folder."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        encoder, decoder = (build_network(config[name]) for name in ("encoder", "decoder"))
        if not isinstance(encoder, SparseStructureEncoder):
            raise ConfigError(f"encoder.name is {config['encoder'].get('name')!r}; it is SparseStructureEncoder.")
        if not isinstance(decoder, SparseStructureDecoder):
            raise ConfigError(f"decoder.name is {config['decoder'].get('name')!r}; it is SparseStructureDecoder.")
        self.encoder, self.decoder = encoder, decoder
        one, other = encoder.config, decoder.config
        if (one.latent_channels, one.shrinkage) != (other.latent_channels, other.shrinkage):
            raise ConfigError(
                f"The encoder makes {one.latent_channels} channels and a grid {one.shrinkage} times smaller, the "
                f"decoder takes {other.latent_channels} and {other.shrinkage}; both have the same."
            )

    def forward(
        self, occupancy: Float[Tensor, "batch one x y z"], noise: Float[Tensor, "batch latent x2 y2 z2"] | float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, and the mean and logarithm of the variance of the latents."""
        mean, log_variance = self.encoder(occupancy)
        return self.decoder(mean + noise * (0.5 * log_variance).exp())[:, 0], mean, log_variance


class Trainer:
    """Networks, averaged weights and place in the data."""

    def __init__(
        self, config: Mapping[str, Any], args: StructureArgs, data: list[Path], *, held_out: list[Path], out: Path
    ) -> None:
        self.args, self.out = args, out
        self.device = choose_device(args.device)
        torch.manual_seed(args.seed)
        self.model = StructureVAE(config).float().to(self.device)
        self.objects = ObjectRows.open(data, resolution=args.resolution)
        self.held_out = ObjectRows.open(held_out, resolution=args.resolution) if held_out else None
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=args.learning_rate, weight_decay=0.0)
        self.average = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        packs = Packs(sizes=[1] * len(self.objects), budget=args.batch_size, seed=args.seed)
        self.position = PackPosition(packs=packs)
        self.step = 0

    def resume(self) -> None:
        """From the newest checkpoint; a folder without one is begun."""
        state = load_checkpoint(self.out)
        if state is None:
            return
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise CheckpointError(f"{self.out} was trained with other networks: {error}") from error
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = {name: tensor.to(self.device) for name, tensor in state["average"].items()}
        self.step, self.position.epoch, self.position.index = state["step"], state["epoch"], state["index"]

    def run(self) -> None:
        """Steps to the end."""
        args = self.args
        self.out.mkdir(parents=True, exist_ok=True)
        found: list[dict[str, float]] = []
        began = time.monotonic()
        while self.step < args.steps:
            found.append(self.train_step())
            if self.step % args.report_every == 0 or self.step == args.steps:
                seconds = time.monotonic() - began
                means = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
                line = {"step": self.step, **means, "objects_per_second": len(found) * args.batch_size / seconds}
                log(self.out, line | self.held_out_scores())
                found, began = [], time.monotonic()
            if self.step % args.checkpoint_every == 0 or self.step == args.steps:
                self.save()

    def train_step(self) -> dict[str, float]:
        """One step; returns its losses."""
        args = self.args
        for group in self.optimizer.param_groups:
            group["lr"] = args.learning_rate * schedule(self.step / args.steps, warmup=0.02)
        generator = torch.Generator().manual_seed(args.seed * 1_000_003 + self.step)
        (rows,) = self.position.take(1)
        occupancy = varied(self.objects.occupancy(rows), generator).to(self.device)
        config = self.model.encoder.config
        shape = (len(rows), config.latent_channels, *[args.resolution // config.shrinkage] * 3)
        noise = torch.randn(shape, generator=generator).to(self.device)
        with autocast(self.device):
            logits, mean, log_variance = self.model(occupancy, noise)
        loss = occupancy_loss(logits.float(), occupancy[:, 0] > 0)
        mean, log_variance = mean.float(), log_variance.float()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        (loss + args.kl_weight * kl).backward()
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), args.clip_grad_norm))
        if math.isfinite(norm):  # one bad batch is left out
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        decay = min(args.ema_decay, self.step / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                self.average[name].mul_(decay).add_(tensor, alpha=1 - decay)
        return {"loss": loss.item(), "kl": kl.item(), "gradient": norm}

    @torch.no_grad()
    def held_out_scores(self) -> dict[str, float]:
        """Mean IoU of the averaged networks on the held-out objects, without noise."""
        if self.held_out is None:
            return {}
        rows = range(len(self.held_out))
        scores = []
        for start in range(0, len(rows), self.args.batch_size):
            occupancy = self.held_out.occupancy(rows[start : start + self.args.batch_size]).to(self.device)
            logits, *_ = torch.func.functional_call(self.model, self.average, (occupancy, 0.0))
            found, truth = logits > 0, occupancy[:, 0] > 0
            scores += ((found & truth).sum((1, 2, 3)) / (found | truth).sum((1, 2, 3))).tolist()
        return {"held_out_iou": float(np.mean(scores))}

    def save(self) -> None:
        """Everything that a resumed run needs, and the averaged networks."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "epoch": self.position.epoch,
            "index": self.position.index,
        }
        save_checkpoint(
            self.out, step=self.step, state=state, write_model=self.write_model, keep_last=self.args.keep_last
        )

    @torch.no_grad()
    def write_model(self, folder: Path) -> None:
        """Both networks, with the latents' deviation divided out of the one and into the other."""
        folder.mkdir()
        state = {name: tensor.clone() for name, tensor in self.average.items()}
        rows = range(min(SCALED_BY, len(self.objects)))
        means = []
        for start in range(0, len(rows), self.args.batch_size):
            occupancy = self.objects.occupancy(rows[start : start + self.args.batch_size]).to(self.device)
            _, mean, _ = torch.func.functional_call(self.model, state, (occupancy, 0.0))
            means.append(mean.movedim(1, -1).flatten(0, -2))
        deviation = torch.cat(means).std(0)
        count = len(deviation)
        for name in ("encoder.out_layer.2.weight", "encoder.out_layer.2.bias"):
            state[name][:count] /= deviation.reshape(-1, *[1] * (state[name].dim() - 1))
        state["encoder.out_layer.2.bias"][count:] -= 2 * deviation.log()
        state["decoder.input_layer.weight"] *= deviation[:, None, None, None]
        for name, short in (("encoder", "ss_enc"), ("decoder", "ss_dec")):
            own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
            save_network(getattr(self.model, name), folder / short, state=own)


def varied(occupancy: Float[Tensor, "batch one x y z"], generator: torch.Generator) -> Float[Tensor, "batch one x y z"]:
    """The batch under one of the eight symmetries about the up axis."""
    flip_x, flip_y, swap = (torch.rand(3, generator=generator) < 0.5).tolist()
    flipped = occupancy.flip([axis for axis, is_flipped in ((2, flip_x), (3, flip_y)) if is_flipped])
    return flipped.transpose(2, 3) if swap else flipped


if __name__ == "__main__":
    print(main(), file=sys.stderr)

"""python tokenizers/train_image.py --config configs/tokenizers/image_mini.yaml --data DIR --out DIR

Trains the image VQGAN. `--data` is an Arrow folder of this project (column "image") or a folder of pictures.
`--minutes M` bounds the time instead of the steps; the learning rate then falls over those minutes. `--resume`
goes on from `OUT/training.pt`; `--init FOLDER` starts from another tokenizer, to fine-tune it on this data. One JSON
line per report goes to stdout and to `OUT/log.jsonl`. OUT is at the end an ImageTokenizer folder. OMP_NUM_THREADS
sets the CPU threads.
"""

import argparse
import importlib
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from kyvo.data.dataset import open_set
from kyvo.errors import CheckpointError, ConfigError, ImageError
from kyvo.scene.files import scene_from_json
from kyvo.scene.schema import SCHEMAS, SceneSchema
from kyvo.tokenizers.image import ImageTokenizer, fit, to_pixels
from kyvo.tokenizers.objects import ObjectHead, ObjectMaps, object_maps
from kyvo.tokenizers.pictures import read_picture
from kyvo.tokenizers.quantize import DeadCodeRestart
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig

STATE_NAME = "training.pt"
PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True, kw_only=True)
class TrainArgs:
    """The `train` section of the config."""

    steps: int
    batch_size: int = 16  # pictures
    learning_rate: float = 1e-3  # its peak; cosine down to 2 % of it
    warmup: float = 0.02  # share of the training
    clip_grad_norm: float = 1.0
    contrast_weight: float = 4.0  # extra weight of pixels that differ from their surroundings
    edge_weight: float = 0.5  # of the difference of neighbouring pixels' differences
    continuous: float = 0.0  # share of the training before the codebook comes in: encoder and decoder alone
    commitment: float = 1.0  # weight of the quantizer's loss
    object_weight: float = 0.0  # of reading the scene's objects from the codes; needs a set with scenes
    patience: int = 100  # steps after which an unused code is restarted
    restart_until: float = 0.8  # share of the training; codes move no more after it
    held_out: int = 64  # pictures that measure PSNR and are never trained on
    report_every: int = 50  # steps
    checkpoint_minutes: float = 3.0
    seed: int = 0
    device: str = "cpu"

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> "TrainArgs":
        names = [field.name for field in fields(cls)]
        for key in section.keys() - set(names):
            close = get_close_matches(key, names, n=1)
            hint = f"did you mean train.{close[0]}?" if close else f"known: {names}"
            raise ConfigError(f"train.{key} is not a setting; {hint}")
        return cls(**section)


def main(argv: list[str] | None = None) -> Path:
    """Trains and returns the tokenizer's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, help="train for this long instead of train.steps")
    parser.add_argument("--limit", type=int, help="use only the first LIMIT pictures")
    parser.add_argument("--init", type=Path, help="an ImageTokenizer folder to start from")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(argv)

    config = yaml.safe_load(options.config.read_text(encoding="utf-8"))
    model_config = build_model_config(config["model"])
    args = TrainArgs.from_config(config["train"])
    pictures = load_pictures(options.data, width=model_config.width, height=model_config.height, limit=options.limit)
    if len(pictures) <= args.held_out:
        raise ConfigError(f"{options.data} has {len(pictures)} pictures and train.held_out is {args.held_out}.")
    objects = load_objects(options.data, model_config, limit=options.limit) if args.object_weight else None
    trainer = Trainer(model_config, args, pictures, objects=objects, minutes=options.minutes)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.init:
        trainer.start_from(ImageTokenizer.from_pretrained(options.init).model)
    if options.resume:
        trainer.load(options.out / STATE_NAME)
    trainer.run(options.out)
    ImageTokenizer(trainer.model.cpu()).save(options.out)
    return options.out


class Trainer:
    """Model, optimizer, random numbers and place in the training: all that a resumed run needs."""

    def __init__(
        self,
        config: VQGANConfig,
        args: TrainArgs,
        pictures: Tensor,
        *,
        objects: tuple[SceneSchema, ObjectMaps] | None,
        minutes: float | None,
    ) -> None:
        torch.manual_seed(args.seed)
        self.args = args
        self.minutes = minutes
        self.held_out, self.pictures = pictures[: args.held_out], pictures[args.held_out :]
        self.model = VQGAN(config).to(args.device)
        self.head = None
        if objects is not None:
            schema, maps = objects
            self.held_out_maps, self.maps = maps[: args.held_out], maps[args.held_out :]
            self.head = ObjectHead(schema, embed_dim=config.embed_dim).to(args.device)
        self.optimizer = torch.optim.AdamW(
            [*self.model.parameters(), *(self.head.parameters() if self.head else ())],
            lr=args.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=0.0,
        )
        self.generator = torch.Generator().manual_seed(args.seed)
        self.restart = DeadCodeRestart(self.model.quantize, patience=args.patience, generator=self.generator)
        self.has_codes = False
        self.step = 0
        self.seconds = 0.0  # of training, over all resumed runs

    def start_from(self, other: VQGAN) -> None:
        """Takes over another tokenizer's weights.

        With a `continuous` phase the codebook and the layers next to it start anew all the same: latents that were
        flattened to few dimensions would stay so.
        """
        fresh = ("encoder.conv_out.", "quant_conv.", "quantize.", "post_quant_conv.", "decoder.conv_in.")
        kept = other.state_dict()
        if self.args.continuous > 0:
            kept = {name: weight for name, weight in kept.items() if not name.startswith(fresh)}
        own = self.model.state_dict()
        differing = [name for name in kept if name not in own or own[name].shape != kept[name].shape]
        if differing:
            raise CheckpointError(f"--init has another network than the config: {', '.join(differing[:3])}, ...")
        self.model.load_state_dict(kept, strict=False)
        self.has_codes = self.args.continuous == 0
        if self.has_codes and self.head is not None:
            self.fit_head()

    def fit_head(self, *, num_pictures: int = 1920, steps: int = 300) -> None:
        """Learns to read the codes as they are: a head of random weights would first pull them anywhere."""
        assert self.head is not None
        pictures, maps = self.pictures[:num_pictures], self.maps[:num_pictures]
        with torch.no_grad(), torch.autocast(self.args.device, torch.bfloat16):
            batches = [to_pixels(part).to(self.args.device) for part in pictures.split(self.args.batch_size)]
            codes = torch.cat([self.model.encode(pixels).values.float() for pixels in batches])
        optimizer = torch.optim.Adam(self.head.parameters(), lr=0.02)
        for _ in range(steps):
            chosen = torch.randint(len(codes), (min(128, len(codes)),), generator=self.generator)
            optimizer.zero_grad()
            self.head.loss(codes[chosen], maps[chosen].to(self.args.device)).backward()
            optimizer.step()

    @property
    def progress(self) -> float:
        """Share of the training done, by time where minutes bound it and by steps otherwise."""
        return self.step / self.args.steps if self.minutes is None else self.seconds / (60 * self.minutes)

    def run(self, out: Path) -> None:
        saved_at, reported_at = self.seconds, self.seconds
        last = self.seconds - time.monotonic()
        while self.progress < 1.0:
            loss = self.train_step()
            self.seconds = last + time.monotonic()
            if self.step % self.args.report_every == 0 or self.progress >= 1.0:
                steps = (self.step - 1) % self.args.report_every + 1
                rate = steps * self.args.batch_size / (self.seconds - reported_at)
                self.report(out, loss=loss, pictures_per_second=rate)
                reported_at = last + time.monotonic()  # the time of reporting is not that of training
            if self.seconds - saved_at >= 60 * self.args.checkpoint_minutes:
                self.save(out / STATE_NAME)
                saved_at = self.seconds
        self.save(out / STATE_NAME)

    def train_step(self) -> float:
        args = self.args
        self.model.train()
        chosen = torch.randint(len(self.pictures), (args.batch_size,), generator=self.generator)
        pixels = to_pixels(self.pictures[chosen]).to(args.device)
        mirrored = torch.rand(args.batch_size, generator=self.generator) < 0.5
        pixels = torch.where(mirrored[:, None, None, None].to(args.device), pixels.flip(3), pixels)

        quantizes = self.progress >= args.continuous
        if quantizes and not self.has_codes:
            self.make_codebook()
        for group in self.optimizer.param_groups:
            group["lr"] = args.learning_rate * schedule(self.progress, warmup=args.warmup)
        # bf16 convolutions in plain NCHW layout are the fastest on CPUs that have them; channels_last is not.
        with torch.autocast(args.device, torch.bfloat16):
            latents = self.model.latents(pixels)
            if quantizes and self.progress < args.restart_until:
                self.restart.before(latents)
            quantized = self.model.quantize(latents) if quantizes else None
            values = latents if quantized is None else quantized.values
            output = self.model.decode(values)
        loss = reconstruction_loss(
            output.float(), pixels, contrast_weight=args.contrast_weight, edge_weight=args.edge_weight
        )
        if self.head is not None:
            maps = self.maps[chosen].mirrored(mirrored).to(args.device)
            loss = loss + args.object_weight * self.head.loss(values.float(), maps)
        if quantized is not None:
            self.restart.after(quantized.indices)
            loss = loss + args.commitment * quantized.loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), args.clip_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return loss.item()

    @torch.no_grad()
    def make_codebook(self, *, num_pictures: int = 960, rounds: int = 8) -> None:
        """Puts the codes at the k-means centres of the latents, whose scales are evened out first.

        Latents far from their mean are likelier first centres: most patches are floor and nearly alike.
        """
        pictures = self.pictures[:num_pictures]
        batches = [to_pixels(part).to(self.args.device) for part in pictures.split(self.args.batch_size)]
        with torch.autocast(self.args.device, torch.bfloat16):
            maps = torch.cat([self.model.latents(pixels).float() for pixels in batches])
        latents = maps.permute(0, 2, 3, 1).flatten(0, 2)
        latents = latents @ self.even_scales(latents)
        far = (latents - latents.mean(0)).square().sum(1).cpu()
        codes = self.model.quantize.embedding.weight
        count = min(len(codes), len(latents))
        centres = latents[torch.multinomial(far, count, generator=self.generator)]
        for _ in range(rounds):
            nearest = torch.cat([torch.cdist(part, centres).argmin(1) for part in latents.split(4096)])
            sums = torch.zeros_like(centres).index_add_(0, nearest, latents)
            sizes = torch.bincount(nearest, minlength=count)[:, None]
            centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
        codes[:count] = centres
        self.has_codes = True

    def even_scales(self, latents: Tensor) -> Tensor:
        """Takes each principal axis of the latents [N, D] to the root of its scale; returns the matrix [D, D].

        The network computes the same: the two 1x1 convolutions around the codes take the matrix and its inverse. Colour
        varies most, and k-means would spend all codes on it; evened out, shape and material get their share.
        """
        spread, axes = torch.linalg.eigh(torch.cov(latents.T))
        scale = (spread / spread.max()).clamp(min=1e-4) ** -0.25
        matrix, inverse = axes * scale @ axes.T, axes / scale @ axes.T
        before, after = self.model.quant_conv, self.model.post_quant_conv
        before.weight.copy_((matrix @ before.weight.flatten(1))[..., None, None])
        before.bias.copy_(matrix @ before.bias)
        after.weight.copy_((after.weight.flatten(1) @ inverse)[..., None, None])
        if self.head is not None:
            conv = self.head.conv
            conv.weight.copy_(torch.einsum("oihw,ij->ojhw", conv.weight, inverse))
        return matrix

    @torch.no_grad()
    def report(self, out: Path, *, loss: float, pictures_per_second: float) -> None:
        self.model.eval()
        pixels = to_pixels(self.held_out).to(self.args.device)
        with torch.autocast(self.args.device, torch.bfloat16):
            latents = self.model.latents(pixels)
            quantized = self.model.quantize(latents)
            values = quantized.values if self.has_codes else latents
            output = self.model.decode(values).float().clamp(-1, 1)
        error = F.mse_loss(output, pixels).item()
        share = torch.bincount(quantized.indices.flatten().cpu(), minlength=self.model.config.n_embed).float()
        share = share / share.sum()
        line = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "pictures_per_second": round(pictures_per_second, 1),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "loss": loss,
            "psnr": round(10 * math.log10(4.0 / error), 2),  # dB; pixels span 2
            "latent_dimensions": round(effective_dimensions(latents), 1),
            "codes_used_percent": round(100 * (share > 0).float().mean().item(), 1),
            "perplexity": round(math.exp(-torch.xlogy(share, share).sum().item()), 1),
        }
        if self.head is not None:
            scores = self.head.scores(values.float(), self.held_out_maps.to(self.args.device))
            line |= {name: round(score, 3) for name, score in scores.items()}
        print(json.dumps(line), flush=True)
        with (out / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def save(self, path: Path) -> None:
        """Writes beside `path` and renames, so that a run killed meanwhile leaves the older state whole."""
        state = {
            "config": asdict(self.model.config),
            "model": self.model.state_dict(),
            "head": self.head.state_dict() if self.head else None,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "idle_steps": self.restart.idle_steps,
            "has_codes": self.has_codes,
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, path.with_suffix(".tmp"))
        os.replace(path.with_suffix(".tmp"), path)

    def load(self, path: Path) -> None:
        if not path.is_file():
            raise CheckpointError(f"There is no {path} to resume from; start without --resume.")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["config"] != asdict(self.model.config):
            raise CheckpointError(f"{path} was trained with another model section; use its config or a new --out.")
        if (state["head"] is None) != (self.head is None):
            raise CheckpointError(f"{path} was trained {'with' if state['head'] else 'without'} train.object_weight.")
        self.model.load_state_dict(state["model"])
        if self.head is not None:
            self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.restart.idle_steps = state["idle_steps"]
        self.has_codes = state["has_codes"]
        self.step, self.seconds = state["step"], state["seconds"]


def reconstruction_loss(output: Tensor, target: Tensor, *, contrast_weight: float, edge_weight: float) -> Tensor:
    """L1 + L2 that counts objects more than floor, plus the L1 of pixel-to-pixel differences.

    A scene is mostly smooth floor; its few object pixels carry the information. A pixel's weight grows with how
    far it is from the mean of its surroundings (17 px). [B, 3, H, W] each; weights average about 1.
    """
    surroundings = F.avg_pool2d(target, 17, stride=1, padding=8, count_include_pad=False)
    contrast = (target - surroundings).abs().amax(1, keepdim=True)
    weight = 1.0 + contrast_weight * contrast
    weight = weight / weight.mean()
    error = output - target
    loss = (weight * (error.abs() + error.square())).mean()
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return loss + edge_weight * edges


def effective_dimensions(latents: Tensor) -> float:
    """How many dimensions the latents [B, D, h, w] really use: exp of the entropy of their variances' shares."""
    flat = latents.float().permute(0, 2, 3, 1).flatten(0, 2)
    share = torch.linalg.eigvalsh(torch.cov(flat.T)).clamp(min=0)
    share = share / share.sum()
    return math.exp(-torch.xlogy(share, share).sum().item())


def schedule(progress: float, *, warmup: float) -> float:
    """Linear warm-up, then a cosine down to 0.02. The first step is not at zero: it would be wasted."""
    if progress < warmup:
        return max(progress / warmup, 0.05)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))


def build_model_config(section: Mapping[str, Any]) -> VQGANConfig:
    """`_component_` names a function or dataclass of `kyvo.tokenizers.vqgan`; the rest are its keyword arguments."""
    arguments = dict(section)
    module, _, name = arguments.pop("_component_").rpartition(".")
    if module != "kyvo.tokenizers.vqgan":
        raise ConfigError(f"model._component_ is {module}.{name}; expected one of kyvo.tokenizers.vqgan.")
    return getattr(importlib.import_module(module), name)(**arguments)


def load_pictures(folder: Path, *, width: int, height: int, limit: int | None) -> Tensor:
    """All pictures, fitted and decoded once into memory: uint8 [N, height, width, 3]."""
    if any(folder.glob("*.arrow")):
        data = open_set(folder)
        column = data.select(range(min(limit or len(data), len(data))))["image"]
        found = (np.asarray(image.convert("RGB")) for image in column)
        count = len(column)
    else:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)[:limit]
        found = (read_picture(path) for path in paths)
        count = len(paths)
    if count == 0:
        raise ImageError(f"{folder} has no pictures; expected an Arrow set or files of {sorted(PICTURE_SUFFIXES)}.")
    pictures = torch.empty((count, height, width, 3), dtype=torch.uint8)
    for i, picture in enumerate(found):
        pictures[i] = torch.from_numpy(fit(picture, width, height).copy())
    return pictures


def load_objects(folder: Path, config: VQGANConfig, *, limit: int | None) -> tuple[SceneSchema, ObjectMaps]:
    """The schema of a set's scenes, and where their objects stand on the grid of codes."""
    if not any(folder.glob("*.arrow")):
        raise ConfigError(f"train.object_weight needs scenes, and {folder} is no Arrow set; give one, or set it to 0.")
    data = open_set(folder)
    rows = data.select(range(min(limit or len(data), len(data))))["scene"]
    scenes = [scene_from_json(json.loads(row)) for row in rows]
    if scenes[0].schema not in SCHEMAS:
        raise ConfigError(
            f"train.object_weight needs a schema that comes with Kyvo ({', '.join(SCHEMAS)}), the scenes of {folder} "
            f"have {scenes[0].schema!r}; set it to 0."
        )
    schema = SCHEMAS[scenes[0].schema]()
    return schema, object_maps(scenes, schema, rows=config.rows, columns=config.columns)


if __name__ == "__main__":
    print(main(), file=sys.stderr)

"""python tokenizers/train_shape.py --config configs/tokenizers/shape_mini.yaml --data procedural --out DIR

Trains the 3D VQ-VAE. Each `--data` is `procedural` (meshes drawn as the config's `data` says), a folder of meshes, or a
folder of latents (`.npz`, TRELLIS's or this program's). Meshes become latents in `OUT/latents_<grid>/<name>` first, on
`--workers` processes; those that are there are kept. The first `train.held_out` objects of the first one measure.
`--minutes M` bounds the time instead of the steps. `--resume` goes on from `OUT/training.pt`, and `--init TOKENIZER`
starts from a trained one, with its codes. One JSON line per report goes to stdout and to `OUT/log.jsonl`. OUT is at the
end a ShapeTokenizer folder. OMP_NUM_THREADS sets the CPU threads.
"""

import argparse
import math
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml

from kyvo.data.configs import from_section
from kyvo.devices import autocast
from kyvo.errors import ConfigError
from kyvo.models.slat.latent import StructuredLatent
from kyvo.models.slat.load import load_network
from kyvo.shapes.contour import SurfaceSplats
from kyvo.shapes.losses import RenderLoss, color_loss, reconstruction_loss, spread_loss
from kyvo.shapes.scores import compare_latents
from kyvo.shapes.sets import LatentFolder, write_drawn_latents, write_mesh_latents
from kyvo.shapes.symmetry import augment
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.shapes.train_args import AdaptiveClip, ShapeData, ShapeTrainArgs, build_shape_config
from kyvo.shapes.vqvae import ShapeGrid, ShapeVQVAE, ShapeVQVAEConfig, from_grid, to_grid
from kyvo.tokenizers.codebook import cluster_centres, code_use
from kyvo.tokenizers.quantize import DeadCodeRestart, MovingAverage
from kyvo.tokenizers.reconstruction import Lpips, perceptual_loss
from kyvo.tokenizers.train_args import schedule
from kyvo.tokenizers.training import STATE_NAME, TokenizerTraining, log, write_state

WARMUP = 0.02  # share of the training, where the rate decays


def main(argv: list[str] | None = None) -> Path:
    """Trains and returns the tokenizer's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument(
        "--data", type=Path, required=True, nargs="+", help="procedural, folders of meshes, or folders of latents"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, help="train for this long instead of train.steps")
    parser.add_argument("--workers", type=int, default=1, help="processes that turn meshes into latents")
    parser.add_argument(
        "--init", metavar="TOKENIZER", help="a bundled tokenizer's name, or a folder, of the same sizes"
    )
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(argv)

    config = yaml.safe_load(options.config.read_text(encoding="utf-8"))
    model_config = build_shape_config(config["model"])
    args = from_section(ShapeTrainArgs, config["train"], prefix="train.")
    drawn = from_section(ShapeData, config.get("data", {}), prefix="data.")
    if len({data.name for data in options.data}) < len(options.data):
        raise ConfigError("--data: two folders have one name, and their latents would lie in one folder; rename one.")
    found = [
        open_latents(data, model_config, drawn=drawn, out=options.out, workers=options.workers) for data in options.data
    ]
    paths = tuple(path for folder in found for path in folder.paths)
    latents = LatentFolder(paths=paths, resolution=model_config.resolution)
    if len(latents) <= args.held_out:
        raise ConfigError(f"--data has {len(latents)} objects and train.held_out is {args.held_out}.")
    trainer = Trainer(model_config, args, latents, minutes=options.minutes)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.resume:
        trainer.load(options.out / STATE_NAME)
    elif options.init is not None:
        trainer.start_from(ShapeTokenizer.from_pretrained(options.init))
    trainer.run(options.out)
    ShapeTokenizer(trainer.model.cpu()).save(options.out)
    return options.out


def open_latents(data: Path, config: ShapeVQVAEConfig, *, drawn: ShapeData, out: Path, workers: int) -> LatentFolder:
    """The latents to train on; those of meshes are made where they are not there yet."""
    if str(data) != "procedural" and any(data.rglob("*.npz")):
        return LatentFolder.of(data, resolution=config.resolution)
    if config.kind != "surface":
        raise ConfigError(f"{data} has no latents; those of kind {config.kind!r} are encoded from meshes first.")
    folder, start = out / f"latents_{config.resolution}" / data.name, time.monotonic()
    if str(data) == "procedural":
        faults = write_drawn_latents(
            folder, count=drawn.count, seed=drawn.seed, resolution=config.resolution, workers=workers
        )
    else:
        faults = write_mesh_latents(data, folder, resolution=config.resolution, workers=workers)
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    latents = LatentFolder.of(folder, resolution=config.resolution)
    print(f"{folder}: {len(latents):,} objects, {time.monotonic() - start:.0f} s", file=sys.stderr)
    return latents


class Trainer(TokenizerTraining):
    """Model, optimizer, random numbers and place in the training: all that a resumed run needs."""

    def __init__(
        self,
        config: ShapeVQVAEConfig,
        args: ShapeTrainArgs,
        latents: Sequence[StructuredLatent],
        *,
        minutes: float | None = None,
    ) -> None:
        super().__init__(args, minutes=minutes)
        torch.manual_seed(args.seed)
        self.args = args
        self.latents = latents
        self.model = ShapeVQVAE(config).to(args.device)
        self.trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=args.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
        self.clip = AdaptiveClip(max_norm=args.max_grad_norm, percentile=args.grad_percentile)
        self.generator = torch.Generator().manual_seed(args.seed)
        self.averages = MovingAverage(self.model.quantizer, decay=args.ema_decay)
        self.restart = DeadCodeRestart(self.model.quantizer, patience=args.patience, generator=self.generator)
        self.rendering = build_rendering(config, args)
        self.has_codes = False

    def start_from(self, tokenizer: ShapeTokenizer) -> None:
        """Takes its weights and codes; corrections are fitted anew afterwards. Raises ConfigError for other sizes."""
        if replace(tokenizer.config, correction_rounds=0, correction_rank=0) != self.model.config:
            raise ConfigError("--init: the tokenizer has other sizes than the config's model; take the config it has.")
        weights = tokenizer.model.state_dict()
        self.model.load_state_dict({name: weights[name] for name in self.model.state_dict()})
        self.averages.start(self.args.batch_size * self.model.config.num_codes)
        self.has_codes = True

    def draw(self, count: int) -> ShapeGrid:
        """A batch of objects that are not held out."""
        chosen = torch.randint(self.args.held_out, len(self.latents), (count,), generator=self.generator)
        latents = [self.latents[index] for index in chosen.tolist()]
        if self.args.symmetries:
            latents = [augment(latent, generator=self.generator) for latent in latents]
        return to_grid(latents, self.model.config).to(self.args.device)

    def train_step(self) -> dict[str, float]:
        """One step; returns its losses, "loss" the one the tokenizer was trained by."""
        args, config = self.args, self.model.config
        self.model.train()
        quantizes = self.progress >= args.continuous
        if quantizes and not self.has_codes:
            self.make_codebook()
        grid = self.draw(args.batch_size)
        rate = schedule(self.progress, warmup=WARMUP) if args.decays else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = args.learning_rate * rate

        with autocast(args.device):
            latents = self.model.latents(grid.features)
            if quantizes and self.progress < args.restart_until:
                self.restart.before(latents)
            quantized = self.model.quantize(latents) if quantizes else None
            output = self.model.decode(latents if quantized is None else quantized.values)
        losses = {
            "reconstruction": reconstruction_loss(
                output, grid, occupancy=config.occupancy, occupancy_weight=args.occupancy_weight
            )
        }
        loss = losses["reconstruction"] + args.spread_weight * spread_loss(latents)
        if args.color_weight:
            losses["color"] = color_loss(output, grid, config)
            loss = loss + args.color_weight * losses["color"]
        if quantized is not None:
            losses["quantizer"] = quantized.loss
            loss = loss + quantized.loss
        if self.rendering is not None and self.step % args.render_every == 0:
            losses["rendering"] = self.rendering(output, grid, config, generator=self.generator)
            loss = loss + args.render_weight * losses["rendering"]
        loss.backward()
        norm = self.clip(self.trained)
        if math.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad()
        if quantized is not None:
            self.averages.after(latents.detach(), quantized.indices)
            self.restart.after(quantized.indices.cpu())
        self.step += 1
        return {"loss": loss.item(), **{name: value.item() for name, value in losses.items()}, "gradient": norm}

    @torch.no_grad()
    def make_codebook(self, *, num_objects: int = 64, rounds: int = 8) -> None:
        """Puts the codes at the k-means centres of the latents."""
        found = []
        with autocast(self.args.device):
            for start in range(0, num_objects, self.args.batch_size):
                grid = self.draw(min(self.args.batch_size, num_objects - start))
                found.append(self.model.latents(grid.features).float())
        rows = torch.cat(found).permute(0, 2, 3, 1).flatten(0, 2)
        codes = self.model.quantizer.embedding.weight
        centres = cluster_centres(rows, count=len(codes), rounds=rounds, generator=self.generator)
        codes[: len(centres)] = centres
        self.averages.start(self.args.batch_size * self.model.config.num_codes)
        self.has_codes = True

    @torch.no_grad()
    def report(self, out: Path, losses: dict[str, float], *, per_second: float) -> None:
        self.model.eval()
        truths = [self.latents[index] for index in range(self.args.held_out)]
        found, indices = [], []
        for start in range(0, len(truths), self.args.batch_size):
            grid = to_grid(truths[start : start + self.args.batch_size], self.model.config).to(self.args.device)
            with autocast(self.args.device):
                latents = self.model.latents(grid.features)
                quantized = self.model.quantize(latents)
                output = self.model.decode(quantized.values if self.has_codes else latents)
            found += from_grid(output, self.model.config)
            indices.append(quantized.indices.flatten(1))
        kind = self.model.config.kind
        scores = [compare_latents(ours, truth, kind=kind) for ours, truth in zip(found, truths, strict=True)]
        use = code_use(torch.cat(indices).cpu().numpy(), self.model.config.n_embed)
        line = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "objects_per_second": round(per_second, 2),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **losses,
            # Against what the latents themselves give: the tokens' part of the error.
            "chamfer": float(np.mean([score.chamfer for score in scores])),
            "f_score": round(float(np.mean([score.f_score for score in scores])), 4),
            "codes_used_percent": round(100 * use.share_used, 1),
            "perplexity": round(use.perplexity, 1),
        }
        log(out, line)

    def save(self, path: Path) -> None:
        state = {
            **self.state(),
            "norms": list(self.clip.norms),
            "counts": self.averages.counts,
            "idle_steps": self.restart.idle_steps,
            "has_codes": self.has_codes,
        }
        write_state(state, path)

    def load(self, path: Path) -> None:
        state = self.read(path)
        self.restore(state)
        self.clip.norms = deque(state["norms"], maxlen=AdaptiveClip.WINDOW)
        self.averages.counts = state["counts"].to(self.args.device)
        self.restart.idle_steps = state["idle_steps"]
        self.has_codes = state["has_codes"]


def build_rendering(config: ShapeVQVAEConfig, args: ShapeTrainArgs) -> RenderLoss | None:
    """The rendering loss, through the decoder that goes with the features."""
    if not args.render_weight:
        return None
    if config.kind == "surface":
        decoder = SurfaceSplats()
        variance = decoder.filter_variance
    elif args.gaussian_decoder:
        decoder = load_network(args.gaussian_decoder, device=args.device)
        variance = decoder.settings.filter_variance
    else:
        raise ConfigError(
            "train.gaussian_decoder is empty: renderings of TRELLIS's latents need its Gaussian decoder, "
            "<folder>/slat_dec_gs_swin8_B_64l8gs32_fp16. Name it, or set train.render_weight to 0."
        )
    perceptual = perceptual_loss([Path(name) for name in args.lpips]) if args.lpips else None
    lpips = perceptual if isinstance(perceptual, Lpips) else None
    return RenderLoss(decoder, filter_variance=variance, size=args.render_size, lpips=lpips).to(args.device)


if __name__ == "__main__":
    print(main(), file=sys.stderr)

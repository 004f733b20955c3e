"""python tokenizers/train_image.py --config configs/tokenizers/image_mini.yaml --data DIR --out DIR

Trains the image VQGAN. `--data` is an Arrow folder of this project (column "image") or a folder of pictures.
`--minutes M` bounds the time instead of the steps; the learning rate then falls over those minutes. `--resume`
goes on from `OUT/training.pt`; `--init FOLDER` starts from another tokenizer, to fine-tune it on this data. One JSON
line per report goes to stdout and to `OUT/log.jsonl`. OUT is at the end an ImageTokenizer folder. OMP_NUM_THREADS
sets the CPU threads.
`--written FOLDER` is what a model writes for scenes, and their pictures (tokenizers/encode_written.py): with
`train.decoder_only` and `train.written` the decoder learns to draw from that as well. A decoder with `model.turns` is
told which faces of the scenes' cubes the pictures show (`kyvo.tokenizers.turn_maps`).
"""

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor

from kyvo.data.clevr.augment import augment_pixels
from kyvo.data.picture_sets import load_objects, load_pictures, load_turns, load_written
from kyvo.devices import autocast, choose_device
from kyvo.errors import CheckpointError, ConfigError
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.adversarial import Adversary
from kyvo.tokenizers.codebook import cluster_centres, code_use, effective_dimensions, even_scales
from kyvo.tokenizers.image import ImageTokenizer, to_pixels
from kyvo.tokenizers.objects import ObjectHead, ObjectMaps, fit_head
from kyvo.tokenizers.quantize import DeadCodeRestart, MovingAverage
from kyvo.tokenizers.reconstruction import perceptual_loss, reconstruction_loss
from kyvo.tokenizers.train_args import TrainArgs, build_model_config, schedule
from kyvo.tokenizers.training import STATE_NAME, TokenizerTraining, log, write_state
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig

BEGINNING = 8.0  # times the learning rate: of layers that begin as nothing in a network that was trained without them


def main(argv: list[str] | None = None) -> Path:
    """Trains and returns the tokenizer's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, help="train for this long instead of train.steps")
    parser.add_argument("--limit", type=int, help="use only the first LIMIT pictures")
    parser.add_argument("--init", type=Path, help="an ImageTokenizer folder to start from")
    parser.add_argument("--written", type=Path, help="a set of tokenizers/encode_written.py, for train.written")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("settings", nargs="*", help="in the place of the config's, as train.batch_size=64")
    options = parser.parse_args(argv)

    config = OmegaConf.merge(OmegaConf.load(options.config), OmegaConf.from_dotlist(options.settings))
    sections = OmegaConf.to_container(config)
    assert isinstance(sections, dict)
    model_config = build_model_config(sections["model"])
    args = TrainArgs.from_config(sections["train"])
    args = replace(args, device=choose_device(args.device))

    def load(width: int, height: int) -> Tensor:
        return load_pictures(options.data, width=width, height=height, limit=options.limit, workers=args.workers)

    pictures = load(model_config.width, model_config.height)
    targets = pictures if model_config.upscale == 1 else load(*model_config.decoded_size)
    if len(pictures) <= args.held_out:
        raise ConfigError(f"{options.data} has {len(pictures)} pictures and train.held_out is {args.held_out}.")
    objects = None
    if args.object_weight:
        try:
            objects = load_objects(options.data, model_config, limit=options.limit, workers=args.workers)
        except ConfigError as error:
            raise ConfigError(f"train.object_weight: {error} Give a set that has them, or set it to 0.") from error
    if args.decoder_only and not (options.init or options.resume):
        raise ConfigError("train.decoder_only trains the decoder of another tokenizer; name that with --init.")
    if bool(args.written) != bool(options.written):
        raise ConfigError("train.written is the share of --written in a batch: give both, or neither.")
    written = turns = None
    if model_config.turns:
        turns = load_turns(options.data, model_config, limit=options.limit, workers=args.workers)
    if options.written:
        of_written = load_turns(options.written, model_config, workers=args.workers) if model_config.turns else None
        written = (*load_written(options.written, model_config), of_written)
    trainer = Trainer(
        model_config,
        args,
        pictures,
        targets=targets,
        turns=turns,
        objects=objects,
        written=written,
        minutes=options.minutes,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    if options.init:
        trainer.start_from(ImageTokenizer.from_pretrained(options.init).model)
    if options.resume:
        trainer.load(options.out / STATE_NAME)
    trainer.run(options.out)
    ImageTokenizer(trainer.model.cpu()).save(options.out)
    return options.out


class Trainer(TokenizerTraining):
    """Model, optimizer, random numbers and place in the training: all that a resumed run needs."""

    def __init__(
        self,
        config: VQGANConfig,
        args: TrainArgs,
        pictures: Tensor,
        *,
        targets: Tensor | None = None,
        turns: Tensor | None = None,
        objects: tuple[SceneSchema, ObjectMaps] | None,
        written: tuple[Tensor, Tensor, Tensor | None] | None = None,
        minutes: float | None,
    ) -> None:
        """
        Args:
            pictures: uint8 [pictures, height, width, 3].
            targets: the same at `decoded_size`, where that is another.
            turns: maps of how their cubes are turned, for a decoder that takes them.
            written: what a model wrote, the pictures it was to be, and their maps likewise.
        """
        super().__init__(args, minutes=minutes)
        torch.manual_seed(args.seed)
        self.args = args
        targets = pictures if targets is None else targets
        self.held_out, self.pictures = pictures[: args.held_out], pictures[args.held_out :]
        self.held_out_targets, self.targets = targets[: args.held_out], targets[args.held_out :]
        self.turns = turns
        self.written = written
        self.model = VQGAN(config).to(args.device)
        if args.device != "cpu":  # on CPUs plain NCHW convolutions in bf16 are the fastest
            self.model.to(memory_format=torch.channels_last)
            torch.backends.cudnn.benchmark = True  # all batches are of one shape
        if args.compile:
            self.model.encoder.compile()
            self.model.decoder.compile()
        self.head = None
        if objects is not None:
            schema, maps = objects
            self.held_out_maps, self.maps = maps[: args.held_out], maps[args.held_out :]
            self.head = ObjectHead(schema, embed_dim=config.embed_dim, rows=config.rows, columns=config.columns)
            self.head.expect(self.maps)
            self.head.to(args.device)
        self.perceptual = None
        if args.perceptual_weight:
            self.perceptual = perceptual_loss(args.lpips_files).to(args.device)
            print(f"perceptual loss: {self.perceptual.about}", file=sys.stderr)
        self.model.quantize.requires_grad_(False)  # codes follow the latents' averages
        if args.decoder_only:
            self.model.encoder.requires_grad_(False)
            self.model.quant_conv.requires_grad_(False)
        named = [(name, entry) for name, entry in self.model.named_parameters() if entry.requires_grad]
        beginning = [entry for name, entry in named if name.startswith("decoder.turns.")]
        trained = [entry for name, entry in named if not name.startswith("decoder.turns.")]
        if self.head is not None:
            trained += self.head.parameters()
        self.optimizer = torch.optim.AdamW(
            [{"params": group} for group in (trained, beginning) if group],
            lr=args.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=0.0,
        )
        self.adversary = None
        if args.discriminator_weight:
            self.adversary = Adversary(
                weight=args.discriminator_weight,
                learning_rate=args.learning_rate,
                channels=args.discriminator_channels,
                width=config.decoded_size[0],
                height=config.decoded_size[1],
                device=args.device,
            )
        self.generator = torch.Generator().manual_seed(args.seed)
        self.cameras = torch.Generator(args.device).manual_seed(args.seed)
        self.averages = MovingAverage(self.model.quantize, decay=args.ema_decay)
        self.restart = DeadCodeRestart(self.model.quantize, patience=args.patience, generator=self.generator)
        self.has_codes = False

    def start_from(self, other: VQGAN) -> None:
        """Takes over another tokenizer's weights.

        With a `continuous` phase the codebook and the layers next to it start anew all the same: latents that were
        flattened to few dimensions would stay so.
        """
        fresh = ("encoder.conv_out.", "quant_conv.", "quantize.", "post_quant_conv.", "decoder.conv_in.")
        kept = other.state_dict()
        if self.model.config.upscale > 1 == other.config.upscale:  # each pixel becomes several of its color
            for name in ("decoder.conv_out.weight", "decoder.conv_out.bias"):
                kept[name] = kept[name].repeat_interleave(self.model.config.upscale**2, dim=0)
        if self.args.continuous > 0:
            kept = {name: weight for name, weight in kept.items() if not name.startswith(fresh)}
        own = self.model.state_dict()
        differing = [name for name in kept if name not in own or own[name].shape != kept[name].shape]
        if differing:
            raise CheckpointError(f"--init has another network than the config: {', '.join(differing[:3])}, ...")
        self.model.load_state_dict(kept, strict=False)
        self.has_codes = self.args.continuous == 0
        if self.has_codes:
            self.start_averages()
            if self.head is not None:
                self.fit_head()

    @torch.no_grad()
    def fit_head(self, *, num_pictures: int = 1920, steps: int = 300) -> None:
        """Learns to read the codes as they are: a head of random weights would first pull them anywhere."""
        assert self.head is not None
        with autocast(self.args.device):
            batches = self.pictures[:num_pictures].split(self.args.batch_size)
            codes = torch.cat([self.model.encode(self.to_device(part)).values.float() for part in batches])
        fit_head(self.head, codes, self.maps[:num_pictures], steps=steps, generator=self.generator)

    def to_device(self, pictures: Tensor) -> Tensor:
        return to_pixels(pictures).to(self.args.device)

    def train_step(self) -> dict[str, Tensor]:
        """One step; returns its losses, "loss" the one the tokenizer was trained by."""
        args = self.args
        self.model.train()
        num_written = round(args.written * args.batch_size)
        count = args.batch_size - num_written
        chosen = torch.randint(len(self.pictures), (count,), generator=self.generator)
        seen, target = (self.to_device(part[chosen]) for part in (self.pictures, self.targets))
        # A mirrored picture is of no scene that the camera could see, and its codes may be none that are known.
        if self.head is None and not args.decoder_only:
            mirrored = (torch.rand(count, generator=self.generator) < 0.5)[:, None, None, None].to(args.device)
            seen, target = (torch.where(mirrored, part.flip(3), part) for part in (seen, target))

        quantizes = self.progress >= args.continuous
        if quantizes and not self.has_codes:
            self.make_codebook()
        rate = schedule(self.progress, warmup=args.warmup)
        for group, factor in zip(self.optimizer.param_groups, (1.0, BEGINNING), strict=False):
            group["lr"] = args.learning_rate * rate * factor
        if args.augment:
            other = torch.rand(count, generator=self.generator) < args.augment
            taken = 2 * augment_pixels((seen + 1) / 2, self.cameras) - 1
            seen = torch.where(other[:, None, None, None].to(args.device), taken, seen)
        with autocast(args.device):
            latents = self.model.latents(seen)
            if quantizes and self.progress < args.restart_until and not args.decoder_only:
                self.restart.before(latents)
            quantized = self.model.quantize(latents) if quantizes else None
            values = latents if quantized is None else quantized.values
            turns = self.draw_turns(chosen)
            if num_written:
                vectors, drawn, of_written = self.draw_written(num_written)
                values, target = torch.cat([values, vectors]), torch.cat([target, drawn])
                turns = None if turns is None or of_written is None else torch.cat([turns, of_written])
            output = self.model.decode(values, turns)
        output, losses = output.float(), {}
        loss = reconstruction_loss(output, target, contrast_weight=args.contrast_weight, edge_weight=args.edge_weight)
        if self.perceptual is not None:
            losses["perceptual"] = self.perceptual(output, target)
            loss = loss + args.perceptual_weight * losses["perceptual"]
        adversary = self.adversary if quantizes and self.step >= args.discriminator_start else None
        if adversary is not None:
            losses["adversarial"] = adversary.judge(output, loss, self.model.decoder.conv_out.weight)
            loss = loss + losses["adversarial"]
        if self.head is not None:
            maps = self.maps[chosen].to(args.device)
            loss = loss + args.object_weight * self.head.loss(values.float(), maps)
        if quantized is not None and not args.decoder_only:
            self.averages.after(latents.detach(), quantized.indices)
            self.restart.after(quantized.indices)
            loss = loss + args.commitment * quantized.loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), args.clip_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if adversary is not None:
            losses["discriminator"] = adversary.learn(target, output, schedule=rate)
        self.step += 1
        return {name: value.detach() for name, value in {"loss": loss, **losses}.items()}

    def draw_turns(self, chosen: Tensor) -> Tensor | None:
        """The maps of some pictures after those that are held out, each known or not; None for a decoder that takes
        none."""
        if self.turns is None:
            return None
        known = torch.rand(len(chosen), generator=self.generator) < self.args.known_turns
        turns = self.turns[self.args.held_out :][chosen].float() * known[:, None, None, None]
        return turns.to(self.args.device)

    def draw_written(self, count: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """What was written for some scenes [count, dim, rows, columns], their pictures, and the maps of turns."""
        assert self.written is not None
        vectors, pictures, turns = self.written
        chosen = torch.randint(self.args.held_out, len(vectors), (count,), generator=self.generator)
        return (
            vectors[chosen].float().to(self.args.device),
            self.to_device(pictures[chosen]),
            None if turns is None else turns[chosen].float().to(self.args.device),
        )

    @torch.no_grad()
    def make_codebook(self, *, num_pictures: int = 960, rounds: int = 8) -> None:
        """Puts the codes at the k-means centres of the latents, whose scales are evened out first."""
        batches = self.pictures[:num_pictures].split(self.args.batch_size)
        with autocast(self.args.device):
            maps = torch.cat([self.model.latents(self.to_device(part)).float() for part in batches])
        latents = maps.permute(0, 2, 3, 1).flatten(0, 2)
        latents = latents @ self.even_scales(latents)
        codes = self.model.quantize.embedding.weight
        centres = cluster_centres(latents, count=len(codes), rounds=rounds, generator=self.generator)
        codes[: len(centres)] = centres
        self.start_averages()
        self.has_codes = True

    def start_averages(self) -> None:
        self.averages.start(self.args.batch_size * self.model.config.num_codes)

    def even_scales(self, latents: Tensor) -> Tensor:
        """Evens out the scales of the latents' [N, D] axes; returns the matrix [D, D] that does so.

        The network computes the same: the two 1x1 convolutions around the codes take the matrix and its inverse.
        """
        matrix, inverse = even_scales(latents)
        before, after = self.model.quant_conv, self.model.post_quant_conv
        before.weight.copy_((matrix @ before.weight.flatten(1))[..., None, None])
        before.bias.copy_(matrix @ before.bias)
        after.weight.copy_((after.weight.flatten(1) @ inverse)[..., None, None])
        if self.head is not None:
            for conv in (self.head.conv, self.head.location[0]):
                conv.weight.copy_(torch.einsum("oihw,ij->ojhw", conv.weight, inverse))
        return matrix

    def held_out_of(self, turns: Tensor | None) -> Tensor | None:
        """The maps of the pictures that are held out."""
        return None if turns is None else turns[: self.args.held_out].float().to(self.args.device)

    @torch.no_grad()
    def report(self, out: Path, losses: dict[str, Tensor], *, per_second: float) -> None:
        self.model.eval()
        pixels = self.to_device(self.held_out)
        with autocast(self.args.device):
            latents = self.model.latents(pixels)
            quantized = self.model.quantize(latents)
            values = quantized.values if self.has_codes else latents
            output = self.model.decode(values, self.held_out_of(self.turns)).float().clamp(-1, 1)
            measured = {"psnr": psnr(output, self.to_device(self.held_out_targets))}
            if self.written is not None:
                vectors, pictures = (part[: self.args.held_out] for part in self.written[:2])
                turns = self.held_out_of(self.written[2])
                drawn = self.model.decode(vectors.float().to(self.args.device), turns).float().clamp(-1, 1)
                measured["written_psnr"] = psnr(drawn, self.to_device(pictures))
        use = code_use(quantized.indices.flatten(1).cpu().numpy(), self.model.config.n_embed)
        line = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "pictures_per_second": round(per_second, 1),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **{name: value.item() for name, value in losses.items()},
            **measured,
            "latent_dimensions": round(effective_dimensions(latents), 1),
            "codes_used_percent": round(100 * use.share_used, 1),
            "perplexity": round(use.perplexity, 1),
        }
        if self.head is not None:
            scores = self.head.scores(values.float(), self.held_out_maps.to(self.args.device))
            line |= {name: round(score, 3) for name, score in scores.items()}
        log(out, line)

    def save(self, path: Path) -> None:
        state = {
            **self.state(),
            "head": self.head.state_dict() if self.head else None,
            "adversary": self.adversary.state_dict() if self.adversary else None,
            "cameras": self.cameras.get_state(),
            "counts": self.averages.counts,
            "idle_steps": self.restart.idle_steps,
            "has_codes": self.has_codes,
        }
        write_state(state, path)

    def load(self, path: Path) -> None:
        state = self.read(path)
        if (state["head"] is None) != (self.head is None):
            raise CheckpointError(f"{path} was trained {'with' if state['head'] else 'without'} train.object_weight.")
        adversary = state.get("adversary")  # older states have none
        if (adversary is None) != (self.adversary is None):
            raise CheckpointError(
                f"{path} was trained {'with' if adversary else 'without'} train.discriminator_weight."
            )
        self.restore(state)
        if self.head is not None:
            self.head.load_state_dict(state["head"])
        if self.adversary is not None:
            self.adversary.load_state_dict(adversary)
        self.cameras.set_state(state["cameras"])
        self.averages.counts = state["counts"].to(self.args.device)
        self.restart.idle_steps = state["idle_steps"].to(self.args.device)
        self.has_codes = state["has_codes"]


def psnr(output: Tensor, pixels: Tensor) -> float:
    """Of a batch as a whole, in dB; pixels span 2."""
    return round(10 * math.log10(4.0 / F.mse_loss(output, pixels).item()), 2)


if __name__ == "__main__":
    print(main(), file=sys.stderr)

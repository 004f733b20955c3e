"""Full training of the language model on one device, CPU or CUDA.

    tune run kyvo/recipes/finetune --config configs/train/mini_recognition.yaml [train.max_steps=1000 ...]

Reads coded sets (tokenizers/encode.py) and a processor folder; writes checkpoints, each with a folded model that
`Kyvo.from_pretrained` and transformers load. `train.resume=true` goes on where the newest checkpoint stands, with the
losses an uninterrupted run would have had.
"""

import itertools
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torchtune import config, training
from torchtune.recipe_interfaces import FTRecipeInterface
from tqdm import tqdm

from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.fold import save_llama
from kyvo.tokenizers.processor import Processor
from kyvo.train.args import TrainArgs, check_names, rate_factor
from kyvo.train.checkpoint import load_checkpoint, save_checkpoint
from kyvo.train.data import Batch, BatchStream, CodedScenes, load_batches
from kyvo.train.loss import labelled_loss
from kyvo.train.reading import ObjectReading

SECTIONS = ("output_dir", "processor", "model", "data", "easy_data", "optimizer", "metric_logger", "train")


class FinetuneRecipe(FTRecipeInterface):
    """The story of a run: set up, take steps, write checkpoints, clean up."""

    def __init__(self, cfg: DictConfig) -> None:
        check_names(cfg, SECTIONS)
        self.args = TrainArgs.from_config(OmegaConf.to_container(cfg.train, resolve=True))  # type: ignore[arg-type]
        self.output_dir = Path(cfg.output_dir)
        self.device = torch.device(self.args.device)
        self.step = 0  # steps taken
        self.seconds = 0.0  # spent in earlier runs of this folder
        self.decay_from = self.args.max_steps - self.args.decay_steps
        self.end = self.args.max_steps

    def setup(self, cfg: DictConfig) -> None:
        args = self.args
        self.started = time.monotonic()
        if args.num_threads is not None:
            torch.set_num_threads(args.num_threads)
        training.set_seed(args.seed)
        self.processor = Processor.from_pretrained(cfg.processor)
        builder = self.processor.builder
        shape = self.processor.shape
        self.model = config.instantiate(
            cfg.model,
            builder.vocabulary,
            self.processor.image.codebook,
            None if shape is None else shape.codebook,
            image_grid=builder.image_grid,
        )
        self.model.to(self.device, torch.bfloat16 if args.precision == "bf16" else torch.float32)
        if args.compile:
            torch._dynamo.config.recompile_limit = 64  # one for each padded length
            for layer in self.model.layers:
                layer.compile(dynamic=False)
        self.reading = None
        if args.reading_weight:
            self.reading = ObjectReading(self.processor.schema, self.model.size.dim).to(self.device)
        self.optimizer = config.instantiate(cfg.optimizer, _decay_groups(self.model, self.reading))
        self.peak_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.samples = config.instantiate(cfg.data, builder, objects=args.reading_weight > 0)
        self.easy_samples = None
        if args.easy_steps:
            if "easy_data" not in cfg:
                raise ConfigError(f"train.easy_steps is {args.easy_steps}, but the config has no section easy_data.")
            self.easy_samples = config.instantiate(cfg.easy_data, builder, objects=args.reading_weight > 0)
        if args.resume:
            self.load_checkpoint()
        elif args.start is not None:
            self.load_weights(Path(args.start))
        self.metric_logger = config.instantiate(cfg.metric_logger)
        self.metric_logger.log_config(cfg)

    def train(self) -> None:
        args = self.args
        batches = self._batches()
        parameters = [entry for group in self.optimizer.param_groups for entry in group["params"]]
        self.model.train()
        bar = tqdm(total=self.end, initial=self.step, unit="step", disable=None)  # None: only on a terminal
        pace = _Pace()
        while self.step < self.end:
            self._fit_decay(pace)
            micro_batches = [batch.to(self.device) for batch in itertools.islice(batches, args.gradient_accumulation)]
            total_weight = torch.stack([batch.weights.sum() for batch in micro_batches]).sum()
            factor = rate_factor(
                self.step, warmup_steps=args.warmup_steps, decay_from=self.decay_from, decay_steps=args.decay_steps
            )
            for group, peak in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
                group["lr"] = peak * factor

            loss, reading_loss = torch.zeros(2, device=self.device)
            for batch in micro_batches:
                with self._autocast():
                    halfway, hidden = self.model.halfway_and_last(batch.ids, places=batch.places, mask=batch.mask)
                    part = labelled_loss(
                        hidden, self.model.output.table(), batch.positions, batch.targets, batch.weights
                    )
                    part = part / total_weight
                    whole = part
                    if self.reading is not None and batch.objects is not None:
                        read = self.reading(halfway, batch.objects) / len(micro_batches)
                        whole = part + args.reading_weight * read
                        reading_loss += read.detach()
                whole.backward()
                loss += part.detach()
            grad_norm = torch.nn.utils.clip_grad_norm_(parameters, args.clip_grad_norm)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)

            self.step += 1
            bar.update()
            pace.count(sum(batch.num_tokens for batch in micro_batches))
            if self.step % args.log_every == 0:
                metrics = {
                    "loss": loss.item(),
                    "lr": self.optimizer.param_groups[0]["lr"],
                    "grad_norm": grad_norm.item(),
                    "tokens_per_second": round(pace.tokens_per_second),
                    "minutes": round(self._elapsed() / 60, 2),
                }
                if self.reading is not None:
                    metrics["reading_loss"] = reading_loss.item()
                self.metric_logger.log_dict(metrics, step=self.step)
                bar.set_postfix(loss=f"{metrics['loss']:.3f}")
            if self.step % args.save_every == 0 or self.step == self.end:
                self.save_checkpoint()
        bar.close()

    def _batches(self) -> Iterator[Batch]:
        """Micro-batches from the current step on: those of the easy data first, then the data's."""
        args = self.args
        num_easy = args.easy_steps * args.gradient_accumulation
        done = self.step * args.gradient_accumulation

        def stream(samples: CodedScenes, start: int) -> Iterator[Batch]:
            batches = BatchStream(
                samples,
                batch_size=args.batch_size,
                seed=args.seed,
                max_seq_len=self.model.max_seq_len,
                pad_id=self.processor.text.pad_id,
                start=start,
            )
            return load_batches(batches, prefetch=args.prefetch)

        if self.easy_samples is not None and done < num_easy:
            yield from itertools.islice(stream(self.easy_samples, done), num_easy - done)
        yield from stream(self.samples, max(0, done - num_easy))

    def save_checkpoint(self) -> None:
        """Everything `load_checkpoint` needs, and the folded model."""
        state = {
            "model": self.model.state_dict(),
            "reading": None if self.reading is None else self.reading.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self._elapsed(),
            "decay_from": self.decay_from if self.step > self.decay_from else None,
            "random_state": torch.get_rng_state(),
            "data": self._data_facts(),
        }
        save_checkpoint(self.output_dir, step=self.step, state=state, write_model=self.write_model, keep=self.args.keep)

    def write_model(self, folder: Path) -> None:
        """The folded model, with the processor's files beside it."""
        text = self.processor.text
        with torch.no_grad():
            table, head = self.model.tok_embeddings.table(), self.model.output.table()
            positions = None if self.model.image_positions is None else self.model.image_positions.table()
        save_llama(
            folder,
            self.model.state_dict(),
            table=table,
            head=head,
            positions=positions,
            size=self.model.size,
            bos_id=text.bos_id,
            eos_id=text.eos_id,
            pad_id=text.pad_id,
        )
        self.processor.save(folder)

    def load_weights(self, other: Path) -> None:
        """Takes the newest weights of another run. Raises CheckpointError when they are of another model."""
        state = load_checkpoint(other)
        try:
            self.model.load_state_dict(state["model"])
            if self.reading is not None and state["reading"] is not None:
                self.reading.load_state_dict(state["reading"])
        except RuntimeError as error:
            raise CheckpointError(f"train.start is {other}, whose weights are of another model: {error}") from error

    def load_checkpoint(self) -> None:
        """Puts the run where its newest checkpoint stands.

        Raises:
            CheckpointError: there is none, or its batches were other ones, so that its position means nothing here.
        """
        state = load_checkpoint(self.output_dir)
        if state["data"] != self._data_facts():
            raise CheckpointError(
                f"{self.output_dir} was trained with {state['data']}, this run has {self._data_facts()}. "
                "Take the same settings, or another output_dir."
            )
        self.model.load_state_dict(state["model"])
        if self.reading is not None:
            self.reading.load_state_dict(state["reading"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        if state["decay_from"] is not None:  # the decay has begun: it goes on from there
            self.decay_from = state["decay_from"]
            self.end = min(self.end, self.decay_from + self.args.decay_steps)
        torch.set_rng_state(state["random_state"])

    def cleanup(self) -> None:
        self.metric_logger.close()

    def _data_facts(self) -> dict[str, int]:
        args = self.args
        return {
            "samples": len(self.samples),
            "easy_steps": args.easy_steps,
            "batch_size": args.batch_size,
            "gradient_accumulation": args.gradient_accumulation,
            "seed": args.seed,
            "reads": self.reading is not None,
        }

    def _autocast(self) -> Any:
        if self.args.precision == "bf16_mixed":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def _elapsed(self) -> float:
        """Seconds since the first run of this output folder began."""
        return self.seconds + time.monotonic() - self.started

    def _fit_decay(self, pace: "_Pace") -> None:
        """Begins the decay as soon as what is left of `max_minutes` is just enough for it."""
        args = self.args
        if args.max_minutes is None or self.step >= self.decay_from:
            return
        if args.max_minutes * 60 - self._elapsed() <= args.decay_steps * pace.seconds_per_step:
            self.decay_from = self.step
            self.end = self.step + max(1, args.decay_steps)


WINDOW = 100  # steps; where harder data begins, some 30 of them compile for lengths not seen before


class _Pace:
    """How fast the newest steps went. Medians over a full window, so that compiling and saving do not count."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.seconds: deque[float] = deque(maxlen=WINDOW)
        self.rates: deque[float] = deque(maxlen=WINDOW)

    def count(self, num_tokens: int) -> None:
        now = time.monotonic()
        self.seconds.append(now - self.last)
        self.rates.append(num_tokens / (now - self.last))
        self.last = now

    @property
    def seconds_per_step(self) -> float:
        """0 until the window is full: the first steps compile, and would say that no time is left."""
        return statistics.median(self.seconds) if len(self.seconds) == self.seconds.maxlen else 0.0

    @property
    def tokens_per_second(self) -> float:
        return statistics.median(self.rates) if self.rates else 0.0


def _decay_groups(model: torch.nn.Module, reading: torch.nn.Module | None) -> list[dict[str, Any]]:
    """Weight decay only for the layers' matrices: it would pull rare embedding rows and norms to zero."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    matrices = [parameter for name, parameter in trained if name.startswith("layers.") and parameter.ndim == 2]
    others = [parameter for name, parameter in trained if not (name.startswith("layers.") and parameter.ndim == 2)]
    others += reading.parameters() if reading is not None else []
    return [{"params": matrices}, {"params": others, "weight_decay": 0.0}]


@config.parse
def recipe_main(cfg: DictConfig) -> None:
    config.log_config(recipe_name="FinetuneRecipe", cfg=cfg)
    recipe = FinetuneRecipe(cfg=cfg)
    recipe.setup(cfg=cfg)
    recipe.train()
    recipe.cleanup()


if __name__ == "__main__":
    sys.exit(recipe_main())

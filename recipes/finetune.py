"""Training of the language model: full, LoRA or QLoRA, on one device or on several.

    tune run kyvo/recipes/finetune --config configs/train/mini.yaml [train.max_steps=1000 ...]
    tune run --nproc_per_node 2 kyvo/recipes/finetune --config configs/train/mini.yaml

Reads coded sets (tokenizers/encode.py) and a processor folder; writes checkpoints, each with a folded model that
`Kyvo.from_pretrained` and transformers load. `train.resume=true` goes on where the newest checkpoint stands, with the
losses an uninterrupted run would have had.
"""

# FTRecipeInterface takes any keyword in each of its methods and asks for one that this recipe does without.
# pyright: reportIncompatibleMethodOverride=false, reportAbstractUsage=false

import itertools
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torchtune import config, training
from torchtune.modules import TransformerSelfAttentionLayer
from torchtune.recipe_interfaces import FTRecipeInterface
from tqdm import tqdm

from kyvo.api import lacking_parts
from kyvo.data.configs import from_section
from kyvo.deprecated import current_components
from kyvo.devices import fastest_dtype, matmul_rates
from kyvo.errors import CheckpointError, ConfigError
from kyvo.files import locked, make_folder
from kyvo.processor import Processor
from kyvo.training.args import TrainArgs, check_names, rate_factor
from kyvo.training.auxiliary_heads import AuxiliaryHeads
from kyvo.training.batch import MULTIPLE, MULTIPLE_CUDA, Batch
from kyvo.training.batch_stream import BatchStream, load_batches
from kyvo.training.checkpoint import check_free, load_checkpoint, save_checkpoint
from kyvo.training.components import check_components
from kyvo.training.data import TokenizedScenes, check_codes
from kyvo.training.distributed import Ranks, clip_gradients, gathered, num_ranks, shard
from kyvo.training.evaluation import decoded_score, held_out, held_out_loss, load_folded
from kyvo.training.failures import (
    PATIENCE,
    TrainingError,
    describe_not_finite,
    describe_out_of_memory,
    samples_not_finite,
)
from kyvo.training.folding import save_folded, tables
from kyvo.training.init_weights import apply_init_weights
from kyvo.training.init_weights_files import read_init_weights
from kyvo.training.lora import (
    PeftArgs,
    add_adapters,
    base_state,
    fingerprint,
    merged_state,
    save_adapter,
    trained_state,
)
from kyvo.training.loss import allowed_loss, labelled_loss
from kyvo.training.model import attention_kernel
from kyvo.training.optimizer import decay_groups
from kyvo.training.resume import check_batches, load_optimizer, load_weights
from kyvo.training.throughput import Throughput

LOG = logging.getLogger(__name__)
SECTIONS = (
    "output_dir", "processor", "model", "peft", "data", "easy_data", "eval_data", "optimizer", "metric_logger", "train",
)  # fmt: skip


class FinetuneRecipe(FTRecipeInterface):
    """The story of a run: set up, take steps, write checkpoints, clean up."""

    def __init__(self, cfg: DictConfig) -> None:
        cfg.merge_with(current_components(OmegaConf.to_container(cfg)))  # in place: `setup` gets it next
        check_names(cfg, SECTIONS)
        check_components(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
        self.args = TrainArgs.from_config(OmegaConf.to_container(cfg.train, resolve=True))  # type: ignore[arg-type]
        peft = OmegaConf.to_container(cfg.peft, resolve=True) if "peft" in cfg else {}
        self.peft = from_section(PeftArgs, peft, prefix="peft.")  # type: ignore[arg-type]
        if self.peft.method == "qlora" and num_ranks() > 1:
            raise ConfigError("peft.method is qlora, whose four-bit weights are not shared among ranks; take lora.")
        self.output_dir = Path(cfg.output_dir)
        self.step = 0  # steps taken
        self.skipped_steps = 0  # of them, those that were not finite
        self.seconds = 0.0  # spent in earlier runs of this folder

    def setup(self, cfg: DictConfig) -> None:
        args = self.args
        self.started = self.saved = time.monotonic()
        self.ranks = Ranks.join(args.device)
        self.device = self.ranks.device
        if args.num_threads is not None:
            torch.set_num_threads(args.num_threads)
        if args.precision == "auto":
            self.args = args = replace(args, precision=self._fastest_precision())
        torch.manual_seed(args.seed)  # torchtune's set_seed would give each rank other weights
        self.processor = Processor.from_pretrained(cfg.processor)
        if not args.resume:
            check_free(self.output_dir)
        state = load_checkpoint(self.output_dir) if args.resume else None
        self.model_section = cfg.model
        self._setup_model(state)
        self.optimizer = config.instantiate(cfg.optimizer, decay_groups(self.model, self.auxiliary))
        self.parameters = [entry for group in self.optimizer.param_groups for entry in group["params"]]
        self.peak_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.samples = self._open(cfg.data, objects=args.auxiliary_weight > 0)
        self.end = args.num_steps(len(self.samples), num_ranks=self.ranks.count)
        self.decay_steps = self.end - args.warmup_steps if args.decay == "cosine" else args.decay_steps
        self.decay_from = self.end - self.decay_steps
        self.easy_samples = None
        if args.easy_steps:
            if "easy_data" not in cfg:
                raise ConfigError(f"train.easy_steps is {args.easy_steps}, but the config has no section easy_data.")
            self.easy_samples = self._open(cfg.easy_data, objects=args.auxiliary_weight > 0)
        self._setup_evaluation(cfg)
        if self.ranks.count > 1:
            torch.manual_seed(args.seed + self.ranks.rank)  # of dropout
        if state is not None:
            self._resume(state, named=cfg.optimizer)
        self.metric_logger = None
        if self.ranks.is_first:
            self.metric_logger = config.instantiate(cfg.metric_logger)
            self.metric_logger.log_config(cfg)

    def _fastest_precision(self) -> str:
        """Mixed or full precision, whichever the device multiplies faster in; says what was measured."""
        precision = "bf16_mixed" if fastest_dtype(self.device.type) == torch.bfloat16 else "fp32"
        measured = ""
        if self.device.type == "cpu":
            rates = ", ".join(f"{str(dtype)[6:]} {rate:,.0f}" for dtype, rate in matmul_rates().items())
            measured = f" (GFLOP/s of a product: {rates})"
        self._tell(f"train.precision is auto: {precision}{measured}")
        return precision

    def _build_model(self) -> Any:
        builder, shape = self.processor.builder, self.processor.shape
        return config.instantiate(
            self.model_section,
            builder.vocabulary,
            self.processor.image.codebook,
            None if shape is None else shape.codebook,
            image_grid=builder.image_grid,
            image_order=builder.order,
        )

    def _setup_model(self, state: dict[str, Any] | None) -> None:
        """Fresh weights, those of the start, adapters, those of a checkpoint; then as the device wants them."""
        args = self.args
        self.model = self._build_model()
        self.model.to(dtype=torch.bfloat16 if args.precision == "bf16" else torch.float32)
        init = None
        if args.init_weights is not None and (state is None or self.peft.adapts):
            init = read_init_weights(Path(args.init_weights), size=self.model.size)
            apply_init_weights(self.model, init, where=args.init_weights, vocabulary=self.processor.builder.vocabulary)
        self.base = None
        if self.peft.adapts:
            self.base = fingerprint(self.model)
            add_adapters(self.model, self.peft)
            if state is None and self.ranks.is_first:
                self._save_folded(self.output_dir / "base", base_state(self.model.state_dict()))
        self.auxiliary = None
        if args.auxiliary_weight:
            self.auxiliary = AuxiliaryHeads(self.processor.schema, self.model.size.dim)
            if init is not None and init.auxiliary is not None:
                found = self.auxiliary.load_state_dict(init.auxiliary, strict=False)  # what it lacks begins anew
                if found.unexpected_keys:
                    raise CheckpointError(
                        f"{args.init_weights} has other auxiliary heads: {found.unexpected_keys[:4]}. Start from its "
                        "model, step_<step>/model."
                    )
        if state is not None:
            load_weights(self.model, self.auxiliary, state, peft=self.peft, base=self.base, where=self.output_dir)
        self.model.to(self.device)
        if self.auxiliary is not None:
            self.auxiliary.to(self.device)
        if args.activation_checkpointing:
            training.set_activation_checkpointing(self.model, auto_wrap_policy={TransformerSelfAttentionLayer})
        if args.compile:
            torch._dynamo.config.recompile_limit = 64  # one for each padded length
            for layer in self.model.layers:
                layer.compile(dynamic=False)
        if self.ranks.count > 1:
            shard(self.model, self.auxiliary, precision=args.precision)

    def _open(self, section: DictConfig, *, objects: bool = False) -> TokenizedScenes:
        samples = config.instantiate(
            section, self.processor.builder, objects=objects, allowed=self.args.loss == "allowed"
        )
        tokenizers = {"image": self.processor.image, "shape": self.processor.shape}
        check_codes(samples.folders, {kind: one.about for kind, one in tokenizers.items() if one is not None})
        return samples

    def _setup_evaluation(self, cfg: DictConfig) -> None:
        args = self.args
        self.held_out = {}
        if args.eval_every:
            if "eval_data" not in cfg:
                raise ConfigError(f"train.eval_every is {args.eval_every}, but the config has no section eval_data.")
            self.held_out = held_out(
                self._open(cfg.eval_data),
                batch_size=args.batch_size,
                num_batches=args.eval_batches,
                num_examples=args.decode_samples,
                pad_id=self.processor.text.pad_id,
                seed=args.seed,
            )

    def train(self) -> None:
        args = self.args
        batches = self._batches()
        self.model.train()
        bar = tqdm(total=self.end, initial=self.step, unit="step", disable=None if self.ranks.is_first else True)
        self._tell(
            f"{self.end - self.step:,} steps of {args.batch_size * args.gradient_accumulation * self.ranks.count} "
            f"sequences, from step {self.step:,}; a checkpoint every {args.save_every:,} in {self.output_dir}"
        )
        throughput = Throughput()
        not_finite = 0  # steps in a row
        while self.step < self.end:
            self._fit_decay(throughput)
            micro_batches = [batch.to(self.device) for batch in itertools.islice(batches, args.gradient_accumulation)]
            factor = rate_factor(
                self.step,
                warmup_steps=args.warmup_steps,
                decay_from=self.decay_from,
                decay_steps=self.decay_steps,
                decay=args.decay,
            )
            for group, peak in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
                group["lr"] = peak * factor
            metrics = self._gradients(micro_batches)
            finite = bool((metrics["loss"] + metrics["grad_norm"]).isfinite())
            if finite:
                self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)

            self.step += 1
            bar.total = self.end  # it comes nearer where the clock sets it
            bar.update()
            throughput.count(sum(batch.num_tokens for batch in micro_batches) * self.ranks.count)
            not_finite = 0 if finite else not_finite + 1
            if not finite:
                self._meet_not_finite(micro_batches, in_a_row=not_finite)
            for batch in micro_batches:
                if batch.skipped:
                    LOG.warning(
                        "%d samples are too long and left out: %s", len(batch.skipped), "; ".join(batch.skipped[:8])
                    )
            if self.step % args.log_every == 0:
                self._log(metrics, throughput)
                bar.set_postfix(loss=f"{metrics['loss'].item():.3f}")
            if args.eval_every and (self.step % args.eval_every == 0 or self.step == self.end):
                self.evaluate()
            if self.step % args.save_every == 0 or self.step == self.end or self._is_late_to_save():
                self.save_checkpoint()
                self.saved = time.monotonic()
        bar.close()
        self._tell_end()

    def _tell(self, text: str) -> None:
        if self.ranks.is_first:
            print(text, file=sys.stderr, flush=True)

    def _tell_end(self) -> None:
        """Where the model is, what to do with it, and what it lacks beside a whole one."""
        model = self.output_dir / f"step_{self.step:06d}" / "model"
        self._tell(f"done: {self.step:,} steps in {self._elapsed() / 60:.1f} minutes. The model is {model}; try")
        self._tell(f"    kyvo recognize PICTURE --model {model} --out found")
        if lacking := lacking_parts(model):
            self._tell(f"It has no {' and no '.join(lacking)}.")

    def _gradients(self, micro_batches: list[Batch]) -> dict[str, Tensor]:
        """The step's loss, sum(w CE) / sum(w) over all micro-batches of all ranks, its gradients, and their norm."""
        args, ranks = self.args, self.ranks
        total_weight = ranks.sum(torch.stack([batch.weights.sum() for batch in micro_batches]).sum())
        loss, auxiliary_loss = torch.zeros(2, device=self.device)
        try:
            for batch in micro_batches:
                with attention_kernel(self.device):
                    part, read = self._losses(batch)
                    part = part / total_weight
                    # Ranks' gradients are averaged, but the loss is a sum over them.
                    whole = part * ranks.count
                    if read is not None:
                        read = read / len(micro_batches)
                        whole = whole + args.auxiliary_weight * read
                        auxiliary_loss += read.detach() / ranks.count
                    whole.backward()
                loss += part.detach()
        except torch.OutOfMemoryError as error:
            peak = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else 0
            longest = max(batch.ids.shape[1] for batch in micro_batches)
            message = describe_out_of_memory(
                batch_size=args.batch_size, length=longest, peak=peak, pack_tokens=args.pack_tokens
            )
            raise TrainingError(message) from error
        metrics = {"loss": ranks.sum(loss), "grad_norm": clip_gradients(self.parameters, args.clip_grad_norm)}
        if self.auxiliary is not None:
            metrics["auxiliary_loss"] = ranks.sum(auxiliary_loss)
        return metrics

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """sum(w CE) of a batch on its device, and the loss of reading its objects."""
        with self._autocast():
            states = self.model.hidden_states(
                batch.ids, grid_positions=batch.grid_positions, mask=batch.attention(), input_pos=batch.input_pos
            )
            head = self.model.output
            rows, at, weights = head.trained_rows(), batch.positions, batch.weights
            if self.args.loss == "allowed":
                part = allowed_loss(states.last, rows, at, batch.groups, weights, frozen=head.frozen)
            else:
                part = labelled_loss(states.last, rows, at, batch.targets, weights, frozen=head.frozen)
            if self.auxiliary is None or not batch.objects:
                return part, None
            return part, self.auxiliary(states, batch.objects)

    def _meet_not_finite(self, micro_batches: list[Batch], *, in_a_row: int) -> None:
        """Says which samples did it, and stops unless such steps are to be skipped."""
        found = [name for batch in micro_batches for name in batch.samples]
        if self.ranks.count == 1:
            searched = (
                samples_not_finite(batch, lambda alone: self._losses(alone)[0], self.parameters)
                for batch in micro_batches
            )
            found = list(itertools.chain.from_iterable(searched))
        names = list(itertools.chain.from_iterable(self.ranks.collect(found)))
        message = describe_not_finite(self.step, names)
        self.skipped_steps += 1
        if self.args.on_nan == "stop" or in_a_row >= PATIENCE:
            raise TrainingError(message)
        LOG.warning("skipped %s", message)

    def _log(self, metrics: dict[str, Tensor], throughput: Throughput) -> None:
        if self.metric_logger is None:
            return
        values = {
            "loss": metrics["loss"].item(),
            "lr": self.optimizer.param_groups[0]["lr"],
            "grad_norm": metrics["grad_norm"].item(),
            "tokens_per_second": round(throughput.tokens_per_second),
            "minutes": round(self._elapsed() / 60, 2),
        }
        if self.auxiliary is not None:
            values["auxiliary_loss"] = metrics["auxiliary_loss"].item()
        if self.skipped_steps:
            values["skipped_steps"] = self.skipped_steps
        self.metric_logger.log_dict(values, step=self.step)

    def _batches(self) -> Iterator[Batch]:
        """This rank's micro-batches from the current step on: those of the easy data first, then the data's."""
        args, ranks = self.args, self.ranks

        def stream(samples: TokenizedScenes, start: int) -> Iterator[Batch]:
            batches = BatchStream(
                samples,
                batch_size=args.batch_size,
                seed=args.seed,
                max_seq_len=self.model.max_seq_len,
                pad_id=self.processor.text.pad_id,
                start=start,
                slots=args.gradient_accumulation * ranks.count,
                rank=ranks.rank,
                num_ranks=ranks.count,
                pack_tokens=args.pack_tokens,
                skip_too_long=args.too_long == "skip",
                multiple=MULTIPLE if self.device.type == "cpu" else MULTIPLE_CUDA,
            )
            return load_batches(batches, prefetch=args.prefetch)

        if self.easy_samples is not None and self.step < args.easy_steps:
            num_easy = (args.easy_steps - self.step) * args.gradient_accumulation
            yield from itertools.islice(stream(self.easy_samples, self.step), num_easy)
        yield from stream(self.samples, max(0, self.step - args.easy_steps))

    def evaluate(self) -> None:
        """Logs each task's loss on the held-out samples, and the scores of the decoded ones."""
        self.model.eval()
        values: dict[str, float] = {}
        for task, samples in self.held_out.items():
            mine = samples.batches[self.ranks.rank :: self.ranks.count]
            # Ranks run a sharded model together: those with a batch less run their first again, and do not count it.
            missing = -(-len(samples.batches) // self.ranks.count) - len(mine)
            held_out_loss(samples.batches[:missing], lambda batch: self._losses(batch)[0], device=self.device)
            loss, weight = held_out_loss(mine, lambda batch: self._losses(batch)[0], device=self.device)
            values[f"{task}_loss"] = (self.ranks.sum(loss) / self.ranks.sum(weight)).item()
        if self.args.decode_samples:
            state = merged_state(gathered(self.model.state_dict()), scale=self.peft.scale)
            if self.ranks.is_first:
                kyvo = load_folded(
                    state,
                    **tables(state, self._build_model),
                    size=self.model.size,
                    processor=self.processor,
                    device=self.device,
                )
                for task, samples in self.held_out.items():
                    scores = decoded_score(kyvo, task, samples.examples)
                    values |= {f"{task}_{name}": value for name, value in scores.items()}
            self.ranks.wait()
        if self.metric_logger is not None:
            self.metric_logger.log_dict(values, step=self.step)
        self.model.train()

    def save_checkpoint(self) -> None:
        """Everything a resume needs, and the folded model. The first rank writes what all gather."""
        trained = trained_state(self.model) if self.peft.adapts else self.model.state_dict()
        state = {
            "model": trained,
            "auxiliary": None if self.auxiliary is None else self.auxiliary.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "optimizer_kind": type(self.optimizer).__name__,
            "step": self.step,
            "seconds": self._elapsed(),
            "decay_from": self.decay_from if self.step > self.decay_from else None,
            "random_state": torch.get_rng_state(),
            "random_states": self.ranks.collect(torch.get_rng_state()),
            "skipped_steps": self.skipped_steps,
            "peft": vars(self.peft) if self.peft.adapts else None,
            "base": self.base,
            "data": self._data_facts(),
        }
        state = gathered(state)
        whole = gathered(self.model.state_dict()) if self.peft.adapts else state["model"]

        def write_model(folder: Path) -> None:
            self._save_folded(folder, merged_state(whole, scale=self.peft.scale))
            if self.peft.adapts:
                plain = tables(whole, self._build_model)
                save_adapter(
                    folder.with_name("adapter"),
                    whole,
                    table=plain["table"],
                    head=plain["head"],
                    size=self.model.size,
                    args=self.peft,
                    base=(self.output_dir / "base").absolute(),
                    dtype=self._model_dtype(),
                )
                self.processor.save(folder.with_name("adapter"))

        if self.ranks.is_first:
            save_checkpoint(
                self.output_dir, step=self.step, state=state, write_model=write_model, keep_last=self.args.keep_last
            )
        self.ranks.wait()

    def _save_folded(self, folder: Path, state: dict[str, Tensor]) -> None:
        save_folded(folder, state, self._build_model, self.processor, size=self.model.size, dtype=self._model_dtype())

    def _model_dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.args.model_precision == "bf16" else torch.float32

    def _resume(self, state: dict[str, Any], *, named: DictConfig) -> None:
        """Puts the run where its checkpoint stands; the optimizer's `named` settings are those of this run."""
        check_batches(state["data"], self._data_facts(), where=self.output_dir)
        load_optimizer(self.optimizer, state, named=[str(name) for name in named], where=self.output_dir)
        self.step, self.seconds = state["step"], state["seconds"]
        self.skipped_steps = state.get("skipped_steps", 0)
        if state["decay_from"] is not None:  # the decay has begun: it goes on from there
            self.decay_from = state["decay_from"]
            self.end = min(self.end, self.decay_from + self.decay_steps)
        random_states = state.get("random_states", [state["random_state"]])
        torch.set_rng_state(random_states[self.ranks.rank % len(random_states)])

    def cleanup(self) -> None:
        if self.metric_logger is not None:
            self.metric_logger.close()
        self.ranks.leave()

    def _data_facts(self) -> dict[str, Any]:
        args = self.args
        return {
            "samples": len(self.samples),
            "easy_steps": args.easy_steps,
            "batch_size": args.batch_size,
            "gradient_accumulation": args.gradient_accumulation * self.ranks.count,  # micro-batches a step
            "seed": args.seed,
            "reads": self.auxiliary is not None,
            "pack_tokens": args.pack_tokens,
        }

    def _autocast(self) -> Any:
        if self.args.precision == "bf16_mixed":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def _elapsed(self) -> float:
        """Seconds since the first run of this output folder began."""
        return self.seconds + time.monotonic() - self.started

    def _is_late_to_save(self) -> bool:
        """Whether the last checkpoint is older than `save_minutes`; ranks save together."""
        minutes = self.args.save_minutes
        if minutes is None:
            return False
        late = time.monotonic() - self.saved >= 60 * minutes
        return bool(self.ranks.sum(torch.tensor(float(late), device=self.device)) > 0)

    def _fit_decay(self, throughput: Throughput) -> None:
        """Begins the decay as soon as what is left of `max_minutes` is just enough for it."""
        args = self.args
        if args.max_minutes is None or self.step >= self.decay_from:
            return
        late = args.max_minutes * 60 - self._elapsed() <= self.decay_steps * throughput.seconds_per_step
        if self.ranks.sum(torch.tensor(float(late), device=self.device)) > 0:  # ranks' clocks differ
            self.decay_from = self.step
            self.end = self.step + max(1, self.decay_steps)


@config.parse
def recipe_main(cfg: DictConfig) -> None:
    config.log_config(recipe_name="FinetuneRecipe", cfg=cfg)
    recipe = FinetuneRecipe(cfg=cfg)  # type: ignore[abstract]  # the interface's checkpoint methods are not called
    with nullcontext() if int(os.environ.get("RANK", 0)) else locked(make_folder(recipe.output_dir)):
        recipe.setup(cfg=cfg)
        recipe.train()
        recipe.cleanup()


if __name__ == "__main__":
    sys.exit(recipe_main())

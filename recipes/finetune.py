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
from functools import partial
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
from kyvo.devices import fastest_precision
from kyvo.errors import ConfigError
from kyvo.files import locked, make_folder
from kyvo.processor import Processor
from kyvo.training.args import TrainArgs, check_names
from kyvo.training.auxiliary_heads import AuxiliaryHeads
from kyvo.training.batch import Batch
from kyvo.training.checkpoint import check_free, load_checkpoint, save_checkpoint
from kyvo.training.components import check_components
from kyvo.training.curriculum import curriculum
from kyvo.training.data import TokenizedScenes, check_codes
from kyvo.training.distributed import Ranks, gathered, num_ranks, shard
from kyvo.training.evaluation import decoded_scores, held_out, held_out_losses, load_folded
from kyvo.training.failures import NotFiniteSteps
from kyvo.training.folding import save_folded, tables
from kyvo.training.init_weights import apply_auxiliary, apply_init_weights
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
from kyvo.training.objective import Objective
from kyvo.training.optimizer import decay_groups
from kyvo.training.resume import batch_facts, check_batches, load_optimizer, load_weights
from kyvo.training.schedule import Schedule
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
        self.not_finite = NotFiniteSteps(on_nan=self.args.on_nan)
        self.seconds = 0.0  # spent in earlier runs of this folder

    def setup(self, cfg: DictConfig) -> None:
        args = self.args
        self.started = self.saved = time.monotonic()
        self.ranks = Ranks.join(args.device)
        self.device = self.ranks.device
        if args.num_threads is not None:
            torch.set_num_threads(args.num_threads)
        if args.precision == "auto":
            precision, measured = fastest_precision(self.device.type)
            self.args = args = replace(args, precision=precision)
            self._tell(f"train.precision is auto: {precision}{measured}")
        torch.manual_seed(args.seed)  # torchtune's set_seed would give each rank other weights
        self.processor = Processor.from_pretrained(cfg.processor)
        if not args.resume:
            check_free(self.output_dir)
        state = load_checkpoint(self.output_dir) if args.resume else None
        self.model_section = cfg.model
        self._setup_model(state)
        self.optimizer = config.instantiate(cfg.optimizer, decay_groups(self.model, self.auxiliary))
        parameters = [entry for group in self.optimizer.param_groups for entry in group["params"]]
        self.peak_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.samples = self._open(cfg, "data", objects=args.auxiliary_weight > 0)
        self.schedule = Schedule(args, num_steps=args.num_steps(len(self.samples), num_ranks=self.ranks.count))
        self.objective = Objective(self.model, self.auxiliary, parameters, args=args, ranks=self.ranks)
        self.easy_samples = None
        if args.easy_steps:
            self.easy_samples = self._open(cfg, "easy_data", asked_by="easy_steps", objects=args.auxiliary_weight > 0)
        self._setup_evaluation(cfg)
        if self.ranks.count > 1:
            torch.manual_seed(args.seed + self.ranks.rank)  # of dropout
        if state is not None:
            self._resume(state, named=cfg.optimizer)
        self.metric_logger = None
        if self.ranks.is_first:
            self.metric_logger = config.instantiate(cfg.metric_logger)
            self.metric_logger.log_config(cfg)

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
                apply_auxiliary(self.auxiliary, init.auxiliary, where=str(args.init_weights))
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

    def _open(self, cfg: DictConfig, section: str, *, asked_by: str = "", objects: bool = False) -> TokenizedScenes:
        """The samples of a section, which the setting `train.<asked_by>` asks for."""
        if asked_by and section not in cfg:
            value = getattr(self.args, asked_by)
            raise ConfigError(f"train.{asked_by} is {value}, but the config has no section {section}.")
        allowed = self.args.loss == "allowed"
        samples = config.instantiate(cfg[section], self.processor.builder, objects=objects, allowed=allowed)
        tokenizers = {"image": self.processor.image, "shape": self.processor.shape}
        check_codes(samples.folders, {kind: one.about for kind, one in tokenizers.items() if one is not None})
        return samples

    def _setup_evaluation(self, cfg: DictConfig) -> None:
        args = self.args
        self.held_out = {}
        if args.eval_every:
            self.held_out = held_out(
                self._open(cfg, "eval_data", asked_by="eval_every"),
                batch_size=args.batch_size,
                num_batches=args.eval_batches,
                num_examples=args.decode_samples,
                pad_id=self.processor.text.pad_id,
                seed=args.seed,
            )

    def train(self) -> None:
        args = self.args
        schedule, objective = self.schedule, self.objective
        batches = self._batches()
        self.model.train()
        bar = tqdm(total=schedule.end, initial=self.step, unit="step", disable=None if self.ranks.is_first else True)
        self._tell(
            f"{schedule.end - self.step:,} steps of {args.batch_size * args.gradient_accumulation * self.ranks.count} "
            f"sequences, from step {self.step:,}; a checkpoint every {args.save_every:,} in {self.output_dir}"
        )
        throughput = Throughput()
        while self.step < schedule.end:
            self._fit_decay(throughput)
            micro_batches = [batch.to(self.device) for batch in itertools.islice(batches, args.gradient_accumulation)]
            for group, peak in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
                group["lr"] = peak * schedule.factor(self.step)
            metrics = objective.gradients(micro_batches)
            finite = bool((metrics["loss"] + metrics["grad_norm"]).isfinite())
            if finite:
                self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)

            self.step += 1
            bar.total = schedule.end  # it comes nearer where the clock sets it
            bar.update()
            throughput.count(sum(batch.num_tokens for batch in micro_batches) * self.ranks.count)
            self.not_finite.count(self.step, finite, partial(objective.samples_not_finite, micro_batches))
            if too_long := [name for batch in micro_batches for name in batch.skipped]:
                LOG.warning("%d samples are too long and left out: %s", len(too_long), "; ".join(too_long[:8]))
            if self.step % args.log_every == 0:
                self._log(metrics, throughput)
                bar.set_postfix(loss=f"{metrics['loss'].item():.3f}")
            if args.eval_every and (self.step % args.eval_every == 0 or self.step == schedule.end):
                self.evaluate()
            if self.step % args.save_every == 0 or self.step == schedule.end or self._is_late_to_save():
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

    def _log(self, metrics: dict[str, Tensor], throughput: Throughput) -> None:
        if self.metric_logger is None:
            return
        values = {name: value.item() for name, value in metrics.items()} | {
            "lr": self.optimizer.param_groups[0]["lr"],
            "tokens_per_second": round(throughput.tokens_per_second),
            "minutes": round(self._elapsed() / 60, 2),
        }
        if self.not_finite.skipped:
            values["skipped_steps"] = self.not_finite.skipped
        self.metric_logger.log_dict(values, step=self.step)

    def _batches(self) -> Iterator[Batch]:
        """This rank's micro-batches from the current step on."""
        return curriculum(
            self.samples,
            self.easy_samples,
            args=self.args,
            ranks=self.ranks,
            max_seq_len=self.model.max_seq_len,
            pad_id=self.processor.text.pad_id,
            step=self.step,
        )

    def evaluate(self) -> None:
        """Logs each task's loss on the held-out samples, and the scores of the decoded ones."""
        self.model.eval()
        values = held_out_losses(self.held_out, self.objective.loss, ranks=self.ranks)
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
                values |= decoded_scores(kyvo, self.held_out)
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
            "decay_from": self.schedule.decay_from if self.step > self.schedule.decay_from else None,
            "random_state": torch.get_rng_state(),
            "random_states": self.ranks.collect(torch.get_rng_state()),
            "skipped_steps": self.not_finite.skipped,
            "peft": vars(self.peft) if self.peft.adapts else None,
            "base": self.base,
            "data": self._batch_facts(),
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
        check_batches(state["data"], self._batch_facts(), where=self.output_dir)
        load_optimizer(self.optimizer, state, named=[str(name) for name in named], where=self.output_dir)
        self.step, self.seconds = state["step"], state["seconds"]
        self.not_finite.skipped = state.get("skipped_steps", 0)
        if state["decay_from"] is not None:
            self.schedule.resume(state["decay_from"])
        random_states = state.get("random_states", [state["random_state"]])
        torch.set_rng_state(random_states[self.ranks.rank % len(random_states)])

    def cleanup(self) -> None:
        if self.metric_logger is not None:
            self.metric_logger.close()
        self.ranks.leave()

    def _batch_facts(self) -> dict[str, Any]:
        reads = self.auxiliary is not None
        return batch_facts(self.args, samples=len(self.samples), num_ranks=self.ranks.count, reads=reads)

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
        minutes, schedule = self.args.max_minutes, self.schedule
        if minutes is None or self.step >= schedule.decay_from:
            return
        late = minutes * 60 - self._elapsed() <= schedule.decay_steps * throughput.seconds_per_step
        if self.ranks.sum(torch.tensor(float(late), device=self.device)) > 0:  # ranks' clocks differ
            schedule.begin_decay(self.step)


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

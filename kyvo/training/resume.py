"""Resuming from a checkpoint: its weights, its batches and its optimizer have to be those of this run.

What differs is a CheckpointError; `where` is the output folder, for its message.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from kyvo.errors import CheckpointError
from kyvo.training.args import TrainArgs
from kyvo.training.distributed import placed_optimizer_state
from kyvo.training.lora import PeftArgs, trained_state

LOG = logging.getLogger(__name__)
_SHAPING = ("amsgrad", "centered", "momentum")  # settings by which an optimizer's state has another part
# What is stored as gradient_accumulation is this product: ranks may change where it stays.
LABELS = {"gradient_accumulation": "ranks x gradient_accumulation"}


def load_weights(
    model: nn.Module,
    auxiliary: nn.Module | None,
    state: Mapping[str, Any],
    *,
    peft: PeftArgs,
    base: str | None,
    where: Path,
) -> None:
    """Fills the model, or its adapters, and the auxiliary heads; `base` is the fingerprint of what is adapted."""
    if (state.get("peft") or None) != (vars(peft) if peft.adapts else None):
        raise CheckpointError(
            f"{where} was trained with peft {state.get('peft')}, this run has {vars(peft)}. "
            "Take the same settings, or another output_dir."
        )
    if state.get("base") != base:
        raise CheckpointError(
            f"{where} has adapters of other base weights. Set train.init_weights and train.seed as they were."
        )
    try:
        found = model.load_state_dict(state["model"], strict=not peft.adapts)
        if auxiliary is not None and state["auxiliary"] is not None:
            auxiliary.load_state_dict(state["auxiliary"])
    except RuntimeError as error:
        raise CheckpointError(f"{where} has weights of another model: {error}") from error
    missing = set(found.missing_keys) & set(trained_state(model))
    if missing or found.unexpected_keys:
        raise CheckpointError(
            f"{where} has weights of another model: {sorted(missing | set(found.unexpected_keys))[:8]}."
        )


def batch_facts(args: TrainArgs, *, samples: int, num_ranks: int, reads: bool) -> dict[str, Any]:
    """What a run's batches depend on. `reads`: its samples hold what auxiliary heads are trained on."""
    return {
        "samples": samples,
        "easy_steps": args.easy_steps,
        "batch_size": args.batch_size,
        "gradient_accumulation": args.gradient_accumulation * num_ranks,  # micro-batches a step
        "seed": args.seed,
        "reads": reads,
        "pack_tokens": args.pack_tokens,
    }


def check_batches(then: Mapping[str, Any], now: Mapping[str, Any], *, where: Path) -> None:
    """Both are of `batch_facts`: where they differ, a position among the batches means nothing."""
    then = {"pack_tokens": None, **then}  # older runs could not pack
    apart = [name for name in {**now, **then} if then.get(name) != now.get(name)]
    if apart:
        differences = ", ".join(f"{LABELS.get(name, name)} {then.get(name)} (now {now.get(name)})" for name in apart)
        raise CheckpointError(f"{where} was trained with {differences}. Take the same settings, or another output_dir.")


def load_optimizer(optimizer: Any, state: Mapping[str, Any], *, named: Sequence[str], where: Path) -> None:
    """Fills the optimizer; the settings `named` in the config are those of this run, and a change is logged."""
    groups = optimizer.param_groups
    then, now = state.get("optimizer_kind"), type(optimizer).__name__
    if then is None and state["optimizer"]["param_groups"][0].keys() != groups[0].keys():
        then = "another one"  # an older run, which did not say
    if then is not None and then != now:
        raise CheckpointError(
            f"{where} was trained with the optimizer {then}, this run has {now}, which cannot go on from that state. "
            "Take the same optimizer, or begin in another output_dir with train.init_weights at it."
        )
    asked = [{name: group[name] for name in named if name in group and name != "lr"} for group in groups]
    before = state["optimizer"].get("param_groups", ())  # MuonAdamW keeps two states, and none of these settings
    for old, new in zip(before, asked, strict=False):
        shaping = [name for name in _SHAPING if name in new and bool(old.get(name)) != bool(new[name])]
        if shaping and now != "SGD":  # which takes either
            raise CheckpointError(
                f"{where} was trained with optimizer.{shaping[0]} {old.get(shaping[0])}, this run has "
                f"{new[shaping[0]]}, which needs another state. Take the same settings, or another output_dir."
            )
    optimizer.load_state_dict(placed_optimizer_state(state["optimizer"], optimizer))
    for group, settings in zip(optimizer.param_groups, asked, strict=True):
        for name, value in settings.items():
            if group[name] != value:
                LOG.warning("optimizer.%s was %s in the run so far and is %s from here on", name, group[name], value)
        group.update(settings)

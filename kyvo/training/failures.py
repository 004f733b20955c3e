"""Failed training steps: samples whose loss or gradients are not finite, and GPUs out of memory."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from kyvo.errors import KyvoError
from kyvo.training.batch import Batch

LOG = logging.getLogger(__name__)
PATIENCE = 20  # steps in a row that may be skipped


class TrainingError(KyvoError):
    """A run that cannot go on; its last checkpoint is whole."""


class NotFiniteSteps:
    """Counts the steps whose loss or gradients are not finite, and ends a run that may not skip them."""

    def __init__(self, *, on_nan: str) -> None:
        self.on_nan = on_nan
        self.skipped = 0
        self.in_a_row = 0

    def count(self, step: int, finite: bool, samples: Callable[[], Sequence[str]]) -> None:
        """One more step.

        Args:
            samples: finds those that made the step not finite.

        Raises:
            TrainingError: the step is not finite and may not be skipped, or too many in a row were.
        """
        if finite:
            self.in_a_row = 0
            return
        self.in_a_row += 1
        self.skipped += 1
        message = describe_not_finite(step, samples())
        if self.on_nan == "stop" or self.in_a_row >= PATIENCE:
            raise TrainingError(message)
        LOG.warning("skipped %s", message)


def samples_not_finite(
    batch: Batch, loss_of: Callable[[Batch], Tensor], parameters: Sequence[nn.Parameter]
) -> list[str]:
    """The samples of a batch whose own loss or gradients are not finite. Leaves the gradients empty."""
    found = []
    rows = batch.positions // batch.ids.shape[1]
    for row in range(len(batch.ids)):
        # The others' labels are silenced and their tokens stay, so that shapes and padding are the failing step's.
        alone = replace(batch, weights=torch.where(rows == row, batch.weights, 0.0))
        loss = loss_of(alone)
        loss.backward()
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not loss.isfinite() or not all(bool(gradient.isfinite().all()) for gradient in gradients):
            found.append(row)
        for parameter in parameters:
            parameter.grad = None
    if batch.documents is not None or len(found) == len(batch.ids):  # rows are shared, or the weights are at fault
        return list(batch.samples)
    return [batch.samples[row] for row in found]


def describe_not_finite(step: int, names: Sequence[str]) -> str:
    shown = "; ".join(names[:8]) + (f"; and {len(names) - 8} more" if len(names) > 8 else "")
    return (
        f"step {step}: the loss or its gradients are not finite, for {shown or 'no sample alone'}. Look at these "
        "samples, lower the learning rate, or set train.on_nan=skip to leave such steps out."
    )


def describe_out_of_memory(*, batch_size: int, length: int, peak: int, pack_tokens: int | None) -> str:
    """What a step took and what to lower. `peak` is in bytes."""
    smaller = "train.pack_tokens and train.batch_size" if pack_tokens else "train.batch_size"
    return (
        f"out of memory with {batch_size} samples in rows of {length} tokens; the peak was {peak / 1e9:.1f} GB. Lower "
        f"{smaller} and raise train.gradient_accumulation by as much, set train.activation_checkpointing=true or "
        "train.precision=bf16, take peft.method=lora, or more GPUs. Then go on with train.resume=true."
    )

"""`Objective`: the losses of a batch, and the gradients of a step over its micro-batches and ranks."""

import itertools
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from kyvo.training.args import TrainArgs
from kyvo.training.auxiliary_heads import AuxiliaryHeads
from kyvo.training.batch import Batch
from kyvo.training.distributed import Ranks, clip_gradients
from kyvo.training.failures import TrainingError, describe_out_of_memory, samples_not_finite
from kyvo.training.loss import allowed_loss, labelled_loss
from kyvo.training.model import KyvoDecoder, attention_kernel


class Objective:
    """What a run minimises: the labels' cross-entropy, and the loss of the auxiliary heads where there are any."""

    def __init__(
        self,
        model: KyvoDecoder,
        auxiliary: AuxiliaryHeads | None,
        parameters: Sequence[nn.Parameter],
        *,
        args: TrainArgs,
        ranks: Ranks,
    ) -> None:
        self.model = model
        self.auxiliary = auxiliary
        self.parameters = parameters
        self.args = args
        self.ranks = ranks

    def loss(self, batch: Batch) -> Tensor:
        """sum(w CE) of a batch on its device."""
        return self.losses(batch)[0]

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """sum(w CE) of a batch on its device, and the loss of the auxiliary heads."""
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

    def gradients(self, micro_batches: Sequence[Batch]) -> dict[str, Tensor]:
        """The step's loss, sum(w CE) / sum(w) over all micro-batches of all ranks, its gradients, and their norm.

        Raises TrainingError where the device is out of memory.
        """
        ranks, device = self.ranks, self.ranks.device
        total_weight = ranks.sum(torch.stack([batch.weights.sum() for batch in micro_batches]).sum())
        loss, auxiliary_loss = torch.zeros(2, device=device)
        try:
            for batch in micro_batches:
                with attention_kernel(device):
                    part, auxiliary = self.losses(batch)
                    part = part / total_weight
                    # Ranks' gradients are averaged, but the loss is a sum over them.
                    whole = part * ranks.count
                    if auxiliary is not None:
                        auxiliary = auxiliary / len(micro_batches)
                        whole = whole + self.args.auxiliary_weight * auxiliary
                        auxiliary_loss += auxiliary.detach() / ranks.count
                    whole.backward()
                loss += part.detach()
        except torch.OutOfMemoryError as error:
            peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
            longest = max(batch.ids.shape[1] for batch in micro_batches)
            message = describe_out_of_memory(
                batch_size=self.args.batch_size, length=longest, peak=peak, pack_tokens=self.args.pack_tokens
            )
            raise TrainingError(message) from error
        metrics = {"loss": ranks.sum(loss), "grad_norm": clip_gradients(self.parameters, self.args.clip_grad_norm)}
        if self.auxiliary is not None:
            metrics["auxiliary_loss"] = ranks.sum(auxiliary_loss)
        return metrics

    def samples_not_finite(self, micro_batches: Sequence[Batch]) -> list[str]:
        """The samples of all ranks that made a step not finite; with several ranks, all of the step's samples."""
        found = [name for batch in micro_batches for name in batch.samples]
        if self.ranks.count == 1:
            searched = (samples_not_finite(batch, self.loss, self.parameters) for batch in micro_batches)
            found = list(itertools.chain.from_iterable(searched))
        return list(itertools.chain.from_iterable(self.ranks.collect(found)))

    def _autocast(self) -> Any:
        if self.args.precision == "bf16_mixed":
            return torch.autocast(self.ranks.device.type, torch.bfloat16)
        return nullcontext()

"""Several ranks: each takes every so-many-th micro-batch, and holds a share of every weight (FSDP2).

torchrun says by its environment variables how many there are; without it there is one, and nothing here does anything.
States are gathered before they are written and placed anew when they are read, so that a checkpoint is the same file
whatever the number of ranks, and a run goes on with another number.
https://arxiv.org/abs/2304.11277
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map

from kyvo.errors import ConfigError
from kyvo.training.model import KyvoDecoder


def num_ranks() -> int:
    """As torchrun says; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among its equals."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    def join(cls, device: str) -> "Ranks":
        """Meets the others, over NCCL on CUDA and gloo on a CPU. Raises ConfigError for CUDA without a GPU."""
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"train.device is {device!r}, but this torch sees no CUDA GPU. Set train.device=cpu.")
        rank, count = int(os.environ.get("RANK", 0)), num_ranks()
        if count > 1 and device == "cuda":
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(device)
        if count > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        return cls(rank=rank, count=count, device=torch.device(device))

    def leave(self) -> None:
        if self.count > 1:
            dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum over the ranks, on each of them."""
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def collect(self, value: Any) -> list[Any]:
        """Each rank's value, on each of them."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        if self.count > 1:
            dist.barrier()


def shard(model: KyvoDecoder, auxiliary: nn.Module | None, *, precision: str) -> None:
    """Gives each rank its share of each weight; a layer's are gathered while it runs.

    Embedding, last norm and head stay gathered from forward to backward: the loss needs the head outside of any
    module's forward.
    """
    policy = MixedPrecisionPolicy()
    if precision == "bf16_mixed":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in model.layers:
        fully_shard(layer, mp_policy=policy)
    fully_shard(model, mp_policy=policy, reshard_after_forward=False)
    register_fsdp_forward_method(model, "hidden_states")
    if auxiliary is not None:
        fully_shard(auxiliary)


def gathered(state: Any) -> Any:
    """The state with whole tensors, on the CPU. Every rank must call it."""

    def whole(value: Any) -> Any:
        if isinstance(value, DTensor):
            value = value.full_tensor()
        return value.detach().cpu() if isinstance(value, Tensor) else value

    return tree_map(whole, state)


def placed_optimizer_state(state: dict[str, Any], optimizer: Any) -> dict[str, Any]:
    """A gathered optimizer state with each tensor placed as its parameter is."""
    parts = getattr(optimizer, "parts", None)
    if parts is not None:
        return {name: placed_optimizer_state(state[name], part) for name, part in parts.items()}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries = {
        number: {name: placed(value, parameters[number]) for name, value in entry.items()}
        for number, entry in state["state"].items()
    }
    return {**state, "state": entries}


def placed(value: Any, parameter: Tensor) -> Any:
    """A whole tensor as `parameter` is placed; what is no tensor of its shape is left as it is."""
    if isinstance(parameter, DTensor) and isinstance(value, Tensor) and value.shape == parameter.shape:
        return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
    return value


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Scales the gradients down to `max_norm` together; returns their norm before."""
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm

"""Muon for the layers' matrices and AdamW for all else, behind the interface of one optimizer; groups of parameters.

Muon (https://kellerjordan.github.io/posts/muon) steps along the nearest orthogonal matrix of the momentum, so that rare
directions move as fast as common ones: associations, which a recognition model is made of, are learnt in fewer steps.
Embeddings, the head and norms are no such matrices and keep AdamW.

torch's Muon orthogonalises in bfloat16. A CPU without instructions for it takes many times as long as in float32, and
longer than all else of a step; there the same iteration runs in float32.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kyvo.devices import fastest_dtype
from kyvo.errors import ConfigError


class MuonAdamW:
    """The two optimizers in step. `param_groups` lists the groups of both, whose rates a recipe moves."""

    def __init__(
        self,
        groups: Sequence[dict[str, Any]],
        *,
        lr: float,
        adam_lr: float,
        betas: Sequence[float] = (0.9, 0.95),
        weight_decay: float = 0.0,
    ) -> None:
        """Raises ConfigError where torch has no Muon yet.

        Args:
            groups: the layers' matrices, and the others, as the recipe parts them.
            lr: Muon's peak rate, about ten times AdamW's.
            adam_lr: AdamW's.
            betas: AdamW's.
            weight_decay: of the matrices.
        """
        if not hasattr(torch.optim, "Muon"):
            raise ConfigError(
                f"optimizer: torch {torch.__version__} has no Muon, 2.9 has; update it or take torch.optim.AdamW."
            )
        matrices, others = groups
        self.parts = {
            "muon": torch.optim.Muon(matrices["params"], lr=lr, weight_decay=weight_decay),
            "adamw": torch.optim.AdamW(
                others["params"], lr=adam_lr, betas=(betas[0], betas[1]), weight_decay=0.0, fused=True
            ),
        }

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts.values() for group in part.param_groups]

    def step(self) -> None:
        muon, adamw = self.parts["muon"], self.parts["adamw"]
        device = next((entry.device.type for group in muon.param_groups for entry in group["params"]), "cpu")
        if fastest_dtype(device) == torch.float32:
            float32_step(muon)
        else:
            muon.step()
        adamw.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts.values():
            part.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


@torch.no_grad()
def float32_step(muon: torch.optim.Optimizer) -> None:
    """`torch.optim.Muon.step` with its orthogonalisation in float32; the state is the same."""
    for group in muon.param_groups:
        for entry in group["params"]:
            if entry.grad is None:
                continue
            momentum = muon.state[entry].setdefault("momentum_buffer", torch.zeros_like(entry.grad))
            momentum.lerp_(entry.grad, 1 - group["momentum"])
            update = entry.grad.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
            update = orthogonalised(
                update, coefficients=group["ns_coefficients"], steps=group["ns_steps"], eps=group["eps"]
            )
            rows, columns = entry.shape
            entry.mul_(1 - group["lr"] * group["weight_decay"])
            entry.add_(update, alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))


def orthogonalised(matrix: Tensor, *, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """A matrix with singular values near 1, by Newton and Schulz's iteration on its smaller side."""
    a, b, c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    found = matrix.float().T if is_tall else matrix.float()
    found = found / found.norm().clamp(min=eps)
    for _ in range(steps):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return (found.T if is_tall else found).to(matrix.dtype)


def decay_groups(model: torch.nn.Module, auxiliary: torch.nn.Module | None) -> list[dict[str, Any]]:
    """Weight decay only for the layers' matrices: it would pull rare embedding rows and norms to zero."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    matrices = [parameter for name, parameter in trained if name.startswith("layers.") and parameter.ndim == 2]
    others = [parameter for name, parameter in trained if not (name.startswith("layers.") and parameter.ndim == 2)]
    others += auxiliary.parameters() if auxiliary is not None else []
    return [{"params": matrices}, {"params": others, "weight_decay": 0.0}]

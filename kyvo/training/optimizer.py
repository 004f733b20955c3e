"""Muon for the layers' matrices and AdamW for all else, behind the interface of one optimizer.

Muon (https://kellerjordan.github.io/posts/muon) steps along the nearest orthogonal matrix of the momentum, so that rare
directions move as fast as common ones: associations, which a recognition model is made of, are learnt in fewer steps.
Embeddings, the head and norms are no such matrices and keep AdamW.
"""

from collections.abc import Sequence
from typing import Any

import torch

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
        for part in self.parts.values():
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts.values():
            part.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self.parts.items():
            part.load_state_dict(state[name])

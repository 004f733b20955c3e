"""`ConstraintLogits`: our constraint as transformers' `generate` takes it."""

import torch
from torch import Tensor
from transformers import LogitsProcessor

from kyvo.generation.constraint import Constraint


class ConstraintLogits(LogitsProcessor):
    """Removes what the constraint does not let come next. For one call of `generate`; beams are not followed.

    ```python
    model.generate(input_ids=prompts, logits_processor=[ConstraintLogits(constraint)], ...)
    ```
    Numbers are then the likeliest ones alone, as with `near=0` of our engine.
    """

    def __init__(self, constraint: Constraint) -> None:
        self.constraint = constraint
        self._states: list[int] = []  # of each row; moved on by its newest id
        self._masks: dict[int, Tensor] = {}

    # transformers asks for each parameter that is named here, `kwargs` too.
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._states:
            newest = input_ids[:, -1].tolist()
            self._states = [self._step(state, token) for state, token in zip(self._states, newest, strict=True)]
        else:
            self._states = [self.constraint.START] * len(scores)
        mask = torch.stack([self._mask(state, scores) for state in self._states])
        return scores.masked_fill(mask, -torch.inf)

    def _step(self, state: int, token: int) -> int:
        return state if state == self.constraint.end else self.constraint.step(state, token)

    def _mask(self, state: int, scores: Tensor) -> Tensor:
        """True where an id may not come; a finished row is padded by `generate` whatever its scores."""
        if state not in self._masks:
            mask = torch.full((scores.shape[1],), state != self.constraint.end, device=scores.device)
            mask[torch.from_numpy(self.constraint.allowed(state)).to(scores.device)] = False
            self._masks[state] = mask
        return self._masks[state]

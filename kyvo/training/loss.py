"""The loss looks only where there is a label: sum(w CE) / sum(w), without logits for any other position.

Of a recognition sequence two fifths have labels, and with 137,607 words the head is most of a small model's step.
Hidden states are gathered first; head and cross-entropy then run on them in chunks. A chunk's gradients are computed
while its logits are at hand, so logits are neither kept nor computed twice (the idea of
https://arxiv.org/abs/2411.09009 in plain torch).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Entries of the largest logits. On a CPU 8 MB in fp32, to stay in its cache: a chunk is passed over eight times.
CHUNK_LOGITS = {"cpu": 1 << 21, "cuda": 1 << 25}


def labelled_loss(
    hidden: Float[Tensor, "batch seq dim"],
    head: Float[Tensor, "vocab dim"],
    positions: Int[Tensor, " labels"],
    targets: Int[Tensor, " labels"],
    weights: Float[Tensor, " labels"],
    *,
    frozen: Float[Tensor, "first dim"] | None = None,
    chunk_logits: int | None = None,
) -> Float[Tensor, ""]:
    """sum(w CE) over the labelled tokens, in fp32; divide by the step's sum(w).

    Args:
        hidden: normalised states before the head.
        head: its weight, or the rows of it after the frozen ones.
        positions: flat indices into batch x seq of the states that predict a label, that is one before it.
        targets: the labels.
        weights: of each label; 0 for padding.
        frozen: the head's first rows, where these get no gradient.
        chunk_logits: most logits that exist at a time; None: what suits the device.
    """
    picked = hidden.flatten(0, 1).index_select(0, positions)
    num_rows = len(head) + (0 if frozen is None else len(frozen))
    chunk = max(1, (chunk_logits or CHUNK_LOGITS[hidden.device.type]) // num_rows)
    # What autocast would multiply in; backward runs outside it, so the choice is made here.
    dtype = (
        torch.get_autocast_dtype(hidden.device.type) if torch.is_autocast_enabled(hidden.device.type) else picked.dtype
    )
    return _HeadLoss.apply(picked.to(dtype), head, frozen, targets, weights, chunk)  # type: ignore[no-any-return]


class _HeadLoss(torch.autograd.Function):
    """Forward computes the gradients too; backward scales them by the incoming one."""

    @staticmethod
    def forward(ctx, hidden, head, frozen, targets, weights, chunk):  # type: ignore[no-untyped-def]
        wants_hidden, wants_head = ctx.needs_input_grad[:2]
        matrix = head.to(hidden.dtype)
        num_frozen = 0
        if frozen is not None:
            num_frozen = len(frozen)
            matrix = torch.cat([frozen.to(hidden.dtype), matrix])
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_head = torch.zeros_like(head, dtype=torch.float32) if wants_head else None
        for start in range(0, len(hidden), chunk):
            part = slice(start, start + chunk)
            label, weight = targets[part, None], weights[part]
            logits = (hidden[part] @ matrix.T).float()
            shift = logits.logsumexp(-1, keepdim=True)
            total += ((shift - logits.gather(1, label))[:, 0] * weight).sum()
            if not (wants_hidden or wants_head):
                continue
            grad = logits.sub_(shift).exp_()  # d CE / d logits = softmax - one-hot
            grad.scatter_add_(1, label, torch.full_like(shift, -1.0))
            grad = grad.mul_(weight[:, None]).to(hidden.dtype)
            if grad_hidden is not None:
                grad_hidden[part] = grad @ matrix
            if grad_head is not None:
                grad_head += grad[:, num_frozen:].T @ hidden[part]
        ctx.grads = grad_hidden, grad_head
        ctx.head_dtype = head.dtype
        return total

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        grad_hidden, grad_head = ctx.grads
        del ctx.grads  # scaled in place: the head's is as large as the head, and backward runs once
        return (
            None if grad_hidden is None else grad_hidden.mul_(grad.to(grad_hidden.dtype)),
            None if grad_head is None else grad_head.mul_(grad).to(ctx.head_dtype),
            None,
            None,
            None,
            None,
        )

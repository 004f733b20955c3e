"""The loss looks only where there is a label: sum(w CE) / sum(w), without logits for any other position.

`allowed_loss` looks only at the ids that a label may be, too (`kyvo.training.allowed`): a softmax over codes, or over
numbers. That is all that decoding under a constraint ever asks, and the head's other rows are not touched.
`labelled_loss` is the softmax over the whole vocabulary, for models that are to write without a constraint.

Of a recognition sequence two fifths have labels, and with 137,607 words the head is most of a small model's step.
Hidden states are gathered first; head and cross-entropy then run on them in chunks. A chunk's gradients are computed
while its logits are at hand, so logits are neither kept nor computed twice (the idea of
https://arxiv.org/abs/2411.09009 in plain torch).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kyvo.training.allowed import Group

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
    return _HeadLoss.apply(picked.to(_product_dtype(picked)), head, frozen, targets, weights, chunk)  # type: ignore[no-any-return]


def allowed_loss(
    hidden: Float[Tensor, "batch seq dim"],
    head: Float[Tensor, "vocab dim"],
    positions: Int[Tensor, " labels"],
    groups: Sequence[Group],
    weights: Float[Tensor, " labels"],
    *,
    frozen: Float[Tensor, "first dim"] | None = None,
    chunk_logits: int | None = None,
) -> Float[Tensor, ""]:
    """sum(w CE) over the labelled tokens, each among the ids of its group, in fp32. Arguments as of `labelled_loss`."""
    picked = hidden.flatten(0, 1).index_select(0, positions)
    limit = chunk_logits or CHUNK_LOGITS[hidden.device.type]
    return _AllowedLoss.apply(picked.to(_product_dtype(picked)), head, frozen, groups, weights, limit)  # type: ignore[no-any-return]


def _product_dtype(picked: Tensor) -> torch.dtype:
    """What autocast would multiply in; backward runs outside it, so the choice is made in forward."""
    kind = picked.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else picked.dtype


class _AllowedLoss(torch.autograd.Function):
    """Group by group, each in chunks. Forward computes the gradients too; backward scales them by the incoming one."""

    @staticmethod
    def forward(ctx, hidden, head, frozen, groups, weights, limit):  # type: ignore[no-untyped-def]
        wants_hidden, wants_head = ctx.needs_input_grad[:2]
        num_frozen = 0 if frozen is None else len(frozen)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.zeros_like(hidden) if wants_hidden else None
        grad_head = torch.zeros_like(head, dtype=torch.float32) if wants_head else None
        for group in groups:
            matrix, trained = _rows_of(head, frozen, group, num_frozen)
            matrix = matrix.to(hidden.dtype)
            grad_rows = torch.zeros(matrix.shape, device=hidden.device) if wants_head else None
            chunk = max(1, limit // len(matrix))
            for start in range(0, len(group.members), chunk):
                members, label = group.members[start : start + chunk], group.targets[start : start + chunk, None]
                states, weight = hidden.index_select(0, members), weights[members]
                loss, grad = _cross_entropy(states @ matrix.T, label, weight, with_gradient=wants_hidden or wants_head)
                total += loss
                if grad is None:
                    continue
                if grad_hidden is not None:
                    grad_hidden[members] = grad @ matrix
                if grad_rows is not None:
                    grad_rows += grad.T @ states
            if grad_head is not None and grad_rows is not None:
                indices, rows = trained
                if isinstance(indices, slice):
                    grad_head[indices] += grad_rows[rows]
                else:
                    grad_head.index_add_(0, indices, grad_rows[rows])
        ctx.grads = grad_hidden, grad_head
        ctx.head_dtype = head.dtype
        return total

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return (*_scaled(ctx, grad), None, None, None, None)


def _rows_of(head: Tensor, frozen: Tensor | None, group: Group, num_frozen: int) -> tuple[Tensor, tuple]:
    """The rows of a group's ids; and of those that are trained, their indices in `head` and among the group's."""
    if frozen is None or int(group.ids[0]) >= num_frozen:
        rows = group.rows
        if isinstance(rows, slice):
            indices = slice(rows.start - num_frozen, rows.stop - num_frozen)
            return head[indices], (indices, slice(None))
        return head.index_select(0, rows - num_frozen), (rows - num_frozen, slice(None))
    first = int((group.ids < num_frozen).sum())
    fixed, moved = group.ids[:first], group.ids[first:] - num_frozen
    matrix = torch.cat([frozen.index_select(0, fixed).to(head.dtype), head.index_select(0, moved)])
    return matrix, (moved, slice(first, None))


def _cross_entropy(
    products: Tensor, label: Tensor, weight: Tensor, *, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """sum(w CE) of a chunk's logits [N, ids] in fp32, and its gradient by them in their own dtype."""
    logits = products.float()
    shift = logits.logsumexp(-1, keepdim=True)
    loss = ((shift - logits.gather(1, label))[:, 0] * weight).sum()
    if not with_gradient:
        return loss, None
    grad = logits.sub_(shift).exp_()  # d CE / d logits = softmax - one-hot
    grad.scatter_add_(1, label, torch.full_like(shift, -1.0))
    return loss, grad.mul_(weight[:, None]).to(products.dtype)


def _scaled(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[no-untyped-def]
    """The gradients that forward has kept, times the incoming one."""
    grad_hidden, grad_head = ctx.grads
    del ctx.grads  # scaled in place: the head's is as large as the head, and backward runs once
    return (
        None if grad_hidden is None else grad_hidden.mul_(grad.to(grad_hidden.dtype)),
        None if grad_head is None else grad_head.mul_(grad).to(ctx.head_dtype),
    )


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
            loss, grad = _cross_entropy(
                hidden[part] @ matrix.T, label, weight, with_gradient=wants_hidden or wants_head
            )
            total += loss
            if grad is None:
                continue
            if grad_hidden is not None:
                grad_hidden[part] = grad @ matrix
            if grad_head is not None:
                grad_head += grad[:, num_frozen:].T @ hidden[part]
        ctx.grads = grad_hidden, grad_head
        ctx.head_dtype = head.dtype
        return total

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return (*_scaled(ctx, grad), None, None, None, None)

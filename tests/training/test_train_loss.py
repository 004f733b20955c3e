import pytest
import torch
import torch.nn.functional as F

from kyvo.training.loss import labelled_loss

BATCH, SEQ, DIM, VOCAB = 3, 20, 16, 101


def problem(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(BATCH, SEQ, DIM, generator=generator).to(dtype).requires_grad_()
    head = (torch.randn(VOCAB, DIM, generator=generator) * 0.5).to(dtype).requires_grad_()
    labels = torch.randint(VOCAB, (BATCH, SEQ), generator=generator)
    labels[torch.rand(BATCH, SEQ, generator=generator) < 0.6] = -100
    labels[:, 0] = -100
    weights = torch.rand(BATCH, SEQ, generator=generator) * (labels != -100)
    return hidden, head, labels, weights


def naive(hidden, head, labels, weights):
    """Logits everywhere, shifted as every textbook does it."""
    logits = (hidden @ head.T).float()[:, :-1]
    losses = F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="none")
    return (losses * weights[:, 1:].flatten()).sum() / weights.sum()


def ours(hidden, head, labels, weights, **settings):
    places = (labels.flatten() != -100).nonzero()[:, 0]
    total = labelled_loss(hidden, head, places - 1, labels.flatten()[places], weights.flatten()[places], **settings)
    return total / weights.sum()


@pytest.mark.parametrize("chunk_logits", [1, 7 * VOCAB, 10**9])
def test_value_and_gradients_are_those_of_the_plain_loss(chunk_logits):
    hidden, head, labels, weights = problem()
    expected = naive(hidden, head, labels, weights)
    expected_grads = torch.autograd.grad(expected, (hidden, head))
    loss = ours(hidden, head, labels, weights, chunk_logits=chunk_logits)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, (hidden, head)), expected_grads)


def test_bf16_states_give_nearly_the_fp32_loss():
    hidden, head, labels, weights = problem(torch.bfloat16)
    exact = naive(hidden.float(), head.float(), labels, weights)
    torch.testing.assert_close(ours(hidden, head, labels, weights), exact, rtol=5e-3, atol=0)


def test_autocast_multiplies_in_bf16_and_keeps_the_head_gradient_fp32():
    hidden, head, labels, weights = problem()
    with torch.autocast("cpu", torch.bfloat16):
        loss = ours(hidden, head, labels, weights)
    loss.backward()
    assert head.grad.dtype == torch.float32 and hidden.grad.dtype == torch.float32
    assert loss != naive(hidden, head, labels, weights)  # so bf16 was used
    torch.testing.assert_close(loss, naive(hidden, head, labels, weights), rtol=1e-2, atol=0)


def test_weights_scale_their_labels_and_zero_silences_them():
    hidden, head, labels, weights = problem()
    silent = weights.clone()
    silent[1] = 0
    changed = labels.clone()
    changed[1][changed[1] != -100] = 5
    assert ours(hidden, head, labels, silent) == ours(hidden, head, changed, silent)
    assert ours(hidden, head, labels, weights) != ours(hidden, head, labels, silent)


def test_micro_batches_add_up_to_the_whole_batch():
    hidden, head, labels, weights = problem()
    whole = torch.autograd.grad(ours(hidden, head, labels, weights), head)[0]
    parts = torch.zeros_like(head)
    for row in range(BATCH):
        part = ours(hidden[row : row + 1], head, labels[row : row + 1], weights[row : row + 1])
        share = weights[row].sum() / weights.sum()
        parts += torch.autograd.grad(part * share, head)[0]
    torch.testing.assert_close(parts, whole)


def test_rows_that_are_frozen_take_part_and_get_no_gradient():
    hidden, head, labels, weights = problem()
    whole = ours(hidden, head, labels, weights)
    expected = torch.autograd.grad(whole, (hidden, head))
    rest = head[40:].detach().requires_grad_()
    parted = ours(hidden, rest, labels, weights, frozen=head[:40].detach(), chunk_logits=7 * VOCAB)
    torch.testing.assert_close(parted, whole)
    of_hidden, of_rest = torch.autograd.grad(parted, (hidden, rest))
    torch.testing.assert_close(of_hidden, expected[0])
    torch.testing.assert_close(of_rest, expected[1][40:])

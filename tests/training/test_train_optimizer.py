import pytest
import torch

from kyvo.errors import CheckpointError, ConfigError
from kyvo.training.optimizer import MuonAdamW, float32_step
from kyvo.training.resume import load_optimizer


def parameters():
    torch.manual_seed(0)
    return torch.nn.Parameter(torch.randn(6, 4)), torch.nn.Parameter(torch.randn(5))


def optimizer(matrix, vector):
    return MuonAdamW([{"params": [matrix]}, {"params": [vector], "weight_decay": 0.0}], lr=0.02, adam_lr=1e-3)


def test_matrices_move_along_an_orthogonal_step_and_others_as_adam_moves_them():
    matrix, vector = parameters()
    before_matrix, before_vector = matrix.detach().clone(), vector.detach().clone()
    both = optimizer(matrix, vector)
    matrix.grad = torch.diag(torch.tensor([9.0, 3.0, 1.0, 0.3]))[[0, 1, 2, 3, 3, 3]]
    vector.grad = torch.full((5,), 3.0)
    both.step()
    singular = torch.linalg.svdvals(matrix.detach() - before_matrix)
    assert singular.max() < 2 * singular.min()  # all directions nearly alike, where the gradient's are 1 to 17
    torch.testing.assert_close(vector.detach() - before_vector, torch.full((5,), -1e-3), atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_orthogonalising_in_float32_takes_torchs_step(shape):
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), torch.randn(3, *shape)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    settings = {"lr": 0.02, "weight_decay": 0.05}
    first, second = torch.optim.Muon([ours], **settings), torch.optim.Muon([theirs], **settings)
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        float32_step(first)
        second.step()
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)  # bfloat16 has eight bits
    assert not torch.equal(ours, start)
    torch.testing.assert_close(first.state[ours]["momentum_buffer"], second.state[theirs]["momentum_buffer"])


def test_the_rates_of_both_are_moved_through_the_groups():
    matrix, vector = parameters()
    both = optimizer(matrix, vector)
    assert [group["lr"] for group in both.param_groups] == [0.02, 1e-3]
    for group in both.param_groups:
        group["lr"] = 0.0
    before = matrix.detach().clone()
    matrix.grad, vector.grad = torch.ones(6, 4), torch.ones(5)
    both.step()
    assert torch.equal(matrix.detach(), before)


def test_a_restored_state_goes_on_as_if_never_left():
    (one, one_rest), (other, other_rest) = parameters(), parameters()
    first, second = optimizer(one, one_rest), optimizer(other, other_rest)

    def step(optimizer, matrix, vector, seed):
        gradient = torch.Generator().manual_seed(seed)
        matrix.grad, vector.grad = torch.randn(6, 4, generator=gradient), torch.randn(5, generator=gradient)
        optimizer.step()

    step(first, one, one_rest, 1)
    step(second, other, other_rest, 1)
    third = optimizer(other, other_rest)
    third.load_state_dict(second.state_dict())
    step(first, one, one_rest, 2)
    step(third, other, other_rest, 2)
    assert torch.equal(one, other) and torch.equal(one_rest, other_rest)


def test_a_torch_without_muon_is_told_of(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ConfigError, match=r"has no Muon.*take torch\.optim\.AdamW"):
        optimizer(*parameters())


def test_a_setting_by_which_the_state_has_another_part_is_refused(tmp_path):
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    first = torch.optim.AdamW([parameter])
    first.step()
    second = torch.optim.AdamW([parameter], amsgrad=True)
    state = {"optimizer": first.state_dict(), "optimizer_kind": "AdamW"}
    with pytest.raises(CheckpointError, match=r"optimizer\.amsgrad False, this run has True"):
        load_optimizer(second, state, named=["amsgrad"], where=tmp_path)


def test_a_training_by_both_goes_on_from_its_state(tmp_path):
    steps = []
    for stopped in (False, True):
        matrix, vector = parameters()
        both = optimizer(matrix, vector)
        for _ in range(2):
            matrix.grad, vector.grad = matrix.detach().sin(), vector.detach().cos()
            both.step()
            if stopped:
                state = {"optimizer": both.state_dict(), "optimizer_kind": "MuonAdamW"}
                both = optimizer(matrix, vector)
                load_optimizer(both, state, named=["lr", "adam_lr"], where=tmp_path)
        steps.append((matrix.detach(), vector.detach()))
    torch.testing.assert_close(steps[0], steps[1], rtol=0, atol=0)

"""The planner reads each text alone, and comes back as it was saved."""

import torch

from kyvo.models.heads.planner import MAX_IDS, load_planner, save_planner
from kyvo.testing import tiny_planner


def flat(told) -> list[torch.Tensor]:
    return [told.operation, told.about, told.of, told.way, *told.words]


def test_what_is_beside_a_text_in_the_batch_is_not_seen():
    planner, states = tiny_planner(dim=24), torch.randn(2, MAX_IDS + 9, 24)
    valid = torch.arange(states.shape[1]) < torch.tensor([[5], [MAX_IDS + 9]])
    together = planner(states, valid)
    for row, length in enumerate((5, MAX_IDS + 9)):
        alone = planner(states[row : row + 1, :length], valid[row : row + 1, :length])
        for one, other in zip(flat(alone), flat(together), strict=True):
            torch.testing.assert_close(one[0], other[row], rtol=0, atol=1e-5)


def test_the_order_of_a_text_counts():
    planner, states = tiny_planner(dim=24), torch.randn(1, 6, 24)
    valid = torch.ones(1, 6, dtype=torch.bool)
    swapped = states[:, [1, 0, 2, 3, 4, 5]]
    assert not torch.allclose(planner(states, valid).way, planner(swapped, valid).way, atol=1e-4)


def test_it_comes_back_as_it_was_saved(tmp_path):
    planner, states, valid = tiny_planner(dim=24), torch.randn(3, 4, 24), torch.ones(3, 4, dtype=torch.bool)
    save_planner(tmp_path, planner)
    loaded = load_planner(tmp_path)
    assert loaded.config == planner.config
    for one, other in zip(flat(loaded(states, valid)), flat(planner(states, valid)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0.1)  # bfloat16
    assert load_planner(tmp_path / "elsewhere") is None

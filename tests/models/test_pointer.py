import torch

from kyvo.models.heads.pointer import Pointer, early_depth, load_pointer, save_pointer


def test_a_pointer_comes_back_as_it_was_saved(tmp_path):
    torch.manual_seed(0)
    pointer, states = Pointer(24, 5), torch.randn(3, 24)
    save_pointer(tmp_path, pointer.state_dict())
    torch.testing.assert_close(load_pointer(tmp_path)(states), pointer(states), rtol=0, atol=0)
    assert load_pointer(tmp_path / "elsewhere") is None


def test_early_is_a_quarter_of_the_layers():
    assert [early_depth(count) for count in (2, 8, 16, 28)] == [2, 2, 4, 7]

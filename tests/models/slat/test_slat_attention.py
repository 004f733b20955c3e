"""Grouped attention equals attention over all tokens under a mask of who shares a window."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import ConfigError
from kyvo.models.slat.attention import (
    PADDING_STEP,
    SparseAttention,
    cube_windows,
    group_windows,
    grouped_attention,
    object_windows,
)
from kyvo.models.slat.sparse import SparseTensor, Voxels


def some_voxels(seed: int, *, side: int = 12, share: float = 0.1) -> Voxels:
    """More cells on one side than on the other, so that windows differ in length."""
    generator = torch.Generator().manual_seed(seed)
    dense = torch.rand(2, side, side, side, generator=generator) < share * torch.arange(side) / 4
    coords = dense.nonzero()
    return Voxels(coords=coords[torch.randperm(len(coords), generator=generator)], resolution=side, batch_size=2)


def masked_attention(qkv: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    query, key, value = qkv.permute(1, 2, 0, 3)  # heads tokens width
    scores = query @ key.mT / query.shape[-1] ** 0.5
    scores = scores.masked_fill(window[:, None] != window, -torch.inf)
    return (scores.softmax(-1) @ value).transpose(0, 1)


@pytest.mark.parametrize("shift", [0, 2, None])
def test_attention_in_windows_is_masked_attention_over_all_tokens(shift):
    voxels = some_voxels(0)
    batch, *cells = voxels.coords.T.tolist()
    if shift is None:
        groups, names = object_windows(voxels), batch
    else:
        groups = cube_windows(voxels, 4, shift)
        names = [
            (b, *((c + shift) // 4 for c in cell)) for b, cell in zip(batch, zip(*cells, strict=True), strict=True)
        ]
    window = torch.tensor([sorted(set(names)).index(name) for name in names])
    generator = torch.Generator().manual_seed(1)
    qkv = torch.randn(len(voxels), 3, 2, 5, generator=generator, dtype=torch.float64).requires_grad_()

    out, expected = grouped_attention(qkv, groups), masked_attention(qkv, window)
    torch.testing.assert_close(out, expected)
    upstream = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    found, wanted = (torch.autograd.grad(one, qkv, upstream)[0] for one in (out, expected))
    torch.testing.assert_close(found, wanted)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(0, 99))
def test_every_token_stands_once_in_its_window_and_little_is_padded(lengths, seed):
    window = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    window = window[torch.randperm(len(window), generator=torch.Generator().manual_seed(seed))]
    seen = []
    for group in group_windows(window):
        is_token = torch.ones_like(group.rows, dtype=torch.bool) if group.is_token is None else group.is_token
        for rows, real in zip(group.rows, is_token, strict=True):
            assert window[rows[real]].unique().numel() == 1
            assert len(rows) <= PADDING_STEP * real.sum()
            seen += rows[real].tolist()
    assert sorted(seen) == list(range(len(window)))


def test_no_tokens_are_no_groups():
    assert group_windows(torch.empty(0, dtype=torch.long)) == ()


def test_a_shift_moves_the_windows_and_does_not_wrap():
    coords = torch.tensor([[0, 0, 0, 0], [0, 3, 0, 0], [0, 4, 0, 0], [0, 11, 0, 0]])
    voxels = Voxels(coords=coords, resolution=12, batch_size=1)

    def together(shift):
        groups = cube_windows(voxels, 4, shift)
        return {frozenset(coords[row, 1].item() for row in rows.tolist()) for group in groups for rows in group.rows}

    assert together(0) == {frozenset({0, 3}), frozenset({4}), frozenset({11})}
    assert together(2) == {frozenset({0}), frozenset({3, 4}), frozenset({11})}


def test_the_layer_projects_to_queries_keys_and_values_in_this_order():
    torch.manual_seed(0)
    voxels = some_voxels(2, side=4, share=0.5)
    layer = SparseAttention(6, num_heads=2, window_size=None).double()
    x = SparseTensor(voxels=voxels, feats=torch.randn(len(voxels), 6, dtype=torch.float64))
    query, key, value = (
        F.linear(x.feats, *rows) for rows in zip(layer.to_qkv.weight.chunk(3), layer.to_qkv.bias.chunk(3), strict=True)
    )
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        scores = query[:, head] @ key[:, head].T / 3**0.5
        scores[voxels.coords[:, :1] != voxels.coords[:, 0]] = -torch.inf
        heads.append(scores.softmax(1) @ value[:, head])
    torch.testing.assert_close(layer(x).feats, layer.to_out(torch.cat(heads, 1)))


def test_channels_that_do_not_divide_into_heads_are_refused():
    with pytest.raises(ConfigError, match="10 channels do not divide into 4 heads"):
        SparseAttention(10, num_heads=4, window_size=8)

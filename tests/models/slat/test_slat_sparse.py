"""Sparse convolutions, norms and resampling equal their dense twins, gradients too."""

import pytest
import torch
import torch.nn.functional as F

from kyvo.errors import ConfigError
from kyvo.models.slat import sparse
from kyvo.models.slat.sparse import SparseTensor, Voxels

SIDE = 6


def some_voxels(seed: int, *, batch_size: int = 2, share: float = 0.3, side: int = SIDE) -> Voxels:
    """A random set of cells in random order, some on every face of the grid."""
    generator = torch.Generator().manual_seed(seed)
    coords = (torch.rand(batch_size, side, side, side, generator=generator) < share).nonzero()
    coords = coords[torch.randperm(len(coords), generator=generator)]
    return Voxels(coords=coords, resolution=side, batch_size=batch_size)


def some_features(voxels: Voxels, channels: int, seed: int = 0) -> SparseTensor:
    generator = torch.Generator().manual_seed(seed)
    feats = torch.randn(len(voxels), channels, generator=generator, dtype=torch.float64)
    return SparseTensor(voxels=voxels, feats=feats.requires_grad_())


def at(voxels: Voxels, grid: torch.Tensor) -> torch.Tensor:
    """Rows of a dense [B, C, X, Y, Z] at the cells."""
    return grid.permute(0, 2, 3, 4, 1)[tuple(voxels.coords.T)]


def weights(out_channels: int, size: int, in_channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(9)
    weight = torch.randn(out_channels, size, size, size, in_channels, generator=generator, dtype=torch.float64)
    bias = torch.randn(out_channels, generator=generator, dtype=torch.float64)
    return weight.requires_grad_(), bias.requires_grad_()


def same_gradients(sparse_out, dense_out, inputs) -> None:
    generator = torch.Generator().manual_seed(3)
    upstream = torch.randn(sparse_out.shape, generator=generator, dtype=torch.float64)
    found = torch.autograd.grad(sparse_out, inputs, upstream)
    expected = torch.autograd.grad(dense_out, inputs, upstream)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_submanifold_convolution_is_the_dense_one_at_the_active_cells(size):
    x = some_features(some_voxels(1), 3)
    weight, bias = weights(4, size, 3)
    out = sparse.submanifold_convolution(x, weight, bias)
    dense = at(x.voxels, F.conv3d(x.dense(), weight.permute(0, 4, 1, 2, 3), bias, padding=size // 2))
    torch.testing.assert_close(out.feats, dense)
    same_gradients(out.feats, dense, (x.feats, weight, bias))


@pytest.mark.parametrize(("size", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 3, 2)])
def test_a_strided_convolution_is_the_dense_one_wherever_its_window_holds_a_cell(size, stride, padding):
    x = some_features(some_voxels(2, share=0.05), 3)
    weight, bias = weights(4, size, 3)
    out = sparse.strided_convolution(x, weight, bias, stride=stride, padding=padding)
    settings = {"stride": stride, "padding": padding}
    grid = F.conv3d(x.dense(), weight.permute(0, 4, 1, 2, 3), bias, **settings)
    occupied = F.conv3d((x.replace(torch.ones(len(x.voxels), 1))).dense(), torch.ones(1, 1, *[size] * 3), **settings)
    assert torch.equal(out.voxels.coords, (occupied[:, 0] > 0).nonzero())
    assert out.voxels.resolution == grid.shape[-1]
    torch.testing.assert_close(out.feats, at(out.voxels, grid))
    same_gradients(out.feats, at(out.voxels, grid), (x.feats, weight, bias))


def test_the_gradient_of_the_convolution_passes_gradcheck():
    voxels = some_voxels(3, batch_size=1, share=0.2, side=3)
    kernel_map = sparse.submanifold_map(voxels, 3)
    weight = weights(2, 3, 2)[0].detach().flatten(1, 3).permute(1, 2, 0).contiguous().requires_grad_()
    feats = some_features(voxels, 2).feats

    def convolve(feats, weight):
        return sparse._GatherMatmulScatter.apply(feats, weight, kernel_map)

    assert torch.autograd.gradcheck(convolve, (feats, weight))


def test_objects_of_a_batch_do_not_touch_each_other():
    one, other = some_features(some_voxels(4), 3), some_features(some_voxels(4), 3, seed=5)
    first = one.voxels.coords[:, 0] == 0
    mixed = one.replace(torch.where(first[:, None], one.feats, other.feats))
    weight, bias = weights(4, 3, 3)
    outs = [sparse.submanifold_convolution(x, weight, bias).feats for x in (one, mixed)]
    assert torch.equal(outs[0][first], outs[1][first])
    assert not torch.allclose(outs[0][~first], outs[1][~first])


def test_no_cells_give_no_cells():
    voxels = Voxels(coords=torch.empty(0, 4, dtype=torch.long), resolution=4, batch_size=1)
    x = SparseTensor(voxels=voxels, feats=torch.empty(0, 3, dtype=torch.float64))
    assert sparse.submanifold_convolution(x, *weights(4, 3, 3)).feats.shape == (0, 4)


def test_an_even_kernel_cannot_keep_its_cells():
    with pytest.raises(ConfigError, match=r"kernel_size is 2; .* needs an odd one"):
        sparse.submanifold_convolution(some_features(some_voxels(1), 3), *weights(4, 2, 3))


def test_subdividing_puts_each_cell_into_its_eight_halves():
    x = some_features(some_voxels(5), 2)
    fine = sparse.subdivide(x)
    expected = x.dense().repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    torch.testing.assert_close(fine.dense(), expected)
    assert fine.voxels.coords[8 * 7 + 6, 1:].tolist() == (2 * x.voxels.coords[7, 1:] + torch.tensor([1, 1, 0])).tolist()


def test_downsampling_is_the_mean_of_the_active_cells_of_a_block():
    x = some_features(some_voxels(6), 2)
    coarse = sparse.downsample(x, 2)
    count = F.avg_pool3d(x.replace(torch.ones(len(x.voxels), 1, dtype=torch.float64)).dense(), 2)
    expected = at(coarse.voxels, F.avg_pool3d(x.dense(), 2) / count)
    torch.testing.assert_close(coarse.feats, expected)


def test_upsampling_gives_each_cell_its_blocks_features_and_downsampling_undoes_it():
    x = some_features(some_voxels(7), 2)
    coarse = sparse.downsample(x, 2)
    fine = sparse.upsample(coarse, x.voxels, 2)
    torch.testing.assert_close(sparse.downsample(fine, 2).feats, coarse.feats)
    row = 11
    block = (coarse.voxels.coords[:, 1:] == x.voxels.coords[row, 1:] // 2).all(1)
    block &= coarse.voxels.coords[:, 0] == x.voxels.coords[row, 0]
    torch.testing.assert_close(fine.feats[row], coarse.feats[block][0])


def test_upsampling_to_other_cells_is_refused():
    x = some_features(some_voxels(8, share=0.1), 2)
    with pytest.raises(ConfigError, match="give the cells that were downsampled"):
        sparse.upsample(sparse.downsample(x, 2), some_voxels(9, share=0.02), 2)


def test_group_norm_is_torchs_over_the_cells_of_each_object():
    x = some_features(some_voxels(10), 6)
    weight, bias = torch.randn(6, generator=torch.Generator().manual_seed(1)), torch.arange(6.0)
    out = sparse.group_norm(x, weight, bias, num_groups=3)
    for index in range(2):
        rows = x.voxels.coords[:, 0] == index
        expected = F.group_norm(x.feats[rows].float().T[None], 3, weight, bias)[0].T
        torch.testing.assert_close(out.feats[rows].float(), expected)


def test_neighbours_are_looked_up_once_for_a_set_of_cells():
    voxels = some_voxels(11)
    assert sparse.submanifold_map(voxels, 3) is sparse.submanifold_map(voxels, 3)
    assert voxels.subdivide() is voxels.subdivide()


def test_spconv_that_is_not_installed_is_named():
    if sparse.use_spconv(torch.device("cuda"), "auto"):
        pytest.skip("spconv is installed")
    with pytest.raises(ImportError, match=r"pip install 'kyvo\[spconv\]'"):
        sparse.submanifold_convolution(some_features(some_voxels(1), 3), *weights(4, 3, 3), backend="spconv")


@pytest.mark.gpu
def test_spconv_computes_the_same_on_cuda():
    pytest.importorskip("spconv")
    x = some_features(some_voxels(12, side=16), 16)
    weight, bias = (part.detach().float().cuda().requires_grad_() for part in weights(32, 3, 16))
    voxels = Voxels(coords=x.voxels.coords.cuda(), resolution=16, batch_size=2)
    feats = x.feats.detach().float().cuda().requires_grad_()
    moved = SparseTensor(voxels=voxels, feats=feats)
    outs = [
        sparse.submanifold_convolution(moved, weight, bias, backend=backend).feats for backend in ("torch", "spconv")
    ]
    torch.testing.assert_close(outs[0], outs[1], rtol=1e-3, atol=1e-3)
    grads = [torch.autograd.grad(out.square().sum(), (feats, weight, bias)) for out in outs]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2)

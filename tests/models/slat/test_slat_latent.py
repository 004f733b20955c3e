"""Structured latents hold together, and TRELLIS's file of one is read and written."""

import io
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import CheckpointError
from kyvo.models.slat.latent import PUBLISHED_MEAN, LatentError, StructuredLatent
from kyvo.models.slat.sparse import SparseTensor, Voxels


def some_latent(seed: int = 0, *, num_cells: int = 50) -> StructuredLatent:
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randperm(64**3, generator=generator)[:num_cells]
    coords = torch.stack([cells // 64**2, cells // 64 % 64, cells % 64], 1)
    return StructuredLatent(coords=coords, feats=torch.randn(num_cells, 8, generator=generator))


@given(st.integers(0, 1000), st.integers(1, 80))
def test_a_latent_comes_back_from_its_file(tmp_path_factory, seed, num_cells):
    latent = some_latent(seed, num_cells=num_cells)
    path = tmp_path_factory.mktemp("latent") / "object.npz"
    latent.save(path)
    back = StructuredLatent.load(path)
    assert torch.equal(back.coords, latent.coords)
    assert torch.equal(back.feats, latent.feats)
    assert not back.normalized


def test_the_file_is_trellis_own(tmp_path):
    some_latent().save(tmp_path / "object.npz")
    with np.load(tmp_path / "object.npz") as file:
        assert sorted(file.files) == ["coords", "feats"]
        assert file["coords"].dtype == np.uint8
        assert file["feats"].dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == ["object.npz"]


def test_a_file_holds_features_that_are_not_normalised(tmp_path):
    latent = some_latent()
    latent.normalize().save(tmp_path / "object.npz")
    torch.testing.assert_close(StructuredLatent.load(tmp_path / "object.npz").feats, latent.feats)


def test_normalising_takes_the_published_mean_to_zero_and_back():
    mean = torch.tensor(PUBLISHED_MEAN)
    latent = StructuredLatent(coords=torch.zeros(1, 3, dtype=torch.long), feats=mean[None].clone())
    normal = latent.normalize()
    assert normal.normalized
    assert torch.equal(normal.feats, torch.zeros(1, 8))
    assert normal.normalize() is normal
    torch.testing.assert_close(normal.denormalize().feats, latent.feats)


def test_centres_fill_the_unit_cube():
    coords = torch.tensor([[0, 0, 0], [63, 31, 32]])
    latent = StructuredLatent(coords=coords, feats=torch.zeros(2, 8))
    half = 0.5 / 64
    torch.testing.assert_close(
        latent.centers, torch.tensor([[-0.5 + half] * 3, [0.5 - half, -half, half]]), rtol=0, atol=1e-7
    )


def test_a_batch_parts_into_the_latents_it_was_made_of():
    latents = [some_latent(1), some_latent(2, num_cells=7)]
    coords = torch.cat([torch.nn.functional.pad(one.coords, (1, 0), value=i) for i, one in enumerate(latents)])
    voxels = Voxels(coords=coords, resolution=64, batch_size=2)
    parts = StructuredLatent.from_sparse(SparseTensor(voxels=voxels, feats=torch.cat([x.feats for x in latents])))
    for part, latent in zip(parts, latents, strict=True):
        assert torch.equal(part.coords, latent.coords)
        assert torch.equal(part.feats, latent.feats)


def test_networks_are_given_features_that_are_not_normalised():
    latent = some_latent()
    torch.testing.assert_close(latent.normalize().to_sparse().feats, latent.feats)


@pytest.mark.parametrize(
    ("coords", "feats", "message"),
    [
        ([[0, 0, 0]], [[0.0] * 8] * 2, "1 cells and 2 rows of features"),
        ([[0, 64, 0]], [[0.0] * 8], "Cells run from 0 to 64; a grid of 64 has 0 to 63"),
        ([[0, -1, 0]], [[0.0] * 8], "Cells run from -1 to 0"),
        ([[1, 2, 3], [1, 2, 3]], [[0.0] * 8] * 2, "1 cells are listed more than once"),
        ([[1, 2, 3]], [[0.0] * 7 + [float("nan")]], r"features of cell 0 are .*nan.*must be finite"),
    ],
)
def test_what_is_no_latent_is_refused(coords, feats, message):
    with pytest.raises(LatentError, match=message):
        StructuredLatent(coords=torch.tensor(coords), feats=torch.tensor(feats))


def test_a_latent_without_cells_is_refused():
    with pytest.raises(LatentError, match="without cells is no object"):
        StructuredLatent(coords=torch.empty(0, 3, dtype=torch.long), feats=torch.empty(0, 8))


def test_statistics_are_of_eight_channels():
    latent = StructuredLatent(coords=torch.zeros(1, 3, dtype=torch.long), feats=torch.zeros(1, 4))
    with pytest.raises(LatentError, match="has 4 channels; the published statistics are of 8"):
        latent.normalize()


class Trap:
    """Unpickling this would be noticed."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"coords": np.zeros((1, 3), np.uint8)}, "has no array 'feats' but coords"),
        (
            {"coords": np.zeros((1, 3), np.uint8), "feats": np.array([[Trap()]], dtype=object)},
            "feats holds pickled Python objects.*refused",
        ),
        (
            {"coords": np.zeros((1, 3), np.float32), "feats": np.zeros((1, 8), np.float32)},
            r"coords is float32 \[1, 3\]",
        ),
        ({"coords": np.zeros((1, 4), np.uint8), "feats": np.zeros((1, 8), np.float32)}, r"coords is uint8 \[1, 4\]"),
        ({"coords": np.zeros((1, 3), np.uint8), "feats": np.zeros(8, np.float32)}, r"feats is float32 \[8\]"),
        (
            {"coords": np.full((1, 3), 70, np.uint8), "feats": np.zeros((1, 8), np.float32)},
            "object.npz: Cells run from",
        ),
    ],
)
def test_a_file_of_something_else_is_refused_by_name(tmp_path, arrays, message):
    path = tmp_path / "object.npz"
    np.savez(path, **arrays)
    with pytest.raises((CheckpointError, LatentError), match=message):
        StructuredLatent.load(path)


def test_a_header_that_claims_gigabytes_is_refused_before_anything_is_read(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 32, 8)})
    path = tmp_path / "object.npz"
    np.savez(path, coords=np.zeros((1, 3), np.uint8))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("feats.npy", header.getvalue())
    with pytest.raises(CheckpointError, match=r"feats claims to be \[4294967296, 8\]; the grid has 262144 cells"):
        StructuredLatent.load(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"not an archive"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "object.npz"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"object\.npz is no readable \.npz"):
        StructuredLatent.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"absent\.npz does not exist"):
        StructuredLatent.load(tmp_path / "absent.npz")


def test_a_grid_too_fine_for_bytes_is_not_written(tmp_path):
    latent = StructuredLatent(coords=torch.tensor([[300, 0, 0]]), feats=torch.zeros(1, 8), resolution=512)
    with pytest.raises(LatentError, match="a grid of 512 does not fit"):
        latent.save(tmp_path / "object.npz")
    assert not list(tmp_path.iterdir())

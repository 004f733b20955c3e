"""What a file of codes or of a latent becomes, with and without TRELLIS's decoders."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from tiny_shapes import tiny_tokenizer

from kyvo.errors import ConfigError, TokenError
from kyvo.models.slat.latent import StructuredLatent
from kyvo.models.slat.load import build_network
from kyvo.models.slat.published import PUBLISHED
from kyvo.shapes.code_files import CodeFile, ShapeCodes
from kyvo.shapes.decoding import decode_gaussians, decode_surface, read_latents, show_cells

CODES = np.random.default_rng(0).integers(64, size=64)


def trellis_latent(count: int = 12) -> StructuredLatent:
    generator = torch.Generator().manual_seed(0)
    coords = torch.randint(64, (count, 3), generator=generator).unique(dim=0)
    return StructuredLatent(coords=coords, feats=torch.randn(len(coords), 8, generator=generator))


def write(path: Path, *, tokenizer: str, codes: np.ndarray = CODES) -> Path:
    CodeFile(tokenizer=tokenizer, objects=(ShapeCodes(name="thing", codes=codes),)).save(path)
    return path


def test_codes_become_the_latents_of_their_tokenizer_and_no_other(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    (found,) = read_latents(write(tmp_path / "codes.npz", tokenizer=tokenizer.sha256), tokenizer)
    (expected,) = tokenizer.decode(CODES[None])
    assert found.name == "thing" and torch.equal(found.latent.feats, expected.feats)
    with pytest.raises(TokenError, match=r"of the shape tokenizer .*, and this one is .*Give the tokenizer"):
        read_latents(write(tmp_path / "a.json", tokenizer=tiny_tokenizer(1).sha256), tokenizer)
    with pytest.raises(TokenError, match=r"b\.json: objects\[0\]: Codes are \[1, 5\]; this tokenizer takes \[B, 64\]"):
        read_latents(write(tmp_path / "b.json", tokenizer=tokenizer.sha256, codes=CODES[:5]), tokenizer)


def test_a_file_of_surface_features_has_the_tokenizers_grid_and_one_of_trellis_its_own(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.decode(CODES[None])[0].save(tmp_path / "ours.npz")
    trellis_latent().save(tmp_path / "theirs.npz")
    (ours,), (theirs,) = (read_latents(tmp_path / name, tokenizer) for name in ("ours.npz", "theirs.npz"))
    assert (ours.latent.resolution, theirs.latent.resolution) == (16, 64)
    assert ours.name == "ours" and theirs.place is None


def test_surface_features_need_no_decoder() -> None:
    (latent,) = tiny_tokenizer().decode(CODES[None])
    assert len(decode_surface(latent).faces)
    gaussians = decode_gaussians(latent)
    assert len(gaussians) == len(latent.coords)
    assert gaussians.positions.abs().max() <= 0.5


def test_trellis_latents_need_the_decoder_of_what_is_wanted() -> None:
    about = PUBLISHED["slat_dec_gs_swin8_B_64l8gs32_fp16"]
    small = {"model_channels": 32, "num_blocks": 1, "num_heads": 2, "use_fp16": False}
    torch.manual_seed(0)
    splats = build_network({**about, "args": {**about["args"], **small}}, device="cpu").eval()
    latent = trellis_latent()
    assert len(decode_gaussians(latent, splats)) == 32 * len(latent.coords)
    with pytest.raises(ConfigError, match=r"mesh decoder, and none was given\. Pass --decoder FOLDER/slat_dec_mesh"):
        decode_surface(latent)
    with pytest.raises(ConfigError, match=r"mesh decoder, and this one is a SLatGaussianDecoder"):
        decode_surface(latent, splats)


def test_cells_are_shown_as_octahedra_where_they_are() -> None:
    latent = trellis_latent()
    surface = show_cells(latent)
    shown = trimesh.Trimesh(surface.vertices.numpy(), surface.faces.numpy(), process=False)
    assert len(shown.faces) == 8 * len(latent.coords) and shown.is_winding_consistent and shown.volume > 0
    centers = surface.vertices.unflatten(0, (-1, 6)).mean(1)
    torch.testing.assert_close(centers, latent.centers)
    assert 0 <= surface.attributes.min() <= surface.attributes.max() <= 1

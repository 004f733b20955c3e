import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import kyvo
from kyvo.errors import CheckpointError, TokenError
from kyvo.models.slat.latent import LatentError, StructuredLatent
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.shapes.vqvae import ShapeVQVAE, ShapeVQVAEConfig, shape_mini, to_grid

CONFIG = ShapeVQVAEConfig(
    kind="trellis",
    resolution=8,
    widths=(8, 16),
    num_res_blocks=1,
    num_res_blocks_middle=1,
    embed_dim=4,
    n_embed=16,
    feature_mean=(0.0,) * 3,
    feature_std=(1.0,) * 3,
)


def build(seed: int) -> ShapeTokenizer:
    torch.manual_seed(seed)
    model = ShapeVQVAE(CONFIG)
    torch.nn.init.normal_(model.quantizer.embedding.weight)
    return ShapeTokenizer(model)


@pytest.fixture(scope="module")
def tokenizer() -> ShapeTokenizer:
    return build(0)


def latent(seed: int) -> StructuredLatent:
    generator = torch.Generator().manual_seed(seed)
    coords = torch.randint(8, (20, 3), generator=generator).unique(dim=0)
    return StructuredLatent(coords=coords, feats=torch.randn(len(coords), 3, generator=generator), resolution=8)


def equal(ours: list[StructuredLatent], theirs: list[StructuredLatent]) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(torch.equal(a.coords, b.coords) and torch.equal(a.feats, b.feats) for a, b in pairs)


def test_a_saved_tokenizer_comes_back_with_equal_codes_and_objects(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    loaded = ShapeTokenizer.from_pretrained(tmp_path)
    latents = [latent(seed) for seed in range(3)]
    codes = tokenizer.encode(latents)
    assert codes.shape == (3, 64) and codes.dtype == np.int64 and len(np.unique(codes)) > 1
    assert loaded.config == CONFIG and loaded.sha256 == tokenizer.sha256
    assert np.array_equal(loaded.encode(latents), codes)
    assert equal(loaded.decode(codes), tokenizer.decode(codes))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "shape_tokenizer.json",
        "shape_tokenizer.safetensors",
    ]


def test_in_half_precision_the_file_is_half_as_large_and_the_hash_is_its_own(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "whole")
    tokenizer.save(tmp_path / "half", dtype=torch.float16)
    whole, half = (tmp_path / name / "shape_tokenizer.safetensors" for name in ("whole", "half"))
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    loaded = ShapeTokenizer.from_pretrained(tmp_path / "half")
    for ours, theirs in zip(loaded.model.parameters(), tokenizer.model.parameters(), strict=True):
        assert ours.dtype == torch.float32 and torch.equal(ours, theirs.half().float())
    assert loaded.sha256 == hashlib.sha256(half.read_bytes()).hexdigest() != tokenizer.sha256
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again" / half.name).read_bytes() == half.read_bytes()


def test_the_autoencoder_gives_what_codes_that_lose_nothing_give():
    made, given = build(0), latent(0)
    wide = replace(CONFIG, n_embed=64)
    model = ShapeVQVAE(wide)
    model.encoder.load_state_dict(made.model.encoder.state_dict())
    model.decoder.load_state_dict(made.model.decoder.state_dict())
    model.quantizer.embedding.weight.data = made.model.latents(to_grid([given], wide).features)[0].flatten(1).T
    exact = ShapeTokenizer(model)
    assert equal(exact.autoencode([given]), exact.decode(exact.encode([given])))
    assert not equal(made.autoencode([given]), made.decode(made.encode([given])))


def test_a_name_is_looked_up_among_the_bundled_ones():
    bundled = ShapeTokenizer.from_pretrained("mini")
    assert replace(bundled.config, correction_rounds=0, correction_rank=0) == shape_mini()
    assert bundled.codebook.dtype == torch.float32
    folder = Path(kyvo.__file__).parent / "assets" / "shape_mini"
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 16e6
    with pytest.raises(CheckpointError, match=r"giant: neither a folder of a shape tokenizer nor a bundled one"):
        ShapeTokenizer.from_pretrained("giant")


def test_a_batch_of_any_length_encodes_and_decodes_as_its_objects_do_alone(tokenizer):
    latents = [latent(seed) for seed in range(10)]  # more than go through the network together
    codes = tokenizer.encode(latents)
    assert np.array_equal(np.concatenate([tokenizer.encode([each]) for each in latents]), codes)
    assert equal(tokenizer.decode(codes)[8:], tokenizer.decode(codes[8:]))
    assert tokenizer.encode([]).shape == (0, 64)
    assert tokenizer.decode(codes[:0]) == []


def test_codes_of_another_length_or_beyond_the_codebook_are_refused(tokenizer):
    with pytest.raises(TokenError, match=r"Codes are \[1, 10\]; this tokenizer takes \[B, 64\] \(4 along each side\)"):
        tokenizer.decode(np.zeros((1, 10), np.int64))
    with pytest.raises(TokenError, match="run from 0 to 16; there are 0 to 15"):
        tokenizer.decode(np.array([[0] * 63 + [16]]))


def test_a_latent_of_another_kind_is_refused(tokenizer):
    wide = StructuredLatent(coords=torch.zeros(1, 3, dtype=torch.long), feats=torch.zeros(1, 8), resolution=8)
    with pytest.raises(LatentError, match=r"has 8 features on a grid of 8; this tokenizer takes 3 \(trellis\)"):
        tokenizer.encode([wide])


def test_swapped_weights_are_noticed_by_their_hash(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "a")
    build(1).save(tmp_path / "b")
    (tmp_path / "b" / "shape_tokenizer.safetensors").rename(tmp_path / "a" / "shape_tokenizer.safetensors")
    with pytest.raises(CheckpointError, match="not of one tokenizer"):
        ShapeTokenizer.from_pretrained(tmp_path / "a")


def test_a_folder_without_weights_is_refused_by_the_missing_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no shape_tokenizer\.safetensors"):
        ShapeTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about: "{", "cannot be read"),
        (lambda about: "[]", "a JSON object is needed"),
        (lambda about: json.dumps(about | {"config": about["config"] | {"depth": 3}}), "does not describe.*depth"),
        (lambda about: json.dumps(about | {"config": about["config"] | {"embed_dim": 5}}), "size mismatch"),
    ],
)
def test_a_json_that_is_not_of_the_weights_is_refused(tokenizer, tmp_path, change, message):
    tokenizer.save(tmp_path)
    path = tmp_path / "shape_tokenizer.json"
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(CheckpointError, match=message):
        ShapeTokenizer.from_pretrained(tmp_path)

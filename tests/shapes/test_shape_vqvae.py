from dataclasses import replace

import pytest
import torch

from kyvo.errors import ConfigError
from kyvo.models.slat.latent import LatentError, StructuredLatent
from kyvo.shapes.contour import CHANNELS, CROSSED, NORMAL, SurfaceSplats
from kyvo.shapes.losses import RenderLoss, features_at, occupancy_loss, reconstruction_loss, spread_loss
from kyvo.shapes.vqvae import (
    Reconstruction,
    ShapeGrid,
    ShapeVQVAE,
    ShapeVQVAEConfig,
    from_grid,
    shape_mini,
    shape_paper,
    to_grid,
)

TINY = ShapeVQVAEConfig(
    kind="surface",
    resolution=8,
    widths=(8, 16),
    num_res_blocks=1,
    num_res_blocks_middle=0,
    embed_dim=4,
    n_embed=16,
    feature_mean=(0.1,) * CHANNELS,
    feature_std=(0.5,) * CHANNELS,
    patch=2,
)


def latent(seed: int = 0, *, resolution: int = 8, channels: int = CHANNELS, count: int = 30) -> StructuredLatent:
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randperm(resolution**3, generator=generator)[:count].sort().values
    coords = torch.stack([cells // resolution**2, cells // resolution % resolution, cells % resolution], 1)
    return StructuredLatent(
        coords=coords, feats=torch.randn(count, channels, generator=generator), resolution=resolution
    )


@pytest.fixture(scope="module")
def model() -> ShapeVQVAE:
    torch.manual_seed(0)
    return ShapeVQVAE(TINY)


def test_the_papers_network_takes_64_cubed_by_8_to_512_of_8192_codes():
    config = shape_paper()
    assert (config.resolution, config.channels, config.num_codes, config.n_embed) == (64, 8, 512, 8192)
    with torch.device("meta"):
        model = ShapeVQVAE(config)
        latents = model.latents(torch.empty(1, 8, 64, 64, 64))
        output = model.decode(latents)
    assert latents.unflatten(3, (8, 8)).shape == (1, 128, 8, 8, 8)
    assert output.features.shape == (1, 8, 64, 64, 64) and output.scores.shape == (1, 64, 64, 64)
    widths = {module.weight.shape[0] for module in model.encoder.modules() if isinstance(module, torch.nn.Conv3d)}
    assert widths == {32, 128, 512, 1024}
    # Counted on their own for these blocks: 265 and 389 million.
    counts = [sum(weight.numel() for weight in part.parameters()) for part in (model.encoder, model.decoder)]
    assert [round(count / 1e6) for count in counts] == [265, 389]


def test_the_bundled_networks_weights_take_less_than_30_megabytes_and_its_objects_at_most_512_codes():
    config = shape_mini()
    with torch.device("meta"):
        model = ShapeVQVAE(config)
    assert 4 * sum(weight.numel() for weight in model.parameters()) < 30e6
    assert config.num_codes == 512 and config.channels == CHANNELS


def test_an_object_comes_back_from_its_grid():
    first, second = latent(0), latent(1, count=7)
    grid = to_grid([first, second], TINY)
    scores = torch.where(grid.active, -1.9, -2.1)  # of two wrongs, a cell too many is the lesser one
    back = from_grid(Reconstruction(features=grid.features, scores=scores), TINY)
    for ours, theirs in zip(back, (first, second), strict=True):
        assert torch.equal(ours.coords, theirs.coords)
        torch.testing.assert_close(ours.feats, theirs.feats)
    torch.testing.assert_close(features_at(grid.features, grid.active, TINY), torch.cat([first.feats, second.feats]))
    assert (grid.features.movedim(1, -1)[~grid.active] == 0).all()


def test_a_reconstruction_without_an_active_cell_keeps_its_likeliest_one():
    scores = torch.full((1, 8, 8, 8), -3.0)
    scores[0, 1, 2, 3] = -2.5
    empty = Reconstruction(features=torch.zeros(1, CHANNELS, 8, 8, 8), scores=scores)
    assert from_grid(empty, TINY)[0].coords.tolist() == [[1, 2, 3]]


def test_with_norm_the_cells_whose_features_are_long_enough_are_active():
    torch.manual_seed(0)
    config = replace(TINY, occupancy="norm", norm_threshold=0.75)
    model = ShapeVQVAE(config)
    with torch.no_grad():
        output = model.decode_codes(torch.randint(16, (1, config.num_codes)))
    (found,) = from_grid(output, config)
    assert torch.equal(found.coords, (output.features[0].norm(dim=0) > 0.75).nonzero())
    assert 0 < len(found.coords) < 8**3
    assert output.features.shape[1] == CHANNELS


def test_gradients_pass_the_codebook_straight_through_and_leave_it_alone(model):
    latents = torch.randn(2, 4, 2, 4, requires_grad=True)
    weights = torch.randn(2, 4, 2, 4)
    quantized = model.quantize(latents)
    (quantized.values * weights).sum().backward()
    torch.testing.assert_close(latents.grad, weights)
    assert model.quantizer.embedding.weight.grad is None
    assert not model.quantizer.embedding.weight.requires_grad


def test_the_commitment_pulls_a_latent_to_its_code_with_a_quarter(model):
    latents = torch.randn(1, 4, 2, 4, requires_grad=True)
    quantized = model.quantize(latents)
    quantized.loss.backward()
    expected = 0.25 * 2 * (latents - quantized.values).detach() / latents.numel()
    torch.testing.assert_close(latents.grad, expected)


def test_codes_stand_x_major_with_z_fastest(model):
    grid = to_grid([latent()], TINY)
    codes = model.encode_codes(grid.features)
    whole = model.encoder(grid.features)
    for index, (x, y, z) in enumerate([(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0)]):
        assert model.quantizer.nearest(whole[:, :, x, y, z]) == codes[0, index]


def test_decoding_codes_gives_what_decoding_their_vectors_gives(model):
    grid = to_grid([latent()], TINY)
    direct = model.decode(model.quantize(model.latents(grid.features)).values)
    by_codes = model.decode_codes(model.encode_codes(grid.features))
    torch.testing.assert_close(by_codes.features, direct.features)
    torch.testing.assert_close(by_codes.scores, direct.scores)


def test_a_latent_of_another_grid_or_kind_is_refused_by_its_number():
    with pytest.raises(LatentError, match=r"latents\[1\] has 12 features on a grid of 16; this tokenizer takes 12"):
        to_grid([latent(), latent(resolution=16)], TINY)
    with pytest.raises(LatentError, match=r"latents\[0\] has 8 features .* Encode the mesh for it"):
        to_grid([latent(channels=8)], TINY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"occupancy": "sign"}, '\'sign\'; "logit" and "norm" are known'),
        ({"patch": 3}, "patch is 3"),
        ({"feature_std": (1.0,)}, "feature_mean has 12 values and feature_std 1"),
        ({"resolution": 10}, "A grid of 10 does not divide by 4"),
    ],
)
def test_a_config_that_does_not_fit_together_says_why(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(TINY, **change)


def test_the_reconstruction_loss_looks_at_active_cells_alone():
    truth = to_grid([latent()], TINY)
    noise = torch.randn(truth.features.shape) * ~truth.active[:, None]
    sure = torch.where(truth.active, 50.0, -50.0)
    loss = reconstruction_loss(
        Reconstruction(features=truth.features + noise, scores=sure), truth, occupancy="logit", occupancy_weight=1.0
    )
    assert loss == pytest.approx(0, abs=1e-6)
    shifted = Reconstruction(features=truth.features + 0.5, scores=sure)
    assert reconstruction_loss(shifted, truth, occupancy="logit", occupancy_weight=1.0) == pytest.approx(0.25)


def test_with_norm_the_loss_drives_inactive_cells_to_zero():
    truth = to_grid([latent()], TINY)
    raised = Reconstruction(features=truth.features + 2.0 * ~truth.active[:, None], scores=torch.zeros(1, 8, 8, 8))
    assert reconstruction_loss(raised, truth, occupancy="norm", occupancy_weight=0.5) == pytest.approx(0.5 * 4.0)


def test_the_occupancy_loss_of_a_coin_toss_is_that_of_paper_and_pencil():
    # 4 cells, 1 active, all at 1/2: cross-entropy ln 2; Dice (2 * 0.5 + 1) / (2 + 1 + 1) = 1/2.
    active = torch.tensor([True, False, False, False]).reshape(1, 1, 2, 2)
    loss = occupancy_loss(torch.zeros(1, 1, 2, 2), active)
    assert loss == pytest.approx(0.693147 + 0.5, abs=1e-5)


def test_the_spread_loss_is_half_the_mean_square():
    assert spread_loss(torch.full((1, 4, 2, 4), 3.0)) == 4.5


def oriented(grid: ShapeGrid) -> ShapeGrid:
    """Unit normals, as splats need them."""
    features = grid.features.clone()
    features[:, NORMAL] = 1.0
    return ShapeGrid(features=features * grid.active[:, None], active=grid.active)


def test_renderings_of_equal_features_differ_by_nothing_and_of_others_pull_at_them():
    truth = oriented(to_grid([latent(0), latent(1)], TINY))
    rendering = RenderLoss(SurfaceSplats(), filter_variance=0.1, size=24)
    scores = torch.zeros(2, 8, 8, 8)
    same = rendering(
        Reconstruction(features=truth.features, scores=scores), truth, TINY, generator=torch.Generator().manual_seed(0)
    )
    assert same == pytest.approx(0, abs=1e-5)
    features = (truth.features + 0.3).requires_grad_()
    other = rendering(
        Reconstruction(features=features, scores=scores), truth, TINY, generator=torch.Generator().manual_seed(0)
    )
    other.backward()
    assert other > 0.01
    moved = features.grad.movedim(1, -1)
    assert (moved[truth.active][:, : CROSSED.start] != 0).any(0).all()
    assert (moved[~truth.active] == 0).all()


def test_views_change_from_one_to_the_next_and_repeat_with_the_generator():
    rendering = RenderLoss(SurfaceSplats(), filter_variance=0.1, size=24)
    generator = torch.Generator().manual_seed(0)
    views = [rendering.random_view(generator, torch.device("cpu")) for _ in range(20)]
    assert {float(background[0]) for _, background in views} == {0.0, 1.0}
    assert len({tuple(camera.world_to_camera.flatten().tolist()) for camera, _ in views}) == 20
    again = rendering.random_view(torch.Generator().manual_seed(0), torch.device("cpu"))
    assert torch.equal(again[0].world_to_camera, views[0][0].world_to_camera)

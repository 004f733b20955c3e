"""Round trips and their scores, on a tokenizer that knows one object by heart and on meshes whose scores are known."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from tiny_shapes import knowing_tokenizer, tiny_tokenizer

from kyvo.data.meshes.assets import Asset
from kyvo.errors import ConfigError
from kyvo.models.slat.latent import LatentError, StructuredLatent
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.mesh import normalized
from kyvo.shapes.pictures import TURNS, shape_sheet, side_views
from kyvo.shapes.roundtrip import STAGES, RoundTrip, compare_views

pytest.importorskip("open3d")


def box(*extents: float, color: tuple[float, float, float] = (0.8, 0.1, 0.1)) -> Asset:
    triangles = np.asarray(trimesh.creation.box(extents).triangles)
    return normalized(
        Asset(
            name="box",
            category="box",
            triangles=triangles,
            colors=np.broadcast_to(color, triangles.shape),
            uv=np.zeros((len(triangles), 3, 2)),
            texture=np.full(len(triangles), -1),
        )
    )


@pytest.mark.slow
def test_codes_that_lose_nothing_score_as_the_network_and_features_score_best() -> None:
    mesh = box(0.9, 0.6, 1.0)
    trip = RoundTrip.of(mesh, knowing_tokenizer(surface_latent(mesh, resolution=16)))
    scores = trip.scores()
    assert list(scores) == list(STAGES) and trip.codes.shape == (64,)
    assert scores["tokens"] == scores["network"]
    features = scores["features"]
    assert features.f_score > 0.99 and features.distance < 1 / 32  # half a cell of 1/16
    assert features.psnr > scores["network"].psnr + 3  # the network is not trained
    assert features.chamfer < scores["network"].chamfer
    assert trip.seconds["encode"] > 0 < trip.seconds["decode"]


@pytest.mark.slow
def test_equal_meshes_have_the_psnr_of_rounding_and_a_colors_error_can_be_computed_by_hand() -> None:
    mesh = box(1, 1, 1)
    black, white = box(1, 1, 1, color=(0.0, 0.0, 0.0)), box(1, 1, 1, color=(1.0, 1.0, 1.0))
    looks = compare_views({"same": mesh}, mesh)
    assert looks["same"] == pytest.approx((58.92, 58.92), abs=0.01)  # 10 log10(255^2 * 12)
    # Black on white: each covered pixel is wrong by all of the light on it, which is at least AMBIENT of 255.
    whole, covered = compare_views({"black": black}, white)["black"]
    assert 0 <= covered < 6
    assert whole > covered + 0.5  # the rest is white in both


@pytest.mark.slow
def test_a_smaller_mesh_looks_worse_the_smaller_it_is() -> None:
    mesh = box(1, 1, 1)
    found = {str(size): replace(mesh, triangles=mesh.triangles * size) for size in (0.95, 0.8)}
    looks = compare_views(found, mesh)
    assert looks["0.95"][0] > looks["0.8"][0] + 3
    assert looks["0.95"][1] < looks["0.95"][0]


def test_a_tokenizer_of_trellis_latents_takes_no_mesh() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.model.config = replace(tokenizer.config, kind="trellis")
    with pytest.raises(ConfigError, match=r"takes latents of kind 'trellis'.*kyvo\.shapes\.dino"):
        RoundTrip.of(box(1, 1, 1), tokenizer)


def test_four_views_show_four_sides_whole() -> None:
    views = [np.asarray(view) for view in side_views(box(1, 1, 1), size=64)]
    assert len(views) == len(TURNS) == 4
    for view in views:
        assert view.shape == (64, 64, 3)
        assert (view[[0, -1]] == 255).all() and (view[:, [0, -1]] == 255).all()  # even a cube fits
        assert (view[32, 32] < 255).any()
    flat = [np.asarray(view) for view in side_views(box(1, 0.1, 0.5), size=64)]
    assert not np.array_equal(flat[0], flat[1])


def test_a_sheet_has_a_row_for_each_mesh() -> None:
    one, two = (shape_sheet([("box", box(1, 1, 1))] * count, size=48) for count in (1, 2))
    assert one.width == two.width > 4 * 48 and two.height - one.height == 48 + 8


def test_the_autoencoders_surface_is_that_of_the_features_given() -> None:
    mesh = box(1, 1, 1)
    trip = RoundTrip.of(mesh, tiny_tokenizer())
    latent = trip.latents["features"]
    assert isinstance(latent, StructuredLatent) and latent.resolution == 16
    assert np.abs(trip.meshes()["features"].triangles).max() == pytest.approx(0.5, abs=1 / 64)
    with pytest.raises(LatentError, match="grid of 32"):
        tiny_tokenizer().autoencode([replace(latent, resolution=32)])

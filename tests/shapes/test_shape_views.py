"""Views of a mesh show what stands where their cameras look."""

import math

import numpy as np
import pytest
import torch
import trimesh

from kyvo.data.meshes.assets import Asset
from kyvo.models.slat.gaussians import Camera
from kyvo.shapes.views import MeshViews, sphere_cameras

pytest.importorskip("open3d")


def ball(radius: float) -> Asset:
    triangles = np.asarray(trimesh.creation.icosphere(subdivisions=4, radius=radius).triangles)
    return Asset(
        name="ball",
        category="ball",
        triangles=triangles,
        colors=np.broadcast_to((1.0, 0.0, 0.25), triangles.shape),
        uv=np.zeros((len(triangles), 3, 2)),
        texture=np.full(len(triangles), -1),
    )


def test_a_ball_is_as_large_and_as_far_as_it_should_be() -> None:
    camera = Camera.look_at_origin(torch.tensor([2.0, 0.0, 0.0]), size=101)
    view = MeshViews(ball(0.5)).view(camera)
    # Its outline is where rays graze it: tan(asin(0.5 / 2)) * focal length from the middle.
    radius = math.tan(math.asin(0.25)) * camera.focal[0]
    assert view.hit.sum() == pytest.approx(math.pi * radius**2, rel=0.02)
    assert view.depth[50, 50] == pytest.approx(1.5, abs=0.002)
    assert view.positions[50, 50] == pytest.approx([0.5, 0, 0], abs=0.002)
    assert view.normals[50, 50] == pytest.approx([1, 0, 0], abs=0.01)
    assert np.linalg.norm(view.positions[view.hit], axis=1) == pytest.approx(0.5, abs=0.002)
    assert view.colors[view.hit] == pytest.approx(np.tile([1, 0, 0.25], (view.hit.sum(), 1)))
    assert not view.positions[~view.hit].any()


def test_depth_and_position_of_a_pixel_agree_with_the_camera() -> None:
    camera = Camera.look_at_origin(torch.tensor([1.0, -1.2, 1.1]), size=48)
    view = MeshViews(ball(0.4)).view(camera)
    matrix = camera.world_to_camera.double().numpy()
    seen = view.positions[view.hit] @ matrix[:3, :3].T + matrix[:3, 3]
    assert seen[:, 2] == pytest.approx(view.depth[view.hit], abs=1e-5)
    row, column = np.nonzero(view.hit)
    pixels = seen[:, :2] / seen[:, 2:] * camera.focal + camera.center
    assert pixels == pytest.approx(np.stack([column, row], 1) + 0.5, abs=1e-3)


def test_a_picture_without_light_is_the_base_color_and_light_comes_from_above() -> None:
    views = MeshViews(ball(0.5))
    camera = Camera.look_at_origin(torch.tensor([0.0, -2.0, 0.0]), size=33)
    plain = views.picture(camera, lit=False)
    full = plain[..., 3] == 1
    assert plain[full][:, :3] == pytest.approx(np.tile([1, 0, 0.537], (full.sum(), 1)), abs=1e-3)  # sRGB of 0.25
    assert ((plain[..., 3] > 0) & ~full).any()  # the edge is smooth
    lit = views.picture(camera)
    assert lit[8, 16, 0] > lit[24, 16, 0]


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.3, 0.8)])
def test_cameras_surround_the_origin_three_quarters_from_above(offset: tuple[float, float]) -> None:
    cameras = sphere_cameras(64, size=32, offset=offset)
    places = torch.stack([camera.rays()[0] for camera in cameras]).double().numpy()
    assert np.linalg.norm(places, axis=1) == pytest.approx(2, abs=1e-5)
    assert (places[:, 2] > 0).mean() == pytest.approx(0.75, abs=0.02)
    assert np.abs(places[:, :2].mean(0)).max() < 0.1
    for camera in cameras:
        assert camera.world_to_camera[:3, 3].tolist() == pytest.approx([0, 0, 2], abs=1e-5)

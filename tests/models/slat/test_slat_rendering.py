"""Gaussians and radiance fields are rendered as a slow loop renders them, with the same gradients."""

import math

import pytest
import torch

from kyvo.errors import ConfigError
from kyvo.models.slat import rasterizer
from kyvo.models.slat.compositing import blend
from kyvo.models.slat.gaussians import Camera, Gaussians, rotation_matrices
from kyvo.models.slat.radiance import RadianceField
from kyvo.models.slat.rasterizer import rasterize

NAMES = ("positions", "scales", "rotations_wxyz", "opacities", "colors")


def some_gaussians(count: int, seed: int = 0, dtype=torch.float64) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(count, *shape, generator=generator, dtype=dtype)

    return Gaussians(
        positions=draw(3) - 0.5,
        scales=0.005 + 0.1 * draw(3) ** 3,
        rotations_wxyz=torch.nn.functional.normalize(draw(4) - 0.5, dim=1),
        opacities=draw() ** 2,
        colors=draw(3),
    )


def some_camera(size: int = 24, dtype=torch.float64) -> Camera:
    return Camera.look_at_origin(torch.tensor([1.2, -1.1, 0.9], dtype=dtype), size=size)


def brute_force(gaussians: Gaussians, camera: Camera, background: torch.Tensor) -> torch.Tensor:
    """Every Gaussian in every pixel, one after another."""
    rotation, shift = camera.world_to_camera[:3, :3], camera.world_to_camera[:3, 3]
    focal = camera.focal[0]
    centers = torch.arange(camera.width, dtype=torch.float64) + 0.5
    rows, columns = torch.meshgrid(centers, centers, indexing="ij")
    places = [rotation @ position + shift for position in gaussians.positions]
    color, left = 0.0, torch.ones(camera.height, camera.width, dtype=torch.float64)
    running = torch.ones_like(left, dtype=torch.bool)
    for index in sorted(range(len(gaussians)), key=lambda i: places[i][2].item()):
        x, y, z = places[index]
        if z <= 0.2:
            continue
        jacobian = torch.stack([focal / z, 0 * z, -focal * x / z**2, 0 * z, focal / z, -focal * y / z**2]).reshape(2, 3)
        axes = rotation_matrices(gaussians.rotations_wxyz[index : index + 1])[0] @ gaussians.scales[index].diag()
        sharp = jacobian @ rotation @ axes @ axes.T @ rotation.T @ jacobian.T
        blurred = sharp + 0.1 * torch.eye(2, dtype=torch.float64)
        opacity = gaussians.opacities[index] * (sharp.det() / (blurred.det() + 1e-6) + 1e-6).sqrt()
        offset = torch.stack([columns - focal * x / z - camera.center[0], rows - focal * y / z - camera.center[1]], -1)
        distance = (offset @ blurred.inverse() * offset).sum(-1)
        alpha = (opacity * (-distance / 2).exp()).clamp(max=0.99)
        alpha = torch.where(alpha >= 1 / 255, alpha, 0.0)
        running = running & (left * (1 - alpha) >= 1e-4)
        alpha = torch.where(running, alpha, 0.0)
        color = color + (left * alpha)[..., None] * gaussians.colors[index]
        left = left * (1 - alpha)
    return color + left[..., None] * background


def test_a_picture_and_its_gradients_are_those_of_brute_force():
    gaussians, camera = some_gaussians(60), some_camera()
    leaves = [getattr(gaussians, name).requires_grad_() for name in NAMES]
    background = torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64)
    found = rasterize(gaussians, camera, background=background).color
    expected = brute_force(gaussians, camera, background)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grads = (torch.autograd.grad(picture, leaves, upstream) for picture in (found, expected))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_crowds_of_opaque_gaussians_stop_where_brute_force_stops():
    gaussians = some_gaussians(80, seed=4)
    gaussians.opacities.fill_(1.0)
    gaussians.scales.fill_(0.1)
    background = torch.zeros(3, dtype=torch.float64)
    found = rasterize(gaussians, some_camera(), background=background).color
    torch.testing.assert_close(found, brute_force(gaussians, some_camera(), background), rtol=1e-6, atol=1e-8)


def test_doing_a_picture_in_bands_changes_nothing(monkeypatch):
    gaussians, camera, background = some_gaussians(60), some_camera(), torch.zeros(3, dtype=torch.float64)
    whole = rasterize(gaussians, camera, background=background)
    monkeypatch.setattr(rasterizer, "MAX_PAIRS", 100)
    bands = rasterize(gaussians, camera, background=background)
    torch.testing.assert_close(bands.color, whole.color)
    torch.testing.assert_close(bands.opacity, whole.opacity)


def test_what_is_behind_the_camera_is_not_seen():
    gaussians, camera = some_gaussians(5), some_camera()
    behind = camera.rays()[0] * 1.5
    gaussians.positions.copy_(behind)
    picture = rasterize(gaussians, camera, background=torch.full((3,), 0.25, dtype=torch.float64))
    assert torch.equal(picture.color, torch.full_like(picture.color, 0.25))
    assert not picture.opacity.any()


def test_one_gaussian_has_its_alpha_by_hand():
    # f = 12 / tan(20 deg), z = 2, deviation 0.05 -> variance (f / 40)^2 px^2; the pixel next to the middle is
    # (1/2, 1/2) px away from it.
    camera = Camera.look_at_origin(torch.tensor([2.0, 0, 0], dtype=torch.float64), size=24)
    one = Gaussians(
        positions=torch.zeros(1, 3, dtype=torch.float64),
        scales=torch.full((1, 3), 0.05, dtype=torch.float64),
        rotations_wxyz=torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64),
        opacities=torch.tensor([0.5], dtype=torch.float64),
        colors=torch.tensor([[1.0, 0, 0]], dtype=torch.float64),
    )
    variance = (12 / math.tan(math.radians(20)) / 40) ** 2
    expected = 0.5 * variance / (variance + 0.1) * math.exp(-0.5 * 0.5 / (variance + 0.1))
    picture = rasterize(one, camera, background=torch.zeros(3, dtype=torch.float64))
    assert picture.opacity[12, 12].item() == pytest.approx(expected, rel=1e-4)
    assert picture.color[11, 12, 0].item() == pytest.approx(expected, rel=1e-4)


def test_gsplat_that_is_not_installed_is_named():
    if rasterizer._use_gsplat(torch.device("cuda"), "auto"):
        pytest.skip("gsplat is installed")
    with pytest.raises(ImportError, match=r"pip install 'kyvo\[gsplat\]'"):
        rasterize(some_gaussians(2), some_camera(), background=torch.zeros(3), backend="gsplat")


@pytest.mark.gpu
def test_gsplat_renders_the_same_on_cuda():
    pytest.importorskip("gsplat")
    torch.set_default_device("cuda")
    try:
        made, seen = some_gaussians_on_cuda(), some_camera(64, dtype=torch.float32)
        leaves = [getattr(made, name).requires_grad_() for name in NAMES]
        background = torch.ones(3)
        pictures = [rasterize(made, seen, background=background, backend=one).color for one in ("torch", "gsplat")]
        torch.testing.assert_close(pictures[0], pictures[1], rtol=0, atol=0.01)
        grads = [torch.autograd.grad(picture.square().mean(), leaves) for picture in pictures]
        for one, other in zip(*grads, strict=True):
            assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.99
    finally:
        torch.set_default_device("cpu")


def some_gaussians_on_cuda() -> Gaussians:
    with torch.device("cpu"):
        made = some_gaussians(500, dtype=torch.float32)
    return Gaussians(**{name: getattr(made, name).cuda() for name in NAMES})


@pytest.mark.parametrize("keep_last", [False, True])
def test_blending_is_the_loop_over_each_ray(keep_last):
    generator = torch.Generator().manual_seed(0)
    rays = torch.randint(0, 7, (40,), generator=generator).sort().values
    alphas, colors = torch.rand(40, generator=generator) ** 2 * 0.9, torch.rand(40, 3, generator=generator)
    color, opacity = blend(rays, alphas, colors, num_rays=8, stop_below=0.05, keep_last=keep_last)
    for ray in range(8):
        left, expected = 1.0, torch.zeros(3)
        for index in (rays == ray).nonzero().flatten().tolist():
            if left * (1 if keep_last else 1 - float(alphas[index])) < 0.05:
                break
            expected += left * alphas[index] * colors[index]
            left *= 1 - float(alphas[index])
        torch.testing.assert_close(color[ray], expected, rtol=1e-5, atol=1e-6)
        assert opacity[ray].item() == pytest.approx(1 - left, abs=1e-6)


def test_the_camera_sees_the_origin_in_the_middle_and_z_upwards():
    camera = some_camera()
    origin, above = (camera.world_to_camera @ torch.tensor([0, 0, z, 1.0], dtype=torch.float64) for z in (0.0, 0.1))
    assert origin[:2].abs().max() < 1e-9
    assert origin[2].item() == pytest.approx(math.hypot(1.2, 1.1, 0.9))
    assert above[1] < -0.01  # y of the camera points down
    assert abs(above[0]) < 1e-9
    assert torch.linalg.det(camera.world_to_camera[:3, :3]).item() == pytest.approx(1)


def test_a_camera_straight_above_has_a_frame():
    camera = Camera.look_at_origin(torch.tensor([0.0, 0.0, 2.0]))
    assert torch.linalg.det(camera.world_to_camera[:3, :3]).item() == pytest.approx(1)


def test_a_camera_cannot_see_half_the_sphere():
    with pytest.raises(ConfigError, match="field_of_view is 4 rad"):
        Camera.look_at_origin(torch.tensor([1.0, 0, 0]), field_of_view=4.0)


def test_points_on_a_pixels_ray_project_to_its_centre():
    camera = some_camera()
    origin, directions = camera.rays()
    points = origin + 1.7 * directions
    x, y, z = (points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]).unbind(1)
    pixel = torch.stack([camera.focal[0] * x / z + camera.center[0], camera.focal[1] * y / z + camera.center[1]], 1)
    expected = torch.tensor([[c + 0.5, r + 0.5] for r in range(24) for c in range(24)], dtype=torch.float64)
    torch.testing.assert_close(pixel, expected)


def some_field(seed: int = 0, *, resolution: int = 4, share: float = 1.0) -> RadianceField:
    generator = torch.Generator().manual_seed(seed)
    coords = (torch.rand([resolution] * 3, generator=generator) < share).nonzero()

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(len(coords), *shape, generator=generator, dtype=torch.float64)

    return RadianceField(
        coords=coords, lines=draw(2, 3, 4), densities=draw(2), colors=draw(2, 3), resolution=resolution
    )


def test_a_field_is_read_linearly_along_each_line():
    field = some_field()
    cell = 30
    corner = field.coords[cell] / 4 - 0.5
    # 0.375 of a cell is 1.5 values along a line of 4, which is the middle of values 1.
    at_value = (corner + torch.tensor([0.375, 0.375, 0.375]) / 4).double()
    halfway = (corner + torch.tensor([0.5, 0.375, 0.375]) / 4).double()
    density, color = field.query(torch.tensor([cell, cell]), torch.stack([at_value, halfway]))
    lines = field.lines[cell]
    weights = torch.stack([lines[:, 0, 1], (lines[:, 0, 1] + lines[:, 0, 2]) / 2]) * lines[:, 1, 1] * lines[:, 2, 1]
    torch.testing.assert_close(density, (1 + (weights @ field.densities[cell]).exp()).log())
    torch.testing.assert_close(color, torch.sigmoid(0.28209479177387814 * weights @ field.colors[cell]))


def test_even_fog_dims_by_the_length_of_the_way_through_it():
    field = some_field()
    field.lines.fill_(1.0)
    field.densities.fill_(0.25)
    field.colors.fill_(0.0)
    camera = Camera.look_at_origin(torch.tensor([2.0, 0, 0], dtype=torch.float64), size=9)
    picture = field.render(camera, background=torch.ones(3, dtype=torch.float64))
    density = math.log1p(math.exp(0.5))  # of two triples
    passed = math.exp(-density * 1.0)  # the middle pixel looks along x: one unit
    assert picture.opacity[4, 4].item() == pytest.approx(1 - passed, rel=0.01)
    assert picture.color[4, 4, 0].item() == pytest.approx(0.5 * (1 - passed) + passed, rel=0.01)
    edge = Camera.look_at_origin(torch.tensor([20.0, 0, 0], dtype=torch.float64), size=9)
    assert field.render(edge, background=torch.ones(3, dtype=torch.float64)).opacity[0, 0] == 0


def test_empty_cells_let_light_through():
    field = some_field(share=0.3)
    field.lines.fill_(1.0)
    field.densities.fill_(1000.0)
    camera = Camera.look_at_origin(torch.tensor([2.0, 0, 0], dtype=torch.float64), size=64, field_of_view=0.02)
    picture = field.render(camera, background=torch.zeros(3, dtype=torch.float64))
    # The narrow picture looks along x at the cells around the axis.
    for row, column, y, z in ((0, 0, 1, 2), (0, 63, 2, 2), (63, 0, 1, 1), (63, 63, 2, 1)):
        blocked = ((field.coords[:, 1] == y) & (field.coords[:, 2] == z)).any()
        assert (picture.opacity[row, column] > 0.99) == blocked


def test_gradients_of_a_rendered_field_pass_gradcheck():
    field = some_field(2, resolution=2)
    camera = Camera.look_at_origin(torch.tensor([1.2, -1.1, 0.9], dtype=torch.float64), size=3)

    def render(lines, densities, colors):
        made = RadianceField(coords=field.coords, lines=lines, densities=densities, colors=colors, resolution=2)
        return made.render(camera, background=torch.ones(3, dtype=torch.float64)).color

    inputs = [value.requires_grad_() for value in (field.lines, field.densities, field.colors)]
    assert torch.autograd.gradcheck(render, inputs, atol=1e-5, fast_mode=True)

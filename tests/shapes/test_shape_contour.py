from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from kyvo.data.meshes.assets import Asset
from kyvo.metrics.geometry import nearest_distances
from kyvo.models.slat.gaussians import rotation_matrices
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.cells import crossed_edges, surface_latent
from kyvo.shapes.contour import CHANNELS, COLOR, CROSSED, NORMAL, SurfaceSplats, extract_mesh, turn_z_to
from kyvo.shapes.mesh import normalized
from kyvo.shapes.symmetry import augment, mirror, swap_xy


def asset(mesh: trimesh.Trimesh, color=(1.0, 0.0, 0.0)) -> Asset:
    triangles = np.asarray(mesh.triangles, dtype=float)
    return Asset(
        name="test",
        category="test",
        triangles=triangles,
        colors=np.broadcast_to(np.array(color), triangles.shape).copy(),
        uv=np.zeros((len(triangles), 3, 2)),
        texture=np.full(len(triangles), -1),
    )


def ball(radius: float = 0.4) -> Asset:
    return asset(trimesh.creation.icosphere(subdivisions=3, radius=radius))


def extracted(latent: StructuredLatent) -> trimesh.Trimesh:
    surface = extract_mesh(latent)
    return trimesh.Trimesh(surface.vertices.numpy(), surface.faces.numpy(), process=False)


@pytest.fixture(scope="module")
def latent() -> StructuredLatent:
    return surface_latent(ball(), resolution=24)


def test_a_closed_mesh_comes_back_closed_facing_out_and_of_its_size(latent):
    mesh = extracted(latent)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(trimesh.creation.icosphere(subdivisions=3, radius=0.4).volume, rel=0.03)


def test_a_turned_box_has_sharp_edges_that_are_not_too_far_out():
    box = trimesh.creation.box((0.6, 0.5, 0.4))
    box.apply_transform(trimesh.transformations.random_rotation_matrix(np.array([0.3, 0.6, 0.1])))
    mesh = extracted(surface_latent(asset(box), resolution=24))
    short = (box.extents - mesh.extents) * 24  # cells; the means of the cells lack 0.52, 0.32 and 0.16
    assert short.min() > 0 and short.max() < 0.2
    assert mesh.volume == pytest.approx(box.volume, rel=0.003)


def test_an_edge_that_a_network_half_believes_in_is_no_hole(latent):
    whole = extracted(latent)
    doubted, denied = (latent.feats.clone() for _ in range(2))
    first = int((latent.feats[:, CROSSED.start] > 0).nonzero()[0])
    doubted[first, CROSSED.start], denied[first, CROSSED.start] = -0.5, -0.7
    assert len(extracted(replace(latent, feats=doubted)).faces) == len(whole.faces)
    assert len(extracted(replace(latent, feats=denied)).faces) == len(whole.faces) - 2
    assert not extracted(replace(latent, feats=denied)).is_watertight


def test_colors_come_back_as_srgb(latent):
    colors = extract_mesh(latent).attributes
    torch.testing.assert_close(colors, torch.tensor([1.0, 0.0, 0.0]).expand_as(colors), atol=0.01, rtol=0)


def test_a_wall_thinner_than_a_cell_comes_back_as_a_sheet_without_holes():
    wall = asset(trimesh.creation.box((0.9, 0.01, 0.7)))
    mesh = extracted(surface_latent(normalized(wall), resolution=15))  # odd: the wall lies within one layer of cells
    front = np.abs(np.cross(*np.moveaxis(np.diff(mesh.triangles, axis=1), 1, 0))[:, 1]).sum() / 2
    # The box is 1 x 0.7 / 0.9 from the front, and the outermost vertices lie about half a cell inside.
    assert front == pytest.approx((1 - 1 / 15) * (0.7 / 0.9 - 1 / 15), rel=0.1)


def test_an_edge_is_crossed_where_a_box_has_its_sides():
    # On a grid of 4, sides at 0.6 and 3.4 cells: lines through whole numbers 1, 2, 3 pierce them in cells 0 and 3.
    box = trimesh.creation.box((0.7, 0.7, 0.7)).triangles
    coords = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    crossed = crossed_edges(np.asarray(box, dtype=float), coords, resolution=4)
    for axis in range(3):
        others = np.delete(coords, axis, axis=1)
        expected = np.isin(coords[:, axis], (0, 3)) & (others >= 1).all(1)
        assert np.array_equal(crossed[:, axis], expected)


def test_every_crossed_edge_inside_the_grid_has_its_four_cells(latent):
    num_inner = sum(
        int(((latent.feats[:, CROSSED.start + axis] > 0) & (latent.coords > 0).all(1)).sum()) for axis in range(3)
    )
    assert len(extract_mesh(latent).faces) == 2 * num_inner


def test_a_cell_without_a_neighbour_becomes_a_small_octahedron():
    feats = torch.zeros(1, CHANNELS)
    feats[0, CROSSED] = -1
    mesh = extracted(StructuredLatent(coords=torch.tensor([[1, 2, 3]]), feats=feats, resolution=4))
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * (0.25 / 4) ** 3)
    assert mesh.center_mass == pytest.approx([-0.125, 0.125, 0.375])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_mesh_of_a_mirrored_latent_is_the_mirrored_mesh(axis):
    lumpy = surface_latent(asset(lump()), resolution=16)
    flip = np.ones(3)
    flip[axis] = -1
    ours, theirs = extracted(mirror(lumpy, axis=axis)), extracted(lumpy)
    assert len(ours.faces) == len(theirs.faces)
    assert ours.volume == pytest.approx(theirs.volume, rel=1e-3)
    assert nearest_distances(ours.vertices, theirs.vertices * flip).max() < 1e-5


def lump() -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.3)
    x, y, z = mesh.vertices.T
    mesh.vertices *= (1 + 0.8 * x - 0.5 * y + 0.6 * z + 1.5 * x * y)[:, None]
    return mesh


def test_swapping_x_and_y_swaps_them_in_the_mesh_too():
    latent = surface_latent(asset(lump()), resolution=16)
    ours, theirs = extracted(swap_xy(latent)), extracted(latent)
    assert ours.volume == pytest.approx(theirs.volume, rel=1e-3)
    assert nearest_distances(ours.vertices, theirs.vertices[:, [1, 0, 2]]).max() < 1e-5


def test_a_varied_object_keeps_its_volume_and_its_cells_and_is_the_same_for_the_same_generator(latent):
    varied = augment(latent, generator=torch.Generator().manual_seed(3))
    again = augment(latent, generator=torch.Generator().manual_seed(3))
    assert torch.equal(varied.feats, again.feats) and torch.equal(varied.coords, again.coords)
    assert extracted(varied).volume == pytest.approx(extracted(latent).volume, rel=0.01)
    assert varied.feats[:, COLOR].abs().max() <= 1
    assert not torch.equal(varied.feats[:, COLOR].unique(dim=0), latent.feats[:, COLOR].unique(dim=0))


def test_a_splat_lies_flat_in_its_surface(latent):
    gaussians = SurfaceSplats()(latent.to_sparse())[0]
    thinnest = rotation_matrices(gaussians.rotations_wxyz)[:, :, 2]
    along = (thinnest * latent.feats[:, NORMAL]).sum(1).abs()
    assert along.min() > 0.99 and (gaussians.scales[:, 2] < gaussians.scales[:, 0]).all()


def test_turning_z_to_a_normal_gives_that_normal_or_its_opposite():
    normals = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    normals = torch.cat([normals, torch.eye(3), -torch.eye(3)])
    turned = rotation_matrices(turn_z_to(normals))[:, :, 2]
    upright = torch.where(normals[:, 2:] < 0, -normals, normals)
    torch.testing.assert_close(turned, upright, atol=1e-5, rtol=0)

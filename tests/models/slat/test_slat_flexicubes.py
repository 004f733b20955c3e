"""Surfaces from sparse cubes are closed, lie where the distances say, and equal a slow dense twin."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kyvo.models.slat.flexicubes import CORNERS, EDGES, NUM_WEIGHTS, extract_surface, patch_table


def all_cubes(resolution: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(resolution), repeat=3)))


def corner_values(field: torch.Tensor, cubes: torch.Tensor) -> torch.Tensor:
    """What a grid of points [R + 1, R + 1, R + 1] gives to the 8 corners of each cube."""
    return torch.stack([field[tuple((cubes + torch.tensor(corner)).T)] for corner in CORNERS], 1)


def plain(distances: torch.Tensor, cubes: torch.Tensor, resolution: int, **changes):
    """A surface with neutral weights and no deformation."""
    count = len(cubes)
    settings = {
        "deformations": distances.new_zeros(count, 8, 3),
        "weights": distances.new_zeros(count, NUM_WEIGHTS),
        "attributes": distances.new_zeros(count, 8, 0),
    }
    return extract_surface(cubes=cubes, distances=distances, resolution=resolution, **(settings | changes))


def edge_counts(faces: torch.Tensor) -> dict[tuple[int, int], int]:
    counts: dict[tuple[int, int], int] = {}
    for face in faces.tolist():
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            counts[a, b] = counts.get((a, b), 0) + 1
    return counts


def volume(surface) -> float:
    a, b, c = surface.vertices[surface.faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def ball(resolution: int, radius: float) -> torch.Tensor:
    axis = torch.arange(resolution + 1) / resolution - 0.5
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    return points.norm(dim=-1) - radius


def test_a_ball_is_closed_faces_outwards_and_has_its_radius_and_volume():
    cubes = all_cubes(20)
    surface = plain(corner_values(ball(20, 0.31), cubes), cubes, 20)
    counts = edge_counts(surface.faces)
    assert set(counts.values()) == {1}
    assert all((b, a) in counts for a, b in counts)
    assert len(surface.vertices) - len(counts) // 2 + len(surface.faces) == 2  # Euler: a sphere
    radii = surface.vertices.norm(dim=1)
    assert (radii - 0.31).abs().max() < 0.01
    # Means of points on a sphere lie a little inside it.
    assert volume(surface) == pytest.approx(4 / 3 * torch.pi * 0.31**3, rel=0.05)


@given(st.integers(0, 10_000))
def test_any_field_that_is_positive_at_the_rim_has_a_closed_surface(seed):
    field = torch.rand(6, 6, 6, generator=torch.Generator().manual_seed(seed)) - 0.5
    rim = torch.ones_like(field, dtype=torch.bool)
    rim[1:-1, 1:-1, 1:-1] = False
    field[rim] = field[rim].abs() + 0.01
    cubes = all_cubes(5)
    surface = plain(corner_values(field, cubes), cubes, 5)
    counts = edge_counts(surface.faces)
    assert all(counts[a, b] == counts.get((b, a)) for a, b in counts)
    if bool((field < 0).any()):
        assert volume(surface) > 0


@pytest.mark.parametrize(
    ("inside", "num_patches"),
    [
        ((), 0),
        (range(8), 0),
        ((5,), 1),
        ((0, 1), 1),
        ((0, 3), 2),  # across a face: each corner is cut off
        ((0, 7), 2),
        ((0, 3, 5, 6), 4),
        ((1, 2, 4, 5, 6, 7), 1),  # corners 0 and 3 are outside: the inner corners 1 and 2 of their face are cut off
    ],
)
def test_patches_of_a_cube(inside, num_patches):
    patches, counts = patch_table()
    case = sum(1 << corner for corner in inside)
    crossed = [edge for edge, (a, b) in enumerate(EDGES) if (a in inside) != (b in inside)]
    assert counts[case] == num_patches
    assert (patches[case] >= 0).nonzero().flatten().tolist() == crossed


def test_every_patch_is_a_loop_of_three_to_seven_edges():
    patches, counts = patch_table()
    for case in range(256):
        for patch in range(int(counts[case])):
            assert 3 <= int((patches[case] == patch).sum()) <= 7


def some_cubes(seed: int, resolution: int, share: float, dtype=torch.float64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    cubes = all_cubes(resolution)
    cubes = cubes[torch.rand(len(cubes), generator=generator) < share]
    cubes = cubes[torch.randperm(len(cubes), generator=generator)]

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(len(cubes), *shape, generator=generator, dtype=dtype)

    return {
        "cubes": cubes,
        "distances": draw(8),
        "deformations": draw(8, 3),
        "weights": draw(NUM_WEIGHTS),
        "attributes": draw(8, 2),
    }


def dense_twin(given: dict[str, torch.Tensor], resolution: int) -> list[list[float]]:
    """Vertices and attributes from one loop over a dense grid, sorted."""
    sums: dict[tuple[int, ...], list[torch.Tensor]] = {}
    for index, cube in enumerate(given["cubes"].tolist()):
        for corner, step in enumerate(CORNERS):
            values = [given["distances"][index, corner : corner + 1]]
            values += [given["deformations"][index, corner], given["attributes"][index, corner]]
            sums.setdefault(tuple(c + s for c, s in zip(cube, step, strict=True)), []).append(torch.cat(values))
    blank = torch.tensor([1.0, 0, 0, 0, 0, 0], dtype=torch.float64)
    own = {tuple(cube): index for index, cube in enumerate(given["cubes"].tolist())}
    patches, counts = patch_table()
    rows = []
    for cube in itertools.product(range(resolution), repeat=3):
        points = [tuple(c + s for c, s in zip(cube, step, strict=True)) for step in CORNERS]
        values = [torch.stack(sums[point]).mean(0) if point in sums else blank for point in points]
        weights = given["weights"][own[cube]] if cube in own else torch.zeros(NUM_WEIGHTS, dtype=torch.float64)
        case = sum(1 << corner for corner in range(8) if values[corner][0] < 0)
        for patch in range(int(counts[case])):
            total, share = torch.zeros(5, dtype=torch.float64), 0.0
            for edge in (patches[case] == patch).nonzero().flatten().tolist():
                ends = []
                for corner in EDGES[edge]:
                    place = torch.tensor(points[corner], dtype=torch.float64) / resolution - 0.5
                    place = place + values[corner][1:4].tanh() * (1 - 1e-8) / (2 * resolution)
                    scaled = values[corner][0] * (1 + 0.99 * weights[12 + corner].tanh())
                    ends.append((scaled, torch.cat([place, values[corner][4:].sigmoid()])))
                (near, at_near), (far, at_far) = ends
                beta = 1 + 0.99 * weights[edge].tanh()
                total = total + beta * (near * at_far - far * at_near) / (near - far)
                share = share + beta
            rows.append((total / share).tolist())
    return sorted(rows)


@pytest.mark.parametrize(("seed", "share"), [(0, 1.0), (1, 0.5), (2, 0.1)])
def test_vertices_are_those_of_the_dense_twin_also_beyond_the_given_cubes(seed, share):
    given_cubes = some_cubes(seed, 4, share)
    surface = extract_surface(**given_cubes, resolution=4)
    found = sorted(torch.cat([surface.vertices, surface.attributes], 1).tolist())
    torch.testing.assert_close(torch.tensor(found), torch.tensor(dense_twin(given_cubes, 4)), rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_gradients_of_vertices_and_attributes_pass_gradcheck():
    given_cubes = some_cubes(3, 2, 1.0)
    cubes = given_cubes.pop("cubes")
    inputs = [value.requires_grad_() for value in given_cubes.values()]

    def extract(*values):
        surface = extract_surface(cubes=cubes, resolution=2, **dict(zip(given_cubes, values, strict=True)))
        return surface.vertices, surface.attributes

    assert torch.autograd.gradcheck(extract, inputs, eps=1e-7, atol=1e-4)


def test_a_quad_is_cut_between_the_cubes_with_the_larger_gammas():
    cubes = all_cubes(2)
    field = torch.arange(3.0)[None, None].expand(3, 3, 3) - 0.5  # a plane in the lower layer, upside up
    for high in (0, 2, 4, 6):  # of the four cubes of the lower layer
        weights = torch.zeros(8, NUM_WEIGHTS)
        weights[high, -1] = 3.0
        surface = plain(corner_values(field, cubes), cubes, 2, weights=weights)
        place = cubes[high, :2] / 2 - 0.25
        corner = int((surface.vertices[:, :2] - place).norm(dim=1).argmin())
        assert len(surface.faces) == 2
        assert (surface.faces == corner).any(1).all()
        a, b, c = surface.vertices[surface.faces].unbind(1)
        assert (torch.linalg.cross(b - a, c - a)[:, 2] > 0).all()


def test_no_surface_is_no_faces():
    cubes = all_cubes(2)
    for sign in (1.0, 2.0):
        surface = plain(torch.full((8, 8), sign), cubes, 2)
        assert surface.vertices.shape == (0, 3)
        assert surface.faces.shape == (0, 3)

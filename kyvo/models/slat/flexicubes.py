"""A mesh from signed distances at the corners of sparse cubes: dual marching cubes with learned weights (FlexiCubes).

Every cube that the surface crosses gets one vertex for each patch of surface inside it: the weighted mean of the points
where the surface crosses the cube's edges (https://doi.org/10.1145/3592430, equations 4 and 5). Every edge that the
surface crosses becomes a quad of the vertices of the four cubes around it, cut along the diagonal with the larger
product of gammas. Positions, colours and their gradients follow from the distances; only the cubes given take memory.

Patches come from a rule, not from a table: two crossed edges of a face of the cube belong to one patch, and where all
four edges of a face are crossed, each inner corner is cut off by itself (Nielson, Dual Marching Cubes, 2004).
"""

import functools
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Corner c of a cube is its lowest corner plus (c & 1, c >> 1 & 1, c >> 2): bit 0 is x.
CORNERS = tuple((corner & 1, corner >> 1 & 1, corner >> 2) for corner in range(8))
# Order of the edges' weights in the published mesh decoder, as pairs of corners.
EDGES = ((0, 1), (1, 5), (4, 5), (0, 4), (2, 3), (3, 7), (6, 7), (2, 6), (2, 0), (3, 1), (7, 5), (6, 4))
NUM_WEIGHTS = 12 + 8 + 1  # beta of the edges, alpha of the corners, gamma of the cube
WEIGHT_SCALE = 0.99  # alpha and beta lie within 1 +- this


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """Triangles, counter-clockwise from outside, in the object's frame."""

    vertices: Float[Tensor, "vertices 3"]
    faces: Int[Tensor, "faces 3"]
    attributes: Float[Tensor, "vertices channels"]  # what was given at the corners, through a sigmoid


@dataclass(frozen=True, kw_only=True, eq=False)
class Corners:
    """Grid points and what each has: the mean over the cubes that were given it."""

    numbers: Int[Tensor, " points"]
    distances: Float[Tensor, " points"]
    positions: Float[Tensor, "points 3"]
    attributes: Float[Tensor, "points channels"]


@functools.cache
def patch_table() -> tuple[Int[Tensor, "256 12"], Int[Tensor, " 256"]]:
    """For each set of inner corners (bit c: corner c): the patch of each edge, -1 if not crossed; number of patches."""
    patches = torch.full((256, 12), -1)
    for case in range(256):
        inside = [bool(case >> corner & 1) for corner in range(8)]
        patch = {edge: edge for edge, (a, b) in enumerate(EDGES) if inside[a] != inside[b]}

        for axis in range(3):
            for side in range(2):
                face = [corner for corner in range(8) if CORNERS[corner][axis] == side]
                crossed = [edge for edge in patch if set(EDGES[edge]) <= set(face)]
                if len(crossed) == 2:
                    _join(patch, *crossed)
                elif len(crossed) == 4:
                    for corner in face:
                        if inside[corner]:
                            _join(patch, *(edge for edge in crossed if corner in EDGES[edge]))
        order = {of: index for index, of in enumerate(dict.fromkeys(patch.values()))}
        for edge, of in patch.items():
            patches[case, edge] = order[of]
    return patches, patches.amax(1) + 1


def _join(patch: dict[int, int], first: int, second: int) -> None:
    old, new = patch[second], patch[first]
    patch.update({edge: new for edge, of in patch.items() if of == old})


@functools.cache
def edge_table() -> Int[Tensor, "12 3"]:
    """For each edge: its lower corner, its axis, and the place of its cube among the four around the edge.

    Places go counter-clockwise seen from the edge's upper end, so that the quad faces that way.
    """
    rows = []
    for a, b in EDGES:
        lower, axis = min(a, b), (abs(a - b)).bit_length() - 1
        beyond = tuple(CORNERS[lower][(axis + turn) % 3] for turn in (1, 2))  # 1: the cube lies on the lower side
        rows.append((lower, axis, ((1, 1), (0, 1), (0, 0), (1, 0)).index(beyond)))
    return torch.tensor(rows)


def extract_surface(
    *,
    cubes: Int[Tensor, "cubes 3"],
    distances: Float[Tensor, "cubes 8"],
    deformations: Float[Tensor, "cubes 8 3"],
    weights: Float[Tensor, "cubes 21"],
    attributes: Float[Tensor, "cubes 8 channels"],
    resolution: int,
) -> Surface:
    """The zero level of `distances`, which are negative inside.

    A corner that several cubes share has the mean of what they give for it; one that none gives is outside. Cubes that
    are not given and touch an inner corner take part with neutral weights, as if the grid were dense.

    Args:
        cubes: lowest corners, in cells of a grid over [-1/2, 1/2]^3; all different.
        deformations: through a tanh, at most half a cell.
        weights: beta of 12 edges, alpha of 8 corners, gamma, before their tanh and sigmoid.
        attributes: before their sigmoid.
    """
    side = resolution + 1
    offsets = torch.tensor(CORNERS, device=cubes.device)
    cubes = cubes.long()
    numbers, point = _number(cubes[:, None] + offsets, side).unique(return_inverse=True)

    given = torch.cat([distances[..., None], deformations, attributes], -1).flatten(0, 1)
    counts = torch.bincount(point.flatten(), minlength=len(numbers))
    means = given.new_zeros(len(numbers), given.shape[1]).index_add(0, point.flatten(), given) / counts[:, None]

    # An inner corner at the rim of the given cubes: the surface goes on in the cubes beyond.
    rim = _unnumber(numbers[(means[:, 0] < 0) & (counts < 8)], side)
    around = (rim[:, None] - offsets).flatten(0, 1)
    around = around[((around >= 0) & (around < resolution)).all(1)]
    added = _number(around, side).unique()
    added = _unnumber(added[~torch.isin(added, _number(cubes, side))], side)
    if len(added):
        beyond = _number(added[:, None] + offsets, side)
        fresh = beyond[~torch.isin(beyond, numbers)].unique()
        blank = means.new_zeros(len(fresh), means.shape[1])
        blank[:, 0] = 1.0
        numbers, order = torch.cat([numbers, fresh]).sort()
        means = torch.cat([means, blank])[order]
        cubes, weights = torch.cat([cubes, added]), torch.cat([weights, weights.new_zeros(len(added), NUM_WEIGHTS)])
        point = torch.searchsorted(numbers, _number(cubes[:, None] + offsets, side))

    # Only where the surface passes is anything more computed.
    case = ((means[:, 0] < 0)[point] * (1 << torch.arange(8, device=cubes.device))).sum(1)
    crossed = ((case > 0) & (case < 255)).nonzero()[:, 0]
    reach = (1 - 1e-8) / (2 * resolution)
    corners = Corners(
        numbers=numbers,
        distances=means[:, 0],
        positions=_unnumber(numbers, side) / resolution - 0.5 + reach * means[:, 1:4].tanh(),
        attributes=means[:, 4:].sigmoid(),
    )
    return _triangulate(corners, point[crossed], case[crossed], weights[crossed])


def _triangulate(corners: Corners, point: Tensor, case: Tensor, weights: Tensor) -> Surface:
    """Of the cubes that the surface crosses: `point` [cubes, 8] are rows of `corners`."""
    device = point.device
    patches, num_patches = (table.to(device) for table in patch_table())
    edges, ends = edge_table().to(device), torch.tensor(EDGES, device=device)
    beta, alpha, gamma = weights.split([12, 8, 1], 1)
    beta, alpha = 1 + WEIGHT_SCALE * beta.tanh(), 1 + WEIGHT_SCALE * alpha.tanh()
    gamma = WEIGHT_SCALE * gamma[:, 0].sigmoid() + (1 - WEIGHT_SCALE) / 2

    # One row for each crossed edge of each cube.
    count = num_patches[case]
    first_vertex = count.cumsum(0) - count
    num_vertices = int(count.sum())
    cube, edge = (patches[case] >= 0).nonzero().T
    vertex = first_vertex[cube] + patches[case[cube], edge]

    end = ends[edge]
    row = point[cube[:, None], end]
    scaled = corners.distances[row] * alpha[cube[:, None], end]
    share = (scaled / (scaled[:, :1] - scaled[:, 1:])).flip(1) * scaled.new_tensor([-1.0, 1.0])  # equation 4
    weight = beta[cube, edge]
    values = torch.cat([corners.positions, corners.attributes], 1)
    crossing = (values[row] * share[..., None]).sum(1)
    total = crossing.new_zeros(num_vertices, crossing.shape[1]).index_add(0, vertex, weight[:, None] * crossing)
    mean = total / weight.new_zeros(num_vertices).index_add(0, vertex, weight)[:, None]  # equation 5

    # The four cubes around an edge stand next to each other once sorted by edge and place.
    lower, axis, place = edges[edge].T
    start = point[cube, lower]
    key = (start * 3 + axis) * 4 + place
    key, order = key.sort()
    quad_first = (key[3:] // 4 == key[: max(len(key) - 3, 0)] // 4).nonzero()[:, 0]
    quads = order[quad_first[:, None] + torch.arange(4, device=device)]
    outward = corners.distances[start[quads[:, 0]]] < 0  # from the lower end, which is inside, to the upper
    quads = torch.where(outward[:, None], quads, quads.flip(1))
    gammas = gamma[cube[quads]]
    along = (gammas[:, 0] * gammas[:, 2] > gammas[:, 1] * gammas[:, 3])[:, None]
    cut = torch.where(
        along, torch.tensor([0, 1, 2, 0, 2, 3], device=device), torch.tensor([0, 1, 3, 3, 1, 2], device=device)
    )
    faces = vertex[quads].gather(1, cut).unflatten(1, (2, 3)).flatten(0, 1)
    return Surface(vertices=mean[:, :3], faces=faces, attributes=mean[:, 3:])


def _number(coordinates: Int[Tensor, "*rows 3"], side: int) -> Int[Tensor, "*rows"]:
    x, y, z = coordinates.unbind(-1)
    return (x * side + y) * side + z


def _unnumber(numbers: Int[Tensor, " rows"], side: int) -> Int[Tensor, "rows 3"]:
    return torch.stack([numbers // side**2, numbers // side % side, numbers % side], 1)

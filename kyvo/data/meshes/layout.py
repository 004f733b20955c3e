"""Where objects stand on the floor: discs that do not overlap, placed at random; and one object on a table.

Two layouts. `uniform_layout` draws every place anew over one square. `random_layout` is the collision-free layout by
which I-Scene (https://arxiv.org/abs/2512.13683) makes its training scenes: larger discs first, a clearance that goes
with the discs, a square that begins small and grows. Both search within bounds, then name the constraint that failed.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from kyvo.errors import SceneError

GROWTH = 1.1  # of the square's side, each time a disc finds no place
TOP_SLICE = 0.005  # a table's top is cut this part of its height below its highest point
MIN_TOP = 0.25  # least distance from a top's centroid to its edge, over half the width of the mesh


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Centres in the order of the radii asked for, and how they were found."""

    centers: Float[np.ndarray, "objects 2"]
    half_side: float  # of the square around the origin in which all centres lie
    clearance: float  # least distance between two discs


@dataclass(frozen=True, kw_only=True)
class TableTop:
    """The flat top of a mesh, in the mesh's own coordinates."""

    x: float  # centroid of the top's outline
    y: float
    height: float
    free: float  # distance from the centroid to the nearest edge


def uniform_layout(
    radii: Float[np.ndarray, " objects"],
    *,
    rng: np.random.Generator,
    half_side: float,
    clearance: float = 0.1,
    max_tries: int = 50,
    max_layouts: int = 100,
) -> Layout:
    """Centres uniform over the square [-half_side, half_side]^2, no two discs nearer than `clearance`.

    The layout is begun anew when one disc finds no place in `max_tries`. Raises SceneError after `max_layouts`.
    """
    radii = _checked(radii)
    for _ in range(max_layouts):
        centers = np.empty((0, 2))
        for radius in radii:
            tries = rng.uniform(-half_side, half_side, (max_tries, 2))
            distance = np.linalg.norm(tries[:, None] - centers, axis=2)
            free = (distance >= radii[: len(centers)] + radius + clearance).all(1)
            if not free.any():
                break
            centers = np.vstack([centers, tries[free.argmax()]])
        else:
            return Layout(centers=centers, half_side=half_side, clearance=clearance)
    raise SceneError(_no_room(radii, clearance, half_side, f"{max_layouts} layouts of {max_tries} tries an object"))


def random_layout(
    radii: Float[np.ndarray, " objects"],
    *,
    rng: np.random.Generator,
    half_side: float,
    density: tuple[float, float] = (0.1, 0.6),
    max_tries: int = 50,
    first: int | None = None,
) -> Layout:
    """I-Scene's collision-free layout, its square no larger than [-half_side, half_side]^2.

    The clearance is the mean radius times a factor drawn from `density`; discs are placed larger first, but the one
    numbered `first` (a table) before all others. The square begins as large as the discs side by side, and grows by a
    tenth when a disc finds no place in `max_tries`. Raises SceneError when it may grow no more.
    """
    radii = _checked(radii)
    if not 0 <= density[0] <= density[1]:
        raise SceneError(f"density {density[0]:g} to {density[1]:g} is no range of factors from 0 up.")
    if not len(radii):
        return Layout(centers=np.empty((0, 2)), half_side=half_side, clearance=0.0)
    clearance = float(radii.mean() * rng.uniform(*density))
    order = sorted(range(len(radii)), key=lambda index: (index != first, -radii[index]))
    side = min(half_side, math.sqrt(float(((2 * radii + clearance) ** 2).sum())) / 2)
    grid = _Grid(cell=(float(radii.min()) + clearance) / math.sqrt(2), clearance=clearance)
    for index in order:
        radius = float(radii[index])
        while not any(grid.place(index, x, y, radius) for x, y in rng.uniform(-side, side, (max_tries, 2)).tolist()):
            if side >= half_side:
                raise SceneError(_no_room(radii, clearance, half_side, f"{max_tries} tries an object"))
            side = min(side * GROWTH, half_side)
    return Layout(centers=np.array([grid.discs[i][:2] for i in range(len(radii))]), half_side=side, clearance=clearance)


class _Grid:
    """Discs by the cell of their centre, so that a new one is checked against its surroundings alone.

    Two centres are at least 2 min(r) + clearance apart, which is more than a cell's diagonal, min(r) + clearance: a
    cell holds one centre at most.
    """

    def __init__(self, *, cell: float, clearance: float) -> None:
        self.cell = cell
        self.clearance = clearance
        self.discs: dict[int, tuple[float, float, float]] = {}
        self.cells: dict[tuple[int, int], int] = {}
        self.largest = 0.0

    def place(self, index: int, x: float, y: float, radius: float) -> bool:
        """Places the disc and returns True, or returns False because another is too near."""
        column, row = math.floor(x / self.cell), math.floor(y / self.cell)
        reach = math.ceil((radius + self.largest + self.clearance) / self.cell)
        for i in range(column - reach, column + reach + 1):
            for j in range(row - reach, row + reach + 1):
                other = self.cells.get((i, j))
                if other is None:
                    continue
                u, v, other_radius = self.discs[other]
                if math.hypot(x - u, y - v) < radius + other_radius + self.clearance:
                    return False
        self.discs[index] = (x, y, radius)
        self.cells[column, row] = index
        self.largest = max(self.largest, radius)
        return True


def table_top(triangles: Float[np.ndarray, "faces 3 3"], *, name: str) -> TableTop:
    """Where something can stand on an upright mesh: the outline cut just below its highest point.

    The outline is taken from the cut faces, each with its inside to the left by its normal, so that area and centroid
    follow without joining the pieces. Raises SceneError when there is no such flat top.
    """
    low, high = float(triangles[..., 2].min()), float(triangles[..., 2].max())
    level = high - TOP_SLICE * (high - low)
    over = triangles[..., 2] > level
    cut = triangles[over.any(1) & ~over.all(1)]
    ends = []
    for a, b in ((0, 1), (1, 2), (2, 0)):
        start, end = cut[:, a], cut[:, b]
        crosses = (start[:, 2] > level) != (end[:, 2] > level)
        rise = np.where(crosses, end[:, 2] - start[:, 2], 1.0)
        point = start + (end - start) * ((level - start[:, 2]) / rise)[:, None]
        ends.append(np.where(crosses[:, None], point[:, :2], np.nan))
    points = np.stack(ends, axis=1)
    segments = points[~np.isnan(points[..., 0])].reshape(-1, 2, 2)  # each cut triangle is crossed at two of its sides
    normal = np.cross(cut[:, 1] - cut[:, 0], cut[:, 2] - cut[:, 0])[:, :2]
    along = segments[:, 1] - segments[:, 0]
    backward = along[:, 0] * -normal[:, 1] + along[:, 1] * normal[:, 0] < 0
    segments[backward] = segments[backward, ::-1]
    turned = segments[:, 0, 0] * segments[:, 1, 1] - segments[:, 0, 1] * segments[:, 1, 0]
    area = float(turned.sum()) / 2
    half_width = max(float(np.ptp(triangles[..., :2].reshape(-1, 2), axis=0).max()) / 2, 1e-9)
    if area <= (MIN_TOP * half_width) ** 2:
        raise SceneError(f"{name} has no flat top to stand on: {level:.3g} high its outline has an area of {area:.3g}.")
    center = (segments.sum(1) * turned[:, None]).sum(0) / (6 * area)
    free = _distance(center, segments)
    if free < MIN_TOP * half_width:
        raise SceneError(
            f"{name} has no flat top to stand on: the edge of its top is {free:.3g} from the middle of the top; "
            f"{MIN_TOP * half_width:.3g} are needed."
        )
    return TableTop(x=float(center[0]), y=float(center[1]), height=high, free=free)


def _distance(point: np.ndarray, segments: np.ndarray) -> float:
    """From a point to the nearest of the segments [N, 2, 2]."""
    start, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    length = np.maximum((along**2).sum(1), 1e-18)
    place = np.clip(((point - start) * along).sum(1) / length, 0, 1)
    return float(np.linalg.norm(start + along * place[:, None] - point, axis=1).min())


def _checked(radii: Float[np.ndarray, " objects"]) -> Float[np.ndarray, " objects"]:
    radii = np.asarray(radii, dtype=float)
    if not (np.isfinite(radii) & (radii > 0)).all():
        raise SceneError(f"radii {radii.tolist()} are not all positive numbers.")
    return radii


def _no_room(radii: np.ndarray, clearance: float, half_side: float, search: str) -> str:
    return (
        f"{len(radii)} objects of radii {radii.min():.2f} to {radii.max():.2f} with a clearance of {clearance:.2f} "
        f"found no place in [{-half_side:g}, {half_side:g}]^2 within {search}. "
        "Ask for fewer or smaller objects, a smaller clearance or density, or a larger floor."
    )

"""Layouts never overlap, stay on the floor, and say so when there is no room; tables have tops."""

import math

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from kyvo.data.meshes.layout import Layout, random_layout, table_top, uniform_layout
from kyvo.data.meshes.procedural import procedural_library
from kyvo.errors import SceneError

RADII = st.lists(st.floats(0.05, 0.4), min_size=1, max_size=8).map(np.array)
SEEDS = st.integers(0, 2**32 - 1)


def gaps(layout: Layout, radii: np.ndarray) -> np.ndarray:
    distance = np.linalg.norm(layout.centers[:, None] - layout.centers, axis=2)
    pairs = np.triu_indices(len(radii), 1)
    return (distance - radii[:, None] - radii)[pairs]


@given(RADII, SEEDS)
def test_discs_of_the_random_layout_keep_their_clearance(radii: np.ndarray, seed: int) -> None:
    layout = random_layout(radii, rng=np.random.default_rng(seed), half_side=3.0, density=(0.1, 0.6))
    assert radii.mean() * 0.1 - 1e-9 <= layout.clearance <= radii.mean() * 0.6 + 1e-9
    assert (gaps(layout, radii) >= layout.clearance - 1e-9).all()
    assert (np.abs(layout.centers) <= layout.half_side).all()
    assert layout.half_side <= 3.0


@given(RADII, SEEDS)
def test_discs_of_the_uniform_layout_keep_their_clearance(radii: np.ndarray, seed: int) -> None:
    layout = uniform_layout(radii, rng=np.random.default_rng(seed), half_side=3.0, clearance=0.1)
    assert (gaps(layout, radii) >= 0.1 - 1e-9).all()
    assert (np.abs(layout.centers) <= 3.0).all()


def test_the_random_layout_is_crowded_and_grows_only_as_needed() -> None:
    rng = np.random.default_rng(0)
    radii = np.full(4, 0.2)
    layouts = [random_layout(radii, rng=rng, half_side=50.0, density=(0.5, 0.5)) for _ in range(50)]
    first = math.sqrt(4 * 0.5**2) / 2  # four discs of 0.4 with 0.1 around, side by side
    assert all(layout.half_side / first < 1.1**5 for layout in layouts)
    tries = [layout.half_side / first for layout in layouts]
    assert all(math.log(size, 1.1) == pytest.approx(round(math.log(size, 1.1)), abs=1e-6) for size in tries)


@pytest.mark.parametrize(("first", "placed_first"), [(None, 2), (0, 0), (1, 1)])
def test_larger_discs_come_first_but_the_table_before_them(first: int | None, placed_first: int) -> None:
    """The first disc finds the floor empty and takes the first place drawn."""
    radii = np.array([0.05, 0.04, 0.3])
    rng = np.random.default_rng(5)
    rng.uniform(0.0, 0.0)  # the density
    drawn_first = rng.uniform(-0.3, 0.3, (50, 2))[0]
    layout = random_layout(radii, rng=np.random.default_rng(5), half_side=0.3, density=(0.0, 0.0), first=first)
    assert layout.half_side == 0.3
    same = [bool(np.allclose(center, drawn_first)) for center in layout.centers]
    assert same == [number == placed_first for number in range(3)]


@pytest.mark.parametrize("layout", [uniform_layout, random_layout])
def test_too_many_objects_name_the_constraint_after_a_bounded_search(layout) -> None:
    with pytest.raises(
        SceneError, match=r"40 objects of radii 0.50 to 0.50 with a clearance of .* no place in \[-1, 1\]"
    ):
        layout(np.full(40, 0.5), rng=np.random.default_rng(0), half_side=1.0)


@pytest.mark.parametrize("layout", [uniform_layout, random_layout])
def test_no_objects_need_no_room_and_bad_radii_are_refused(layout) -> None:
    assert layout(np.empty(0), rng=np.random.default_rng(0), half_side=1.0).centers.shape == (0, 2)
    with pytest.raises(SceneError, match="not all positive"):
        layout(np.array([0.5, math.nan]), rng=np.random.default_rng(0), half_side=1.0)


def test_a_layout_is_set_by_its_rng() -> None:
    first, second = (random_layout(np.full(5, 0.2), rng=np.random.default_rng(7), half_side=3.0) for _ in range(2))
    assert (first.centers == second.centers).all()


def test_the_top_of_a_box_is_found_where_it_is() -> None:
    box = trimesh.creation.box((1.0, 0.6, 0.4))
    box.apply_translation((0.3, -0.2, 0.1))
    top = table_top(box.triangles, name="box")
    assert (top.x, top.y, top.height, top.free) == pytest.approx((0.3, -0.2, 0.3, 0.3))


def test_the_top_of_a_slab_above_a_foot_is_the_slab() -> None:
    slab = trimesh.creation.cylinder(radius=0.5, height=0.1, sections=64)
    slab.apply_translation((0.5, 0.0, 0.5))
    foot = trimesh.creation.box((0.1, 0.1, 0.5))
    top = table_top(np.concatenate([slab.triangles, foot.triangles]), name="table")
    assert (top.x, top.y, top.height) == pytest.approx((0.5, 0.0, 0.55), abs=1e-6)
    assert top.free == pytest.approx(0.5, abs=2e-3)


def test_every_procedural_table_has_a_top_and_a_bird_has_none() -> None:
    library = procedural_library(variants=4)
    for table in library.of("table"):
        top = table_top(table.triangles, name=table.name)
        assert top.free > 0.3
        assert (top.x, top.y) == pytest.approx((0, 0), abs=1e-6)
    for name in ("bird-0", "tree-0"):
        with pytest.raises(SceneError, match=f"{name} has no flat top"):
            table_top(library.assets[name].triangles, name=name)

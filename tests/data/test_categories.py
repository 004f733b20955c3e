"""Things to train generators on: 40 categories, each of colored parts with an inside."""

import numpy as np
import pytest

from kyvo.data.meshes.categories import CATEGORIES
from kyvo.data.meshes.procedural import BUILDERS


def test_there_are_forty_categories_and_the_librarys_are_among_them():
    assert len(CATEGORIES) == 40
    assert set(BUILDERS) < set(CATEGORIES)


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_thing_is_set_by_its_seed_and_made_of_parts_with_an_area(category):
    for seed in range(4):
        one, other = (CATEGORIES[category](np.random.default_rng(seed)) for _ in range(2))
        assert [part.name for part in one] == [part.name for part in other]
        for part, same in zip(one, other, strict=True):
            assert np.array_equal(part.triangles, same.triangles) and part.color == same.color
            assert part.triangles.shape[1:] == (3, 3) and np.isfinite(part.triangles).all()
            sides = part.triangles[:, 1:] - part.triangles[:, :1]
            assert np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1).sum() > 1e-4
            assert all(0 <= value <= 255 for value in part.color)
        assert min(part.triangles[..., 2].min() for part in one) > -0.05  # it stands on the ground


@pytest.mark.parametrize("category", CATEGORIES)
def test_things_of_a_category_differ(category):
    drawn = [CATEGORIES[category](np.random.default_rng(seed)) for seed in range(6)]
    shapes = {tuple(np.round(np.concatenate([part.triangles for part in parts]).std((0, 1)), 4)) for parts in drawn}
    colors = {tuple(part.color for part in parts) for parts in drawn}
    assert len(shapes) > 1 or len(colors) > 2

"""What the figures of two sets say of sets that are known."""

import numpy as np
import pytest

from kyvo.errors import ConfigError
from kyvo.metrics.generation import (
    chamfer_distances,
    coverage,
    minimum_matching_distance,
    nearest_neighbor_accuracy,
)


def clouds(seed: int, centers: np.ndarray) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [center + 0.01 * rng.normal(size=(40, 3)) for center in centers]


CENTERS = np.random.default_rng(0).normal(size=(30, 3))


def test_distances_are_those_of_each_pair():
    ones, others = clouds(1, CENTERS[:3]), clouds(2, CENTERS[:4])
    found = chamfer_distances(ones, others)
    for row, one in enumerate(ones):
        for column, other in enumerate(others):
            all_pairs = ((one[:, None] - other) ** 2).sum(2)
            assert found[row, column] == pytest.approx(all_pairs.min(1).mean() + all_pairs.min(0).mean())


def test_a_set_of_the_same_things_covers_the_true_ones():
    made, true = clouds(1, CENTERS), clouds(2, CENTERS)
    between = chamfer_distances(made, true)
    assert coverage(between) == 1
    assert minimum_matching_distance(between) < 1e-3


def test_one_object_again_and_again_covers_little():
    made, true = clouds(1, np.repeat(CENTERS[:1], 30, axis=0)), clouds(2, CENTERS)
    between = chamfer_distances(made, true)
    assert coverage(between) == 1 / 30
    within = nearest_neighbor_accuracy(chamfer_distances(made, made), between, chamfer_distances(true, true))
    assert within > 0.7  # what was made lies together


@pytest.mark.slow
def test_sets_of_one_distribution_cannot_be_told_apart():
    rng = np.random.default_rng(3)
    made, true = ([center + np.zeros((5, 3)) for center in rng.normal(size=(80, 3))] for _ in range(2))
    accuracy = nearest_neighbor_accuracy(
        chamfer_distances(made, made), chamfer_distances(made, true), chamfer_distances(true, true)
    )
    assert accuracy == pytest.approx(0.5, abs=0.12)


def test_one_object_has_no_neighbour():
    one = clouds(1, CENTERS[:1])
    between = chamfer_distances(one, one)
    with pytest.raises(ConfigError, match="1 made and 1 true objects"):
        nearest_neighbor_accuracy(between, between, between)

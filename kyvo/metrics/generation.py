"""Set metrics of generated point clouds: coverage, minimum matching distance and 1-NNA, by Chamfer distance.

Minimum matching distance and coverage as Achlioptas et al. 2018 (https://arxiv.org/abs/1707.02392), the accuracy of the
nearest neighbour as Yang et al. 2019 (https://arxiv.org/abs/1906.12320).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from kyvo.errors import ConfigError
from kyvo.metrics.geometry import Points

Distances = Float[np.ndarray, "made true"]


def chamfer_distances(ones: Sequence[Points], others: Sequence[Points]) -> Float[np.ndarray, "ones others"]:
    """Of each pair, the two mean squared distances to the nearest point, added."""
    one_trees, other_trees = ([KDTree(cloud) for cloud in clouds] for clouds in (ones, others))
    found = np.empty((len(ones), len(others)))
    for row, (one, one_tree) in enumerate(zip(ones, one_trees, strict=True)):
        for column, (other, other_tree) in enumerate(zip(others, other_trees, strict=True)):
            there, back = other_tree.query(one)[0], one_tree.query(other)[0]
            found[row, column] = (there**2).mean() + (back**2).mean()
    return found


def minimum_matching_distance(made_to_true: Distances) -> float:
    """Mean distance of the true objects to the nearest that was made; low is good."""
    return float(made_to_true.min(0).mean())


def coverage(made_to_true: Distances) -> float:
    """Share of true objects that are the nearest one to some that was made; 1 is best."""
    return len(np.unique(made_to_true.argmin(1))) / made_to_true.shape[1]


def nearest_neighbor_accuracy(
    made: Float[np.ndarray, "made made"], made_to_true: Distances, true: Float[np.ndarray, "true true"]
) -> float:
    """Share of objects, of both sets together, whose nearest other is of their own set.

    0.5 is best: the two sets cannot be told apart. 1: they lie apart; below 0.5: what was made copies the true ones.

    Raises:
        ConfigError: a set has fewer than two objects.
    """
    if min(made_to_true.shape) < 2:
        raise ConfigError(
            f"{made_to_true.shape[0]} made and {made_to_true.shape[1]} true objects; nearest neighbours need two each."
        )
    whole = np.block([[made, made_to_true], [made_to_true.T, true]])
    np.fill_diagonal(whole, np.inf)
    is_made = np.arange(len(whole)) < len(made)
    return float((is_made[whole.argmin(1)] == is_made).mean())

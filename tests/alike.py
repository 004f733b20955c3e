"""Pictures that are the same but for roundings: a model is given the means of the codes that it expects, so that the
last bits of a prompt that is read anew, or in another batch, reach the pixels."""

import numpy as np

LEVELS = 2  # of 255


def assert_alike(one: np.ndarray, other: np.ndarray) -> None:
    assert one.shape == other.shape
    assert np.abs(one.astype(int) - other).max() <= LEVELS

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kyvo.tokenizers.order import reorder, restore


def test_the_released_order_of_a_16_by_16_picture():
    order = reorder(np.arange(256), 16, 16).tolist()
    assert order[:5] == [120, 119, 121, 118, 122]
    assert order[237:242] == [1, 239, 0, 240, 241]
    assert order[-1] == 255


@given(rows=st.integers(1, 20), columns=st.integers(1, 20), seed=st.integers(0, 9))
def test_reordering_is_undone_exactly(rows, columns, seed):
    codes = np.random.default_rng(seed).integers(0, 1024, rows * columns)
    assert np.array_equal(restore(reorder(codes, rows, columns), rows, columns), codes)
